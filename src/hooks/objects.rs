//! What the hooks know of the object that a call is about: its identity, whether this call made it, its registry entry.

use core::ffi::c_int;

use libc::shmid_ds;
use shmaudit_core::layout::{hash_name, hash_shmid};
use shmaudit_core::record::{Family, MAX_ARGS, ObjectId, Opening};

use crate::audit::{self, Seen};
use crate::registry::Found;
use crate::sys::Identity;
use crate::{clock, fds, filter, real, sys, vfork};

/// The kernel's time stamps are those of its last tick: at most 10 ms (`HZ=100`) behind.
const TICK_NS: u64 = 10_000_000;

/// Identifies what `fd` is after a path under the shm mount was opened: the one system call that a successful open adds.
pub fn opened(fd: c_int, made: u16, seen: &Seen) -> Opened {
    if fd == -1 || seen.audit().is_none() {
        return Opened { object: ObjectId::NONE, made, facts: None };
    }
    let unknown = ObjectId { family: Family::Posix, dev: fds::shm_dev(), ino: 0 };
    let Some(file) = real::identity(fd) else { return Opened { object: unknown, made, facts: None } };
    if file.dev != fds::shm_dev() {
        // Another mount than at start (a mount namespace of the program's own), or a link that led elsewhere.
        if !sys::stat_at(libc::AT_FDCWD, c"/dev/shm", 0).is_ok_and(|mount| mount.st_dev == file.dev) {
            return Opened { object: ObjectId::NONE, made: 0, facts: None };
        }
        fds::set_shm_dev(file.dev);
    }
    let object = ObjectId { family: Family::Posix, dev: file.dev, ino: file.ino };
    fds::set(fd, Some(object));
    note_size(fd, file.size);
    let facts = Opening { mode: file.mode & 0o7777, owner: file.uid, size: file.size };
    Opened { object, made, facts: Some(facts) }
}

/// What is known of an opened object.
pub struct Opened {
    /// Its identity; none where the path led out of the mount, and then nothing was made there.
    pub object: ObjectId,
    /// `FLAG_…` bits.
    pub made: u16,
    /// What was found.
    pub facts: Option<Opening>,
}

impl Opened {
    /// The call's own arguments with what was found after them.
    pub fn args<'a>(&self, args: &[u64], room: &'a mut [u64; MAX_ARGS]) -> &'a [u64] {
        let facts = self.facts.map(Opening::words);
        let mut length = 0;
        for (place, &arg) in room.iter_mut().zip(args.iter().chain(facts.iter().flatten())) {
            *place = arg;
            length += 1;
        }
        room.get(..length).unwrap_or(&[])
    }
}

/// A record tells this size of what `fd` is. An object without a size is as a rule about to be given one, by anybody.
pub fn note_size(fd: c_int, size: u64) {
    if size > 0 || fds::size(fd).is_some() {
        fds::set_size(fd, size);
    }
}

/// The same of a size that it has at least.
pub fn note_reach(fd: c_int, reach: u64) {
    note_size(fd, reach.max(fds::size(fd).unwrap_or(0)));
}

/// Whether the file behind `fd` came into being since this call began, by its time of birth; no where the kernel does not
/// keep one. Asked only after an open that could create, under the shm mount, without `O_EXCL`.
pub fn was_just_born(fd: c_int, seen: &Seen) -> bool {
    let now = clock::realtime();
    sys::birth(fd).is_some_and(|birth| birth.saturating_add(2 * TICK_NS) > now.saturating_sub(seen.passed(now)))
}

/// The object that `fd` is, where the table has it for one. Where a stream has it, the kernel is asked: `fclose` closes inside
/// the C library, and the number is the next file's.
#[inline(always)]
pub fn of(fd: c_int) -> Option<ObjectId> {
    let object = fds::object(fd)?;
    if fds::is_streams(fd) { still(fd, object) } else { Some(object) }
}

#[cold]
#[inline(never)]
fn still(fd: c_int, object: ObjectId) -> Option<ObjectId> {
    let same = |file: Identity| (file.dev, file.ino) == (object.dev, object.ino);
    if filter::is_own() || real::identity(fd).is_some_and(same) {
        return Some(object);
    }
    if !vfork::is_child() {
        fds::set(fd, None);
        if let Some(audit) = audit::ready() {
            audit.note_unseen_close(fd, object);
        }
    }
    None
}

/// What `fd` is and its size, asked of the kernel when it is mapped and not in the table: it came from another process, or
/// by a call that no hook sees.
pub fn identify(fd: c_int) -> Option<(ObjectId, u64)> {
    wrong!(TrustsTable => { return None });
    let file = real::identity(fd)?;
    if file.mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let family = match file.dev {
        dev if dev == fds::shm_dev() => Family::Posix,
        // A memfd is a file of the kernel's own tmpfs, which has no path to be told by.
        dev if dev == fds::memfd_dev() => Family::Memfd,
        _ => return None,
    };
    let object = ObjectId { family, dev: file.dev, ino: file.ino };
    fds::set(fd, Some(object));
    note_size(fd, file.size);
    // What came unseen may go unseen: `fopen` opens inside the C library, and `fclose` closes there.
    fds::set_streams(fd);
    Some((object, file.size))
}

