//! Whole stacks that were walked before: what is called in a loop is called by the same way each time.
//!
//! A walk that needs nothing but rules is decided by where it begins, by its two registers, and by the words of the stack that
//! it reads: return addresses, and frame pointers where a frame is left by one. Those are kept, and where the next walk from
//! the same place finds the same words, its frames are the same. The words are compared in the order in which the walk would
//! read them, and none after the first that differs: nothing is read that it would not read.
//!
//! The table is written without locks: a writer makes a path's version odd while it is at it, and a reader looks at the version
//! again before it believes a word.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use crate::stack::{Limits, Position, Room, Watch, word};

/// Most words of the stack that a path is known by.
const WORDS: usize = 32;
/// Paths that begin at the same stack pointer: by other calls, from other places.
const WAYS: usize = 4;
const SETS: usize = 16;
/// Where all ways are taken, of so many walks in a row that are not found the last is remembered in the place of another:
/// remembering takes another walk.
const PATIENCE: u64 = 8;
/// After so many in a row that were not found paths are looked for no more, but for one walk in as many.
const LUCKLESS: u64 = 32;

/// The key of a path that could not be written down whole: no stack is there.
const NOBODYS: u64 = 1;

/// A path, in eight cache lines.
#[repr(align(64))]
struct Path {
    /// How often it was written, twice; odd while it is.
    version: AtomicU64,
    /// Where it begins: the stack pointer and the era; 0 for no path.
    key: AtomicU64,
    /// The place in the code where it begins.
    place: AtomicU64,
    /// The frame pointer that it begins with, where that leads anywhere; else 0.
    fp: AtomicU64,
    /// Which words are the return addresses of frames to be kept, a bit each, and one more at its end.
    frames: AtomicU64,
    /// Bytes from the stack pointer to each word.
    distances: [AtomicU32; WORDS],
    /// The words.
    values: [AtomicU64; WORDS],
}

struct Set {
    /// Walks in a row that were not found.
    misses: AtomicU64,
    ways: [Path; WAYS],
}

static SETS_OF_PATHS: [Set; SETS] = [const {
    Set {
        misses: AtomicU64::new(0),
        ways: [const {
            Path {
                version: AtomicU64::new(0),
                key: AtomicU64::new(0),
                place: AtomicU64::new(0),
                fp: AtomicU64::new(0),
                frames: AtomicU64::new(0),
                distances: [const { AtomicU32::new(0) }; WORDS],
                values: [const { AtomicU64::new(0) }; WORDS],
            }
        }; WAYS],
    }
}; SETS];

/// The frames of the walk that begins at `from`, where its path is known: how many of `room` they take.
#[inline(always)]
pub fn follow(room: &mut Room, from: &Position, limits: &Limits) -> Option<usize> {
    let (set, key) = (set(from), key(from, limits));
    let misses = set.misses.load(Ordering::Relaxed);
    if misses >= LUCKLESS && !misses.is_multiple_of(LUCKLESS) {
        return None;
    }
    let used = set.ways.iter().find_map(|path| path.follow(room, from, key))?;
    if misses != 0 {
        set.misses.store(0, Ordering::Relaxed);
    }
    Some(used)
}

/// Remembers the path of a walk from `from` that has come to its end by rules alone, with the frames in `room`.
#[inline(always)]
pub fn remember(room: &mut Room, from: Position, limits: &Limits) {
    let set = set(&from);
    let misses = set.misses.load(Ordering::Relaxed).wrapping_add(1);
    set.misses.store(misses, Ordering::Relaxed);
    let patience = if misses < LUCKLESS { PATIENCE } else { LUCKLESS };
    if misses.is_multiple_of(patience) || set.ways.iter().any(Path::is_free) {
        learn(set, room, from, limits);
    }
}

/// Forgets all.
pub fn forget() {
    for path in SETS_OF_PATHS.iter().flat_map(|set| &set.ways) {
        if let Some(version) = path.claim() {
            path.key.store(0, Ordering::Relaxed);
            path.version.store(version + 2, Ordering::Release);
        }
    }
}

#[inline(always)]
fn set(from: &Position) -> &'static Set {
    &SETS_OF_PATHS[(from.sp >> 4 ^ from.sp >> 9) as usize % SETS]
}

/// Addresses of stacks have 48 bits; a larger one's path is never found.
#[inline(always)]
fn key(from: &Position, limits: &Limits) -> u64 {
    from.sp | limits.era << 48
}

