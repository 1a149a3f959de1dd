//! Files that are damaged, or made to hurt.

use super::super::elf::Elf;
use super::super::{Symbols, name};
use super::{Fake, Room, c_room, whole};
use alloc::format;
use alloc::vec::Vec;
use proptest::prelude::*;

/// Debug information of few bytes that asks for a great deal of work.
#[test]
fn hostile_debug_information() {
    let room = Room::new();
    let head = ".text
.globl main
.type main, @function
main: .fill 16, 1, 0x90
ret
.size main, .-main
.section .debug_abbrev,\"\",@progbits
.byte 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0
.byte 2, 0x2e, 1, 3, 8, 0x11, 1, 0x12, 7, 0, 0
.byte 3, 0x1d, 1, 0, 0
.byte 4, 0x2e, 0, 0x55, 0x17, 0, 0
.byte 5, 0x1d, 1, 0x11, 1, 0x12, 7, 0, 0
.byte 6, 0x2e, 0, 0x31, 0x13, 0x11, 1, 0x12, 7, 0, 0
.byte 0
.section .debug_ranges,\"\",@progbits
.rept 100000
.quad 0, 1
.endr
.quad 0, 0
.section .debug_info,\"\",@progbits
.long 2f-1f
1: .value 4
.long 0
.byte 8, 1
.quad main, 16
";
    for (case, rest) in [
        // Inlined into each other, half a million deep, without and with addresses.
        ".byte 2\n.asciz \"main\"\n.quad main, 16\n.fill 500000, 1, 3\n.fill 500002, 1, 0\n",
        ".byte 2\n.asciz \"main\"\n.quad main, 16\n.rept 100000\n.byte 5\n.quad main, 16\n.endr\n.fill 100002, 1, 0\n",
        // A hundred thousand functions, each with the same hundred thousand ranges.
        ".rept 100000\n.byte 4\n.long 0\n.endr\n.byte 0\n",
        // A function whose name is its own, and one outside of everything.
        "3: .byte 6\n.long 3b-1b+4\n.quad main, 16\n.byte 0\n",
        ".byte 6\n.long 0x7fffffff\n.quad main, 16\n.byte 0\n",
    ]
    .iter()
    .enumerate()
    {
        room.write("a.s", &format!("{head}{rest}2:\n"));
        if !cfg!(target_arch = "x86_64") || room.run("gcc -no-pie a.s -o a").is_none() {
            return;
        }
        let main = room.functions("a")["main"].0;
        let mut symbols = Symbols::new(Fake::default().with("/a", room.read("a")));
        for address in [main, main + 1, main + 15] {
            let frames = symbols.resolve(&whole("/a"), address, true);
            assert!(frames.len() <= 300);
            assert_eq!(frames.last().unwrap().function.as_deref().unwrap_or("main"), "main", "case {case}");
        }
    }
}

/// A compressed section whose header claims another size than it has.
#[test]
fn false_claims_of_compressed_sections() {
    let room = c_room();
    let made = ["gcc -O2 -g -gz=zlib a.c -o zlib", "objcopy --compress-debug-sections=zstd zlib zstd"];
    for (file, made) in ["zlib", "zstd"].iter().zip(made) {
        if room.run(made).is_none() {
            return;
        }
        let outer = room.functions(file)["outer"].0;
        let bytes = room.read(file);
        let at = Elf::parse(&bytes).unwrap().section(".debug_info").unwrap().range.start - 16;
        let claim = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        for other in [claim, 0, 1, claim - 1, claim + 1, 1 << 30, (1 << 30) + 1, 1 << 32, u64::MAX] {
            let mut bytes = bytes.to_vec();
            bytes[at..at + 8].copy_from_slice(&other.to_le_bytes());
            let mut symbols = Symbols::new(Fake::default().with("/a", bytes.into()));
            let frame = symbols.resolve(&whole("/a"), outer, true).last().unwrap();
            assert_eq!(frame.function.as_deref(), Some("outer"));
            assert_eq!(frame.file.is_some(), other == claim, "{file} {other}");
        }
    }
}

/// Real files to damage, with addresses in them.
fn victims() -> Vec<(Vec<u8>, Vec<u64>)> {
    let room = c_room();
    let mut found = Vec::new();
    for options in
        ["-O2 -gdwarf-5", "-O2 -gdwarf-4 -gz=zlib", "-O0 -gdwarf-5 -m32 -nostdlib -static -Wl,-emain", "-s -rdynamic"]
    {
        if room.run(&format!("gcc {options} a.c -o a")).is_some() {
            let functions = room.functions("a");
            let mut addresses: Vec<u64> =
                functions.values().flat_map(|&(start, size)| [start, start + size / 2]).collect();
            addresses.sort_unstable();
            found.push((room.read("a").to_vec(), addresses));
        }
    }
    if room.run("objcopy --compress-debug-sections=zstd a b").is_some() {
        found.push((room.read("b").to_vec(), Vec::from([0x1130, 0x1140])));
    }
    found
}

fn resolve_damaged(bytes: &[u8], addresses: &[u64]) {
    let mut symbols = Symbols::new(Fake::default().with("/a", bytes.into()));
    for &address in addresses {
        assert!(!symbols.resolve(&whole("/a"), address, true).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_costs_names_only(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in prop::option::of(any::<prop::sample::Index>()),
        more in prop::collection::vec(any::<u64>(), 4),
    ) {
        std::thread_local!(static VICTIMS: Vec<(Vec<u8>, Vec<u64>)> = victims());
        VICTIMS.with(|victims| {
            for (bytes, addresses) in victims {
                let mut bytes = bytes.clone();
                for (at, byte) in &flips {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                if let Some(cut) = cut {
                    bytes.truncate(cut.index(bytes.len()));
                }
                resolve_damaged(&bytes, addresses);
                resolve_damaged(&bytes, &more);
            }
        });
    }

    #[test]
    fn any_name_can_be_asked_for(name in prop::collection::vec(any::<u8>(), 0..80), prefix in "_Z|_ZN|_R|_RN|") {
        let mut raw = prefix.into_bytes();
        raw.extend(name);
        name::function(&raw);
    }
}
