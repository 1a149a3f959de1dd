//! One record: what a hook noted of one call, and its form in 64-byte units of the ring.
//!
//! A record is a head unit and as many continuation units as it needs. The first word of every unit is a tag made of its
//! absolute position in the ring's whole history, so that a reader tells a unit of this turn from a left-over of an
//! earlier one, and finds the next head after a record that was never finished.
//!
//! | word of the head | holds |
//! |---|---|
//! | 0 | tag: position × 256 + [`TAG_HEAD`] |
//! | 1 | call (8 bits), frames (8), units (8), args (4), family (4), bytes of data (16), flags (16) |
//! | 2 | ticks at the end of the call, with [`FLAG_BEFORE`] at its beginning |
//! | 3 | ticks it took (32, saturating), errno (16), process slot (16) |
//! | 4 | tid (32), pid (32) |
//! | 5 | result |
//! | 6 | order: twice the ring position at which it took effect, plus 1 where that is its own |
//! | 7 | sum of what is fixed at the start (32), state (8) and sum of what the end adds (24) |
//!
//! A record is written after its call, or begun before it and ended after it: releases are, because what they release may
//! be used again at once, and calls that make objects are ([`FLAG_LATE`]), because a process can be killed in the kernel
//! with the object made. Of the latter, ticks, order, identity and what they made come with the end and are in its sum.
//!
//! The body follows in the continuation units, seven words each after the tag: args, then two words of identity where the
//! family is not `None`, then the data padded to words, then the frames. A call that opened an object has an [`Opening`]
//! after its args.

mod late;
mod opening;

use crate::calls::Call;

use late::{LATE_CREATED, LATE_MAYBE, LATE_NO_OBJECT, late_sum};
pub use late::{LATE_MOST_ARGS, LateEnd, LateWords, late_args, late_words};
pub use opening::{Opening, size_when_mapped};

/// Words in a unit, the tag among them.
pub const UNIT_WORDS: usize = 8;
/// Words of a unit that carry the record.
pub const UNIT_PAYLOAD: usize = UNIT_WORDS - 1;
/// Most call-stack frames a record keeps.
pub const MAX_FRAMES: usize = 64;
/// Most bytes of data (a path of a rename pair is cut to half of it).
pub const MAX_DATA: usize = 1024;
/// Most arguments.
pub const MAX_ARGS: usize = 6;
/// Words of the longest record, tags not counted.
pub const MAX_WORDS: usize = UNIT_PAYLOAD + MAX_ARGS + 2 + MAX_DATA / 8 + MAX_FRAMES;

/// Low byte of a head's tag.
pub const TAG_HEAD: u64 = 0xA1;
/// Low byte of a continuation's tag.
pub const TAG_MORE: u64 = 0xB2;

/// The tag of the unit at absolute position `position`.
pub const fn tag(position: u64, kind: u64) -> u64 {
    (position << 8) | kind
}

/// A slot of the process table. Where several recorders are read as one, each has its own numbers.
pub type Slot = u32;

/// What kind of object a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// None, or not known.
    None = 0,
    /// A file on the shm mount: identity is (dev, ino).
    Posix = 1,
    /// A System V segment: identity is the shmid.
    Sysv = 2,
    /// A memfd: identity is (dev, ino).
    Memfd = 3,
}

impl Family {
    fn from_number(number: u64) -> Option<Family> {
        match number {
            0 => Some(Family::None),
            1 => Some(Family::Posix),
            2 => Some(Family::Sysv),
            3 => Some(Family::Memfd),
            _ => None,
        }
    }
}

/// An object's identity; names and keys are labels and are re-used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId {
    /// Which kind.
    pub family: Family,
    /// Device of a file; IPC namespace of a segment, by inode number, and 0 for that of whoever made the recorder.
    pub dev: u64,
    /// Inode of a file (0: not known); shmid of a segment.
    pub ino: u64,
}

impl ObjectId {
    /// No object.
    pub const NONE: ObjectId = ObjectId { family: Family::None, dev: 0, ino: 0 };

    /// The segment `shmid` of the recorder's own namespace.
    pub fn sysv(shmid: i32) -> ObjectId {
        ObjectId { family: Family::Sysv, dev: 0, ino: u64::from(shmid as u32) }
    }

