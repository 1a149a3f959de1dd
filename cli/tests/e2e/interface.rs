//! What a program asks of its own audit and tells it, from C and from C++, linked, preloaded, and without the library.

use std::path::PathBuf;

use crate::build::{self, Variant};
use crate::clean::{Turn, remove_told};
use crate::report::{self, Report};
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, fail, place};

/// Ways to build and run it.
const WAYS: [Way; 4] = [
    Way { name: "c_linked", compiler: "gcc", language: "c", linked: true },
    Way { name: "c_preloaded", compiler: "gcc", language: "c", linked: false },
    Way { name: "cxx_linked", compiler: "g++", language: "c++", linked: true },
    Way { name: "cxx_preloaded", compiler: "clang++", language: "c++", linked: false },
];

#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    compiler: &'static str,
    language: &'static str,
    linked: bool,
}

/// A part of the program.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    /// What it prints.
    output: &'static str,
    /// What the last report says is leaked.
    leaks: &'static [&'static str],
    /// What it says is suppressed.
    suppressed: Option<(&'static str, u64)>,
}

const STATS: Part = Part {
    name: "stats",
    output: "calls 0 failed 0 live 0 bytes 0 lost 0 events enough\n\
             calls 5 failed 1 live 2 bytes 8403 lost 0 events enough\n\
             calls 7 failed 1 live 0 bytes 0 lost 0 events enough\n\
             first field 1\nlarge 0 refused: null 1 empty 1\n",
    leaks: &[],
    suppressed: None,
};
const CHECKPOINT: Part = Part {
    name: "checkpoint",
    output: "first 0\nsince first 1, since second 0, since the start 2, in order 1\nremoved 0\n\
             refused: to come 1 none 1\n",
    ..STATS
};
const PAUSING: Part = Part {
    name: "pausing",
    output: "",
    leaks: &["/shmaudit-asks-seen1", "/shmaudit-asks-seen2", "/shmaudit-asks-seen3", "/shmaudit-asks-seen4"],
    suppressed: Some(("paused by the program", 3)),
};
const IGNORING: Part = Part {
    name: "ignoring",
    output: "names 0 0, id 0\nrefused: null 1 empty 1 path 1 no segment 1\n",
    leaks: &["/shmaudit-asks-seen", "IPC_PRIVATE"],
    suppressed: Some(("ignored by the program", 3)),
};
const EACH: Part = Part {
    name: "each",
    output: "each 4: 4 of 16870 bytes, right 4\nagain 3, made since 0\nleft 0 refused: null 1\n",
    ..STATS
};
const STORMS: Part =
    Part { name: "storms", output: "signals many\n", leaks: &["/shmaudit-asks-seen"], suppressed: None };
const CHECKS: Part =
    Part { name: "checks", output: "mappings as before\nchildren without a report 0, errno 1234\n", ..STORMS };
const PARTS: [Part; 7] = [STATS, CHECKPOINT, PAUSING, IGNORING, EACH, STORMS, CHECKS];

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for way in WAYS {
        trials.add(format!("interface::without_the_library::{}", way.name), move || without(way));
        for part in PARTS {
            trials.add(format!("interface::{}::{}", part.name, way.name), move || asks(way, part));
        }
    }
    trials.add("interface::what_is_paused_is_not_logged", logged);
    trials.add("interface::known_after_death", after_death);
    trials.add("interface::each_is_exported_and_declared", declared);
}

fn program(way: Way) -> Result<PathBuf, Stop> {
    let include = format!("-I{}", place::workspace().join("include").display());
    let variant = match way.language {
        "c" => Variant::of(way.compiler, &["-O1", "-g", &include]),
        _ => Variant::of(way.compiler, &["-O1", "-g", &include, "-std=gnu++17", "-x", way.language]),
    };
    let variant = variant.and(&["-x", "none", "-pthread"]);
    build::own("asks", &if way.linked { variant.linked() } else { variant })
}

fn run(turn: &Turn, way: Way, part: &str, options: &str) -> Result<Ended, Stop> {
    let run = Run::new(program(way)?).arg(part);
    let run = if way.linked { run.options(options) } else { run.preloaded(options) };
    turn.run(run).map(|(ended, _)| ended)
}

fn turn() -> Result<Turn, Stop> {
    Turn::take(&build::own_source("asks"))
}

