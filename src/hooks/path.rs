//! Paths under the shm mount that are opened and removed without `shm_open`, and `memfd_create`.

use core::ffi::{CStr, c_char, c_int, c_uint};
use core::mem::MaybeUninit;

use libc::mode_t;
use shmaudit_core::calls::Call;
use shmaudit_core::layout::{bare_name, hash_name};
use shmaudit_core::record::{FLAG_CREATED, FLAG_MAYBE_CREATED, Family, MAX_ARGS, ObjectId};

use super::{alias, objects, relative};
use crate::audit::{self, About, Seen};
use crate::fds;
use crate::next::Slot;
use crate::real::{libc_result, next};
use crate::{errno, inside, real, sys};

/// How paths of the shm mount begin.
pub const MOUNT: &[u8] = b"/dev/shm/";

/// `path` and the object's name, if it is under the shm mount.
///
/// # Safety
/// `path` is a string that the kernel has read, or would fault on.
#[inline(always)]
pub unsafe fn under_mount<'a>(path: *const c_char) -> Option<(&'a [u8], &'a [u8])> {
    for (index, &byte) in MOUNT.iter().enumerate() {
        // SAFETY: every byte before was not the string's end.
        if unsafe { *path.add(index) } as u8 != byte {
            return None;
        }
    }
    // SAFETY: a string.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    let name = bare_name(path.get(MOUNT.len()..)?);
    if name.is_empty() { None } else { Some((path, name)) }
}

/// After an open of any kind: notes it where the path is under the shm mount and no `shm_open` is behind it.
///
/// # Safety
/// `path` is what the call was given.
#[inline(always)]
unsafe fn opened(seen: Seen, fd: c_int, path: *const c_char, oflag: c_int, args: &[u64]) {
    if fd == -1 && !errno::says_path_was_read() {
        return;
    }
    if fd != -1 {
        fds::set(fd, None);
    }
    // SAFETY: the kernel has read the path without a fault.
    if let Some((path, name)) = unsafe { under_mount(path) } {
        object_opened(seen, fd, path, name, oflag, args);
    } else if oflag & libc::O_CREAT != 0 && fd != -1 && seen.audit().is_some() {
        // SAFETY: as above.
        unsafe { opened_from_elsewhere(seen, fd, path, oflag, args) };
    }
}

/// After an open that could make a file, by another path than the mount's.
#[cold]
#[inline(never)]
unsafe fn opened_from_elsewhere(seen: Seen, fd: c_int, path: *const c_char, oflag: c_int, args: &[u64]) {
    let mut room = [0; relative::ROOM];
    // SAFETY: the kernel has read the path without a fault.
    if let Some(path) = unsafe { relative::opened(fd, path, &mut room) } {
        let name = bare_name(path.get(MOUNT.len()..).unwrap_or(&[]));
        object_opened(seen, fd, path, name, oflag, args);
    }
}

#[cold]
fn object_opened(seen: Seen, fd: c_int, path: &[u8], name: &[u8], oflag: c_int, args: &[u64]) {
    if inside::is_inside() {
        return;
    }
    let made = match (fd, oflag & libc::O_CREAT, oflag & libc::O_EXCL) {
        (-1, _, _) | (_, 0, _) => 0,
        (_, _, 0) => FLAG_MAYBE_CREATED,
        _ => FLAG_CREATED,
    };
    let mut opened = objects::opened(fd, made, &seen);
    // The flags cannot be changed before the path is known, so the file's birth decides, where nobody of the tree is known
    // to have made it.
    if opened.made & FLAG_MAYBE_CREATED != 0 {
        let ours = objects::was_just_born(fd, &seen) && objects::find(&seen, hash_name(name)).is_none();
        opened.made = if ours { FLAG_CREATED } else { 0 };
    }
    let mut room = [0; MAX_ARGS];
    let about = About { flags: opened.made, label: name, ..About::args(opened.args(args, &mut room)) };
    seen.end(i64::from(fd), fd == -1, about.object(opened.object).data(path));
}

type Open = unsafe extern "C" fn(*const c_char, c_int, mode_t) -> c_int;
type Open2 = unsafe extern "C" fn(*const c_char, c_int) -> c_int;
type Openat = unsafe extern "C" fn(c_int, *const c_char, c_int, mode_t) -> c_int;
type Openat2 = unsafe extern "C" fn(c_int, *const c_char, c_int) -> c_int;

