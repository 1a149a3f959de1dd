//! `limit-hit`: each limit where it explains a failure, and where it does not.

use super::drafts::*;
use super::*;
use crate::kernel::{Resource, Setting, Space};

/// The reason that a `limit-hit` of this one record gives.
pub(super) fn limit(image: &mut Image, kernel: &mut Tables, event: Event<'static>) -> String {
    image.add(event);
    let all = of(Kind::LimitHit, image, kernel, LAST);
    let draft = all.into_iter().max_by_key(|draft| draft.event.unwrap().order).unwrap();
    draft.message.split_once("prog[100]: ").unwrap().1.into()
}

#[test]
fn limits_of_segments() {
    let ask = |size: u64, errno: i32| Event { args: args([0, size, 0]), ..failed(Call::Shmget, errno) };
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(3));
    kernel.segment(segment());
    kernel.segment(Segment { shmid: 9, size: 4097, cpid: 55, ..segment() });
    let unknown = limit(&mut image, &mut kernel, ask(4096, 28));
    assert_eq!(
        unknown,
        "the most segments (kernel.shmmni) or pages of them (kernel.shmall) were reached, and 1 was this tree's."
    );
    kernel.settings.insert(Setting::Shmmni, 2);
    kernel.settings.insert(Setting::Shmall, 5);
    let mut ask_again = |size: u64| limit(&mut alone_with_one(), &mut kernel, ask(size, 28));
    assert_eq!(ask_again(4096), "kernel.shmmni allows 2 segments, and 1 was this tree's.");
    let pages = "kernel.shmall allows all segments 5 pages of 4096 bytes, 2 were asked for and 4 in use.";
    assert_eq!(ask_again(4097), pages);
    kernel.settings.insert(Setting::Shmmni, 4096);
    let either = "kernel.shmmni allows 4096 segments and kernel.shmall 5 pages for all of them; one was reached, and 1 was this tree's.";
    assert_eq!(limit(&mut alone_with_one(), &mut kernel, ask(4096, 28)), either);
    // shmmax is told by EINVAL, which can be told by other things.
    let mut image = alone();
    image.add(ask(4096, 22));
    image.add(ask(0, 22));
    kernel.settings.insert(Setting::Shmmax, 4096);
    none(Kind::LimitHit, &image, &mut kernel);
    assert_eq!(limit(&mut alone(), &mut kernel, ask(4097, 22)), "kernel.shmmax allows a segment 4096 bytes.");
}

fn alone_with_one() -> Image {
    let mut image = alone();
    image.add(got(3));
    image
}

#[test]
fn huge_pages_are_another_limit_than_memory() {
    const HUGE: u64 = 0o4000;
    let ask = |flags: u64| Event { args: args([0, 4096, flags]), ..failed(Call::Shmget, 12) };
    let (mut image, mut kernel) = (alone(), Tables::new());
    let unknown = "the system has not set aside enough huge pages of this size (/sys/kernel/mm/hugepages).";
    assert_eq!(limit(&mut alone(), &mut kernel, ask(HUGE)), unknown);
    kernel.settings.insert(Setting::NrHugepages, 0);
    let none = "vm.nr_hugepages sets 0 huge pages aside for the whole system.";
    assert_eq!(limit(&mut image, &mut kernel, ask(HUGE)), none);
    assert_eq!(limit(&mut alone(), &mut kernel, ask(HUGE | 30 << 26)), unknown);
    assert!(limit(&mut alone(), &mut kernel, ask(0)).starts_with("the machine had not enough memory"));
    // Who goes on without has met what is to be expected.
    assert_eq!(only(Kind::LimitHit, &image, &mut kernel).severity, Severity::Warning);
    image.add(Event { pid: 101, process: 1, ..got(3) });
    assert_eq!(only(Kind::LimitHit, &image, &mut kernel).severity, Severity::Warning, "that was another process");
    image.add(got(4));
    assert_eq!(only(Kind::LimitHit, &image, &mut kernel).severity, Severity::Note);
}

