//! The recorder's mapping: which word holds what. The same bytes in an anonymous mapping and in a journal file.
//!
//! All words are 64-bit little-endian. A header page names the regions by byte offset and length, so that a reader needs no
//! knowledge of the sizes a writer chose.
//!
//! | region | what | how it is written |
//! |---|---|---|
//! | counters | calls and failures by errno, per call | added to, never reset |
//! | processes | one record a process | by the process itself; a forked child's slot is reserved by its parent |
//! | modules | one record a loaded file of a process | once, before its state word |
//! | index | hash of an object's label or id → entry | compare-and-swap of one word |
//! | entries | objects made and not yet removed, each with the record of the call that made it | before its state word |
//! | ring | records of calls (see [`crate::record`]) | reserved by adding to the head |

use crate::calls::CALLS;
use crate::record::UNIT_WORDS;

/// First word of every recorder: `SHMAUDIT` in ASCII.
pub const MAGIC: u64 = u64::from_le_bytes(*b"SHMAUDIT");
/// Version of this layout; a reader refuses another.
pub const VERSION: u64 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 4096;

/// Header words.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::VERSION`].
    pub const VERSION: usize = 1;
    /// Bytes of the whole mapping.
    pub const TOTAL: usize = 2;
    /// Pairs of (byte offset, bytes) in the order of [`super::Region`].
    pub const REGIONS: usize = 4;
    /// Bytes of one entry.
    pub const ENTRY_BYTES: usize = 17;
    /// What a tick is: [`super::CLOCK_TSC`] or [`super::CLOCK_NS`].
    pub const CLOCK: usize = 18;
    /// Ticks and Unix nanoseconds read together at the start.
    pub const FIRST_TICKS: usize = 19;
    /// See [`FIRST_TICKS`].
    pub const FIRST_UNIX: usize = 20;
    /// Ticks and Unix nanoseconds read together last.
    pub const LAST_TICKS: usize = 21;
    /// See [`LAST_TICKS`].
    pub const LAST_UNIX: usize = 22;
    /// Device of the shm mount, 0 where there is none.
    pub const SHM_DEV: usize = 23;
    /// Frames kept per call.
    pub const STACKS: usize = 24;
    /// Bytes of a page; 0 where not known.
    pub const PAGE: usize = 25;
    /// Next position of the ring, in units. Each of these words has a cache line of its own.
    pub const HEAD: usize = 64;
    /// Entries taken from the never-used rest.
    pub const ENTRIES_USED: usize = 72;
    /// Head of the list of free entries: counter (32), entry + 1 (32).
    pub const ENTRIES_FREE: usize = 80;
    /// Process records taken.
    pub const PROCESSES: usize = 88;
    /// Module records taken.
    pub const MODULES: usize = 96;
    /// Objects that found no entry.
    pub const OBJECTS_LOST: usize = 104;
    /// Processes that found no record.
    pub const PROCESSES_LOST: usize = 105;
    /// 1 where a supervisor keeps the recorder: what is about to be written over, it has stored elsewhere before.
    pub const SESSION: usize = 106;
    /// Module records that the supervisor has stored: their places may be used again.
    pub const MODULES_SAVED: usize = 107;
    /// Position below which the supervisor has stored the ring's units.
    pub const DRAINED: usize = 108;
    /// First position that is still kept.
    pub const KEPT_FROM: usize = 109;
    /// Units that were written over before the supervisor came to store them.
    pub const UNITS_LOST: usize = 110;
    /// Units that the file of stored ones has room for: the one of position p is at p modulo that; 0: at p.
    pub const STORED_UNITS: usize = 111;
    /// Records of ended processes that were stored, and dropped to make room.
    pub const PROCESSES_DROPPED: usize = 112;
    /// Recorder ticks at the latest start of a process whose record was dropped.
    pub const DROPPED_UNTIL: usize = 113;
    /// Namespaces of whoever made the recorder, as [`super::process::NAMESPACES`] has them.
    pub const NAMESPACES: usize = 114;
}

/// Ticks are the processor's time-stamp counter.
pub const CLOCK_TSC: u64 = 1;
/// Ticks are nanoseconds of `CLOCK_REALTIME`.
pub const CLOCK_NS: u64 = 2;

/// A region of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Per-call counters.
    Counters = 0,
    /// Process records.
    Processes = 1,
    /// Module records.
    Modules = 2,
    /// Index of the registry.
    Index = 3,
    /// Entries of the registry.
    Entries = 4,
    /// Units of records.
    Ring = 5,
}

/// Number of regions.
pub const REGION_COUNT: usize = 6;

