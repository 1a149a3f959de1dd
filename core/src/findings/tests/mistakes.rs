//! Kinds that tell of mistakes in the use of an object: each where it must be found and where it must not.

use std::format;

use super::drafts::*;
use super::*;
use crate::kernel::{Setting, Space};
use crate::record::Opening;

#[test]
fn a_name_used_after_its_removal() {
    let kind = Kind::UseAfterRemove;
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.process(101, Some(0), END_EXIT);
    image.add(MISSING);
    none(kind, &image, &mut kernel);
    image.add(made(b"/x", 7));
    image.add(Event { process: 1, pid: 101, ..unlink(b"x") });
    image.add(MISSING);
    image.add(MISSING);
    let draft = only(kind, &image, &mut kernel);
    assert_eq!(draft.message, "shm_open of /x failed with ENOENT 2 times in prog[100]: prog[101] had removed it.");
    assert_eq!((draft.severity, draft.count), (Severity::Warning, 2));
    assert_eq!(related(&draft), [("removed", Call::ShmUnlink), ("created", Call::ShmOpen)]);
    // Removed twice is another place.
    image.add(Event { errno: 2, ret: -1, ..unlink(b"/x") });
    let all = of(kind, &image, &mut kernel, LAST);
    assert!(
        all[1].message.ends_with("shm_unlink of /x failed with ENOENT in prog[100]: prog[101] had removed it already.")
    );
    // Another of the same, in the same places.
    let mut others = alone();
    for (name, ino) in [(&b"/x"[..], 7), (b"/y", 8)] {
        others.add(made(name, ino));
        others.add(unlink(name));
        others.add(Event { data: name, ..MISSING });
    }
    let message = "shm_open of /x and others failed with ENOENT 2 times in prog[100]: it had removed them itself.";
    assert_eq!(only(kind, &others, &mut kernel).message, message);
    // It comes back, made by whomever: they waited.
    image.add(Event { flags: 0, ..made(b"///x", 8) });
    none(kind, &image, &mut kernel);
    // Who waited once is no longer suspected.
    image.add(unlink(b"/x"));
    image.add(MISSING);
    none(kind, &image, &mut kernel);
    image.add(Event { frames: &[0x78], ..MISSING });
    assert!(only(kind, &image, &mut kernel).message.ends_with("it had removed it itself."));
}

#[test]
fn a_rename_brings_a_name_back() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/x", 7));
    image.add(unlink(b"/x"));
    image.add(MISSING);
    image.add(Event { data: b"/tmp/y\0/dev/shm/x", ..event(Call::Rename) });
    none(Kind::UseAfterRemove, &image, &mut kernel);
}

#[test]
fn a_segment_used_after_its_removal() {
    let kind = Kind::UseAfterRemove;
    let (mut image, mut kernel) = (alone(), Tables::new());
    let shmat = |at: u64| Event { args: args([3, at, 0]), object: ObjectId::sysv(3), ..failed(Call::Shmat, 22) };
    let shmget = Event { args: &[0x11, 0, 0], ..failed(Call::Shmget, 2) };
    image.add(got(3));
    image.add(shmat(0));
    none(kind, &image, &mut kernel);
    image.add(removed(3));
    image.add(shmat(0x123));
    none(kind, &image, &mut kernel);
    image.add(shmat(0));
    let what = "segment 0x00000011 (shmid 3)";
    let message = format!("shmat of {what} failed with EINVAL in prog[100]: it had removed it itself.");
    assert_eq!(only(kind, &image, &mut kernel).message, message);
    image.add(shmget);
    let all = of(kind, &image, &mut kernel, LAST);
    assert_eq!(all[1].message, format!("shmget of {what} failed with ENOENT in prog[100]: it had removed it itself."));
    // The key comes back, the id does not.
    image.add(got(4));
    assert_eq!(only(kind, &image, &mut kernel).message, message);
    let stat = |cmd: u64| Event { args: args([3, cmd, 0]), object: ObjectId::sysv(3), ..failed(Call::Shmctl, 43) };
    image.add(stat(0x102));
    // IPC_INFO and the like take no shmid.
    image.add(stat(14));
    assert_eq!(of(kind, &image, &mut kernel, LAST).len(), 2);
}

