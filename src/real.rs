//! What a hook passes its call on to: the next definition, or what libc does where nobody defines it.

use core::ffi::{CStr, c_char, c_int, c_void};

use libc::{key_t, mode_t, shmid_ds, size_t};
use shmaudit_core::layout::bare_name;
use shmaudit_core::record::{FLAG_CREATED, FLAG_MAYBE_CREATED};

use crate::inside::Inside;
use crate::next::NEXT;
use crate::sys::Identity;
use crate::{errno, filter, sys};

/// The next definition of `$name`, looked up late where a hook runs before everything else.
macro_rules! next {
    ($name:ident) => {
        crate::next::NEXT.$name.late()
    };
}
pub(crate) use next;

/// A system call's result as libc returns it.
#[inline(always)]
pub fn libc_result(result: isize) -> isize {
    if (-4095..0).contains(&result) {
        errno::set(-result as i32);
        return -1;
    }
    result
}

/// `shm_open`.
///
/// # Safety
/// As libc's.
pub unsafe fn shm_open(name: *const c_char, oflag: c_int, mode: mode_t) -> c_int {
    if let Some(next) = next!(shm_open) {
        let _inside = Inside::new();
        // SAFETY: the caller's arguments, passed on.
        return unsafe { next(name, oflag, mode) };
    }
    // Before glibc 2.34 the function is in librt, which the program need not have.
    // SAFETY: as libc, we trust the name to be a string.
    match unsafe { shm_path(name) } {
        Some(path) => {
            let flags = oflag | libc::O_NOFOLLOW | libc::O_CLOEXEC;
            // SAFETY: the path ends in NUL.
            let fd = unsafe {
                sys::call(
                    libc::SYS_openat,
                    libc::AT_FDCWD as usize,
                    path.as_ptr() as usize,
                    flags as usize,
                    mode as usize,
                    0,
                    0,
                )
            };
            // A directory's name is as unfit as any other that is: POSIX knows no EISDIR here.
            libc_result(if fd == -(libc::EISDIR as isize) { -(libc::EINVAL as isize) } else { fd }) as c_int
        }
        None => {
            errno::set(libc::EINVAL);
            -1
        }
    }
}

/// `shm_unlink`.
///
/// # Safety
/// As libc's.
pub unsafe fn shm_unlink(name: *const c_char) -> c_int {
    if let Some(next) = next!(shm_unlink) {
        let _inside = Inside::new();
        // SAFETY: the caller's arguments, passed on.
        return unsafe { next(name) };
    }
    // SAFETY: as libc, we trust the name to be a string.
    match unsafe { shm_path(name) } {
        Some(path) => {
            // SAFETY: the path ends in NUL.
            let result =
                unsafe { sys::call(libc::SYS_unlinkat, libc::AT_FDCWD as usize, path.as_ptr() as usize, 0, 0, 0, 0) };
            libc_result(result) as c_int
        }
        None => {
            errno::set(libc::ENOENT);
            -1
        }
    }
}

/// `/dev/shm/NAME`, `None` for names that libc refuses.
unsafe fn shm_path(name: *const c_char) -> Option<[u8; 272]> {
    const DIRECTORY: &[u8] = b"/dev/shm/";
    // SAFETY: the caller vouches for the string.
    let name = bare_name(unsafe { CStr::from_ptr(name) }.to_bytes());
    let refused = name.is_empty() || name.len() > 255 || name.contains(&b'/');
    #[cfg(feature = "wrong")]
    let refused = refused && !crate::wrong::is(crate::wrong::Wrong::AnyName);
    if refused {
        return None;
    }
    let mut path = [0; 272];
    path.get_mut(..DIRECTORY.len())?.copy_from_slice(DIRECTORY);
    path.get_mut(DIRECTORY.len()..DIRECTORY.len() + name.len())?.copy_from_slice(name);
    Some(path)
}

/// `shmget`.
pub fn shmget(key: key_t, size: size_t, shmflg: c_int) -> c_int {
    match next!(shmget) {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(key, size, shmflg) },
        None => {
            // SAFETY: no pointers.
            libc_result(unsafe { sys::call(libc::SYS_shmget, key as usize, size, shmflg as usize, 0, 0, 0) }) as c_int
        }
    }
}

