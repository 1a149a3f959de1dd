//! Processes: made, replaced, ended. `vfork` is in a file of its own: its child runs on the caller's frame.

use core::ffi::{CStr, c_char, c_int, c_void};

use libc::pid_t;
use shmaudit_core::calls::Call;

use crate::audit::{self, About, Seen};
use crate::real::{libc_result, next};
use crate::{code, end, errno, filter, process, sys, vfork};

type Fork = unsafe extern "C" fn() -> pid_t;

/// A child's slot is reserved before the fork, so that neither side needs to ask the kernel for anything.
unsafe fn forking(next: Option<Fork>) -> pid_t {
    let seen = Seen::start(Call::Fork);
    let slot = seen.audit().map(|audit| process::reserve(&audit.recorder));
    // The child may note its first call before its parent notes the fork.
    let mark = seen.audit().map(|audit| audit.recorder.head());
    let pid = match next {
        // SAFETY: the program's own fork.
        Some(next) => unsafe { next() },
        // SAFETY: as fork does, without handlers.
        None => libc_result(unsafe { sys::call(libc::SYS_clone, libc::SIGCHLD as usize, 0, 0, 0, 0, 0) }) as pid_t,
    };
    if let (Some(audit), Some(slot)) = (seen.audit(), slot) {
        if pid == 0 {
            process::forked(&audit.recorder);
            return pid;
        }
        process::after_fork(&audit.recorder, slot, pid.max(0) as u32);
    }
    seen.end(i64::from(pid), pid == -1, About { mark, ..About::args(&[]) });
    pid
}

/// `fork`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fork() -> pid_t {
    // SAFETY: passed on.
    unsafe { forking(next!(fork)) }
}

/// `_Fork`: without handlers (glibc since 2.34).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Fork() -> pid_t {
    // SAFETY: passed on.
    unsafe { forking(next!(_Fork).or(next!(fork))) }
}

/// `clone`: the child begins in `function` and never comes back here; the parent notes it.
///
/// # Safety
/// As libc's; what follows the fourth argument is read where `flags` ask for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clone(
    function: *mut c_void,
    stack: *mut c_void,
    flags: c_int,
    argument: *mut c_void,
    parent_tid: *mut c_void,
    tls: *mut c_void,
    child_tid: *mut c_void,
) -> c_int {
    let seen = Seen::start(Call::Clone);
    let Some(next) = next!(clone) else {
        errno::set(libc::ENOSYS);
        return -1;
    };
    let waits = flags & (libc::CLONE_VM | libc::CLONE_VFORK) == libc::CLONE_VM | libc::CLONE_VFORK;
    if waits {
        vfork::begun();
    }
    // SAFETY: the caller's arguments, passed on.
    let pid = unsafe { next(function, stack, flags, argument, parent_tid, tls, child_tid) };
    if waits {
        vfork::over();
    }
    seen.end(i64::from(pid), pid == -1, About::args(&[flags as u32 as u64, stack as u64]));
    pid
}

type Spawn = unsafe extern "C" fn(
    *mut pid_t,
    *const c_char,
    *const c_void,
    *const c_void,
    *const *const c_char,
    *const *const c_char,
) -> c_int;

/// Notes a spawn; its path has been read by the kernel and its child's pid stored, or the spawn has failed.
unsafe fn spawned(seen: Seen, result: c_int, pid: *const pid_t, path: *const c_char) {
    // SAFETY: a spawn that succeeded has executed the path.
    let path = if result == 0 { unsafe { CStr::from_ptr(path) }.to_bytes() } else { &[] };
    // SAFETY: a spawn that succeeded has stored the pid where one is asked for.
    let child = if result == 0 && !pid.is_null() { unsafe { *pid } } else { 0 };
    seen.end_with_errno(result, About::args(&[child as u32 as u64]).data(path));
}

macro_rules! spawn {
    ($symbol:ident, $call:ident) => {
        #[doc = concat!("`", stringify!($symbol), "`.")]
        ///
        /// # Safety
        /// As libc's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(
            pid: *mut pid_t,
            path: *const c_char,
            actions: *const c_void,
            attributes: *const c_void,
            argv: *const *const c_char,
            envp: *const *const c_char,
        ) -> c_int {
            let seen = Seen::start(Call::$call);
            let next: Option<Spawn> = next!($symbol);
            // SAFETY: the caller's arguments, passed on.
            let result = next.map_or(libc::ENOSYS, |next| unsafe { next(pid, path, actions, attributes, argv, envp) });
            // SAFETY: what the call was given.
            unsafe { spawned(seen, result, pid, path) };
            result
        }
    };
}

spawn!(posix_spawn, PosixSpawn);
spawn!(posix_spawnp, PosixSpawnp);

/// Runs an exec. It comes back only when it failed, and only then was the path read by nobody but the kernel.
fn replacing(call: Call, args: &[u64], path: Option<*const c_char>, real: impl FnOnce() -> c_int) -> c_int {
    let seen = Seen::start(call);
    let child = process::is_vfork_child();
    let replaced = |yes| {
        if let Some(audit) = seen.audit().filter(|_| !child) {
            process::replaced(&audit.recorder, yes);
        }
    };
    replaced(true);
    // Who supervises cannot tell otherwise what became of a child that has no record of its own.
    let supervised = child && seen.audit().is_some_and(|audit| audit.recorder.is_session());
    let pid = if supervised { process::vfork_child_pid() } else { 0 };
    let noted = [args.first().copied().unwrap_or(pid), pid];
    let noted = noted.get(..=args.len().min(1)).unwrap_or(&[]);
    let begun = if supervised { Some(seen.begin(About::args(noted))) } else { None };
    vfork::over();
    let result = real();
    let failed = errno::get();
    replaced(false);
    if child {
        vfork::begun();
    }
    errno::set(failed);
    if let Some(begun) = begun {
        begun.end(i64::from(result), true);
        return result;
    }
    let readable = errno::says_path_was_read();
    let path = path.filter(|path| readable && !path.is_null());
    // SAFETY: the kernel has read the path without a fault.
    let text = path.map_or(&[][..], |path| unsafe { CStr::from_ptr(path) }.to_bytes());
    seen.end(i64::from(result), true, About::args(args).data(text));
    result
}

