//! A machine of one's own: a script in IPC, mount and pid namespaces with a /dev/shm that nobody else uses. What it leaves
//! and whoever still runs goes with it.

use std::path::PathBuf;

use serde_json::Value;

use crate::build::{self, Variant};
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, need, need_root};
use crate::{check, place};

/// What every script begins with: `held WORDS…` starts a program of programs/kinds.c and goes on when it holds what it
/// made; `rests` waits until nothing is too young to be removed.
const BEFORE: &str = r#"
set -u
mount -t tmpfs tmpfs /dev/shm || exit 99
count=0
held() {
    count=$((count + 1))
    # No process for it: a trial counts pids.
    : > "$WORK/held.$count"
    "$KINDS" "$@" hold > "$WORK/held.$count" &
    held=$!
    until [ -s "$WORK/held.$count" ]; do kill -0 $held || exit 98; sleep 0.02; done
}
rests() { sleep 2.1; }
"#;

const NAMESPACES: [&str; 5] = ["--ipc", "--mount", "--pid", "--fork", "--mount-proc"];

/// Runs a script on a machine of its own: see [`prepare`].
pub fn machine(trial: &str, script: &str) -> Result<Ended, Stop> {
    let (run, _) = prepare(trial, script)?;
    run.end()
}

/// What every script begins with, and the environment that it needs: for a script in other namespaces than usual.
pub fn set_up(trial: &str, run: Run, script: &str) -> Result<(Run, PathBuf), Stop> {
    let work = place::directory(trial)?;
    let kinds = build::own("kinds", &Variant::plain().and(&["-pthread", "-lrt"]))?;
    let run = run
        .args(["sh", "-c"])
        .arg(format!("{BEFORE}{script}"))
        .env("SHMAUDIT", env!("CARGO_BIN_EXE_shmaudit"))
        .env("LIBRARY", place::library())
        .env("KINDS", kinds)
        .env("WORK", &work)
        .within(&work);
    Ok((run, work))
}

/// A script about to be run, and its directory `$WORK`. `$SHMAUDIT` is the command, `$KINDS` makes memory of every kind.
pub fn prepare(trial: &str, script: &str) -> Result<(Run, PathBuf), Stop> {
    need_root()?;
    let unshare = need("unshare")?;
    let probe = Run::new(&unshare).args(NAMESPACES).arg("true").end()?;
    if probe.how() != "0" {
        return Err(Stop::Unfit("the right to make namespaces".to_string()));
    }
    set_up(trial, Run::new(unshare).args(NAMESPACES), script)
}

/// What it wrote, as JSON.
pub fn json(ended: &Ended) -> Result<Value, Stop> {
    check!(ended.how() == "0", "ended {}:{}{}", ended.how(), Shown(&ended.stderr), Shown(&ended.stdout));
    Ok(serde_json::from_slice(&ended.stdout)?)
}

/// The object of this name, or of this key.
pub fn named<'a>(list: &'a Value, name: &str) -> Result<&'a Value, Stop> {
    let all = list["objects"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found = all.iter().filter(|object| object["name"] == name || object["key"] == name);
    let first = found.next().ok_or_else(|| format!("{name} is not listed: {list}"))?;
    check!(found.next().is_none(), "{name} is listed twice: {list}");
    Ok(first)
}
