//! What a process still holds when it ends.

use super::*;

#[test]
fn held_at_a_normal_exit() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(made(b"/x", 7));
    image.add(Event { args: &[3, 4641], object: posix(7), ..event(Call::Ftruncate) });
    image.add(Event {
        ret: 0x7000,
        args: &[0, 4641, 3, 1, 3, 0],
        object: posix(7),
        frames: &[0x44],
        ..event(Call::Mmap)
    });
    image.add(Event { data: b"/x", ..event(Call::ShmUnlink) });
    kernel.fds.insert(100, std::vec![FdFacts { fd: 3, dev: 9, ino: 7, size: 4641 }]);
    kernel.maps.insert(100, "7000-9000 rw-s 00000000 00:09 7   /dev/shm/x (deleted)\n".into());
    let all = told(&image, &mut kernel, LAST);
    assert_eq!(
        all,
        [
            (
                "fd-at-exit",
                "note",
                1,
                4641,
                "descriptor 3 of /x, 4641 bytes, was still open when prog[100] exited.".into()
            ),
            (
                "mapping-at-exit",
                "note",
                1,
                4641,
                "1 mapping of /x, 4641 bytes, was still there when prog[100] exited.".into()
            ),
        ]
    );
    // Closed inside libc, unmapped by somebody else: the kernel knows.
    kernel.fds.insert(100, std::vec![FdFacts { fd: 3, dev: 9, ino: 8, size: 1 }]);
    kernel.maps.insert(100, "7000-9000 rw-s 00000000 00:09 8   /dev/shm/y\n".into());
    assert!(told(&image, &mut kernel, LAST).is_empty());
    kernel.fds.clear();
    kernel.maps.clear();
    assert!(told(&image, &mut kernel, LAST).iter().all(|(.., message)| message.contains("not confirmed")));
    // In the middle of its life, or not by itself, it holds what it holds.
    assert!(told(&image, &mut kernel, Some(Concluding { slot: 0, pid: 100, exiting: false })).is_empty());
    assert_eq!(told(&image, &mut kernel, None).len(), 2);
    for end in [END_EXEC, END_UNKNOWN] {
        image.set(0, crate::layout::process::END, end);
        assert!(told(&image, &mut kernel, None).is_empty());
    }
}

#[test]
fn of_several_the_first_is_named() {
    // The first is mapped above the second, as the kernel does it, or below it.
    for addresses in [[0x9000, 0x5000], [0x5000, 0x9000]] {
        let mut image = Image::new();
        image.process(100, None, END_EXIT);
        for ((name, ino), address) in [(&b"/one"[..], 7), (b"/two", 8)].into_iter().zip(addresses) {
            image.add(made(name, ino));
            image.add(Event { args: &[3, 4096], object: posix(ino), ..event(Call::Ftruncate) });
            let map = Event { ret: address, args: &[0, 4096, 3, 1, 3, 0], frames: &[0x44], ..event(Call::Mmap) };
            image.add(Event { object: posix(ino), ..map });
            image.add(Event { args: &[3], object: posix(ino), ..event(Call::Close) });
            image.add(Event { data: name, ..event(Call::ShmUnlink) });
        }
        let said = told(&image, &mut Tables::new(), None);
        assert!(said[0].4.starts_with("2 mappings of /one and others, 8192 bytes in all,"), "{addresses:x?}: {said:?}");
    }
}

#[test]
fn the_first_shmid_of_a_namespace() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(0));
    image.add(Event { object: ObjectId::sysv(0), ..attached(0x7000) });
    image.add(removed(0));
    kernel.attachment(100, 0x7000, 0x9000, 0x11, 0);
    kernel.segment(Segment { shmid: 0, lpid: 100, ..doomed(1) });
    assert_eq!(one(&image, &mut kernel, LAST).0, "attach-at-exit");
    kernel.maps.clear();
    assert_eq!(one(&image, &mut kernel, LAST).0, "attach-at-exit", "by the records");
}

#[test]
fn a_habit_is_a_warning() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    image.add(got(3));
    for page in 0..9 {
        image.add(attached(0x10000 + page * 0x4000));
        kernel.attachment(100, 0x10000 + page * 0x4000, 0x12000 + page * 0x4000, 0x11, 3);
    }
    image.add(removed(3));
    kernel.segment(doomed(9));
    let message =
        "9 attachments of segment 0x00000011 (shmid 3), 38025 bytes in all, were still there when prog[100] exited.";
    assert_eq!(one(&image, &mut kernel, LAST), ("attach-at-exit", "warning", 9, 9 * 4225, message.into()));
    // A part of one that was unmapped is counted as what is left.
    image.add(Event { args: &[0x10000, 0x1000], ..event(Call::Munmap) });
    kernel.attachment(100, 0x11000, 0x12000, 0x11, 3);
    assert_eq!(one(&image, &mut kernel, LAST).3, 8 * 4225 + 4096);
}

#[test]
fn what_a_child_inherited_is_its_parents() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.process(101, Some(0), END_EXIT);
    image.add(got(3));
    image.add(attached(0x10000));
    image.add(Event { ret: 101, ..event(Call::Fork) });
    image.add(Event { process: 1, pid: 101, args: &[77, 2, 0], errno: 22, ret: -1, ..event(Call::Shmctl) });
    image.add(Event { args: &[0x10000], ..event(Call::Shmdt) });
    image.add(removed(3));
    assert!(told(&image, &mut Tables::new(), None).is_empty());
}