#[test]
fn mapped_beyond_the_end() {
    let kind = Kind::MapBeyondEnd;
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/x", 7));
    image.add(ftruncate(7, 4193));
    image.add(mmap(7, 0x10000, 8192));
    none(kind, &image, &mut kernel);
    image.add(mmap(7, 0x20000, 8193));
    image.add(mmap(7, 0x30000, 0x5000));
    let draft = only(kind, &image, &mut kernel);
    let message = "prog[100] mapped 8193 bytes of /x, which had 4193 bytes, and so did 1 more from there: what is mapped beyond \
                   the end faults (SIGBUS).";
    assert_eq!((draft.message.as_str(), draft.bytes, draft.count), (message, 0x1000 + 0x3000, 2));
    assert_eq!(related(&draft), [("sized", Call::Ftruncate), ("created", Call::ShmOpen)]);
    // Grown while they are there; then one that ended before is left.
    image.add(munmap(0x30000, 0x5000));
    image.add(ftruncate(7, 0x10000));
    assert_eq!(only(kind, &image, &mut kernel).bytes, 0x3000);
    // Nobody saw it grow, but it is longer.
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/x", 7));
    image.add(ftruncate(7, 1));
    image.add(mmap(7, 0x20000, 8192));
    kernel.file("x", 7, 8192);
    none(kind, &image, &mut kernel);
    kernel.file("x", 7, 1);
    only(kind, &image, &mut kernel);
}

#[test]
fn mapped_without_a_size() {
    let kind = Kind::MapBeyondEnd;
    let (mut image, mut kernel) = (alone(), Tables::new());
    let mapped = |size: &'static [u8; 8]| Event { data: size, ..mmap(7, 0x20000, 8192) };
    image.add(made(b"/x", 7));
    image.add(mapped(&[0; 8]));
    assert!(only(kind, &image, &mut kernel).message.contains("of /x, which had no size yet: "));
    // It was given one by write(2), which leaves no record.
    let mut image = alone();
    image.add(made(b"/x", 7));
    image.add(mapped(&[0, 0x20, 0, 0, 0, 0, 0, 0]));
    none(kind, &image, &mut kernel);
    // Without a record of its size nothing is known.
    let mut image = alone();
    image.add(made(b"/x", 7));
    image.add(mmap(7, 0x20000, 8192));
    none(kind, &image, &mut kernel);
    // Room that cannot be touched.
    image.add(Event { args: &[0, 8192, 0, 1, 3, 0], ..mapped(&[0; 8]) });
    none(kind, &image, &mut kernel);
    // The size of what others made is what they make it: only the kernel knows.
    let mut image = alone();
    image.add(opened(b"/x", 7, 0, 2, Opening { mode: 0o600, owner: 0, size: 1 }));
    image.add(mmap(7, 0x20000, 8192));
    none(kind, &image, &mut kernel);
    kernel.file("x", 7, 1);
    only(kind, &image, &mut kernel);
}

#[test]
fn shrunk_below_a_mapping() {
    let kind = Kind::MapBeyondEnd;
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.process(101, Some(0), END_EXIT);
    image.add(made(b"/x", 7));
    image.add(ftruncate(7, 0x4000));
    image.add(Event { process: 1, pid: 101, ..mmap(7, 0x20000, 0x4000) });
    image.add(ftruncate(7, 100));
    let draft = only(kind, &image, &mut kernel);
    let message = "ftruncate in prog[100] cut /x to 100 bytes under a mapping of 16384 bytes in prog[101]: what is mapped beyond \
                   the end faults (SIGBUS).";
    assert_eq!((draft.message.as_str(), draft.bytes), (message, 0x3000));
    assert_eq!((draft.event.unwrap().call, related(&draft)[0]), (Call::Ftruncate, ("mapped", Call::Mmap)));
    // Emptied and filled again.
    image.add(ftruncate(7, 0x4000));
    none(kind, &image, &mut kernel);
    // The mapping's owner ended before.
    image.set(1, ENDED, BEGAN + 1);
    image.add(ftruncate(7, 0));
    none(kind, &image, &mut kernel);
}