/// `shmat`.
///
/// # Safety
/// As libc's: `SHM_REMAP` replaces what is mapped.
pub unsafe fn shmat(shmid: c_int, shmaddr: *const c_void, shmflg: c_int) -> *mut c_void {
    match next!(shmat) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(shmid, shmaddr, shmflg) },
        // SAFETY: the caller's arguments, passed on.
        None => libc_result(unsafe {
            sys::call(libc::SYS_shmat, shmid as usize, shmaddr as usize, shmflg as usize, 0, 0, 0)
        }) as *mut c_void,
    }
}

/// `shmdt`.
///
/// # Safety
/// As libc's: what is detached is no longer used.
pub unsafe fn shmdt(shmaddr: *const c_void) -> c_int {
    match next!(shmdt) {
        // SAFETY: the caller's argument, passed on.
        Some(next) => unsafe { next(shmaddr) },
        // SAFETY: the caller's argument, passed on.
        None => libc_result(unsafe { sys::call(libc::SYS_shmdt, shmaddr as usize, 0, 0, 0, 0, 0) }) as c_int,
    }
}

/// `shmctl`.
///
/// # Safety
/// As libc's: `buf` is what `cmd` asks for.
pub unsafe fn shmctl(shmid: c_int, cmd: c_int, buf: *mut shmid_ds) -> c_int {
    match next!(shmctl) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(shmid, cmd, buf) },
        None => {
            // SAFETY: the caller's arguments, passed on.
            libc_result(unsafe { sys::call(libc::SYS_shmctl, shmid as usize, cmd as usize, buf as usize, 0, 0, 0) })
                as c_int
        }
    }
}

/// What file `fd` is, where the kernel may be asked; errno is kept.
pub fn identity(fd: c_int) -> Option<Identity> {
    wrong!(TrustsNames => { return sys::identity(fd).ok().map(|file| Identity { ino: 1, ..file }) });
    if filter::is_none() {
        return sys::identity(fd).ok();
    }
    if filter::is_own() {
        // The program may allow itself nothing but what it calls.
        return None;
    }
    let stat = fstat(fd)?;
    Some(Identity {
        dev: stat.st_dev,
        ino: stat.st_ino,
        mode: stat.st_mode,
        uid: stat.st_uid,
        size: stat.st_size as u64,
    })
}

/// `fstat` by the C library's own call, which a program's system-call filter knows; errno is kept.
fn fstat(fd: c_int) -> Option<libc::stat> {
    let kept = errno::Kept::new();
    let mut stat = core::mem::MaybeUninit::<libc::stat>::zeroed();
    let result = if let Some(next) = NEXT.fstat.get() {
        // SAFETY: fills one struct stat.
        unsafe { next(fd, stat.as_mut_ptr()) }
    } else if let Some(next) = NEXT.__fxstat.get() {
        // The version that glibc before 2.33 compiles into its callers.
        const STAT_VERSION: c_int = if cfg!(target_arch = "x86_64") { 1 } else { 0 };
        // SAFETY: fills one struct stat.
        unsafe { next(STAT_VERSION, fd, stat.as_mut_ptr()) }
    } else {
        return sys::fstat(fd).ok();
    };
    drop(kept);
    // SAFETY: zeroed is a valid struct stat.
    if result == 0 { Some(unsafe { stat.assume_init() }) } else { None }
}

/// Makes a call that may create, and learns whether it did: exclusive creation is asked for first, which the kernel
/// decides at once. Only calls that can create and met an existing object make one system call more, the same as the
/// program's own. Returns the result and `FLAG_…` bits.
pub fn creating(flags: c_int, create: c_int, exclusive: c_int, call: impl Fn(c_int) -> c_int) -> (c_int, u16) {
    if flags & create == 0 {
        return (call(flags), 0);
    }
    let made = |result: c_int, flag: u16| (result, if result == -1 { 0 } else { flag });
    if flags & exclusive != 0 {
        return made(call(flags), FLAG_CREATED);
    }
    let before = errno::get();
    let result = call(flags | exclusive);
    if result != -1 || errno::get() != libc::EEXIST {
        return made(result, FLAG_CREATED);
    }
    errno::set(before);
    // It was there a moment ago. If it is gone again this makes it, which the caller's other evidence must tell.
    made(call(flags), FLAG_MAYBE_CREATED)
}
