//! Where a program runs that cannot give the library what it would like: no child for the report, no room, no disk, no way
//! back to the log.

use std::fs;

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict, need, need_root};
use crate::{check, compare, log, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("surroundings::clone_refused", || apart("clone"));
    trials.add("surroundings::new_pid_namespace", || apart("pid"));
    trials.add("surroundings::log_lost_by_chroot", chroot);
    trials.add("surroundings::address_space_is_the_programs", address_space);
    trials.add("surroundings::memory_lock_is_the_programs", memory_lock);
    trials.add("surroundings::journal_on_full_file_system", full_journal);
    trials.add("surroundings::orphans_removed_by_the_kernel", orphans);
    trials.add("surroundings::descriptors_seen", descriptors);
    trials.add("surroundings::report_goes_wrong", report_goes_wrong);
    trials.add("surroundings::musl_program", || loads("leak_posix", &Variant::of("musl-gcc", &["-O0"])));
    trials.add("surroundings::smallest_threads", || loads("small_stack", &Variant::plain()));
    trials.add("surroundings::vfork_program", || loads("vfork_exec", &Variant::plain()));
    trials.add("surroundings::cxx_program", || loads("throws.cc", &Variant::of("g++", &["-g"])));
}

/// Runs `apart` plain and audited.
fn both(arguments: &[&str], options: &str) -> Result<Ended, Stop> {
    let program = build::own("apart", &Variant::plain())?;
    let turn = Turn::take(&own_source("apart"))?;
    let run = || Run::new(&program).args(arguments);
    let (plain, plain_left) = turn.run(run())?;
    if plain.how() != "0" {
        return Err(Stop::Unfit(format!("the right to {}", arguments.join(" "))));
    }
    let (ended, left) = turn.run(run().preloaded(options))?;
    ended.same_as(&plain)?;
    compare::left(&left, &plain_left)?;
    log::is_tame(&ended.stderr)?;
    Ok(ended)
}

/// No child can be had to make the report in: it is made all the same.
fn apart(how: &str) -> Verdict {
    let ended = both(&[how], "log=off")?;
    let said = ended.errors();
    check!(said.contains("posix-leak") && said.contains("/shmaudit-apart"), "no report:{}", Shown(&ended.stderr));
    check!(said.contains("main apart.c:"), "a report without names:{}", Shown(&ended.stderr));
    Ok(())
}

/// The log's descriptor is closed and its path leads nowhere: the lines are lost, and nothing else.
fn chroot() -> Verdict {
    need_root()?;
    let trial = "surroundings::log_lost_by_chroot";
    let directory = place::directory(trial)?;
    let root = directory.join("root");
    fs::create_dir_all(&root)?;
    let options = format!("log={0}/log:report={0}/report", directory.display());
    both(&["chroot", &root.display().to_string()], &options)?;
    let lines = fs::read_to_string(directory.join("log"))?;
    check!(lines.contains("shm_open(\"/shmaudit-apart\""), "the lines before it are lost too:\n{lines}");
    Ok(())
}

/// What RLIMIT_AS leaves is the program's: the recorder takes a small part of it, or none.
fn address_space() -> Verdict {
    let program = build::own("room", &Variant::plain())?;
    let turn = Turn::take(&own_source("room"))?;
    for (limit, wanted) in [(64, 44), (128, 100), (256, 220), (1024, 960), (8192, 7900)] {
        let script = format!("ulimit -v {}; exec env $1 $2 \"$0\" {wanted}", limit << 10);
        let touched = limit <= 1024;
        if !touched {
            continue;
        }
        let run = |first: String, second: &str| {
            turn.run(Run::new("sh").args(["-c", &script]).arg(&program).arg(first).arg(second))
        };
        let (plain, _) = run("A=1".to_string(), "B=2")?;
        check!(plain.how() == "0", "with {limit} MiB the plain program ends {}: {}", plain.how(), plain.output());
        for options in ["", "syscalls=1:log_format=json", "log=off:report=off"] {
            let (ended, _) =
                run(format!("LD_PRELOAD={}", place::library().display()), &format!("SHMAUDIT_OPTIONS={options}"))?;
            ended.same_as(&plain).map_err(|stop| {
                Stop::Fail(format!("with {limit} MiB of which it takes {wanted}: {}", stop.into_message()))
            })?;
        }
    }
    Ok(())
}