fn asks(way: Way, part: Part) -> Verdict {
    let Part { name, output, leaks, suppressed } = part;
    let directory = place::directory(&format!("interface-{name}-{}", way.name))?;
    let ended = run(&turn()?, way, name, &report::into(&directory))?.well()?;
    check!(ended.output() == output, "it says:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    let reports = report::read(&directory.join(format!("{}.report", ended.pid)))?;
    let Some(last) = reports.last() else { fail!("no report") };
    check!(left(last) == leaks, "leaks: {:?}, not {leaks:?}", left(last));
    let told = last.0["suppressed"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told: Vec<_> = told.iter().map(|rule| (rule["rule"].as_str(), rule["count"].as_u64())).collect();
    let wanted: Vec<_> = suppressed.iter().map(|&(rule, count)| (Some(rule), Some(count))).collect();
    check!(told == wanted, "suppressed: {told:?}, not {wanted:?}");
    Ok(())
}

/// What a report says is leaked, in the order of the alphabet.
fn left(report: &Report) -> Vec<String> {
    let mut labels: Vec<String> = report
        .findings("asks.c")
        .into_iter()
        .filter(|finding| finding.kind.ends_with("-leak"))
        .map(|finding| finding.label)
        .collect();
    labels.sort();
    labels
}

/// Weak symbols are null, and the program runs unchanged.
fn without(way: Way) -> Verdict {
    let program = program(Way { linked: false, ..way })?;
    let (ended, left) = turn()?.run(Run::new(program).arg("each"))?;
    let ended = ended.well()?;
    check!(ended.output() == "no audit\n", "without the library:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    check!(left.is_empty() && ended.stderr.is_empty(), "left: {left:?}{}", Shown(&ended.stderr));
    Ok(())
}

fn logged() -> Verdict {
    let ended = run(&turn()?, WAYS[1], "pausing", "report=off:trace=posix,process")?.well()?;
    let log = ended.errors();
    for seen in ["seen1", "seen2", "seen3", "seen4"] {
        check!(log.contains(seen), "{seen} is not logged:{}", Shown(&ended.stderr));
    }
    check!(!log.contains("asks-paused"), "logged, although paused:{}", Shown(&ended.stderr));
    let ended = run(&turn()?, WAYS[1], "ignoring", "report=off:trace=posix,sysv")?.well()?;
    let log = ended.errors();
    check!(log.contains("] ") && log.contains(" shmaudit_ignore_name(\"shmaudit-asks-ignored1\") = 0 <"), "log: {log}");
    check!(log.contains(" shmaudit_ignore_id(") && log.contains("> ignoring asks.c:"), "log: {log}");
    Ok(())
}

/// A journal knows what was ignored and paused, also where the ring has turned since.
fn after_death() -> Verdict {
    let command = std::path::Path::new(env!("CARGO_BIN_EXE_shmaudit"));
    let directory = place::directory("interface::after_death")?;
    for Part { name: part, leaks, .. } in [IGNORING, PAUSING] {
        let journal = directory.join(part);
        // The objects must still be there when the journal is read.
        let script = format!(
            "LD_PRELOAD={} SHMAUDIT_OPTIONS=log=off:report=off:journal={} {} {part} && {} report {} --format json",
            place::library().display(),
            journal.display(),
            program(WAYS[1])?.display(),
            command.display(),
            journal.display(),
        );
        let (ended, _) = turn()?.run(Run::new("sh").args(["-c", &script]))?;
        let from = ended.output().find('{').unwrap_or(0);
        let file = directory.join("asks.report");
        std::fs::write(&file, ended.stdout.get(from..).unwrap_or(&[]))?;
        let reports = report::read(&file)?;
        let Some(last) = reports.last() else { fail!("no report:{}", Shown(&ended.stderr)) };
        remove_told(&last.0);
        check!(left(last) == leaks, "leaks of {part}: {:?}, not {leaks:?}", left(last));
        check!(last.0["suppressed"][0]["count"] == 3, "suppressed of {part}: {}", last.0["suppressed"]);
    }
    Ok(())
}

fn declared() -> Verdict {
    let header = std::fs::read_to_string(place::workspace().join("include/shmaudit.h"))?;
    for name in shmaudit_core::calls::INTERFACE {
        check!(
            header.contains(&format!(" {name}(")) || header.contains(&format!("*{name}(")),
            "{name} is not declared"
        );
        check!(
            std::fs::read_to_string(build::own_source("asks"))?.contains(&format!("!{name}")),
            "{name} is not asked for by programs/asks.c"
        );
    }
    Ok(())
}
