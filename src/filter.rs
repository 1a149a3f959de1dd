//! Whether a filter of system calls (seccomp) may be in force: it may kill the program for a call that is not its own.
//!
//! Without one, identities are asked for by `statx`, which need not look at a file's times (see `sys::identity`). With one,
//! or where one may come unseen, by what the C library itself uses. Filters are inherited, which the start can ask, or
//! brought by `prctl`: to switch one on, or as what the kernel wants of everybody but root before the call that does.
//!
//! Under one that the program brought itself the audit goes on by records alone: no log, no report, no further files looked
//! up. Under one that it was started with they are made: that one let the start pass, which asks for the same.

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering};

use shmaudit_core::options::Target;

use crate::{audit, log, sys};

#[unsafe(link_section = ".data.hot")]
static NONE: AtomicBool = AtomicBool::new(false);
/// The program itself has brought one, or is about to.
static OWN: AtomicBool = AtomicBool::new(false);

/// Asks, at the start.
pub fn start() {
    // SAFETY: questions without pointers.
    let ask = |option: c_int| unsafe { sys::call(libc::SYS_prctl, option as usize, 0, 0, 0, 0, 0) };
    // EINVAL: a kernel that has no filters (prctl(2)), or qemu's user mode, which passes none on.
    let filters = ask(libc::PR_GET_SECCOMP);
    let none = filters == 0 || filters == -(libc::EINVAL as isize);
    NONE.store(none && ask(libc::PR_GET_NO_NEW_PRIVS) == 0, Ordering::Relaxed);
}

/// The program calls `prctl`.
#[inline(always)]
pub fn prctl(option: c_int) {
    if option == libc::PR_SET_SECCOMP || option == libc::PR_SET_NO_NEW_PRIVS {
        coming();
    }
}

#[cold]
#[inline(never)]
fn coming() {
    wrong!(IgnoresFilter => { return });
    NONE.store(false, Ordering::Relaxed);
    if OWN.swap(true, Ordering::Relaxed) {
        return;
    }
    let Some(audit) = audit::ready() else { return };
    audit::stop_logging();
    if audit.recorder.is_concerned() && (audit.log.is_some() || audit.options.report != Target::Off) {
        log::say(&[
            "the program may filter its system calls: no log, no report from here on (journal= keeps the records)",
        ]);
    }
}

/// Whether there is certainly none.
#[inline(always)]
pub fn is_none() -> bool {
    wrong!(IgnoresFilter => { return true });
    NONE.load(Ordering::Relaxed)
}

/// Whether the program itself has brought one, or was about to: nothing may be asked of the kernel that a hook does not ask.
pub fn is_own() -> bool {
    OWN.load(Ordering::Relaxed)
}