/// Errnos counted one by one; a higher one counts as the last.
pub const ERRNOS: usize = 134;
/// Words of one call's counters: its calls, then its failures by errno.
pub const COUNTER_WORDS: usize = ERRNOS;
/// Bytes of the counter region.
pub const COUNTER_BYTES: usize = CALLS.len() * COUNTER_WORDS * 8;

/// Words of a process record.
pub mod process {
    /// Bytes of one record.
    pub const BYTES: usize = 1024;
    /// One of the `STATE_…` (8); in a stored record, its slot + 1 above that (shifted by 32).
    pub const STATE: usize = 0;
    /// pid (32), parent's pid (32).
    pub const PID: usize = 1;
    /// Start time, in clock ticks since boot (`/proc/PID/stat` field 22); 0 where not known.
    pub const STARTTIME: usize = 2;
    /// Slot of the process whose image it shares by fork, plus 1; 0 for none.
    pub const PARENT: usize = 3;
    /// Recorder ticks at its start and end.
    pub const STARTED: usize = 4;
    /// See [`STARTED`].
    pub const ENDED: usize = 5;
    /// How it ended: one of the `END_…` (8), status (32).
    pub const END: usize = 6;
    /// Bytes of path (16), bytes of arguments (16).
    pub const LENGTHS: usize = 7;
    /// Namespaces that it began in, by inode number: pid (32), IPC (32); 0 where not known.
    pub const NAMESPACES: usize = 8;
    /// Path of the executable.
    pub const EXE: usize = 9;
    /// Most bytes of the path.
    pub const EXE_BYTES: usize = 384;
    /// Arguments, each ended by NUL.
    pub const ARGS: usize = EXE + EXE_BYTES / 8;
    /// Most bytes of the arguments.
    pub const ARGS_BYTES: usize = BYTES - ARGS * 8;

    /// Nobody's.
    pub const STATE_FREE: u64 = 0;
    /// Reserved by a parent about to fork.
    pub const STATE_FORKING: u64 = 1;
    /// Running, or ended without telling.
    pub const STATE_LIVE: u64 = 2;
    /// Ended, and told so.
    pub const STATE_ENDED: u64 = 3;
    /// Ended, and stored by the supervisor: the slot is free.
    pub const STATE_SAVED: u64 = 4;

    /// It told nothing.
    pub const END_UNKNOWN: u64 = 0;
    /// By `exit` or its relatives.
    pub const END_EXIT: u64 = 1;
    /// Replaced by `exec`.
    pub const END_EXEC: u64 = 2;
    /// By a signal, as its status says; only a supervisor can tell.
    pub const END_SIGNAL: u64 = 3;
}

/// Words of a module record.
pub mod module {
    /// Bytes of one record.
    pub const BYTES: usize = 512;
    /// 1 once written, process slot above it (shifted by 8), pid above that (shifted by 32).
    pub const STATE: usize = 0;
    /// First address.
    pub const START: usize = 1;
    /// Address after the last.
    pub const END: usize = 2;
    /// What is added to the file's addresses.
    pub const BIAS: usize = 3;
    /// Bytes of build id (16), bytes of path (16).
    pub const LENGTHS: usize = 4;
    /// When something was last unloaded before it was recorded, in ticks; 0 for never. Until then its addresses may have
    /// been another file's.
    pub const SINCE: usize = 5;
    /// Build id.
    pub const BUILD_ID: usize = 6;
    /// Most bytes of a build id.
    pub const BUILD_ID_BYTES: usize = 40;
    /// Path of the file.
    pub const PATH: usize = BUILD_ID + BUILD_ID_BYTES / 8;
    /// Most bytes of a path.
    pub const PATH_BYTES: usize = BYTES - PATH * 8;
}

/// Words of a registry entry.
pub mod entry {
    /// 0 free; else the order of the creating record × 2 + 1.
    pub const STATE: usize = 0;
    /// Hash that the index knows it by.
    pub const HASH: usize = 1;
    /// Next free entry + 1.
    pub const NEXT: usize = 2;
    /// The creating call's record, without tags.
    pub const RECORD: usize = 3;
}

/// Index words of a cache line: the home of a hash is the first word of one.
pub const INDEX_LINE: usize = 8;

/// Index words that may lead to what is known by one hash, from its home on. The first free one is taken, and none is 0 again
/// once it was taken: beyond a 0 there is nothing.
pub const INDEX_WINDOW: usize = 32;

/// An index word that was taken and is free again.
pub const INDEX_GONE: u64 = 1 << 63;

/// Sizes that a writer chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Process records.
    pub processes: usize,
    /// Module records.
    pub modules: usize,
    /// Registry entries.
    pub entries: usize,
    /// Bytes of an entry.
    pub entry_bytes: usize,
    /// Units of the ring; a power of two.
    pub units: usize,
}

