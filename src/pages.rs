//! Which pages of this process are shared-memory mappings or attachments, and where one begins: two bits for 4 KiB, exact, in
//! the process's own memory. Asked before a `munmap` or a fixed `mmap` is noted, so that everybody else's cost a few
//! nanoseconds; and how long an attachment is, which `shmdt` does not say.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::sys;

const PAGE_SHIFT: usize = 12;
/// A node holds the bits of one gibibyte.
const NODE_SHIFT: usize = 30;
const NODE_WORDS: usize = (1 << (NODE_SHIFT - PAGE_SHIFT)) / 64;
const TOP: usize = 1 << (48 - NODE_SHIFT);
/// So many that a program of little address space has room for them.
const NODES: usize = 32;
/// A gibibyte that found no node: every page of it counts as ours, which costs records, not truth.
const COARSE: u32 = u32::MAX;

static ROOTS: [AtomicU32; TOP] = [const { AtomicU32::new(0) }; TOP];
/// Pages that are ours.
static OURS: [Pages; NODES] = [const { [const { AtomicU64::new(0) }; NODE_WORDS] }; NODES];
/// Of them, those that a mapping or attachment begins with.
static FIRST: [Pages; NODES] = [const { [const { AtomicU64::new(0) }; NODE_WORDS] }; NODES];
#[unsafe(link_section = ".data.hot")]
static USED: AtomicU32 = AtomicU32::new(0);

/// A bit for each page of a gibibyte.
type Pages = [AtomicU64; NODE_WORDS];

struct Bits {
    ours: &'static Pages,
    first: &'static Pages,
}

enum Node {
    None,
    Coarse,
    Bits(Bits),
}

fn node(number: u32) -> Node {
    match number {
        0 => Node::None,
        COARSE => Node::Coarse,
        number => match (OURS.get(number as usize - 1), FIRST.get(number as usize - 1)) {
            (Some(ours), Some(first)) => Node::Bits(Bits { ours, first }),
            _ => Node::Coarse,
        },
    }
}

/// Calls `each` for the words that hold the bits of `[start, end)`, those that are ours and those that are first, with the
/// mask of the bits meant; stops when it returns `false`.
fn words(
    start: usize,
    end: usize,
    make: bool,
    mut each: impl FnMut(&AtomicU64, &AtomicU64, u64) -> bool,
    coarse: impl Fn() -> bool,
) {
    let last = end.saturating_sub(1) >> PAGE_SHIFT;
    let mut page = start >> PAGE_SHIFT;
    while page <= last && start < end {
        let gib = page >> (NODE_SHIFT - PAGE_SHIFT);
        let next_gib = (gib + 1) << (NODE_SHIFT - PAGE_SHIFT);
        let Some(root) = ROOTS.get(gib) else { return };
        let mut number = root.load(Ordering::Acquire);
        if number == 0 && make {
            let taken = USED.fetch_add(1, Ordering::Relaxed);
            let fresh = if (taken as usize) < NODES { taken + 1 } else { COARSE };
            // Another thread may have been first; its node counts, ours is lost.
            number = match root.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => fresh,
                Err(theirs) => theirs,
            };
        }
        match node(number) {
            Node::None => page = next_gib,
            Node::Coarse => {
                if !coarse() {
                    return;
                }
                page = next_gib;
            }
            Node::Bits(bits) => {
                let bit = page & 63;
                let span = (64 - bit).min(last + 1 - page);
                let mask = if span == 64 { u64::MAX } else { ((1 << span) - 1) << bit };
                let index = (page >> 6) & (NODE_WORDS - 1);
                if let (Some(ours), Some(first)) = (bits.ours.get(index), bits.first.get(index))
                    && !each(ours, first, mask)
                {
                    return;
                }
                page += span;
            }
        }
    }
}

/// Marks `[start, start + length)` as ours, one mapping or attachment.
pub fn add(start: usize, length: usize) {
    let mut begins = true;
    words(
        start,
        start.saturating_add(sys::whole_pages(length)),
        true,
        |ours, first, mask| {
            ours.fetch_or(mask, Ordering::Relaxed);
            if begins {
                first.fetch_or(mask & mask.wrapping_neg(), Ordering::Relaxed);
            }
            begins = false;
            true
        },
        || true,
    );
}

/// Unmarks it.
pub fn remove(start: usize, length: usize) {
    words(
        start,
        start.saturating_add(sys::whole_pages(length)),
        false,
        |ours, first, mask| {
            ours.fetch_and(!mask, Ordering::Relaxed);
            if first.load(Ordering::Relaxed) & mask != 0 {
                first.fetch_and(!mask, Ordering::Relaxed);
            }
            true
        },
        || true,
    );
}

/// Whether the kernel can unmap it: what it refuses as a whole stays as it is.
pub fn is_range(start: usize, length: usize) -> bool {
    const SPACE: usize = TOP << NODE_SHIFT;
    start.is_multiple_of(sys::page_size()) && length != 0 && start.checked_add(length).is_some_and(|end| end <= SPACE)
}

/// Bytes of the mapping or attachment that begins at `start`, up to the first page that is no longer there; 0 where none
/// is known to begin.
pub fn length(start: usize) -> usize {
    let begin = start >> PAGE_SHIFT;
    let mut page = begin;
    while let Some(root) = ROOTS.get(page >> (NODE_SHIFT - PAGE_SHIFT)) {
        let Node::Bits(bits) = node(root.load(Ordering::Acquire)) else { break };
        let index = (page >> 6) & (NODE_WORDS - 1);
        let (Some(ours), Some(first)) = (bits.ours.get(index), bits.first.get(index)) else { break };
        let bit = page & 63;
        let (ours, mut first) = (ours.load(Ordering::Relaxed) >> bit, first.load(Ordering::Relaxed) >> bit);
        if page == begin {
            if first & 1 == 0 {
                break;
            }
            first &= !1;
        }
        // The bits that were shifted in are not pages: of them none is the mapping's.
        let rest = ((!ours | first).trailing_zeros() as usize).min(64 - bit);
        page += rest;
        if rest < 64 - bit {
            break;
        }
    }
    (page - begin) << PAGE_SHIFT
}

/// Whether any page of it is ours.
#[inline(always)]
pub fn any(start: usize, length: usize) -> bool {
    USED.load(Ordering::Relaxed) != 0 && any_marked(start, length)
}

#[inline(never)]
fn any_marked(start: usize, length: usize) -> bool {
    let found = core::cell::Cell::new(false);
    words(
        start,
        start.saturating_add(sys::whole_pages(length)),
        false,
        |ours, _, mask| {
            let hit = ours.load(Ordering::Relaxed) & mask != 0;
            found.set(found.get() || hit);
            !hit
        },
        || {
            found.set(true);
            false
        },
    );
    found.get()
}
