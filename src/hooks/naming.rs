//! Names under the shm mount that change: what is renamed, and what gets another name beside its own.

use core::ffi::{CStr, c_char, c_int, c_long, c_uint};

use shmaudit_core::calls::Call;
use shmaudit_core::record::MAX_DATA;

use super::path::{MOUNT, mark, under_mount};
use super::{objects, relative};
use crate::audit::{About, Seen};
use crate::errno;
use crate::real::{libc_result, next};
use crate::sys;

/// Two paths, each from a directory on.
type Paths = [(c_int, *const c_char); 2];

/// After a rename or a link of `from` to `to`, each a path from a directory on: what was under the mount has another name, or
/// has gone, or something came in from outside.
unsafe fn named(seen: Seen, mark: Option<u64>, result: c_int, paths: Paths, args: &[u64]) {
    if result == -1 && !errno::says_path_was_read() {
        return;
    }
    // SAFETY: the kernel has read both paths without a fault.
    let mut names = paths.map(|(_, path)| unsafe { under_mount(path) }.map(|(_, name)| name));
    if result == 0 && seen.audit().is_some() {
        for (name, (directory, path)) in names.iter_mut().zip(paths) {
            // SAFETY: as above.
            *name = name.or_else(|| unsafe { relative::known(&seen, directory, path) });
        }
        if names[0].is_some() {
            let (directory, path) = paths[1];
            // SAFETY: as above.
            names[1] = names[1].or_else(|| unsafe { relative::name(directory, path) });
        }
    }
    let link = matches!(seen.call(), Call::Link | Call::Linkat);
    // So the C library made a named semaphore before it had everything in one file: under a passing name, from then on its own.
    let semaphore = link && names[1].is_some_and(|name| name.starts_with(b"sem."));
    #[cfg(feature = "wrong")]
    let semaphore = semaphore && !crate::wrong::is(crate::wrong::Wrong::SemaphoresAreObjects);
    if names == [None, None] || semaphore {
        return;
    }
    // Both paths, whole, with a NUL between them.
    let mut data = [0u8; MAX_DATA];
    let mut length = 0;
    for (index, (name, (_, path))) in names.into_iter().zip(paths).enumerate() {
        // SAFETY: as above.
        let path = unsafe { CStr::from_ptr(path) }.to_bytes();
        let (before, path) =
            if path.starts_with(MOUNT) { (&[][..], path) } else { name.map_or((&[][..], path), |name| (MOUNT, name)) };
        let room = MAX_DATA / 2 - 1;
        for (place, &byte) in data.iter_mut().skip(length).zip(before.iter().chain(path).take(room)) {
            *place = byte;
        }
        length += (before.len() + path.len()).min(room) + (1 - index);
    }
    // A link elsewhere leaves the name.
    if result == 0 && !(link && names[1].is_none()) {
        let exchange = !link && args.get(2).is_some_and(|flags| flags & u64::from(libc::RENAME_EXCHANGE) != 0);
        objects::renamed(&seen, names[0], names[1], exchange);
    }
    seen.end(
        i64::from(result),
        result == -1,
        About { mark, ..About::args(args).data(data.get(..length).unwrap_or(&[])) },
    );
}

/// The call as the kernel has it, where the C library has no such name. In each hook itself: the number of a system call stands
/// beside it in the code, where a test reads it.
///
/// # Safety
/// As the call's.
#[inline(always)]
unsafe fn by_kernel(number: c_long, [(olddir, old), (newdir, new)]: Paths, flags: c_uint) -> c_int {
    // SAFETY: the caller vouches.
    libc_result(unsafe {
        sys::call(number, olddir as usize, old as usize, newdir as usize, new as usize, flags as usize, 0)
    }) as c_int
}

/// `rename`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(old: *const c_char, new: *const c_char) -> c_int {
    let (seen, mark, paths) = (Seen::if_ready(Call::Rename), mark(), [(libc::AT_FDCWD, old), (libc::AT_FDCWD, new)]);
    let result = match next!(rename) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(old, new) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { by_kernel(libc::SYS_renameat2, paths, 0) },
    };
    // SAFETY: what the call was given.
    unsafe { named(seen, mark, result, paths, &[]) };
    result
}

/// `renameat`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(olddir: c_int, old: *const c_char, newdir: c_int, new: *const c_char) -> c_int {
    let (seen, mark, paths) = (Seen::if_ready(Call::Renameat), mark(), [(olddir, old), (newdir, new)]);
    let result = match next!(renameat) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(olddir, old, newdir, new) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { by_kernel(libc::SYS_renameat2, paths, 0) },
    };
    // SAFETY: what the call was given.
    unsafe { named(seen, mark, result, paths, &[olddir as u32 as u64, newdir as u32 as u64]) };
    result
}

/// `renameat2`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    olddir: c_int,
    old: *const c_char,
    newdir: c_int,
    new: *const c_char,
    flags: c_uint,
) -> c_int {
    let (seen, mark, paths) = (Seen::if_ready(Call::Renameat2), mark(), [(olddir, old), (newdir, new)]);
    let result = match next!(renameat2) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(olddir, old, newdir, new, flags) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { by_kernel(libc::SYS_renameat2, paths, flags) },
    };
    // SAFETY: what the call was given.
    unsafe { named(seen, mark, result, paths, &[olddir as u32 as u64, newdir as u32 as u64, u64::from(flags)]) };
    result
}

/// `link`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(old: *const c_char, new: *const c_char) -> c_int {
    let (seen, mark, paths) = (Seen::if_ready(Call::Link), mark(), [(libc::AT_FDCWD, old), (libc::AT_FDCWD, new)]);
    let result = match next!(link) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(old, new) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { by_kernel(libc::SYS_linkat, paths, 0) },
    };
    // SAFETY: what the call was given.
    unsafe { named(seen, mark, result, paths, &[]) };
    result
}

/// `linkat`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linkat(
    olddir: c_int,
    old: *const c_char,
    newdir: c_int,
    new: *const c_char,
    flags: c_int,
) -> c_int {
    let (seen, mark, paths) = (Seen::if_ready(Call::Linkat), mark(), [(olddir, old), (newdir, new)]);
    let result = match next!(linkat) {
        // SAFETY: the caller's arguments, passed on.
        Some(next) => unsafe { next(olddir, old, newdir, new, flags) },
        // SAFETY: the caller's arguments, passed on.
        None => unsafe { by_kernel(libc::SYS_linkat, paths, flags as c_uint) },
    };
    // SAFETY: what the call was given.
    unsafe { named(seen, mark, result, paths, &[olddir as u32 as u64, newdir as u32 as u64, flags as u32 as u64]) };
    result
}
