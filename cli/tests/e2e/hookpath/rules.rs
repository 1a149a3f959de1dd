//! What the path of a hook may lead to, with the reason of each exception; and the judge.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Code, Pointer};
use crate::trial::Stop;

/// Where the path ends: functions that few calls enter.
pub const COLD: &[(&str, &str)] = &[
    ("shmaudit::audit::begin", "the start, where a hook runs before the loader has run our constructor"),
    ("shmaudit::next::resolve", "the same, for the table of next definitions"),
    ("shmaudit::audit::Audit::log", "a line of the log, with `log` on"),
    ("shmaudit::audit::Audit::log_end", "the same, for a call that was recorded before it was made"),
    ("shmaudit::process::adopt", "the first call of a forked child"),
    ("shmaudit::filter::coming", "the program is about to filter its system calls: the last line, before it does"),
    ("shmaudit::hooks::fd::give_way", "the program closes the number of the log's own descriptor"),
];

/// The library's own system calls on the path: the functions where they stand, which they are, and why.
pub const OWN: &[(&[&str], &[i64], &str)] = &[
    (
        &["shmaudit::real::identity", "shmaudit::sys::identity", "shmaudit::hooks::path::object_opened"],
        &[libc::SYS_statx, libc::SYS_newfstatat],
        "identity: once for each successful shm_open, memfd_create, and open under the shm mount; once for a shared mapping \
         of a descriptor that no hook has seen, and for each call about one that a stream has: fclose closes it inside the C \
         library, and its number is the next file's. newfstatat where a filter of system calls may be, and by the C library's \
         fstat where it has one",
    ),
    (
        &["shm_open", "shmaudit::hooks::objects::opened", "shmaudit::hooks::path::object_opened"],
        &[libc::SYS_newfstatat],
        "the device of /dev/shm, where an object is on another than at the start: the program has changed the mount",
    ),
    (
        &["shmaudit::hooks::path::object_opened", "shmaudit::hooks::objects::was_just_born"],
        &[libc::SYS_statx],
        "an object's birth, after an open under the shm mount that could make it and did not ask for a new one",
    ),
    (
        &["shmaudit::hooks::path::opened_from_elsewhere", "shmaudit::hooks::relative::opened"],
        &[libc::SYS_statx, libc::SYS_newfstatat, libc::SYS_readlinkat],
        "a relative path that could make a file: is it one of the shm mount's, and then, which?",
    ),
    (
        &["shmaudit::hooks::relative::is_mount"],
        &[libc::SYS_newfstatat],
        "a removal, rename or link of what bears an object's name, by another path than the mount's: is that the mount?",
    ),
    (&["*"], &[libc::SYS_clock_gettime], "the time, where the kernel maps no vDSO"),
    (
        &["shmaudit::audit::Audit::note*", "shmaudit::pause::*", "shmaudit_pause", "shmaudit_resume"],
        &[libc::SYS_gettid],
        "the thread, where the C library keeps its id elsewhere than all that are known",
    ),
    (
        &["shmaudit::unwind::Slot::take_over"],
        &[libc::SYS_gettid, libc::SYS_tgkill, libc::SYS_getpid, libc::SYS_sigaltstack],
        "a place of code seen for the first time while eight other walks are under way: is their thread alive?",
    ),
    (
        &["shmaudit::vfork::is_marked_child"],
        &[libc::SYS_getpid],
        "a call about a descriptor, by a thread that has called vfork: which of the two is it?",
    ),
    (
        &["shmaudit::hooks::fd::control_object"],
        &[libc::SYS_close],
        "F_DUPFD got another number because the log had the wanted one: the log gives it back, and it is copied again",
    ),
    (&["shmaudit::unwind::Slot::take"], &[libc::SYS_gettid], "as for a record"),
    (
        &["shmaudit_stats_get", "shmaudit_for_each_object", "shmaudit::live::*"],
        &[libc::SYS_newfstatat, libc::SYS_shmctl],
        "the program asks what is there: each object is asked for",
    ),
    (&["shmaudit_ignore_id"], &[libc::SYS_shmctl], "whether there is a segment of this id"),
    (
        &["shmaudit_pause"],
        &[libc::SYS_getpid, libc::SYS_tgkill],
        "with as many threads paused as there is room for: has one of them ended?",
    ),
];

