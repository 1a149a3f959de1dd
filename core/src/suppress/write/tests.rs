//! What is written takes away what it was written of.

use std::format;
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::calls::Call;
use crate::findings::Concluding;
use crate::kernel::Segment;
use crate::layout::process::END_EXIT;
use crate::record::{Event, FLAG_CREATED, Family, ObjectId};
use crate::report::{NoSymbols, Settings, Symbolize, conclude};
use crate::testing::{Image, Invented, Tables, any_event, event};

fn concluded(image: &Image, kernel: &mut Tables, symbols: &mut dyn Symbolize, rules: &Suppressions) -> Report {
    let concluding = Some(Concluding { slot: 0, pid: 100, exiting: true });
    let suppressions = rules.clone();
    conclude(&image.sources(), kernel, symbols, &Settings { concluding, suppressions, ..Settings::default() })
}

fn made<'a>(name: &'a [u8], ino: u64, frames: &'a [u64]) -> Event<'a> {
    let object = ObjectId { family: Family::Posix, dev: 9, ino };
    Event { flags: FLAG_CREATED, ret: 3, data: name, object, frames, ..event(Call::ShmOpen) }
}

fn closed(ino: u64) -> Event<'static> {
    let object = ObjectId { family: Family::Posix, dev: 9, ino };
    Event { args: &[3], object, ..event(Call::Close) }
}

#[test]
fn the_narrowest_that_lasts() {
    let (mut image, mut kernel) = (Image::new(), Tables::new());
    image.process(100, None, END_EXIT);
    let names = [(&b"/cache-17-$x"[..], 7, &[0x2004u64, 0x12][..]), (b"/1", 8, &[0x2104, 0x13]), (b"/2", 9, &[0x14])];
    for (name, ino, frames) in names {
        image.add(made(name, ino, frames));
        image.add(closed(ino));
        kernel.file(core::str::from_utf8(&name[1..]).unwrap(), ino, 1);
    }
    for (shmid, key, frames) in [(3, 0x11, &[0x15u64][..]), (4, 0, &[0x4004, 0x16]), (5, 0, &[0x17])] {
        let args = [key, 4225, 0o1600];
        let object = ObjectId::sysv(shmid);
        let got =
            Event { flags: FLAG_CREATED, ret: i64::from(shmid), args: &args, object, frames, ..event(Call::Shmget) };
        image.add(got);
        kernel.segment(Segment {
            key: key as i32,
            shmid,
            size: 4225,
            cpid: 100,
            ctime: 9_999_999_999,
            ..Segment::default()
        });
    }
    image.add(Event { args: &[0x7000], errno: 22, ret: -1, ..event(Call::Shmdt) });
    let report = concluded(&image, &mut kernel, &mut Invented, &Suppressions::none());
    let text = written(&report, &Suppressions::none());
    let mut rules: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    rules.sort_unstable();
    let expected = [
        "bad-detach:*",
        "posix-leak:^/cache-*-*x$",
        "posix-leak:^f21$",
        "posix-leak:^main$",
        "sysv-leak:^0x00000011$",
        "sysv-leak:^IPC_PRIVATE$",
        "sysv-leak:^f40$",
    ];
    assert_eq!(rules, expected);
    assert_eq!(text.lines().count(), 14, "{text}");
    let mut known = Suppressions::none();
    assert!(known.add(text.as_bytes()).is_empty());
    assert_eq!(written(&report, &known), "");
}

#[test]
fn signs_and_controls_stand_open() {
    assert_eq!(whole("operator* (int)^$\n"), "^operator* (int)***$");
    let mut rules = Suppressions::none();
    let text = "operator* (int)^$\n";
    rules.add(format!("bad-detach:{}", whole(text)).as_bytes());
    assert_eq!(rules.matching(Kind::BadDetach, [text.as_bytes()].into_iter()), Some(0));
}

proptest! {
    #[test]
    fn the_next_run_is_clean(events in prop::collection::vec(any_event(), 0..40), named: bool, frames in prop::collection::vec(0u64..0x5000, 0..4)) {
        let mut image = Image::new();
        image.process(100, None, END_EXIT);
        for (event, args) in &events {
            image.add(Event { args, frames: &frames, ..*event });
        }
        let mut kernel = Tables::new();
        kernel.file("a", 1, 10);
        kernel.file("\n\u{1b}[31m", 2, 10);
        kernel.segment(Segment { shmid: 1, cpid: 100, ..Segment::default() });
        let mut symbols: (Invented, NoSymbols) = (Invented, NoSymbols);
        let symbols: &mut dyn Symbolize = if named { &mut symbols.0 } else { &mut symbols.1 };
        let first = concluded(&image, &mut kernel, symbols, &Suppressions::none());
        let mut rules = Suppressions::none();
        let mistakes = rules.add(written(&first, &Suppressions::none()).as_bytes());
        prop_assert!(mistakes.is_empty(), "{mistakes:?}");
        let second = concluded(&image, &mut kernel, symbols, &rules);
        prop_assert!(second.findings.is_empty(), "{:?}", second.findings);
        prop_assert_eq!(second.unused_suppressions.len(), 0);
        // What the program itself excuses is counted in both.
        let suppressed = |report: &Report| report.suppressed.iter().map(|rule| rule.count).sum::<u64>();
        prop_assert_eq!(first.findings.len() as u64 + suppressed(&first), suppressed(&second));
        prop_assert_eq!(second.summary.errors.to_string(), "0");
    }
}
