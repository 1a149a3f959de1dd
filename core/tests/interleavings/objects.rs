//! The registry: whatever the order, what was made and not removed is found, once, and what was removed is removed once.

use std::sync::Mutex;

use shmaudit_core::calls::Call;
use shmaudit_core::layout::{Region, entry, header};
use shmaudit_core::reader::{Reader, Words};
use shmaudit_core::record::{Event, FLAG_CREATED, FLAG_LATE, LateEnd, State};

use crate::atomic::Ordering;
use crate::explore::{Limits, explore};
use crate::place::{event, give_back, recorder};
use crate::recorder::Recorder;

const NONE: Limits = Limits { turns: 0, kills: 0, stale: 0, wrong: None };

/// A recorder, and what the threads have removed.
struct Shared {
    recorder: Recorder,
    removed: Mutex<Vec<u64>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        give_back(&self.recorder);
    }
}

fn hash(number: u64) -> u64 {
    number << 40 | number << 4 | 1
}

fn make(shared: &Shared, number: u64) {
    let mut event = event(number, b"x");
    event.order = number;
    shared.recorder.register(hash(number), &event);
}

fn remove(shared: &Shared, number: u64) {
    if let Some(found) = shared.recorder.find(hash(number))
        && shared.recorder.remove(found)
    {
        shared.removed.lock().unwrap().push(number);
    }
}

/// With so many entries, of which the objects of `there` have some.
fn shared(entries: usize, there: &'static [u64]) -> impl Fn() -> Shared {
    move || {
        let shared = Shared { recorder: recorder(1, entries, 0), removed: Mutex::default() };
        there.iter().for_each(|&number| make(&shared, number));
        shared
    }
}

/// What is listed is what was made and not removed, each once, and each of it can be found and removed. `touched`: what each
/// thread makes or removes; of one that was killed nothing is certain of that, but that nothing is there twice.
fn sound(shared: &Shared, made: &[u64], touched: &[&[u64]], killed: &[bool]) -> Result<(), String> {
    let mut removed = shared.removed.lock().unwrap().clone();
    removed.sort_unstable();
    let mut listed = Vec::new();
    Reader::new(&shared.recorder).unwrap().objects(|event| listed.push(u64::from(event.pid)));
    listed.sort_unstable();
    let lost = shared.recorder.word(header::OBJECTS_LOST).load(Ordering::Relaxed) as usize;
    let twice = |numbers: &[u64]| numbers.windows(2).any(|pair| pair[0] == pair[1]);
    let uncertain =
        |number: &u64| touched.iter().zip(killed).any(|(touched, killed)| *killed && touched.contains(number));
    let stays = |number: &u64| made.contains(number) && !removed.contains(number);
    let missing = made.iter().filter(|number| stays(number) && !uncertain(number) && !listed.contains(number)).count();
    let unknown = listed.iter().any(|number| !stays(number) && !uncertain(number));
    let found = |number: &u64| shared.recorder.find(hash(*number)).is_some();
    let unfound = listed.iter().filter(|number| !uncertain(number) && !found(number)).count();
    if twice(&removed) || twice(&listed) || missing > lost || unknown || unfound > lost {
        return Err(format!("made {made:?}, removed {removed:?}, listed {listed:?}, {lost} lost, {unfound} not found"));
    }
    Ok(())
}

fn made_and_removed(limits: Limits) -> Result<usize, String> {
    let threads: [&(dyn Fn(&Shared) + Sync); 2] = [
        &|shared| {
            make(shared, 1);
            remove(shared, 2);
        },
        &|shared| {
            remove(shared, 1);
            make(shared, 3);
        },
    ];
    explore(limits, shared(4, &[2]), &threads, |shared, killed| sound(shared, &[1, 2, 3], &[&[1, 2], &[1, 3]], killed))
}

fn removed_by_two(limits: Limits) -> Result<usize, String> {
    let remover = |shared: &Shared| {
        remove(shared, 1);
        make(shared, 2);
    };
    let other = |shared: &Shared| {
        remove(shared, 1);
        make(shared, 3);
    };
    explore(limits, shared(2, &[1]), &[&remover, &other], |shared, killed| {
        sound(shared, &[1, 2, 3], &[&[1, 2], &[1, 3]], killed)
    })
}

/// The list of free entries changes and changes back while one is taken from it.
fn free_entries(limits: Limits) -> Result<usize, String> {
    let taker = |shared: &Shared| make(shared, 5);
    let turner = |shared: &Shared| {
        make(shared, 9);
        remove(shared, 9);
        make(shared, 6);
        make(shared, 7);
        remove(shared, 6);
    };
    let start = || {
        let shared = shared(4, &[1, 2, 3, 4])();
        [4, 3, 2, 1].iter().for_each(|&number| remove(&shared, number));
        shared
    };
    explore(limits, start, &[&taker, &turner], |shared, killed| {
        make(shared, 8);
        sound(shared, &[5, 6, 7, 8, 9], &[&[5], &[6, 7, 9]], killed)
    })
}

