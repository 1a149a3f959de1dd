//! Sizes of shared-memory objects. Everybody else's descriptors pass through after one load.

use core::ffi::c_int;

use libc::stat;
use shmaudit_core::calls::Call;

use super::{alias, objects};
use crate::audit::{About, Seen};
use crate::fds;
use crate::next::{NEXT, Slot};
use crate::real::libc_result;
use crate::sys;

type Truncate = unsafe extern "C" fn(c_int, i64) -> c_int;

#[inline(always)]
unsafe fn truncate(next: &Slot<Truncate>, fd: c_int, length: i64) -> c_int {
    match next.get() {
        // SAFETY: no pointers.
        Some(next) if !fds::is_object(fd) => unsafe { next(fd, length) },
        // SAFETY: no pointers.
        _ => unsafe { truncate_object(fd, length, next) },
    }
}

#[inline(never)]
unsafe fn truncate_object(fd: c_int, length: i64, next: &Slot<Truncate>) -> c_int {
    let real = || match next.late() {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(fd, length) },
        None => {
            // SAFETY: no pointers.
            libc_result(unsafe { sys::call(libc::SYS_ftruncate, fd as usize, length as usize, 0, 0, 0, 0) }) as c_int
        }
    };
    let Some(object) = objects::of(fd) else { return real() };
    let seen = Seen::start(Call::Ftruncate);
    let result = real();
    if result == 0 {
        objects::note_size(fd, length as u64);
    }
    seen.end(i64::from(result), result == -1, About::args(&[fd as u32 as u64, length as u64]).object(object));
    result
}

/// `ftruncate`.
#[unsafe(no_mangle)]
pub extern "C" fn ftruncate(fd: c_int, length: i64) -> c_int {
    // SAFETY: no pointers.
    unsafe { truncate(&NEXT.ftruncate, fd, length) }
}

alias!(ftruncate64 = truncate(fd: c_int, length: i64) -> c_int);

type Allocate = unsafe extern "C" fn(c_int, c_int, i64, i64) -> c_int;

unsafe fn allocate(next: &Slot<Allocate>, fd: c_int, mode: c_int, offset: i64, len: i64) -> c_int {
    let real = || match next.late() {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(fd, mode, offset, len) },
        // SAFETY: no pointers.
        None => libc_result(unsafe {
            sys::call(libc::SYS_fallocate, fd as usize, mode as usize, offset as usize, len as usize, 0, 0)
        }) as c_int,
    };
    let Some(object) = objects::of(fd) else { return real() };
    let seen = Seen::start(Call::Fallocate);
    let result = real();
    if result == 0 && mode & libc::FALLOC_FL_KEEP_SIZE == 0 {
        objects::note_reach(fd, (offset as u64).saturating_add(len as u64));
    }
    let args = [fd as u32 as u64, mode as u32 as u64, offset as u64, len as u64];
    seen.end(i64::from(result), result == -1, About::args(&args).object(object));
    result
}

/// `fallocate`.
#[unsafe(no_mangle)]
pub extern "C" fn fallocate(fd: c_int, mode: c_int, offset: i64, len: i64) -> c_int {
    // SAFETY: no pointers.
    unsafe { allocate(&NEXT.fallocate, fd, mode, offset, len) }
}

alias!(fallocate64 = allocate(fd: c_int, mode: c_int, offset: i64, len: i64) -> c_int);

type PosixAllocate = unsafe extern "C" fn(c_int, i64, i64) -> c_int;

unsafe fn posix_allocate(next: &Slot<PosixAllocate>, fd: c_int, offset: i64, len: i64) -> c_int {
    let real = || match next.late() {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(fd, offset, len) },
        // SAFETY: no pointers. The function returns the error number.
        None => unsafe {
            -sys::call(libc::SYS_fallocate, fd as usize, 0, offset as usize, len as usize, 0, 0) as c_int
        },
    };
    let Some(object) = objects::of(fd) else { return real() };
    let seen = Seen::start(Call::PosixFallocate);
    let result = real();
    if result == 0 {
        objects::note_reach(fd, (offset as u64).saturating_add(len as u64));
    }
    seen.end_with_errno(result, About::args(&[fd as u32 as u64, offset as u64, len as u64]).object(object));
    result
}

