//! Recorders, read as one: processes and files of all, and their calls in one order, with times of the wall clock.
//!
//! Within a recorder calls have one order, by the ring. Across recorders they are merged by time, and each recorder's own
//! order is kept. Slots and orders carry the number of their recorder in their upper bits, so that they are told apart.

mod clock;

use alloc::vec::Vec;

use crate::calls::{CALLS, Call};
use crate::layout::header;
use crate::page::Page;
use crate::reader::{ModuleRecord, Order, ProcessRecord, Reader, Words};
use crate::record::{Decoded, Event, Slot};

pub use clock::Clock;

/// Where the number of a recorder begins in a slot.
const SLOT_SHIFT: u32 = 16;
/// Where it begins in an order.
const ORDER_SHIFT: u32 = 52;
/// Most recorders that are told apart.
pub const MOST: usize = 1 << 11;

/// One recorder among others.
#[derive(Debug)]
struct Source<'a, W: Words + ?Sized> {
    reader: Reader<'a, W>,
    clock: Clock,
    number: u64,
    /// Whether its counters of calls can be true.
    counted: bool,
}

/// Most calls that are under way at once: counted already, and not yet in the ring.
const UNDER_WAY: u64 = 1 << 16;

/// Recorders that are read as one.
#[derive(Debug)]
pub struct Sources<'a, W: Words + ?Sized>(Vec<Source<'a, W>>);

/// What reading them all came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records known to be lost: torn, or overwritten while they were read.
    pub torn: u64,
    /// Whether a ring had turned, so that its oldest records are gone.
    pub overwritten: bool,
    /// Where they are: when the oldest that is there was written, in nanoseconds since 1970; else 0.
    pub since: u64,
}

/// The recorder that an order is from.
fn source_of(order: u64) -> u64 {
    order >> ORDER_SHIFT
}

/// Whether what happened at `order` and `time` came after what happened at the other two.
pub fn is_later((order, time): (u64, u64), (other, other_time): (u64, u64)) -> bool {
    if source_of(order) == source_of(other) { order > other } else { time > other_time }
}

impl<'a, W: Words + ?Sized> Source<'a, W> {
    fn slot(&self, slot: Slot) -> Slot {
        slot | (self.number as Slot) << SLOT_SHIFT
    }

    fn order(&self, order: u64) -> u64 {
        order & ((1 << ORDER_SHIFT) - 1) | self.number << ORDER_SHIFT
    }

    /// See [`Losses::since`].
    fn since(&self, order: &Order) -> u64 {
        if order.overwritten == 0 {
            return 0;
        }
        let oldest = order.records.iter().map(|&(_, position)| position).min();
        oldest.map_or(u64::MAX, |position| self.clock.unix(self.reader.ticks(position)))
    }

    /// Records that are lost though nothing was written over them: one at least at each place where there is none, and at most
    /// as many as the place has units; how many of them, the counters know, as long as everything else is there.
    fn torn(&self, order: &Order) -> u64 {
        if !self.counted || order.overwritten > 0 {
            return order.torn;
        }
        let missing = self.reader.all_calls().saturating_sub(order.records.len() as u64);
        order.torn.max(missing.min(order.torn_units))
    }

    fn placed<'e>(&self, event: Event<'e>) -> Event<'e> {
        Event {
            process: self.slot(event.process),
            order: self.order(event.order),
            ticks: self.clock.unix(event.ticks),
            took: self.clock.duration(u64::from(event.took)).min(u64::from(u32::MAX)) as u32,
            ..event
        }
    }
}

