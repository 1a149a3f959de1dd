//! Sizes and mappings of shared-memory objects. Everybody else's pass through after one look at flags or page bits.

use core::ffi::{CStr, c_char, c_int, c_void};

use libc::{key_t, size_t, stat};
use shmaudit_core::calls::Call;
use shmaudit_core::record::ObjectId;

use super::{alias, objects};
use crate::audit::{About, Seen};
use crate::fds;
use crate::next::{NEXT, Slot};
use crate::real::{libc_result, next};
use crate::{errno, pages, sys};

type Mmap = unsafe extern "C" fn(*mut c_void, size_t, c_int, c_int, c_int, i64) -> *mut c_void;

#[inline(always)]
unsafe fn real_mmap(
    next: &Slot<Mmap>,
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    match next.late() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(addr, length, prot, flags, fd, offset) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe {
            sys::call(
                libc::SYS_mmap,
                addr as usize,
                length,
                prot as usize,
                flags as usize,
                fd as usize,
                offset as usize,
            )
        }) as *mut c_void,
    }
}

#[inline(always)]
unsafe fn map(
    next: &Slot<Mmap>,
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    let may_be_object = flags & libc::MAP_ANONYMOUS == 0
        && (flags & libc::MAP_TYPE != libc::MAP_PRIVATE || fds::is_object(fd))
        || flags & libc::MAP_FIXED != 0;
    match next.get() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) if !may_be_object => unsafe { next(addr, length, prot, flags, fd, offset) },
        // SAFETY: the caller's arguments, passed on.
        _ => unsafe { map_object(addr, length, prot, flags, fd, offset, next) },
    }
}

/// What may be about an object: all that is left after one look at the flags.
#[inline(never)]
unsafe fn map_object(
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
    next: &Slot<Mmap>,
) -> *mut c_void {
    let over_ours = flags & libc::MAP_FIXED != 0 && pages::any(addr as usize, length);
    let object = match flags & libc::MAP_ANONYMOUS {
        0 => fds::object(fd).or_else(|| {
            if flags & libc::MAP_TYPE == libc::MAP_PRIVATE { None } else { objects::identify(fd) }
        }),
        _ => None,
    };
    if object.is_none() && !over_ours {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { real_mmap(next, addr, length, prot, flags, fd, offset) };
    }
    let seen = Seen::start(Call::Mmap);
    // SAFETY: the caller's arguments, passed on.
    let at = unsafe { real_mmap(next, addr, length, prot, flags, fd, offset) };
    let failed = at as isize == -1;
    if !failed {
        if over_ours {
            pages::remove(at as usize, length);
        }
        if object.is_some() {
            pages::add(at as usize, length);
        }
    }
    let args = [addr as u64, length as u64, prot as u32 as u64, flags as u32 as u64, fd as u32 as u64, offset as u64];
    seen.end(at as i64, failed, About::args(&args).object(object.unwrap_or(ObjectId::NONE)));
    at
}

/// `mmap`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: the caller's arguments, passed on.
    unsafe { map(&NEXT.mmap, addr, length, prot, flags, fd, offset) }
}

alias!(mmap64 = map(addr: *mut c_void, length: size_t, prot: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void);

#[inline(always)]
unsafe fn real_munmap(addr: *mut c_void, length: size_t) -> c_int {
    match next!(munmap) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(addr, length) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe { sys::call(libc::SYS_munmap, addr as usize, length, 0, 0, 0, 0) }) as c_int,
    }
}

/// `munmap`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(addr: *mut c_void, length: size_t) -> c_int {
    match NEXT.munmap.get() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) if !pages::any(addr as usize, length) => unsafe { next(addr, length) },
        // SAFETY: the caller's arguments, passed on.
        _ => unsafe { unmap_object(addr, length) },
    }
}

#[inline(never)]
unsafe fn unmap_object(addr: *mut c_void, length: size_t) -> c_int {
    if !pages::any(addr as usize, length) {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { real_munmap(addr, length) };
    }
    let seen = Seen::start(Call::Munmap);
    let args = [addr as u64, length as u64];
    let begun = seen.begin(About::args(&args));
    // Before the call: afterwards the pages may be another thread's new mapping.
    pages::remove(addr as usize, length);
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { real_munmap(addr, length) };
    if result == -1 {
        pages::add(addr as usize, length);
    }
    begun.end(i64::from(result), result == -1);
    result
}

/// `mremap`.
///
/// # Safety
/// As libc's; the fifth argument is read where `flags` ask for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mremap(
    old_address: *mut c_void,
    old_size: size_t,
    new_size: size_t,
    flags: c_int,
    new_address: *mut c_void,
) -> *mut c_void {
    let ours = pages::any(old_address as usize, old_size.max(1))
        || flags & libc::MREMAP_FIXED != 0 && pages::any(new_address as usize, new_size);
    let seen = if ours { Some(Seen::start(Call::Mremap)) } else { None };
    let at = match next!(mremap) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(old_address, old_size, new_size, flags, new_address) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe {
            sys::call(
                libc::SYS_mremap,
                old_address as usize,
                old_size,
                new_size,
                flags as usize,
                new_address as usize,
                0,
            )
        }) as *mut c_void,
    };
    let Some(seen) = seen else { return at };
    let failed = at as isize == -1;
    if !failed {
        // An old size of 0 copies a shared mapping and leaves the old one.
        pages::remove(old_address as usize, old_size);
        pages::add(at as usize, new_size);
    }
    let args = [old_address as u64, old_size as u64, new_size as u64, flags as u32 as u64, new_address as u64];
    seen.end(at as i64, failed, About::args(&args));
    at
}

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
    let Some(object) = fds::object(fd) else { return real() };
    let seen = Seen::start(Call::Ftruncate);
    let result = real();
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
    let Some(object) = fds::object(fd) else { return real() };
    let seen = Seen::start(Call::Fallocate);
    let result = real();
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
    let Some(object) = fds::object(fd) else { return real() };
    let seen = Seen::start(Call::PosixFallocate);
    let result = real();
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
    let Some(object) = fds::object(fd) else { return real() };
    let seen = Seen::start(Call::Fstat);
    let result = real();
    let mut data = [0u8; 16];
    if result == 0 {
        // SAFETY: the call has filled it.
        let (mode, size) = unsafe { ((*statbuf).st_mode, (*statbuf).st_size) };
        for (place, byte) in data.iter_mut().zip(u64::from(mode).to_le_bytes().into_iter().chain(size.to_le_bytes())) {
            *place = byte;
        }
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
