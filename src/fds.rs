//! Which descriptors of this process are shared-memory objects, for the price of one load on every other descriptor.
//!
//! A table of identities in the process's own memory: a forked child inherits a copy, as it does the descriptors. It may
//! be out of date, because descriptors also come and end where no hook sees it (`fclose`, `SCM_RIGHTS`): what is mapped and
//! not in it is asked of the kernel, and so is what a stream has, and what is open at the end.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use shmaudit_core::record::{Family, ObjectId};

use crate::vfork;

const ROOM: usize = 1 << 16;
/// How many descriptors' sizes are remembered; those above are asked for theirs whenever they are mapped. Every table here
/// is address space that a program under RLIMIT_AS lacks.
const SIZES_ROOM: usize = 1 << 12;
const MEMFD: u64 = 1 << 63;
/// The object's size is known from a record: inode numbers do not come that far.
const SIZED: u64 = 1 << 62;
/// A stream has the descriptor, or may have it.
const STREAM: u64 = 1 << 61;

static FDS: [AtomicU64; ROOM] = [const { AtomicU64::new(0) }; ROOM];
/// The size that a record tells last, where `SIZED` says that one does.
static SIZES: [AtomicU64; SIZES_ROOM] = [const { AtomicU64::new(0) }; SIZES_ROOM];
static SHM_DEV: AtomicU64 = AtomicU64::new(0);
static MEMFD_DEV: AtomicU64 = AtomicU64::new(0);

/// The highest descriptor that ever was an object.
static HIGHEST: AtomicU32 = AtomicU32::new(0);

/// The highest descriptor that can be one of ours.
pub fn highest() -> u32 {
    HIGHEST.load(Ordering::Relaxed)
}

/// The device of the shm mount, 0 where there is none.
pub fn shm_dev() -> u64 {
    SHM_DEV.load(Ordering::Relaxed)
}

/// The device of memfds, 0 until this process has seen one.
pub fn memfd_dev() -> u64 {
    MEMFD_DEV.load(Ordering::Relaxed)
}

/// Says which device the shm mount is.
pub fn set_shm_dev(dev: u64) {
    SHM_DEV.store(dev, Ordering::Relaxed);
}

/// Whether `fd` is known to be an object.
#[inline(always)]
pub fn is_object(fd: i32) -> bool {
    FDS.get(fd as usize).is_some_and(|word| word.load(Ordering::Relaxed) != 0)
}

/// The object that `fd` is, if it is known to be one.
#[inline(always)]
pub fn object(fd: i32) -> Option<ObjectId> {
    match FDS.get(fd as usize).map_or(0, |word| word.load(Ordering::Relaxed)) {
        0 => None,
        word if word & MEMFD != 0 => {
            let ino = word & !(MEMFD | SIZED | STREAM);
            Some(ObjectId { family: Family::Memfd, dev: MEMFD_DEV.load(Ordering::Relaxed), ino })
        }
        word => Some(ObjectId { family: Family::Posix, dev: shm_dev(), ino: word & !(SIZED | STREAM) }),
    }
}

/// Notes what `fd` is; `None`: not an object, or not any more.
#[inline(always)]
pub fn set(fd: i32, object: Option<ObjectId>) {
    let Some(word) = FDS.get(fd as usize) else { return };
    let value = match object {
        None => 0,
        Some(id) if id.family == Family::Memfd => {
            MEMFD_DEV.store(id.dev, Ordering::Relaxed);
            id.ino | MEMFD
        }
        Some(id) => id.ino,
    };
    if value != 0 {
        HIGHEST.fetch_max(fd as u32, Ordering::Relaxed);
    }
    // Most descriptors are and stay nothing to us: no store, so that no page of the table is touched for them.
    // The table is the parent's, and a vfork child's descriptors are not.
    if word.load(Ordering::Relaxed) != value && !vfork::is_child() {
        word.store(value, Ordering::Relaxed);
    }
}

/// The size of the object that `fd` is, where a record tells it. A write may have made it larger since.
#[inline(always)]
pub fn size(fd: i32) -> Option<u64> {
    let size = SIZES.get(fd as usize).filter(|_| is_marked(fd, SIZED))?;
    Some(size.load(Ordering::Relaxed))
}

/// Notes that a record tells the size of the object that `fd` is.
#[inline(always)]
pub fn set_size(fd: i32, size: u64) {
    if let Some(known) = SIZES.get(fd as usize)
        && is_object(fd)
    {
        known.store(size, Ordering::Relaxed);
        mark(fd, SIZED);
    }
}

/// Whether a stream has `fd`, or had, or may have: then the C library may have closed it, and the number be another file's.
#[inline(always)]
pub fn is_streams(fd: i32) -> bool {
    is_marked(fd, STREAM)
}

/// Notes that a stream has `fd`, or may have it.
pub fn set_streams(fd: i32) {
    if !vfork::is_child() {
        mark(fd, STREAM);
    }
}

#[inline(always)]
fn is_marked(fd: i32, bit: u64) -> bool {
    FDS.get(fd as usize).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
}

#[inline(always)]
fn mark(fd: i32, bit: u64) {
    let Some(word) = FDS.get(fd as usize) else { return };
    let value = word.load(Ordering::Relaxed);
    if value != 0 && value & bit == 0 {
        // Another thread may have closed it meanwhile, and the number be another object's.
        let _ = word.compare_exchange(value, value | bit, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The objects among the descriptors `first` to `last`.
pub fn objects_between(first: u32, last: u32) -> impl Iterator<Item = (i32, ObjectId)> {
    let end = (last.min(highest()) as usize).min(ROOM - 1);
    (first as usize..=end).filter_map(|fd| object(fd as i32).map(|id| (fd as i32, id)))
}
