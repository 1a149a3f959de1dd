//! The writing side of the recorder: one shared mapping, made at start, written without locks.
//!
//! It owns the ring and the counters; objects are in `registry`, processes and modules in `processes`. Layout and record
//! format are the core's.

use alloc::ffi::CString;

use shmaudit_core::calls::{CALLS, Call, Trace};
use shmaudit_core::layout::{self, ERRNOS, Region, Sizes, header};
use shmaudit_core::reader::{Reader, Words};
use shmaudit_core::record::{self, Event, LateEnd, Slot, TAG_HEAD, TAG_MORE, UNIT_PAYLOAD, UNIT_WORDS, tag};

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::journal::JournalFile;
use crate::{clock, sys};

/// The mapping. What every call needs comes first, in one cache line.
#[repr(C, align(64))]
pub struct Recorder {
    ring: &'static [[AtomicU64; UNIT_WORDS]],
    counters: &'static [AtomicU64],
    head: &'static AtomicU64,
    /// Frames kept per call.
    pub stacks: usize,
    words: &'static [AtomicU64],
    regions: [&'static [AtomicU64]; layout::REGION_COUNT],
    /// Words of a registry entry.
    pub entry_words: usize,
}

/// A record that was begun before its call and wants the result.
#[derive(Clone, Copy)]
pub struct Ticket {
    position: u64,
    sum: u32,
    process: Slot,
}

/// Words that other processes write too.
struct Shared(&'static [AtomicU64]);

impl Words for Shared {
    fn word(&self, index: usize) -> Option<u64> {
        self.0.get(index).map(|word| word.load(Ordering::Acquire))
    }
    fn words(&self) -> usize {
        self.0.len()
    }
}

#[cfg(feature = "wrong")]
impl Ticket {
    /// Of a record that was not written.
    pub fn none() -> Ticket {
        Ticket { position: u64::MAX >> 1, sum: 0, process: Slot::default() }
    }
}

/// The tag of unit `number` of the record at `position`.
#[inline(always)]
fn unit_tag(position: u64, number: u64) -> u64 {
    tag(position + number, if number == 0 { TAG_HEAD } else { TAG_MORE })
}

/// Words that are not there.
static NOWHERE: AtomicU64 = AtomicU64::new(0);

/// Records between two readings of the wall clock that tell a reader how long a tick is.
const CLOCK_PERIOD: u64 = 4096;

/// Most bytes that a recorder may take: what the program is allowed (RLIMIT_AS) is the program's.
fn share_of_address_space() -> u64 {
    wrong!(LargeRecorder => { return u64::MAX });
    match sys::limit(libc::RLIMIT_AS) {
        u64::MAX => u64::MAX,
        limit => limit / 64,
    }
}

impl Recorder {
    /// Maps a recorder that forked children share. Smaller ones are tried where the host refuses, or where the program has
    /// little room; the errno of the smallest where all are refused.
    pub fn anonymous(stacks: usize) -> Result<Recorder, i32> {
        let mut refused = libc::ENOMEM;
        let most = share_of_address_space();
        for shift in [0, 3, 6] {
            let sizes = Sizes::full(stacks, shift);
            let (regions, total) = sizes.regions();
            if total as u64 > most {
                continue;
            }
            match sys::map_anonymous(total, libc::MAP_SHARED | libc::MAP_NORESERVE) {
                Ok(at) => {
                    // SAFETY: fresh zeroed pages, aligned, never unmapped; shared between processes, so only atomics.
                    let words = unsafe { core::slice::from_raw_parts(at.cast::<AtomicU64>(), total / 8) };
                    // A core file of the program should not hold ours.
                    // SAFETY: advice on our own mapping.
                    unsafe { sys::call(libc::SYS_madvise, at as usize, total, libc::MADV_DONTDUMP as usize, 0, 0, 0) };
                    let recorder = Recorder::over(words, regions, sizes.entry_bytes / 8, stacks);
                    recorder.write_header(&sizes, stacks);
                    return Ok(recorder);
                }
                Err(errno) => refused = errno,
            }
        }
        Err(refused)
    }

    /// Makes a recorder in a new file of `directory`, which stays readable after any death. The file is allocated whole
    /// before it is used and its descriptor is closed: a full disk is an error here, never a fault later. The errno where
    /// it cannot be.
    pub fn journal(directory: &str, pid: u32, stacks: usize) -> Result<Recorder, i32> {
        const SHIFT: u32 = 3;
        let sizes = Sizes::full(stacks, SHIFT);
        let (regions, total) = sizes.regions();
        if total as u64 > share_of_address_space() {
            return Err(libc::ENOMEM);
        }
        let file = JournalFile::make(directory, pid)?;
        match file.map(total) {
            // SAFETY: a new file's pages, aligned and allocated, never unmapped; shared, so only atomics.
            Ok(at) => unsafe {
                let words = core::slice::from_raw_parts(at.cast::<AtomicU64>(), total / 8);
                let recorder = Recorder::over(words, regions, sizes.entry_bytes / 8, stacks);
                recorder.write_header(&sizes, stacks);
                Ok(recorder)
            },
            Err(errno) => {
                file.remove();
                Err(errno)
            }
        }
    }

    /// Joins the recorder that a supervisor has made in a file. Errors: what opening or mapping it failed with; `EPERM` for
    /// another user's or a linked file, `EINVAL` for one that is no session's recorder or has a clock that we may not read.
    pub fn join(path: &str, stacks: usize) -> Result<Recorder, i32> {
        let path = CString::new(path).map_err(|_| libc::EINVAL)?;
        let file = sys::open(&path, libc::O_RDWR | libc::O_NOFOLLOW, 0)?;
        let facts = sys::fstat(file.0)?;
        // SAFETY: no arguments.
        let user = unsafe { sys::call(libc::SYS_geteuid, 0, 0, 0, 0, 0, 0) } as u32;
        if facts.st_mode & libc::S_IFMT != libc::S_IFREG || facts.st_uid != user || facts.st_nlink != 1 {
            return Err(libc::EPERM);
        }
        let length = usize::try_from(facts.st_size).map_err(|_| libc::EINVAL)? & !4095;
        if length < layout::HEADER_BYTES {
            return Err(libc::EINVAL);
        }
        let at = sys::map_shared(&file, length)?;
        // SAFETY: as many bytes as were mapped, which stay mapped, and which the supervisor has allocated.
        let words = unsafe { core::slice::from_raw_parts(at.cast::<AtomicU64>(), length / 8) };
        let joined = Recorder::joined(words, stacks);
        if joined.is_none() {
            // SAFETY: nobody has it.
            unsafe { sys::unmap(at, length) };
        }
        joined.ok_or(libc::EINVAL)
    }

    fn joined(words: &'static [AtomicU64], stacks: usize) -> Option<Recorder> {
        let (regions, entry_bytes) = Reader::new(&Shared(words)).ok()?.regions();
        let recorder = Recorder::over(words, regions, entry_bytes / 8, stacks);
        let says = |word: usize| recorder.word(word).load(Ordering::Acquire);
        (says(header::SESSION) == 1 && clock::start_as(says(header::CLOCK))).then_some(recorder)
    }

    fn over(
        words: &'static [AtomicU64],
        regions: [(usize, usize); layout::REGION_COUNT],
        entry_words: usize,
        stacks: usize,
    ) -> Recorder {
        let slice = |(offset, length): (usize, usize)| words.get(offset / 8..(offset + length) / 8).unwrap_or(&[]);
        let regions = regions.map(slice);
        Recorder {
            ring: regions[Region::Ring as usize].as_chunks().0,
            counters: regions[Region::Counters as usize],
            head: words.get(header::HEAD).unwrap_or(&NOWHERE),
            stacks,
            words,
            regions,
            entry_words,
        }
    }

    fn write_header(&self, sizes: &Sizes, stacks: usize) {
        let clock = clock::start();
        let clocks = layout::Clocks { clock, ticks: clock::now(), unix: clock::realtime() };
        layout::write_header(sizes, stacks, sys::page_size(), clocks, |word, value| self.set(word, value));
        self.word(header::MAGIC).store(layout::MAGIC, Ordering::Release);
    }

    /// Where it is mapped, and how many bytes.
    pub fn place(&self) -> (usize, usize) {
        (self.words.as_ptr().addr(), size_of_val(self.words))
    }

    /// Notes what the two clocks say now.
    pub fn read_clocks(&self) {
        self.set(header::LAST_TICKS, clock::now());
        self.set(header::LAST_UNIX, clock::realtime());
    }

    /// A word of the header.
    pub fn word(&self, index: usize) -> &'static AtomicU64 {
        self.words.get(index).unwrap_or(&NOWHERE)
    }

    /// Sets a word of the header.
    pub fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Relaxed);
    }

    /// The words of a region.
    pub fn region(&self, region: Region) -> &'static [AtomicU64] {
        self.regions.get(region as usize).copied().unwrap_or(&[])
    }

    /// Counts a call, and its failure.
    #[inline(always)]
    pub fn count(&self, call: Call, errno: i32) {
        let base = usize::from(call.number()) * layout::COUNTER_WORDS;
        if let Some(calls) = self.counters.get(base) {
            calls.fetch_add(1, Ordering::Relaxed);
        }
        if errno != 0
            && let Some(failures) = self.counters.get(base + (errno as usize).clamp(1, ERRNOS - 1))
        {
            failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a supervisor keeps it.
    pub fn is_session(&self) -> bool {
        self.word(header::SESSION).load(Ordering::Relaxed) == 1
    }

    /// Whether any call of the tree was about shared memory: who makes none hears nothing of the audit.
    pub fn is_concerned(&self) -> bool {
        let counters = self.region(Region::Counters);
        CALLS.iter().filter(|call| call.trace() != Trace::Process).any(|call| {
            let base = usize::from(call.number()) * layout::COUNTER_WORDS;
            counters.get(base).is_some_and(|calls| calls.load(Ordering::Relaxed) != 0)
        })
    }

    /// The position that the next record will have.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Appends a record; where its order is 0, that is its own position. Returns what a later end of it needs, and the order.
    #[inline(always)]
    pub fn append(&self, event: Event) -> (Ticket, u64) {
        let units = event.units() as u64;
        let position = self.head.fetch_add(units, Ordering::AcqRel);
        // Who reads a word of this record sees that the ring has come so far: what it takes for an older one is not.
        fence(Ordering::Release);
        let event = Event { order: if event.order == 0 { position * 2 + 1 } else { event.order }, ..event };
        let (mut number, mut rest) = (0, [].iter());
        let (head, sum) = record::encode_words(&event, |word| {
            if rest.len() == 0 {
                if number > 0 {
                    self.commit(position, number);
                }
                number += 1;
                wrong!(CommitsEarly => { self.commit(position, number) });
                rest = self.unit(position + number).map_or([].iter(), |[_, payload @ ..]| payload.iter());
            }
            if let Some(place) = rest.next() {
                place.store(word, Ordering::Relaxed);
            }
        });
        rest.for_each(|place| place.store(0, Ordering::Relaxed));
        wrong!(CommitsEarly => { self.commit(position, 0) });
        if number > 0 {
            self.commit(position, number);
        }
        if let Some([_, payload @ ..]) = self.unit(position) {
            payload.iter().zip(head).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
        }
        self.commit(position, 0);
        if position & (CLOCK_PERIOD - 1) < units {
            self.read_clocks();
        }
        (Ticket { position, sum, process: event.process }, event.order)
    }

    /// The ring's unit at `position`.
    #[inline(always)]
    fn unit(&self, position: u64) -> Option<&'static [AtomicU64; UNIT_WORDS]> {
        self.ring.get(position as usize & self.ring.len().wrapping_sub(1))
    }

    /// Says that unit `number` of the record at `position` has been written.
    #[inline(always)]
    fn commit(&self, position: u64, number: u64) {
        if let Some([first, ..]) = self.unit(position + number) {
            first.store(unit_tag(position, number), Ordering::Release);
        }
    }

    /// Unit `number` of the record of `ticket`, unless the ring has turned meanwhile and it is somebody else's.
    #[inline(always)]
    fn unit_of(&self, ticket: Ticket, number: u64) -> Option<&'static [AtomicU64; UNIT_WORDS]> {
        let unit = self.unit(ticket.position + number)?;
        let written = unit[0].load(Ordering::Acquire) == unit_tag(ticket.position, number);
        if written && !self.has_turned(ticket) { Some(unit) } else { None }
    }

    /// Whether the ring has turned since the record of `ticket` was begun, so that others may have written there.
    #[inline(always)]
    fn has_turned(&self, ticket: Ticket) -> bool {
        self.head().wrapping_sub(ticket.position) > self.ring.len() as u64
    }

    /// Adds the end to a record that was begun before a call that may make an object. `args`: how many it has.
    #[inline(always)]
    pub fn finish_late(&self, ticket: Ticket, call: Call, args: usize, end: &LateEnd) {
        let (Some(head), Some(more)) = (self.unit_of(ticket, 0), self.unit_of(ticket, 1)) else { return };
        let words = record::late_words(ticket.sum, ticket.process, call, args, end);
        for (place, &value) in more.iter().skip(1 + words.first).zip(words.body()) {
            place.store(value, Ordering::Release);
        }
        for (word, value) in words.head {
            if let Some(place) = head.get(1 + word) {
                place.store(value, Ordering::Release);
            }
        }
    }

    /// Copies the record of `ticket`, which has ended, to `place`, without tags. `false`: it does not fit, or is not whole any
    /// more.
    #[inline(always)]
    pub fn copy(&self, ticket: Ticket, place: &[AtomicU64]) -> bool {
        let unit = |number: usize| self.unit(ticket.position + number as u64);
        let units = unit(0).map_or(0, |unit| record::units_of(unit[1].load(Ordering::Relaxed)));
        let Some(place) = place.get(..units * UNIT_PAYLOAD) else { return false };
        for (number, room) in place.chunks_exact(UNIT_PAYLOAD).enumerate() {
            let Some([_, payload @ ..]) = unit(number) else { return false };
            for (place, word) in room.iter().zip(payload) {
                place.store(word.load(Ordering::Acquire), Ordering::Relaxed);
            }
        }
        units > 0 && !self.has_turned(ticket)
    }

    /// Adds the result to a record that was begun before its call.
    pub fn finish(&self, ticket: Ticket, took: u32, errno: i32, ret: i64) {
        let Some(unit) = self.unit_of(ticket, 0) else { return };
        for (word, value) in record::finish_words(ticket.sum, ticket.process, took, errno, ret) {
            if let Some(place) = unit.get(word) {
                place.store(value, Ordering::Release);
            }
        }
    }
}

#[cfg(feature = "wrong")]
impl Recorder {
    /// Takes the mapping away.
    pub fn unmap(&self) {
        // SAFETY: none: that is the point.
        unsafe { sys::unmap(self.words.as_ptr().cast_mut().cast(), self.words.len() * 8) };
    }
}

impl Words for Recorder {
    fn word(&self, index: usize) -> Option<u64> {
        self.words.get(index).map(|word| word.load(Ordering::Acquire))
    }
    fn words(&self) -> usize {
        self.words.len()
    }
}
