//! How to leave a frame, by where its code was left: found out once a place by the unwinder, then known to all threads.
//!
//! A rule says where the caller's stack pointer, its frame pointer and the return address are to be found. It is learned by
//! watching the unwinder leave a frame: from the stack pointer alone, or by the chain of frame pointers. What is neither
//! (expressions that look elsewhere) has no rule, and the unwinder leaves it every time.
//!
//! The table is written without locks: a writer claims an entry's key, so that no reader takes it for anything meanwhile,
//! and a reader looks at the key again after it has read the rule.

use core::sync::atomic::{AtomicU64, Ordering, fence};

/// What is to be known of leaving a frame, in a word. The return address is the word below the caller's stack pointer.
///
/// | bits | hold |
/// |---|---|
/// | 0 | the code is this library's own |
/// | 1 | the frame pointer leads to the caller's two pointers |
/// | 2 | the caller's frame pointer has been saved; else the register still holds it |
/// | 3 to 31 | bytes from the stack pointer to the caller's; 0 where there is no caller |
/// | 32 to 63 | bytes from the stack pointer to the saved frame pointer |
///
/// On aarch64 calls leave the return address in a register, and whoever saves it does so anywhere in the frame; the frame
/// pointer leads to the lower end of its frame, or into it:
///
/// | bits | hold |
/// |---|---|
/// | 1 | all is counted from the frame pointer, and not from the stack pointer |
/// | 32 to 47 | words from there to the saved frame pointer |
/// | 48 to 63 | words from there to the return address |
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rule(u64);

const OWN: u64 = 1;
const BY_FRAME_POINTER: u64 = 2;
const SAVED: u64 = 4;
const DISTANCE: u64 = (1 << 32) - 8;

#[cfg(target_arch = "aarch64")]
impl Rule {
    /// The caller's stack pointer is `distance` bytes up from the frame pointer or the stack pointer, its frame pointer
    /// `saved` bytes up or unchanged, the return address `link` bytes up.
    pub fn saving(from_frame: bool, distance: u64, saved: Option<u64>, link: u64) -> Option<Rule> {
        let fits = |at: u64| at.is_multiple_of(8) && at < distance && at >> 3 < 1 << 16;
        if distance == 0 || distance & !DISTANCE != 0 || !fits(link) || !saved.is_none_or(fits) {
            return None;
        }
        let base = if from_frame { BY_FRAME_POINTER } else { 0 };
        let saved = saved.map_or(0, |saved| SAVED | saved >> 3 << 32);
        Some(Rule(distance | base | saved | link >> 3 << 48))
    }

    /// The frame pointer leads to the caller's and to the return address, and nothing else is known.
    pub const CHAINED: Rule = Rule(16 | BY_FRAME_POINTER | SAVED | 1 << 48);

    /// Bytes to the caller's frame pointer.
    #[inline(always)]
    pub fn saved(self) -> Option<u64> {
        if self.0 & SAVED != 0 { Some((self.0 >> 32 & 0xffff) << 3) } else { None }
    }

    /// Bytes to the return address.
    #[inline(always)]
    pub fn link(self) -> u64 {
        self.0 >> 48 << 3
    }
}

#[cfg(target_arch = "x86_64")]
impl Rule {
    /// The caller's stack pointer is `distance` bytes up, its frame pointer `saved` bytes up or unchanged.
    pub fn by_stack_pointer(distance: u64, saved: Option<u64>) -> Option<Rule> {
        if distance == 0 || distance & !DISTANCE != 0 {
            return None;
        }
        match saved {
            None => Some(Rule(distance)),
            Some(saved) if saved % 8 == 0 && saved < distance => Some(Rule(distance | SAVED | saved << 32)),
            Some(_) => None,
        }
    }

    /// The frame pointer leads to the caller's, as in code that is compiled to have them.
    pub fn by_frame_pointer() -> Rule {
        Rule(BY_FRAME_POINTER)
    }

    /// Bytes from the stack pointer to the caller's frame pointer, less than to its stack pointer.
    #[inline(always)]
    pub fn saved(self) -> Option<u64> {
        if self.0 & SAVED != 0 { Some(self.0 >> 32) } else { None }
    }
}

impl Rule {
    /// Nobody called it.
    pub fn outermost() -> Rule {
        Rule(0)
    }

    /// For code of this library.
    pub fn own(self, own: bool) -> Rule {
        if own { Rule(self.0 | OWN) } else { self }
    }

    /// Whether the code is this library's.
    #[inline(always)]
    pub fn is_own(self) -> bool {
        self.0 & OWN != 0
    }

    /// Whether the frame pointer leads.
    #[inline(always)]
    pub fn is_by_frame_pointer(self) -> bool {
        self.0 & BY_FRAME_POINTER != 0
    }

    /// Bytes from the stack pointer to the caller's, a multiple of 8; 0 where there is none.
    #[inline(always)]
    pub fn distance(self) -> u64 {
        self.0 & DISTANCE
    }
}

/// What a rule is known by: the place and the era, in which the same place is always the same code. Where a call left a
/// frame and where a signal did are never the same place: the one is inside an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

/// Eras that are told apart; the table is cleared before the next.
pub const ERAS: u64 = 1 << 15;

impl Key {
    /// `None` for what is no address: they have 48 bits, or the program has asked for larger ones.
    #[inline(always)]
    pub fn new(place: u64, era: u64) -> Option<Key> {
        if place >> 48 != 0 { None } else { Some(Key(place | era << 48)) }
    }
}

struct Entry {
    key: AtomicU64,
    rule: AtomicU64,
}

/// A cache line of entries that one place may be in.
#[repr(align(64))]
struct Bucket([Entry; 4]);

const BUCKETS: usize = 128;

static TABLE: [Bucket; BUCKETS] =
    [const { Bucket([const { Entry { key: AtomicU64::new(0), rule: AtomicU64::new(0) } }; 4]) }; BUCKETS];

/// No place's key: the entry is being written.
const CLAIMED: u64 = 1;

#[inline(always)]
fn bucket(key: Key) -> &'static Bucket {
    &TABLE[(key.0 >> 1 ^ key.0 >> 10) as usize % BUCKETS]
}

/// The rule for `key`, if it is known.
#[inline(always)]
pub fn find(key: Key) -> Option<Rule> {
    for entry in &bucket(key).0 {
        if entry.key.load(Ordering::Acquire) == key.0 {
            let rule = entry.rule.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            return if entry.key.load(Ordering::Relaxed) == key.0 { Some(Rule(rule)) } else { None };
        }
    }
    None
}

/// Remembers the rule for `key`, in the place of another where there is no room.
pub fn remember(key: Key, rule: Rule) {
    let bucket = bucket(key);
    let with = |wanted: u64| bucket.0.iter().find(|entry| entry.key.load(Ordering::Relaxed) == wanted);
    // Which one has to go is as good as thrown.
    let Some(entry) = with(key.0).or_else(|| with(0)).or_else(|| bucket.0.get(key.0 as usize % 4)) else { return };
    let before = entry.key.load(Ordering::Relaxed);
    if key.0 <= CLAIMED
        || before == CLAIMED
        || entry.key.compare_exchange(before, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_err()
    {
        return;
    }
    fence(Ordering::Release);
    entry.rule.store(rule.0, Ordering::Relaxed);
    entry.key.store(key.0, Ordering::Release);
}

/// Forgets all.
pub fn forget() {
    for entry in TABLE.iter().flat_map(|bucket| &bucket.0) {
        let known = entry.key.load(Ordering::Relaxed);
        if known > CLAIMED {
            let _ = entry.key.compare_exchange(known, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}
