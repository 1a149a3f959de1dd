//! Other libraries that stand between a program and its C library, before us and behind us: allocators, false clocks, false
//! roots, sanitizers, valgrind. The program does what it does without us, and the report says what it always says.

use std::path::{Path, PathBuf};

use crate::build::{self, Variant};
use crate::compare::{self, Sites};
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, place, report};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for library in LIBRARIES {
        for order in [Order::Before, Order::Behind] {
            trials.add(format!("chains::{}::{}", library.name, order.word()), move || beside(library, order));
        }
    }
    for order in [Order::Before, Order::Behind] {
        trials.add(format!("chains::counter::{}", order.word()), move || counter(order));
    }
    for order in [Order::Before, Order::Behind] {
        trials.add(format!("chains::fakeroot::{}", order.word()), move || fakeroot(order));
    }
    for sanitizer in SANITIZERS {
        for order in [Order::Before, Order::Behind] {
            trials.add(format!("chains::{}::{}", sanitizer.name, order.word()), move || sanitized(sanitizer, order));
        }
    }
    trials.add("chains::gcc_asan_refuses_to_be_second", asan_refuses);
    trials.add("chains::valgrind", valgrind);
    trials.add("chains::old_librt", old_librt);
    trials.add("chains::two_copies_of_the_library", two_copies);
}

/// Where the other library stands, as the loader's list has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Before,
    Behind,
}

impl Order {
    fn word(self) -> &'static str {
        if self == Order::Before { "before_us" } else { "behind_us" }
    }

    /// `LD_PRELOAD` with it and us.
    fn list(self, other: &str) -> String {
        let us = place::library().display();
        if self == Order::Before { format!("{other}:{us}") } else { format!("{us}:{other}") }
    }
}

