//! `limit-hit` where the kernel itself says no: small limits in namespaces of the trial's own.

use crate::build::{self, Variant};
use crate::run::Run;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, place};

/// What is filled, the errno it ends in, and what the report says of it.
const CASES: &[(&str, &str, &str)] = &[
    ("segments", "ENOSPC", "kernel.shmmni allows 5 segments, and 5 were this tree's."),
    ("pages", "ENOSPC", "kernel.shmall allows all segments 12 pages of 4096 bytes, 5 were asked for and 10 in use."),
    ("files", "ENOSPC", "/dev/shm has room for 9 files, and 8 were of this tree's."),
    (
        "bytes",
        "ENOSPC",
        "/dev/shm holds 65536 bytes in all, of which 65536 bytes are free now, and this tree's objects had 0 bytes.",
    ),
    ("addresses", "ENOMEM", "RLIMIT_AS allows the process 268435456 bytes (256.0 MiB) of addresses."),
];

/// What is said of a process that touched a page for which there was no room.
const TOUCHED: &str = "/dev/shm is full, with 65536 bytes in all: a touch of a page for which there is no room ends a process with SIGBUS.";

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for &(what, errno, why) in CASES {
        trials.add(format!("limits::{what}"), move || hit(what, errno, why, "nothing leaked; 1 warning"));
    }
    trials.add("limits::touches", || {
        hit("touches", "SIGBUS", TOUCHED, "1 object leaked, 1048576 bytes (1.0 MiB); 1 warning")
    });
}

fn hit(what: &str, errno: &str, why: &str, summary: &str) -> Verdict {
    let unshare = need("unshare")?;
    let namespaces = ["--ipc", "--mount", "sh", "-c"];
    if Run::new(&unshare).args(namespaces).arg("mount -t tmpfs tmpfs /dev/shm").end()?.how() != "0" {
        return Err(Stop::Unfit("the right to mount in a namespace of its own".to_string()));
    }
    let script = "mount -t tmpfs -o size=64k,nr_inodes=9 tmpfs /dev/shm && echo 5 >/proc/sys/kernel/shmmni && \
                  echo 12 >/proc/sys/kernel/shmall && LD_PRELOAD=$1 SHMAUDIT_OPTIONS=log=off exec \"$0\" $2";
    let program = build::own("full", &Variant::plain().and(&["-lrt"]))?;
    let run = Run::new(&unshare).args(namespaces).arg(script).arg(program).arg(place::library()).arg(what);
    let ended = run.end()?;
    check!(
        ended.output() == format!("{errno}\n"),
        "said {:?}, {}:{}",
        ended.output(),
        ended.how(),
        Shown(&ended.stderr)
    );
    let said = ended.errors();
    let line = said.lines().find(|line| line.contains("limit-hit")).unwrap_or("");
    check!(line.ends_with(why) && line.contains(errno), "the report says:{}", Shown(&ended.stderr));
    let remedy = match what {
        "segments" | "pages" => "sysctl",
        "addresses" => "Unmap",
        "touches" => "posix_fallocate",
        _ => "--shm-size",
    };
    let hint = |line: &str| line.starts_with("  hint: ") && line.contains(remedy);
    check!(said.lines().any(hint), "no word of {remedy}:{}", Shown(&ended.stderr));
    check!(said.contains(&format!("SUMMARY: shmaudit: {summary} (")), "the report says:{}", Shown(&ended.stderr));
    Ok(())
}
