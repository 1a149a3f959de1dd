//! Threads that have paused their audit. What they do meanwhile is recorded, marked, and neither logged nor reported.
//!
//! A thread has a place of its own here, found by its thread pointer. Nobody else changes it while the thread lives, so
//! that a signal handler may pause and resume at any point; places of threads that have ended are given to others.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use shmaudit_core::record::FLAG_PAUSED;

use crate::{process, sys};

/// Pauses in force, over all threads: most programs never have one.
#[unsafe(link_section = ".data.hot")]
static PAUSES: AtomicU32 = AtomicU32::new(0);

/// Threads that can have paused at once.
const ROOM: usize = 256;

struct Place {
    /// The thread's pointer; 0 for nobody's.
    thread: AtomicUsize,
    /// Its id: a later thread may have the same memory.
    tid: AtomicU32,
    /// How often it has paused and not resumed; [`TAKEN`] while it changes hands.
    depth: AtomicU32,
}

const TAKEN: u32 = u32::MAX;

static PLACES: [Place; ROOM] =
    [const { Place { thread: AtomicUsize::new(0), tid: AtomicU32::new(0), depth: AtomicU32::new(0) } }; ROOM];

impl Place {
    fn is(&self, thread: usize, tid: u32) -> bool {
        self.thread.load(Ordering::Acquire) == thread && self.tid.load(Ordering::Relaxed) == tid
    }

    /// Makes it the calling thread's with one pause, where it is nobody's or its owner has ended.
    fn take(&self, thread: usize, tid: u32) -> bool {
        let (owner, depth) = (self.thread.load(Ordering::Acquire), self.depth.load(Ordering::Acquire));
        let ended = || owner == thread || !process::has_thread(self.tid.load(Ordering::Relaxed));
        if depth == TAKEN
            || owner != 0 && !ended()
            || self.depth.compare_exchange(depth, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            return false;
        }
        self.tid.store(tid, Ordering::Relaxed);
        self.thread.store(thread, Ordering::Release);
        // What its last owner never resumed has ended with it.
        PAUSES.fetch_sub(depth, Ordering::Relaxed);
        PAUSES.fetch_add(1, Ordering::Relaxed);
        self.depth.store(1, Ordering::Release);
        true
    }
}

/// Places that were ever used are the first so many.
static USED: AtomicUsize = AtomicUsize::new(0);

fn used() -> impl Iterator<Item = &'static Place> {
    PLACES.iter().take(USED.load(Ordering::Acquire))
}

fn mine() -> impl Iterator<Item = &'static Place> {
    let (thread, tid) = (sys::thread_pointer(), process::tid());
    used().filter(move |place| place.is(thread, tid))
}

/// Pauses the audit of the calling thread once more. With more threads paused than there is room for, it does nothing.
pub fn pause() {
    for place in mine() {
        let deeper = |depth| if depth < TAKEN - 1 { Some(depth + 1) } else { None };
        if place.depth.fetch_update(Ordering::AcqRel, Ordering::Relaxed, deeper).is_ok() {
            PAUSES.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    let (thread, tid) = (sys::thread_pointer(), process::tid());
    // Those of threads that had the same memory first, then those that are free: asking whether a thread lives is a system
    // call.
    let of = |owner| PLACES.iter().enumerate().filter(move |(_, place)| place.thread.load(Ordering::Relaxed) == owner);
    let all = of(thread).chain(of(0)).chain(PLACES.iter().enumerate());
    if let Some((number, _)) = { all }.find(|(_, place)| place.take(thread, tid)) {
        USED.fetch_max(number + 1, Ordering::AcqRel);
    }
}

/// Takes one pause of the calling thread back, if there is one.
pub fn resume() {
    for place in mine() {
        let higher = |depth| if (1..TAKEN).contains(&depth) { Some(depth - 1) } else { None };
        if place.depth.fetch_update(Ordering::AcqRel, Ordering::Relaxed, higher).is_ok() {
            PAUSES.fetch_sub(1, Ordering::Relaxed);
            return;
        }
    }
}

/// Whether the calling thread has paused its audit.
#[inline(always)]
pub fn is_on() -> bool {
    PAUSES.load(Ordering::Relaxed) != 0 && is_mine()
}

#[cold]
#[inline(never)]
fn is_mine() -> bool {
    mine().any(|place| (1..TAKEN).contains(&place.depth.load(Ordering::Relaxed)))
}

/// What marks the records of the calling thread.
#[inline(always)]
pub fn flag() -> u16 {
    if is_on() { FLAG_PAUSED } else { 0 }
}

/// In a forked child: only the thread that forked is there, by the same pointer and another id, and its pauses are too.
pub fn forked() {
    let (thread, tid) = (sys::thread_pointer(), process::tid());
    let mut pauses = 0;
    for place in used() {
        let depth = place.depth.load(Ordering::Relaxed);
        if place.thread.load(Ordering::Relaxed) == thread && depth != TAKEN {
            place.tid.store(tid, Ordering::Relaxed);
            pauses += depth;
        } else {
            place.depth.store(0, Ordering::Relaxed);
            place.thread.store(0, Ordering::Relaxed);
        }
    }
    PAUSES.store(pauses, Ordering::Relaxed);
}
