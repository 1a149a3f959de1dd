//! One library for every C library, compiler and way to link: programs of musl, of clang, optimised, stripped, static,
//! of the other ELF class; linked in, preloaded, opened late.

use std::fs;

use crate::build::{self, Variant};
use crate::compare::{self, Sites};
use crate::run::Run;
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, place, report};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for scenario in Scenario::all() {
        if scenario.expect().is_ok_and(|expect| expect.glibc) {
            continue;
        }
        let name = format!("libcs::musl::{}", scenario.name);
        trials.add(name.clone(), move || {
            audited(&scenario, &name, &Variant::of(build::musl_compiler(), &["-O0", "-g"]), Sites::Lines)
        });
    }
    for (build, compiler, options, sites) in BUILDS {
        let name = format!("libcs::build::{build}");
        trials.add(name.clone(), move || {
            for scenario in ["leak_both_many", "threads_leak", "double_detach", "fork_child_leaks"] {
                let trial = format!("{name}-{scenario}");
                audited(&Scenario::named(scenario), &trial, &Variant::of(compiler, options), *sites)?;
            }
            Ok(())
        });
    }
    trials.add("libcs::stripped_names_the_module", stripped);
    trials.add("libcs::symbols_without_lines", symbols_only);
    trials.add("libcs::linked_as_needed", || linked(&["-Wl,--as-needed"]));
    trials.add("libcs::linked_now", || linked(&["-Wl,-z,now", "-Wl,--no-undefined"]));
    trials.add("libcs::linked_lazily", || linked(&["-Wl,-z,lazy"]));
    trials.add("libcs::linked_and_preloaded", linked_and_preloaded);
    trials.add("libcs::opened_late", opened_late);
    trials.add("libcs::opened_late_in_musl", opened_late_in_musl);
    trials.add("libcs::a_static_program_is_untouched", static_program);
    trials.add("libcs::other_elf_class", other_class);
    trials.add("libcs::address_sanitizer", address_sanitizer);
    trials.add("libcs::thread_sanitizer", thread_sanitizer);
    trials.add("libcs::cxx_exceptions", cxx_exceptions);
}

const BUILDS: &[(&str, &str, &[&str], Sites)] = &[
    ("clang", "clang", &["-O0", "-g"], Sites::Lines),
    ("clang_O2", "clang", &["-O2", "-g"], Sites::Unknown),
    ("O2", "gcc", &["-O2", "-g"], Sites::Unknown),
    ("O2_no_frame_pointer_no_tables", "gcc", &["-O2", "-fno-asynchronous-unwind-tables"], Sites::Unknown),
    ("frame_pointers", "gcc", &["-O0", "-g", "-fno-omit-frame-pointer"], Sites::Lines),
    ("no_pie", "gcc", &["-O0", "-g", "-fno-pie", "-no-pie"], Sites::Lines),
    ("dwarf_4", "gcc", &["-O0", "-gdwarf-4"], Sites::Lines),
    ("dwarf_5", "gcc", &["-O0", "-gdwarf-5"], Sites::Lines),
    ("dwarf_3", "gcc", &["-O0", "-gdwarf-3"], Sites::Lines),
    ("compressed_debug", "gcc", &["-O0", "-g", "-gz=zlib"], Sites::Lines),
    ("fortified", "gcc", &["-O1", "-g", "-D_FORTIFY_SOURCE=2"], Sites::Unknown),
    ("large_files", "gcc", &["-O0", "-g", "-D_FILE_OFFSET_BITS=64"], Sites::Lines),
    ("stripped", "gcc", &["-O0", "-s"], Sites::Unknown),
];

/// The scenario's program of this build does the same under the library, and its report says what is expected.
fn audited(scenario: &Scenario, trial: &str, variant: &Variant, sites: Sites) -> Verdict {
    let directory = place::directory(trial)?;
    let program = scenario.program(variant)?;
    let turn = scenario.turn()?;
    let (plain, plain_left) = turn.run(Run::new(&program).within(&directory))?;
    let (ended, left) = turn.run(Run::new(&program).within(&directory).preloaded(&report::into(&directory)))?;
    ended.same_as(&plain)?;
    ended.is_quiet()?;
    compare::left(&left, &plain_left)?;
    compare::reports(scenario, &directory, &ended, sites)
}

