//! What people read, to the letter.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::calls::Call;
use crate::findings::Concluding;
use crate::kernel::{Segment, Unasked};
use crate::layout::process::{END_EXIT, END_UNKNOWN};
use crate::record::{Event as Recorded, FLAG_CREATED, Family, ObjectId};
use crate::report::{Settings, conclude};
use crate::testing::{BEGAN, Image, Invented, Tables, any_event, event};

fn posix(ino: u64) -> ObjectId {
    ObjectId { family: Family::Posix, dev: 9, ino }
}

fn made<'a>(name: &'a [u8], ino: u64, frames: &'a [u64]) -> Recorded<'a> {
    Recorded {
        flags: FLAG_CREATED,
        ret: 3,
        data: name,
        args: &[0o102, 0o600],
        object: posix(ino),
        frames,
        ..event(Call::ShmOpen)
    }
}

fn closed(ino: u64) -> Recorded<'static> {
    Recorded { args: &[3], object: posix(ino), ..event(Call::Close) }
}

fn got(shmid: i32, frames: &[u64]) -> Recorded<'_> {
    let object = ObjectId::sysv(shmid);
    Recorded {
        flags: FLAG_CREATED,
        ret: i64::from(shmid),
        args: &[0x11, 4225, 0o1600],
        object,
        frames,
        ..event(Call::Shmget)
    }
}

fn last() -> Settings {
    Settings { concluding: Some(Concluding { slot: 0, pid: 100, exiting: true }), ..Settings::default() }
}

fn said(image: &Image, kernel: &mut Tables, settings: &Settings) -> String {
    text(&conclude(&image.sources(), kernel, &mut Invented, settings))
}

fn alone() -> Image {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image
}

#[test]
fn leaks_lead() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    let attach = |at: i64| Recorded { ret: at, object: ObjectId::sysv(3), frames: &[0x31], ..event(Call::Shmat) };
    image.add(got(3, &[0x2005, 0x1004, 0x10, 0x1008]));
    image.add(attach(0x7000));
    image.add(Recorded { args: &[0x7000], frames: &[0x33], ..event(Call::Shmdt) });
    image.add(Recorded { args: &[0x7000], frames: &[0x34], errno: 22, ret: -1, ..event(Call::Shmdt) });
    image.add(attach(0x9000));
    for (name, ino) in [(&b"/a"[..], 7), (b"/b c", 8), (b"/\n\x1b[31m\xff", 9)] {
        image.add(made(name, ino, &[0x2009, 0x12]));
        image.add(closed(ino));
    }
    kernel.segment(Segment {
        key: 0x11,
        shmid: 3,
        size: 4225,
        cpid: 100,
        nattch: 1,
        ctime: BEGAN,
        ..Segment::default()
    });
    kernel.attachment(100, 0x9000, 0xb000, 0x11, 3);
    kernel.file("a", 7, 4193);
    kernel.file("b c", 8, 2 << 20);
    kernel
        .files
        .insert(b"\n\x1b[31m\xff".into(), crate::kernel::FileFacts { dev: 9, ino: 9, size: 1, ..Default::default() });
    let expected = r#"shmaudit: ERROR: posix-leak: POSIX object /b c of 2097152 bytes (2.0 MiB), made by prog[100], was never unlinked.
shmaudit: ERROR: posix-leak: POSIX object /a of 4193 bytes, made by prog[100], was never unlinked.
shmaudit: ERROR: posix-leak: POSIX object /\n\33[31m\377 of 1 byte, made by prog[100], was never unlinked.
    #0 f20 prog.c:9 (prog+0x2009)
    #1 main prog.c:18 (prog+0x12)
  hint: Call shm_unlink when the last user has opened it.
  to remove them: rm -f '/dev/shm/b c' /dev/shm/a $'/dev/shm/\012\033[31m\377'

shmaudit: ERROR: sysv-leak: System V segment 0x00000011 (shmid 3) of 4225 bytes, made by prog[100], was never removed.
    #0 f20 prog.c:5 (prog+0x2005)
    #1 ?? (libx.so.1+0x1004)
    #2 main prog.c:16 (prog+0x10)
  hint: Call shmctl(shmid, IPC_RMID, NULL) when the last user has attached it: it goes with the last detach.
  to remove it: ipcrm -m 3

shmaudit: WARNING: bad-detach: shmdt(0x7000) failed in prog[100]: segment 0x00000011 (shmid 3) had been attached there, and shmdt had detached it already.
    #0 main prog.c:52 (prog+0x34)
  detached by shmdt in process 100:
    #0 main prog.c:51 (prog+0x33)
  attached by shmat in process 100:
    #0 main prog.c:49 (prog+0x31)
  hint: Detach each attachment once, with the address that shmat returned.

shmaudit: note: attach-at-exit: 1 attachment of segment 0x00000011 (shmid 3), 4225 bytes, was still there when prog[100] exited: main prog.c:49 (prog+0x31)
  hint: Call shmdt when the memory is no longer used.
SUMMARY: shmaudit: 4 objects leaked, 2105571 bytes (2.0 MiB); 1 warning; 1 note (11 calls)
"#;
    assert_eq!(said(&image, &mut kernel, &last()), expected);
}