/// What RLIMIT_MEMLOCK allows is the program's: its memory can be locked whatever we have mapped.
fn memory_lock() -> Verdict {
    need_root()?;
    let setpriv = need("setpriv")?;
    let program = build::own("locks", &Variant::plain())?;
    let turn = Turn::take(&own_source("locks"))?;
    // Not root: the limit is not root's.
    let run = |limit: &str| {
        let script = format!("ulimit -l {limit}; exec \"$0\" \"$@\"");
        let run = Run::new("sh").args(["-c", &script]).arg(&setpriv);
        run.args(["--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"])
    };
    for limit in ["8192", "6144", "64", "unlimited"] {
        let plain = turn.run(run(limit).arg(&program))?.0;
        if plain.errors().contains("ulimit") {
            continue;
        }
        check!(plain.how() == "0", "the plain program ended {}:{}", plain.how(), Shown(&plain.stderr));
        for options in ["", "log=off:report=off"] {
            let preload = format!("LD_PRELOAD={}", place::library().display());
            let options = format!("SHMAUDIT_OPTIONS={options}");
            let (ended, _) = turn.run(run(limit).arg("env").arg(preload).arg(options).arg(&program))?;
            ended.same_as(&plain).map_err(|stop| Stop::Fail(format!("limit {limit}: {}", stop.into_message())))?;
        }
    }
    Ok(())
}

/// A journal whose blocks are not there yet would fault when they are written to.
fn full_journal() -> Verdict {
    need_root()?;
    let (unshare, mount) = (need("unshare")?, need("mount")?);
    let trial = "surroundings::journal_on_full_file_system";
    let directory = place::directory(trial)?;
    let disk = directory.join("disk");
    fs::create_dir_all(&disk)?;
    let scenario = Scenario::named("leak_both_many");
    let turn = scenario.turn()?;
    let (plain, _) = turn.run(scenario.plain(trial)?)?;
    for size in ["64k", "1m", "12m"] {
        let script = format!(
            "{mount} -t tmpfs -o size={size} tmpfs {disk} && exec env LD_PRELOAD={library} \
             SHMAUDIT_OPTIONS=log=off:journal={disk}/journal \"$0\"",
            mount = mount.display(),
            disk = disk.display(),
            library = place::library().display()
        );
        let run = Run::new(&unshare).args(["--mount", "sh", "-c", &script]).arg(scenario.program(&Variant::plain())?);
        let (ended, _) = turn.run(run.within(&directory))?;
        ended.same_as(&plain)?;
        let said = ended.errors();
        check!(said.contains("ENOSPC") && said.contains("posix-leak"), "said with {size}:{}", Shown(&ended.stderr));
    }
    Ok(())
}

