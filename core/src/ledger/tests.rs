//! Stories and holdings, record by record.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::layout::process::{END_EXIT, END_UNKNOWN};
use crate::record::{FLAG_BEFORE, State};
use crate::testing::{BEGAN, Image, any_event, event, for_ever};

fn posix(ino: u64) -> ObjectId {
    ObjectId { family: Family::Posix, dev: 9, ino }
}

fn created(name: &'static [u8], ino: u64, fd: i64) -> Event<'static> {
    let args = &[0o102, 0o600];
    Event {
        flags: FLAG_CREATED,
        ret: fd,
        data: name,
        args,
        object: posix(ino),
        frames: &[0x11, 0x22],
        ..event(Call::ShmOpen)
    }
}

fn segment(shmid: i32, size: u64) -> Event<'static> {
    let (args, object) = (for_ever([0x11, size, 0o1600]), ObjectId::sysv(shmid));
    Event { flags: FLAG_CREATED, ret: i64::from(shmid), args, object, ..event(Call::Shmget) }
}

fn attach(shmid: i32, at: u64) -> Event<'static> {
    Event { ret: at as i64, object: ObjectId::sysv(shmid), ..event(Call::Shmat) }
}

fn replayed(image: &Image) -> Ledger {
    Ledger::replay(&image.sources(), |_, _, _| {})
}

fn one(ledger: &Ledger) -> &Object {
    assert_eq!(ledger.objects.len(), 1);
    &ledger.objects[0]
}

#[test]
fn a_release_that_was_noted_before_is_timed_by_its_end() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.add(created(b"shmtest", 7, 3));
    let unlink =
        Event { data: b"/shmtest", object: posix(7), ticks: BEGAN + 50_000, took: 700, ..event(Call::ShmUnlink) };
    image.add(Event { flags: FLAG_BEFORE, ..unlink });
    assert_eq!(one(&replayed(&image)).removed.unwrap().ticks, BEGAN + 50_700);
    assert_eq!(unlink.ended(), BEGAN + 50_000);
    assert_eq!(Event { flags: FLAG_BEFORE, state: State::Begun, ..unlink }.ended(), BEGAN + 50_000);
}

#[test]
fn a_walk_knows_what_each_call_is_about() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.add(created(b"shmtest", 7, 3));
    image.add(segment(5, 4096));
    image.add(attach(5, 0x9000));
    image.add(Event { args: &[3], ..event(Call::Close) });
    image.add(Event { args: &[4], ..event(Call::Close) });
    image.add(Event { args: &[0x9000], ..event(Call::Shmdt) });
    image.add(Event { args: &[0x9000], errno: 22, ret: -1, ..event(Call::Shmdt) });
    image.add(Event { data: b"/shmtest", object: posix(7), ..event(Call::ShmUnlink) });
    image.add(Event { data: b"/shmtest", errno: 2, ret: -1, ..event(Call::ShmUnlink) });
    let mut seen = Vec::new();
    Ledger::walk(&image.sources(), |_, event, object| seen.push((event.call, object.map(ObjectIndex::get))));
    assert_eq!(
        seen,
        [
            (Call::ShmOpen, Some(0)),
            (Call::Shmget, Some(1)),
            (Call::Shmat, Some(1)),
            (Call::Close, Some(0)),
            (Call::Close, None),
            (Call::Shmdt, Some(1)),
            (Call::Shmdt, Some(1)),
            (Call::ShmUnlink, Some(0)),
            (Call::ShmUnlink, None),
        ]
    );
}

#[test]
fn a_posix_life() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    let first = image.add(created(b"shmtest", 7, 3));
    image.add(Event { args: &[3, 4096], object: posix(7), ..event(Call::Ftruncate) });
    image.add(Event { args: &[0, 4096, 3, 1, 3, 0], ret: 0x7000, object: posix(7), ..event(Call::Mmap) });
    let ledger = replayed(&image);
    let object = one(&ledger);
    assert_eq!((object.name.as_deref(), object.size, object.mode), (Some(&b"shmtest"[..]), Some(4096), Some(0o600)));
    assert_eq!(object.created.unwrap().order, first);
    assert_eq!(ledger.stacks().frames(object.created.unwrap().stack), [0x11, 0x22]);
    let live = ledger.live(0, 100).unwrap();
    assert_eq!((live.fds.len(), live.ranges.len()), (1, 1));

    image.add(Event { args: &[0x7000, 4096], ..event(Call::Munmap) });
    image.add(Event { args: &[3], object: posix(7), ..event(Call::Close) });
    let last = image.add(Event { data: b"/shmtest", ..event(Call::ShmUnlink) });
    let ledger = replayed(&image);
    let live = ledger.live(0, 100).unwrap();
    assert!(live.fds.is_empty() && live.ranges.is_empty());
    assert_eq!(one(&ledger).removed.unwrap().order, last);
    let calls: Vec<_> = one(&ledger).calls().iter().map(|(call, count)| (call.name(), *count)).collect();
    assert_eq!(calls, [("shm_open", 1), ("ftruncate", 1), ("mmap", 1), ("munmap", 1), ("close", 1), ("shm_unlink", 1)]);
}

