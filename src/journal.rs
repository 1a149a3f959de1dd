//! The journal's file: in a directory that is ours, under a name that nobody had.

use alloc::ffi::CString;
use alloc::format;

use crate::{clock, sys};

/// A new file.
pub struct JournalFile {
    directory: sys::Fd,
    name: CString,
    file: sys::Fd,
}

impl JournalFile {
    /// Makes `directory` if it is missing (mode 0700) and in it `PID.TIME.shmaudit` (mode 0600). A directory that is a
    /// link, or another user's, is refused.
    pub fn make(directory: &str, pid: u32) -> Result<JournalFile, i32> {
        let path = CString::new(directory).map_err(|_| libc::EINVAL)?;
        // SAFETY: the path ends in NUL. What is there already is looked at below.
        unsafe { sys::call(libc::SYS_mkdirat, libc::AT_FDCWD as usize, path.as_ptr() as usize, 0o700, 0, 0, 0) };
        let directory = sys::open(&path, libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
        // SAFETY: no arguments.
        let user = unsafe { sys::call(libc::SYS_geteuid, 0, 0, 0, 0, 0, 0) } as u32;
        if sys::fstat(directory.0)?.st_uid != user {
            return Err(libc::EACCES);
        }
        let name = CString::new(format!("{pid}.{}.shmaudit", clock::realtime())).map_err(|_| libc::EINVAL)?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let file = sys::open_at(directory.0, &name, flags, 0o600)?;
        Ok(JournalFile { directory, name, file })
    }

    /// Allocates `length` bytes and maps them, shared.
    pub fn map(&self, length: usize) -> Result<*mut u8, i32> {
        if sys::limit(libc::RLIMIT_FSIZE) < length as u64 {
            // The kernel would send a signal.
            return Err(libc::EFBIG);
        }
        // SAFETY: allocates blocks of our own file.
        let allocated = unsafe { sys::call(libc::SYS_fallocate, self.file.0 as usize, 0, 0, length, 0, 0) };
        #[cfg(feature = "wrong")]
        let allocated = match crate::wrong::is(crate::wrong::Wrong::SparseJournal) {
            // SAFETY: sets the size of our own file.
            true => unsafe { sys::call(libc::SYS_ftruncate, self.file.0 as usize, length, 0, 0, 0, 0) },
            false => allocated,
        };
        if allocated < 0 {
            return Err(-allocated as i32);
        }
        sys::map_shared(&self.file, length)
    }

    /// Removes it.
    pub fn remove(&self) {
        // SAFETY: the name ends in NUL, and the file is the one that we made.
        unsafe { sys::call(libc::SYS_unlinkat, self.directory.0 as usize, self.name.as_ptr() as usize, 0, 0, 0, 0) };
    }
}
