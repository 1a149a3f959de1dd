//! Each kind where it must be found and where it must not.

use std::string::String;
use std::vec::Vec;

use super::*;
use crate::calls::Call;
use crate::kernel::{FdFacts, Kernel, Segment, Setting};
use crate::layout::process::{END_EXEC, END_EXIT, END_SIGNAL, END_UNKNOWN, ENDED, STATE, STATE_ENDED};
use crate::procfs::SHM_DEST;
use crate::record::{FLAG_CREATED, FLAG_MAYBE_CREATED, Family, ObjectId};
use crate::testing::{BEGAN, Image, Tables, event, for_ever};

mod drafts;
mod held;
mod limits;
mod mistakes;
mod outside;
mod overwritten;
mod pages;
mod spaces;

const BEGAN_SECONDS: u64 = BEGAN / 1_000_000_000;
const LAST: Option<Concluding> = Some(Concluding { slot: 0, pid: 100, exiting: true });

fn posix(ino: u64) -> ObjectId {
    ObjectId { family: Family::Posix, dev: 9, ino }
}

fn made(name: &'static [u8], ino: u64) -> Event<'static> {
    let event = event(Call::ShmOpen);
    Event {
        flags: FLAG_CREATED,
        ret: 3,
        data: name,
        args: &[0o102, 0o600],
        object: posix(ino),
        frames: &[0x11],
        ..event
    }
}

fn got(shmid: i32) -> Event<'static> {
    let object = ObjectId::sysv(shmid);
    Event {
        flags: FLAG_CREATED,
        ret: i64::from(shmid),
        args: &[0x11, 4225, 0o1600],
        object,
        frames: &[0x22],
        ..event(Call::Shmget)
    }
}

fn removed(shmid: i32) -> Event<'static> {
    Event { args: &[3, 0, 0], object: ObjectId::sysv(shmid), ..event(Call::Shmctl) }
}

fn attached(at: u64) -> Event<'static> {
    Event { ret: at as i64, object: ObjectId::sysv(3), frames: &[0x33], ..event(Call::Shmat) }
}

fn segment() -> Segment {
    Segment { key: 0x11, shmid: 3, perms: 0o600, size: 4225, cpid: 100, ctime: BEGAN_SECONDS, ..Segment::default() }
}

fn doomed(nattch: u64) -> Segment {
    Segment { key: 0, perms: 0o600 | SHM_DEST, nattch, ..segment() }
}

fn found_by(image: &Image, kernel: &mut dyn Kernel, me: Option<Concluding>) -> Vec<Draft> {
    let mut rules = Rules::default();
    let ledger = Ledger::replay(&image.sources(), |ledger, event, object| rules.before(ledger, event, object));
    let mut world = World::new(&ledger, kernel, me, BEGAN_SECONDS);
    rules.find(&mut world)
}

/// Kinds of which this file tells; the others have tests of their own.
const HELD_OR_LEFT: [Kind; 7] = [
    Kind::PosixLeak,
    Kind::SysvLeak,
    Kind::SysvPendingDestroy,
    Kind::FdAtExit,
    Kind::MappingAtExit,
    Kind::AttachAtExit,
    Kind::BadDetach,
];

/// (kind, severity, count, bytes, message) of each.
fn told(
    image: &Image,
    kernel: &mut dyn Kernel,
    me: Option<Concluding>,
) -> Vec<(&'static str, &'static str, u64, u64, String)> {
    let short = |draft: Draft| (draft.kind.name(), draft.severity.name(), draft.count, draft.bytes, draft.message);
    let mut found = found_by(image, kernel, me);
    found.retain(|draft| HELD_OR_LEFT.contains(&draft.kind));
    found.into_iter().map(short).collect()
}

fn one(
    image: &Image,
    kernel: &mut dyn Kernel,
    me: Option<Concluding>,
) -> (&'static str, &'static str, u64, u64, String) {
    let mut all = told(image, kernel, me);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn alone() -> Image {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image
}

#[test]
fn kinds_are_told_by_name() {
    for &kind in KINDS {
        assert_eq!(Kind::from_name(kind.name().as_bytes()), Some(kind));
        assert!(kind.why().ends_with('.') && kind.hint().ends_with('.'));
    }
}

#[test]
fn what_the_kernel_removes_with_its_maker_is_no_leak() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(3));
    kernel.segment(segment());
    assert_eq!(one(&image, &mut kernel, LAST).0, "sysv-leak");
    kernel.settings.insert(Setting::ShmRmidForced, 1);
    assert!(told(&image, &mut kernel, LAST).is_empty());
}