impl<'a, W: Words + ?Sized> Sources<'a, W> {
    /// These; what is beyond [`MOST`] is left out.
    pub fn new(readers: impl IntoIterator<Item = Reader<'a, W>>) -> Sources<'a, W> {
        let numbered = readers.into_iter().take(MOST).enumerate();
        Sources(
            numbered
                .map(|(number, reader)| {
                    // A call takes a unit of the ring at least.
                    let counted = reader.all_calls() <= reader.header(header::HEAD).saturating_add(UNDER_WAY);
                    Source { reader, clock: Clock::of(&reader), number: number as u64, counted }
                })
                .collect(),
        )
    }

    fn all<R>(&self, of: impl FnMut(&Source<'a, W>) -> R) -> impl Iterator<Item = R> {
        self.0.iter().map(of)
    }

    /// When the first began, in nanoseconds since 1970.
    pub fn began(&self) -> u64 {
        self.all(|source| source.reader.header(header::FIRST_UNIX)).min().unwrap_or(0)
    }

    /// The IPC namespace, by inode number, of whoever made the first; 0 where that is not known.
    pub fn ipc_namespace(&self) -> u32 {
        self.all(|source| (source.reader.header(header::NAMESPACES) >> 32) as u32).next().unwrap_or(0)
    }

    /// Its pid namespace, the same.
    pub fn pid_namespace(&self) -> u32 {
        self.all(|source| source.reader.header(header::NAMESPACES) as u32).next().unwrap_or(0)
    }

    /// Whether calls went because a supervisor had no more room for them.
    pub fn has_outgrown(&self) -> bool {
        self.all(|source| (source.reader.header(header::DRAINED), source.reader.header(header::STORED_UNITS)))
            .any(|(stored, room)| room > 0 && stored > room)
    }

    /// Of processes that began later than this (nanoseconds since 1970), every record is there; 0: of all.
    pub fn whole_since(&self) -> u64 {
        let until = |source: &Source<W>| match source.reader.header(header::DROPPED_UNTIL) {
            0 => 0,
            ticks => source.clock.unix(ticks),
        };
        self.all(until).max().unwrap_or(0)
    }

    /// When a clock was read last, in nanoseconds since 1970.
    pub fn read(&self) -> u64 {
        self.all(|source| source.reader.header(header::LAST_UNIX)).max().unwrap_or(0)
    }

    /// The pages of the machine, the largest if they do not agree.
    pub fn page(&self) -> Page {
        self.all(|source| Page::of(&source.reader)).max().unwrap_or_default()
    }

    /// The sum of a header word over all.
    pub fn header_sum(&self, word: usize) -> u64 {
        self.all(|source| source.reader.header(word)).fold(0, u64::saturating_add)
    }

    /// How many of them have counters of calls that cannot be true: somebody wrote over them.
    pub fn miscounted(&self) -> usize {
        self.0.iter().filter(|source| !source.counted).count()
    }

    fn counted(&self, of: impl Fn(&Reader<'a, W>) -> u64) -> u64 {
        let counted = self.0.iter().filter(|source| source.counted);
        counted.map(|source| of(&source.reader)).fold(0, u64::saturating_add)
    }

    /// How often `call` was made, as far as that was counted.
    pub fn calls(&self, call: Call) -> u64 {
        self.counted(|reader| reader.calls(call))
    }

    /// How often `call` failed with `errno`, as far as that was counted.
    pub fn failures(&self, call: Call, errno: usize) -> u64 {
        self.counted(|reader| reader.failures(call, errno))
    }

    /// All calls made.
    pub fn all_calls(&self) -> u64 {
        CALLS.iter().map(|&call| self.calls(call)).fold(0, u64::saturating_add)
    }

    /// Process records, times in nanoseconds since 1970.
    pub fn processes(&self) -> Vec<ProcessRecord> {
        let mut found = Vec::new();
        for source in &self.0 {
            found.extend(source.reader.processes().into_iter().map(|process| ProcessRecord {
                slot: source.slot(process.slot),
                parent: process.parent.map(|parent| source.slot(parent)),
                started: source.clock.unix(process.started),
                ended: if process.ended == 0 { 0 } else { source.clock.unix(process.ended).max(1) },
                ..process
            }));
        }
        found
    }

    /// Module records, times as above.
    pub fn modules(&self) -> Vec<ModuleRecord> {
        let mut found = Vec::new();
        for source in &self.0 {
            found.extend(source.reader.modules().into_iter().map(|module| ModuleRecord {
                process: source.slot(module.process),
                since: if module.since == 0 { 0 } else { source.clock.unix(module.since) },
                ..module
            }));
        }
        found
    }

    /// Calls `each` with every record that is whole, in the order in which the calls took effect; `ticks` and `took` are
    /// nanoseconds (since 1970, and of time).
    pub fn events(&self, mut each: impl FnMut(&Event)) -> Losses {
        let orders: Vec<Order> = self.all(|source| source.reader.order()).collect();
        let mut losses = Losses {
            torn: self.0.iter().zip(&orders).map(|(source, order)| source.torn(order)).fold(0, u64::saturating_add),
            overwritten: orders.iter().any(|order| order.overwritten > 0),
            since: self.0.iter().zip(&orders).map(|(source, order)| source.since(order)).max().unwrap_or(0),
        };
        let mut next: Vec<usize> = orders.iter().map(|_| 0).collect();
        let mut decoded = Decoded::default();
        loop {
            let positions = orders.iter().zip(&next).map(|(order, &next)| Some(order.records.get(next)?.1));
            let waiting = self.0.iter().zip(positions).enumerate();
            let waiting = waiting.filter_map(|(which, (source, position))| Some((which, source, position?)));
            // With one recorder there is nothing to compare.
            let time = |source: &Source<W>, position| match self.0.len() {
                1 => 0,
                _ => source.clock.unix(source.reader.ticks(position)),
            };
            let Some((which, source, position)) = waiting.min_by_key(|&(_, source, position)| time(source, position))
            else {
                return losses;
            };
            if let Some(next) = next.get_mut(which) {
                *next += 1;
            }
            match source.reader.record(position, &mut decoded) {
                Some(event) => each(&source.placed(event)),
                // Overwritten while we read.
                None => losses.torn += 1,
            }
        }
    }

    /// Calls `each` with the creating record of every object that has not been removed, as above.
    pub fn objects(&self, mut each: impl FnMut(&Event)) {
        for source in &self.0 {
            source.reader.objects(|event| each(&source.placed(*event)));
        }
    }
}

impl<'a, W: Words + ?Sized> From<Reader<'a, W>> for Sources<'a, W> {
    fn from(reader: Reader<'a, W>) -> Sources<'a, W> {
        Sources::new([reader])
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::layout::process::END_EXIT;
    use crate::record::{FLAG_CREATED, Family, ObjectId};
    use crate::report::{Settings, conclude};
    use crate::testing::{BEGAN, Image, Invented, Tables, event};

    const OBJECT: ObjectId = ObjectId { family: Family::Posix, dev: 9, ino: 7 };

    fn opened(fd: i64, time: u64, flags: u16) -> Event<'static> {
        let args = &[0o102, 0o600];
        Event { ticks: BEGAN + time, ret: fd, flags, data: b"/x", object: OBJECT, args, ..event(Call::ShmOpen) }
    }

    #[test]
    fn two_recorders_are_one_story() {
        let (mut one, mut other) = (Image::new(), Image::new());
        one.process(100, None, END_EXIT);
        other.process(200, None, END_EXIT);
        one.add(Event { pid: 100, ..opened(3, 10, FLAG_CREATED) });
        other.add(Event { pid: 200, ..opened(4, 20, 0) });
        one.add(Event { pid: 100, ticks: BEGAN + 30, args: &[3], object: OBJECT, ..event(Call::Close) });
        other.add(Event { pid: 200, ticks: BEGAN + 40, data: b"/x", ..event(Call::ShmUnlink) });
        let sources = Sources::new([other.reader(), one.reader()]);
        let mut pids = Vec::new();
        sources.events(|event| pids.push((event.pid, event.process)));
        assert_eq!(pids, vec![(100, 1 << 16), (200, 0), (100, 1 << 16), (200, 0)]);
        let report = conclude(&sources, &mut Tables::new(), &mut Invented, &Settings::default());
        assert_eq!((report.objects.len(), report.processes.len()), (1, 2));
        let object = &report.objects[0];
        let (created, removed) = (object.created.as_ref().unwrap(), object.removed.as_ref().unwrap());
        assert_eq!((created.pid, removed.pid, report.summary.events), (100, 200, 4));
        assert!(report.findings.iter().all(|finding| finding.kind == "fd-at-exit"), "{report:?}");
    }

    #[test]
    fn what_is_later_is_known_within_a_recorder_and_by_time_between_them() {
        let other = 1 << ORDER_SHIFT;
        assert!(is_later((5, 1), (4, 9)) && !is_later((4, 9), (5, 1)));
        assert!(is_later((other | 1, 9), (5, 1)) && !is_later((other | 5, 1), (4, 9)));
    }
}