#[test]
fn many_from_one_place_are_counted() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    for ino in 0..30u64 {
        let name = format!("/o{ino}");
        image.add(made(name.as_bytes(), ino + 1, &[0x10]));
        image.add(closed(ino + 1));
        // Another place between them does not part them.
        let other = format!("/p{ino}");
        image.add(made(other.as_bytes(), ino + 100, &[if ino % 2 == 0 { 0x20 } else { 0x10 }]));
        image.add(closed(ino + 100));
        kernel.file(&name[1..], ino + 1, 10);
        kernel.file(&other[1..], ino + 100, 1);
    }
    let text = said(&image, &mut kernel, &last());
    assert_eq!(text.matches("#0 main").count(), 2, "{text}");
    assert_eq!(text.matches("ERROR").count(), 20 + 15);
    assert!(text.contains("    and 25 more of the same from there, of "), "{text}");
    assert!(text.contains("  to remove the first of them: rm -f /dev/shm/o0 "), "{text}");
    assert!(text.ends_with("SUMMARY: shmaudit: 60 objects leaked, 330 bytes (120 calls)\n"), "{text}");
}

#[test]
fn nothing_to_say() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    assert_eq!(said(&image, &mut kernel, &last()), "");
    image.add(event(Call::Exit));
    assert_eq!(said(&image, &mut kernel, &last()), "");
    image.add(made(b"/x", 7, &[]));
    image.add(closed(7));
    assert_eq!(said(&image, &mut kernel, &last()), "SUMMARY: shmaudit: nothing leaked (2 calls)\n");
}

#[test]
fn what_waits() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.process(101, Some(0), END_UNKNOWN);
    image.add(made(b"/x", 7, &[0x1004, 0x12]));
    image.add(closed(7));
    image.add(got(3, &[]));
    kernel.file("x", 7, 4833);
    kernel.segment(Segment { key: 0x11, shmid: 3, size: 4225, cpid: 100, ..Segment::default() });
    kernel.alive.insert(101);
    let expected = "shmaudit: pending: prog[101] still runs and may remove:\n    /x, 4833 bytes, made by process 100: main prog.c:18 (prog+0x12)\n    \
                    segment 0x00000011 (shmid 3), 4225 bytes, made by process 100\n\
                    SUMMARY: shmaudit: nothing leaked so far; 2 pending (3 calls)\n";
    assert_eq!(said(&image, &mut kernel, &last()), expected);
    let report = conclude(&image.sources(), &mut kernel, &mut Invented, &last());
    assert!(!report.is_silent() && !report.settled);
    kernel.files.clear();
    kernel.segments = Some(Vec::new());
    assert_eq!(said(&image, &mut kernel, &last()), "", "the child has the last word");
}

#[test]
fn what_is_suppressed_is_counted() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/cache-1", 7, &[0x2004]));
    image.add(closed(7));
    image.add(made(b"/lttng-ust-wait-8", 8, &[]));
    image.add(closed(8));
    kernel.file("cache-1", 7, 1);
    kernel.file("lttng-ust-wait-8", 8, 1);
    let mut settings = last();
    assert!(settings.suppressions.add(b"leak:f20\nbad-detach:\x1b*").is_empty());
    let expected = "shmaudit: suppressed: 1 finding by leak:^/lttng-ust-wait-, 1 finding by leak:f20.\n\
                    shmaudit: warning: nothing was suppressed by \"bad-detach:\\\\x1b*\".\n\
                    SUMMARY: shmaudit: nothing leaked; 2 suppressed (4 calls)\n";
    assert_eq!(said(&image, &mut kernel, &settings), expected);
}

