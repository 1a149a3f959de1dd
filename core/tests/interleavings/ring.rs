//! The ring: whatever the order, what is read is what was written, or is not there; and what nobody has overtaken is there.

use std::sync::Mutex;

use shmaudit_core::layout::Region;
use shmaudit_core::reader::{Reader, Words};
use shmaudit_core::record::{Decoded, TAG_HEAD, TAG_MORE, UNIT_WORDS, tag};

use crate::explore::{Limits, explore};
use crate::place::{give_back, recorder};
use crate::recorder::Recorder;
use crate::records::{self, SHORT, is_right};

const NONE: Limits = Limits { turns: 0, kills: 0, stale: 0, wrong: None };
/// The ring's first position: none at which the clocks are read.
const HEAD: u64 = 16;

/// A recorder, and what a thread has read of it.
struct Shared {
    recorder: Recorder,
    read: Mutex<Vec<u64>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        give_back(&self.recorder);
    }
}

fn shared(units: usize) -> impl Fn() -> Shared {
    move || Shared { recorder: recorder(units, 1, HEAD), read: Mutex::default() }
}

fn append(shared: &Shared, number: u64) {
    records::append(&shared.recorder, number);
}

fn begin_and_finish(shared: &Shared, number: u64, late: bool) {
    records::begin_and_finish(&shared.recorder, number, late);
}

/// All that can be read, by number, and how much was torn. An order of it is wrong if a record is.
fn read(recorder: &Recorder) -> Result<(Vec<u64>, u64), String> {
    let reader = Reader::new(recorder).map_err(|refusal| format!("{refusal:?}"))?;
    let order = reader.order();
    let mut decoded = Decoded::default();
    let mut found = Vec::new();
    for (_, position) in order.records {
        // It may have been written over since.
        let Some(event) = reader.record(position, &mut decoded) else { continue };
        if !is_right(&event) {
            return Err(format!("read, and never written: {event:?}"));
        }
        found.push(u64::from(event.pid));
    }
    found.sort_unstable();
    Ok((found, order.torn))
}

/// `numbers`: what each thread writes. Of one that was killed anything may be missing, and one record is torn at most.
fn all_there(shared: &Shared, killed: &[bool], numbers: &[&[u64]]) -> Result<(), String> {
    let (found, torn) = read(&shared.recorder)?;
    if shared.read.lock().unwrap().contains(&u64::MAX) {
        return Err("read, and never written".to_string());
    }
    let alive = numbers.iter().zip(killed).filter(|(_, killed)| !**killed).flat_map(|(numbers, _)| numbers.iter());
    let lost: Vec<u64> = alive.filter(|number| !found.contains(number)).copied().collect();
    let dead = killed.iter().filter(|&&killed| killed).count();
    if !lost.is_empty() || torn > dead as u64 {
        return Err(format!("{lost:?} are lost, {torn} torn, and {dead} killed"));
    }
    Ok(())
}

/// A thread that reads while others write.
fn look(shared: &Shared) {
    let wrong = read(&shared.recorder).is_err();
    shared.read.lock().unwrap().push(if wrong { u64::MAX } else { 0 });
}

fn writers(limits: Limits) -> Result<usize, String> {
    let threads: [&(dyn Fn(&Shared) + Sync); 2] =
        [&|shared| append(shared, 1), &|shared| [2, 3].iter().for_each(|&number| append(shared, number))];
    explore(limits, shared(16), &threads, |shared, killed| all_there(shared, killed, &[&[1], &[2, 3]]))
}

fn beside_a_reader(limits: Limits) -> Result<usize, String> {
    let threads: [&(dyn Fn(&Shared) + Sync); 2] = [&|shared| append(shared, 2), &look];
    explore(limits, shared(4), &threads, |shared, killed| all_there(shared, killed, &[&[2]]))
}

/// More than the ring holds: what is written over is gone, and nothing else is said.
fn overtaken(limits: Limits) -> Result<usize, String> {
    let threads: [&(dyn Fn(&Shared) + Sync); 2] =
        [&|shared| append(shared, 2), &|shared| [4, 5].iter().for_each(|&number| append(shared, number))];
    explore(limits, shared(4), &threads, |shared, _| read(&shared.recorder).map(|_| ()))
}

fn overtaken_before_its_end(limits: Limits, late: bool) -> Result<usize, String> {
    let first = move |shared: &Shared| begin_and_finish(shared, 2, late);
    let threads: [&(dyn Fn(&Shared) + Sync); 2] = [&first, &|shared| begin_and_finish(shared, 5, false)];
    explore(limits, shared(4), &threads, |shared, _| read(&shared.recorder).map(|_| ()))
}

fn finishing(limits: Limits, late: bool) -> Result<usize, String> {
    let first = move |shared: &Shared| begin_and_finish(shared, 1, late);
    let second = move |shared: &Shared| begin_and_finish(shared, 2, !late);
    explore(limits, shared(16), &[&first, &second], |shared, killed| all_there(shared, killed, &[&[1], &[2]]))
}

fn told(what: &str, orders: Result<usize, String>) {
    println!("{what}: {} orders", orders.unwrap());
}