/// `posix_fallocate`.
#[unsafe(no_mangle)]
pub extern "C" fn posix_fallocate(fd: c_int, offset: i64, len: i64) -> c_int {
    // SAFETY: no pointers.
    unsafe { posix_allocate(&NEXT.posix_fallocate, fd, offset, len) }
}

alias!(posix_fallocate64 = posix_allocate(fd: c_int, offset: i64, len: i64) -> c_int);

/// Notes an `fstat` of one of our objects; `result` is the real call's, with `statbuf` filled where it is 0.
#[inline(always)]
unsafe fn stated(fd: c_int, statbuf: *mut stat, real: impl FnOnce() -> c_int) -> c_int {
    let Some(object) = objects::of(fd) else { return real() };
    let seen = Seen::start(Call::Fstat);
    let result = real();
    let mut data = [0u8; 16];
    if result == 0 {
        // SAFETY: the call has filled it.
        let (mode, size) = unsafe { ((*statbuf).st_mode, (*statbuf).st_size) };
        for (place, byte) in data.iter_mut().zip(u64::from(mode).to_le_bytes().into_iter().chain(size.to_le_bytes())) {
            *place = byte;
        }
        objects::note_size(fd, size as u64);
    }
    let args = [fd as u32 as u64];
    let about = About::args(&args).object(object);
    seen.end(i64::from(result), result == -1, if result == 0 { about.data(&data) } else { about });
    result
}

type Fstat = unsafe extern "C" fn(c_int, *mut stat) -> c_int;

#[inline(always)]
unsafe fn file_status(next: &Slot<Fstat>, fd: c_int, statbuf: *mut stat) -> c_int {
    match next.get() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) if !fds::is_object(fd) => unsafe { next(fd, statbuf) },
        // SAFETY: the caller's arguments, passed on.
        _ => unsafe { object_status(fd, statbuf, next) },
    }
}

#[inline(never)]
unsafe fn object_status(fd: c_int, statbuf: *mut stat, next: &Slot<Fstat>) -> c_int {
    let real = || match next.late() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(fd, statbuf) },
        // SAFETY: the caller's arguments, passed on; the kernel's struct is libc's on 64-bit systems.
        None => libc_result(unsafe { sys::call(libc::SYS_fstat, fd as usize, statbuf as usize, 0, 0, 0, 0) }) as c_int,
    };
    // SAFETY: `real` fills it.
    unsafe { stated(fd, statbuf, real) }
}

/// `fstat`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat(fd: c_int, statbuf: *mut stat) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    unsafe { file_status(&NEXT.fstat, fd, statbuf) }
}

alias!(fstat64 = file_status(fd: c_int, statbuf: *mut stat) -> c_int);

type Fxstat = unsafe extern "C" fn(c_int, c_int, *mut stat) -> c_int;

unsafe fn versioned_status(next: &Slot<Fxstat>, version: c_int, fd: c_int, statbuf: *mut stat) -> c_int {
    let real = || match next.late() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(version, fd, statbuf) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe { sys::call(libc::SYS_fstat, fd as usize, statbuf as usize, 0, 0, 0, 0) }) as c_int,
    };
    // SAFETY: `real` fills it.
    unsafe { stated(fd, statbuf, real) }
}

/// `__fxstat`: what `fstat` compiles to before glibc 2.33.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __fxstat(version: c_int, fd: c_int, statbuf: *mut stat) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    unsafe { versioned_status(&NEXT.__fxstat, version, fd, statbuf) }
}

alias!(__fxstat64 = versioned_status(version: c_int, fd: c_int, statbuf: *mut stat) -> c_int);