fn full(limits: Limits) -> Result<usize, String> {
    let first = |shared: &Shared| make(shared, 1);
    let second = |shared: &Shared| make(shared, 2);
    explore(limits, shared(1, &[]), &[&first, &second], |shared, killed| sound(shared, &[1, 2], &[&[1], &[2]], killed))
}

/// An object's entry is a copy of its record in the ring, which turns meanwhile.
fn copied(limits: Limits) -> Result<usize, String> {
    let maker = |shared: &Shared| {
        let made = Event { args: &[0o1; 2], ..event(1, b"x") };
        let begun = Event { state: State::Begun, flags: FLAG_LATE, ret: 0, took: 0, ..made };
        let (ticket, order) = shared.recorder.append(begun);
        let Event { ticks, took, errno, ret, object, .. } = made;
        let end = LateEnd { ticks, took, errno, ret, order, object, made: FLAG_CREATED, opening: [0o1; 2] };
        shared.recorder.finish_late(ticket, Call::ShmOpen, 2, &end);
        if !shared.recorder.register_noted(hash(1), ticket, order) {
            shared.recorder.register(hash(1), &Event { order, ..made });
        }
    };
    let writer = |shared: &Shared| {
        for number in [2, 3] {
            shared.recorder.append(event(number, b"x"));
        }
    };
    let start = || Shared { recorder: recorder(4, 2, 0), removed: Mutex::default() };
    explore(limits, start, &[&maker, &writer], |shared, killed| sound(shared, &[1], &[&[1], &[]], killed))
}

fn told(what: &str, orders: Result<usize, String>) {
    println!("{what}: {} orders", orders.unwrap());
}

#[test]
fn made_by_one_and_removed_by_another() {
    told("made and removed", made_and_removed(Limits { turns: 2, ..NONE }));
    told("removed by two", removed_by_two(Limits { turns: 2, ..NONE }));
    told("free entries", free_entries(Limits { turns: 2, ..NONE }));
    told("full", full(Limits { turns: 3, ..NONE }));
    told("copied from the ring", copied(Limits { turns: 2, ..NONE }));
}

#[test]
fn who_is_killed_keeps_one_entry_at_most() {
    told("made and removed, one killed", made_and_removed(Limits { turns: 1, kills: 1, ..NONE }));
    told("removed by two, one killed", removed_by_two(Limits { turns: 1, kills: 1, ..NONE }));
    told("full, one killed", full(Limits { turns: 2, kills: 1, ..NONE }));
    told("copied from the ring, one killed", copied(Limits { turns: 1, kills: 1, ..NONE }));
}

#[test]
fn what_would_be_wrong_is_noticed() {
    let early = Limits { turns: 2, wrong: Some("FreesEarly"), ..NONE };
    assert!(removed_by_two(early).is_err());
    let uncounted = Limits { turns: 2, wrong: Some("CountsNoChange"), ..NONE };
    assert!(free_entries(uncounted).is_err());
}

const STALE: Limits = Limits { turns: 2, stale: 1, ..NONE };

/// Who finds an object, or sees that an entry has one, finds all that was said of it.
fn found_whole(limits: Limits) -> Result<usize, String> {
    let looker = |shared: &Shared| {
        let reader = Reader::new(&shared.recorder).unwrap();
        let entries = reader.regions().0[Region::Entries as usize].0 / 8;
        let state = Words::word(&shared.recorder, entries + entry::STATE).unwrap();
        let mut listed = Vec::new();
        reader.objects(|event| listed.push(event.pid));
        let found = shared.recorder.find(hash(1));
        let device = found.map(|found| shared.recorder.device(found));
        if state & 1 == 1 && listed != [1] || device.is_some_and(|device| device != Some(9)) {
            shared.removed.lock().unwrap().extend([1, 1]);
        }
    };
    let maker = |shared: &Shared| make(shared, 1);
    explore(limits, shared(1, &[]), &[&maker, &looker], |shared, killed| sound(shared, &[1], &[&[1], &[]], killed))
}

#[test]
fn in_a_weak_memory() {
    told("found whole", found_whole(STALE));
    let fewer = Limits { turns: 1, ..STALE };
    told("made and removed", made_and_removed(fewer));
    told("removed by two", removed_by_two(fewer));
    told("free entries", free_entries(fewer));
    told("full", full(STALE));
    told("copied from the ring", copied(STALE));
}

#[test]
fn orders_that_are_too_weak_are_noticed() {
    for wrong in ["StoresRelaxed", "LoadsRelaxed"] {
        assert!(found_whole(Limits { wrong: Some(wrong), ..STALE }).is_err(), "{wrong}");
    }
    assert!(free_entries(Limits { wrong: Some("UpdatesRelaxed"), ..STALE }).is_err());
    assert!(copied(Limits { wrong: Some("NoFence"), ..STALE }).is_err());
}
