//! The objects that are there now, for a program that asks its own audit: the registry's, each asked of the kernel.
//!
//! No heap and no lock: one entry after another is decoded into the caller's stack.

use core::ffi::CStr;

use libc::shmid_ds;
use shmaudit_core::layout::{bare_name, hash_ignored, hash_name, hash_shmid};
use shmaudit_core::ledger::name_of;
use shmaudit_core::procfs::SHM_DEST;
use shmaudit_core::reader::Reader;
use shmaudit_core::record::{Event, FLAG_MAYBE_CREATED, Family};

use crate::audit::Audit;
use crate::sys;

/// An object that the family has made and that is still there.
pub struct Live<'a> {
    /// The call that made it.
    pub event: &'a Event<'a>,
    /// Its name with one slash before it; segments have none.
    pub name: Option<&'a CStr>,
    /// Bytes, by the kernel.
    pub size: u64,
    /// Permissions, by the kernel.
    pub mode: u32,
    /// Attachments of a segment.
    pub attached: u64,
    /// Whether the program has told its audit to ignore it.
    pub ignored: bool,
}

const MOUNT: &[u8] = b"/dev/shm";
/// The mount, a slash, a name, its end.
const PATH_BYTES: usize = MOUNT.len() + 1 + 255 + 1;

/// Calls `each` with every one; how many there were.
pub fn each(audit: &Audit, mut each: impl FnMut(&Live)) -> u64 {
    let Ok(reader) = Reader::new(&audit.recorder) else { return 0 };
    let mut count = 0;
    reader.objects(|event| {
        let mut found = |live: &Live| {
            count += 1;
            each(live);
        };
        match event.object.family {
            Family::Posix => file(audit, event, &mut found),
            Family::Sysv => segment(audit, event, &mut found),
            _ => {}
        }
    });
    count
}

fn is_ignored(audit: &Audit, hash: u64) -> bool {
    audit.recorder.find(hash_ignored(hash)).is_some()
}

fn file(audit: &Audit, event: &Event, found: &mut impl FnMut(&Live)) {
    let Some(name) = name_of(event).map(bare_name) else { return };
    let mut path = [0u8; PATH_BYTES];
    // At least one zero stays at the end.
    let bytes = MOUNT.iter().chain(b"/").chain(name);
    path.iter_mut().take(PATH_BYTES - 1).zip(bytes).for_each(|(place, &byte)| *place = byte);
    let whole = |from: usize| path.get(from..).and_then(|path| CStr::from_bytes_until_nul(path).ok());
    let (Some(path), Some(slashed)) = (whole(0), whole(MOUNT.len())) else { return };
    let Ok(stat) = sys::stat_at(libc::AT_FDCWD, path, libc::AT_SYMLINK_NOFOLLOW) else { return };
    // Another that has the name now.
    if event.object.ino != 0 && (stat.st_dev, stat.st_ino) != (event.object.dev, event.object.ino) {
        return;
    }
    found(&Live {
        event,
        name: Some(slashed),
        size: stat.st_size as u64,
        mode: stat.st_mode & 0o7777,
        attached: 0,
        ignored: is_ignored(audit, hash_name(name)),
    });
}

fn segment(audit: &Audit, event: &Event, found: &mut impl FnMut(&Live)) {
    let shmid = event.object.shmid();
    let mut ds = core::mem::MaybeUninit::<shmid_ds>::zeroed();
    // SAFETY: the kernel fills one struct shmid_ds.
    let asked = unsafe {
        sys::call(libc::SYS_shmctl, shmid as usize, libc::IPC_STAT as usize, ds.as_mut_ptr() as usize, 0, 0, 0)
    };
    // SAFETY: zeroed is a valid struct, and the kernel filled it or left it alone.
    let ds = unsafe { ds.assume_init() };
    // Who may not read it may not ask: it is there.
    let closed = asked == -(libc::EACCES as isize);
    let mode = u32::from(ds.shm_perm.mode);
    if asked < 0 && !closed || mode & SHM_DEST != 0 {
        return;
    }
    // Another segment that has the id now, or one that the call found and did not make.
    let maker = ds.shm_cpid as u32;
    if !closed && maker != event.pid && (maker != 0 || event.flags & FLAG_MAYBE_CREATED != 0) {
        return;
    }
    found(&Live {
        event,
        name: None,
        size: if closed { event.arg(1) } else { ds.shm_segsz as u64 },
        mode: if closed { event.arg(2) as u32 & 0o777 } else { mode & 0o777 },
        attached: ds.shm_nattch,
        ignored: is_ignored(audit, hash_shmid(shmid)),
    });
}
