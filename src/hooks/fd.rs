//! Copies and closes of descriptors. One load tells whether a descriptor is a shared-memory object.

use core::ffi::{c_char, c_int, c_uint};

use libc::FILE;
use shmaudit_core::calls::Call;
use shmaudit_core::record::ObjectId;

use super::{alias, objects};
use crate::audit::{self, About, Seen};
use crate::fds;
use crate::next::{NEXT, Slot};
use crate::real::{libc_result, next};
use crate::{errno, log, sys, vfork};

/// `close`.
#[unsafe(no_mangle)]
pub extern "C" fn close(fd: c_int) -> c_int {
    match NEXT.close.get() {
        // SAFETY: no pointers.
        Some(next) if is_nothing(fd) => unsafe { next(fd) },
        _ => close_object(fd),
    }
}

/// Whether `fd` is nothing to us: it is asked first, and most calls go on from there by a jump.
#[inline(always)]
fn is_nothing(fd: c_int) -> bool {
    !fds::is_object(fd) && !log::may_be_at(fd)
}

#[inline(never)]
fn close_object(fd: c_int) -> c_int {
    let real = || match next!(close) {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(fd) },
        // SAFETY: no pointers.
        None => libc_result(unsafe { sys::call(libc::SYS_close, fd as usize, 0, 0, 0, 0, 0) }) as c_int,
    };
    let Some(object) = own_object(fd) else {
        give_way(fd, fd);
        return real();
    };
    fds::set(fd, None);
    let seen = Seen::start(Call::Close);
    let args = [fd as u32 as u64];
    let begun = seen.begin(About::args(&args).object(object));
    let result = real();
    begun.end(i64::from(result), result == -1);
    result
}

/// The object that `fd` is, where what is done to it is done to this process's descriptors: a `vfork` child has its own.
fn own_object(fd: c_int) -> Option<ObjectId> {
    objects::of(fd).filter(|_| !vfork::is_child())
}

/// `fdopen`: from now on the descriptor may end inside the C library. Only objects' are noted.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE {
    match NEXT.fdopen.get() {
        // SAFETY: the caller's arguments, passed on.
        Some(next) if !fds::is_object(fd) => unsafe { next(fd, mode) },
        // SAFETY: the caller's arguments, passed on.
        _ => unsafe { fdopen_object(fd, mode) },
    }
}

#[inline(never)]
unsafe fn fdopen_object(fd: c_int, mode: *const c_char) -> *mut FILE {
    let Some(next) = next!(fdopen) else {
        errno::set(libc::ENOSYS);
        return core::ptr::null_mut();
    };
    // SAFETY: the caller's arguments, passed on.
    let stream = unsafe { next(fd, mode) };
    if !stream.is_null() {
        fds::set_streams(fd);
    }
    stream
}

/// The log lets go of its descriptor where the program closes or replaces that number.
#[cold]
#[inline(never)]
fn give_way(first: c_int, last: c_int) {
    if let Some(log) = audit::ready().and_then(|audit| audit.log.as_ref()) {
        log.give_way(first, last);
    }
}

/// Notes that `newfd` is what `oldfd` is.
fn copied(seen: Option<Seen>, newfd: c_int, about: About) {
    let Some(seen) = seen else { return };
    if newfd != -1 {
        fds::set(newfd, Some(about.object));
    }
    seen.end(i64::from(newfd), newfd == -1, about);
}

/// `dup`.
#[unsafe(no_mangle)]
pub extern "C" fn dup(oldfd: c_int) -> c_int {
    match NEXT.dup.get() {
        // SAFETY: no pointers.
        Some(next) if !fds::is_object(oldfd) => unsafe { next(oldfd) },
        _ => dup_object(oldfd),
    }
}

#[inline(never)]
fn dup_object(oldfd: c_int) -> c_int {
    let object = own_object(oldfd);
    let seen = object.map(|_| Seen::start(Call::Dup));
    let newfd = match next!(dup) {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(oldfd) },
        // SAFETY: no pointers.
        None => libc_result(unsafe { sys::call(libc::SYS_dup, oldfd as usize, 0, 0, 0, 0, 0) }) as c_int,
    };
    copied(seen, newfd, About::args(&[oldfd as u32 as u64]).object(object.unwrap_or(ObjectId::NONE)));
    newfd
}

