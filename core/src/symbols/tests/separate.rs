//! Debug information in files of their own.

use super::super::{Symbols, elf};
use super::{Fake, Room, brief, c_room, whole};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

fn build_id(room: &Room, file: &str) -> Vec<u8> {
    elf::Elf::parse(&room.read(file)).unwrap().build_id
}

#[test]
fn debug_files() {
    let room = c_room();
    let made = ["gcc -O2 -g -Wl,--build-id=sha1 a.c -o full", "objcopy --only-keep-debug full a.debug"];
    if made.iter().any(|made| room.run(made).is_none()) {
        return;
    }
    room.run("strip full -o bare").unwrap();
    room.run("objcopy --add-gnu-debuglink=a.debug bare linked").unwrap();
    room.run("objcopy --remove-section=.note.gnu.build-id linked linked_only").unwrap();
    room.run("objcopy --remove-section=.note.gnu.build-id a.debug a_only.debug").unwrap();
    let id = build_id(&room, "full");
    assert_eq!(id.len(), 20);
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let by_id = format!("/usr/lib/debug/.build-id/{}/{}.debug", &hex[..2], &hex[2..]);
    let mark = room.functions("full")["mark"].0;
    let named = |files: Fake, id: &[u8]| {
        let mut module = whole("/opt/bin/a");
        module[0].build_id = id.to_vec();
        let mut symbols = Symbols::new(files);
        let frames = brief(symbols.resolve(&module, mark, true));
        (frames.len(), frames[0].0.clone())
    };
    let own = |file: &str| Fake::default().with("/opt/bin/a", room.read(file));
    let debug = room.read("a.debug");
    let found = (3, "inner".to_string());
    let (bare, other) = ((1, String::new()), Rc::<[u8]>::from(&b"\x7FELF other"[..]));
    assert_eq!(named(own("full"), &id), found);
    assert_eq!(named(own("bare"), &id), bare);
    assert_eq!(named(own("bare").with(&by_id, debug.clone()), &id), found);
    assert_eq!(named(own("bare").with(&by_id, debug.clone()), &[]), found);
    for place in ["/opt/bin/a.debug", "/opt/bin/.debug/a.debug", "/usr/lib/debug/opt/bin/a.debug"] {
        assert_eq!(named(own("linked").with(place, debug.clone()), &id), found);
        assert_eq!(named(own("linked").with(place, other.clone()), &id), bare);
        // Without build ids the check sum decides; objcopy's own is that of a.debug as it was.
        assert_eq!(named(own("linked_only").with(place, debug.clone()), &[]), found);
        assert_eq!(named(own("linked_only").with(place, room.read("a_only.debug")), &[]), bare);
    }
    // Another file is at the path now: its names are not taken, but those of the right debug file are.
    let mut wrong = id.clone();
    wrong[5] ^= 1;
    assert_eq!(named(own("full"), &wrong), bare);
    assert_eq!(named(own("full").with("/usr/lib/debug/.build-id/00", debug.clone()), &wrong), bare);
    assert_eq!(named(Fake::default().with(&by_id, debug), &id), found);
    // The record keeps so many bytes of a long id.
    assert_eq!(named(own("full"), &id[..8]), found);
}

/// An entry whose name is in another file, as dwz makes them.
#[test]
fn a_file_shared_by_debug_files() {
    let room = Room::new();
    room.write(
        "shared.s",
        ".section .note.gnu.build-id,\"a\",@note
.long 4, 8, 3
.asciz \"GNU\"
.byte 1, 2, 3, 4, 5, 6, 7, 8
.section .debug_abbrev,\"\",@progbits
.byte 1, 0x3c, 1, 0, 0
.byte 2, 0x2e, 0, 3, 8, 0, 0, 0
.section .debug_info,\"\",@progbits
.long 2f-1f
1: .value 4
.long 0
.byte 8, 1, 2
.asciz \"elsewhere\"
.byte 0
2:\n",
    );
    room.write(
        "a.s",
        ".text
.globl main
.type main, @function
main: ret
.size main, .-main
.section .gnu_debugaltlink,\"\",@progbits
.asciz \"../dwz/shared.debug\"
.byte 1, 2, 3, 4, 5, 6, 7, 8
.section .debug_abbrev,\"\",@progbits
.byte 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0
.byte 2, 0x2e, 0, 0x11, 1, 0x12, 7, 0x31, 0xa0, 0x3e, 0, 0, 0
.section .debug_info,\"\",@progbits
.long 2f-1f
1: .value 4
.long 0
.byte 8, 1
.quad main, 1
.byte 2
.quad main, 1
.long 12
.byte 0
2:\n",
    );
    if !cfg!(target_arch = "x86_64")
        || room.run("gcc -c shared.s -o shared.o").is_none()
        || room.run("gcc -no-pie a.s -o a").is_none()
    {
        return;
    }
    let main = room.functions("a")["main"].0;
    let own = Fake::default().with("/opt/bin/a", room.read("a"));
    for (place, name) in [
        ("/opt/dwz/shared.debug", "elsewhere"),
        ("/usr/lib/debug/.build-id/01/02030405060708.debug", "elsewhere"),
        ("/elsewhere", "main"),
    ] {
        let mut symbols = Symbols::new(own.clone().with(place, room.read("shared.o")));
        assert_eq!(brief(symbols.resolve(&whole("/opt/bin/a"), main, true))[0].0, name, "{place}");
    }
}