impl Sizes {
    /// Sizes of a session's recorder, which is a file: its supervisor stores what it has no room for.
    pub const fn session(stacks: usize) -> Sizes {
        Sizes { entries: 65_536, ..Sizes::full(stacks, 0) }
    }

    /// Sizes divided by `2^shift`, for hosts that refuse the full ones.
    pub const fn full(stacks: usize, shift: u32) -> Sizes {
        let entry_bytes = if stacks <= 16 { 640 } else { 1024 };
        Sizes {
            processes: 2048 >> shift,
            modules: 4096 >> shift,
            entries: 131_072 >> shift,
            entry_bytes,
            units: 262_144 >> shift,
        }
    }

    /// Index words: twice the entries, so that a window is practically never full.
    pub const fn index_words(&self) -> usize {
        if self.entries * 2 < INDEX_LINE { INDEX_LINE } else { self.entries * 2 }
    }

    /// (byte offset, bytes) of each region, and the bytes of the whole.
    pub const fn regions(&self) -> ([(usize, usize); REGION_COUNT], usize) {
        let lengths = [
            COUNTER_BYTES,
            self.processes * process::BYTES,
            self.modules * module::BYTES,
            self.index_words() * 8,
            self.entries * self.entry_bytes,
            self.units * UNIT_WORDS * 8,
        ];
        let mut regions = [(0, 0); REGION_COUNT];
        let mut at = HEADER_BYTES;
        let mut region = 0;
        while region < REGION_COUNT {
            regions[region] = (at, lengths[region]);
            at += (lengths[region] + 4095) & !4095;
            region += 1;
        }
        (regions, at)
    }
}

/// What the clocks of a new recorder say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// [`CLOCK_TSC`] or [`CLOCK_NS`].
    pub clock: u64,
    /// Ticks now.
    pub ticks: u64,
    /// Nanoseconds since 1970 at the same moment.
    pub unix: u64,
}

/// Writes the header of a new recorder on a machine with pages of `page` bytes, `set(word, value)`, but for [`header::MAGIC`]: that comes last, so that who sees it
/// sees the rest.
pub fn write_header(sizes: &Sizes, stacks: usize, page: usize, clocks: Clocks, mut set: impl FnMut(usize, u64)) {
    let (regions, total) = sizes.regions();
    for (index, (offset, length)) in regions.into_iter().enumerate() {
        set(header::REGIONS + 2 * index, offset as u64);
        set(header::REGIONS + 2 * index + 1, length as u64);
    }
    set(header::TOTAL, total as u64);
    set(header::ENTRY_BYTES, sizes.entry_bytes as u64);
    set(header::CLOCK, clocks.clock);
    for (ticks, unix) in [(header::FIRST_TICKS, header::FIRST_UNIX), (header::LAST_TICKS, header::LAST_UNIX)] {
        set(ticks, clocks.ticks);
        set(unix, clocks.unix);
    }
    set(header::STACKS, stacks as u64);
    set(header::PAGE, page as u64);
    set(header::VERSION, VERSION);
}

/// How labels become index words: eight bytes at a time, spread.
pub fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    for word in words.iter().chain([&last]) {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
        hash ^= hash >> 29;
    }
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 32)
}

/// Hash of a POSIX object's name (without leading slashes).
pub fn hash_name(name: &[u8]) -> u64 {
    hash(name) | 1
}

/// Hash of a segment.
pub fn hash_shmid(shmid: i32) -> u64 {
    let spread = u64::from(shmid as u32).wrapping_add(0x5359_5356).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread ^ (spread >> 29)) | 1
}

/// Hash of what is told to be ignored, by the hash of its name or id: the registry keeps it beside the object itself.
pub const fn hash_ignored(hash: u64) -> u64 {
    (hash ^ 0x4947_4E4F_5245_0000).rotate_left(17) | 1
}

/// The index word of `entry` under `hash`: the hash's upper 40 bits and the entry's number + 1.
pub const fn index_word(hash: u64, entry: usize) -> u64 {
    (hash & !0xFF_FFFF) | (entry as u64 + 1)
}

/// The number of the entry that an index word leads to; `None` for a free one.
pub const fn indexed_entry(word: u64) -> Option<usize> {
    match word & 0xFF_FFFF {
        0 => None,
        number => Some(number as usize - 1),
    }
}

/// A POSIX object's label: the name without leading slashes, as the shm mount's directory has it.
pub fn bare_name(name: &[u8]) -> &[u8] {
    let slashes = name.iter().take_while(|&&byte| byte == b'/').count();
    name.get(slashes..).unwrap_or(&[])
}
