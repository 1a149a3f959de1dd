//! Reads a recorder, whatever state its writers left it in. Nothing of it is believed before it is checked.

use alloc::vec::Vec;

use crate::calls::{CALLS, Call};
use crate::layout::{self, ERRNOS, HEADER_BYTES, REGION_COUNT, Region, header};
use crate::record::{Decoded, Event, Slot, TAG_HEAD, TAG_MORE, UNIT_PAYLOAD, UNIT_WORDS, tag, units_of};

/// The recorder's bytes as 64-bit words.
pub trait Words {
    /// Word `index`, `None` past the end.
    fn word(&self, index: usize) -> Option<u64>;
    /// Number of words.
    fn words(&self) -> usize;
}

impl Words for [u64] {
    fn word(&self, index: usize) -> Option<u64> {
        self.get(index).copied()
    }
    fn words(&self) -> usize {
        self.len()
    }
}

/// Why a recorder cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Shorter than a header.
    TooShort,
    /// It does not begin as a recorder does.
    NotARecorder,
    /// Another version's layout.
    Version(u64),
    /// A region lies outside of the file.
    Region(usize),
}

/// A process record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessRecord {
    /// Its slot.
    pub slot: Slot,
    /// One of `layout::process::STATE_…`.
    pub state: u64,
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// Clock ticks since boot at its start; 0 where not known.
    pub starttime: u64,
    /// Slot of the process it was forked from.
    pub parent: Option<Slot>,
    /// Recorder ticks at its start.
    pub started: u64,
    /// Recorder ticks at its end, 0 while it has none.
    pub ended: u64,
    /// One of `layout::process::END_…`.
    pub end: u64,
    /// Exit status, or the signal that ended it.
    pub status: i32,
    /// Pid namespace that it began in, by inode number; 0 where not known.
    pub pid_namespace: u32,
    /// IPC namespace that it began in, by inode number; 0 where not known.
    pub ipc_namespace: u32,
    /// Path of the executable.
    pub exe: Vec<u8>,
    /// Arguments.
    pub args: Vec<Vec<u8>>,
}

/// A module record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRecord {
    /// Slot of its process.
    pub process: Slot,
    /// Its process's id; 0 where the writer did not keep it.
    pub pid: u32,
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// What is added to the file's addresses.
    pub bias: u64,
    /// When its addresses may have been another file's last, in ticks.
    pub since: u64,
    /// Build id, empty where there is none.
    pub build_id: Vec<u8>,
    /// Path of the file.
    pub path: Vec<u8>,
}

/// A checked view of a recorder.
#[derive(Debug)]
pub struct Reader<'a, W: Words + ?Sized> {
    words: &'a W,
    regions: [(usize, usize); REGION_COUNT],
    entry_words: usize,
}

impl<W: Words + ?Sized> Clone for Reader<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: Words + ?Sized> Copy for Reader<'_, W> {}

/// Where the records are, in the order they took effect, and how much was not to be had.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// (order, position), sorted.
    pub records: Vec<(u64, u64)>,
    /// Places where a record was begun but is not whole.
    pub torn: u64,
    /// Units at these places: as many records they may have been at most.
    pub torn_units: u64,
    /// Units that later records have overwritten.
    pub overwritten: u64,
}

impl<'a, W: Words + ?Sized> Reader<'a, W> {
    /// Checks the header.
    pub fn new(words: &'a W) -> Result<Self, Refusal> {
        let word = |at: usize| words.word(at).unwrap_or(0);
        if word(header::MAGIC) != layout::MAGIC {
            return Err(Refusal::NotARecorder);
        }
        if words.words() < HEADER_BYTES / 8 {
            return Err(Refusal::TooShort);
        }
        if word(header::VERSION) != layout::VERSION {
            return Err(Refusal::Version(word(header::VERSION)));
        }
        let mut regions = [(0, 0); REGION_COUNT];
        for (index, place) in regions.iter_mut().enumerate() {
            let refusal = Refusal::Region(index);
            let offset = usize::try_from(word(header::REGIONS + 2 * index)).map_err(|_| refusal)?;
            let length = usize::try_from(word(header::REGIONS + 2 * index + 1)).map_err(|_| refusal)?;
            let end = offset.checked_add(length).ok_or(refusal)?;
            if offset % 8 != 0 || length % 8 != 0 || end > words.words().saturating_mul(8) || offset < HEADER_BYTES {
                return Err(refusal);
            }
            *place = (offset / 8, length / 8);
        }
        let reader = Reader { words, regions, entry_words: (word(header::ENTRY_BYTES) / 8) as usize };
        let ring = Region::Ring as usize;
        if !reader.units().is_power_of_two() {
            return Err(Refusal::Region(ring));
        }
        if reader.entry_words < layout::entry::RECORD + UNIT_PAYLOAD || reader.entry_words > 1 << 12 {
            return Err(Refusal::Region(Region::Entries as usize));
        }
        Ok(reader)
    }