/// The text of a program's report.
fn text_of(scenario: &str, trial: &str, variant: &Variant) -> Result<String, Stop> {
    let scenario = Scenario::named(scenario);
    let run = Run::new(scenario.program(variant)?).within(&place::directory(trial)?).preloaded("log=off");
    Ok(scenario.turn()?.run(run)?.0.errors())
}

fn stripped() -> Verdict {
    let text = text_of("leak_posix", "libcs::stripped", &Variant::of("gcc", &["-s"]))?;
    check!(text.contains("/shmaudit-leak_posix"), "the leak is not named:{}", Shown(text.as_bytes()));
    let module = text.lines().any(|line| line.contains("leak_posix") && line.contains("+0x"));
    check!(module, "no module and offset:{}", Shown(text.as_bytes()));
    Ok(())
}

fn symbols_only() -> Verdict {
    let text = text_of("leak_both_many", "libcs::symbols_only", &Variant::of("gcc", &["-O0", "-g0"]))?;
    for word in ["make_object", "make_segment", "main"] {
        check!(text.contains(word), "no {word} from the symbol table:{}", Shown(text.as_bytes()));
    }
    Ok(())
}

fn linked(options: &[&str]) -> Verdict {
    for name in ["leak_posix", "leak_sysv", "threads_leak"] {
        let scenario = Scenario::named(name);
        let trial = format!("libcs-linked{}-{name}", options.join("").replace(|c: char| !c.is_alphanumeric(), "_"));
        let directory = place::directory(&trial)?;
        let program = scenario.program(&Variant::of("gcc", &[&["-O0", "-g"], options].concat()).linked())?;
        let (ended, _) =
            scenario.turn()?.run(Run::new(program).within(&directory).options(&report::into(&directory)))?;
        ended.is_quiet()?;
        compare::reports(&scenario, &directory, &ended, Sites::Lines)?;
    }
    Ok(())
}

/// One library, whether it came in by one way or by both: each call is seen once.
fn linked_and_preloaded() -> Verdict {
    let scenario = Scenario::named("leak_both_many");
    let directory = place::directory("libcs::linked_and_preloaded")?;
    let program = scenario.program(&Variant::plain().linked())?;
    let (ended, _) = scenario.turn()?.run(Run::new(program).within(&directory).preloaded(&report::into(&directory)))?;
    ended.is_quiet()?;
    compare::reports(&scenario, &directory, &ended, Sites::Lines)
}

fn open_late(variant: &Variant, trial: &str) -> Verdict {
    let scenario = Scenario::named("dlopen_late");
    let directory = place::directory(trial)?;
    let program = scenario.program(variant)?;
    let turn = scenario.turn()?;
    let (plain, _) = turn.run(Run::new(&program).within(&directory))?;
    let run = || Run::new(&program).arg(place::library()).within(&directory);
    let (ended, _) = turn.run(run().options("report=off"))?;
    ended.same_as(&plain)?;
    let (ended, _) = turn.run(run().preloaded(&report::into(&directory)))?;
    ended.same_as(&plain)?;
    compare::reports(&scenario, &directory, &ended, Sites::Lines)
}

fn opened_late() -> Verdict {
    open_late(&Variant::plain(), "libcs::opened_late")
}

fn opened_late_in_musl() -> Verdict {
    open_late(&Variant::of("musl-gcc", &["-O0", "-g"]), "libcs::opened_late_in_musl")
}

