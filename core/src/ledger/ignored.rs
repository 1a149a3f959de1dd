//! What the program has told its audit to ignore: names, and segments by their ids.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;

use super::Ledger;
use super::object::Object;
use crate::calls::Call;
use crate::layout::bare_name;
use crate::record::{Event, Family};
use crate::sources::is_later;

/// Names and ids, each as often as it was told.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    names: BTreeSet<Rc<[u8]>>,
    /// By id, the last time that it was told: order and time.
    ids: BTreeMap<i32, (u64, u64)>,
}

impl Ignored {
    /// Takes note of a record, if it is one that tells so.
    pub(super) fn note(&mut self, event: &Event) {
        match event.call {
            Call::IgnoreName => {
                self.names.insert(Rc::from(bare_name(event.data)));
            }
            Call::IgnoreId => {
                let last = self.ids.entry(event.arg(0) as u32 as i32).or_default();
                if is_later((event.order, event.ticks), *last) {
                    *last = (event.order, event.ticks);
                }
            }
            _ => {}
        }
    }

    /// A name is every object's that has it; an id is the segment's that had it at that moment.
    fn means(&self, object: &Object) -> bool {
        match object.id.family {
            Family::Posix => object.name.as_ref().is_some_and(|name| self.names.contains(name)),
            Family::Sysv => self.ids.get(&object.id.shmid()).is_some_and(|&told| {
                object.created.is_none_or(|created| is_later(told, (created.order, created.ticks)))
                    && object.removed.is_none_or(|removed| !is_later(told, (removed.order, removed.ticks)))
            }),
            _ => false,
        }
    }
}

impl Ledger {
    /// Marks the objects that are to be ignored, when all records have been seen.
    pub(super) fn mark_ignored(&mut self) {
        let ignored = &self.ignored;
        for object in &mut self.objects {
            object.ignored = ignored.means(object);
        }
    }
}