    /// The shmid of a segment.
    pub fn shmid(self) -> i32 {
        self.ino as u32 as i32
    }
}

/// This call made the object.
pub const FLAG_CREATED: u16 = 1;
/// This call found the object or made it; only other records can tell.
pub const FLAG_MAYBE_CREATED: u16 = 2;
/// The data was cut to [`MAX_DATA`].
pub const FLAG_CUT: u16 = 4;
/// The caller's return address could not be followed further than what is kept.
pub const FLAG_STACK_CUT: u16 = 8;
/// The thread had paused its audit: what comes of the call is not reported.
pub const FLAG_PAUSED: u16 = 32;
/// The call may make an object, and its record was begun before it: begun and never ended, it may have made one.
pub const FLAG_LATE: u16 = 1 << 15;

/// Its record was written before the call, and its ticks are of the call's beginning: a release.
pub const FLAG_BEFORE: u16 = 16;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Its record was written before the call, and no result followed: in the call, or killed in it.
    Begun = 1,
    /// Result and errno are known.
    Done = 2,
}

/// What a hook notes of one call.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The call.
    pub call: Call,
    /// How far it has come.
    pub state: State,
    /// `FLAG_…` bits.
    pub flags: u16,
    /// Ticks of the recorder's clock when it was written (see the header's clock).
    pub ticks: u64,
    /// Ticks it took, saturating.
    pub took: u32,
    /// errno after a failure, 0 after success.
    pub errno: i32,
    /// Slot in the process table.
    pub process: Slot,
    /// Process id in its own namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// The result, sign-extended.
    pub ret: i64,
    /// Where it stands in the one order of all calls: twice a ring position. Its own position (then plus 1) for calls
    /// noted after they acquired something or before they released it; the head before the call for a release that
    /// could only be noted after it.
    pub order: u64,
    /// Arguments, as many as are kept.
    pub args: &'a [u64],
    /// The object it is about.
    pub object: ObjectId,
    /// Name, path or decoded struct.
    pub data: &'a [u8],
    /// Return addresses, innermost first.
    pub frames: &'a [u64],
}

impl Event<'_> {
    /// Whether the call failed by its own convention.
    pub fn failed(&self) -> bool {
        self.errno != 0
    }

    /// Ticks when the call came back; where that is not known, when it began.
    pub fn ended(&self) -> u64 {
        match self.state {
            State::Done if self.flags & FLAG_BEFORE != 0 => self.ticks.saturating_add(u64::from(self.took)),
            _ => self.ticks,
        }
    }

    /// Argument `index`, 0 where it is not kept.
    pub fn arg(&self, index: usize) -> u64 {
        self.args.get(index).copied().unwrap_or(0)
    }

    fn body_words(&self) -> usize {
        let identity = if self.object.family == Family::None { 0 } else { 2 };
        self.args.len().min(MAX_ARGS)
            + identity
            + self.data.len().min(MAX_DATA).div_ceil(8)
            + self.frames.len().min(MAX_FRAMES)
    }

    /// Units it takes in the ring.
    pub fn units(&self) -> usize {
        1 + self.body_words().div_ceil(UNIT_PAYLOAD)
    }
}

/// Sums words so that an exchanged, missing or changed word shows; each word has its own odd factor.
#[derive(Clone, Copy, Debug)]
struct Sum {
    sum: u64,
    factor: u64,
}

impl Sum {
    const fn new() -> Sum {
        Sum { sum: 0x9E37_79B9_7F4A_7C15, factor: 0xC2B2_AE3D_27D4_EB4F }
    }

    #[inline(always)]
    fn add(&mut self, word: u64) {
        self.sum = self.sum.wrapping_add((word ^ (word >> 31)).wrapping_mul(self.factor));
        self.factor = self.factor.wrapping_add(0x9E37_79B9_7F4A_7C16);
    }

    fn finish(self) -> u64 {
        let folded = self.sum ^ (self.sum >> 29);
        folded.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32
    }
}

fn end_sum(took: u64, ret: u64) -> u64 {
    let mut sum = Sum::new();
    sum.add(took);
    sum.add(ret);
    sum.finish() & 0xFF_FFFF
}

