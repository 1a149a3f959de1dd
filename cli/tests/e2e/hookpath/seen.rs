//! What the kernel sees of one call: with the library the same system calls as without, and those that identify an object.

use std::path::{Path, PathBuf};

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::run::Run;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, fail, place};

/// The system calls that come with one call, beside the program's own: what `programs/each.c` calls it, and which.
const CALLS: &[(&str, &[&str])] = &[
    ("shm_open_new", &[IDENTITY]),
    ("shm_open_existing", &[IDENTITY]),
    // Exclusive creation is asked for first: the kernel decides at once whether this call makes the object.
    ("shm_open_either", &["openat", IDENTITY]),
    ("shm_open_missing", &[]),
    ("shm_unlink", &[]),
    ("shm_unlink_missing", &[]),
    ("shmget_existing", &[]),
    ("shmget_new", &[]),
    ("shmget_either", &["shmget"]),
    ("shmget_private", &[]),
    ("shmget_missing", &[]),
    ("shmat", &[]),
    ("shmdt", &[]),
    ("shmdt_nothing", &[]),
    ("shmctl_stat", &[]),
    ("shmctl_rmid", &[]),
    ("ftok", &[]),
    ("ftruncate", &[]),
    ("fallocate", &[]),
    ("posix_fallocate", &[]),
    ("fstat", &[]),
    ("mmap", &[]),
    // What a stream has may have been closed inside the C library.
    ("ftruncate_stream", &[IDENTITY]),
    ("mmap_stream", &[IDENTITY]),
    // A descriptor that no hook has seen may be an object.
    ("mmap_unseen", &[IDENTITY]),
    ("mmap_file", &[IDENTITY]),
    ("mmap_private_file", &[]),
    ("mmap_anonymous", &[]),
    ("mmap_over", &[]),
    ("mmap_over_anonymous", &[]),
    ("munmap", &[]),
    ("munmap_anonymous", &[]),
    ("mremap", &[]),
    ("close", &[]),
    ("close_file", &[]),
    ("fdopen", &[]),
    ("fdopen_file", &[]),
    ("close_stream", &[IDENTITY]),
    ("dup", &[]),
    ("dup_file", &[]),
    ("dup2", &[]),
    ("dup2_file", &[]),
    ("dup3", &[]),
    ("fcntl_dupfd", &[]),
    ("fcntl_getfl", &[]),
    ("close_range", &[]),
    ("open_existing", &[IDENTITY]),
    ("open_new", &[IDENTITY]),
    // Whether it made the object is told by its birth.
    ("open_either", &[IDENTITY, IDENTITY]),
    ("openat_existing", &[IDENTITY]),
    ("creat", &[IDENTITY, IDENTITY]),
    ("open_file", &[]),
    ("unlink", &[]),
    ("unlinkat", &[]),
    ("rename", &[]),
    ("renameat", &[]),
    ("link", &[]),
    // Is it one of the mount's, and by which name?
    ("relative_open", &[IDENTITY, "readlinkat", IDENTITY]),
    ("relative_open_elsewhere", &[IDENTITY]),
    // The registry knows the name: is it that of the mount?
    ("relative_unlink", &[IDENTITY, IDENTITY]),
    ("relative_unlink_elsewhere", &[]),
    ("memfd_create", &[IDENTITY]),
];

/// `statx`, or what the C library's `fstat` is where there may be a filter of system calls.
const IDENTITY: &str = "statx";
const FSTAT: [&str; 2] = ["newfstatat", "fstat"];
const MARK: &str = "sched_get_priority_max";

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for (call, more) in CALLS {
        trials.add(format!("hookpath::seen::{call}"), move || call_alone(call, more));
    }
    trials.add("hookpath::seen::checker_finds_one_more", one_more);
}

fn call_alone(call: &str, more: &[&str]) -> Verdict {
    let (bare, audited) = (seen(call, None)?, seen(call, Some(place::library()))?);
    let surplus = surplus(&bare, &audited)?;
    check!(surplus == more, "with the library there are {surplus:?} more, not {more:?}: {audited:?}");
    Ok(())
}

fn one_more() -> Verdict {
    let chatty = build::own("chatty", &Variant::of("gcc", &["-shared", "-fPIC"]))?;
    let surplus = surplus(&seen("shmdt", None)?, &seen("shmdt", Some(&chatty))?)?;
    check!(surplus == ["getpid"], "found: {surplus:?}");
    Ok(())
}

/// The system calls of one call, in order.
fn seen(call: &str, library: Option<&Path>) -> Result<Vec<String>, Stop> {
    let strace = need("strace")?;
    let program = build::own("each", &Variant::of("cc", &["-O1"]))?;
    let kind = library.and_then(|library| library.file_stem()).map_or("bare".into(), |stem| stem.to_string_lossy());
    let out: PathBuf = place::directory("hookpath-seen")?.join(format!("{call}-{kind}"));
    let mut run = Run::new(strace).arg("-o").arg(&out);
    if let Some(library) = library {
        run = run.arg("-E").arg(format!("LD_PRELOAD={}", library.display()));
        run = run.args(["-E", "SHMAUDIT_OPTIONS=log=off:report=off"]);
    }
    let (ended, _) = Turn::take(&own_source("each"))?.run(run.arg(program).arg(call))?;
    if ended.errors().contains("ptrace") {
        return Err(Stop::Unfit("the right to trace".into()));
    }
    check!(ended.how() == "0", "ended {}:{}", ended.how(), Shown(&ended.stderr));
    let text = std::fs::read_to_string(&out)?;
    let names: Vec<&str> = text.lines().filter_map(|line| line.split('(').next()).collect();
    let marks: Vec<usize> = (0..names.len()).filter(|&at| names[at] == MARK).collect();
    let [first, second] = marks[..] else { fail!("{} marks in {text}", marks.len()) };
    Ok(names[first + 1..second].iter().map(ToString::to_string).collect())
}

/// What `audited` has beside all of `bare`, which must be there in its order.
fn surplus(bare: &[String], audited: &[String]) -> Result<Vec<String>, Stop> {
    let mut missing = bare.iter().peekable();
    let mut more = Vec::new();
    for call in audited {
        if missing.next_if_eq(&call).is_none() {
            more.push(if FSTAT.contains(&call.as_str()) { IDENTITY.to_string() } else { call.clone() });
        }
    }
    check!(missing.peek().is_none(), "of {bare:?} something is missing in {audited:?}");
    Ok(more)
}
