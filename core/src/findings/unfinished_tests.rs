//! Makers that were killed in the call.

use super::*;
use crate::calls::Call;
use crate::layout::process::END_UNKNOWN;
use crate::procfs::Segment;
use crate::record::{FLAG_CREATED, FLAG_LATE, Family, LateEnd, ObjectId, State};
use crate::report::{Settings, conclude};
use crate::testing::{BEGAN, Image, Invented, Tables, event};

const SECOND: u64 = BEGAN / 1_000_000_000;

fn begun_segment(pid: u32, size: &'static [u64; 3]) -> Event<'static> {
    let object = ObjectId { family: Family::Sysv, ..ObjectId::NONE };
    let frames = &[0x2005, 0x10];
    Event { state: State::Begun, flags: FLAG_LATE, pid, args: size, object, frames, ..event(Call::Shmget) }
}

fn begun_file(name: &'static [u8]) -> Event<'static> {
    let object = ObjectId { family: Family::Posix, ..ObjectId::NONE };
    let args = &[0o102, 0o640, 0, 0];
    Event { state: State::Begun, flags: FLAG_LATE, data: name, args, object, frames: &[0x10], ..event(Call::ShmOpen) }
}

fn segment(shmid: i32, cpid: u32, size: u64, ctime: u64) -> Segment {
    Segment { shmid, cpid, size, ctime, key: 0x11, perms: 0o600, ..Segment::default() }
}

/// Kind, shmid or name, and the function that made it, of each finding.
fn found(image: &Image, kernel: &mut Tables) -> Vec<(String, String, String)> {
    let report = conclude(&image.sources(), kernel, &mut Invented, &Settings::default());
    let one = |finding: &crate::report::Finding| {
        let object = finding.object.as_ref().unwrap();
        let what =
            object.shmid.map_or_else(|| object.name.as_ref().unwrap().escaped(), |shmid| std::format!("{shmid}"));
        let frames = finding.event.as_ref().unwrap().stack.frames();
        (finding.kind.into(), what, frames[0].function.clone().unwrap_or_default())
    };
    report.findings.iter().map(one).collect()
}

#[test]
fn a_segment_whose_maker_was_killed_in_the_call() {
    let mut image = Image::new();
    image.process(100, None, END_UNKNOWN);
    image.add(begun_segment(100, &[0x11, 600, 0o1600]));
    let mut kernel = Tables::new();
    assert!(found(&image, &mut kernel).is_empty(), "nothing is there");
    // Another's, another size, older than the call: none of them is what it made.
    kernel.segment(segment(4, 101, 600, SECOND));
    kernel.segment(segment(5, 100, 601, SECOND));
    kernel.segment(segment(6, 100, 600, SECOND - 5));
    assert!(found(&image, &mut kernel).is_empty());
    kernel.segment(segment(7, 100, 600, SECOND + 1));
    kernel.segment(segment(8, 100, 600, SECOND + 1));
    let of_one = found(&image, &mut kernel);
    assert_eq!(of_one, [("sysv-leak".into(), "7".into(), "f20".into())], "one call made one segment");
}

#[test]
fn a_file_whose_maker_was_killed_in_the_call() {
    let mut image = Image::new();
    image.process(100, None, END_UNKNOWN);
    image.add(begun_file(b"/half"));
    let mut kernel = Tables::new();
    kernel.file("half", 7, 0);
    assert!(found(&image, &mut kernel).is_empty(), "it is older than the call");
    kernel.files.get_mut(&b"half"[..]).unwrap().born = BEGAN + 1_000;
    assert_eq!(found(&image, &mut kernel), [("posix-leak".into(), "/half".into(), "main".into())]);
    // Whom the records know as another's is another's.
    let object = ObjectId { family: Family::Posix, dev: 9, ino: 7 };
    let (data, frames, args) = (&b"/half"[..], &[0x2005][..], &[0o102, 0o600][..]);
    image.add(Event { flags: FLAG_CREATED, ret: 3, data, frames, object, args, ..event(Call::ShmOpen) });
    assert_eq!(found(&image, &mut kernel), [("posix-leak".into(), "/half".into(), "f20".into())]);
}

#[test]
fn a_late_record_says_at_its_end_what_it_made() {
    let mut image = Image::new();
    image.process(100, None, END_UNKNOWN);
    let order = image.add(begun_file(b"/whole"));
    let between = image.add(Event { data: b"/whole", ..event(Call::ShmUnlink) });
    let object = ObjectId { family: Family::Posix, dev: 9, ino: 8 };
    let end = LateEnd {
        ticks: BEGAN + 9000,
        took: 7,
        errno: 0,
        ret: 3,
        order: between + 9,
        object,
        made: FLAG_CREATED,
        opening: [0o600, 0],
    };
    image.end_late(order, Call::ShmOpen, 4, &end);
    let mut seen = Vec::new();
    image.sources().events(|event| seen.push((event.call, event.flags, event.object, event.ticks, event.ret)));
    let mut openings = Vec::new();
    image.sources().events(|event| openings.push(crate::record::Opening::of(event)));
    assert_eq!(openings[1], Some(crate::record::Opening { mode: 0o600, owner: 0, size: 0 }));
    let flags = FLAG_LATE | FLAG_CREATED;
    // It took effect after the removal of the one before.
    assert_eq!(seen[1], (Call::ShmOpen, flags, object, BEGAN + 9000, 3));
    let mut kernel = Tables::new();
    kernel.file("whole", 8, 10);
    assert_eq!(found(&image, &mut kernel), [("posix-leak".into(), "/whole".into(), "main".into())]);
}

#[test]
fn an_end_that_is_not_whole_is_none() {
    for word in [1, 2, 4, 5, 9, 10, 11, 12] {
        let mut image = Image::new();
        image.process(100, None, END_UNKNOWN);
        let order = image.add(begun_file(b"/torn"));
        let object = ObjectId { family: Family::Posix, dev: 9, ino: 8 };
        let end =
            LateEnd { ticks: BEGAN, took: 7, errno: 0, ret: 3, order, object, made: FLAG_CREATED, opening: [0o600, 0] };
        image.end_late(order, Call::ShmOpen, 4, &end);
        image.damage(order, word);
        let mut seen = Vec::new();
        image.sources().events(|event| seen.push((event.state, event.object)));
        assert_eq!(seen, [(State::Begun, ObjectId::NONE)], "word {word}");
    }
}

#[test]
fn a_rename_whose_maker_was_killed_before_it_was_noted() {
    let mut image = Image::new();
    image.process(100, None, END_UNKNOWN);
    let object = ObjectId { family: Family::Posix, dev: 9, ino: 7 };
    let args = &[0o102, 0o600];
    image.add(Event { flags: FLAG_CREATED, data: b"/a", args, object, frames: &[0x10], ..event(Call::ShmOpen) });
    let mut kernel = Tables::new();
    kernel.file("b", 7, 55);
    let leaks = found(&image, &mut kernel);
    assert!(leaks.iter().any(|(kind, name, _)| kind == "posix-leak" && name == "/b"), "{leaks:?}");
    assert!(leaks.iter().all(|(kind, ..)| kind != "vanished"), "{leaks:?}");
}