#[test]
fn a_name_is_no_identity() {
    let mut image = Image::new();
    image.add(created(b"/x", 7, 3));
    image.add(Event { data: b"x", ..event(Call::ShmUnlink) });
    image.add(created(b"///x", 8, 4));
    let ledger = replayed(&image);
    let gone: Vec<_> = ledger.objects.iter().map(|object| (object.id.ino, object.removed.is_some())).collect();
    assert_eq!(gone, [(7, true), (8, false)]);
}

#[test]
fn without_an_inode_the_name_decides() {
    let mut image = Image::new();
    image.add(created(b"/x", 0, 3));
    image.add(Event { flags: 0, ..created(b"x", 0, 4) });
    assert_eq!(one(&replayed(&image)).calls(), [(Call::ShmOpen, 2)]);
    image.add(Event { data: b"x", ..event(Call::ShmUnlink) });
    image.add(created(b"/x", 0, 3));
    assert_eq!(replayed(&image).objects.len(), 2);
}

#[test]
fn renamed_over_another() {
    let mut image = Image::new();
    image.add(created(b"/a", 7, 3));
    image.add(created(b"/b", 8, 4));
    image.add(Event { data: b"/dev/shm/a\0/dev/shm/b", ..event(Call::Rename) });
    let ledger = replayed(&image);
    assert_eq!(ledger.objects[0].name.as_deref(), Some(&b"b"[..]));
    assert!(ledger.objects[0].removed.is_none() && ledger.objects[1].removed.is_some());
    image.add(Event { data: b"/dev/shm/b", ..event(Call::Unlink) });
    assert!(replayed(&image).objects[0].removed.is_some());
}

#[test]
fn exchanged_names() {
    let mut image = Image::new();
    image.add(created(b"/a", 7, 3));
    image.add(created(b"/b", 8, 4));
    image.add(Event { args: &[0, 0, 2], data: b"/dev/shm/a\0/dev/shm/b", ..event(Call::Renameat2) });
    image.add(Event { data: b"/a", ..event(Call::ShmUnlink) });
    let ledger = replayed(&image);
    assert!(ledger.objects[0].removed.is_none() && ledger.objects[1].removed.is_some());
}

#[test]
fn shmids_come_again() {
    let mut image = Image::new();
    image.add(segment(3, 4096));
    image.add(Event { args: &[3, 0, 0], object: ObjectId::sysv(3), ..event(Call::Shmctl) });
    image.add(Event { args: &[3, 0, 0], object: ObjectId::sysv(3), ..event(Call::Shmctl) });
    image.add(segment(3, 8192));
    let ledger = replayed(&image);
    let gone: Vec<_> = ledger.objects.iter().map(|object| (object.size, object.removed.is_some())).collect();
    assert_eq!(gone, [(Some(4096), true), (Some(8192), false)]);
}

#[test]
fn a_use_noted_before_the_creation() {
    let mut image = Image::new();
    image.process(100, None, END_UNKNOWN);
    image.add(Event { flags: FLAG_MAYBE_CREATED, pid: 101, ..segment(3, 0) });
    image.add(attach(3, 0x7000));
    image.add(segment(3, 4096));
    let ledger = replayed(&image);
    let object = one(&ledger);
    assert_eq!((object.certain, object.created.unwrap().pid, object.size), (true, 100, Some(4096)));
}

#[test]
fn attachments_end_in_many_ways() {
    let mut image = Image::new();
    image.add(segment(3, 0x3000));
    let held = |image: &Image| replayed(image).live(0, 100).map_or(0, |live| live.ranges.len());
    image.add(attach(3, 0x10000));
    image.add(Event { args: &[0x11000, 0x1000], ..event(Call::Munmap) });
    assert_eq!(held(&image), 2);
    image.add(Event { args: &[0x10000], ..event(Call::Shmdt) });
    assert_eq!(held(&image), 0);
    // Another segment with SHM_REMAP, then an anonymous mapping with MAP_FIXED over it.
    image.add(attach(3, 0x10000));
    image.add(attach(3, 0x10000));
    assert_eq!(held(&image), 1);
    image.add(Event { args: &[0x10000, 0x3000, 0, 0x32, u64::MAX, 0], ret: 0x10000, ..event(Call::Mmap) });
    assert_eq!(held(&image), 0);
    image.add(attach(3, 0x10000));
    image.add(Event { args: &[0x10000, 0x3000, 0x3000, 1, 0], ret: 0x40000, ..event(Call::Mremap) });
    let ledger = replayed(&image);
    let live = ledger.live(0, 100).unwrap();
    assert_eq!(live.ranges.iter().next().unwrap().0, 0x40000);
    assert_eq!(live.past[&0x10000].gone.call, Call::Mremap);
    image.add(Event { args: &[0x40000], ..event(Call::Shmdt) });
    assert_eq!(held(&image), 0);
}

