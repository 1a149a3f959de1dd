//! `mlockall`: locks what is the program's. Our own memory is no reason to refuse it, and is not locked with it.

use core::ffi::{c_int, c_void};

use shmaudit_core::procfs;

use crate::audit;
use crate::real::{libc_result, next};
use crate::start::read_file;
use crate::{code, contain, elf, errno, filter, own, sys};

/// `mlockall`: not recorded.
///
/// The kernel refuses it where all that is mapped is more than RLIMIT_MEMLOCK, ours counted too. Then, and only where the
/// program's alone is less, its mappings are locked one by one, which is the same.
#[unsafe(no_mangle)]
pub extern "C" fn mlockall(flags: c_int) -> c_int {
    let before = errno::get();
    let result = match next!(mlockall) {
        // SAFETY: no pointers.
        Some(next) => unsafe { next(flags) },
        // SAFETY: no pointers.
        None => libc_result(unsafe { sys::call(libc::SYS_mlockall, flags as usize, 0, 0, 0, 0, 0) }) as c_int,
    };
    wrong!(LocksAll => { return result });
    let Some(audit) = audit::ready().filter(|_| filter::is_none() && flags & libc::MCL_CURRENT != 0) else {
        return result;
    };
    let kept = errno::Kept::new();
    if result == 0 {
        let (start, length) = audit.recorder.place();
        // SAFETY: our own mapping; what is locked stays in memory, what is not may.
        unsafe { sys::call(libc::SYS_munlock, start, length, 0, 0, 0, 0) };
    }
    let refused = result == -1 && errno::get() == libc::ENOMEM;
    let locked = refused && lock_the_programs(flags);
    drop(kept);
    if locked {
        errno::set(before);
        return 0;
    }
    result
}

/// Locks all mappings but ours, if they are within the limit. It is done by a child that shares the memory: reading the
/// table of mappings takes a descriptor.
fn lock_the_programs(flags: c_int) -> bool {
    struct Task {
        flags: c_int,
        locked: bool,
    }
    fn work(task: *mut c_void) {
        // SAFETY: the caller's own, who waits.
        let task = unsafe { &mut *task.cast::<Task>() };
        task.locked = lock_others(task.flags);
    }
    let mut task = Task { flags, locked: false };
    contain::run(work, (&raw mut task).cast()) && task.locked
}

fn lock_others(flags: c_int) -> bool {
    let text = read_file(c"/proc/self/maps", code::MAPS_BYTES);
    let each = |work: &mut dyn FnMut(usize, usize)| {
        // Above are pages of the kernel's own; no program can have its own there, however large its addresses are.
        const TOP: u64 = 1 << 56;
        let library = library();
        for mapping in procfs::mappings(&text).filter(|mapping| mapping.end <= TOP) {
            let (start, end) = (mapping.start as usize, mapping.end as usize);
            if library.1 <= start || end <= library.0 {
                own::others(start, end, &mut *work);
            }
        }
    };
    let mut total = 0u64;
    each(&mut |start, end| total += (end - start) as u64);
    if text.is_empty() || total > sys::limit(libc::RLIMIT_MEMLOCK) {
        return false;
    }
    let on_fault = if flags & libc::MCL_ONFAULT != 0 { libc::MLOCK_ONFAULT as usize } else { 0 };
    each(&mut |start, end| {
        // What cannot be filled, such as pages that nobody may read, is locked all the same, as by mlockall.
        // SAFETY: the program has asked for it.
        unsafe { sys::call(libc::SYS_mlock2, start, end - start, on_fault, 0, 0, 0) };
    });
    let rest = flags & !libc::MCL_CURRENT;
    // SAFETY: no pointers. What is mapped later is not counted against the limit before it is.
    rest & libc::MCL_FUTURE == 0 || unsafe { sys::call(libc::SYS_mlockall, rest as usize, 0, 0, 0, 0, 0) } == 0
}

/// Where this library is loaded.
fn library() -> (usize, usize) {
    let mut library = (0, 0);
    elf::modules(|module| {
        let found = module.holds(elf::own_address());
        if found {
            library = (module.start, module.end);
        }
        !found
    });
    library
}