#[cold]
#[inline(never)]
fn learn(set: &Set, room: &mut Room, from: Position, limits: &Limits) {
    // A way whose writer was left by a jump, or was another thread of the process that forked, is never whole again.
    let whole = || set.ways.iter().filter(|path| path.is_whole());
    let eldest = || whole().min_by_key(|path| path.version.load(Ordering::Relaxed));
    let Some(path) = whole().find(|path| path.is_free()).or_else(eldest) else { return };
    if from.sp >> 48 != 0 {
        return;
    }
    let Some(version) = path.claim() else { return };
    let mut writing = Writing { path, from, used: 0, frames: 0, last: 0, fp: 0, pointer: Pointer::First, whole: true };
    let mut at = from;
    let goes_on = at.pass(room, limits, &mut writing);
    let known = writing.whole && writing.used > 0 && !goes_on;
    path.key.store(if known { key(&from, limits) } else { NOBODYS }, Ordering::Relaxed);
    path.place.store(from.place, Ordering::Relaxed);
    path.fp.store(writing.fp, Ordering::Relaxed);
    // Never without a word: who reads it instead of the path's before must come to where the version is looked at.
    path.frames.store(writing.frames | 1 << writing.used.max(1), Ordering::Relaxed);
    path.version.store(version + 2, Ordering::Release);
}

impl Path {
    fn is_whole(&self) -> bool {
        self.version.load(Ordering::Relaxed) & 1 == 0
    }

    #[inline(always)]
    fn is_free(&self) -> bool {
        self.key.load(Ordering::Relaxed) == 0 && self.is_whole()
    }

    #[inline(always)]
    fn follow(&self, room: &mut Room, from: &Position, key: u64) -> Option<usize> {
        let version = self.version.load(Ordering::Acquire);
        let [known, place, fp] = [&self.key, &self.place, &self.fp].map(|word| word.load(Ordering::Acquire));
        if known != key || place != from.place || fp != 0 && fp != from.fp {
            return None;
        }
        let mut frames = self.frames.load(Ordering::Acquire);
        let mut used = 0;
        for (distance, value) in self.distances.iter().zip(&self.values) {
            if frames <= 1 {
                break;
            }
            let at = from.sp + u64::from(distance.load(Ordering::Acquire));
            let value = value.load(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) != version || version & 1 != 0 {
                return None;
            }
            // SAFETY: all words before were what they were when this one was read by a walk from the same place, so that a walk
            // would read it now: it is there.
            let same = unsafe { word(at) } == value;
            #[cfg(feature = "wrong")]
            let same = same || crate::wrong::is(crate::wrong::Wrong::BelievesPaths);
            if !same {
                return None;
            }
            if frames & 1 != 0 {
                room.get_mut(used)?.write(address(value));
                used += 1;
            }
            frames >>= 1;
        }
        Some(used)
    }

    /// The version to be written over, for whoever comes first; nobody waits.
    fn claim(&self) -> Option<u64> {
        let version = self.version.load(Ordering::Relaxed);
        if version & 1 != 0
            || self.version.compare_exchange(version, version + 1, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return None;
        }
        fence(Ordering::Release);
        Some(version)
    }
}

/// The return address that a word of the stack is.
#[inline(always)]
fn address(word: u64) -> u64 {
    #[cfg(target_arch = "aarch64")]
    let word = crate::sys::without_signature(word);
    word
}

/// Writes down the words that a walk reads.
struct Writing<'p> {
    path: &'p Path,
    from: Position,
    /// Words written.
    used: usize,
    /// Which of them are frames' return addresses.
    frames: u64,
    /// The last return address's word.
    last: u64,
    /// The first frame pointer, where it leads.
    fp: u64,
    /// The frame pointer now: where it was read, and that it was written down or led nowhere yet.
    pointer: Pointer,
    /// Whether there was room for all.
    whole: bool,
}

/// Where a walk has its frame pointer from.
#[derive(Clone, Copy)]
enum Pointer {
    /// The register.
    First,
    /// A word of the stack, of which nothing has come yet.
    Read(u64, u64),
    /// It is written down.
    Written,
}

impl Writing<'_> {
    fn write(&mut self, at: u64, value: u64) {
        let distance = u32::try_from(at.wrapping_sub(self.from.sp));
        let place = self.path.distances.get(self.used).zip(self.path.values.get(self.used));
        if let (Ok(distance), Some((distances, values))) = (distance, place) {
            distances.store(distance, Ordering::Relaxed);
            values.store(value, Ordering::Relaxed);
            self.used += 1;
        } else {
            self.whole = false;
        }
    }
}

impl Watch for Writing<'_> {
    fn kept(&mut self) {
        self.frames |= self.last;
        // Of the first there is no word: it is this library's.
        self.whole &= self.last != 0;
    }

    fn returns(&mut self, at: u64, value: u64) {
        self.last = 1 << self.used;
        self.write(at, value);
    }

    fn saved(&mut self, at: u64, value: u64) {
        self.pointer = Pointer::Read(at, value);
    }

    fn leads(&mut self) {
        wrong!(ForgetsPointers => { return });
        match self.pointer {
            Pointer::First => {
                self.fp = self.from.fp;
                self.whole &= self.fp != 0;
            }
            Pointer::Read(at, value) => self.write(at, value),
            Pointer::Written => {}
        }
        self.pointer = Pointer::Written;
    }
}