#[test]
fn another_size_than_expected() {
    let kind = Kind::SizeMismatch;
    let (mut image, mut kernel) = (alone(), Tables::new());
    let ask = |size: u64| Event { args: args([0x11, size, 0]), ..failed(Call::Shmget, 22) };
    image.add(ask(8192));
    none(kind, &image, &mut kernel);
    kernel.segment(Segment { cpid: 55, size: 4096, ..segment() });
    kernel.programs.insert(55, b"post\ngres".into());
    let draft = only(kind, &image, &mut kernel);
    let message = "shmget of 8192 bytes failed in prog[100]: segment 0x00000011 (shmid 3), made by process 55 (post\\ngres), has \
                   4096 bytes.";
    assert_eq!((draft.message.as_str(), draft.bytes, draft.object), (message, 8192, None));
    // One that the tree knows, and by which the call can be explained.
    let mut image = alone();
    image.add(got(3));
    image.add(ask(4225));
    image.add(ask(1 << 20));
    let draft = only(kind, &image, &mut kernel);
    assert!(
        draft.message.ends_with("segment 0x00000011 (shmid 3), made by prog[100], has 4225 bytes."),
        "{}",
        draft.message
    );
    assert_eq!(related(&draft), [("created", Call::Shmget)]);
    // Removed, the key is free.
    let mut image = alone();
    image.add(got(3));
    image.add(removed(3));
    image.add(ask(8192));
    none(kind, &image, &mut Tables::new());
    // The size of 0 that fstat told.
    let map = Event { args: &[0, 0, 3, 1, 3, 0], object: posix(7), data: &[0; 8], ..failed(Call::Mmap, 22) };
    let mut image = alone();
    image.add(opened(b"/x", 7, 0, 2, Opening { mode: 0o600, owner: 1000, size: 0 }));
    image.add(map);
    let message = "mmap of 0 bytes failed in prog[100]: /x, made by somebody of user 1000, outside of this audit, had no size yet.";
    assert_eq!(only(kind, &image, &mut kernel).message, message);
    let mut image = alone();
    image.add(made(b"/x", 7));
    image.add(ftruncate(7, 1));
    image.add(Event { data: b"", ..map });
    none(kind, &image, &mut kernel);
}

#[test]
fn created_without_exclusion() {
    let kind = Kind::NoExclusiveCreate;
    let (mut image, mut kernel) = (alone(), Tables::new());
    let found = Opening { mode: 0o666, owner: 1000, size: 99 };
    image.add(opened(b"/x", 7, 0, 2, found));
    image.add(opened(b"/x", 7, 0, 0o302, found));
    none(kind, &image, &mut kernel);
    image.add(opened(b"/x", 7, 0, 0o102, found));
    image.add(opened(b"/x", 7, 0, 0o102, found));
    let draft = only(kind, &image, &mut kernel);
    let message = "shm_open in prog[100] with O_CREAT but without O_EXCL met /x 2 times, which was there before, made by somebody \
                   of user 1000, outside of this audit.";
    assert_eq!((draft.message.as_str(), draft.severity, draft.bytes), (message, Severity::Note, 99));
    // Its maker's record comes later, as when two run at once.
    image.add(opened(b"/x", 7, FLAG_CREATED, 0o302, found));
    none(kind, &image, &mut kernel);
    // A segment of somebody else's, and one that the kernel says is ours.
    let mut image = alone();
    image.add(Event { flags: FLAG_MAYBE_CREATED, ..got(3) });
    kernel.segment(Segment { cpid: 55, ..segment() });
    assert!(only(kind, &image, &mut kernel).message.ends_with("made by process 55, which has ended."));
    kernel.segments = Some(std::vec![segment()]);
    none(kind, &image, &mut kernel);
}

