//! What of the process's address space is the library's own: its mappings, kept where every one of them is made.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::sys;

/// A mapping: its start, 0 for none, and its end.
struct Range(AtomicUsize, AtomicUsize);

static RANGES: [Range; 512] = [const { Range(AtomicUsize::new(0), AtomicUsize::new(0)) }; 512];

/// Notes a mapping of ours, to the end of its last page. With more of them than there is room for, some count as the program's.
pub fn add(start: usize, length: usize) {
    let free = |range: &&Range| range.0.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    if let Some(range) = RANGES.iter().find(free) {
        range.1.store(start + sys::whole_pages(length), Ordering::Relaxed);
        range.0.store(start, Ordering::Release);
    }
}

/// The mapping at `start` is about to go.
pub fn remove(start: usize) {
    if let Some(range) = RANGES.iter().find(|range| range.0.load(Ordering::Relaxed) == start) {
        range.0.store(0, Ordering::Release);
    }
}

/// Calls `each` with the parts of `[start, end)` that are not ours.
pub fn others(start: usize, end: usize, mut each: impl FnMut(usize, usize)) {
    let mut at = start;
    while at < end {
        let mut next = end;
        let mut own = None;
        for range in &RANGES {
            let from = range.0.load(Ordering::Acquire);
            let to = range.1.load(Ordering::Relaxed);
            if from <= 1 || to <= at {
                continue;
            }
            if from <= at {
                own = Some(to);
            } else {
                next = next.min(from);
            }
        }
        match own {
            Some(to) => at = to,
            None => {
                each(at, next);
                at = next;
            }
        }
    }
}