#[test]
fn what_is_written_is_read() {
    told("three records of two writers", writers(Limits { turns: 3, ..NONE }));
    told("a writer and a reader", beside_a_reader(Limits { turns: 2, ..NONE }));
    for late in [false, true] {
        told("records that end later", finishing(Limits { turns: 2, ..NONE }, late));
    }
}

#[test]
fn what_is_overtaken_is_not_misread() {
    told("two writers in a ring of four units", overtaken(Limits { turns: 3, ..NONE }));
    for late in [false, true] {
        told("an end in a unit that is another's", overtaken_before_its_end(Limits { turns: 3, ..NONE }, late));
    }
}

#[test]
fn who_is_killed_hurts_nobody_else() {
    told("two writers, one killed", writers(Limits { turns: 2, kills: 1, ..NONE }));
    told("a writer that is killed, and a reader", beside_a_reader(Limits { turns: 1, kills: 1, ..NONE }));
    for late in [false, true] {
        told("killed before the end is written", finishing(Limits { turns: 1, kills: 1, ..NONE }, late));
        told("killed and overtaken", overtaken_before_its_end(Limits { turns: 1, kills: 1, ..NONE }, late));
    }
}

/// The ring has turned, and a writer begins where an older record still stands: that one is not read as the new one.
fn turned(limits: Limits) -> Result<usize, String> {
    let full = || {
        let shared = shared(2)();
        [SHORT + 1, SHORT + 2].iter().for_each(|&number| append(&shared, number));
        shared
    };
    let threads: [&(dyn Fn(&Shared) + Sync); 2] = [&|shared| append(shared, SHORT + 3), &|shared| {
        let old =
            read(&shared.recorder).is_ok_and(|(found, _)| found.contains(&(SHORT + 1)) && found.contains(&(SHORT + 3)));
        shared.read.lock().unwrap().push(if old { u64::MAX } else { 0 });
    }];
    explore(limits, full, &threads, |shared, _| match read(&shared.recorder)?.0 {
        found if found.contains(&(SHORT + 1)) && shared.recorder.head() > HEAD + 2 => {
            Err(format!("{found:?}: an old record at a new place"))
        }
        _ => all_there(shared, &[true; 2], &[]),
    })
}

#[test]
fn an_old_record_is_not_a_new_one() {
    told("the ring's next turn", turned(Limits { turns: 2, ..NONE }));
    told("the ring's next turn, killed", turned(Limits { turns: 1, kills: 1, ..NONE }));
}

#[test]
fn a_unit_that_is_committed_early_is_noticed() {
    let wrong = Limits { wrong: Some("CommitsEarly"), ..NONE };
    assert!(turned(Limits { kills: 1, ..wrong }).is_err());
}

/// Who finds all tags of a record finds the record: so it is when the supervisor stores what is about to be written over.
fn stored_whole(limits: Limits) -> Result<usize, String> {
    let threads: [&(dyn Fn(&Shared) + Sync); 2] = [&|shared| append(shared, 2), &|shared| {
        let (ring, length) = Reader::new(&shared.recorder).unwrap().regions().0[Region::Ring as usize];
        let is = |unit: u64, kind| {
            let place = (ring + (HEAD + unit) as usize * UNIT_WORDS * 8 % length) / 8;
            Words::word(&shared.recorder, place) == Some(tag(HEAD + unit, kind))
        };
        if is(0, TAG_HEAD) && is(1, TAG_MORE) {
            let found = read(&shared.recorder).is_ok_and(|(found, torn)| found == [2] && torn == 0);
            shared.read.lock().unwrap().push(if found { 0 } else { u64::MAX });
        }
    }];
    explore(limits, shared(4), &threads, |shared, killed| all_there(shared, killed, &[&[2]]))
}

/// The same beside a reader.
fn overtaken_while_read(limits: Limits) -> Result<usize, String> {
    let begun = || {
        let shared = shared(4)();
        append(&shared, 2);
        shared
    };
    let threads: [&(dyn Fn(&Shared) + Sync); 2] =
        [&|shared| [4, 5].iter().for_each(|&number| append(shared, number)), &look];
    explore(limits, begun, &threads, |shared, killed| all_there(shared, killed, &[&[4, 5]]))
}

const STALE: Limits = Limits { turns: 2, stale: 1, ..NONE };

#[test]
fn in_a_weak_memory() {
    told("a record that is stored", stored_whole(Limits { turns: 2, stale: 2, ..NONE }));
    told("a writer and a reader", beside_a_reader(STALE));
    told("the ring's next turn", turned(STALE));
    told("a ring that is overtaken, and a reader", overtaken_while_read(STALE));
    told("two writers in a ring of four units", overtaken(STALE));
    for late in [false, true] {
        told("records that end later", finishing(Limits { turns: 1, ..STALE }, late));
        told("an end in a unit that is another's", overtaken_before_its_end(STALE, late));
    }
}

#[test]
fn orders_that_are_too_weak_are_noticed() {
    for wrong in ["StoresRelaxed", "LoadsRelaxed"] {
        let noticed = stored_whole(Limits { wrong: Some(wrong), ..STALE });
        assert!(noticed.is_err(), "{wrong}");
    }
}
