//! errno: the program's, read after a failed call and never changed by us.

use core::ffi::c_int;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// The calling thread's errno.
#[inline(always)]
pub fn get() -> i32 {
    // SAFETY: every C library gives a valid place for the calling thread.
    unsafe { *__errno_location() }
}

/// Sets it: only to what the program had, or where we stand in for a call that fails.
#[inline(always)]
pub fn set(value: i32) {
    // SAFETY: as above.
    unsafe { *__errno_location() = value };
}

/// Whether a path that a call failed on has been read by the kernel: other errors can come before it is looked at.
pub fn says_path_was_read() -> bool {
    use libc::{EACCES, EEXIST, EISDIR, ELOOP, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EROFS, ETXTBSY, EXDEV};
    [ENOENT, EACCES, EEXIST, EISDIR, ELOOP, ENOTDIR, ENOTEMPTY, ENOSPC, EROFS, ETXTBSY, EXDEV].contains(&get())
}

/// Puts errno back to what it was when this was made.
pub struct Kept(i32);

impl Kept {
    /// Remembers errno.
    #[inline(always)]
    pub fn new() -> Kept {
        Kept(get())
    }
}

impl Drop for Kept {
    #[inline(always)]
    fn drop(&mut self) {
        set(self.0);
    }
}
