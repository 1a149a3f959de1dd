//! The registry: several make, find and remove. What was made and not removed is there, once, and can be found.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use shmaudit_core::layout::header;
use shmaudit_core::reader::Reader;

use crate::atomic::store_plainly;
use crate::place::{event, give_back, recorder};
use crate::recorder::Recorder;
use crate::{beside, rounds};

const ENTRIES: usize = 64;
const THREADS: u64 = 3;

fn hash(number: u64) -> u64 {
    number << 40 | number << 4 | 1
}

fn make(recorder: &Recorder, number: u64, order: u64) {
    let mut event = event(number, b"x");
    let args = [number; 3];
    (event.order, event.args) = (order, &args);
    recorder.register(hash(number), &event);
}

/// The numbers of the objects that are listed.
fn listed(recorder: &Recorder) -> Vec<u64> {
    let mut listed = Vec::new();
    Reader::new(recorder).unwrap().objects(|event| {
        let number = u64::from(event.pid);
        assert!(
            event.tid == event.pid && event.ret == number as i64 && event.args == [number; 3] && event.data == b"x",
            "listed, and never made: {event:?}"
        );
        listed.push(number);
    });
    listed.sort_unstable();
    listed
}

fn lost(recorder: &Recorder) -> u64 {
    recorder.word(header::OBJECTS_LOST).load(Ordering::Relaxed)
}

#[test]
fn what_is_made_is_found() {
    for _ in 0..rounds(1000) {
        let recorder = recorder(1, ENTRIES, 0);
        let making = AtomicUsize::new(THREADS as usize);
        let each = ENTRIES as u64 / THREADS;
        let maker = |thread: u64| {
            store_plainly();
            (0..each).map(|at| 1 + at * THREADS + thread).for_each(|number| make(&recorder, number, number));
            // Not what hands the objects over.
            making.fetch_sub(1, Ordering::Relaxed);
        };
        beside(THREADS, &maker, || {
            while making.load(Ordering::Relaxed) > 0 {
                for number in 1..=each * THREADS {
                    if let Some(found) = recorder.find(hash(number)) {
                        assert_eq!(recorder.argument(found, 1), Some(number));
                        assert_eq!(recorder.device(found), Some(9));
                    }
                }
                listed(&recorder);
            }
        });
        assert_eq!(listed(&recorder), Vec::from_iter(1..=each * THREADS));
        assert_eq!(lost(&recorder), 0);
        give_back(&recorder);
    }
}

#[test]
fn what_is_removed_is_removed_once() {
    const NUMBERS: u64 = 8;
    for round in 0..rounds(100) {
        let recorder = recorder(1, ENTRIES, 0);
        let there: [AtomicI64; NUMBERS as usize + 1] = [const { AtomicI64::new(0) }; NUMBERS as usize + 1];
        let (order, working) = (AtomicU64::new(1), AtomicUsize::new(THREADS as usize));
        let work = |thread: u64| {
            let mut chance = round * THREADS + thread + 1;
            for _ in 0..1000 {
                chance ^= chance << 13;
                chance ^= chance >> 7;
                chance ^= chance << 17;
                let number = 1 + chance % NUMBERS;
                let change = |by| there[number as usize].fetch_add(by, Ordering::Relaxed);
                match recorder.find(hash(number)) {
                    Some(found) if chance & 1 << 40 != 0 => {
                        if recorder.remove(found) {
                            change(-1);
                        }
                    }
                    // There is room: of a name that is there, a second is made only by two at once.
                    Some(_) => {}
                    None => {
                        make(&recorder, number, order.fetch_add(1, Ordering::Relaxed));
                        change(1);
                    }
                }
            }
            working.fetch_sub(1, Ordering::Relaxed);
        };
        beside(THREADS, &work, || {
            while working.load(Ordering::Relaxed) > 0 {
                listed(&recorder);
            }
        });
        assert_eq!(lost(&recorder), 0);
        let there = |number: u64| there[number as usize].load(Ordering::Relaxed);
        let expected: Vec<u64> =
            (1..=NUMBERS).flat_map(|number| std::iter::repeat_n(number, there(number) as usize)).collect();
        assert_eq!(listed(&recorder), expected);
        // Each can be found and removed, and no entry was lost to the list of free ones.
        for &number in &expected {
            assert!(recorder.remove(recorder.find(hash(number)).unwrap()), "{number}");
        }
        (0..ENTRIES as u64).for_each(|number| make(&recorder, 100 + number, 1));
        assert_eq!((listed(&recorder).len(), lost(&recorder)), (ENTRIES, 0));
        give_back(&recorder);
    }
}