fn no_such_call() -> c_int {
    errno::set(libc::ENOSYS);
    -1
}

type Strings = *const *const c_char;

/// `execve`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int {
    replacing(Call::Execve, &[], Some(path), || {
        // SAFETY: the caller's arguments, passed on.
        next!(execve).map_or_else(no_such_call, |next| unsafe { next(path, argv, envp) })
    })
}

/// `execv`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execv(path: *const c_char, argv: Strings) -> c_int {
    replacing(Call::Execv, &[], Some(path), || {
        // SAFETY: the caller's arguments, passed on.
        next!(execv).map_or_else(no_such_call, |next| unsafe { next(path, argv) })
    })
}

/// `execvp`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvp(file: *const c_char, argv: Strings) -> c_int {
    replacing(Call::Execvp, &[], Some(file), || {
        // SAFETY: the caller's arguments, passed on.
        next!(execvp).map_or_else(no_such_call, |next| unsafe { next(file, argv) })
    })
}

/// `execvpe`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvpe(file: *const c_char, argv: Strings, envp: Strings) -> c_int {
    replacing(Call::Execvpe, &[], Some(file), || {
        // SAFETY: the caller's arguments, passed on.
        next!(execvpe).map_or_else(no_such_call, |next| unsafe { next(file, argv, envp) })
    })
}

/// `execveat`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execveat(
    dirfd: c_int,
    path: *const c_char,
    argv: Strings,
    envp: Strings,
    flags: c_int,
) -> c_int {
    let args = [dirfd as u32 as u64];
    replacing(Call::Execveat, &args, Some(path), || match next!(execveat) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(dirfd, path, argv, envp, flags) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe {
            sys::call(
                libc::SYS_execveat,
                dirfd as usize,
                path as usize,
                argv as usize,
                envp as usize,
                flags as usize,
                0,
            )
        }) as c_int,
    })
}

/// `fexecve`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fexecve(fd: c_int, argv: Strings, envp: Strings) -> c_int {
    let args = [fd as u32 as u64];
    replacing(Call::Fexecve, &args, None, || {
        // SAFETY: the caller's arguments, passed on.
        next!(fexecve).map_or_else(no_such_call, |next| unsafe { next(fd, argv, envp) })
    })
}

/// Notes that the process is about to end. Whether that is the process whose memory this is.
fn leaving(call: Call, status: c_int) -> bool {
    let seen = Seen::if_ready(call);
    let child = process::is_vfork_child();
    if let Some(audit) = seen.audit().filter(|_| !child) {
        end::status_is(status);
        process::leaving(&audit.recorder, status);
    }
    seen.end(0, false, About::args(&[status as u32 as u64]));
    !child
}

/// `exit`: its handlers and destructors run first, the verdict is spoken after them.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exit(status: c_int) -> ! {
    leaving(Call::Exit, status);
    if let Some(next) = next!(exit) {
        // SAFETY: the caller's argument, passed on.
        unsafe { next(status) }
    }
    sys::exit_group(status)
}

unsafe fn exit_now(call: Call, next: Option<unsafe extern "C" fn(c_int) -> !>, status: c_int) -> ! {
    let status = match (leaving(call, status), audit::ready()) {
        (true, Some(audit)) => end::last_word(audit, status),
        _ => status,
    };
    vfork::over();
    if let Some(next) = next {
        // SAFETY: the caller's argument, or the status that the options ask for.
        unsafe { next(status) }
    }
    sys::exit_group(status)
}

/// `_exit`: no handler runs, so the verdict is spoken now.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _exit(status: c_int) -> ! {
    // SAFETY: passed on.
    unsafe { exit_now(Call::UnderscoreExit, next!(_exit), status) }
}

/// `_Exit`: as `_exit`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Exit(status: c_int) -> ! {
    // SAFETY: passed on.
    unsafe { exit_now(Call::CapitalExit, next!(_Exit), status) }
}

/// `quick_exit`: its own handlers run first; ours among them, registered at start, is the last.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quick_exit(status: c_int) -> ! {
    leaving(Call::QuickExit, status);
    if let Some(next) = next!(quick_exit) {
        // SAFETY: the caller's argument, passed on.
        unsafe { next(status) }
    }
    sys::exit_group(status)
}

/// `dlclose`: not recorded; what was learned of files loaded late is forgotten.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    let Some(next) = next!(dlclose) else { return -1 };
    // Somebody else may load another file there, and be in it, before we are back.
    code::closing();
    // SAFETY: the caller's argument, passed on.
    let result = unsafe { next(handle) };
    code::closed();
    result
}

/// `prctl`: not recorded; whether it brings a filter of system calls is all there is to see.
///
/// # Safety
/// As libc's; the arguments are read where `option` asks for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int {
    filter::prctl(option);
    match next!(prctl) {
        // SAFETY: the caller's arguments, passed on: variadic ones stand where fixed ones do.
        Some(next) => unsafe { next(option, a, b, c, d) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe { sys::call(libc::SYS_prctl, option as usize, a, b, c, d, 0) }) as c_int,
    }
}
