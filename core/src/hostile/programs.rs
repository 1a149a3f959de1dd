//! Programs that somebody is about to run: what is asked of their files, of any that chance makes of real ones, which may also
//! go on for ever.

use core::cell::Cell;
use std::prelude::rust_2024::*;
use std::vec;

use super::{corpus, tried};
use crate::program::{Bytes, MOST_NEEDED, Program, program};

/// A file that ends with what it has, or goes on with one byte as far as anybody asks.
struct Any {
    bytes: Vec<u8>,
    on: Option<u8>,
    read: Cell<usize>,
    reads: Cell<usize>,
}

impl Bytes for Any {
    fn at(&self, offset: u64, most: usize) -> Vec<u8> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let own = self.bytes[from..].iter().take(most).copied();
        let found: Vec<u8> = match self.on {
            Some(byte) => own.chain(core::iter::repeat(byte)).take(most).collect(),
            None => own.collect(),
        };
        self.read.set(self.read.get() + found.len());
        self.reads.set(self.reads.get() + 1);
        found
    }
}

#[test]
fn programs() {
    /// Bytes of one program's headers and names.
    const MOST_READ: usize = (1 << 20) + MOST_NEEDED * 4096;
    let files = corpus("programs");
    let any = |bytes: Vec<u8>, on| Any { bytes, on, read: Cell::new(0), reads: Cell::new(0) };
    let seen: Vec<Option<Program>> = files.iter().map(|file| program(&any(file.clone(), None))).collect();
    let needs = |names: [&str; 2]| {
        let needed = names.map(|name| name.as_bytes().to_vec()).to_vec();
        Some(Program::Elf64 { interpreted: true, needed })
    };
    let alone = Some(Program::Elf64 { interpreted: false, needed: vec![] });
    let wanted = [
        Some(Program::Elf32),
        needs(["libasan.so.8", "libc.so.6"]),
        needs(["libc.so.6", "libtsan.so.2"]),
        None,
        alone.clone(),
        alone,
    ];
    assert_eq!(seen, wanted);
    tried("programs", 5000 * files.len(), |chance| {
        let on = [None, Some(0), Some(1), Some(b'a'), Some(0xFF)][chance.below(5)];
        let file = any(chance.spoil(&files), on);
        if let Some(Program::Elf64 { interpreted, needed }) = program(&file) {
            assert!(interpreted || needed.is_empty());
            assert!(needed.len() <= MOST_NEEDED && needed.iter().all(|name| name.len() < 4096 && !name.contains(&0)));
        }
        assert!(file.read.get() <= MOST_READ && file.reads.get() <= MOST_NEEDED + 3, "{} bytes", file.read.get());
    });
}