/// Word 3 of the head.
fn word_took(took: u32, errno: i32, process: Slot) -> u64 {
    u64::from(took) | (u64::from(errno as u16) << 32) | (u64::from(process as u16) << 48)
}

/// The words that [`finish`](finish_words) writes into a begun record's head: (index in the unit, value).
pub fn finish_words(fixed_sum: u32, process: Slot, took: u32, errno: i32, ret: i64) -> [(usize, u64); 3] {
    let took = word_took(took, errno, process);
    let check = u64::from(fixed_sum) | ((State::Done as u64) << 32) | (end_sum(took, ret as u64) << 40);
    [(3, took), (5, ret as u64), (7, check)]
}

/// A unit's words after the tag.
pub type Payload = [u64; UNIT_PAYLOAD];

/// Gives the words of `event`'s body to `put`, in their order, and returns those of its head, which are to be written after
/// them, and the sum of the fixed part, which a later end of the record needs.
#[inline(always)]
pub fn encode_words(event: &Event, mut put: impl FnMut(u64)) -> (Payload, u32) {
    let args = event.args.len().min(MAX_ARGS);
    let data = event.data.get(..event.data.len().min(MAX_DATA)).unwrap_or(&[]);
    let frames = event.frames.get(..event.frames.len().min(MAX_FRAMES)).unwrap_or(&[]);
    let meta = u64::from(event.call.number())
        | ((frames.len() as u64) << 8)
        | ((event.units() as u64 & 0xFF) << 16)
        | ((args as u64) << 24)
        | ((event.object.family as u64) << 28)
        | ((data.len() as u64) << 32)
        | (u64::from(event.flags) << 48);
    let who = u64::from(event.tid) | (u64::from(event.pid) << 32);
    let late = event.flags & FLAG_LATE != 0;
    let mut sum = Sum::new();
    sum.add(meta);
    sum.add(if late { 0 } else { event.ticks });
    sum.add(who);
    sum.add(if late { 0 } else { event.order });
    let mut body = |word: u64| {
        sum.add(word);
        put(word);
    };
    let first_late = if late { args - late_args(event.call).min(args) } else { args };
    for (index, &arg) in event.args.iter().take(MAX_ARGS).enumerate() {
        body(if index < first_late { arg } else { 0 });
    }
    if event.object.family != Family::None {
        body(if late { 0 } else { event.object.dev });
        body(if late { 0 } else { event.object.ino });
    }
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        body(u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        body(rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    }
    for &frame in frames {
        body(frame);
    }
    let fixed = sum.finish() as u32;
    let took = word_took(event.took, event.errno, event.process);
    let end = match event.state {
        State::Begun => 0,
        State::Done => end_sum(took, event.ret as u64),
    };
    let check = u64::from(fixed) | ((event.state as u64) << 32) | (end << 40);
    ([meta, event.ticks, took, who, event.ret as u64, event.order, check], fixed)
}

/// As [`encode_words`], for who may write in any order: `put(word of the record without tags, value)`.
pub fn encode(event: &Event, mut put: impl FnMut(usize, u64)) -> u32 {
    let mut at = UNIT_PAYLOAD;
    let (head, sum) = encode_words(event, |word| {
        put(at, word);
        at += 1;
    });
    head.into_iter().enumerate().for_each(|(at, word)| put(at, word));
    sum
}

/// Room for one decoded record.
#[derive(Clone, Debug)]
pub struct Decoded {
    words: [u64; MAX_WORDS],
    data: [u8; MAX_DATA],
}

impl Default for Decoded {
    fn default() -> Self {
        Decoded { words: [0; MAX_WORDS], data: [0; MAX_DATA] }
    }
}

/// Units that the record with this meta word (word 1 of the head unit) claims; 0 where no record can claim it.
pub fn units_of(meta: u64) -> usize {
    let units = (meta >> 16 & 0xFF) as usize;
    if (units.saturating_sub(1)) * UNIT_PAYLOAD > MAX_WORDS { 0 } else { units }
}

impl Decoded {
    /// Reads a record word by word: `get(word of the record without tags)`. `None`: damaged, and nothing of it is used.
    pub fn read(&mut self, mut get: impl FnMut(usize) -> Option<u64>) -> Option<Event<'_>> {
        for at in 0..UNIT_PAYLOAD {
            *self.words.get_mut(at)? = get(at)?;
        }
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0);
        let meta = word(0);
        let call = Call::from_number(meta as u8)?;
        let frames = (meta >> 8 & 0xFF) as usize;
        let args = (meta >> 24 & 0xF) as usize;
        let family = Family::from_number(meta >> 28 & 0xF)?;
        let length = (meta >> 32 & 0xFFFF) as usize;
        if frames > MAX_FRAMES || args > MAX_ARGS || length > MAX_DATA {
            return None;
        }
        let identity = if family == Family::None { 0 } else { 2 };
        let body = args + identity + length.div_ceil(8) + frames;
        if units_of(meta) != 1 + body.div_ceil(UNIT_PAYLOAD) {
            return None;
        }
        let (ticks, took, who, ret, order, check) = (word(1), word(2), word(3), word(4), word(5), word(6));
        let late = meta >> 48 & u64::from(FLAG_LATE) != 0;
        if late && identity == 0 {
            return None;
        }
        let first_late = args - late_args(call).min(args);
        let ends = |at: usize| late && (first_late..args + 2).contains(&(at - UNIT_PAYLOAD));
        let mut sum = Sum::new();
        sum.add(meta);
        sum.add(if late { 0 } else { ticks });
        sum.add(who);
        sum.add(if late { 0 } else { order });
        for at in UNIT_PAYLOAD..UNIT_PAYLOAD + body {
            let value = get(at)?;
            sum.add(if ends(at) { 0 } else { value });
            *self.words.get_mut(at)? = value;
        }
        if sum.finish() as u32 != check as u32 {
            return None;
        }
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0);
        let (dev, ino) = (word(UNIT_PAYLOAD + args), word(UNIT_PAYLOAD + args + 1));
        let late_arg = |back: usize| match late_args(call) {
            2 if args >= 2 => word(UNIT_PAYLOAD + args - back),
            _ => 0,
        };
        let (found, size) = (late_arg(2), late_arg(1));
        let ended = check >> 32 & 0xFF;
        let state = match ended {
            1 => State::Begun,
            _ if late && late_sum([ticks, took, ret, order, found, size, dev, ino, ended]) == check >> 40 => {
                State::Done
            }
            2 if !late && end_sum(took, ret) == check >> 40 => State::Done,
            // The result was being written when the writer was killed: the call itself is certain, its end is not.
            2 => State::Begun,
            _ if late => State::Begun,
            _ => return None,
        };
        let at_data = UNIT_PAYLOAD + args + identity;
        for (index, place) in self.data.iter_mut().take(length).enumerate() {
            let value = self.words.get(at_data + index / 8).copied().unwrap_or(0);
            *place = (value >> (8 * (index % 8))) as u8;
        }
        let at_frames = at_data + length.div_ceil(8);
        let done = state == State::Done;
        let object = match identity {
            0 => ObjectId::NONE,
            _ if late && (!done || ended & LATE_NO_OBJECT != 0) => ObjectId::NONE,
            _ => ObjectId { family, dev, ino },
        };
        let mut flags = (meta >> 48) as u16;
        if late && done {
            flags |= if ended & LATE_CREATED != 0 { FLAG_CREATED } else { 0 };
            flags |= if ended & LATE_MAYBE != 0 { FLAG_MAYBE_CREATED } else { 0 };
        }
        Some(Event {
            call,
            state,
            flags,
            ticks,
            took: if done { took as u32 } else { 0 },
            errno: if done { i32::from((took >> 32) as u16) } else { 0 },
            process: (took >> 48) as Slot,
            pid: (who >> 32) as u32,
            tid: who as u32,
            ret: if done { ret as i64 } else { 0 },
            order,
            args: self.words.get(UNIT_PAYLOAD..UNIT_PAYLOAD + args)?,
            object,
            data: self.data.get(..length)?,
            frames: self.words.get(at_frames..at_frames + frames)?,
        })
    }
}
