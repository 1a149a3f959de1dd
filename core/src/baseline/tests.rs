//! What is known, what is new, what is gone.

use std::string::String;

use proptest::prelude::*;

use super::*;
use crate::calls::Call;
use crate::kernel::Segment;
use crate::layout::process::END_EXIT;
use crate::record::{Event, FLAG_CREATED, Family, ObjectId};
use crate::report::{Settings, conclude};
use crate::testing::{Image, Invented, Tables, any_event, event};

/// A run of process `pid`: leaks of these names and these segments, each with its call stack.
fn run(pid: u32, names: &[(&str, u64)], shmids: &[(i32, u64)], bad_detaches: usize) -> Report {
    let (mut image, mut kernel) = (Image::new(), Tables::new());
    image.process(pid, None, END_EXIT);
    let by = |event: Event<'static>| Event { pid, tid: pid, ..event };
    for (&(name, place), ino) in names.iter().zip(u64::from(pid)..) {
        let object = ObjectId { family: Family::Posix, dev: 9, ino };
        let made = Event { flags: FLAG_CREATED, ret: 3, object, ..by(event(Call::ShmOpen)) };
        image.add(Event { data: name.as_bytes(), frames: &[place, 0x10], ..made });
        image.add(Event { args: &[3], object, ..by(event(Call::Close)) });
        kernel.file(&name[1..], ino, 1);
    }
    for &(shmid, place) in shmids {
        let args = [u64::from(pid), 4225, 0o1600];
        let made = Event { flags: FLAG_CREATED, ret: i64::from(shmid), ..by(event(Call::Shmget)) };
        image.add(Event { args: &args, object: ObjectId::sysv(shmid), frames: &[place], ..made });
        kernel.segment(Segment {
            key: pid as i32,
            shmid,
            size: 1,
            cpid: pid,
            ctime: 9_999_999_999,
            ..Segment::default()
        });
    }
    for _ in 0..bad_detaches {
        image.add(Event { args: &[u64::from(pid)], errno: 22, ret: -1, frames: &[0x50], ..by(event(Call::Shmdt)) });
    }
    conclude(&image.sources(), &mut kernel, &mut Invented, &Settings::default())
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).unwrap()
}

fn compared(before: &Report, after: &Report) -> Report {
    let mut report = after.clone();
    Baseline::parse(json(before).as_bytes()).unwrap().apply(&mut report, true);
    report
}

#[test]
fn the_same_mistakes_are_no_news() {
    let before = run(100, &[("/x-1", 0x2004), ("/x-2", 0x2004)], &[(3, 0x4004)], 2);
    // Another process, other inodes, keys and ids, other lines of the same functions, more of what is not counted.
    let after = run(777, &[("/x-813", 0x2009), ("/x-99", 0x2009)], &[(70, 0x4001)], 5);
    let report = compared(&before, &after);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.baseline, Some(Known { known: 4, gone: 0 }));
    let summary = &report.summary;
    assert_eq!((summary.errors, summary.warnings, summary.leaked_objects, summary.leaked_bytes), (0, 0, 0, 0));
    assert!(crate::text::text(&report).ends_with("SUMMARY: shmaudit: nothing leaked; 4 known (10 calls)\n"));
}

#[test]
fn one_more_is_new() {
    let before = run(100, &[("/x-1", 0x2004)], &[(3, 0x4004)], 1);
    let after = run(777, &[("/x-5", 0x2004), ("/x-6", 0x2004), ("/y", 0x2004)], &[(70, 0x4104)], 0);
    let report = compared(&before, &after);
    let told: Vec<&str> = report.findings.iter().map(|finding| finding.message.split(' ').nth(2).unwrap()).collect();
    assert_eq!(told, ["/x-6", "/y", "segment"], "another of the same, another name, another function");
    assert_eq!((report.summary.errors, report.summary.leaked_bytes), (3, 3));
    assert_eq!(report.baseline, Some(Known { known: 1, gone: 2 }));
    assert!(crate::text::text(&report).contains("; 1 known, 2 gone ("));
}

#[test]
fn a_build_that_does_not_tell_of_files_is_the_same() {
    let leaks = |pid| run(pid, &[("/x-1", 0x2004), ("/x-2", 0x2004)], &[], 0);
    let told = |file: &str| json(&leaks(100)).replace("\"unit\":null", &format!("\"unit\":\"{file}\""));
    // As an older report, or that of a stripped program, has it, and the other way round.
    for (before, left) in
        [(told("a.c"), 0), (json(&leaks(100)), 0), (json(&leaks(100)).replace("\"unit\":null,", ""), 0)]
    {
        let mut after = leaks(777);
        Baseline::parse(before.as_bytes()).unwrap().apply(&mut after, true);
        assert_eq!(after.findings.len(), left);
        assert_eq!(after.baseline, Some(Known { known: 2, gone: 0 }));
    }
    // Three there were, of two files; two are met.
    let three = json(&run(100, &[("/x-1", 0x2004), ("/x-2", 0x2004), ("/x-3", 0x2004)], &[], 0));
    let three = three.replacen("\"unit\":null", "\"unit\":\"a.c\"", 3).replace("\"unit\":null", "\"unit\":\"b.c\"");
    let mut after = leaks(777);
    Baseline::parse(three.as_bytes()).unwrap().apply(&mut after, true);
    assert_eq!((after.findings.len(), after.baseline), (0, Some(Known { known: 2, gone: 1 })));
}

#[test]
fn what_is_no_report_is_refused() {
    let refusals = [
        ("", "empty, not a report in JSON"),
        ("{", "not a report in JSON: EOF while parsing an object at line 1 column 1"),
        ("{\"schema\":\"shmaudit-report/1\"}", "not a report in JSON: missing field `findings` at line 1 column 30"),
        (
            "{\"schema\":\"x\\n\",\"findings\":[]}",
            "a report of schema \"x\\\\n\"; this shmaudit reads shmaudit-report/1",
        ),
        ("\u{1}", "not a report in JSON: expected value at line 1 column 1"),
    ];
    for (text, refusal) in refusals {
        assert_eq!(Baseline::parse(text.as_bytes()).unwrap_err(), refusal.replace("\\\\", "\\"), "{text}");
    }
    // Several, one after the other.
    let report = run(100, &[("/x-1", 0x2004)], &[], 0);
    let twice = [json(&report), json(&report)].join("\n");
    let mut both = Baseline::parse(twice.as_bytes()).unwrap();
    let mut after = run(100, &[("/x-1", 0x2004), ("/x-2", 0x2004)], &[], 0);
    both.apply(&mut after, false);
    assert!(after.findings.is_empty());
    // Together they have one that the former had not.
    let mut another = run(100, &[("/x-1", 0x2004)], &[], 0);
    both.apply(&mut another, true);
    assert_eq!(another.findings.len(), 1);
}

proptest! {
    #[test]
    fn a_report_knows_itself(events in prop::collection::vec(any_event(), 0..40)) {
        let mut image = Image::new();
        image.process(100, None, END_EXIT);
        for (event, args) in &events {
            image.add(Event { args, ..*event });
        }
        let mut kernel = Tables::new();
        kernel.file("\n\u{1b}[31m", 2, 10);
        let report = conclude(&image.sources(), &mut kernel, &mut Invented, &Settings::default());
        let compared = compared(&report, &report);
        prop_assert!(compared.findings.is_empty(), "{:?}", compared.findings);
        prop_assert_eq!(compared.baseline, Some(Known { known: report.findings.len() as u64, gone: 0 }));
    }

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Baseline::parse(&bytes);
    }
}