/// A library that is preloaded.
struct Other {
    name: &'static str,
    /// Where Debian has it.
    paths: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const LIBRARIES: &[Other] = &[
    Other { name: "jemalloc", paths: &["libjemalloc.so.2"], env: &[] },
    Other { name: "tcmalloc", paths: &["libtcmalloc_minimal.so.4", "libtcmalloc.so.4"], env: &[] },
    Other { name: "libfaketime", paths: &["faketime/libfaketime.so.1"], env: &[("FAKETIME", "@2021-02-03 04:05:06")] },
    Other { name: "libfaketime_mt", paths: &["faketime/libfaketimeMT.so.1"], env: &[("FAKETIME", "-3d x2")] },
    Other { name: "libeatmydata", paths: &["libeatmydata.so"], env: &[] },
];

/// Threads, forks, execs, descriptors, mappings, and what is left behind.
const SCENARIOS: &[&str] = &[
    "leak_both_many",
    "threads_churn",
    "fork_child_leaks",
    "fork_threads",
    "dup_family",
    "mremap_move",
    "posix_spawn_child",
    "signal_in_hook",
    "atexit_cleans",
];

/// The file of that name under the machine's library directories.
fn find(names: &[&str]) -> Result<PathBuf, Stop> {
    let triplet = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let roots = [triplet.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let paths = roots.iter().flat_map(|root| names.iter().map(move |name| Path::new(root).join(name)));
    paths.into_iter().find(|path| path.is_file()).ok_or_else(|| Stop::Needs(names.join(" or ")))
}

/// Runs each scenario with the other library alone, and with us; `set` makes the former of a plain run, or the latter.
fn each(
    scenarios: &[&str],
    trial: &str,
    variant: &Variant,
    sites: Sites,
    set: impl Fn(&Scenario, &Path, bool) -> Result<Run, Stop>,
) -> Verdict {
    for name in scenarios {
        let scenario = Scenario::named(name);
        let directory = place::directory(&format!("{trial}-{name}"))?;
        let program = scenario.program(variant)?;
        let turn = scenario.turn()?;
        let in_it = |run: Run| run.within(&directory).options(&report::into(&directory));
        let (plain, plain_left) = turn.run(in_it(set(&scenario, &program, false)?))?;
        let expect = scenario.expect()?;
        if plain.how() != expect.status {
            let said = Shown(&plain.stderr);
            return Err(Stop::Unfit(format!(
                "a machine where {name} runs without us; it ended {}:{said}",
                plain.how()
            )));
        }
        let (ended, left) = turn.run(in_it(set(&scenario, &program, true)?))?;
        ended.same_as(&plain)?;
        compare::left(&left, &plain_left)?;
        compare::reports(&scenario, &directory, &ended, sites).map_err(|stop| match stop {
            Stop::Fail(message) => Stop::Fail(format!("{name}: {message}")),
            other => other,
        })?;
    }
    Ok(())
}

fn beside(other: &'static Other, order: Order) -> Verdict {
    let path = find(other.paths)?.display().to_string();
    each(
        SCENARIOS,
        &format!("chains-{}-{}", other.name, order.word()),
        &Variant::plain(),
        Sites::Lines,
        |_, program, us| {
            let list = if us { order.list(&path) } else { path.clone() };
            let run = Run::new(program).env("LD_PRELOAD", list);
            Ok(other.env.iter().fold(run, |run, (name, value)| run.env(name, value)))
        },
    )
}

/// One that counts what it sees sees each call once, as without us.
fn counter(order: Order) -> Verdict {
    let library = build::own("counts", &Variant::of("gcc", &["-shared", "-fPIC", "-O1", "-ldl", "-lrt"]))?;
    let path = library.display().to_string();
    let scenarios = ["posix_shm", "sysv_shm", "leak_both_many"];
    let trial = format!("chains-counter-{}", order.word());
    each(&scenarios, &trial, &Variant::plain(), Sites::Lines, |_, program, us| {
        Ok(Run::new(program).env("LD_PRELOAD", if us { order.list(&path) } else { path.clone() }))
    })
}

/// Its library is of no use without its daemon: the command starts both.
fn fakeroot(order: Order) -> Verdict {
    let fakeroot = need("fakeroot")?;
    let scenarios = ["leak_both_many", "fork_child_leaks", "posix_spawn_child", "rename_object"];
    each(&scenarios, &format!("chains-fakeroot-{}", order.word()), &Variant::plain(), Sites::Lines, |_, program, us| {
        let script = match (us, order) {
            (false, _) => "exec \"$0\"".to_string(),
            (true, Order::Before) => format!("exec env LD_PRELOAD=$LD_PRELOAD:{} \"$0\"", place::library().display()),
            (true, Order::Behind) => format!("exec env LD_PRELOAD={}:$LD_PRELOAD \"$0\"", place::library().display()),
        };
        Ok(Run::new(&fakeroot).args(["--", "sh", "-c", &script]).arg(program))
    })
}

/// A sanitizer of gcc's, as the shared library that its programs need.
struct Sanitizer {
    name: &'static str,
    flag: &'static str,
    library: &'static str,
    /// What makes it bear somebody before itself.
    env: (&'static str, &'static str),
    scenarios: &'static [&'static str],
}

/// TSan does not see that a segment ends with its shmdt, and takes the next one at its address for the same memory: no churn.
const SANITIZERS: &[Sanitizer] = &[
    Sanitizer {
        name: "asan",
        flag: "-fsanitize=address",
        library: "libasan.so",
        env: ("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"),
        scenarios: &["leak_both_many", "threads_churn", "fork_child_leaks", "atexit_cleans", "mremap_move"],
    },
    Sanitizer {
        name: "lsan",
        flag: "-fsanitize=leak",
        library: "liblsan.so",
        env: ("LSAN_OPTIONS", "exitcode=23"),
        scenarios: &["leak_both_many", "threads_churn", "fork_child_leaks", "atexit_cleans"],
    },
    Sanitizer {
        name: "tsan",
        flag: "-fsanitize=thread",
        library: "libtsan.so",
        env: ("TSAN_OPTIONS", "exitcode=66"),
        scenarios: &["leak_both_many", "threads_leak", "fork_child_leaks", "atexit_cleans"],
    },
    Sanitizer {
        name: "ubsan",
        flag: "-fsanitize=undefined",
        library: "libubsan.so",
        env: ("UBSAN_OPTIONS", "halt_on_error=1"),
        scenarios: &["leak_both_many", "threads_churn", "fork_child_leaks", "atexit_cleans"],
    },
];

impl Sanitizer {
    /// Where gcc has its library.
    fn path(&self) -> Result<String, Stop> {
        let ended = Run::new(need("gcc")?).arg(format!("-print-file-name={}", self.library)).end()?.well()?;
        let path = ended.output().trim().to_string();
        if path.contains('/') { Ok(path) } else { Err(Stop::Needs(format!("{} of gcc", self.library))) }
    }
}

/// Programs that need the sanitizer's library: it is loaded before us where it is preloaded, else behind us.
fn sanitized(sanitizer: &'static Sanitizer, order: Order) -> Verdict {
    need("setarch")?;
    let path = sanitizer.path()?;
    let variant = Variant::of("gcc", &["-O0", "-g", sanitizer.flag]);
    let trial = format!("chains-{}-{}", sanitizer.name, order.word());
    each(sanitizer.scenarios, &trial, &variant, Sites::Lines, |_, program, us| {
        // Without randomised addresses: the older sanitizers' shadows have no place where the kernel shuffles far.
        let run = Run::new("setarch").arg("-R").arg("env");
        let run = match (us, order) {
            (false, _) => run,
            (true, Order::Before) => run.arg(format!("LD_PRELOAD={}", order.list(&path))),
            (true, Order::Behind) => run.arg(format!("LD_PRELOAD={}", place::library().display())),
        };
        Ok(run.env(sanitizer.env.0, sanitizer.env.1).arg(program))
    })
}

/// gcc's ASan wants to be first, and says so: nothing that a preloaded library could change, but `shmaudit run` can.
fn asan_refuses() -> Verdict {
    let scenario = Scenario::named("leak_posix");
    let program = scenario.program(&Variant::of("gcc", &["-O0", "-g", "-fsanitize=address"]))?;
    let turn = scenario.turn()?;
    let (ended, _) = turn.run(Run::new(&program).preloaded("log=off:report=off"))?;
    check!(ended.errors().contains("LD_PRELOAD"), "not a word of it:{}", Shown(&ended.stderr));
    Ok(())
}

/// valgrind finds nothing in us that it does not find in the program, and the report is the same.
fn valgrind() -> Verdict {
    let valgrind = need("valgrind")?;
    let errors = |ended: &Ended| -> Vec<String> {
        let said = ended.errors();
        let lines = said.lines().filter(|line| line.starts_with("==") && line.contains("ERROR SUMMARY"));
        lines.map(|line| line.split_once("ERROR SUMMARY").map_or("", |(_, rest)| rest).to_string()).collect()
    };
    for name in
        ["leak_both_many", "fork_child_leaks", "dup_family", "posix_spawn_child", "atexit_cleans", "threads_leak"]
    {
        let scenario = Scenario::named(name);
        let directory = place::directory(&format!("chains-valgrind-{name}"))?;
        let program = scenario.program(&Variant::plain())?;
        let turn = scenario.turn()?;
        let run =
            || Run::new(&valgrind).args(["--error-exitcode=77", "--leak-check=no"]).arg(&program).within(&directory);
        let (plain, plain_left) = turn.run(run())?;
        let (ended, left) = turn.run(run().preloaded(&report::into(&directory)))?;
        ended.same_as(&plain)?;
        compare::left(&left, &plain_left)?;
        check!(errors(&ended) == errors(&plain), "{name}: other errors than without us:{}", Shown(&ended.stderr));
        check!(!errors(&plain).is_empty(), "{name}: valgrind says nothing:{}", Shown(&plain.stderr));
        compare::reports(&scenario, &directory, &ended, Sites::Lines)?;
    }
    Ok(())
}

/// librt's shm_open calls open by its name: that is one call, not two.
fn old_librt() -> Verdict {
    let library = build::own("oldrt", &Variant::of("gcc", &["-O1", "-shared", "-fPIC"]))?.display().to_string();
    for order in [Order::Before, Order::Behind] {
        let scenario = Scenario::named("leak_posix");
        let directory = place::directory(&format!("chains-old_librt-{}", order.word()))?;
        let log = directory.join("log");
        let program = scenario.program(&Variant::plain())?;
        let options = format!("{}:log={}", report::into(&directory).replace("log=off:", ""), log.display());
        let run = Run::new(&program).env("LD_PRELOAD", order.list(&library)).options(&options).within(&directory);
        let (ended, _) = scenario.turn()?.run(run)?;
        let lines = std::fs::read_to_string(&log)?;
        let count = |call: &str| lines.lines().filter(|line| line.contains(&format!(" {call}("))).count();
        match order {
            Order::Behind => {
                check!((count("shm_open"), count("open")) == (1, 0), "noted otherwise than once:\n{lines}");
                compare::reports(&scenario, &directory, &ended, Sites::Lines)?;
            }
            // All that we see of it is the open that it makes.
            Order::Before => {
                check!((count("shm_open"), count("open")) == (0, 1), "noted otherwise than once:\n{lines}")
            }
        }
    }
    Ok(())
}

/// Two files with the same library: each has the other's functions as its next, and the program still ends.
fn two_copies() -> Verdict {
    let directory = place::directory("chains::two_copies")?;
    let copy = directory.join("another.so");
    std::fs::copy(place::library(), &copy)?;
    for name in ["leak_both_many", "fork_child_leaks", "atexit_cleans", "vfork_exec"] {
        let scenario = Scenario::named(name);
        let program = scenario.program(&Variant::plain())?;
        let turn = scenario.turn()?;
        let (plain, plain_left) = turn.run(Run::new(&program).within(&directory))?;
        let list = format!("{}:{}", place::library().display(), copy.display());
        let run = Run::new(&program).within(&directory).env("LD_PRELOAD", list).options("log=off:report=off");
        let (ended, left) = turn.run(run)?;
        ended.same_as(&plain)?;
        compare::left(&left, &plain_left)?;
    }
    Ok(())
}
