//! `shmaudit run`, `log`, `sessions`: programs and trees of them under a supervisor, on machines of their own.
//!
//! Here is what the trials share; each file owns one side of it.

mod amid;
mod bounds;
mod deaths;
mod endings;
mod history;
mod namespaces;
mod outsiders;
mod places;
mod terminal;
mod verdicts;

use std::path::PathBuf;

use serde_json::Value;

use crate::build::{self, Variant};
use crate::check;
use crate::machine::prepare;
use crate::run::Ended;
use crate::trial::{Shown, Stop, Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    endings::add(trials);
    terminal::add(trials);
    deaths::add(trials);
    amid::add(trials);
    outsiders::add(trials);
    namespaces::add(trials);
    verdicts::add(trials);
    history::add(trials);
    bounds::add(trials);
    places::add(trials);
}

/// Runs a script with `$LEAVES` and `$RAW` on a machine of its own; `run WORDS…` is `shmaudit run`, its report in JSON in
/// `report.json`, its session `session`.
fn script(trial: &str, text: &str) -> Result<(Ended, PathBuf), Stop> {
    let leaves = build::own("leaves", &Variant::plain())?;
    let raw = build::own("raw", &Variant::of("gcc", &["-static"]))?;
    let before = r#"
audited() { exec "$SHMAUDIT" run --library "$LIBRARY" -o session --format json --report report.json -- "$@"; }
run() { rm -rf session; (audited "$@"); }
"#;
    let (run, work) = prepare(trial, &format!("{before}{text}"))?;
    let source = build::own_source("raw");
    let ended = run
        .env("LEAVES", leaves)
        .env("RAW", raw)
        .env("RAW_SOURCE", source)
        .env("PROGRAMS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/programs"))
        .env("XDG_STATE_HOME", work.join("state"))
        .end()?;
    Ok((ended, work))
}

fn json(work: &std::path::Path, name: &str) -> Result<Value, Stop> {
    Ok(serde_json::from_slice(&std::fs::read(work.join(name))?)?)
}

/// Findings as `kind severity bytes function`, sorted; notes left out.
fn findings(report: &Value) -> Vec<String> {
    let all = report["findings"].as_array().cloned().unwrap_or_default();
    let told = all.iter().filter(|finding| finding["severity"] != "note");
    let mut told: Vec<String> = told
        .map(|finding| {
            let word = |value: &Value| value.as_str().unwrap_or("-").to_string();
            let function = word(&finding["event"]["stack"][0]["function"]);
            format!("{} {} {} {function}", word(&finding["kind"]), word(&finding["severity"]), finding["bytes"])
        })
        .collect();
    told.sort();
    told
}

/// What `leaves` leaves, always.
const LEAKS: [&str; 2] = ["posix-leak error 1234 make", "sysv-leak error 4097 main"];

fn is_leaks(report: &Value) -> Verdict {
    check!(findings(report) == LEAKS, "found {:?}:\n{report:#}", findings(report));
    Ok(())
}

fn went(ended: &Ended, output: &str) -> Verdict {
    check!(
        ended.how() == "0" && ended.output() == output,
        "ended {}:{}{}",
        ended.how(),
        Shown(&ended.stdout),
        Shown(&ended.stderr)
    );
    Ok(())
}