    /// A header word.
    pub fn header(&self, word: usize) -> u64 {
        self.words.word(word).unwrap_or(0)
    }

    /// (byte offset, bytes) of each region, and the bytes of a registry entry.
    pub fn regions(&self) -> ([(usize, usize); REGION_COUNT], usize) {
        (self.regions.map(|(start, length)| (start * 8, length * 8)), self.entry_words * 8)
    }

    fn region(&self, region: Region) -> (usize, usize) {
        self.regions.get(region as usize).copied().unwrap_or((0, 0))
    }

    fn get(&self, region: Region, word: usize) -> Option<u64> {
        let (start, length) = self.region(region);
        if word < length { self.words.word(start + word) } else { None }
    }

    fn units(&self) -> usize {
        self.region(Region::Ring).1 / UNIT_WORDS
    }

    /// How often `call` was made.
    pub fn calls(&self, call: Call) -> u64 {
        self.get(Region::Counters, usize::from(call.number()) * layout::COUNTER_WORDS).unwrap_or(0)
    }

    /// How often `call` failed with `errno`.
    pub fn failures(&self, call: Call, errno: usize) -> u64 {
        let base = usize::from(call.number()) * layout::COUNTER_WORDS;
        self.get(Region::Counters, base + errno.clamp(1, ERRNOS - 1)).unwrap_or(0)
    }

    /// All calls made.
    pub fn all_calls(&self) -> u64 {
        CALLS.iter().map(|&call| self.calls(call)).fold(0, u64::saturating_add)
    }

    /// About how many of `records` later ones have overwritten, taking all for equally long.
    pub fn overwritten(&self, records: u64) -> u64 {
        let (head, units) = (self.header(header::HEAD), self.units() as u64);
        let gone = u128::from(head.saturating_sub(units));
        (u128::from(records) * gone).checked_div(u128::from(head)).unwrap_or(0) as u64
    }

    /// Process records in use.
    pub fn processes(&self) -> Vec<ProcessRecord> {
        use layout::process::*;
        let words = BYTES / 8;
        let room = self.region(Region::Processes).1 / words;
        let used = (self.header(header::PROCESSES) as usize).min(room);
        let mut found = Vec::new();
        for slot in 0..used {
            let word = |at: usize| self.get(Region::Processes, slot * words + at).unwrap_or(0);
            let state = word(STATE) & 0xFF;
            if !(STATE_LIVE..=STATE_ENDED).contains(&state) {
                continue;
            }
            let number = match word(STATE) >> 32 {
                0 => slot as u64,
                stored => stored - 1,
            };
            let exe_bytes = (word(LENGTHS) as u16 as usize).min(EXE_BYTES);
            let args_bytes = ((word(LENGTHS) >> 16) as u16 as usize).min(ARGS_BYTES);
            let args = self.bytes(Region::Processes, slot * words + ARGS, args_bytes);
            let parent = word(PARENT);
            found.push(ProcessRecord {
                slot: (number as Slot).min(Slot::from(u16::MAX)),
                state,
                pid: word(PID) as u32,
                ppid: (word(PID) >> 32) as u32,
                starttime: word(STARTTIME),
                parent: if parent == 0 { None } else { Some((parent - 1) as Slot) },
                started: word(STARTED),
                ended: word(ENDED),
                end: word(END) & 0xFF,
                status: (word(END) >> 8) as u32 as i32,
                pid_namespace: word(NAMESPACES) as u32,
                ipc_namespace: (word(NAMESPACES) >> 32) as u32,
                exe: self.bytes(Region::Processes, slot * words + EXE, exe_bytes),
                args: args.split(|&byte| byte == 0).filter(|arg| !arg.is_empty()).map(<[u8]>::to_vec).collect(),
            });
        }
        found
    }

