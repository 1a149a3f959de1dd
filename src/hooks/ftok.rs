//! Keys made of files.

use core::ffi::{CStr, c_char, c_int};

use libc::key_t;
use shmaudit_core::calls::Call;

use crate::audit::{About, Seen};
use crate::real::next;
use crate::{errno, sys};

/// `ftok`: logged because the examples of every textbook call it, and because its failure is so often not looked at.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftok(pathname: *const c_char, proj_id: c_int) -> key_t {
    let seen = Seen::start(Call::Ftok);
    let key = match next!(ftok) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(pathname, proj_id) },
        // SAFETY: as libc, we trust the path to be a string.
        None => match sys::stat_at(libc::AT_FDCWD, unsafe { CStr::from_ptr(pathname) }, 0) {
            Ok(stat) => (stat.st_ino as c_int & 0xffff) | (stat.st_dev as c_int & 0xff) << 16 | (proj_id & 0xff) << 24,
            Err(errno) => {
                errno::set(errno);
                -1
            }
        },
    };
    let readable = key != -1 || errno::says_path_was_read();
    // SAFETY: the kernel has read the path without a fault.
    let path = if readable { unsafe { CStr::from_ptr(pathname) }.to_bytes() } else { &[] };
    seen.end(i64::from(key), key == -1, About::args(&[proj_id as u32 as u64]).data(path));
    key
}
