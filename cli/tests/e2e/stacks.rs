//! Call stacks: the right frames, whatever made them, and the right names for them.

mod names;
mod plugins;

use std::collections::BTreeMap;
use std::fs;

use names::{innermost, named_frame};
use serde_json::Value;

use crate::build::{self, Variant, own_source};
use crate::clean::{Turn, remove_told};
use crate::report;
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, fail, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    names::add(trials);
    plugins::add(trials);
    for (build, compiler, options) in BUILDS {
        for way in WAYS {
            let name = format!("stacks::as_libgcc_walks::{way}::{build}");
            trials.add(name.clone(), move || walk(&name, way, &Variant::of(compiler, options)));
        }
    }
    for most in [0, 1, 2, 16, 63, 64] {
        trials.add(format!("stacks::as_many_as_asked_for::{most}"), move || as_many(most));
    }
    for way in ["exceptions", "handlers", "threads", "interrupted"] {
        trials.add(format!("stacks::left_without_return::{way}"), move || unwinds(way));
    }
    for code in ["made", "bare"] {
        for stack in ["first", "thread", "smallest", "switched", "switched_in_thread"] {
            trials.add(format!("stacks::code_without_tables::{code}::{stack}"), move || nowhere(code, stack));
        }
    }
    trials.add("stacks::each_thread_its_own", crowd);
    trials.add("stacks::every_line_is_named_while_others_are", named_at_once);
}

const BUILDS: &[(&str, &str, &[&str])] = &[
    ("O0", "gcc", &["-O0", "-pthread"]),
    ("O2_no_frame_pointer", "gcc", &["-O2", "-fomit-frame-pointer", "-pthread"]),
    ("O2_frame_pointer", "gcc", &["-O2", "-fno-omit-frame-pointer", "-pthread"]),
    ("O3_no_pie", "gcc", &["-O3", "-no-pie", "-pthread"]),
    ("clang_O2", "clang", &["-O2", "-pthread"]),
];

const WAYS: [&str; 14] = [
    "recursion",
    "alloca",
    "paths",
    "again",
    "shared_rooms",
    "stale",
    "longjmp",
    "signals",
    "sigaltstack",
    "threads_in_turn",
    "threads_at_once",
    "callbacks",
    "coroutines",
    "realigned",
];

/// A program's run under the library, with all that was said of it.
struct Told {
    ended: Ended,
    log: Vec<Value>,
    reports: Vec<Value>,
}

/// Runs `program`, made of a source of ours, with everything told in JSON.
fn told(trial: &str, source: &str, run: Run, options: &str) -> Result<Told, Stop> {
    let directory = place::directory(trial)?;
    let all = format!("{}:log={}/calls.log:log_format=json:{options}", report::into(&directory), directory.display());
    let (ended, _) = Turn::take(&own_source(source))?.run(run.within(&directory).preloaded(&all))?;
    ended.is_quiet()?;
    let mut log = Vec::new();
    for line in fs::read_to_string(directory.join("calls.log")).unwrap_or_default().lines() {
        log.push(serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?);
    }
    let mut reports = Vec::new();
    for (_, found) in report::read_all(&directory)? {
        reports.extend(found.into_iter().map(|report| report.0));
    }
    reports.iter().for_each(remove_told);
    Ok(Told { ended, log, reports })
}

/// The call's frames as `MODULE+OFFSET`, without those that are inlined; and whether that is all of them.
fn frames(call: &Value) -> (Vec<String>, bool) {
    let stack = call["stack"].as_array().into_iter().flatten().filter(|frame| frame["inlined"] != true);
    (stack.map(place_of).collect(), call["truncated"] != true)
}

fn place_of(frame: &Value) -> String {
    let module = frame["module"].as_str().unwrap_or("?");
    format!("{}+{}", module.rsplit('/').next().unwrap_or(module), frame["offset"].as_str().unwrap_or("?"))
}

/// Every stack in the log is the one that the program prints.
fn walk(trial: &str, way: &str, variant: &Variant) -> Verdict {
    let program = build::own("walks", variant)?;
    let told = told(trial, "walks", Run::new(program).arg(way), "stacks=64")?;
    let told = Told { ended: told.ended.well()?, ..told };
    let mut found = BTreeMap::new();
    for call in told.log.iter().filter(|call| call["args"]["key"] == "0x5a4d0701") {
        found.insert(call["args"]["size"].as_u64().unwrap_or(0), frames(call));
    }
    let output = told.ended.output();
    let mut wrong = Vec::new();
    for line in output.lines() {
        let mut words = line.split(' ');
        let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let wanted: Vec<&str> = words.collect();
        let Some((found, all)) = found.get(&number) else { fail!("call {number} is not in the log") };
        if !agree(found, &wanted, *all, way) {
            wrong.push(format!("  {}\n  {}\n", found.join(" "), wanted.join(" ")));
        }
    }
    check!(output.lines().count() > 10, "only {} stacks", output.lines().count());
    check!(
        wrong.is_empty(),
        "{} stacks are not those of libgcc, as:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(4)].join("\n")
    );
    Ok(())
}

/// The first is the same function, all others the very same places. Stacks that are not a thread's own may end early.
fn agree(found: &[String], wanted: &[&str], all: bool, way: &str) -> bool {
    const MOST: usize = 64;
    let same = found.len() <= wanted.len() && found.iter().zip(wanted).skip(1).all(|(found, wanted)| found == wanted);
    let enough = match way {
        "coroutines" => !found.is_empty(),
        _ => found.len() == wanted.len().min(MOST) || !all && found.len() > 10,
    };
    same && enough
}

/// Deeper than any stack that is kept.
const DEPTH: usize = 100;

