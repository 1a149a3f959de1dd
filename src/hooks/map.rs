//! Mappings of shared-memory objects. Everybody else's pass through after one look at flags or page bits.

use core::ffi::{c_int, c_void};

use libc::size_t;
use shmaudit_core::calls::Call;
use shmaudit_core::record::ObjectId;

use super::{alias, objects};
use crate::audit::{About, Seen};
use crate::fds;
use crate::next::{NEXT, Slot};
use crate::real::{libc_result, next};
use crate::{pages, sys};

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
    #[cfg(feature = "wrong")]
    let over_ours = over_ours && !crate::wrong::is(crate::wrong::Wrong::BlindToFixed);
    let known = if flags & libc::MAP_ANONYMOUS != 0 { Some(None) } else { objects::of(fd).map(Some) };
    let (object, mut size) = match known {
        Some(object) => (object, None),
        None if flags & libc::MAP_TYPE == libc::MAP_PRIVATE => (None, None),
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
    if size.is_none() {
        size = object.and_then(|object| objects::unknown_size(fd, object, offset, length));
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
    let taken = pages::is_range(addr as usize, length);
    if taken {
        pages::remove(addr as usize, length);
    }
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { real_munmap(addr, length) };
    if taken && result == -1 {
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
