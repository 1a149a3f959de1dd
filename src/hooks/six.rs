//! The six: shared memory by name and by key, exactly as libc has it.

use core::ffi::{CStr, c_char, c_int, c_void};

use libc::{key_t, mode_t, shmid_ds, size_t};
use shmaudit_core::calls::Call;
use shmaudit_core::layout::{bare_name, hash_name, hash_shmid};
use shmaudit_core::record::{FLAG_MAYBE_CREATED, Family, ObjectId, Opening};

use super::objects;
use crate::audit::{About, Seen};
use crate::{pages, real};

/// Opens, or with `O_CREAT` makes, the POSIX shared-memory object `name`. See shm_open(3).
///
/// Returns a descriptor that the caller owns, or -1 with errno.
///
/// # Safety
/// `name` is a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shm_open(name: *const c_char, oflag: c_int, mode: mode_t) -> c_int {
    let seen = Seen::start(Call::ShmOpen);
    // SAFETY: the real call reads the string without a question, and so faults where this does.
    let text = unsafe { CStr::from_ptr(name) }.to_bytes();
    // What it finds comes after them.
    let [mode_and_owner, size] = Opening::words_of(None);
    let args = [oflag as u32 as u64, u64::from(mode), mode_and_owner, size];
    let about = About { label: bare_name(text), ..About::args(&args) }.data(text);
    // SAFETY: the caller's arguments, passed on.
    let open = |oflag| unsafe { real::shm_open(name, oflag, mode) };
    if oflag & libc::O_CREAT == 0 {
        let fd = open(oflag);
        let opened = objects::opened(fd, 0, &seen);
        let [mode_and_owner, size] = Opening::words_of(opened.facts);
        let args = [oflag as u32 as u64, u64::from(mode), mode_and_owner, size];
        seen.end(i64::from(fd), fd == -1, About { args: &args, ..about }.object(opened.object));
        return fd;
    }
    let making = seen.begin_making(Family::Posix, about);
    let (fd, made) = real::creating(oflag, libc::O_CREAT, libc::O_EXCL, open);
    // It was there when exclusive creation was asked for. That it went and came again in between nothing can tell for sure: the
    // kernel's times are too coarse. Under a supervisor it is found all the same, without its maker.
    let opened = objects::opened(fd, made & !FLAG_MAYBE_CREATED, &seen);
    making.end(i64::from(fd), fd == -1, opened.object, opened.made, Opening::words_of(opened.facts));
    fd
}

/// Removes the POSIX shared-memory object `name`; its memory goes with its last mapping and descriptor. See shm_unlink(3).
///
/// Returns 0, or -1 with errno.
///
/// # Safety
/// `name` is a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shm_unlink(name: *const c_char) -> c_int {
    let seen = Seen::start(Call::ShmUnlink);
    // SAFETY: the real call reads the string without a question, and so faults where this does.
    let text = unsafe { CStr::from_ptr(name) }.to_bytes();
    let hash = hash_name(bare_name(text));
    let entry = objects::find(&seen, hash);
    let begun = seen.begin(About::args(&[]).data(text));
    // SAFETY: the caller's argument, passed on.
    let result = unsafe { real::shm_unlink(name) };
    if result == 0 {
        objects::remove(&seen, entry, hash);
    }
    begun.end(i64::from(result), result == -1);
    result
}

