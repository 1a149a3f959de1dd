//! Deaths, and who outlives the others: of the group, of the supervisor; daemons; ends that take their time.

use serde_json::Value;

use super::{findings, is_leaks, json, script, went};
use crate::build::{self, Variant};
use crate::check;
use crate::machine::prepare;
use crate::trial::{Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::killed_group", killed_group);
    trials.add("run::killed_supervisor", killed_supervisor);
    trials.add("run::daemon_without_anything", daemon);
    trials.add("run::slow_ends", slow_ends);
}

fn killed_group() -> Verdict {
    let (ended, work) = script("run::killed_group", "run \"$LEAVES\" /x killpg; echo $?")?;
    went(&ended, "made\n137\n")?;
    let report = json(&work, "report.json")?;
    is_leaks(&report)?;
    let processes = report["processes"].as_array().cloned().unwrap_or_default();
    let killed = processes.iter().all(|process| process["end"] == "signal" && process["status"] == 9);
    check!(processes.len() == 4 && killed, "{report:#}");
    let told = |report: &Value, how: &str| {
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let said = |finding: &Value| finding["message"].as_str().is_some_and(|text| text.contains(how));
        findings.len() == 2 && findings.iter().all(said)
    };
    check!(told(&report, "] (killed by SIGKILL), was never"), "{report:#}");
    // How a process ended only its parent is told.
    let (_, work) = script("run::killed_child", "run sh -c '\"$LEAVES\" /x signal 9; true'")?;
    let report = json(&work, "report.json")?;
    check!(told(&report, "] (ended without exit), was never"), "{report:#}");
    Ok(())
}

fn killed_supervisor() -> Verdict {
    let (ended, work) = script(
        "run::killed_supervisor",
        r#"
        "$SHMAUDIT" run --library "$LIBRARY" -o session "$LEAVES" /x wait > out & supervisor=$!
        until grep -q waits out; do sleep 0.02; done
        program=$(cat /proc/$supervisor/task/$supervisor/children)
        kill -9 $supervisor; wait $supervisor; echo $?
        "$SHMAUDIT" report session --format json > during.json; echo $?
        for pid in $program; do kill -9 $pid 2> /dev/null; done
        sleep 0.2
        "$SHMAUDIT" report session --format json > report.json; echo $?
        "#,
    )?;
    went(&ended, "137\n0\n1\n")?;
    let during = json(&work, "during.json")?;
    check!(during["settled"] == false && during["pending"].as_array().map(Vec::len) == Some(2), "{during:#}");
    is_leaks(&json(&work, "report.json")?)
}

fn daemon() -> Verdict {
    let (ended, work) = script(
        "run::daemon",
        r#"
        run "$LEAVES" /x daemon "$PWD/pid"; echo $?
        "$SHMAUDIT" report session --format json > during.json
        kill -TERM $(cat pid); while kill -0 $(cat pid) 2> /dev/null; do sleep 0.05; done
        "$SHMAUDIT" report session --format json > after.json
        ls /dev/shm
        "#,
    )?;
    went(&ended, "made\n0\nx\n")?;
    check!(ended.errors().contains("] stays as a daemon; "), "{}", ended.errors());
    for name in ["report.json", "during.json"] {
        let report = json(&work, name)?;
        let pending = report["pending"].as_array().cloned().unwrap_or_default();
        let names: Vec<&Value> = pending.iter().map(|object| &object["name"]).collect();
        check!(report["settled"] == false && names.contains(&&Value::from("/x-daemon")), "{name}: {report:#}");
    }
    is_leaks(&json(&work, "after.json")?)
}

/// Who has told of the end and is still being taken apart by the kernel is audited all the same.
fn slow_ends() -> Verdict {
    let slow = build::own("slow_exit", &Variant::plain())?;
    let (run, work) = prepare(
        "run::slow_ends",
        r#"exec "$SHMAUDIT" run --library "$LIBRARY" -o session --format json --report report.json -- "$SLOW""#,
    )?;
    went(&run.env("SLOW", slow).end()?, "")?;
    let report = json(&work, "report.json")?;
    check!(findings(&report).is_empty(), "found {:?}:\n{report:#}", findings(&report));
    Ok(())
}
