//! System calls that the standard library does not have, or not as they are needed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// A file, to be read, which is never waited for: what is no file is not opened, and may take its place meanwhile.
pub fn open_file(path: &Path) -> Option<File> {
    let is_file = fs::metadata(path).ok()?.is_file();
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = if is_file { OpenOptions::new().read(true).custom_flags(flags).open(path).ok()? } else { return None };
    file.metadata().ok()?.is_file().then_some(file)
}

/// A file that somebody named, to be read. A pipe that has a name is refused: to open it is to wait until somebody writes to
/// it, which may be never. One without a name (`<(COMMAND)`, `/dev/stdin`) has its writer, and is read.
pub fn open_named(path: &Path) -> io::Result<File> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return refused("a directory; name a file");
    }
    if kind.is_fifo() && path.canonicalize().is_ok() {
        return refused("a pipe, which is not waited for; name a file");
    }
    File::open(path)
}

/// What a clock says, in nanoseconds.
pub fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills one timespec.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// Whether this process may read the processor's counter: it can be forbidden (`PR_SET_TSC`).
#[cfg(target_arch = "x86_64")]
pub fn may_read_counter() -> bool {
    const PR_TSC_ENABLE: libc::c_int = 1;
    let mut allowed: libc::c_int = 0;
    // SAFETY: fills one int.
    let asked = unsafe { libc::prctl(libc::PR_GET_TSC, &raw mut allowed) };
    asked == 0 && allowed == PR_TSC_ENABLE
}