/// The size of the object that `fd` is, where no record tells that it reaches as far as this mapping: asked when it is mapped
/// before any call gave it a size or looked at it, as a mapping of an object without a size faults at the first touch, and
/// when more is mapped than it was given, for a write may have made it larger, as SQLite and Berkeley DB do.
#[inline(always)]
pub fn unknown_size(fd: c_int, object: ObjectId, offset: i64, length: usize) -> Option<u64> {
    let end = (offset as usize).saturating_add(length);
    match fds::size(fd) {
        Some(size) if end <= sys::whole_pages(size as usize) => None,
        _ => asked_size(fd, object),
    }
}

#[cold]
fn asked_size(fd: c_int, object: ObjectId) -> Option<u64> {
    let file = real::identity(fd).filter(|file| (file.dev, file.ino) == (object.dev, object.ino))?;
    note_size(fd, file.size);
    Some(file.size)
}

/// The registry's entry for `hash`, looked up before a removal.
pub fn find(seen: &Seen, hash: u64) -> Option<Found> {
    seen.audit().and_then(|audit| audit.recorder.find(hash))
}

/// Takes a removed object out of the registry. Where another took the entry first, it was re-made under its label
/// meanwhile, and the entry to go is the one that `again` finds now (0: labels of this family do not repeat).
pub fn remove(seen: &Seen, found: Option<Found>, again: u64) {
    let (Some(audit), Some(found)) = (seen.audit(), found) else { return };
    if !audit.recorder.remove(found)
        && again != 0
        && let Some(found) = audit.recorder.find(again)
    {
        audit.recorder.remove(found);
    }
}

/// After a removal by path, whose name could not be read before: takes the object out of the registry that had the name when
/// the call began. What somebody made of the name since stays.
pub fn removed(seen: &Seen, hash: u64) {
    let Some(audit) = seen.audit() else { return };
    if let Some(found) = audit.recorder.find_before(hash, seen.started()) {
        audit.recorder.remove(found);
    }
}

/// After a rename under, into or out of the shm mount, or a link there: the entries follow the objects to their new names. As
/// after a removal, those are meant that had the names when the call began. Of two names the one that was made first is as a
/// rule the one that goes first.
pub fn renamed(seen: &Seen, from: Option<&[u8]>, to: Option<&[u8]>, exchange: bool) {
    let Some(audit) = seen.audit().filter(|_| from != to) else { return };
    let entry = |name: Option<&[u8]>| name.and_then(|name| audit.recorder.find_before(hash_name(name), seen.started()));
    let (moved, replaced) = (entry(from), entry(to));
    let follow = |found: Found, name: Option<&[u8]>| match name {
        Some(name) => audit.recorder.relabel(found, hash_name(name)),
        None => {
            audit.recorder.remove(found);
        }
    };
    if let Some(replaced) = replaced {
        // What the new name meant before is gone, or has the old name.
        follow(replaced, if exchange { from } else { None });
    }
    if let Some(moved) = moved {
        follow(moved, to);
    }
}

/// Bytes of a segment as far as the tree knows: what its creator asked for, else one page (a foreign segment's further
/// pages are told by the kernel's tables).
pub fn segment_size(seen: &Seen, shmid: c_int) -> usize {
    let size = seen.audit().and_then(|audit| {
        let found = audit.recorder.find(hash_shmid(shmid))?;
        audit.recorder.argument(found, 1)
    });
    size.map_or(sys::page_size(), |size| (size as usize).clamp(1, 1 << 46))
}

/// The segment that a `shmctl` was about: the indexed commands return its id.
pub fn shmctl_object(shmid: c_int, cmd: c_int, result: c_int) -> ObjectId {
    match cmd {
        libc::IPC_INFO | SHM_INFO => ObjectId::NONE,
        SHM_STAT | SHM_STAT_ANY if result == -1 => ObjectId::NONE,
        SHM_STAT | SHM_STAT_ANY => ObjectId::sysv(result),
        _ => ObjectId::sysv(shmid),
    }
}

const SHM_STAT: c_int = 13;
const SHM_INFO: c_int = 14;
const SHM_STAT_ANY: c_int = 15;

/// The struct that a successful `shmctl` filled or read.
///
/// # Safety
/// The call has succeeded with `buf`.
pub unsafe fn shmctl_data<'a>(cmd: c_int, buf: *const shmid_ds) -> &'a [u8] {
    let bytes = match cmd {
        libc::IPC_STAT | libc::IPC_SET | SHM_STAT | SHM_STAT_ANY => size_of::<shmid_ds>(),
        // struct shminfo: five longs of use and four spare; struct shm_info: an int and five longs.
        libc::IPC_INFO => 9 * size_of::<usize>(),
        SHM_INFO => 6 * size_of::<usize>(),
        _ => return &[],
    };
    // SAFETY: the kernel has just read or written as many bytes there.
    unsafe { core::slice::from_raw_parts(buf.cast(), bytes) }
}
