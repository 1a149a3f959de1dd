//! Segments of several IPC namespaces: the same ids and keys in each, and only one table that is ours to read.

use super::*;
use crate::kernel::Elsewhere;
use crate::layout::{header, process};

const HOME: u32 = 4_026_531_839;
const OTHER: u32 = 4_026_532_200;

/// A process at home, and one that was started in another namespace.
fn two() -> Image {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    let other = image.process(200, None, END_EXIT);
    image.words[header::NAMESPACES] = u64::from(HOME) << 32;
    image.set(0, process::NAMESPACES, u64::from(HOME) << 32);
    image.set(other, process::NAMESPACES, u64::from(OTHER) << 32);
    image
}

fn other(event: Event<'static>) -> Event<'static> {
    Event { process: 1, pid: 200, tid: 200, ..event }
}

fn kernel() -> Tables {
    Tables { ipc_namespace: HOME, ..Tables::new() }
}

fn kinds(image: &Image, kernel: &mut Tables) -> Vec<(&'static str, String)> {
    found_by(image, kernel, None).into_iter().map(|draft| (draft.kind.name(), draft.message)).collect()
}

#[test]
fn the_same_shmid_in_two_namespaces_is_two_segments() {
    let mut image = two();
    image.add(got(3));
    image.add(other(got(3)));
    image.add(removed(3));
    assert_eq!(kinds(&image, &mut kernel()), [], "one removed, one gone with its namespace");
    let mut image = two();
    image.add(got(3));
    image.add(other(got(3)));
    image.add(other(removed(3)));
    let mut kernel = kernel();
    kernel.segment(segment());
    let found = kinds(&image, &mut kernel);
    assert!(found.len() == 1 && found[0].1.contains("made by prog[100], was never removed"), "{found:?}");
    kernel.segments = Some(Vec::new());
    let found = kinds(&image, &mut kernel);
    assert!(found.len() == 1 && found[0].0 == "vanished", "{found:?}");
}

#[test]
fn a_namespace_that_lives_keeps_its_segments() {
    let mut image = two();
    image.add(other(got(3)));
    let mut kernel = kernel();
    let theirs = Segment { cpid: 200, ..segment() };
    kernel.elsewhere.insert(OTHER, Elsewhere::Open { segments: std::vec![theirs], process: 77 });
    let found = found_by(&image, &mut kernel, None);
    assert!(found[0].message.contains("(shmid 3) of IPC namespace 4026532200 of 4225 bytes"), "{found:?}");
    assert_eq!(found[0].hint.command.as_deref(), Some("nsenter -i -t 77 ipcrm -m 3"));
    kernel.elsewhere.insert(OTHER, Elsewhere::Closed);
    let found = found_by(&image, &mut kernel, None);
    assert!(
        found[0].message.contains("that namespace is still there, and its segments could not be read"),
        "{found:?}"
    );
    assert_eq!(found[0].hint.command, None);
}

#[test]
fn a_recorder_of_another_namespace_is_judged_by_that_ones_table() {
    let mut image = two();
    image.words[header::NAMESPACES] = u64::from(OTHER) << 32;
    image.add(other(got(3)));
    let mut kernel = kernel();
    // The reader's own table has another of that shmid.
    kernel.segment(Segment { cpid: 200, ..segment() });
    assert_eq!(kinds(&image, &mut kernel), []);
    kernel
        .elsewhere
        .insert(OTHER, Elsewhere::Open { segments: std::vec![Segment { cpid: 200, ..segment() }], process: 7 });
    assert_eq!(kinds(&image, &mut kernel)[0].0, "sysv-leak");
}

#[test]
fn a_forked_child_is_where_its_parent_is() {
    let mut image = two();
    let child = image.process(201, Some(1), END_EXIT);
    image.add(Event { process: child, pid: 201, tid: 201, ..got(3) });
    image.add(Event { process: child, pid: 201, tid: 201, ..removed(3) });
    image.add(Event { object: ObjectId::sysv(3), errno: 22, ret: -1, ..event(Call::Shmat) });
    assert_eq!(kinds(&image, &mut kernel()), [], "nobody at home removed what shmat did not find");
}

#[test]
fn the_same_key_is_another_segment_elsewhere() {
    let mut image = two();
    image.add(other(got(3)));
    image.add(Event { args: &[0x11, 9999, 0o600], errno: 22, ret: -1, ..event(Call::Shmget) });
    let mut kernel = kernel();
    assert_eq!(kinds(&image, &mut kernel), []);
    image.add(other(Event { args: &[0x11, 9999, 0o600], errno: 22, ret: -1, ..event(Call::Shmget) }));
    assert_eq!(kinds(&image, &mut kernel)[0].0, "size-mismatch");
}

/// In its own pid namespace the maker has another number than in the table.
#[test]
fn a_maker_of_another_pid_namespace_is_known_by_time_and_size() {
    const PIDS: u64 = 4_026_531_836;
    let mut image = two();
    image.set(0, process::NAMESPACES, u64::from(HOME) << 32 | (PIDS + 5));
    image.add(got(3));
    let mut kernel = Tables { pid_namespace: PIDS as u32, ..kernel() };
    kernel.segment(Segment { cpid: 4711, ..segment() });
    assert_eq!(kinds(&image, &mut kernel)[0].0, "sysv-leak");
    for other in [Segment { size: 1, ..segment() }, Segment { ctime: BEGAN_SECONDS + 9, ..segment() }] {
        kernel.segments = Some(std::vec![Segment { cpid: 4711, ..other }]);
        assert_eq!(kinds(&image, &mut kernel)[0].0, "vanished");
    }
}
