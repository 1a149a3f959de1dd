//! Paths that do not begin as the shm mount's do and lead there all the same: from the working directory, from the descriptor
//! of a directory, by a link to the mount.
//!
//! Only the kernel knows, and it is asked only where it matters: after an open of a relative path that could make a file,
//! and after a removal, a rename or a link of what bears a name that the registry knows. Not where a filter of system calls
//! may be in force.

use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;

use shmaudit_core::layout::hash_name;

use super::objects;
use super::path::MOUNT;
use crate::audit::Seen;
use crate::{fds, filter, sys};

/// Bytes of the mount's path and the longest name in it.
pub const ROOM: usize = MOUNT.len() + 255;

/// The path of what `fd` was opened as, if that path was relative and led to a file under the shm mount.
///
/// # Safety
/// The kernel has read the path without a fault.
#[cold]
#[inline(never)]
pub unsafe fn opened(fd: c_int, path: *const c_char, room: &mut [u8; ROOM]) -> Option<&[u8]> {
    wrong!(PathsAsSpelled => { return None });
    // SAFETY: a string has one byte at least.
    if unsafe { *path } as u8 == b'/' || !filter::is_none() {
        return None;
    }
    let file = sys::identity(fd).ok()?;
    if file.dev != fds::shm_dev() || file.mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let length = sys::link_of(fd, room)?;
    let path = room.get(..length)?;
    // What fills the room may be longer.
    if length < ROOM && path.starts_with(MOUNT) { Some(path) } else { None }
}

/// The name under the shm mount that `path`, from the directory `dirfd` on, leads to, if the registry knows an object of that
/// name.
///
/// # Safety
/// The kernel has read the path without a fault.
#[inline(always)]
pub unsafe fn known<'a>(seen: &Seen, dirfd: c_int, path: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    let (directory, name) = unsafe { split(path) };
    objects::find(seen, hash_name(name))?;
    if is_mount(dirfd, directory) { Some(name) } else { None }
}

/// The name under the shm mount that `path`, from the directory `dirfd` on, leads to.
///
/// # Safety
/// The kernel has read the path without a fault.
pub unsafe fn name<'a>(dirfd: c_int, path: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    let (directory, name) = unsafe { split(path) };
    if is_mount(dirfd, directory) { Some(name) } else { None }
}

/// A path's directory, with its slash, and the name in it.
unsafe fn split<'a>(path: *const c_char) -> (&'a [u8], &'a [u8]) {
    // SAFETY: a string, which the kernel has read.
    let text = unsafe { CStr::from_ptr(path) }.to_bytes();
    let at = text.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    text.split_at_checked(at).unwrap_or((&[], text))
}

/// Whether `directory`, from `dirfd` on, is the shm mount's.
#[cold]
#[inline(never)]
fn is_mount(dirfd: c_int, directory: &[u8]) -> bool {
    wrong!(PathsAsSpelled => { return false });
    if !filter::is_none() {
        return false;
    }
    let mut room = [0; 256];
    if directory.len() >= room.len() {
        return false;
    }
    for (place, &byte) in room.iter_mut().zip(directory) {
        *place = byte;
    }
    let Ok(path) = CStr::from_bytes_until_nul(&room) else { return false };
    let here = sys::stat_at(dirfd, path, if directory.is_empty() { libc::AT_EMPTY_PATH } else { 0 });
    let mount = sys::stat_at(libc::AT_FDCWD, c"/dev/shm", 0);
    here.is_ok_and(|here| mount.is_ok_and(|mount| (here.st_dev, here.st_ino) == (mount.st_dev, mount.st_ino)))
}

/// The whole path of the object `name`.
pub fn whole<'a>(name: &[u8], room: &'a mut [MaybeUninit<u8>; ROOM]) -> &'a [u8] {
    let mut length = 0;
    for (place, &byte) in room.iter_mut().zip(MOUNT.iter().chain(name)) {
        place.write(byte);
        length += 1;
    }
    // SAFETY: as many were written, and the room has them.
    unsafe { core::slice::from_raw_parts(room.as_ptr().cast(), length) }
}