/// Before `newfd` is replaced: starts a record where one of the two is an object.
fn replacing(call: Call, oldfd: c_int, newfd: c_int) -> Option<Seen> {
    give_way(newfd, newfd);
    let ours = own_object(oldfd).is_some() || own_object(newfd).is_some();
    if ours { Some(Seen::start(call)) } else { None }
}

/// After it was.
fn replaced(seen: Option<Seen>, result: c_int, oldfd: c_int, newfd: c_int, args: &[u64]) {
    let object = fds::object(oldfd);
    if result != -1 && oldfd != newfd {
        fds::set(newfd, object);
        if newfd == 2 {
            log::stderr_replaced();
        }
    }
    if let Some(seen) = seen {
        seen.end(i64::from(result), result == -1, About::args(args).object(object.unwrap_or(ObjectId::NONE)));
    }
}

/// `dup2`.
#[unsafe(no_mangle)]
pub extern "C" fn dup2(oldfd: c_int, newfd: c_int) -> c_int {
    match NEXT.dup2.get() {
        // SAFETY: no pointers.
        Some(next) if !fds::is_object(oldfd) && is_nothing(newfd) && newfd != 2 => unsafe { next(oldfd, newfd) },
        _ => dup2_object(oldfd, newfd),
    }
}

#[inline(never)]
fn dup2_object(oldfd: c_int, newfd: c_int) -> c_int {
    let seen = replacing(Call::Dup2, oldfd, newfd);
    let result = match next!(dup2) {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(oldfd, newfd) },
        None if oldfd == newfd => {
            // SAFETY: no pointers; dup3 refuses equal numbers, F_GETFD tells whether the descriptor is open.
            let open = unsafe { sys::call(libc::SYS_fcntl, oldfd as usize, libc::F_GETFD as usize, 0, 0, 0, 0) };
            if open < 0 { libc_result(open) as c_int } else { newfd }
        }
        // SAFETY: no pointers.
        None => libc_result(unsafe { sys::call(libc::SYS_dup3, oldfd as usize, newfd as usize, 0, 0, 0, 0) }) as c_int,
    };
    replaced(seen, result, oldfd, newfd, &[oldfd as u32 as u64, newfd as u32 as u64]);
    result
}

/// `dup3`.
#[unsafe(no_mangle)]
pub extern "C" fn dup3(oldfd: c_int, newfd: c_int, flags: c_int) -> c_int {
    match NEXT.dup3.get() {
        // SAFETY: no pointers.
        Some(next) if !fds::is_object(oldfd) && is_nothing(newfd) && newfd != 2 => unsafe { next(oldfd, newfd, flags) },
        _ => dup3_object(oldfd, newfd, flags),
    }
}

#[inline(never)]
fn dup3_object(oldfd: c_int, newfd: c_int, flags: c_int) -> c_int {
    let seen = replacing(Call::Dup3, oldfd, newfd);
    let result = match next!(dup3) {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(oldfd, newfd, flags) },
        None => {
            // SAFETY: no pointers.
            libc_result(unsafe { sys::call(libc::SYS_dup3, oldfd as usize, newfd as usize, flags as usize, 0, 0, 0) })
                as c_int
        }
    };
    replaced(seen, result, oldfd, newfd, &[oldfd as u32 as u64, newfd as u32 as u64, flags as u32 as u64]);
    result
}

type Fcntl = unsafe extern "C" fn(c_int, c_int, usize) -> c_int;

#[inline(always)]
unsafe fn control(next: &Slot<Fcntl>, fd: c_int, cmd: c_int, arg: usize) -> c_int {
    let copies = cmd == libc::F_DUPFD || cmd == libc::F_DUPFD_CLOEXEC;
    match next.get() {
        // SAFETY: the caller's arguments, passed on: a variadic third argument stands where a fixed one does.
        Some(next) if !copies || !fds::is_object(fd) && !log::is_from(arg) => unsafe { next(fd, cmd, arg) },
        // SAFETY: the caller's arguments, passed on.
        _ => unsafe { control_object(fd, cmd, arg, copies, next) },
    }
}

