//! Names for addresses of this process, from the files that it has loaded. Only ever used contained: a file that changes
//! under us, or lies, ends the contained child and nothing else.

use alloc::ffi::CString;

use shmaudit_core::symbols::Files;

use crate::sys;

/// Files, mapped read-only.
pub struct Maps;

impl Files for Maps {
    type Bytes = &'static [u8];

    fn open(&mut self, path: &[u8]) -> Option<&'static [u8]> {
        let path = CString::new(path).ok()?;
        let fd = sys::open(&path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0).ok()?;
        let stat = sys::fstat(fd.0).ok()?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG || stat.st_size <= 0 {
            return None;
        }
        sys::map_file(fd.0, stat.st_size as usize)
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
