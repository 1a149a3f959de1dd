//! The ring: several write, one reads meanwhile. What is read is what was written; what is not read was counted as lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use shmaudit_core::layout::Region;
use shmaudit_core::reader::Reader;
use shmaudit_core::record::{Decoded, TAG_MORE, UNIT_WORDS, tag, units_of};

use crate::atomic::{AtomicU64, store_plainly};
use crate::place::{give_back, recorder};
use crate::recorder::Recorder;
use crate::records::{append, begin_and_finish, is_right};
use crate::{beside, rounds};

/// The ring's first position: none at which the clocks are read.
const HEAD: u64 = 16;
const WRITERS: u64 = 3;

/// Who reads the ring as it goes on.
#[derive(Default)]
struct Drain {
    /// The next position.
    next: u64,
    /// Units that were written over before they were read.
    lost: u64,
    /// Numbers of the records that were read.
    read: Vec<u64>,
    /// The last look came to units that were written over: it goes on in the middle of a record.
    in_gap: bool,
}

impl Drain {
    fn word(&self, ring: &[AtomicU64], word: usize) -> u64 {
        ring[self.next as usize * UNIT_WORDS % ring.len() + word].load(Ordering::Acquire)
    }

    /// Reads what is whole. `last`: nobody writes any more, so that what is not whole never will be.
    fn go_on(&mut self, recorder: &Recorder, last: bool) {
        let ring = recorder.region(Region::Ring);
        let units = (ring.len() / UNIT_WORDS) as u64;
        let reader = Reader::new(recorder).unwrap();
        let mut decoded = Decoded::default();
        loop {
            let head = recorder.head();
            let from = self.next.max(head.saturating_sub(units));
            self.in_gap |= from > self.next;
            self.lost += from - self.next;
            self.next = from;
            if self.next >= head {
                return;
            }
            if let Some(event) = reader.record(self.next, &mut decoded) {
                assert!(is_right(&event), "read, and never written: {event:?}");
                self.read.push(u64::from(event.pid));
                // As many as were reserved: one that has no end yet says less.
                self.next += units_of(self.word(ring, 1)) as u64;
                self.in_gap = false;
                continue;
            }
            let rest = self.in_gap && self.word(ring, 0) == tag(self.next, TAG_MORE);
            if rest || last {
                self.next += 1;
                self.lost += 1;
            } else if recorder.head() <= self.next + units {
                return;
            }
        }
    }
}

/// A round: each writer writes so many, in a ring of so many units. What was read, and how many units were lost.
fn round(units: usize, each: u64, plainly: bool, write: impl Fn(&Recorder, u64) + Sync) -> Drain {
    let recorder = recorder(units, 1, HEAD);
    let writing = AtomicUsize::new(WRITERS as usize);
    let writer = |writer: u64| {
        if plainly {
            store_plainly();
        }
        (0..each).for_each(|number| write(&recorder, number * WRITERS + writer));
        // Not what hands the records over.
        writing.fetch_sub(1, Ordering::Relaxed);
    };
    let mut drain = Drain { next: HEAD, ..Drain::default() };
    beside(WRITERS, &writer, || {
        while writing.load(Ordering::Relaxed) > 0 {
            drain.go_on(&recorder, false);
        }
    });
    drain.go_on(&recorder, true);
    give_back(&recorder);
    let once: BTreeSet<u64> = drain.read.iter().copied().collect();
    assert_eq!(once.len(), drain.read.len(), "read twice: {:?}", drain.read);
    drain
}

fn either_way(recorder: &Recorder, number: u64) {
    match number % 4 {
        0 => append(recorder, number),
        way => begin_and_finish(recorder, number, way == 1),
    }
}

#[test]
fn what_is_written_is_read() {
    for _ in 0..rounds(300) {
        // Units enough for all.
        let drain = round(2048, 100, true, either_way);
        assert_eq!((drain.read.len(), drain.lost), (300, 0), "something is lost, and nothing was written over");
    }
}

#[test]
fn what_is_overtaken_is_not_misread() {
    let (mut read, mut lost) = (0, 0);
    for _ in 0..rounds(30) {
        let drain = round(256, 2000, false, either_way);
        let missing = 3 * 2000 - drain.read.len() as u64;
        // The shortest record is of two units.
        assert!(missing * 2 <= drain.lost, "{missing} records are missing, and {} units were lost", drain.lost);
        read += drain.read.len() as u64;
        lost += missing;
    }
    println!("{read} records read, {lost} written over before");
    assert!(read > 0, "the ring was only overtaken");
}