#[test]
fn open_to_everybody() {
    let kind = Kind::WorldAccessible;
    let (mut image, mut kernel) = (alone(), Tables::new());
    let born = |mode: u32| Opening { mode, owner: 0, size: 0 };
    let names = [&b"/x-1"[..], b"/x-22", b"/y"];
    for (name, ino) in names.into_iter().zip(7..) {
        image.add(opened(name, ino, FLAG_CREATED, 0o302, born(0o644)));
        image.add(ftruncate(ino, 100));
    }
    image.add(opened(b"/z", 10, FLAG_CREATED, 0o302, born(0o660)));
    image.add(opened(b"/z", 11, 0, 2, born(0o666)));
    let all = of(kind, &image, &mut kernel, LAST);
    let told: Vec<_> = all.iter().map(|draft| (draft.message.as_str(), draft.count, draft.bytes)).collect();
    assert_eq!(
        told,
        [
            ("prog[100] made /x-1 and 1 more with mode 0644: every user of the machine may read them.", 2, 200),
            ("prog[100] made /y with mode 0644: every user of the machine may read it.", 1, 100),
        ]
    );
    let mut image = alone();
    image.add(Event { args: &[0x11, 4225, 0o1602], ..got(3) });
    assert!(
        only(kind, &image, &mut kernel).message.ends_with("with mode 0602: every user of the machine may change it.")
    );
    let mut image = alone();
    image.add(Event {
        call: Call::MemfdCreate,
        object: ObjectId { family: Family::Memfd, ..posix(7) },
        ..made(b"m", 7)
    });
    none(kind, &image, &mut kernel);
}

#[test]
fn names_that_others_may_refuse() {
    let kind = Kind::NonportableName;
    let (mut image, mut kernel) = (alone(), Tables::new());
    for name in [&b"/x"[..], b"/..", b"", b"/x.y-z"] {
        image.add(Event { data: name, ..MISSING });
    }
    none(kind, &image, &mut kernel);
    image.add(made(b"x\x1b1", 7));
    image.add(unlink(b"x\x1b2"));
    image.add(Event { data: b"/a/b", errno: 22, ..MISSING });
    let all = of(kind, &image, &mut kernel, LAST);
    let told: Vec<_> = all.iter().map(|draft| (draft.message.as_str(), draft.object.is_some())).collect();
    let left = "what it means is left to each system.";
    let first =
        format!("the name \"x\\0331\" of shm_open in prog[100] has no slash at its beginning (2 calls): {left}");
    let second =
        format!("the name \"/a/b\" of shm_open in prog[100] has more slashes than the one at its beginning: {left}");
    assert_eq!(told, [(first.as_str(), true), (second.as_str(), false)]);
    let long = [b'x'; 300];
    assert!(say::quoted(&long).ends_with("xxx...\"") && say::quoted(&long).len() < 100);
}

#[test]
fn keys_of_failed_ftok() {
    let kind = Kind::FtokFailedKey;
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.process(101, Some(0), END_EXIT);
    image.process(102, None, END_EXIT);
    let by = |slot: u32, event: Event<'static>| Event { process: slot, pid: 100 + slot, ..event };
    let key = Event { args: &[0xffff_ffff, 4225, 0o1600], frames: &[0x23], ..got(3) };
    image.add(by(0, key));
    image.add(by(2, Event { data: b"no\nfile", args: &[65], ..failed(Call::Ftok, 2) }));
    image.add(by(0, key));
    assert!(of(kind, &image, &mut kernel, None).is_empty(), "another process's ftok");
    image.add(by(0, Event { data: b"no\nfile", args: &[65], ..failed(Call::Ftok, 2) }));
    image.add(by(1, key));
    let all = of(kind, &image, &mut kernel, None);
    let message = "shmget in prog[101] took for a key the -1 that ftok(\"no\\nfile\", 65) had returned when it failed with ENOENT: \
                   it means one and the same segment to every program that does so.";
    assert_eq!((all.len(), all[0].message.as_str(), all[0].severity), (1, message, Severity::Warning));
    assert_eq!(related(&all[0]), [("key", Call::Ftok)]);
    // Checked, and done without.
    let mut image = alone();
    image.add(Event { data: b"f", args: &[65], ..failed(Call::Ftok, 2) });
    image.add(got(3));
    none(kind, &image, &mut kernel);
    image.add(Event { data: b"f", args: &[0x4100], ret: 17, ..event(Call::Ftok) });
    let draft = only(kind, &image, &mut kernel);
    let message =
        "ftok(\"f\", 16640) in prog[100] has an id whose lower eight bits are 0, for which POSIX leaves the key open.";
    assert_eq!((draft.message.as_str(), draft.severity), (message, Severity::Note));
}

