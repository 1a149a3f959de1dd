//! Whether a filter of system calls (seccomp) may be in force: it may kill the program for a call that is not its own.
//!
//! Without one, identities are asked for by `statx`, which need not look at a file's times (see `sys::identity`). With one,
//! or where one may come unseen, by what the C library itself uses. Filters are inherited, which the start can ask, or
//! brought by `prctl`: to switch one on, or as what the kernel wants of everybody but root before the call that does.

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::sys;

#[unsafe(link_section = ".data.hot")]
static NONE: AtomicBool = AtomicBool::new(false);

/// Asks, at the start.
pub fn start() {
    // SAFETY: questions without pointers.
    let ask = |option: c_int| unsafe { sys::call(libc::SYS_prctl, option as usize, 0, 0, 0, 0, 0) };
    NONE.store(ask(libc::PR_GET_SECCOMP) == 0 && ask(libc::PR_GET_NO_NEW_PRIVS) == 0, Ordering::Relaxed);
}

/// The program calls `prctl`.
#[inline(always)]
pub fn prctl(option: c_int) {
    if option == libc::PR_SET_SECCOMP || option == libc::PR_SET_NO_NEW_PRIVS {
        NONE.store(false, Ordering::Relaxed);
    }
}

/// Whether there is certainly none.
#[inline(always)]
pub fn is_none() -> bool {
    NONE.load(Ordering::Relaxed)
}