#[test]
fn a_posix_leak() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/shmtest", 7));
    image.add(Event { args: &[3], object: posix(7), ..event(Call::Close) });
    assert!(told(&image, &mut kernel, LAST).is_empty(), "it is not there");
    kernel.file("shmtest", 8, 100);
    assert!(told(&image, &mut kernel, LAST).is_empty(), "that is another");
    kernel.file("shmtest", 7, 4193);
    let message = "POSIX object /shmtest of 4193 bytes, made by prog[100], was never unlinked.";
    assert_eq!(one(&image, &mut kernel, LAST), ("posix-leak", "error", 1, 4193, message.into()));
    let draft = found_by(&image, &mut kernel, LAST).remove(0);
    assert_eq!(draft.hint.command.as_deref(), Some("rm -f /dev/shm/shmtest"));
    assert_eq!(draft.event.unwrap().call, Call::ShmOpen);
    image.set(0, crate::layout::process::END, END_UNKNOWN);
    image.set(0, ENDED, 0);
    let message = "POSIX object /shmtest of 4193 bytes, made by prog[100] (ended without exit), was never unlinked.";
    assert_eq!(one(&image, &mut kernel, None).4, message);
    // A supervisor knows how its children have ended.
    image.set(0, crate::layout::process::END, END_SIGNAL | 6 << 8);
    let message = "POSIX object /shmtest of 4193 bytes, made by prog[100] (killed by SIGABRT), was never unlinked.";
    assert_eq!(one(&image, &mut kernel, LAST).4, message);
    image.set(0, crate::layout::process::END, END_EXIT);
    image.add(Event { data: b"/shmtest", ..event(Call::ShmUnlink) });
    assert!(told(&image, &mut kernel, LAST).is_empty());
}

#[test]
fn what_others_made_is_no_leak_of_ours() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(Event { flags: 0, ..made(b"/x", 7) });
    image.add(Event { args: &[3], object: posix(7), ..event(Call::Close) });
    image.add(Event { flags: FLAG_MAYBE_CREATED, ..got(3) });
    kernel.file("x", 7, 1);
    kernel.segment(Segment { cpid: 55, ..segment() });
    assert!(told(&image, &mut kernel, LAST).is_empty());
    // The same pid, but before we began.
    kernel.segments = Some(std::vec![Segment { ctime: BEGAN_SECONDS - 10, ..segment() }]);
    assert!(told(&image, &mut kernel, LAST).is_empty());
    kernel.segments = Some(std::vec![segment()]);
    assert_eq!(one(&image, &mut kernel, LAST).0, "sysv-leak");
}

#[test]
fn a_sysv_leak() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(3));
    assert!(told(&image, &mut kernel, LAST).is_empty(), "it is not there");
    kernel.segment(Segment { cpid: 55, ..segment() });
    assert!(told(&image, &mut kernel, LAST).is_empty(), "that is another");
    kernel.segments = Some(std::vec![Segment { nattch: 2, ..segment() }]);
    let message = "System V segment 0x00000011 (shmid 3) of 4225 bytes, made by prog[100], was never removed, and has 2 attachments.";
    assert_eq!(one(&image, &mut kernel, LAST), ("sysv-leak", "error", 1, 4225, message.into()));
    assert_eq!(found_by(&image, &mut kernel, LAST)[0].hint.command.as_deref(), Some("ipcrm -m 3"));
    image.add(removed(3));
    assert!(told(&image, &mut kernel, LAST).is_empty(), "removed, and the shmid was given again");
}

#[test]
fn without_the_kernel_it_is_not_confirmed() {
    let (mut image, mut kernel) = (alone(), Tables { no_mount: true, ..Tables::default() });
    image.add(made(b"/a b", 7));
    image.add(Event { args: &[3, 77], object: posix(7), ..event(Call::Ftruncate) });
    image.add(Event { args: &[3], object: posix(7), ..event(Call::Close) });
    image.add(got(3));
    let all = told(&image, &mut kernel, LAST);
    let messages: Vec<&str> = all.iter().map(|(.., message)| message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "System V segment 0x00000011 (shmid 3) of 4225 bytes, made by prog[100], was never removed (not confirmed: /proc/sysvipc/shm could not be read).",
            "POSIX object /a b of 77 bytes, made by prog[100], was never unlinked (not confirmed: /dev/shm could not be read).",
        ]
    );
    image.add(Event { data: b"/a b", ..event(Call::ShmUnlink) });
    image.add(removed(3));
    assert!(told(&image, &mut kernel, LAST).is_empty());
}