/// Finds, or with `IPC_CREAT` makes, the System V segment of `key` with at least `size` bytes. See shmget(2).
///
/// Returns its shmid, or -1 with errno.
#[unsafe(no_mangle)]
pub extern "C" fn shmget(key: key_t, size: size_t, shmflg: c_int) -> c_int {
    let seen = Seen::start(Call::Shmget);
    // IPC_PRIVATE always makes one; asking for exclusive creation changes nothing then.
    let create = if key == libc::IPC_PRIVATE { shmflg | libc::IPC_CREAT | libc::IPC_EXCL } else { shmflg };
    let get = |flags| real::shmget(key, size, if key == libc::IPC_PRIVATE { shmflg } else { flags });
    let args = [key as u32 as u64, size as u64, shmflg as u32 as u64];
    let object = |shmid| if shmid == -1 { ObjectId::NONE } else { ObjectId::sysv(shmid) };
    if create & libc::IPC_CREAT == 0 {
        let shmid = get(create);
        seen.end(i64::from(shmid), shmid == -1, About::args(&args).object(object(shmid)));
        return shmid;
    }
    let making = seen.begin_making(Family::Sysv, About::args(&args));
    let (shmid, made) = real::creating(create, libc::IPC_CREAT, libc::IPC_EXCL, get);
    making.end(i64::from(shmid), shmid == -1, object(shmid), made, Opening::words_of(None));
    shmid
}

/// Attaches the segment `shmid` at `shmaddr`, or where the kernel chooses. See shmat(2).
///
/// Returns the address, or `(void *) -1` with errno.
///
/// # Safety
/// With `SHM_REMAP`, what is mapped at `shmaddr` is replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmat(shmid: c_int, shmaddr: *const c_void, shmflg: c_int) -> *mut c_void {
    let seen = Seen::start(Call::Shmat);
    // SAFETY: the caller's arguments, passed on.
    let at = unsafe { real::shmat(shmid, shmaddr, shmflg) };
    let failed = at as isize == -1;
    if !failed {
        pages::add(at as usize, objects::segment_size(&seen, shmid));
    }
    let args = [shmid as u32 as u64, shmaddr as u64, shmflg as u32 as u64];
    seen.end(at as i64, failed, About::args(&args).object(ObjectId::sysv(shmid)));
    at
}

/// Detaches the segment attached at `shmaddr`. See shmdt(2).
///
/// Returns 0, or -1 with errno.
///
/// # Safety
/// The memory is no longer used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmdt(shmaddr: *const c_void) -> c_int {
    let seen = Seen::start(Call::Shmdt);
    let args = [shmaddr as u64];
    let begun = seen.begin(About::args(&args));
    // Before the call: afterwards the pages may be another thread's new mapping.
    let length = pages::length(shmaddr as usize);
    pages::remove(shmaddr as usize, length);
    // SAFETY: the caller's argument, passed on.
    let result = unsafe { real::shmdt(shmaddr) };
    if result == -1 {
        pages::add(shmaddr as usize, length);
    }
    begun.end(i64::from(result), result == -1);
    result
}

/// Asks about, changes or removes (`IPC_RMID`) the segment `shmid`. See shmctl(2).
///
/// Returns 0 or what `cmd` says, or -1 with errno.
///
/// # Safety
/// `buf` is what `cmd` reads or fills.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmctl(shmid: c_int, cmd: c_int, buf: *mut shmid_ds) -> c_int {
    let seen = Seen::start(Call::Shmctl);
    let args = [shmid as u32 as u64, cmd as u32 as u64, buf as u64];
    let about = About::args(&args);
    if cmd == libc::IPC_RMID {
        let entry = objects::find(&seen, hash_shmid(shmid));
        let begun = seen.begin(about.object(ObjectId::sysv(shmid)));
        // SAFETY: the caller's arguments, passed on.
        let result = unsafe { real::shmctl(shmid, cmd, buf) };
        if result == 0 {
            objects::remove(&seen, entry, 0);
        }
        begun.end(i64::from(result), result == -1);
        return result;
    }
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { real::shmctl(shmid, cmd, buf) };
    let object = objects::shmctl_object(shmid, cmd, result);
    // SAFETY: the call has succeeded with `buf`, so it holds what the command fills or reads.
    let data = if result == -1 { &[] } else { unsafe { objects::shmctl_data(cmd, buf) } };
    seen.end(i64::from(result), result == -1, about.object(object).data(data));
    result
}
