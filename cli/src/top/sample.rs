//! Looks at the machine, and what changed from one to the next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::system::{Identity, Inventory, Object, Process, SECOND, Sessions, State, take};

use super::Sort;

/// One look, with what changed since the one before.
pub struct Sample {
    /// What was seen.
    pub inventory: Inventory,
    /// Bytes a second by which the memory of objects grew; nothing for the first look and for new objects.
    rates: HashMap<Identity, i64>,
}

/// Takes samples.
pub struct Sampler<'a> {
    sessions: &'a dyn Sessions,
    before: HashMap<Identity, u64>,
    moment: Option<u64>,
}

/// A process, and all it has.
pub struct Share {
    /// The process.
    pub process: Rc<Process>,
    /// How many objects.
    pub objects: u64,
    /// Their sizes in bytes.
    pub size: u64,
    /// Their bytes in memory.
    pub resident: u64,
    /// Descriptors of them.
    pub fds: u64,
    /// Mappings of them.
    pub mappings: u64,
}

impl<'a> Sampler<'a> {
    /// Before the first look.
    pub fn new(sessions: &'a dyn Sessions) -> Sampler<'a> {
        Sampler { sessions, before: HashMap::new(), moment: None }
    }

    /// Looks.
    pub fn take(&mut self) -> Sample {
        let inventory = take(self.sessions);
        let now: HashMap<Identity, u64> =
            inventory.objects.iter().filter_map(|object| Some((object.identity, object.resident?))).collect();
        let passed = self.moment.map(|moment| inventory.clocks.since(moment)).filter(|&passed| passed > 0);
        let rates = match passed {
            None => HashMap::new(),
            Some(passed) => now
                .iter()
                .filter_map(|(identity, &bytes)| Some((*identity, rate(*self.before.get(identity)?, bytes, passed))))
                .collect(),
        };
        self.moment = Some(inventory.clocks.now);
        self.before = now;
        Sample { inventory, rates }
    }
}

fn rate(before: u64, now: u64, passed: u64) -> i64 {
    let grown = (i128::from(now) - i128::from(before)) * i128::from(SECOND) / i128::from(passed.max(1));
    i64::try_from(grown).unwrap_or(if grown < 0 { i64::MIN } else { i64::MAX })
}

impl Sample {
    /// Bytes a second by which an object's memory grew.
    pub fn rate(&self, object: &Object) -> Option<i64> {
        self.rates.get(&object.identity).copied()
    }

    /// The objects in order.
    pub fn objects(&self, sort: Sort, orphans: bool) -> Vec<&Object> {
        let wanted = |object: &&Object| !orphans || matches!(object.state, State::Orphan | State::Unclear);
        let mut objects: Vec<&Object> = self.inventory.objects.iter().filter(wanted).collect();
        let idle = |object: &Object| object.times.last().map(|last| self.inventory.clocks.since(last));
        objects.sort_by(|a, b| {
            let order = match sort {
                Sort::Size => b.size.cmp(&a.size),
                Sort::Rss => b.resident.cmp(&a.resident),
                Sort::Rate => {
                    let speed = |object: &Object| self.rate(object).map(i64::unsigned_abs);
                    speed(b).cmp(&speed(a))
                }
                Sort::Idle => idle(b).cmp(&idle(a)),
                Sort::Holders => b.holders.len().cmp(&a.holders.len()),
                Sort::State => a.state.cmp(&b.state),
                Sort::Name => a.label().cmp(&b.label()),
            };
            order.then(b.size.cmp(&a.size)).then_with(|| a.identity.cmp(&b.identity))
        });
        objects
    }

    /// The processes that have anything, those with most first.
    pub fn processes(&self) -> Vec<Share> {
        let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
        for object in &self.inventory.objects {
            for holder in &object.holders {
                let process = &holder.process;
                let new = || Share { process: process.clone(), objects: 0, size: 0, resident: 0, fds: 0, mappings: 0 };
                let share = shares.entry(process.pid).or_insert_with(new);
                share.objects += 1;
                share.size = share.size.saturating_add(object.size);
                share.resident = share.resident.saturating_add(object.resident.unwrap_or(0));
                share.fds += holder.fds.len() as u64;
                share.mappings += holder.mappings;
            }
        }
        let mut shares: Vec<Share> = shares.into_values().collect();
        shares.sort_by_key(|share| (Reverse(share.size), share.process.pid));
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_signed_and_survive_anything() {
        assert_eq!((rate(1000, 3000, SECOND), rate(3000, 1000, 2 * SECOND)), (2000, -1000));
        assert_eq!((rate(0, u64::MAX, 1), rate(u64::MAX, 0, 1)), (i64::MAX, i64::MIN));
        assert_eq!(rate(5, 7, 0), 2 * SECOND as i64);
    }
}
