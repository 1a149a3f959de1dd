//! What a call takes of the stack with the library: threads may have little of it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::trial::{Stop, Trials, Verdict};
use crate::{check, place};

/// Bytes that a call may take where everything about it is known, and what the first time may take beside, when rules of
/// unwinding are learned.
const KNOWN: i64 = 2304;
const LEARNING: i64 = 512;
/// The two paths of a rename or a link are joined there, and a relative path is made whole.
const PATHS: i64 = 1024;
const WITH_PATHS: [&str; 3] = ["rename", "link", "relative"];
/// What a line of the log may take beside.
const LOGGED: i64 = 2048;

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for stacks in [0, 16, 64] {
        trials.add(format!("hookpath::stack::painted::{stacks}"), move || {
            let options = format!("log=off:report=off:stacks={stacks}");
            painted(place::library(), &options, 0)
        });
        trials.add(format!("hookpath::stack::threads_of_16_kib::{stacks}"), move || {
            tiny(&format!("log=off:report=off:stacks={stacks}"))
        });
    }
    trials.add("hookpath::stack::painted::logged", || painted(place::library(), &logged("painted")?, LOGGED));
    trials.add("hookpath::stack::threads_of_16_kib::logged", || tiny(&logged("tiny")?));
    trials.add("hookpath::stack::checker_finds_what_takes_much", takes_much);
}

fn logged(trial: &str) -> Result<String, Stop> {
    let directory = place::directory(&format!("hookpath-stack-{trial}"))?;
    Ok(format!("log={}/log:report=off:stacks=64", directory.display()))
}

fn each(how: &str, preload: Option<(&Path, &str)>) -> Result<Ended, Stop> {
    // Bound at the start: what the loader takes is not ours.
    let program = build::own("each", &Variant::of("cc", &["-O1", "-pthread", "-Wl,-z,now"]))?;
    let mut run = Run::new(program).arg(how);
    if let Some((library, options)) = preload {
        run = run.env("LD_PRELOAD", library).options(options);
    }
    let (ended, _) = Turn::take(&own_source("each"))?.run(run)?;
    ended.well()
}

/// Bytes of the first and of the second time, by call.
fn depths(preload: Option<(&Path, &str)>) -> Result<BTreeMap<String, (i64, i64)>, Stop> {
    let output = each("painted", preload)?.output();
    let mut depths = BTreeMap::new();
    for line in output.lines().filter(|line| *line != "done") {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, first, again] = words[..] else { return Err(Stop::Fail(format!("what is {line:?}?"))) };
        depths.insert(name.to_string(), (first.parse()?, again.parse()?));
    }
    check!(depths.len() > 50, "only {} calls: {output}", depths.len());
    Ok(depths)
}

fn has_paths(call: &str) -> bool {
    WITH_PATHS.iter().any(|begin| call.starts_with(begin))
}

fn painted(library: &Path, options: &str, more: i64) -> Verdict {
    let (bare, audited) = (depths(None)?, depths(Some((library, options)))?);
    let mut wrong = Vec::new();
    for (call, &(first, again)) in &audited {
        let most = KNOWN + more + if has_paths(call) { PATHS } else { 0 };
        if again > most || first > most + LEARNING {
            wrong.push(format!("{first} and {again} bytes of the stack in {call}, where {most} are the most"));
        }
    }
    check!(wrong.is_empty(), "{}", wrong.join("; "));
    let most = |depths: &BTreeMap<String, (i64, i64)>, paths: bool| {
        let counted = depths.iter().filter(|(call, _)| paths || !has_paths(call));
        counted.map(|(_, (_, again))| *again).max().unwrap_or(0)
    };
    let [all, others, plain] = [most(&audited, true), most(&audited, false), most(&bare, true)];
    println!("{options}: {all} bytes of the stack, {others} but where paths are joined, {plain} without the library");
    Ok(())
}

fn tiny(options: &str) -> Verdict {
    let output = each("tiny", Some((place::library(), options)))?.output();
    check!(output == "done\n", "it said {output:?}");
    Ok(())
}

fn takes_much() -> Verdict {
    let library = build::own("chatty", &Variant::of("gcc", &["-shared", "-fPIC"]))?;
    check!(each("tiny", Some((&library, ""))).is_err(), "threads of 16 KiB survive it");
    match painted(&library, "", 0) {
        Err(Stop::Fail(said)) if said.contains("in shmat") => Ok(()),
        other => Err(Stop::Fail(format!("it found {other:?}"))),
    }
}
