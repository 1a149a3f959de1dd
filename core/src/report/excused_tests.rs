//! What the program has told its audit: to ignore, while paused, since when.

use std::string::String;
use std::vec::Vec;

use super::*;
use crate::calls::Call;
use crate::layout::Sizes;
use crate::layout::process::{END_EXIT, END_UNKNOWN};
use crate::procfs::Segment;
use crate::record::{Event as Recorded, FLAG_CREATED, FLAG_PAUSED, Family, ObjectId};
use crate::testing::{Image, Invented, Tables, event};

fn file(name: &'static [u8], ino: u64) -> Recorded<'static> {
    let object = ObjectId { family: Family::Posix, dev: 9, ino };
    Recorded { flags: FLAG_CREATED, ret: 3, data: name, args: &[0o102, 0o600], object, ..event(Call::ShmOpen) }
}

fn segment() -> Recorded<'static> {
    let object = ObjectId::sysv(5);
    Recorded { flags: FLAG_CREATED, ret: 5, args: &[0, 100, 0o600], object, ..event(Call::Shmget) }
}

fn ignore(name: &'static [u8]) -> Recorded<'static> {
    Recorded { data: name, ..event(Call::IgnoreName) }
}

fn ignore_id() -> Recorded<'static> {
    Recorded { args: &[5], ..event(Call::IgnoreId) }
}

fn there(names: &[(&str, u64)]) -> Tables {
    let mut kernel = Tables::new();
    for &(name, ino) in names {
        kernel.file(name, ino, 10);
    }
    kernel.segment(Segment { shmid: 5, key: 0, size: 100, perms: 0o600, cpid: 100, ..Segment::default() });
    kernel
}

fn tell(image: &Image, kernel: &mut Tables, settings: &Settings) -> (Vec<String>, Vec<(String, u64)>) {
    let report = conclude(&image.sources(), kernel, &mut Invented, settings);
    let leaks = report.findings.iter().filter(|finding| finding.kind.ends_with("-leak"));
    let leaks = leaks.map(|finding| finding.object.clone().unwrap());
    let leaks = leaks.map(|object| object.name.map_or_else(|| "segment".into(), |name| name.to_utf8()));
    let leaks: Vec<String> = leaks.collect();
    assert_eq!(report.summary.leaked_objects, leaks.len() as u64);
    (leaks, report.suppressed.into_iter().map(|suppressed| (suppressed.rule, suppressed.count)).collect())
}

fn family() -> Image {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image
}

#[test]
fn an_ignored_name_is_every_objects_of_that_name() {
    let mut image = family();
    image.add(file(b"/before", 1));
    image.add(ignore(b"before"));
    image.add(ignore(b"/after"));
    image.add(file(b"/after", 2));
    image.add(file(b"/after2", 3));
    let (leaks, suppressed) =
        tell(&image, &mut there(&[("before", 1), ("after", 2), ("after2", 3)]), &Settings::default());
    assert_eq!(leaks, ["/after2"]);
    assert_eq!(suppressed, [("ignored by the program".into(), 2)]);
}

#[test]
fn an_ignored_id_is_the_segments_that_has_it_then() {
    let mut image = family();
    image.add(segment());
    let order = image.add(ignore_id());
    assert_eq!(tell(&image, &mut there(&[]), &Settings::default()).0, [""; 0]);
    // Removed, and its id given again.
    image.add(Recorded { args: &[5, 0, 0], object: ObjectId::sysv(5), ..event(Call::Shmctl) });
    image.add(segment());
    assert_eq!(tell(&image, &mut there(&[]), &Settings::default()).0, ["segment"]);
    assert!(order > 1);
}

#[test]
fn what_is_ignored_outlives_the_rings_turns() {
    let mut image = Image::sized(Sizes { processes: 2, modules: 1, entries: 4, entry_bytes: 640, units: 64 });
    image.process(100, None, END_EXIT);
    let orders = [image.add(ignore(b"/x")), image.add(file(b"/x", 1)), image.add(segment()), image.add(ignore_id())];
    let kept = [ignore(b"/x"), file(b"/x", 1), ignore_id(), segment()];
    for (event, order) in kept.into_iter().zip([orders[0], orders[1], orders[3], orders[2]]) {
        image.register(Recorded { order, ..event });
    }
    for _ in 0..100 {
        image.add(Recorded { errno: 2, ret: -1, data: b"y", ..event(Call::ShmUnlink) });
    }
    let (leaks, suppressed) = tell(&image, &mut there(&[("x", 1)]), &Settings::default());
    assert_eq!((leaks.len(), suppressed), (0, std::vec![("ignored by the program".into(), 2)]));
}

#[test]
fn what_a_paused_thread_did_is_not_told_even_where_another_did_the_same() {
    let mut image = family();
    let paused = FLAG_CREATED | FLAG_PAUSED;
    image.add(Recorded { flags: paused, frames: &[0x12], args: &[0o102, 0o666], ..file(b"a", 1) });
    image.add(Recorded { frames: &[0x12], args: &[0o102, 0o666], ..file(b"b", 2) });
    let report = conclude(&image.sources(), &mut there(&[("a", 1), ("b", 2)]), &mut Invented, &Settings::default());
    let told: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.count)).collect();
    assert_eq!(told, [("posix-leak", 1), ("fd-at-exit", 1), ("nonportable-name", 1)]);
    let (leaks, suppressed) = tell(&image, &mut there(&[("a", 1), ("b", 2)]), &Settings::default());
    assert_eq!(leaks, ["/b"]);
    assert_eq!((suppressed[0].0.as_str(), suppressed.len()), ("paused by the program", 1));
}

#[test]
fn since_a_checkpoint_only_leaks_of_what_was_made_after_it() {
    let mut image = family();
    image.add(file(b"before", 1));
    let since = image.add(event(Call::Checkpoint));
    image.add(Recorded { args: &[0o102, 0o666], ..file(b"after", 2) });
    let kernel = || there(&[("before", 1), ("after", 2)]);
    let settings = Settings { since: Some(since), ..Settings::default() };
    let report = conclude(&image.sources(), &mut kernel(), &mut Invented, &settings);
    let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, ["posix-leak"]);
    assert_eq!(tell(&image, &mut kernel(), &settings).0, ["/after"]);
    assert_eq!(tell(&image, &mut kernel(), &Settings { since: Some(0), ..Settings::default() }).0.len(), 2);
}

#[test]
fn nobody_waits_for_the_end_of_what_is_ignored() {
    let mut image = family();
    image.process(101, Some(0), END_UNKNOWN);
    image.add(file(b"/x", 1));
    image.add(file(b"/y", 2));
    image.add(ignore(b"x"));
    let mut kernel = there(&[("x", 1), ("y", 2)]);
    kernel.alive.insert(101);
    let report = conclude(&image.sources(), &mut kernel, &mut Invented, &Settings::default());
    let pending: Vec<_> = report.pending.iter().map(|object| object.what.ino).collect();
    assert_eq!(pending, [2]);
}
