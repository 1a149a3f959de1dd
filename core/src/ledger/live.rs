//! What a process holds now: descriptors, mappings and attachments, and attachments that it had.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use super::object::ObjectIndex;
use super::ranges::{Piece, Ranges};
use super::stacks::Moment;

/// An open descriptor of an object.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// The object.
    pub object: ObjectIndex,
    /// The call that the descriptor is from.
    pub made: Moment,
}

/// A mapping or attachment, whatever pieces are left of it.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The object.
    pub object: ObjectIndex,
    /// `mmap` or `shmat`.
    pub made: Moment,
    /// Bytes asked for; of an attachment the segment's size as far as it was known.
    pub asked: u64,
    /// Where in the object it begins.
    pub offset: u64,
    /// Whether it is a System V attachment.
    pub attachment: bool,
}

/// An attachment that was.
#[derive(Clone, Debug)]
pub struct Past {
    /// What was attached.
    pub holding: Rc<Holding>,
    /// The call that ended it.
    pub gone: Moment,
}

/// What a process holds.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Descriptors.
    pub fds: BTreeMap<i32, Open>,
    /// Addresses.
    pub ranges: Ranges<Rc<Holding>>,
    /// Attachments that ended, by the address that `shmdt` would have had to name.
    pub past: BTreeMap<u64, Past>,
}

/// Ended attachments that are remembered; those at the highest addresses go first, as addresses are handed out downwards.
const MOST_PAST: usize = 1024;

impl Live {
    /// How much it takes to copy.
    pub(super) fn weight(&self) -> usize {
        self.fds.len() + self.ranges.len() + self.past.len()
    }

    /// Remembers what a call took away.
    pub(super) fn note_gone(&mut self, gone: &[(u64, Piece<Rc<Holding>>)], by: Moment) {
        for (_, piece) in gone.iter().filter(|(_, piece)| piece.of.attachment) {
            self.past.insert(piece.base, Past { holding: piece.of.clone(), gone: by });
            if self.past.len() > MOST_PAST {
                self.past.pop_last();
            }
        }
    }

    /// Forgets descriptors `first` to `last`.
    pub(super) fn close(&mut self, first: i32, last: i32) {
        if first == last {
            self.fds.remove(&first);
        } else if first < last {
            let closed: Vec<i32> = self.fds.range(first..=last).map(|(&fd, _)| fd).collect();
            for fd in closed {
                self.fds.remove(&fd);
            }
        }
    }
}