/// Each hook stands in for libc where nobody defines the next one, by the call that libc would make.
pub const STANDS_IN: &[(&str, i64)] = &[
    ("shmaudit::hooks::six::shm_open::{{closure}}", libc::SYS_openat),
    ("shmaudit::real::shm_open", libc::SYS_openat),
    ("shm_unlink", libc::SYS_unlinkat),
    ("shmaudit::hooks::six::shmget::{{closure}}", libc::SYS_shmget),
    ("shmget", libc::SYS_shmget),
    ("shmat", libc::SYS_shmat),
    ("shmdt", libc::SYS_shmdt),
    ("shmctl", libc::SYS_shmctl),
    ("ftok", libc::SYS_newfstatat),
    ("shmaudit::hooks::size::truncate_object", libc::SYS_ftruncate),
    ("shmaudit::hooks::size::allocate", libc::SYS_fallocate),
    ("shmaudit::hooks::size::posix_allocate", libc::SYS_fallocate),
    ("shmaudit::hooks::size::object_status", libc::SYS_fstat),
    ("shmaudit::hooks::size::versioned_status", libc::SYS_fstat),
    ("shmaudit::hooks::map::map_object", libc::SYS_mmap),
    ("shmaudit::hooks::map::unmap_object", libc::SYS_munmap),
    ("mremap", libc::SYS_mremap),
    ("shmaudit::hooks::fd::close_object", libc::SYS_close),
    ("shmaudit::hooks::fd::dup_object", libc::SYS_dup),
    ("shmaudit::hooks::fd::dup2_object", libc::SYS_dup3),
    ("shmaudit::hooks::fd::dup2_object", libc::SYS_fcntl),
    ("shmaudit::hooks::fd::dup3_object", libc::SYS_dup3),
    ("shmaudit::hooks::fd::control_object", libc::SYS_fcntl),
    ("shmaudit::hooks::fd::control_object::{{closure}}", libc::SYS_fcntl),
    ("close_range", libc::SYS_close_range),
    ("closefrom", libc::SYS_close_range),
    ("open", libc::SYS_openat),
    ("open64", libc::SYS_openat),
    ("__open_2", libc::SYS_openat),
    ("__open64_2", libc::SYS_openat),
    ("openat", libc::SYS_openat),
    ("openat64", libc::SYS_openat),
    ("__openat_2", libc::SYS_openat),
    ("__openat64_2", libc::SYS_openat),
    ("creat", libc::SYS_openat),
    ("creat64", libc::SYS_openat),
    ("unlink", libc::SYS_unlinkat),
    ("unlinkat", libc::SYS_unlinkat),
    ("remove", libc::SYS_unlinkat),
    ("rename", libc::SYS_renameat2),
    ("renameat", libc::SYS_renameat2),
    ("renameat2", libc::SYS_renameat2),
    ("link", libc::SYS_linkat),
    ("linkat", libc::SYS_linkat),
    ("memfd_create", libc::SYS_memfd_create),
    ("prctl", libc::SYS_prctl),
];

/// What may be called by a pointer.
pub const POINTERS: &[(&str, &str)] = &[
    ("shmaudit::next::NEXT", "the next definition: the call itself"),
    ("shmaudit::clock::VDSO", "the kernel's clock, mapped into every process"),
    ("__errno_location", "the C library's place of errno: no more than an addition"),
    ("strlen", "the C library's, and a leaf as the next four"),
    ("memcpy", "as above"),
    ("memmove", "as above"),
    ("memset", "as above"),
    ("bcmp", "as above"),
];

