//! Who a process is: a pid comes again, and an image takes another's place under the same pid. Which segment it is: a shmid
//! comes again.

use serde_json::Value;

use crate::build::{self, Variant};
use crate::check;
use crate::machine::prepare;
use crate::trial::{Shown, Stop, Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("identity::a_pid_comes_again", comes_again);
    trials.add("identity::a_shmid_comes_again", shmid_comes_again);
    trials.add("identity::exec_ends_what_was_held", becomes);
}

/// Runs a script that has programs/identity.c as `$IDENTITY` and writes `report.json`, on a machine of its own.
fn told(trial: &str, script: &str) -> Result<Value, Stop> {
    let program = build::own("identity", &Variant::plain().and(&["-lrt"]))?;
    let (run, work) = prepare(trial, script)?;
    let ended = run.env("IDENTITY", program).end()?;
    if ended.how() == "97" {
        return Err(Stop::Unfit(
            "the right to choose pids and shmids (/proc/sys/kernel/ns_last_pid, shm_next_id)".to_string(),
        ));
    }
    check!(ended.how() == "0", "ended {}:{}{}", ended.how(), Shown(&ended.stdout), Shown(&ended.stderr));
    Ok(serde_json::from_slice(&std::fs::read(work.join("report.json"))?)?)
}

fn kinds(report: &Value) -> Vec<String> {
    let all = report["findings"].as_array().into_iter().flatten();
    all.map(|finding| format!("{} {}", finding["kind"].as_str().unwrap_or("?"), finding["bytes"])).collect()
}

/// A process whose segment somebody else removed has not left the one that has its shmid now.
fn shmid_comes_again() -> Verdict {
    let script = r#"
    SHMAUDIT_OPTIONS=log=off:report_format=json:report=report.json LD_PRELOAD="$LIBRARY" "$IDENTITY" shmid
    status=$?
    [ $status -ne 0 ] || [ "$(awk 'NR == 2 { print $4 }' /proc/sysvipc/shm)" = 5713 ] || exit 93
    exit $status
    "#;
    let report = told("identity::a_shmid_comes_again", script)?;
    check!(kinds(&report).is_empty(), "found {:?}:\n{report:#}", kinds(&report));
    check!(report["summary"]["calls"]["shmget"] == 1, "calls: {}", report["summary"]["calls"]);
    Ok(())
}

/// A killed child's pid is somebody else's, who stays: the child is no less dead, and what it left is a leak.
fn comes_again() -> Verdict {
    let script = r#"
    SHMAUDIT_OPTIONS=log=off:report_format=json:report=report.json LD_PRELOAD="$LIBRARY" "$IDENTITY" again
    status=$?
    exit $status
    "#;
    let report = told("identity::a_pid_comes_again", script)?;
    check!(kinds(&report) == ["posix-leak 5701"], "found {:?}:\n{report:#}", kinds(&report));
    Ok(())
}

/// Whoever supervises sees one process, which ends by itself: what its first image had is no image's at that end.
fn becomes() -> Verdict {
    let script = r#"
    "$SHMAUDIT" run --library "$LIBRARY" -o session --format json --report report.json -- "$IDENTITY" becomes
    "#;
    let report = told("identity::exec_ends_what_was_held", script)?;
    check!(kinds(&report).is_empty(), "found {:?}:\n{report:#}", kinds(&report));
    let calls = &report["summary"]["calls"];
    let made = ["shm_open", "mmap", "shmat", "shm_unlink"].map(|call| &calls[call]);
    check!(made.iter().all(|&count| count == 1), "calls: {calls}");
    Ok(())
}
