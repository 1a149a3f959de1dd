//! The C interface beside the six: what a program can ask of its own audit.

use core::ffi::{c_char, c_int};

use crate::{audit, end};

/// The library's version, such as "0.1.0". The string is static and never freed.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Reports now, to where the report at exit goes. Returns the number of findings of severity error, or -1 where the audit
/// does not work in this process. The report at exit still comes. Not for use in a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_leak_check() -> c_int {
    let kept = crate::errno::Kept::new();
    let errors = audit::get().map_or(-1, end::report_now);
    drop(kept);
    errors
}
