//! A report as a whole, and recorders that nobody wrote.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::calls::Call;
use crate::kernel::Unasked;
use crate::layout::process::{END_EXEC, END_EXIT, END_UNKNOWN};
use crate::layout::{Sizes, header};
use crate::reader::Reader;
use crate::record::{Event as Recorded, FLAG_CREATED, Family, ObjectId};
use crate::testing::{BEGAN, Image, Invented, Tables, event};

fn made(name: &'static [u8], ino: u64) -> Recorded<'static> {
    let object = ObjectId { family: Family::Posix, dev: 9, ino };
    Recorded {
        flags: FLAG_CREATED,
        ret: 3,
        data: name,
        args: &[0o102, 0o640],
        object,
        frames: &[0x12],
        ..event(Call::ShmOpen)
    }
}

#[test]
fn a_report_in_full() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.process(101, Some(0), END_EXEC);
    image.process(102, Some(0), END_UNKNOWN);
    image.process(103, Some(0), END_UNKNOWN);
    image.add(made(b"x", 7));
    image.add(Recorded { data: b"x", frames: &[0x13], ..event(Call::ShmUnlink) });
    image.add(Recorded { errno: 2, ret: -1, data: b"x", ..event(Call::ShmOpen) });
    image.add(Recorded { errno: 200, ret: -1, data: b"x", ..event(Call::ShmOpen) });
    let mut kernel = Tables::new();
    kernel.alive.insert(103);
    let report = conclude(&image.sources(), &mut kernel, &mut Invented, &Settings::default());
    assert_eq!(report.command, [Text::from(&b"./prog"[..]), Text::from(&b"-x"[..])]);
    assert_eq!((report.started, report.settled), (Time(BEGAN), true));
    let ends: Vec<_> = report.processes.iter().map(|process| (process.pid, process.end, process.status)).collect();
    assert_eq!(ends, [(100, "exit", Some(0)), (101, "exec", None), (102, "unknown", None), (103, "running", None)]);
    let object = &report.objects[0];
    assert_eq!(object.what.name, Some(Text::from(&b"/x"[..])));
    assert_eq!((object.what.family, object.what.mode.as_deref(), object.exists), ("posix", Some("0640"), false));
    let created = object.created.as_ref().unwrap();
    assert_eq!(
        (created.call, created.time, created.stack.frames()[0].line),
        ("shm_open", Time(BEGAN + 1000), Some(0x12))
    );
    assert_eq!(object.removed.as_ref().unwrap().call, "shm_unlink");
    assert_eq!((object.calls["shm_open"], object.calls["shm_unlink"]), (1, 1));
    let summary = &report.summary;
    assert_eq!((summary.calls["shm_open"], summary.events, summary.events_lost), (3, 4, 0));
    let failed: Vec<_> = summary.failed_calls["shm_open"].iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(failed, [("EHWPOISON", 1), ("ENOENT", 1)]);
    assert_eq!(report.audited_calls(), 4);
}

#[test]
fn counters_that_somebody_wrote_over_are_not_believed() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.add(made(b"x", 7));
    image.add(Recorded { data: b"x", ..event(Call::ShmUnlink) });
    let told = |image: &Image| conclude(&image.sources(), &mut Tables::new(), &mut Invented, &Settings::default());
    let report = told(&image);
    assert!((report.audited_calls(), report.summary.events_lost, report.warnings.len()) == (2, 0, 0), "{report:?}");
    for times in [1 << 40, u64::MAX] {
        image.miscount(Call::Shmget, times);
        let report = told(&image);
        assert!((report.audited_calls(), report.summary.events, report.summary.events_lost) == (0, 2, 1), "{report:?}");
        assert!(!report.is_silent() && report.warnings[1].contains("damaged"), "{:?}", report.warnings);
    }
}

#[test]
fn what_is_gone_by_now_is_not_removed_once_more() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    let mut kernel = Tables::new();
    for (name, ino) in [(b"gone", 7), (b"anew", 8), (b"here", 9)] {
        image.add(made(name, ino));
        kernel.file(core::str::from_utf8(name).unwrap(), ino, 1);
    }
    let got = |shmid: i32| Recorded {
        flags: FLAG_CREATED,
        ret: i64::from(shmid),
        args: &[0x11, 1, 0o1600],
        object: ObjectId::sysv(shmid),
        ..event(Call::Shmget)
    };
    image.add(got(3));
    let segment = |shmid: i32, cpid: u32| crate::kernel::Segment {
        key: 0x11,
        shmid,
        size: 1,
        cpid,
        ctime: 9_999_999_999,
        ..Default::default()
    };
    kernel.segment(segment(3, 100));
    let mut report = conclude(&image.sources(), &mut kernel, &mut Invented, &Settings::default());
    kernel.files.remove(&b"gone"[..]);
    kernel.file("anew", 18, 1);
    kernel.segments = Some(std::vec![segment(3, 999)]);
    report.look_again(&mut kernel);
    let leaks = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let told: Vec<_> = leaks
        .map(|leak| {
            let object = leak.object.as_ref().unwrap();
            let name = object.name.as_ref().map_or("segment".into(), |name| name.to_utf8());
            (name, leak.now, leak.hint.command.clone(), leak.said().contains("gone by now"))
        })
        .collect();
    for (name, now, command, gone) in [
        ("/gone", "gone", None, true),
        ("/anew", "renewed", None, true),
        ("/here", "there", Some("rm -f /dev/shm/here".into()), false),
        ("segment", "renewed", None, true),
    ] {
        assert!(told.contains(&(name.into(), Some(now), command, gone)), "{name}: {told:?}");
    }
}