#[test]
fn gone_without_a_removal() {
    let kind = Kind::Vanished;
    let (mut image, mut kernel) = (alone(), Tables::new());
    kernel.space = Some(Space { dev: 9, ..Space::default() });
    image.add(made(b"/x", 7));
    image.add(ftruncate(7, 4193));
    image.add(got(3));
    kernel.file("x", 7, 4193);
    kernel.segment(segment());
    none(kind, &image, &mut kernel);
    kernel.segments = Some(Vec::new());
    let message = "System V segment 0x00000011 (shmid 3), made by prog[100], disappeared: no process of this audit removed it, somebody \
                   else did.";
    assert_eq!(only(kind, &image, &mut kernel).message, message);
    kernel.settings.insert(Setting::ShmRmidForced, 1);
    assert!(only(kind, &image, &mut kernel).message.contains("the kernel did, as kernel.shm_rmid_forced is 1"));
    image.add(removed(3));
    kernel.file("x", 8, 4193);
    image.add(MISSING);
    let draft = only(kind, &image, &mut kernel);
    let message = "POSIX object /x, made by prog[100], disappeared before shm_open looked for it: no process of this audit removed it, \
                   somebody else did.";
    assert_eq!((draft.message.as_str(), draft.bytes), (message, 4193));
    assert_eq!((draft.event.unwrap().call, related(&draft)), (Call::ShmOpen, std::vec![("missed", Call::ShmOpen)]));
    // Another mount is there now, or none can be seen; the kernel cannot be asked; it was asked later.
    kernel.space = Some(Space { dev: 10, ..Space::default() });
    none(kind, &image, &mut kernel);
    kernel.space = None;
    none(kind, &image, &mut kernel);
    kernel.space = Some(Space { dev: 9, ..Space::default() });
    kernel.no_mount = true;
    none(kind, &image, &mut kernel);
    kernel.no_mount = false;
    let ledger = Ledger::replay(&image.sources(), |_, _, _| {});
    let world = World::new(&ledger, &mut kernel, LAST, BEGAN_SECONDS).asked_later();
    assert!(Rules::default().find(&mut { world }).iter().all(|draft| draft.kind != kind));
    // Programs that it started may have: they have audits of their own. To who sees the whole session they are known.
    kernel.had_children = true;
    none(kind, &image, &mut kernel);
    assert_eq!(of(kind, &image, &mut kernel, None).len(), 1);
    kernel.had_children = false;
    image.add(event(Call::PosixSpawn));
    none(kind, &image, &mut kernel);
    assert_eq!(of(kind, &image, &mut kernel, None).len(), 1);
    image.add(unlink(b"/x"));
    assert!(of(kind, &image, &mut kernel, None).is_empty());
}

#[test]
fn a_removal_that_came_before_its_makers_record() {
    let kind = Kind::Vanished;
    let (mut image, mut kernel) = (alone(), Tables::new());
    kernel.space = Some(Space { dev: 9, ..Space::default() });
    image.add(unlink(b"/x"));
    image.add(removed(3));
    image.add(made(b"/x", 7));
    image.add(got(3));
    none(kind, &image, &mut kernel);
    image.add(made(b"/dir/x", 8));
    image.add(Event { call: Call::Open, data: b"/dev/shm/y", ..made(b"", 9) });
    none(kind, &image, &mut kernel);
    image.add(Event {
        call: Call::ShmUnlink,
        state: crate::record::State::Begun,
        data: b"/z",
        ..event(Call::ShmUnlink)
    });
    // A removal whose end is not known may have been one.
    image.add(made(b"/z", 10));
    none(kind, &image, &mut kernel);
}

#[test]
fn places_beyond_the_most_are_counted_with_the_last() {
    let mut sites = sites::Sites::default();
    for key in 0..5000u64 {
        *sites.at(key, || 0u32).unwrap() += 1;
    }
    assert_eq!((sites.iter().count(), sites.iter().sum::<u32>()), (4096, 5000));
    assert_eq!((sites.get(0), sites.get(4999)), (Some(&1), None));
}