/// Functions that call what the code does not name.
pub const UNNAMED: &[(&str, &str)] = &[
    ("shmaudit::hooks::*", "the slot of the next definition is their argument, or chosen by one"),
    ("shmaudit::real::*", "the same"),
    ("shmaudit_*", "the place of errno, by a register; the program's own function, called with each object"),
    ("shmaudit::live::*", "the same function, as a closure"),
    (
        "shmaudit::escape::guarded",
        "a step of the unwinder, which may panic: `escape` brings it back, on a stack of its own",
    ),
];

/// What must not be reached.
const FORBIDDEN: &[(&str, &str)] = &[
    ("core::panicking", "a panic"),
    ("core::option::", "a panic"),
    ("core::result::", "a panic"),
    ("core::slice::index", "a panic"),
    ("core::str::slice_error", "a panic"),
    ("__rustc::rust_begin_unwind", "a panic"),
    ("__rustc::__r", "an allocation"),
    ("__rust_", "an allocation"),
    ("alloc::", "an allocation"),
    ("dlmalloc::", "an allocation"),
    ("shmaudit::heap", "an allocation"),
];

/// What a hook's path was found to hold.
#[derive(Default)]
pub struct Found {
    /// What it must not, and one way to it.
    pub wrong: BTreeMap<(String, u64), String>,
    /// Names of the tables that were of use.
    pub used: BTreeSet<&'static str>,
    /// Functions on the path.
    pub functions: BTreeSet<u64>,
}

impl Found {
    /// What is wrong, a line each.
    pub fn complaints(&self) -> Vec<String> {
        self.wrong.iter().map(|((what, _), way)| format!("{what}: {way}")).collect()
    }
}

/// Follows one hook.
pub fn judge(code: &Code, hook: &str, found: &mut Found) -> Result<(), Stop> {
    let came = code.reached(code.named(hook)?, |name| match COLD.iter().find(|(cold, _)| *cold == name) {
        Some((cold, _)) => {
            found.used.insert(cold);
            false
        }
        None => true,
    });
    for &at in came.keys() {
        found.functions.insert(at);
        let Some(function) = code.functions.get(&at) else { continue };
        let name = function.name.as_str();
        let mut wrong = |what: String| {
            found.wrong.entry((what, at)).or_insert_with(|| code.way(&came, at));
        };
        if let Some((_, what)) = FORBIDDEN.iter().find(|(forbidden, _)| name.starts_with(forbidden)) {
            wrong(what.to_string());
        }
        if function.traps {
            wrong("an instruction that ends the process".into());
        }
        for call in &function.syscalls {
            let stands_in = STANDS_IN.iter().any(|(hook, own)| *hook == name && Some(*own as u32) == *call);
            let listed = OWN.iter().any(|(functions, calls, _)| {
                functions.iter().any(|listed| matches(listed, name))
                    && calls.iter().any(|own| Some(*own as u32) == *call)
            });
            if !stands_in && !listed {
                wrong(format!("system call {call:?}"));
            }
        }
        for pointer in &function.pointers {
            let known = match pointer {
                Pointer::Import(to) | Pointer::Variable(to) => POINTERS.iter().any(|(known, _)| known == to),
                Pointer::Unknown => UNNAMED.iter().any(|(listed, _)| matches(listed, name)) || is_hook(name),
            };
            if !known {
                wrong(format!("a call by a pointer, {pointer:?}"));
            }
        }
    }
    Ok(())
}

/// Hooks are called by their symbols' own names, which are no paths.
fn is_hook(name: &str) -> bool {
    shmaudit_core::calls::HOOKS.iter().any(|(hook, _)| *hook == name)
}

fn matches(listed: &str, name: &str) -> bool {
    listed.strip_suffix('*').map_or(listed == name, |begin| name.starts_with(begin))
}
