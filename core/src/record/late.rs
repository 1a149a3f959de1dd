//! The end of records that are begun before a call which may make an object.

#[cfg(doc)]
use super::{Event, FLAG_LATE, Opening};
use super::{FLAG_CREATED, FLAG_MAYBE_CREATED, Family, ObjectId, Slot, State, Sum, UNIT_PAYLOAD, word_took};
use crate::calls::Call;

/// The end of a record that was begun with [`FLAG_LATE`].
#[derive(Clone, Copy, Debug)]
pub struct LateEnd {
    /// Ticks when the call came back.
    pub ticks: u64,
    /// Ticks it took.
    pub took: u32,
    /// errno after a failure, 0 after success.
    pub errno: i32,
    /// The result.
    pub ret: i64,
    /// See [`Event::order`].
    pub order: u64,
    /// The object.
    pub object: ObjectId,
    /// [`FLAG_CREATED`] or [`FLAG_MAYBE_CREATED`] where it made the object.
    pub made: u16,
    /// The last arguments of a call that opens ([`late_args`]): what it found.
    pub opening: [u64; 2],
}

/// How many of a late record's arguments come with its end: an [`Opening`] of what was opened.
pub const fn late_args(call: Call) -> usize {
    if matches!(call, Call::ShmOpen) { 2 } else { 0 }
}

/// Most arguments of a call that may make an object: what its end adds is in the record's first two units.
pub const LATE_MOST_ARGS: usize = UNIT_PAYLOAD - 2;

/// Bits of the state byte that only the end of a late record sets.
pub(super) const LATE_CREATED: u64 = 4;
pub(super) const LATE_MAYBE: u64 = 8;
pub(super) const LATE_NO_OBJECT: u64 = 16;

/// The sum over what the end of a late record adds.
pub(super) fn late_sum(words: [u64; 9]) -> u64 {
    let mut sum = Sum::new();
    for word in words {
        sum.add(word);
    }
    sum.finish() & 0xFF_FFFF
}

/// The words that the end of a late record writes, those of the body first.
#[derive(Clone, Copy, Debug)]
pub struct LateWords {
    /// Of the head: (word, value), the sum last.
    pub head: [(usize, u64); 5],
    /// Of the unit after it: the first word that is written.
    pub first: usize,
    body: [u64; 4],
    opens: bool,
}

impl LateWords {
    /// What is written from the first word on.
    #[inline(always)]
    pub fn body(&self) -> &[u64] {
        let [_, _, identity @ ..] = &self.body;
        if self.opens { &self.body } else { identity }
    }
}

/// The words that `end` adds to a late record of `args` arguments, at most [`LATE_MOST_ARGS`], whose fixed part has this sum.
#[inline(always)]
pub fn late_words(fixed_sum: u32, process: Slot, call: Call, args: usize, end: &LateEnd) -> LateWords {
    let took = word_took(end.took, end.errno, process);
    let ret = end.ret as u64;
    let mut state = State::Done as u64;
    for (flag, bit) in [(FLAG_CREATED, LATE_CREATED), (FLAG_MAYBE_CREATED, LATE_MAYBE)] {
        state |= if end.made & flag != 0 { bit } else { 0 };
    }
    state |= if end.object.family == Family::None { LATE_NO_OBJECT } else { 0 };
    let (dev, ino) = (end.object.dev, end.object.ino);
    let opens = late_args(call) > 0;
    let [found, size] = if opens { end.opening } else { [0; 2] };
    let sum = late_sum([end.ticks, took, ret, end.order, found, size, dev, ino, state]);
    let check = u64::from(fixed_sum) | (state << 32) | (sum << 40);
    LateWords {
        head: [(1, end.ticks), (2, took), (4, ret), (5, end.order), (6, check)],
        first: args.saturating_sub(late_args(call)),
        body: [found, size, dev, ino],
        opens,
    }
}
