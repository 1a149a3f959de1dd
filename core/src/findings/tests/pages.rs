//! A page is as large as the recording's kernel had it: each case with pages of 4 KiB and of 64 KiB, which differ.

use super::drafts::*;
use super::limits::limit;
use super::*;
use crate::kernel::{Setting, Space};
use crate::layout::header;

fn with_pages(bytes: u64) -> Image {
    let mut image = alone();
    image.words[header::PAGE] = bytes;
    image
}

#[test]
fn the_rest_of_a_large_page_does_not_fault() {
    let mapped = |page: u64| {
        let mut image = with_pages(page);
        image.add(made(b"/x", 7));
        image.add(ftruncate(7, 4193));
        image.add(mmap(7, 0x10_0000, 65536));
        image
    };
    assert_eq!(only(Kind::MapBeyondEnd, &mapped(4096), &mut Tables::new()).bytes, 65536 - 8192);
    none(Kind::MapBeyondEnd, &mapped(65536), &mut Tables::new());
    let mut image = mapped(65536);
    image.add(mmap(7, 0x20_0000, 65537));
    assert_eq!(only(Kind::MapBeyondEnd, &image, &mut Tables::new()).bytes, 65536);
    // By the kernel's word the same.
    let mut kernel = Tables::new();
    kernel.file("x", 7, 65537);
    none(Kind::MapBeyondEnd, &image, &mut kernel);
    kernel.file("x", 7, 65536);
    only(Kind::MapBeyondEnd, &image, &mut kernel);
}

#[test]
fn an_object_that_shrinks_within_a_large_page() {
    let cut = |page: u64| {
        let mut image = with_pages(page);
        image.add(made(b"/x", 7));
        image.add(ftruncate(7, 131072));
        image.add(mmap(7, 0x10_0000, 131072));
        image.add(ftruncate(7, 65537));
        image
    };
    assert_eq!(only(Kind::MapBeyondEnd, &cut(4096), &mut Tables::new()).bytes, 65536 - 4096);
    none(Kind::MapBeyondEnd, &cut(65536), &mut Tables::new());
}

#[test]
fn an_address_within_the_last_page() {
    for (page, bytes) in [(4096, None), (65536, Some(20480))] {
        let mut image = with_pages(page);
        image.add(got(3));
        image.add(attached(0x10_0000));
        image.add(bad(0x10_5000));
        let draft = only(Kind::BadDetach, &image, &mut Tables::new());
        let into = draft.message.split_once("it is ").map(|(_, rest)| rest.split_once(' ').unwrap().0.parse().unwrap());
        assert_eq!(into, bytes, "{}", draft.message);
    }
}

#[test]
fn a_mapping_that_grows_by_a_large_page() {
    // Of 4096 bytes were asked for, a whole page is mapped, and 65536 are the same as 4096.
    for (page, held) in [(4096, 65536), (65536, 131072)] {
        let mut image = with_pages(page);
        image.add(made(b"/x", 7));
        image.add(ftruncate(7, 131072));
        image.add(mmap(7, 0x10_0000, 4096));
        let args = args([0x10_0000, 65536, 131072, 1]);
        image.add(Event { ret: 0x20_0000, args, object: posix(7), ..event(Call::Mremap) });
        image.add(munmap(0x20_0000, 65536));
        let ledger = Ledger::replay(&image.sources(), |_, _, _| {});
        let left: u64 = ledger.live(0, 100).unwrap().ranges.iter().map(|(start, piece)| piece.end - start).sum();
        assert_eq!(left, held - 65536, "{page}");
    }
}

#[test]
fn a_shmat_between_large_pages_says_nothing_of_its_segment() {
    for (page, found) in [(4096, 1), (65536, 0)] {
        let mut image = with_pages(page);
        image.add(got(3));
        image.add(removed(3));
        image.add(Event { args: args([3, 0x11000, 0]), object: ObjectId::sysv(3), ..failed(Call::Shmat, 22) });
        assert_eq!(of(Kind::UseAfterRemove, &image, &mut Tables::new(), LAST).len(), found, "{page}");
    }
}

#[test]
fn limits_are_counted_in_the_kernels_pages() {
    let mut image = with_pages(65536);
    image.add(got(3));
    let mut kernel = Tables::new();
    kernel.segment(segment());
    kernel.segment(Segment { shmid: 9, size: 65537, cpid: 55, ..segment() });
    kernel.settings.insert(Setting::Shmall, 4);
    let asked = Event { args: args([0, 65537, 0]), ..failed(Call::Shmget, 28) };
    let pages = "kernel.shmall allows all segments 4 pages of 65536 bytes, 2 were asked for and 3 in use.";
    assert_eq!(limit(&mut image, &mut kernel, asked), pages);

    let mut image = with_pages(65536);
    image.process(101, Some(0), END_UNKNOWN);
    image.add(made(b"/x", 7));
    image.add(Event { process: 1, pid: 101, ..mmap(7, 0x10_0000, 1 << 20) });
    let mut kernel = Tables::new();
    kernel.space = Some(Space { dev: 9, bytes: 1 << 20, free: 4096, ..Space::default() });
    assert!(only(Kind::LimitHit, &image, &mut kernel).message.contains("/dev/shm is full"));
}

#[test]
fn a_mapping_held_at_the_end_is_as_long_as_asked_for() {
    for page in [4096, 65536] {
        let mut image = with_pages(page);
        image.add(made(b"/x", 7));
        image.add(ftruncate(7, 4193));
        image.add(mmap(7, 0x10_0000, 4193));
        assert_eq!(only(Kind::MappingAtExit, &image, &mut Tables::new()).bytes, 4193, "{page}");
    }
}
