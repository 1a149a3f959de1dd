//! Calls that were to make an object and never came back: their process was killed in them, or they are under way.
//!
//! The object may be there all the same. The kernel's tables tell, and then [`Ledger::made`] has the call as its maker.

use alloc::rc::Rc;

use super::object::{Object, ObjectIndex};
use super::stacks::Moment;
use super::{Ledger, mode_of, name_of};
use crate::calls::Call;
use crate::record::{Event, Family, ObjectId};

/// What a call was to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Makes {
    /// A segment of this key, with at least so many bytes.
    Segment {
        /// Its key.
        key: i32,
        /// Bytes asked for.
        size: u64,
    },
    /// A POSIX object of this name, without leading slashes.
    File {
        /// Its name.
        name: Rc<[u8]>,
    },
}

/// A call that was to make an object and never came back.
#[derive(Clone, Debug)]
pub struct Making {
    /// What it was to make.
    pub makes: Makes,
    /// The call; its time is that of its beginning.
    pub begun: Moment,
    mode: Option<u32>,
}

impl Ledger {
    /// Calls that were to make an object and never came back.
    pub fn makings(&self) -> &[Making] {
        &self.makings
    }

    /// The kernel has an object that nobody but call number `making` can have made. Its number as an object.
    pub fn made(&mut self, making: usize, id: ObjectId) -> Option<ObjectIndex> {
        let Making { makes, begun, mode } = self.makings.get(making)?.clone();
        let mut object = Object::new(id);
        object.created = Some(begun);
        object.certain = true;
        object.mode = mode;
        object.count(begun.call);
        match makes {
            Makes::Segment { key, size } => {
                object.key = Some(key);
                object.size = Some(size);
            }
            Makes::File { name } => {
                object.name = Some(name);
                object.size = Some(0);
            }
        }
        let name = object.name.clone();
        let index = self.push(object);
        if let (Some(name), Family::Posix) = (name, id.family) {
            self.by_name.insert(name, index);
        }
        Some(index)
    }

    /// The kernel has object `index` under this name, whatever the records say.
    pub fn found(&mut self, index: ObjectIndex, name: &[u8]) {
        self.named(index, Some(name));
        self.with(index, |object| (object.removed, object.removing) = (None, None));
    }

    /// A record of a call that may make an object was begun and never ended.
    pub(super) fn making(&mut self, event: &Event) {
        let makes = match event.call {
            Call::Shmget => Makes::Segment { key: event.arg(0) as u32 as i32, size: event.arg(1) },
            _ => match name_of(event) {
                Some(name) => Makes::File { name: Rc::from(name) },
                None => return,
            },
        };
        let begun = self.stacks.moment(event);
        self.makings.push(Making { makes, begun, mode: mode_of(event) });
    }
}
