//! The few system calls that the standard library does not have.
#![expect(unsafe_code, reason = "libc's functions are foreign functions")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Waits for the whole file, until it is closed.
pub fn lock(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives this run, and so every program that it starts, the usual umask: what permissions are asked for is not what an object
/// gets.
pub fn usual_umask() {
    // SAFETY: no memory is involved.
    unsafe { libc::umask(0o022) };
}

/// Kills a process group that this run made.
pub fn kill_group(group: u32) {
    let group = i32::try_from(group).unwrap_or(0);
    if group > 1 {
        // SAFETY: no memory is involved.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// Removes a segment; one that is gone already is no error.
pub fn remove_segment(shmid: i32) {
    // SAFETY: IPC_RMID reads and writes no buffer.
    unsafe { libc::shmctl(shmid, libc::IPC_RMID, std::ptr::null_mut()) };
}
