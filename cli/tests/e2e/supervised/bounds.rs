//! What a session takes on the disk: so much and not more, however long the program runs; what went for it is counted, and
//! what still exists is known all the same.

use serde_json::Value;

use super::{LEAKS, findings, is_leaks, json, script, went};
use crate::check;
use crate::trial::{Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::size_whatever_the_calls", calls);
    trials.add("run::size_whatever_the_processes", processes);
    trials.add("run::size_with_daemons", daemons);
}

fn warnings(report: &Value) -> String {
    report["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

/// Of files that are written in turns the length is bounded too, for whoever copies them.
fn calls() -> Verdict {
    let (ended, work) = script(
        "run::size_calls",
        r#"
        sized() {
            rm -rf session
            "$SHMAUDIT" run --library "$LIBRARY" --session-size 6M -o session --format json --report $1.json -- "$LEAVES" /x busy $2
            echo $?; [ $(stat -c %s session/units) -le 3145728 ]; echo $?
            "$SHMAUDIT" log session 2> /dev/null | tail -n 1 | grep -c ENOENT
            ipcrm --all=shm; rm -f /dev/shm/*
        }
        sized short 200000; sized long 600000
        "#,
    )?;
    went(&ended, "made\n0\n0\n1\nmade\n0\n0\n1\n")?;
    for (name, calls) in [("short.json", 200_000), ("long.json", 600_000)] {
        let report = json(&work, name)?;
        is_leaks(&report)?;
        let (events, lost) = (&report["summary"]["events"], &report["summary"]["events_lost"]);
        let (events, lost) = (events.as_u64().unwrap_or(0), lost.as_u64().unwrap_or(0));
        check!(lost > 0 && events + lost >= calls, "{name}: {events} kept, {lost} lost");
        check!(warnings(&report).contains("--session-size"), "{}", report["warnings"]);
        // The ring and 3 MiB more, of records that take two units at least.
        check!(events <= ((16 << 20) + (3 << 20)) / 128, "{name}: {events} kept");
    }
    Ok(())
}

/// Forked ones, and programs one after another: who made what stays is still known, with its stack.
fn processes() -> Verdict {
    let (ended, work) = script(
        "run::size_processes",
        r#"
        sized() {
            name=$1; shift; rm -rf session
            "$SHMAUDIT" run --library "$LIBRARY" --session-size 1M -o session --format json --report $name.json -- "$@"
            [ $(stat -c %s session/processes session/modules 2> /dev/null | awk '{ all += $1 } END { print all }') -le 1048576 ]
            echo $?; ls session | grep -c new; ipcrm --all=shm; rm -f /dev/shm/*
        }
        sized forked "$LEAVES" /x many 4000
        sized started sh -c '"$LEAVES" /x exit 0; for n in $(seq 1800); do /bin/true; done'
        "#,
    )?;
    went(&ended, "made\n0\n0\nmade\n0\n0\n")?;
    for (name, all) in [("forked.json", 4001), ("started.json", 1802)] {
        let report = json(&work, name)?;
        let found = findings(&report);
        check!(LEAKS.iter().all(|leak| found.iter().any(|found| found == leak)), "{name}: {found:?}");
        let listed = report["processes"].as_array().map_or(0, Vec::len) as u64;
        let dropped = warnings(&report);
        let dropped = dropped.lines().find_map(|line| line.split_once(" records of processes")?.0.parse::<u64>().ok());
        check!(dropped.is_some(), "{}", report["warnings"]);
        let lost = report["summary"]["unaudited_processes"].as_u64().unwrap_or(0);
        // Who has no record any more is not taken for somebody who never had one.
        check!(!found.iter().any(|found| found.starts_with("unaudited-process")), "{name}: {found:?}");
        check!(
            listed + dropped.unwrap_or(0) + lost >= all,
            "{name}: {listed} listed, {dropped:?} dropped, {lost} lost"
        );
    }
    Ok(())
}

/// Whom nobody looks after any more writes no more than there is, and once it has ended, what was not used is given back.
fn daemons() -> Verdict {
    let (ended, _) = script(
        "run::size_daemons",
        r#"
        size() { du -s --block-size=1 "$XDG_STATE_HOME"/shmaudit | awk '{ print $1 }'; }
        quietly() { "$SHMAUDIT" run --library "$LIBRARY" "$@" > /dev/null 2>&1; }
        quietly "$LEAVES" /x daemon "$PWD/pid"
        before=$(size); kill -USR1 $(cat pid); until [ -e /dev/shm/x-done ]; do sleep 0.05; done
        [ $(size) -le $before ]; echo $?
        quietly true; [ $(size) -gt 40000000 ]; echo $?
        kill -TERM $(cat pid); while kill -0 $(cat pid) 2> /dev/null; do sleep 0.05; done
        quietly true; [ $(size) -lt 30000000 ]; echo $?
        "$SHMAUDIT" report $(ls -d "$XDG_STATE_HOME"/shmaudit/*-leaves) | grep -c 'was never'
        "#,
    )?;
    went(&ended, "0\n0\n0\n2\n")
}