#[test]
fn limits_of_a_process() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    kernel.limits.insert((100, Resource::OpenFiles), 16);
    image.add(made(b"/x", 7));
    for fd in 4..7 {
        image.add(Event { ret: fd, flags: 0, frames: &[0x12], ..made(b"/x", 7) });
    }
    image.add(Event { data: b"/x", args: &[2, 0], ..failed(Call::ShmOpen, 24) });
    let draft = only(Kind::LimitHit, &image, &mut kernel);
    let message = "shm_open failed with EMFILE in prog[100]: RLIMIT_NOFILE allows the process 16 descriptors, and 4 were of \
                   shared memory.";
    assert_eq!(draft.message, message);
    assert_eq!((draft.related[0].0, draft.related[0].1.order), ("most held", 5), "{:?}", draft.related);
    let map = Event { args: &[0, 8192, 3, 1, 3, 0], object: posix(7), ..failed(Call::Mmap, 12) };
    let mut none_known = Tables::new();
    let unknown = limit(&mut image, &mut none_known, map);
    assert_eq!(unknown, "its addresses (RLIMIT_AS), its mappings (vm.max_map_count) or memory had run out.");
    kernel.limits.insert((100, Resource::AddressSpace), 1 << 20);
    image.add(mmap(7, 0x10000, 0x4000));
    let addresses = limit(&mut image, &mut kernel, Event { frames: &[0x79], ..map });
    let expected =
        "RLIMIT_AS allows the process 1048576 bytes (1.0 MiB) of addresses; it had 1 piece of 16384 bytes mapped then.";
    assert_eq!(addresses, expected);
    kernel.settings.insert(Setting::MaxMapCount, 1);
    let mappings = limit(&mut image, &mut kernel, Event { frames: &[0x7a], ..map });
    assert!(mappings.starts_with("vm.max_map_count allows a process 1 mappings; it had"), "{mappings}");
    kernel.limits.insert((100, Resource::LockedMemory), 8192);
    let lock = Event { args: &[3, 11, 0], object: ObjectId::sysv(3), ..failed(Call::Shmctl, 12) };
    assert_eq!(limit(&mut image, &mut kernel, lock), "RLIMIT_MEMLOCK allows the process 8192 bytes.");
    kernel.limits.insert((100, Resource::FileSize), 4096);
    let long = Event { args: &[3, 8192], object: posix(7), ..failed(Call::Ftruncate, 27) };
    assert_eq!(limit(&mut image, &mut kernel, long), "RLIMIT_FSIZE allows the process 4096 bytes.");
    // A process that has ended has no limits any more.
    assert_eq!(
        of(Kind::LimitHit, &image, &mut kernel, None)
            .iter()
            .filter(|draft| draft.message.contains("allows the"))
            .count(),
        0
    );
}

#[test]
fn limits_of_the_mount() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/x", 7));
    image.add(ftruncate(7, 4096));
    let full = Event { args: &[3, 0, 0, 1 << 20], object: posix(7), ..failed(Call::Fallocate, 28) };
    assert_eq!(limit(&mut image, &mut kernel, full), "/dev/shm is full.");
    kernel.space = Some(Space { dev: 9, bytes: 65536, free: 8192, files: 10, free_files: 0 });
    let draft = only(Kind::LimitHit, &image, &mut kernel);
    let message = "fallocate of 1048576 bytes (1.0 MiB) of /x failed with ENOSPC in prog[100]: /dev/shm holds 65536 bytes in all, of \
                   which 8192 bytes are free now, and this tree's objects had 4096 bytes.";
    assert_eq!((draft.message.as_str(), draft.related[0].0), (message, "most held"));
    let open = Event { data: b"/y", args: &[0o102, 0o600], ..failed(Call::ShmOpen, 28) };
    assert_eq!(limit(&mut image, &mut kernel, open), "/dev/shm has room for 10 files, and 1 was of this tree's.");
    // Other failures are no limits.
    let mut image = alone();
    image.add(Event { data: b"/y", ..failed(Call::ShmOpen, 13) });
    image.add(Event { args: &[3], object: posix(7), ..failed(Call::Dup, 9) });
    none(Kind::LimitHit, &image, &mut kernel);
}

#[test]
fn ended_while_the_mount_was_full() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.process(101, Some(0), END_UNKNOWN);
    image.add(made(b"/x", 7));
    image.add(ftruncate(7, 1 << 20));
    image.add(Event { process: 1, pid: 101, ..mmap(7, 0x10000, 1 << 20) });
    kernel.space = Some(Space { dev: 9, bytes: 65536, free: 0, ..Space::default() });
    let draft = only(Kind::LimitHit, &image, &mut kernel);
    let message = "prog[101] ended without a word while it had 1048576 bytes (1.0 MiB) of /x mapped, and /dev/shm is full, with 65536 \
                   bytes in all: a touch of a page for which there is no room ends a process with SIGBUS.";
    assert_eq!((draft.message.as_str(), draft.bytes, draft.event.unwrap().call), (message, 1 << 20, Call::Mmap));
    kernel.alive.insert(101);
    assert!(of(Kind::LimitHit, &image, &mut kernel, None).is_empty(), "it runs");
    kernel.alive.clear();
    kernel.space = Some(Space { dev: 9, bytes: 65536, free: 4096, ..Space::default() });
    none(Kind::LimitHit, &image, &mut kernel);
    kernel.space = Some(Space { dev: 10, bytes: 65536, free: 0, ..Space::default() });
    none(Kind::LimitHit, &image, &mut kernel);
    kernel.space = Some(Space { dev: 9, bytes: 65536, free: 0, ..Space::default() });
    image.set(1, crate::layout::process::END, END_EXIT);
    none(Kind::LimitHit, &image, &mut kernel);
}
