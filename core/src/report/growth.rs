//! Growth: what each place in the program held at moments of a run, so that a leak is seen before the end.
//!
//! Descriptors, mappings and attachments are counted as long as their process runs, objects as long as nobody of the tree
//! has removed them.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::stack::Events;
use super::{Place, Stack, Symbolize, Time, way};
use crate::kernel::Kernel;
use crate::layout::process::END_EXEC;
use crate::ledger::{Holding, Ledger, Moment, StackId};
use crate::reader::{ProcessRecord, Words};
use crate::record::{Family, Slot};
use crate::sources::Sources;

/// Name and version of the form.
pub const GROWTH_SCHEMA: &str = "shmaudit-growth/1";

/// Most moments.
pub const MOST_MOMENTS: usize = 100;

/// What was held over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// [`GROWTH_SCHEMA`].
    pub schema: &'static str,
    /// The moments, the last of them the latest that is known.
    pub times: Vec<Time>,
    /// What was held, from one place each; what grew most first.
    pub sites: Vec<Site>,
}

/// What calls from one place held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Site {
    /// `object`, `segment`, `memfd`, `descriptor`, `mapping` or `attachment`.
    pub what: &'static str,
    /// The call.
    pub call: &'static str,
    /// How many at each moment.
    pub counts: Vec<u64>,
    /// Bytes of them.
    pub bytes: Vec<u64>,
    /// From where.
    pub stack: Stack,
}

impl Site {
    /// How many more there are at the last moment than at the first.
    pub fn grown(&self) -> i64 {
        let at = |count: Option<&u64>| count.map_or(0, |&count| i64::try_from(count).unwrap_or(i64::MAX));
        at(self.counts.last()) - at(self.counts.first())
    }

    /// Bytes at the last moment.
    pub fn held(&self) -> u64 {
        self.bytes.last().copied().unwrap_or(0)
    }
}

/// Kind and place; the moment names the place.
type Places = BTreeMap<(&'static str, u8, StackId), (Moment, Vec<(u64, u64)>)>;

struct Counter {
    /// In nanoseconds since 1970.
    moments: Vec<u64>,
    /// When processes are known to have been there last.
    ends: BTreeMap<(Slot, u32), u64>,
    places: Places,
    next: usize,
}

/// Counts what is held at `moments` moments of the recorders' history.
pub fn growth<W: Words + ?Sized>(
    sources: &Sources<W>,
    kernel: &mut dyn Kernel,
    symbolize: &mut dyn Symbolize,
    moments: usize,
) -> Growth {
    let (first, last, seen) = span(sources);
    let moments = moments.clamp(2, MOST_MOMENTS) as u64;
    let step = |number: u64| (u128::from(last - first) * u128::from(number) / u128::from(moments)) as u64;
    let mut counter = Counter {
        moments: (1..=moments).map(|number| first + step(number)).collect(),
        ends: ends(&sources.processes(), kernel, &seen),
        places: Places::new(),
        next: 0,
    };
    let ledger = Ledger::replay(sources, |ledger, event, _| counter.up_to(ledger, event.ticks));
    counter.up_to(&ledger, u64::MAX);
    counter.objects(&ledger);

    let times = counter.moments.iter().map(|&moment| Time(moment)).collect();
    let mut events = Events::new(&ledger, symbolize);
    let mut sites: Vec<Site> = Vec::new();
    let mut known: BTreeMap<(&'static str, &'static str, String, Vec<String>), usize> = BTreeMap::new();
    for ((what, ..), (moment, held)) in counter.places {
        let event = events.event(moment);
        let (counts, bytes) = held.into_iter().unzip();
        let site = Site { what, call: event.call, counts, bytes, stack: event.stack };
        // Two runs of one program have one place at two addresses, and an interpreter comes to one place by many lines of its
        // own: a place is what people are shown of it, and the functions on the way.
        let place = crate::text::place(&site.stack).unwrap_or_default();
        let way = way(site.stack.frames().iter().map(Place::from));
        let place = known.entry((what, site.call, place, way)).or_insert(sites.len());
        match sites.get_mut(*place) {
            Some(other) => other.add(&site),
            None => sites.push(site),
        }
    }
    sites.sort_by_key(|site| core::cmp::Reverse((site.grown(), site.held())));
    Growth { schema: GROWTH_SCHEMA, times, sites }
}

impl Site {
    fn add(&mut self, other: &Site) {
        for (mine, theirs) in [(&mut self.counts, &other.counts), (&mut self.bytes, &other.bytes)] {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = mine.saturating_add(*theirs));
        }
    }
}