#[test]
fn what_exists_is_listed_first() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    for (ino, name) in [(1, &b"a"[..]), (2, b"b"), (3, b"c"), (4, b"d")] {
        image.add(made(name, ino));
        if ino != 2 {
            image.add(Recorded { data: name, ..event(Call::ShmUnlink) });
        }
    }
    let mut kernel = Tables::new();
    kernel.file("b", 2, 1);
    let settings = Settings { objects: 2, ..Settings::default() };
    let report = conclude(&image.sources(), &mut kernel, &mut NoSymbols, &settings);
    let inodes: Vec<_> = report.objects.iter().map(|object| object.what.ino).collect();
    assert_eq!((inodes, report.objects_not_listed), (std::vec![2, 4], 2));
}

#[test]
fn a_ring_that_has_turned() {
    let mut image = Image::sized(Sizes { processes: 2, modules: 1, entries: 4, entry_bytes: 640, units: 64 });
    image.process(100, None, END_EXIT);
    let order = image.add(made(b"old", 7));
    image.register(Recorded { order, ..made(b"old", 7) });
    for _ in 0..100 {
        image.add(Recorded { errno: 2, ret: -1, data: b"x", ..event(Call::ShmUnlink) });
    }
    let mut kernel = Tables::new();
    kernel.file("old", 7, 5);
    let report = conclude(&image.sources(), &mut kernel, &mut Invented, &Settings::default());
    assert_eq!(report.findings[0].kind, "posix-leak");
    assert_eq!(report.findings[0].event.as_ref().unwrap().stack.frames()[0].line, Some(0x12));
    let summary = &report.summary;
    assert_eq!(summary.events + summary.events_lost, 101);
    assert_eq!(report.warnings.len(), 1);
}

/// Of a stretch that somebody wrote over, the counters know how many records it had; of one that never came to its end, that it
/// was one. Where the counters are not to be believed, each place counts as one.
#[test]
fn a_stretch_that_somebody_wrote_over() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.add(made(b"x", 7));
    let orders: Vec<u64> = (0..100)
        .map(|_| image.add(Recorded { errno: 2, ret: -1, data: b"a name of some length", ..event(Call::ShmUnlink) }))
        .collect();
    let lost = |image: &Image| {
        let report = conclude(&image.sources(), &mut Tables::new(), &mut Invented, &Settings::default());
        (report.summary.events, report.summary.events_lost)
    };
    assert_eq!(lost(&image), (101, 0));
    image.damage(orders[2], 3);
    assert_eq!(lost(&image), (100, 1));
    image.destroy(orders[10], orders[60]);
    assert_eq!(lost(&image), (50, 51));
    // Calls that the ring never had are not taken for lost.
    image.miscount(Call::Shmget, 150);
    assert_eq!(lost(&image), (50, 102));
    image.miscount(Call::Shmget, 1 << 40);
    assert_eq!(lost(&image), (50, 2));
}

#[test]
fn the_place_to_look_at_is_the_programs() {
    let frame = |function: &str, file: Option<&str>, module: &str| Frame {
        function: Some(function.into()),
        file: file.map(Into::into),
        module: Some(module.into()),
        ..Frame::default()
    };
    let place = |frames: &[Frame]| Stack::from(frames.to_vec()).place().and_then(|frame| frame.function.clone());
    let libc = frame("start_thread", Some("pthread_create.c"), "/lib/libc.so.6");
    assert_eq!(place(&[frame("worker", None, "/bin/a"), libc.clone()]).as_deref(), Some("worker"));
    let qsort = frame("qsort", None, "/lib/libc.so.6");
    assert_eq!(place(&[qsort, frame("main", Some("/a.c"), "/bin/a"), libc]).as_deref(), Some("main"));
    assert_eq!(place(&[]), None);
}

#[test]
fn nobody_is_told_of_nothing() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.add(event(Call::Exit));
    assert!(conclude(&image.sources(), &mut Unasked, &mut NoSymbols, &Settings::default()).is_silent());
}

/// Concludes from any image that the reader takes, with everything that there is to say.
fn survives(words: &[u64]) {
    let Ok(reader) = Reader::new(words) else { return };
    let report = conclude(&reader.into(), &mut Unasked, &mut NoSymbols, &Settings::default());
    crate::text::text(&report);
    crate::json::json(&report);
}

fn small() -> Image {
    let mut image = Image::sized(Sizes { processes: 4, modules: 1, entries: 4, entry_bytes: 640, units: 64 });
    image.process(100, None, END_EXIT);
    image.process(101, Some(0), END_UNKNOWN);
    for ino in 0..12 {
        image.add(made(b"/shmtest", ino));
        image.register(Recorded { order: 3, ..made(b"/shmtest", ino % 4) });
    }
    image
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_survived(words in prop::collection::vec(any::<u64>(), 0..1500)) {
        let mut words = words;
        survives(&words);
        for (place, &word) in words.iter_mut().zip(&small().words[..header::CLOCK + 1]) {
            *place = word;
        }
        survives(&words);
    }

    #[test]
    fn any_damage_is_survived(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 0..3u8), 1..60)) {
        let mut words = small().words;
        for (at, value, how) in damage {
            let at = at.index(words.len());
            // The regions' places stay, else the reader refuses at once.
            if at >= header::CLOCK {
                words[at] = match how {
                    0 => value,
                    1 => words[at] ^ 1 << (value & 63),
                    _ => value & 0xff,
                };
            }
        }
        survives(&words);
    }
}