#[test]
fn what_others_explain_is_folded_too() {
    let mut image = alone();
    // The same two places each time, but for one.
    for (ino, used, removed) in [(7, 0x34, 0x33), (8, 0x34, 0x33), (9, 0x34, 0x43)] {
        let name = format!("/o{ino}");
        image.add(made(name.as_bytes(), ino, &[0x31]));
        image.add(closed(ino));
        image.add(Recorded { data: name.as_bytes(), frames: &[removed], ..event(Call::ShmUnlink) });
        // Two processes, so two findings.
        let pid = 100 + ino as u32 % 2;
        let missing =
            Recorded { data: name.as_bytes(), errno: 2, ret: -1, pid, frames: &[used], ..event(Call::ShmOpen) };
        image.add(missing);
    }
    let text = said(&image, &mut Tables::new(), &Settings::default());
    assert_eq!((text.matches("use-after-remove").count(), text.matches("  removed by").count()), (3, 2), "{text}");
    assert_eq!(text.matches("  hint: ").count(), 1, "{text}");
    assert!(
        text.contains("prog.c:52 (prog+0x34)\n  removed by shm_unlink in process 100:\n    #0 main prog.c:51"),
        "{text}"
    );
}

#[test]
fn what_has_no_place_is_folded_by_kind() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    for (ino, name) in [(7, "a"), (8, "b")] {
        image.add(made(format!("/{name}").as_bytes(), ino, &[0x30 + ino]));
        image.add(closed(ino));
        kernel.file(name, ino, 1);
    }
    let mut report = conclude(&image.sources(), &mut kernel, &mut Invented, &last());
    assert_eq!(text(&report).matches("  to remove it: ").count(), 2, "two places");
    report.findings.iter_mut().for_each(|finding| finding.event = None);
    let text = text(&report);
    assert!(text.contains("  to remove them: rm -f /dev/shm/a /dev/shm/b\n"), "{text}");
    assert_eq!(text.matches("was never unlinked.\n").count(), 2, "{text}");
}

#[test]
fn files_and_segments_in_one_place_have_a_command_each() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/a", 7, &[0x30]));
    image.add(closed(7));
    kernel.file("a", 7, 1);
    let mut report = conclude(&image.sources(), &mut kernel, &mut Invented, &last());
    let file = report.findings.iter().find(|finding| finding.hint.command.is_some()).unwrap().clone();
    let also = |command: &str| {
        let mut other = file.clone();
        other.hint.command = Some(command.into());
        other
    };
    let elsewhere = [also("nsenter -i -t 7 ipcrm -m 3"), also("nsenter -i -t 7 ipcrm -m 4")];
    report
        .findings
        .extend([also("ipcrm -m 3"), also("rm -f /dev/shm/ipcrm"), also("ipcrm -m 4")].into_iter().chain(elsewhere));
    let text = text(&report);
    let all = "rm -f /dev/shm/a /dev/shm/ipcrm; ipcrm -m 3 -m 4; nsenter -i -t 7 ipcrm -m 3 -m 4";
    assert!(text.contains(&format!("  to remove them: {all}\n")), "{text}");
}

#[test]
fn losses_are_said() {
    let mut image = alone();
    image.add(made(b"/x", 7, &[]));
    let at = image.words.iter().position(|&word| word == crate::record::tag(0, crate::record::TAG_HEAD)).unwrap();
    image.words[at] = 0;
    let text = text(&conclude(&image.sources(), &mut Unasked, &mut Invented, &last()));
    assert!(text.starts_with("shmaudit: warning: 1 record was lost: "), "{text}");
    assert!(text.ends_with("(1 call, 1 record lost)\n"), "{text}");
}

proptest! {
    #[test]
    fn any_records_make_a_report(events in prop::collection::vec(any_event(), 0..40), exiting: bool, as_child: bool) {
        let mut image = alone();
        image.process(101, Some(0), END_UNKNOWN);
        for (event, args) in &events {
            image.add(Recorded { args, ..*event });
        }
        let mut kernel = Tables::new();
        kernel.file("a", 1, 10);
        kernel.file("\n\u{1b}[31m", 2, 10);
        kernel.segment(Segment { shmid: 1, cpid: 100, ..Segment::default() });
        let me = Concluding { slot: u32::from(as_child), pid: if as_child { 101 } else { 100 }, exiting };
        for concluding in [None, Some(me)] {
            let report = conclude(&image.sources(), &mut kernel, &mut Invented, &Settings { concluding, ..Settings::default() });
            let text = text(&report);
            prop_assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{}", text);
            let json = crate::json::json(&report);
            prop_assert!(json.is_empty() || serde_json::from_str::<serde_json::Value>(&json).is_ok());
            let counted: Vec<String> = report.findings.iter().map(|finding| finding.kind.to_string()).collect();
            let summary = &report.summary;
            prop_assert_eq!(counted.len() as u64, summary.errors + summary.warnings + summary.notes);
        }
    }
}