#[inline(never)]
unsafe fn control_object(fd: c_int, cmd: c_int, arg: usize, copies: bool, next: &Slot<Fcntl>) -> c_int {
    let object = if copies { own_object(fd) } else { None };
    let seen = object.map(|_| Seen::start(Call::Fcntl));
    let real = || match next.late() {
        // SAFETY: the caller's arguments, passed on: a variadic third argument stands where a fixed one does.
        Some(next) => unsafe { next(fd, cmd, arg) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe { sys::call(libc::SYS_fcntl, fd as usize, cmd as usize, arg, 0, 0, 0) }) as c_int,
    };
    let before = errno::get();
    let mut result = real();
    if copies && log::stood_in_the_way(arg, result) {
        // The number that the program would have got is the log's own: the log finds itself another.
        if result != -1 {
            drop(sys::Fd(result));
        }
        errno::set(before);
        give_way(0, c_int::MAX);
        result = real();
    }
    let args = [fd as u32 as u64, cmd as u32 as u64, arg as u64];
    copied(seen, result, About::args(&args).object(object.unwrap_or(ObjectId::NONE)));
    result
}

/// `fcntl`: only `F_DUPFD` and `F_DUPFD_CLOEXEC` are noted.
///
/// # Safety
/// As libc's; the third argument is read where `cmd` asks for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl(fd: c_int, cmd: c_int, arg: usize) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    unsafe { control(&NEXT.fcntl, fd, cmd, arg) }
}

alias!(fcntl64 = control(fd: c_int, cmd: c_int, arg: usize) -> c_int);

/// Forgets the descriptors `first` to `last` before they are closed; starts a record where an object is among them.
fn closing(call: Call, first: c_uint, last: c_uint) -> Option<Seen> {
    give_way(first.min(c_int::MAX as c_uint) as c_int, last.min(c_int::MAX as c_uint) as c_int);
    let ours = fds::objects_between(first, last).next().is_some() && !vfork::is_child();
    if ours { Some(Seen::start(call)) } else { None }
}

fn forget(first: c_uint, last: c_uint) {
    for (fd, _) in fds::objects_between(first, last) {
        fds::set(fd, None);
    }
}

/// `close_range`.
#[unsafe(no_mangle)]
pub extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    const CLOSE_RANGE_CLOEXEC: c_int = 4;
    let real = || match next!(close_range) {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(first, last, flags) },
        // SAFETY: no pointers.
        None => libc_result(unsafe {
            sys::call(libc::SYS_close_range, first as usize, last as usize, flags as usize, 0, 0, 0)
        }) as c_int,
    };
    if flags & CLOSE_RANGE_CLOEXEC != 0 {
        return real();
    }
    let args = [u64::from(first), u64::from(last), flags as u32 as u64];
    let begun = closing(Call::CloseRange, first, last).map(|seen| seen.begin(About::args(&args)));
    let result = real();
    if result == 0 {
        forget(first, last);
    }
    if let Some(begun) = begun {
        begun.end(i64::from(result), result == -1);
    }
    result
}

/// `closefrom`.
#[unsafe(no_mangle)]
pub extern "C" fn closefrom(lowfd: c_int) {
    let first = lowfd.max(0) as c_uint;
    let args = [lowfd as u32 as u64];
    let begun = closing(Call::Closefrom, first, c_uint::MAX).map(|seen| seen.begin(About::args(&args)));
    if let Some(next) = next!(closefrom) {
        // SAFETY: no pointers.
        unsafe { next(lowfd) };
    } else {
        // SAFETY: no pointers.
        unsafe { sys::call(libc::SYS_close_range, first as usize, c_uint::MAX as usize, 0, 0, 0, 0) };
    }
    forget(first, c_uint::MAX);
    if let Some(begun) = begun {
        begun.end(0, false);
    }
}