#[test]
fn a_failed_or_unfinished_call_changes_nothing_it_should_not() {
    let mut image = Image::new();
    image.add(created(b"/x", 7, 3));
    image.add(Event { errno: 2, ret: -1, data: b"/x", ..event(Call::ShmUnlink) });
    image.add(Event { errno: 22, ret: -1, object: ObjectId::sysv(77), ..event(Call::Shmat) });
    let ledger = replayed(&image);
    assert!(one(&ledger).removed.is_none());
    image.add(Event { state: State::Begun, data: b"/x", ..event(Call::ShmUnlink) });
    image.add(Event { state: State::Begun, args: &[3], object: posix(7), ..event(Call::Close) });
    let ledger = replayed(&image);
    assert!(one(&ledger).removed.is_none() && one(&ledger).removing.is_some());
    assert!(ledger.live(0, 100).unwrap().fds.is_empty());
}

#[test]
fn a_forked_child_has_a_copy() {
    let mut image = Image::new();
    image.process(100, None, END_UNKNOWN);
    image.process(101, Some(0), END_EXIT);
    image.add(created(b"/x", 7, 3));
    image.add(segment(3, 0x1000));
    image.add(attach(3, 0x10000));
    image.add(Event { ret: 101, ..event(Call::Fork) });
    let child = |event: Event<'static>| Event { process: 1, pid: 101, tid: 101, ..event };
    image.add(child(Event { args: &[0x10000], ..event(Call::Shmdt) }));
    image.add(child(Event { args: &[3], ret: 4, object: posix(7), ..event(Call::Dup) }));
    let ledger = replayed(&image);
    let (parent, child) = (ledger.live(0, 100).unwrap(), ledger.live(1, 101).unwrap());
    assert_eq!((parent.fds.len(), parent.ranges.len()), (1, 1));
    assert_eq!((child.fds.len(), child.ranges.len()), (2, 0));
    // Who has the slot later inherits nothing of that.
    assert!(ledger.live(1, 102).is_none());
}

#[test]
fn a_slot_changes_hands() {
    let mut image = Image::new();
    image.process(102, None, END_UNKNOWN);
    image.add(Event { pid: 99, ..created(b"/x", 7, 3) });
    image.add(Event { pid: 102, ..created(b"/y", 8, 4) });
    let ledger = replayed(&image);
    assert!(ledger.live(0, 99).is_none() && ledger.process(0, 99).is_none());
    assert_eq!(ledger.live(0, 102).unwrap().fds.keys().copied().collect::<Vec<_>>(), [4]);
}

#[test]
fn descriptors_are_copied_and_closed() {
    let mut image = Image::new();
    image.add(created(b"/x", 7, 3));
    image.add(Event { args: &[3, 9], ret: 9, object: posix(7), ..event(Call::Dup2) });
    image.add(Event { args: &[3, 1030, 0], ret: 10, object: posix(7), ..event(Call::Fcntl) });
    image.add(Event { args: &[1, 10], ret: 10, ..event(Call::Dup2) });
    image.add(Event { args: &[3, 3], ret: 3, object: posix(7), ..event(Call::Dup2) });
    let fds = |image: &Image| replayed(image).live(0, 100).unwrap().fds.keys().copied().collect::<Vec<_>>();
    assert_eq!(fds(&image), [3, 9]);
    image.add(Event { args: &[4, 0xffff_ffff, 4], ..event(Call::CloseRange) });
    assert_eq!(fds(&image), [3, 9], "only marked for exec");
    image.add(Event { args: &[4, 0xffff_ffff, 0], ..event(Call::CloseRange) });
    assert_eq!(fds(&image), [3]);
    image.add(Event { args: &[0], ..event(Call::Closefrom) });
    assert!(fds(&image).is_empty());
}

#[test]
fn the_registry_knows_what_the_ring_has_forgotten() {
    let mut image = Image::new();
    image.register(Event { order: 9, ticks: 5, ..created(b"/old", 7, 3) });
    image.register(Event { order: 11, ticks: 5, ..segment(3, 4096) });
    image.add(Event { args: &[3, 100], object: posix(7), ..event(Call::Ftruncate) });
    let order = image.add(created(b"/new", 8, 4));
    image.register(Event { order, ..created(b"/new", 8, 4) });
    let ledger = replayed(&image);
    let told: Vec<_> =
        ledger.objects.iter().map(|object| (object.id.ino, object.created.unwrap().order, object.size)).collect();
    assert_eq!(told, [(7, 9, Some(100)), (8, order, Some(0)), (3, 11, Some(4096))]);
    assert_eq!(ledger.objects[0].name.as_deref(), Some(&b"old"[..]));
}

proptest! {
    #[test]
    fn any_records_make_a_ledger(events in prop::collection::vec(any_event(), 0..60)) {
        let mut image = Image::new();
        for pid in 100..103 {
            image.process(pid, if pid == 100 { None } else { Some(0) }, END_EXIT);
        }
        for (event, args) in &events {
            image.add(Event { args, ..*event });
        }
        let ledger = replayed(&image);
        prop_assert_eq!(ledger.events(), events.len() as u64);
        for (_, index) in ledger.by_name.iter() {
            prop_assert!(ledger.object(*index).is_some());
        }
    }
}