fn static_program() -> Verdict {
    for compiler in ["gcc", "musl-gcc"] {
        let scenario = Scenario::named("leak_both_many");
        let directory = place::directory("libcs::static")?;
        let program = scenario.program(&Variant::of(compiler, &["-static"]))?;
        let turn = scenario.turn()?;
        let (plain, plain_left) = turn.run(Run::new(&program).within(&directory))?;
        let (ended, left) = turn.run(Run::new(&program).within(&directory).preloaded(""))?;
        ended.same_as(&plain)?;
        compare::left(&left, &plain_left)?;
        ended.is_quiet()?;
    }
    Ok(())
}

/// The loader says that it cannot load the library, and runs the program.
fn other_class() -> Verdict {
    let scenario = Scenario::named("leak_both_many");
    let directory = place::directory("libcs::other_elf_class")?;
    let needs = || Stop::Unfit("gcc -m32 with its libraries".to_string());
    let program = scenario.program(&Variant::of("gcc", &["-m32"])).map_err(|_| needs())?;
    let turn = scenario.turn()?;
    let (plain, plain_left) = turn.run(Run::new(&program).within(&directory))?;
    let (ended, left) = turn.run(Run::new(&program).within(&directory).preloaded(""))?;
    ended.same_as(&plain)?;
    compare::left(&left, &plain_left)?;
    check!(!ended.errors().contains("shmaudit["), "audited after all:{}", Shown(&ended.stderr));
    Ok(())
}

/// gcc's ASan as a library refuses to start unless it is first; inside the program it has the program's own place.
fn address_sanitizer() -> Verdict {
    let variant = Variant::of("gcc", &["-O0", "-g", "-fsanitize=address", "-static-libasan"]);
    sanitized(&variant, "libcs::address_sanitizer", &["leak_both_many", "threads_churn", "fork_child_leaks"])
}

/// It does not see that a segment ends with its shmdt, and takes the next one at its address for the same memory: no churn.
fn thread_sanitizer() -> Verdict {
    let variant = Variant::of("gcc", &["-O0", "-g", "-fsanitize=thread", "-static-libtsan"]);
    sanitized(&variant, "libcs::thread_sanitizer", &["leak_both_many", "threads_leak", "fork_child_leaks"])
}

fn sanitized(variant: &Variant, trial: &str, names: &[&str]) -> Verdict {
    need("setarch")?;
    for name in names {
        let scenario = Scenario::named(name);
        let directory = place::directory(&format!("{trial}-{name}"))?;
        let program = scenario.program(variant)?;
        let turn = scenario.turn()?;
        // Without randomised addresses: the older sanitizers' shadows have no place where the kernel shuffles far.
        let run = || Run::new("setarch").arg("-R").arg(&program).within(&directory);
        let (plain, _) = turn.run(run())?;
        if plain.how() != "0" {
            return Err(Stop::Unfit("a kernel that the sanitizer runs on".to_string()));
        }
        let (ended, _) = turn.run(run().preloaded(&report::into(&directory)))?;
        ended.same_as(&plain)?;
        compare::reports(&scenario, &directory, &ended, Sites::Lines)?;
    }
    Ok(())
}

/// An exported `_Unwind_Resume` would break every C++ program.
fn cxx_exceptions() -> Verdict {
    need("g++")?;
    let directory = place::directory("libcs::cxx_exceptions")?;
    let program = directory.join("throws");
    let source = directory.join("throws.cc");
    fs::copy(build::own_source("throws").with_extension("cc"), &source)?;
    let compiled = Run::new("g++").args(["-g", "-o"]).arg(&program).arg(&source).end()?;
    check!(compiled.how() == "0", "g++:{}", Shown(&compiled.stderr));
    let turn = crate::clean::Turn::take(&source)?;
    let (plain, _) = turn.run(Run::new(&program))?;
    check!(plain.how() == "0", "plain: {}", plain.how());
    let (ended, _) = turn.run(Run::new(&program).preloaded("log=off"))?;
    ended.same_as(&plain)?;
    let said = ended.errors();
    check!(said.contains("/shmaudit-throws"), "the leak is not named:{}", Shown(&ended.stderr));
    check!(said.contains("ns::Holder::make"), "no C++ name:{}", Shown(&ended.stderr));
    Ok(())
}