#[test]
fn the_living_have_time() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    let child = image.process(101, Some(0), END_UNKNOWN);
    image.add(made(b"/x", 7));
    image.add(Event { args: &[3], object: posix(7), ..event(Call::Close) });
    let mut kernel = Tables::new();
    kernel.file("x", 7, 1);
    kernel.alive.insert(101);
    assert!(told(&image, &mut kernel, LAST).is_empty(), "the child may remove it");
    let as_child = Some(Concluding { slot: 1, pid: 101, exiting: true });
    kernel.alive.insert(100);
    assert_eq!(one(&image, &mut kernel, as_child).0, "posix-leak", "the parent came to its end before");
    kernel.alive.clear();
    assert_eq!(one(&image, &mut kernel, LAST).0, "posix-leak");
    kernel.alive.insert(101);
    image.set(child, STATE, STATE_ENDED);
    assert_eq!(one(&image, &mut kernel, LAST).0, "posix-leak", "it has spoken");
    image.set(child, STATE, 2);
    image.set(child, crate::layout::process::END, END_EXEC);
    assert_eq!(one(&image, &mut kernel, LAST).0, "posix-leak", "another program now, with an audit of its own");
}

#[test]
fn of_two_that_end_at_once_one_settles() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.process(101, Some(0), END_EXIT);
    image.add(made(b"/x", 7));
    image.add(Event { args: &[3], object: posix(7), ..event(Call::Close) });
    let mut kernel = Tables::new();
    kernel.file("x", 7, 1);
    kernel.alive.extend([100, 101]);
    for (first, second) in [(1, 2), (2, 1), (5, 5)] {
        image.set(0, ENDED, first);
        image.set(1, ENDED, second);
        let as_child = Some(Concluding { slot: 1, pid: 101, exiting: true });
        let both = told(&image, &mut kernel, LAST).len() + told(&image, &mut kernel, as_child).len();
        assert_eq!(both, 1, "{first} {second}");
    }
}

#[test]
fn the_supervisor_waits_only_for_relatives() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.process(101, Some(0), END_EXIT);
    image.process(102, Some(0), END_UNKNOWN);
    image.process(103, Some(2), END_EXIT);
    let mut kernel = Tables::new();
    let by = |pid: u32, event: Event<'static>| Event { process: (pid - 100), pid, ..event };
    for (pid, name, ino) in
        [(100, &b"/parent"[..], 1), (101, b"/sibling", 2), (102, b"/own", 3), (103, b"/child", 4), (101, b"/held", 5)]
    {
        image.add(by(pid, made(name, ino)));
        image.add(by(pid, Event { args: &[3], object: posix(ino), ..event(Call::Close) }));
        kernel.file(std::str::from_utf8(&name[1..]).unwrap(), ino, 1);
    }
    image.add(by(102, Event { ret: 0x7000, args: &[0, 4096, 3, 1, 3, 0], object: posix(5), ..event(Call::Mmap) }));
    kernel.alive.insert(102);
    assert!(one(&image, &mut kernel, None).4.contains("/sibling"));
    kernel.alive.clear();
    assert_eq!(told(&image, &mut kernel, None).len(), 5);
}

