//! Which pages of this process are shared-memory mappings or attachments: one bit a page, exact, in the process's own
//! memory. Asked before a `munmap` or a fixed `mmap` is noted, so that everybody else's cost a few nanoseconds.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const PAGE_SHIFT: usize = 12;
/// A node holds the bits of one gibibyte.
const NODE_SHIFT: usize = 30;
const NODE_WORDS: usize = (1 << (NODE_SHIFT - PAGE_SHIFT)) / 64;
const TOP: usize = 1 << (48 - NODE_SHIFT);
const NODES: usize = 64;
/// A gibibyte that found no node: every page of it counts as ours, which costs records, not truth.
const COARSE: u32 = u32::MAX;

static ROOTS: [AtomicU32; TOP] = [const { AtomicU32::new(0) }; TOP];
static POOL: [[AtomicU64; NODE_WORDS]; NODES] = [const { [const { AtomicU64::new(0) }; NODE_WORDS] }; NODES];
#[unsafe(link_section = ".data.hot")]
static USED: AtomicU32 = AtomicU32::new(0);

enum Node {
    None,
    Coarse,
    Bits(&'static [AtomicU64; NODE_WORDS]),
}

fn node(number: u32) -> Node {
    match number {
        0 => Node::None,
        COARSE => Node::Coarse,
        number => POOL.get(number as usize - 1).map_or(Node::Coarse, Node::Bits),
    }
}

/// Calls `each` for the words that hold the bits of `[start, end)`, with the mask of the bits meant; stops when it
/// returns `false`.
fn words(
    start: usize,
    end: usize,
    make: bool,
    mut each: impl FnMut(&AtomicU64, u64) -> bool,
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
                if let Some(word) = bits.get(index)
                    && !each(word, mask)
                {
                    return;
                }
                page += span;
            }
        }
    }
}

/// Marks `[start, start + length)` as ours.
pub fn add(start: usize, length: usize) {
    words(
        start,
        start.saturating_add(length),
        true,
        |word, mask| {
            word.fetch_or(mask, Ordering::Relaxed);
            true
        },
        || true,
    );
}

/// Unmarks it.
pub fn remove(start: usize, length: usize) {
    words(
        start,
        start.saturating_add(length),
        false,
        |word, mask| {
            word.fetch_and(!mask, Ordering::Relaxed);
            true
        },
        || true,
    );
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
        start.saturating_add(length),
        false,
        |word, mask| {
            let hit = word.load(Ordering::Relaxed) & mask != 0;
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