    /// Module records in use.
    pub fn modules(&self) -> Vec<ModuleRecord> {
        use layout::module::*;
        let words = BYTES / 8;
        let room = self.region(Region::Modules).1 / words;
        let used = (self.header(header::MODULES) as usize).min(room);
        let mut found = Vec::new();
        for slot in 0..used {
            let word = |at: usize| self.get(Region::Modules, slot * words + at).unwrap_or(0);
            if word(STATE) & 0xFF != 1 {
                continue;
            }
            let build_id = (word(LENGTHS) as u16 as usize).min(BUILD_ID_BYTES);
            let path = ((word(LENGTHS) >> 16) as u16 as usize).min(PATH_BYTES);
            found.push(ModuleRecord {
                process: Slot::from((word(STATE) >> 8) as u16),
                pid: (word(STATE) >> 32) as u32,
                start: word(START),
                end: word(END),
                bias: word(BIAS),
                since: word(SINCE),
                build_id: self.bytes(Region::Modules, slot * words + BUILD_ID, build_id),
                path: self.bytes(Region::Modules, slot * words + PATH, path),
            });
        }
        found
    }

    fn bytes(&self, region: Region, word: usize, length: usize) -> Vec<u8> {
        (0..length).map(|at| (self.get(region, word + at / 8).unwrap_or(0) >> (8 * (at % 8))) as u8).collect()
    }

    /// Calls `each` with the creating record of every object that has not been removed.
    pub fn objects(&self, mut each: impl FnMut(&Event)) {
        let room = self.region(Region::Entries).1.checked_div(self.entry_words).unwrap_or(0);
        let used = (self.header(header::ENTRIES_USED) as usize).min(room);
        let mut decoded = Decoded::default();
        for entry in 0..used {
            let base = entry * self.entry_words;
            let state = self.get(Region::Entries, base + layout::entry::STATE).unwrap_or(0);
            if state & 1 == 0 {
                continue;
            }
            let room = self.entry_words - layout::entry::RECORD;
            let event = decoded
                .read(|at| if at < room { self.get(Region::Entries, base + layout::entry::RECORD + at) } else { None });
            let Some(event) = event else { continue };
            if self.get(Region::Entries, base + layout::entry::STATE) == Some(state) {
                each(&event);
            }
        }
    }

    fn unit_word(&self, position: u64, word: usize) -> Option<u64> {
        let unit = position as usize & (self.units() - 1);
        self.get(Region::Ring, unit * UNIT_WORDS + word)
    }

    /// When the record at `position` was written or ended, in ticks; 0 where there is none any more.
    pub fn ticks(&self, position: u64) -> u64 {
        self.unit_word(position, 2).unwrap_or(0)
    }

    /// Decodes the record whose head is at `position`.
    pub fn record<'d>(&self, position: u64, decoded: &'d mut Decoded) -> Option<Event<'d>> {
        if self.unit_word(position, 0)? != tag(position, TAG_HEAD) {
            return None;
        }
        let event = decoded.read(|at| {
            let unit = position + (at / UNIT_PAYLOAD) as u64;
            if at >= UNIT_PAYLOAD && self.unit_word(unit, 0)? != tag(unit, TAG_MORE) {
                return None;
            }
            self.unit_word(unit, 1 + at % UNIT_PAYLOAD)
        })?;
        let units = event.units() as u64;
        // Still this turn's after it was read, and not overrun by the head meanwhile.
        let whole = (1..units).all(|unit| self.unit_word(position + unit, 0) == Some(tag(position + unit, TAG_MORE)));
        let fresh = self.header(header::HEAD) <= position + self.units() as u64;
        if whole && fresh && self.unit_word(position, 0)? == tag(position, TAG_HEAD) { Some(event) } else { None }
    }

    /// Finds every record that is still whole and puts them in the order in which the calls took effect.
    pub fn order(&self) -> Order {
        let head = self.header(header::HEAD);
        let units = self.units() as u64;
        let kept = self.header(header::KEPT_FROM);
        let mut position = head.saturating_sub(units).max(kept.min(head));
        let lost = self.header(header::UNITS_LOST);
        let mut order = Order { overwritten: position.saturating_add(lost), ..Order::default() };
        let mut decoded = Decoded::default();
        // A ring that has wrapped begins in the middle of a record that is gone: its rest is not a torn one.
        let mut in_gap = position > 0;
        while position < head {
            let meta = match self.unit_word(position, 0) {
                Some(found) if found == tag(position, TAG_HEAD) => self.unit_word(position, 1).unwrap_or(0),
                _ => 0,
            };
            let claimed = units_of(meta) as u64;
            match self.record(position, &mut decoded) {
                Some(event) => {
                    order.records.push((event.order, position));
                    position += claimed.max(1);
                    in_gap = false;
                }
                None => {
                    if !in_gap {
                        order.torn += 1;
                    }
                    in_gap = true;
                    order.torn_units += 1;
                    position += 1;
                }
            }
        }
        order.records.sort_unstable();
        order
    }
}