#[test]
fn removed_but_kept() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(3));
    image.add(attached(0x7000));
    image.add(removed(3));
    kernel.attachment(100, 0x7000, 0x9000, 0x11, 3);
    kernel.segment(doomed(1));
    assert_eq!(one(&image, &mut kernel, LAST).0, "attach-at-exit", "its own attachment goes with it");
    image.add(Event { args: &[0x7000], ..event(Call::Shmdt) });
    kernel.maps.clear();
    kernel.segments = Some(std::vec![Segment { lpid: 77, ..doomed(1) }]);
    let message = "System V segment 0x00000011 (shmid 3) of 4225 bytes is marked for removal, but 1 attachment by a process that \
                   could not be found (process 77 attached or detached last) keeps it.";
    assert_eq!(one(&image, &mut kernel, LAST), ("sysv-pending-destroy", "warning", 1, 4225, message.into()));
    kernel.attachment(77, 0x7000, 0x9000, 0x11, 3);
    assert!(one(&image, &mut kernel, LAST).4.contains("by process 77, which this audit does not cover, keeps it."));
    kernel.programs.insert(77, b"post\ngres".to_vec());
    let holder = "1 attachment by process 77 (post\\ngres), which this audit does not cover, keeps it.";
    assert!(one(&image, &mut kernel, LAST).4.contains(holder));
    image.process(101, Some(0), END_UNKNOWN);
    kernel.attachment(101, 0x7000, 0x9000, 0x11, 3);
    kernel.alive.insert(101);
    assert!(told(&image, &mut kernel, LAST).is_empty(), "a living relative settles");
    assert!(one(&image, &mut kernel, None).4.contains("1 attachment by prog[101], which still runs, keeps it."));
}

fn bad(at: u64) -> Event<'static> {
    Event { args: for_ever([at]), errno: 22, ret: -1, frames: &[0x55], ..event(Call::Shmdt) }
}

#[test]
fn detached_twice() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(3));
    image.add(attached(0x7000));
    image.add(Event { args: &[0x7000], frames: &[0x44], ..event(Call::Shmdt) });
    image.add(bad(0x7000));
    image.add(bad(0x7000));
    image.add(removed(3));
    let message = "shmdt(0x7000) failed 2 times in prog[100]: segment 0x00000011 (shmid 3) had been attached there, and shmdt had \
                   detached it already.";
    assert_eq!(one(&image, &mut kernel, LAST), ("bad-detach", "warning", 2, 0, message.into()));
    let draft = found_by(&image, &mut kernel, LAST).remove(0);
    let related: Vec<_> = draft.related.iter().map(|(what, moment)| (*what, moment.call)).collect();
    assert_eq!(related, [("detached", Call::Shmdt), ("attached", Call::Shmat)]);
    assert!(draft.object.is_some());
}

#[test]
fn detached_elsewhere() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(3));
    image.add(bad(8));
    assert!(one(&image, &mut kernel, LAST).4.ends_with("nothing is known to have been attached there."));
    image.add(attached(0x7000));
    image.add(bad(0x8000));
    image.add(Event { args: &[0x7000, 0x2000], ..event(Call::Munmap) });
    image.add(bad(0x7000));
    image.add(Event { ret: 0x20000, args: &[0, 4096, 3, 1, 3, 0], object: posix(7), ..event(Call::Mmap) });
    image.add(bad(0x20000));
    image.add(Event { args: &[0x20000, 4096], ..event(Call::Munmap) });
    image.add(removed(3));
    let all = told(&image, &mut kernel, LAST);
    let ends: Vec<&str> = all.iter().map(|(.., message)| message.split(": ").nth(1).unwrap()).collect();
    assert_eq!(
        ends,
        [
            "nothing is known to have been attached there.",
            "it is 4096 bytes into the attachment of segment 0x00000011 (shmid 3), which only its first address, 0x7000, detaches.",
            "segment 0x00000011 (shmid 3) had been attached there, and munmap had detached it already.",
            "what is mapped there is the object of inode 7, which munmap undoes.",
        ]
    );
}

#[test]
fn everything_is_said_once() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.process(101, Some(0), END_EXIT);
    image.process(102, Some(0), END_EXIT);
    image.add(bad(8));
    image.add(Event { process: 1, pid: 101, ..bad(9) });
    image.set(1, STATE, STATE_ENDED);
    let mut kernel = Tables::new();
    kernel.alive.insert(102);
    image.set(2, crate::layout::process::END, END_UNKNOWN);
    assert!(one(&image, &mut kernel, LAST).4.starts_with("shmdt(0x8)"), "the first speaks for itself");
    image.set(0, STATE, STATE_ENDED);
    let last = Some(Concluding { slot: 2, pid: 102, exiting: true });
    assert!(one(&image, &mut kernel, last).4.starts_with("shmdt(0x9)"), "the last for the others");
    assert_eq!(told(&image, &mut kernel, None).len(), 2, "the supervisor for all");
}