#[inline(always)]
unsafe fn raw_openat(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    libc_result(unsafe {
        sys::call(libc::SYS_openat, dirfd as usize, path as usize, flags as usize, mode as usize, 0, 0)
    }) as c_int
}

#[inline(always)]
unsafe fn open_with(next: &Slot<Open>, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let seen = Seen::if_ready(Call::Open);
    wrong!(ReadsEarly => {
        // SAFETY: none: that is the point.
        core::hint::black_box(unsafe { core::ptr::read_volatile(path) });
    });
    let fd = match next.late() {
        // SAFETY: the caller's arguments, passed on: a variadic third argument stands where a fixed one does.
        Some(next) => unsafe { next(path, flags, mode) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { raw_openat(libc::AT_FDCWD, path, flags, mode) },
    };
    // SAFETY: what the call was given.
    unsafe { opened(seen, fd, path, flags, &[flags as u32 as u64, u64::from(mode)]) };
    fd
}

#[inline(always)]
unsafe fn open_2(next: &Slot<Open2>, path: *const c_char, flags: c_int) -> c_int {
    let seen = Seen::if_ready(Call::Open);
    let fd = match next.late() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(path, flags) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { raw_openat(libc::AT_FDCWD, path, flags, 0) },
    };
    // SAFETY: what the call was given.
    unsafe { opened(seen, fd, path, flags, &[flags as u32 as u64, 0]) };
    fd
}

#[inline(always)]
unsafe fn openat_with(next: &Slot<Openat>, dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let seen = Seen::if_ready(Call::Openat);
    let fd = match next.late() {
        // SAFETY: the caller's arguments, passed on: a variadic fourth argument stands where a fixed one does.
        Some(next) => unsafe { next(dirfd, path, flags, mode) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { raw_openat(dirfd, path, flags, mode) },
    };
    // SAFETY: what the call was given.
    unsafe { opened(seen, fd, path, flags, &[dirfd as u32 as u64, flags as u32 as u64, u64::from(mode)]) };
    fd
}

#[inline(always)]
unsafe fn openat_2(next: &Slot<Openat2>, dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    let seen = Seen::if_ready(Call::Openat);
    let fd = match next.late() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(dirfd, path, flags) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { raw_openat(dirfd, path, flags, 0) },
    };
    // SAFETY: what the call was given.
    unsafe { opened(seen, fd, path, flags, &[dirfd as u32 as u64, flags as u32 as u64, 0]) };
    fd
}

