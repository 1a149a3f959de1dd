//! `mlockall`: locks what is the program's. Our own memory is no reason to refuse it, and is not locked with it.

use core::ffi::c_int;

use shmaudit_core::procfs;

use crate::audit::{self, Audit};
use crate::real::{libc_result, next};
use crate::{code, elf, errno, filter, sys};

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
    let locked = refused && lock_the_programs(audit, flags);
    drop(kept);
    if locked {
        errno::set(before);
        return 0;
    }
    result
}

/// Locks all mappings but ours, if they are within the limit.
fn lock_the_programs(audit: &Audit, flags: c_int) -> bool {
    let text = code::table_of_mappings();
    let own = own(audit);
    // Above are pages of the kernel's own.
    const TOP: u64 = 1 << 47;
    let theirs = || {
        procfs::mappings(&text).filter(|mapping| {
            let is_own = own.iter().any(|own| mapping.start < own.1 as u64 && (own.0 as u64) < mapping.end);
            mapping.end <= TOP && !is_own
        })
    };
    let total = theirs().fold(0u64, |sum, mapping| sum.saturating_add(mapping.end - mapping.start));
    if text.is_empty() || total > sys::limit(libc::RLIMIT_MEMLOCK) {
        return false;
    }
    let on_fault = if flags & libc::MCL_ONFAULT != 0 { libc::MLOCK_ONFAULT as usize } else { 0 };
    for mapping in theirs() {
        let (start, length) = (mapping.start as usize, (mapping.end - mapping.start) as usize);
        // What cannot be filled, such as pages that nobody may read, is locked all the same, as by mlockall.
        // SAFETY: the program has asked for it.
        unsafe { sys::call(libc::SYS_mlock2, start, length, on_fault, 0, 0, 0) };
    }
    let rest = flags & !libc::MCL_CURRENT;
    // SAFETY: no pointers. What is mapped later is not counted against the limit before it is.
    rest & libc::MCL_FUTURE == 0 || unsafe { sys::call(libc::SYS_mlockall, rest as usize, 0, 0, 0, 0, 0) } == 0
}

/// Our own mappings, as far as they are large: the recorder, this library, the walks' stacks.
fn own(audit: &Audit) -> [(usize, usize); 3] {
    let (start, length) = audit.recorder.place();
    let mut library = (0, 0);
    elf::modules(|module| {
        let found = module.holds(elf::own_address());
        if found {
            library = (module.start, module.end);
        }
        !found
    });
    [(start, start + length), library, crate::unwind::stacks()]
}