fn as_many(most: usize) -> Verdict {
    let program = build::own("deep", &Variant::of("gcc", &["-O0", "-g"]))?;
    let run = Run::new(program).arg(DEPTH.to_string());
    let told = told(&format!("stacks-as_many-{most}"), "deep", run, &format!("stacks={most}"))?;
    let finding = &told.reports.first().ok_or("no report")?["findings"][0];
    let stack = finding["event"]["stack"].as_array().cloned().unwrap_or_default();
    check!(finding["kind"] == "sysv-leak" && finding["bytes"] == 7201, "the finding is {finding}");
    check!(stack.len() == most, "{} frames instead of {most}", stack.len());
    check!(stack.iter().all(|frame| frame["function"] == "descend"), "other functions: {stack:?}");
    Ok(())
}

/// Frames that end without a return do to the audit what they do to the program: nothing. Afterwards a call still has its
/// stack.
fn unwinds(way: &str) -> Verdict {
    let trial = format!("stacks-unwinds-{way}");
    let program = build::own("unwinds.cc", &Variant::of("g++", &["-O1", "-g", "-fnon-call-exceptions", "-pthread"]))?;
    let (plain, _) = Turn::take(&own_source("unwinds.cc"))?.run(Run::new(&program).arg(way))?;
    let told = told(&trial, "unwinds.cc", Run::new(&program).arg(way), "log=off")?;
    told.ended.same_as(&plain)?;
    check!(told.ended.how() == "0", "ended {}:{}", told.ended.how(), told.ended.output());
    let functions: Vec<String> = innermost(&told, 2).into_iter().map(|(function, _)| function).collect();
    check!(functions == ["left_behind", "main"], "the last call's stack: {functions:?}");
    Ok(())
}

fn nowhere(code: &str, stack: &str) -> Verdict {
    let trial = format!("stacks-nowhere-{code}-{stack}");
    let program = build::own("nowhere", &Variant::of("gcc", &["-O2", "-g", "-pthread"]))?;
    let run = || Run::new(&program).args([code, stack]);
    let (plain, _) = Turn::take(&own_source("nowhere"))?.run(run())?;
    check!(plain.how() == "0", "the plain program ended {}:{}", plain.how(), Shown(&plain.stdout));
    let told = told(&trial, "nowhere", run(), "stacks=64")?;
    told.ended.same_as(&plain)?;
    let calls: Vec<&Value> = told.log.iter().filter(|call| call["args"]["key"] == "0x5a4d0711").collect();
    check!(calls.len() >= 30, "only {} calls in the log", calls.len());
    for call in calls {
        let (frames, _) = frames(call);
        let known = frames.iter().filter(|frame| frame.starts_with("nowhere+")).count();
        check!(!frames.is_empty(), "not even the caller: {call}");
        // Made code is in no file, and what called it cannot be known.
        check!(code == "bare" && known > 0 || frames.len() == 1 && known == 0, "frames: {frames:?}");
        check!(frames.iter().skip(1).all(|frame| !frame.starts_with("?+")), "data for a frame: {frames:?}");
    }
    Ok(())
}

/// Each leak is attributed to the thread that made it, by a function that only this thread runs.
fn crowd() -> Verdict {
    let program = build::own("crowd", &Variant::of("gcc", &["-O2", "-g", "-pthread"]))?;
    let directory = place::directory("stacks-crowd")?;
    let run = Run::new(program).within(&directory).preloaded(&report::into(&directory));
    let (ended, _) = Turn::take(&own_source("crowd"))?.run(run)?;
    check!(ended.output() == "0\n", "it says:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    let mut found = BTreeMap::new();
    for (_, reports) in report::read_all(&directory)? {
        reports.iter().for_each(|report| remove_told(&report.0));
        for finding in reports.iter().flat_map(|report| report.0["findings"].as_array().into_iter().flatten()) {
            let size = finding["bytes"].as_u64().unwrap_or(0);
            let stack = finding["event"]["stack"].as_array().cloned().unwrap_or_default();
            let functions: Vec<String> = stack.iter().map(|frame| named_frame(frame).0).collect();
            check!(found.insert(size, functions).is_none(), "two findings of {size} bytes");
        }
    }
    for size in (0..2u64).flat_map(|child| (0..8 * 12).map(move |at| 8000 + 1000 * child + 100 * (at / 12) + at % 12)) {
        let (thread, round) = (size / 100 % 10, size % 100);
        let Some(functions) = found.get(&size) else { fail!("no finding of {size} bytes") };
        let depth = ((round + thread) % 4) as usize;
        let mut wanted = vec!["make".to_string()];
        wanted.extend(vec![format!("inner_{thread}"); depth + 1]);
        wanted.push(format!("thread_{thread}"));
        check!(functions.starts_with(&wanted), "{size} bytes: {functions:?} instead of {wanted:?}");
    }
    Ok(())
}

/// While one thread's call gets its names, those of others wait for theirs.
fn named_at_once() -> Verdict {
    let program = build::own("crowd", &Variant::of("gcc", &["-O0", "-g", "-pthread"]))?;
    for round in 0..3 {
        let told = told(&format!("stacks-named_at_once-{round}"), "crowd", Run::new(&program), "stacks=16")?;
        let calls: Vec<&Value> = told.log.iter().filter(|call| call["call"] == "shmget").collect();
        check!(calls.len() == 2 * 8 * 12, "{} calls in the log", calls.len());
        for call in calls {
            let functions: Vec<&str> =
                call["stack"].as_array().into_iter().flatten().map(|f| f["function"].as_str().unwrap_or("?")).collect();
            check!(functions.first() == Some(&"make") && !functions.contains(&"?"), "a call without names: {call}");
        }
    }
    Ok(())
}
