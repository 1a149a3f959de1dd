//! Histories longer than the recorder has room for, and those that are read while they go on.

use super::{is_leaks, json, script, went};
use crate::check;
use crate::trial::{Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::long_history", long_history);
    trials.add("run::many_processes", many_processes);
    trials.add("run::follows_the_log", follows);
    trials.add("run::follows_slowly", follows_slowly);
}

/// More calls than the ring holds: all are kept, in order.
fn long_history() -> Verdict {
    const CALLS: u64 = 400_000;
    let (ended, work) = script(
        "run::long_history",
        &format!(
            r#"
        run "$LEAVES" /x busy {CALLS}; echo $?
        "$SHMAUDIT" log session | grep -c ENOENT
        ls session
        "#
        ),
    )?;
    let report = json(&work, "report.json")?;
    let lost = report["summary"]["events_lost"].as_u64().unwrap_or(u64::MAX);
    let lines: Vec<String> = ended.output().lines().map(str::to_string).collect();
    check!(lines.iter().any(|line| line == "units"), "nothing was stored: {lines:?}");
    let logged: u64 = lines.get(2).and_then(|line| line.parse().ok()).unwrap_or(0);
    // A machine may be too busy for the supervisor to come in time; then it says so.
    check!(logged + lost >= CALLS && logged <= CALLS, "{logged} logged, {lost} lost");
    check!(report["summary"]["failed_calls"]["shmget"]["ENOENT"] == CALLS, "{:#}", report["summary"]);
    is_leaks(&report)
}

/// More processes than the table holds.
fn many_processes() -> Verdict {
    const PROCESSES: usize = 5000;
    let (ended, work) = script(
        "run::many_processes",
        &format!("run \"$LEAVES\" /x many {PROCESSES}; echo $?; \"$SHMAUDIT\" report session > /dev/null; echo $?"),
    )?;
    went(&ended, "made\n0\n1\n")?;
    let report = json(&work, "report.json")?;
    is_leaks(&report)?;
    let processes = report["processes"].as_array().map_or(0, Vec::len);
    let lost = report["summary"]["unaudited_processes"].as_u64().unwrap_or(0) as usize;
    check!(processes + lost == PROCESSES + 1, "{processes} processes, {lost} lost");
    check!(report["summary"]["calls"]["shm_unlink"] == PROCESSES, "{:#}", report["summary"]);
    Ok(())
}

fn follows() -> Verdict {
    let (ended, _) = script(
        "run::follows",
        r#"
        audited "$LEAVES" /x wait > out & supervisor=$!
        until grep -q waits out; do sleep 0.02; done
        "$SHMAUDIT" log session --follow > log 2> said & follower=$!
        until grep -q shm_open log; do sleep 0.02; done
        # It looks several times, and what it has told before is not lost.
        sleep 0.5
        kill -TERM $supervisor; wait $supervisor; wait $follower; echo $?
        sed 's/.*\] [0-9:.]* //; s/ <.*> / /' log
        timeless() { sed 's/ [0-9:.]* / /; s/<[0-9].*>//' "$1"; }
        "$SHMAUDIT" log session > whole; timeless log > one; timeless whole > other; cmp one other; echo $?
        "$SHMAUDIT" log session --format json | head -1 | cut -c1-10
        cat said
        "#,
    )?;
    let output = ended.output();
    check!(output.contains("shmget(IPC_PRIVATE, 4097, IPC_CREAT|0600) = "), "{output}{}", ended.errors());
    check!(output.contains("ftruncate(3</dev/shm/x>, 1234) = 0 make leaves.c:"), "{output}");
    check!(output.ends_with("\n0\n{\"time\":\"2\n"), "{output}");
    Ok(())
}

/// Whoever reads a log slowly reads all of it: the ring turns more than once between the look at it and the last line.
fn follows_slowly() -> Verdict {
    let (ended, work) = script(
        "run::follows_slowly",
        r#"
        calls() { rm -f done; kill -USR1 $supervisor; until [ -e done ]; do sleep 0.02; done; }
        slowly() { dd bs=1 count=1 of=log 2> /dev/null; : > begun; until [ -e again ]; do sleep 0.02; done; cat >> log; }
        mkfifo pipe
        audited "$LEAVES" /x wait > out & supervisor=$!
        until grep -q waits out; do sleep 0.02; done
        calls
        slowly < pipe & reader=$!
        "$SHMAUDIT" log session --follow > pipe & follower=$!
        until [ -e begun ]; do sleep 0.02; done
        calls
        : > again
        kill -TERM $supervisor; wait $supervisor $follower $reader
        grep -c ENOENT log
        "#,
    )?;
    let report = json(&work, "report.json")?;
    let lost = report["summary"]["events_lost"].as_u64().unwrap_or(u64::MAX);
    let logged: u64 = ended.output().trim().parse().unwrap_or(0);
    // A machine may be too busy for the supervisor to come in time; then it says so.
    check!(logged + lost >= 240_000 && logged <= 240_000, "{logged} logged, {lost} lost: {}", ended.errors());
    Ok(())
}
