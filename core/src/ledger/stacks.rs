//! Call stacks, each kept once, and moments: what is remembered of a record after it has been read.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::calls::Call;
use crate::record::{Event, FLAG_PAUSED, Slot};

/// A call stack's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StackId(u32);

impl StackId {
    /// No frames.
    pub const EMPTY: StackId = StackId(0);

    /// The number itself.
    pub fn number(self) -> u64 {
        u64::from(self.0)
    }
}

/// A record as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The recorder's clock.
    pub ticks: u64,
    /// Its place in the one order of all calls.
    pub order: u64,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Call stack.
    pub stack: StackId,
    /// Slot in the process table.
    pub process: Slot,
    /// The call.
    pub call: Call,
    /// Whether the thread had paused its audit.
    pub paused: bool,
}

/// Every call stack that a moment has, once.
#[derive(Clone, Debug)]
pub struct Stacks {
    frames: Vec<u64>,
    spans: Vec<(u32, u8)>,
    index: BTreeMap<u64, u32>,
    /// The record that was asked for last, by order, time and thread: ledger and rules remember the same one.
    last: ((u64, u64, u32), StackId),
}

/// Stacks that share a hash and are told apart. More of them can only be somebody's design: they are kept twice.
const MOST_ALIKE: u64 = 8;

impl Default for Stacks {
    fn default() -> Self {
        Stacks {
            frames: Vec::new(),
            spans: alloc::vec![(0, 0)],
            index: BTreeMap::new(),
            last: ((u64::MAX, 0, 0), StackId::EMPTY),
        }
    }
}

impl Stacks {
    /// The frames of a stack, innermost first.
    pub fn frames(&self, id: StackId) -> &[u64] {
        let (start, length) = self.spans.get(id.0 as usize).copied().unwrap_or((0, 0));
        self.frames.get(start as usize..start as usize + usize::from(length)).unwrap_or(&[])
    }

    /// The number of the stack with these frames.
    pub fn intern(&mut self, frames: &[u64]) -> StackId {
        if frames.is_empty() {
            return StackId::EMPTY;
        }
        let hash = mix(frames);
        for step in 0..MOST_ALIKE {
            let place = hash.wrapping_add(step);
            match self.index.get(&place) {
                Some(&found) if self.frames(StackId(found)) == frames => return StackId(found),
                Some(_) => {}
                None => {
                    let id = self.push(frames);
                    if id != StackId::EMPTY {
                        self.index.insert(place, id.0);
                    }
                    return id;
                }
            }
        }
        self.push(frames)
    }

    fn push(&mut self, frames: &[u64]) -> StackId {
        let place = (u32::try_from(self.frames.len()), u32::try_from(self.spans.len()), u8::try_from(frames.len()));
        let (Ok(start), Ok(id), Ok(length)) = place else { return StackId::EMPTY };
        self.frames.extend_from_slice(frames);
        self.spans.push((start, length));
        StackId(id)
    }

    /// What is remembered of `event`.
    pub fn moment(&mut self, event: &Event) -> Moment {
        let record = (event.order, event.ticks, event.tid);
        if self.last.0 != record {
            self.last = (record, self.intern(event.frames));
        }
        Moment {
            ticks: event.ended(),
            order: event.order,
            pid: event.pid,
            tid: event.tid,
            stack: self.last.1,
            process: event.process,
            call: event.call,
            paused: event.flags & FLAG_PAUSED != 0,
        }
    }
}

/// One number made of many, another for others.
pub(crate) fn mix(words: &[u64]) -> u64 {
    let mut hash = 0x9E37_79B9_7F4A_7C15u64;
    for &word in words {
        hash = (hash ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        hash ^= hash >> 32;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stack_is_kept_once() {
        let mut stacks = Stacks::default();
        let one = stacks.intern(&[1, 2, 3]);
        let other = stacks.intern(&[1, 2]);
        assert_eq!(stacks.intern(&[1, 2, 3]), one);
        assert_ne!(one, other);
        assert_eq!(stacks.frames(one), [1, 2, 3]);
        assert_eq!(stacks.frames(other), [1, 2]);
        assert_eq!((stacks.intern(&[]), stacks.frames(StackId::EMPTY)), (StackId::EMPTY, &[][..]));
        assert_eq!(stacks.frames(StackId(99)), [0u64; 0]);
    }
}