/// First and last moments that are known of, and the last of each process.
fn span<W: Words + ?Sized>(sources: &Sources<W>) -> (u64, u64, BTreeMap<(Slot, u32), u64>) {
    let mut seen: BTreeMap<(Slot, u32), u64> = BTreeMap::new();
    let (mut first, mut last) = (u64::MAX, 0);
    let losses = sources.events(|event| {
        (first, last) = (first.min(event.ticks), last.max(event.ticks));
        let place = seen.entry((event.process, event.pid)).or_insert(0);
        *place = event.ticks.max(*place);
    });
    if !losses.overwritten {
        first = first.min(sources.began());
    }
    (first.min(last), last, seen)
}

/// When each process was there last: by its own word, or by its last record where it is gone without one.
fn ends(
    processes: &[ProcessRecord],
    kernel: &mut dyn Kernel,
    seen: &BTreeMap<(Slot, u32), u64>,
) -> BTreeMap<(Slot, u32), u64> {
    let mut ends = BTreeMap::new();
    for process in processes {
        let last = seen.get(&(process.slot, process.pid)).copied().unwrap_or(process.started);
        let end = match process.ended {
            0 if process.end != END_EXEC && kernel.alive(process.pid, process.starttime, process.started) => continue,
            0 => last,
            ended => ended,
        };
        ends.insert((process.slot, process.pid), end);
    }
    ends
}

impl Counter {
    /// Takes note of what is held at every moment before `ticks`.
    fn up_to(&mut self, ledger: &Ledger, ticks: u64) {
        while let Some(&moment) = self.moments.get(self.next).filter(|&&moment| moment < ticks) {
            let index = self.next;
            self.next += 1;
            for (slot, pid, live) in ledger.running(moment) {
                if self.ends.get(&(slot, pid)).is_some_and(|&end| end < moment) {
                    continue;
                }
                for open in live.fds.values() {
                    let size = ledger.object(open.object).and_then(|object| object.size).unwrap_or(0);
                    self.count("descriptor", open.made, index, size);
                }
                let mut pieces: BTreeMap<usize, (&Holding, u64)> = BTreeMap::new();
                for (start, piece) in live.ranges.iter() {
                    let (_, bytes) = pieces.entry(Rc::as_ptr(&piece.of) as usize).or_insert((&piece.of, 0));
                    *bytes = bytes.saturating_add(piece.end.saturating_sub(start));
                }
                for (holding, bytes) in pieces.into_values() {
                    let what = if holding.attachment { "attachment" } else { "mapping" };
                    self.count(what, holding.made, index, bytes);
                }
            }
        }
    }

    /// Objects have their own dates.
    fn objects(&mut self, ledger: &Ledger) {
        for (_, object) in ledger.objects().filter(|(_, object)| object.certain) {
            let what = match object.id.family {
                Family::Posix => "object",
                Family::Sysv => "segment",
                _ => continue,
            };
            let Some(created) = object.created else { continue };
            let removed = object.removed.or(object.removing).map_or(u64::MAX, |removed| removed.ticks);
            for index in 0..self.moments.len() {
                let moment = self.moments.get(index).copied().unwrap_or(0);
                if created.ticks <= moment && removed > moment {
                    self.count(what, created, index, object.size.unwrap_or(0));
                }
            }
        }
    }

    fn count(&mut self, what: &'static str, made: Moment, index: usize, bytes: u64) {
        let moments = self.moments.len();
        let key = (what, made.call.number(), made.stack);
        let (_, held) = self.places.entry(key).or_insert_with(|| (made, alloc::vec![(0, 0); moments]));
        if let Some((count, sum)) = held.get_mut(index) {
            *count += 1;
            *sum = sum.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
