//! Killed amid work, again and again: a tree of 20 processes that work at random, and then its group or the supervisor gets
//! SIGKILL. What the report says is left is what the kernel has, each with its maker's stack.
//!
//! `SHMAUDIT_KILL_ROUNDS=N` kills so often.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json;
use crate::build::{self, Variant};
use crate::grove::{Leak, kernels, told};
use crate::machine::prepare;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, fail};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::group_killed_amid_work", || rounds("group"));
    trials.add("run::supervisor_killed_amid_work", || rounds("supervisor"));
}

/// Rounds of a usual run.
const ROUNDS: usize = 6;
/// Rounds on one machine.
const AT_ONCE: usize = 10;

/// `rounds WHOM FIRST LAST`: of each round the report is in `report.N`, what the kernel has in `truth.N`. What is left goes
/// before the next.
const SCRIPT: &str = r#"
child() { cat /proc/$1/task/$1/children 2> /dev/null; }
# The program is the one with a child of its own; the other keeps the terminal's group.
tree() {
    for program in $(child $supervisor); do
        root=$(child $program); root=${root%% *}
        [ -z "$root" ] || return 0
    done
    return 1
}
# Who has ended has no program any more.
works() { readlink /proc/[0-9]*/exe | grep -qxF "$GROVE"; }
for round in $(seq $FIRST $LAST); do
    rm -rf session
    "$SHMAUDIT" run --library "$LIBRARY" -o session --format json --report report.$round -- "$GROVE" $round 1 20 1000000 0 &
    supervisor=$!
    until tree; do kill -0 $supervisor || exit 97; sleep 0.005; done
    sleep 0.0$((round * 37 % 80 + 10))
    if [ $WHOM = supervisor ]; then
        kill -KILL $supervisor; sleep 0.0$((round * 53 % 80 + 10))
        kill -KILL $program
    fi
    kill -s KILL -- -$root
    wait $supervisor 2> /dev/null
    while works; do sleep 0.01; done
    { awk 'NR > 1 { print "segment", $2, $4, $3 }' /proc/sysvipc/shm; find /dev/shm -type f -printf 'file /%f %s 0\n'; } > truth.$round
    [ $WHOM = group ] || "$SHMAUDIT" report session --format json > report.$round
    ipcrm --all=shm; rm -f /dev/shm/*
done
true
"#;

fn rounds(whom: &str) -> Verdict {
    let wanted = std::env::var("SHMAUDIT_KILL_ROUNDS").ok().map(|text| text.parse().map_err(|_| text)).transpose();
    let all = match wanted {
        Ok(rounds) => rounds.unwrap_or(ROUNDS),
        Err(text) => fail!("SHMAUDIT_KILL_ROUNDS={text}: not a number"),
    };
    let (mut leaks, mut open, mut processes, mut lost) = (0, 0, 0, 0);
    for first in (1..=all).step_by(AT_ONCE) {
        let last = all.min(first + AT_ONCE - 1);
        let (run, work) = prepare(&format!("run::amid-{whom}-{first}"), SCRIPT)?;
        let program = build::own("grove", &Variant::plain())?;
        let run = run.env("GROVE", program).env("WHOM", whom);
        let ended = run.env("FIRST", first.to_string()).env("LAST", last.to_string()).end()?;
        check!(ended.how() == "0", "{whom}: ended {}:{}{}", ended.how(), Shown(&ended.stdout), Shown(&ended.stderr));
        for round in first..=last {
            let truth = std::fs::read_to_string(work.join(format!("truth.{round}")))?;
            let report = json(&work, &format!("report.{round}"))?;
            let outcome =
                compared(&truth, &report).map_err(|wrong| Stop::Fail(format!("{whom}, round {round}: {wrong}")))?;
            leaks += outcome.0;
            open += outcome.1;
            processes += report["processes"].as_array().map_or(0, Vec::len);
            lost += report["summary"]["events_lost"].as_u64().unwrap_or(0);
        }
        std::fs::remove_dir_all(work)?;
    }
    // Of two that make and remove one name at the same moment, it can stay open who has made what is there.
    check!(open <= leaks / 100, "{whom}: {open} of {leaks} leaks without a maker");
    println!(
        "{whom} killed {all} times: {processes} processes, {leaks} leaks, all as the kernel has them, {open} without a maker; {lost} records lost"
    );
    Ok(())
}

/// How many leaks there are, and how many of them without a maker.
fn compared(truth: &str, report: &Value) -> Result<(usize, usize), String> {
    let truth: BTreeSet<Leak> = truth.lines().filter_map(kernels).collect();
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let leaks = findings.iter().filter(|finding| finding["kind"].as_str().is_some_and(|kind| kind.ends_with("-leak")));
    let found: BTreeSet<Leak> = leaks.clone().map(told).collect();
    if found != truth {
        let missed: Vec<&Leak> = truth.difference(&found).collect();
        let invented: Vec<&Leak> = found.difference(&truth).collect();
        return Err(format!("missed {missed:?}, invented {invented:?}"));
    }
    let attributed = leaks.clone().filter(|finding| finding["kind"] != "unattributed-leak");
    if let Some(finding) = attributed.clone().find(|finding| finding["event"]["stack"][0]["line"].is_null()) {
        return Err(format!("without a line: {}", finding["message"]));
    }
    Ok((found.len(), found.len() - attributed.count().min(found.len())))
}
