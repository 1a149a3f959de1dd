//! An object's story: what it is, who made it, who removed it, what was done with it.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::stacks::Moment;
use crate::calls::Call;
use crate::record::{Family, ObjectId};

/// An object's number in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectIndex(pub(super) u32);

impl ObjectIndex {
    /// The object of this number.
    pub(crate) fn new(number: u32) -> ObjectIndex {
        ObjectIndex(number)
    }

    /// The number as an index.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// An object as the records tell of it.
#[derive(Clone, Debug)]
pub struct Object {
    /// Identity; an inode of 0 is not known, and the name decides.
    pub id: ObjectId,
    /// Name without leading slashes, as last known. Segments have none.
    pub name: Option<Rc<[u8]>>,
    /// Further names, by links.
    pub(super) also: Vec<Rc<[u8]>>,
    /// Key that a segment was asked for by.
    pub key: Option<i32>,
    /// Size as last known.
    pub size: Option<u64>,
    /// Permissions as asked for at its creation, or as last seen.
    pub mode: Option<u32>,
    /// Owner of a file, as it was opened.
    pub owner: Option<u32>,
    /// The call that gave it its size.
    pub sized: Option<Moment>,
    /// The call that made it.
    pub created: Option<Moment>,
    /// Whether that call is known to have made it; otherwise it may have found it.
    pub certain: bool,
    /// The call that removed it.
    pub removed: Option<Moment>,
    /// A call that began to remove it and never told of its result.
    pub removing: Option<Moment>,
    /// Whether the program has told its audit to ignore it.
    pub ignored: bool,
    calls: Vec<(Call, u32)>,
}

impl Object {
    pub(super) fn new(id: ObjectId) -> Object {
        Object {
            id,
            name: None,
            also: Vec::new(),
            key: None,
            size: None,
            mode: None,
            owner: None,
            sized: None,
            created: None,
            certain: false,
            removed: None,
            removing: None,
            ignored: false,
            calls: Vec::new(),
        }
    }

    /// How often each call was about it.
    pub fn calls(&self) -> &[(Call, u32)] {
        &self.calls
    }

    /// One of several names is no more.
    pub(super) fn lose(&mut self, gone: Option<&[u8]>) {
        match self.also.iter().position(|name| Some(&**name) == gone) {
            Some(at) => drop(self.also.remove(at)),
            None => self.name = self.also.pop(),
        }
    }

    pub(super) fn count(&mut self, call: Call) {
        match self.calls.iter_mut().find(|(known, _)| *known == call) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.calls.push((call, 1)),
        }
    }

    /// Whether it has a place in a kernel's table after the last process: not a memfd.
    pub fn outlives(&self) -> bool {
        matches!(self.id.family, Family::Posix | Family::Sysv)
    }

    /// Takes note of a size; segments are never smaller than the largest that was asked for.
    pub(super) fn at_least(&mut self, size: u64) {
        self.size = Some(self.size.unwrap_or(0).max(size));
    }
}
