//! The system calls that no safe crate at hand has: shmctl(2), leases, cachestat(2), and libc's user names.
#![expect(unsafe_code, reason = "libc's functions are foreign functions")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// A segment as `IPC_STAT` tells it: what makes it this one, and whether it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentNow {
    /// Key; 0 once it is marked for removal.
    pub key: i32,
    /// Size in bytes.
    pub size: u64,
    /// Owner's user.
    pub uid: u32,
    /// Creator's process id, as this pid namespace has it.
    pub cpid: u32,
    /// Process id of the last attach or detach.
    pub lpid: u32,
    /// Attachments.
    pub nattch: u64,
    /// Last attach, in seconds since 1970; 0 for never.
    pub atime: u64,
    /// Last detach, in seconds since 1970; 0 for never.
    pub dtime: u64,
    /// Creation or last change, in seconds since 1970.
    pub ctime: u64,
}

/// `IPC_STAT`. Errors: `EINVAL` and `EIDRM` for a segment that is gone, `EACCES` without read permission.
pub fn segment(shmid: i32) -> io::Result<SegmentNow> {
    // SAFETY: shmid_ds is plain numbers, for which zero is a value.
    let mut ds: libc::shmid_ds = unsafe { zeroed() };
    // SAFETY: IPC_STAT writes one shmid_ds, and that is what `ds` is.
    if unsafe { libc::shmctl(shmid, libc::IPC_STAT, &raw mut ds) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = |time| u64::try_from(time).unwrap_or(0);
    #[cfg(target_env = "musl")]
    #[expect(deprecated, reason = "the name that the crate will have for it is not there yet")]
    let key = ds.shm_perm.__ipc_perm_key;
    #[cfg(not(target_env = "musl"))]
    let key = ds.shm_perm.__key;
    Ok(SegmentNow {
        key,
        size: ds.shm_segsz as u64,
        uid: ds.shm_perm.uid,
        cpid: u32::try_from(ds.shm_cpid).unwrap_or(0),
        lpid: u32::try_from(ds.shm_lpid).unwrap_or(0),
        nattch: ds.shm_nattch,
        atime: seconds(ds.shm_atime),
        dtime: seconds(ds.shm_dtime),
        ctime: seconds(ds.shm_ctime),
    })
}

/// `IPC_RMID`.
pub fn remove_segment(shmid: i32) -> io::Result<()> {
    // SAFETY: IPC_RMID reads and writes no buffer.
    check(unsafe { libc::shmctl(shmid, libc::IPC_RMID, ptr::null_mut()) })
}

/// Takes a write lease: the kernel grants it only where this descriptor's open file is the only one of the file, in any
/// process, mapping, socket or namespace (O_PATH descriptors do not count). Until it is given back or `file` is closed,
/// whoever opens the file waits.
///
/// Errors: `EAGAIN` where others have the file open, `EACCES` for a file of another user, `EINVAL` where the file
/// system has no leases. The kernel tells by SIGIO that somebody waits; that signal must be ignored.
pub fn take_lease(file: impl AsFd) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; F_SETLEASE takes a number.
    check(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) })
}

/// Whether the lease is held and nobody waits for its end.
pub fn lease_is_whole(file: impl AsFd) -> bool {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; F_GETLEASE takes nothing.
    let lease = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GETLEASE) };
    lease == libc::F_WRLCK
}

/// Whether nobody else has the file open or mapped, as far as the kernel grants a lease on it; the lease is given back.
pub fn is_nobody_elses(file: impl AsFd) -> bool {
    // SAFETY: SIG_IGN runs no code of ours.
    let before = unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    let granted = take_lease(&file).is_ok();
    // SAFETY: the descriptor is open for as long as `file` is borrowed; what is set again is what was there, or nothing.
    unsafe {
        libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK);
        if before != libc::SIG_ERR {
            libc::signal(libc::SIGIO, before);
        }
    }
    granted
}

/// Has SIGIO ignored for the rest of this process's life.
pub fn ignore_sigio() {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
}

/// Pages of a file that are in memory (cachestat(2), Linux 6.5).
pub fn cached_pages(file: impl AsFd) -> io::Result<u64> {
    // The number is the same on every architecture.
    const SYS_CACHESTAT: libc::c_long = 451;
    // Offset 0, length 0: to the end of the file.
    let range = [0u64; 2];
    let mut stat = [0u64; 5];
    // SAFETY: the kernel reads two words and writes five, which is what there is.
    let result = unsafe {
        libc::syscall(SYS_CACHESTAT, file.as_fd().as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0 as libc::c_uint)
    };
    if result == 0 { Ok(stat[0]) } else { Err(io::Error::last_os_error()) }
}

/// A user's name, by whatever the system asks for it; asked once for each.
pub fn user_name(uid: u32) -> Option<Vec<u8>> {
    thread_local! {
        static KNOWN: RefCell<HashMap<u32, Option<Vec<u8>>>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| known.entry(uid).or_insert_with(|| ask_user_name(uid)).clone())
}

fn ask_user_name(uid: u32) -> Option<Vec<u8>> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut room = vec![0; 16 << 10];
    let mut found = ptr::null_mut();
    // SAFETY: all three places are there for as long as the call takes, and the length is that of the room.
    let error = unsafe { libc::getpwuid_r(uid, entry.as_mut_ptr(), room.as_mut_ptr(), room.len(), &raw mut found) };
    if error != 0 || found.is_null() {
        return None;
    }
    // SAFETY: found is not null, so `entry` is filled, and its name points to a terminated string in `room`.
    let name = unsafe { CStr::from_ptr((*found).pw_name) };
    Some(name.to_bytes().to_vec())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn leases_are_for_the_only_one() {
        let path = std::env::temp_dir().join(format!("shmaudit-lease-{}", std::process::id()));
        fs::write(&path, "x").unwrap();
        ignore_sigio();
        let (one, other) = (File::open(&path).unwrap(), File::open(&path).unwrap());
        fs::remove_file(&path).unwrap();
        assert_eq!(take_lease(&one).unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        assert!(!lease_is_whole(&one));
        drop(other);
        // Another test's child may have the descriptors for the time between its fork and its exec.
        let granted = (0..100).any(|_| {
            take_lease(&one).is_ok() || {
                std::thread::sleep(std::time::Duration::from_millis(10));
                false
            }
        });
        assert!(granted && lease_is_whole(&one));
    }

    #[test]
    fn own_name_is_known() {
        assert_eq!(user_name(0).as_deref(), Some(&b"root"[..]));
        assert_eq!(user_name(u32::MAX - 7), None);
    }

    #[test]
    fn pages_in_memory_are_counted() {
        let file = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = File::from(file);
        file.write_all(&[1; 10_000]).unwrap();
        // Kernels before 6.5 do not know the call.
        if let Ok(pages) = cached_pages(&file) {
            assert_eq!(pages * rustix::param::page_size() as u64, file.metadata().unwrap().blocks() * 512);
        }
    }

    #[test]
    fn no_such_segment() {
        assert!(segment(-1).is_err() && remove_segment(-1).is_err());
    }
}
