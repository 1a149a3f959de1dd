//! Where in the program something happened, so that what happens there again is counted and not told again.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ledger::{Moment, StackId, mix};

/// A number for a place in a process: call and stack. Places that have no stack are told apart by `otherwise`.
pub(super) fn site(moment: Moment, otherwise: u64) -> u64 {
    let stack = if moment.stack == StackId::EMPTY { otherwise } else { 0 };
    mix(&[routine(moment), u64::from(moment.process), u64::from(moment.pid), stack])
}

/// The same in every process that shares the code: a forked child's too. What was done while the audit was paused is
/// another's.
pub(super) fn routine(moment: Moment) -> u64 {
    mix(&[u64::from(moment.call.number()) | u64::from(moment.paused) << 8, moment.stack.number()])
}

/// Different places that are told apart; more are counted with the last.
const MOST: usize = 4096;

/// What is known of each place, in the order in which they were met. Keys are [`mix`]ed numbers.
pub(super) struct Sites<V> {
    index: BTreeMap<u64, u32>,
    values: Vec<V>,
}

impl<V> Default for Sites<V> {
    fn default() -> Self {
        Sites { index: BTreeMap::new(), values: Vec::new() }
    }
}

impl<V> Sites<V> {
    /// What is known of `key`, made by `new` where it is the first time.
    pub(super) fn at(&mut self, key: u64, new: impl FnOnce() -> V) -> Option<&mut V> {
        if let Some(&found) = self.index.get(&key) {
            return self.values.get_mut(found as usize);
        }
        if self.values.len() < MOST {
            self.index.insert(key, self.values.len() as u32);
            self.values.push(new());
        }
        self.values.last_mut()
    }

    /// What is known of it.
    pub(super) fn get(&self, key: u64) -> Option<&V> {
        self.values.get(*self.index.get(&key)? as usize)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.values.get_mut(*self.index.get(&key)? as usize)
    }

    /// All of them.
    pub(super) fn iter(&self) -> core::slice::Iter<'_, V> {
        self.values.iter()
    }
}
