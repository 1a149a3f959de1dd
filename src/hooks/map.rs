//! Sizes and mappings of shared-memory objects. Everybody else's pass through after one look at flags or page bits.

use core::ffi::{CStr, c_char, c_int, c_void};

use libc::{key_t, size_t, stat};
use shmaudit_core::calls::Call;
use shmaudit_core::record::ObjectId;

use super::{alias, objects};
use crate::audit::{About, Seen};
use crate::fds;
use crate::real::{libc_result, next};
use crate::{errno, pages, sys};

type Mmap = unsafe extern "C" fn(*mut c_void, size_t, c_int, c_int, c_int, i64) -> *mut c_void;

#[inline(always)]
unsafe fn real_mmap(
    next: Option<Mmap>,
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    match next {
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
    next: Option<Mmap>,
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    let may_be_object =
        flags & libc::MAP_ANONYMOUS == 0 && (flags & libc::MAP_TYPE != libc::MAP_PRIVATE || fds::object(fd).is_some());
    let over_ours = flags & libc::MAP_FIXED != 0 && pages::any(addr as usize, length);
    if !may_be_object && !over_ours {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { real_mmap(next, addr, length, prot, flags, fd, offset) };
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { map_object(next, addr, length, prot, flags, fd, offset, over_ours) }
}

#[expect(clippy::too_many_arguments, reason = "mmap's own six, the next definition and what is known")]
unsafe fn map_object(
    next: Option<Mmap>,
    addr: *mut c_void,
    length: size_t,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
    over_ours: bool,
) -> *mut c_void {
    let known = if flags & libc::MAP_ANONYMOUS != 0 { Some(None) } else { fds::object(fd).map(Some) };
    let (object, mut size) = match known {
        Some(object) => (object, None),
        None => objects::identify(fd).map_or((None, None), |(object, size)| (Some(object), Some(size))),
    };
    if object.is_none() && !over_ours {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { real_mmap(next, addr, length, prot, flags, fd, offset) };
    }
    let seen = Seen::start(Call::Mmap);
    // SAFETY: the caller's arguments, passed on.
    let at = unsafe { real_mmap(next, addr, length, prot, flags, fd, offset) };
    let failed = at as isize == -1;
    if size.is_none() && !fds::is_sized(fd) {
        size = object.and_then(|object| objects::unknown_size(fd, object));
    }
    if !failed {
        if over_ours {
            pages::remove(at as usize, length);
        }
        if object.is_some() {
            pages::add(at as usize, length);
        }
    }
    let args = [addr as u64, length as u64, prot as u32 as u64, flags as u32 as u64, fd as u32 as u64, offset as u64];
    let size = size.map(u64::to_le_bytes);
    let about = About::args(&args).object(object.unwrap_or(ObjectId::NONE));
    seen.end(at as i64, failed, about.data(size.as_ref().map_or(&[], |size| size)));
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
    unsafe { map(next!(mmap), addr, length, prot, flags, fd, offset) }
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
unsafe fn truncate(next: Option<Truncate>, fd: c_int, length: i64) -> c_int {
    let real = || match next {
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
    unsafe { truncate(next!(ftruncate), fd, length) }
}

alias!(ftruncate64 = truncate(fd: c_int, length: i64) -> c_int);

type Allocate = unsafe extern "C" fn(c_int, c_int, i64, i64) -> c_int;

#[inline(always)]
unsafe fn allocate(next: Option<Allocate>, fd: c_int, mode: c_int, offset: i64, len: i64) -> c_int {
    let real = || match next {
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
    if result == 0 && mode & libc::FALLOC_FL_KEEP_SIZE == 0 {
        objects::note_size(fd, len as u64);
    }
    let args = [fd as u32 as u64, mode as u32 as u64, offset as u64, len as u64];
    seen.end(i64::from(result), result == -1, About::args(&args).object(object));
    result
}

/// `fallocate`.
#[unsafe(no_mangle)]
pub extern "C" fn fallocate(fd: c_int, mode: c_int, offset: i64, len: i64) -> c_int {
    // SAFETY: no pointers.
    unsafe { allocate(next!(fallocate), fd, mode, offset, len) }
}

alias!(fallocate64 = allocate(fd: c_int, mode: c_int, offset: i64, len: i64) -> c_int);

type PosixAllocate = unsafe extern "C" fn(c_int, i64, i64) -> c_int;

#[inline(always)]
unsafe fn posix_allocate(next: Option<PosixAllocate>, fd: c_int, offset: i64, len: i64) -> c_int {
    let real = || match next {
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
    if result == 0 {
        objects::note_size(fd, len as u64);
    }
    seen.end_with_errno(result, About::args(&[fd as u32 as u64, offset as u64, len as u64]).object(object));
    result
}

/// `posix_fallocate`.
#[unsafe(no_mangle)]
pub extern "C" fn posix_fallocate(fd: c_int, offset: i64, len: i64) -> c_int {
    // SAFETY: no pointers.
    unsafe { posix_allocate(next!(posix_fallocate), fd, offset, len) }
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
        objects::note_size(fd, size as u64);
    }
    let args = [fd as u32 as u64];
    let about = About::args(&args).object(object);
    seen.end(i64::from(result), result == -1, if result == 0 { about.data(&data) } else { about });
    result
}

type Fstat = unsafe extern "C" fn(c_int, *mut stat) -> c_int;

#[inline(always)]
unsafe fn file_status(next: Option<Fstat>, fd: c_int, statbuf: *mut stat) -> c_int {
    let real = || match next {
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
    unsafe { file_status(next!(fstat), fd, statbuf) }
}

alias!(fstat64 = file_status(fd: c_int, statbuf: *mut stat) -> c_int);

type Fxstat = unsafe extern "C" fn(c_int, c_int, *mut stat) -> c_int;

#[inline(always)]
unsafe fn versioned_status(next: Option<Fxstat>, version: c_int, fd: c_int, statbuf: *mut stat) -> c_int {
    let real = || match next {
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
    unsafe { versioned_status(next!(__fxstat), version, fd, statbuf) }
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