/// With `kernel.shm_rmid_forced` the kernel removes a segment with its last detach, or with its maker where it was never
/// attached: no leak, and who asks later hears who it was.
fn orphans() -> Verdict {
    need_root()?;
    let unshare = need("unshare")?;
    let trial = "surroundings::orphans_removed_by_the_kernel";
    let directory = place::directory(trial)?;
    // A setting of the IPC namespace, which is new.
    let audited = |name: &str, forced: &str, how: &str| -> Result<String, Stop> {
        let program = Scenario::named(name).program(&Variant::plain())?;
        let script = format!(
            "echo {forced} > /proc/sys/kernel/shm_rmid_forced || exit 97; {how} > /dev/null || exit 96; \
             echo left $(tail -n +2 /proc/sysvipc/shm | wc -l)"
        );
        let run = Run::new(&unshare).args(["--ipc", "--mount", "sh", "-c", &script]).within(&directory);
        let run = run
            .env("PROGRAM", &program)
            .env("LIBRARY", place::library())
            .env("SHMAUDIT", env!("CARGO_BIN_EXE_shmaudit"));
        let ended = run.end()?;
        if ended.how() == "97" {
            return Err(Stop::Unfit("the right to set kernel.shm_rmid_forced".to_string()));
        }
        check!(ended.how() == "0", "ended {}:{}", ended.how(), Shown(&ended.stderr));
        Ok(format!("{}{}", ended.output(), ended.errors()))
    };
    let preloaded = "SHMAUDIT_OPTIONS=log=off LD_PRELOAD=\"$LIBRARY\" \"$PROGRAM\"";
    let supervised = "rm -rf session; \"$SHMAUDIT\" run --library \"$LIBRARY\" -o session -- \"$PROGRAM\"";
    for name in ["leak_ipc_private", "leak_sysv"] {
        let said = audited(name, "0", preloaded)?;
        check!(said.contains("left 1") && said.contains("sysv-leak"), "{name}: {said}");
        for how in [preloaded, supervised] {
            let said = audited(name, "1", how)?;
            check!(said.contains("left 0") && !said.contains("sysv-leak"), "{name}: {how}: {said}");
            // What is there until its maker has ended has not vanished when the maker looks.
            let vanished = said.contains("vanished") && said.contains("kernel.shm_rmid_forced is 1");
            check!(vanished == (name == "leak_sysv" || how == supervised), "{name}: {how}: {said}");
        }
    }
    Ok(())
}

/// Another thread never sees a descriptor that is not the program's, not even for the moment that it takes to look a new
/// file's code up.
fn descriptors() -> Verdict {
    let part = build::own("seen_numbers_part", &Variant::of("gcc", &["-O0", "-g", "-shared", "-fPIC"]))?;
    let program = build::own("seen_numbers", &Variant::plain().and(&["-ldl", "-lpthread"]))?;
    let turn = Turn::take(&own_source("seen_numbers"))?;
    let (plain, _) = turn.run(Run::new(&program).arg(&part))?;
    let (ended, _) = turn.run(Run::new(&program).arg(&part).preloaded("log=off:report=off"))?;
    check!(plain.output().contains("seen 0 times"), "the plain program says:{}", Shown(&plain.stdout));
    ended.same_as(&plain)
}

/// Whatever becomes of the report, the program's output and status are its own.
fn report_goes_wrong() -> Verdict {
    for name in ["leak_both_many", "exit_leak", "quick_exit_leak", "underscore_exit_leak", "fork_child_leaks"] {
        let scenario = Scenario::named(name);
        let turn = scenario.turn()?;
        let trial = format!("surroundings-report_goes_wrong-{name}");
        let (plain, plain_left) = turn.run(scenario.plain(&trial)?)?;
        let (ended, left) = turn.run(scenario.plain(&trial)?.preloaded("log=off"))?;
        ended.same_as(&plain)?;
        compare::left(&left, &plain_left)?;
        check!(!ended.stderr.is_empty(), "{name}: neither a report nor a word about it");
    }
    Ok(())
}

/// To be loaded alone changes nothing.
fn loads(name: &str, variant: &Variant) -> Verdict {
    let (source, program) = match name.strip_suffix(".cc") {
        Some(_) => (own_source(name), build::own(name, variant)?),
        None => {
            let scenario = Scenario::named(name);
            (scenario.source.clone(), scenario.program(variant)?)
        }
    };
    let turn = Turn::take(&source)?;
    let directory = place::directory(&format!("surroundings-loads-{name}"))?;
    let (plain, plain_left) = turn.run(Run::new(&program).within(&directory))?;
    check!(plain.how() == "0", "the plain program ended {}", plain.how());
    let (ended, left) = turn.run(Run::new(&program).within(&directory).preloaded("log=off:report=off"))?;
    ended.same_as(&plain)?;
    compare::left(&left, &plain_left)
}
