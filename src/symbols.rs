//! Names for addresses of this process, from the files that it has loaded. Only ever used contained: a file that changes
//! under us, or lies, ends the contained child and nothing else.

use alloc::ffi::CString;
use core::ops::Deref;

use shmaudit_core::symbols::Files;

use crate::{own, sys};

/// Files, mapped read-only.
pub struct Maps;

impl Files for Maps {
    type Bytes = Bytes;

    fn open(&mut self, path: &[u8]) -> Option<Bytes> {
        let path = CString::new(path).ok()?;
        let fd = sys::open(&path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0).ok()?;
        let stat = sys::fstat(fd.0).ok()?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG || stat.st_size <= 0 {
            return None;
        }
        Bytes::of(&fd, stat.st_size as usize)
    }
}

/// A file's bytes, mapped until dropped: the child that reads them shares the program's memory, and what it left mapped would
/// stay there.
pub struct Bytes(&'static [u8]);

impl Bytes {
    fn of(file: &sys::Fd, length: usize) -> Option<Bytes> {
        let (prot, flags) = (libc::PROT_READ as usize, libc::MAP_PRIVATE as usize);
        // SAFETY: a new private read-only mapping.
        let at = unsafe { sys::call(libc::SYS_mmap, 0, length, prot, flags, file.0 as usize, 0) };
        if (-4095..=0).contains(&at) {
            return None;
        }
        own::add(at as usize, length);
        // SAFETY: the kernel just mapped this many bytes; they stay mapped until this is dropped. A file that is cut short
        // under us faults, which is why it is only read in the contained child.
        Some(Bytes(unsafe { core::slice::from_raw_parts(at as *const u8, length) }))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: a mapping of our own, and what is borrowed of it ends before this.
        unsafe { sys::unmap(self.0.as_ptr().cast_mut(), self.0.len()) };
    }
}

/// No file can be opened: addresses have files and offsets, and no names.
pub struct NoFiles;

impl Files for NoFiles {
    type Bytes = &'static [u8];

    fn open(&mut self, _: &[u8]) -> Option<&'static [u8]> {
        None
    }
}