alias!(open = open_with(path: *const c_char, flags: c_int, mode: mode_t) -> c_int);
alias!(open64 = open_with(path: *const c_char, flags: c_int, mode: mode_t) -> c_int);
alias!(__open_2 = open_2(path: *const c_char, flags: c_int) -> c_int);
alias!(__open64_2 = open_2(path: *const c_char, flags: c_int) -> c_int);
alias!(openat = openat_with(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int);
alias!(openat64 = openat_with(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int);
alias!(__openat_2 = openat_2(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int);
alias!(__openat64_2 = openat_2(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int);

type Creat = unsafe extern "C" fn(*const c_char, mode_t) -> c_int;

#[inline(always)]
unsafe fn create(next: &Slot<Creat>, path: *const c_char, mode: mode_t) -> c_int {
    const FLAGS: c_int = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    let seen = Seen::if_ready(Call::Creat);
    let fd = match next.late() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(path, mode) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { raw_openat(libc::AT_FDCWD, path, FLAGS, mode) },
    };
    // SAFETY: what the call was given.
    unsafe { opened(seen, fd, path, FLAGS, &[u64::from(mode)]) };
    fd
}

alias!(creat = create(path: *const c_char, mode: mode_t) -> c_int);
alias!(creat64 = create(path: *const c_char, mode: mode_t) -> c_int);

/// After a removal: notes it. The path could not be read before the kernel had accepted it, so the record says which
/// position of the ring the removal came before.
unsafe fn unlinked(seen: Seen, mark: Option<u64>, result: c_int, dirfd: c_int, path: *const c_char, args: &[u64]) {
    if result == -1 && !errno::says_path_was_read() {
        return;
    }
    // SAFETY: the kernel has read the path without a fault.
    match unsafe { under_mount(path) } {
        Some((path, name)) => object_unlinked(seen, mark, result, path, name, args),
        // SAFETY: as above.
        None if result == 0 => unsafe { unlinked_from_elsewhere(seen, mark, dirfd, path, args) },
        None => {}
    }
}

/// After a removal by another path than the mount's.
#[inline(never)]
unsafe fn unlinked_from_elsewhere(seen: Seen, mark: Option<u64>, dirfd: c_int, path: *const c_char, args: &[u64]) {
    // SAFETY: the kernel has read the path without a fault.
    if let Some(name) = unsafe { relative::known(&seen, dirfd, path) } {
        let mut room = [MaybeUninit::uninit(); relative::ROOM];
        object_unlinked(seen, mark, 0, relative::whole(name, &mut room), name, args);
    }
}

#[cold]
fn object_unlinked(seen: Seen, mark: Option<u64>, result: c_int, path: &[u8], name: &[u8], args: &[u64]) {
    if inside::is_inside() {
        return;
    }
    if result == 0 {
        objects::removed(&seen, hash_name(name));
    }
    seen.end(i64::from(result), result == -1, About { mark, ..About::args(args).data(path) });
}

/// Where the ring is before a call that can only be noted after it.
pub fn mark() -> Option<u64> {
    audit::ready().map(|audit| audit.recorder.head())
}

/// `unlink`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let (seen, mark) = (Seen::if_ready(Call::Unlink), mark());
    let result = match next!(unlink) {
        // SAFETY: the caller's argument, passed on.
        Some(next) => unsafe { next(path) },
        None => {
            // SAFETY: the caller's argument, passed on.
            libc_result(unsafe { sys::call(libc::SYS_unlinkat, libc::AT_FDCWD as usize, path as usize, 0, 0, 0, 0) })
                as c_int
        }
    };
    // SAFETY: what the call was given.
    unsafe { unlinked(seen, mark, result, libc::AT_FDCWD, path, &[]) };
    result
}

/// `remove`: the C library's own way to unlink, of which no other hook sees anything.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn remove(path: *const c_char) -> c_int {
    let (seen, mark) = (Seen::if_ready(Call::Unlink), mark());
    let inside = inside::Inside::new();
    let result = match next!(remove) {
        // SAFETY: the caller's argument, passed on.
        Some(next) => unsafe { next(path) },
        None => {
            let unlink = |flags: c_int| {
                // SAFETY: the caller's argument, passed on.
                unsafe {
                    sys::call(libc::SYS_unlinkat, libc::AT_FDCWD as usize, path as usize, flags as usize, 0, 0, 0)
                }
            };
            libc_result(match unlink(0) {
                result if result == -(libc::EISDIR as isize) => unlink(libc::AT_REMOVEDIR),
                result => result,
            }) as c_int
        }
    };
    drop(inside);
    // SAFETY: what the call was given.
    unsafe { unlinked(seen, mark, result, libc::AT_FDCWD, path, &[]) };
    result
}

/// `unlinkat`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    let (seen, mark) = (Seen::if_ready(Call::Unlinkat), mark());
    let result = match next!(unlinkat) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(dirfd, path, flags) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe {
            sys::call(libc::SYS_unlinkat, dirfd as usize, path as usize, flags as usize, 0, 0, 0)
        }) as c_int,
    };
    // SAFETY: what the call was given.
    unsafe { unlinked(seen, mark, result, dirfd, path, &[dirfd as u32 as u64, flags as u32 as u64]) };
    result
}

/// `memfd_create`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memfd_create(name: *const c_char, flags: c_uint) -> c_int {
    let seen = Seen::start(Call::MemfdCreate);
    let fd = match next!(memfd_create) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(name, flags) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe { sys::call(libc::SYS_memfd_create, name as usize, flags as usize, 0, 0, 0, 0) })
            as c_int,
    };
    // Flags and lengths are refused before the name is read.
    let readable = fd != -1;
    // SAFETY: the kernel has read the name without a fault.
    let text = if readable { unsafe { CStr::from_ptr(name) }.to_bytes() } else { &[] };
    let mut about = About::args(&[]);
    let args = [u64::from(flags)];
    about.args = &args;
    let file = if fd == -1 || seen.audit().is_none() { None } else { real::identity(fd) };
    if let Some(file) = file {
        let object = ObjectId { family: Family::Memfd, dev: file.dev, ino: file.ino };
        fds::set(fd, Some(object));
        about.object = object;
        about.flags = FLAG_CREATED;
    }
    seen.end(i64::from(fd), fd == -1, about.data(text));
    fd
}
