//! Files with names in them: ELF and DWARF of every make, small, and what becomes of them.

use std::collections::BTreeMap;
use std::prelude::rust_2024::*;
use std::rc::Rc;

use super::{Chance, corpus, tried};
use crate::symbols::{Files, LoadedModule, Symbols};

/// A file and those that it leads to: every path has one of two.
struct Two {
    own: Rc<[u8]>,
    other: Rc<[u8]>,
}

impl Files for Two {
    type Bytes = Rc<[u8]>;
    fn open(&mut self, path: &[u8]) -> Option<Rc<[u8]>> {
        Some(Rc::clone(if path == b"/bin/a" { &self.own } else { &self.other }))
    }
}

/// Looks addresses up: those of the programs of the corpus, and some of chance.
fn look_up(own: &[u8], other: &[u8], chance: &mut Chance, seen: &mut BTreeMap<String, u32>) {
    const CODE: [u64; 4] = [0x40_0100, 0x40_0144, 0x40_0160, 0x804_80D4];
    let mut symbols = Symbols::new(Two { own: own.into(), other: other.into() });
    let module = LoadedModule { path: b"/bin/a".to_vec(), end: u64::MAX, ..LoadedModule::default() };
    let near = CODE.iter().flat_map(|&start| (0..0x40).step_by(7).map(move |step| start + step));
    let far = [chance.telling(own.len()), chance.telling(own.len())];
    for address in near.chain(far) {
        let frames = symbols.resolve(core::slice::from_ref(&module), address, true);
        assert!((1..=300).contains(&frames.len()));
        // Names are as long as the files at most, and escapes of what is in them.
        let longest = 8 * (own.len() + other.len()) + 4096;
        let fits = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= longest);
        assert!(frames.iter().all(|frame| fits(&frame.function) && fits(&frame.file)));
        for function in frames.iter().filter_map(|frame| frame.function.clone()) {
            *seen.entry(function).or_default() += 1;
        }
    }
}

#[test]
fn files_with_names() {
    let files = corpus("elf");
    let mut chance = Chance(1);
    let mut seen = BTreeMap::new();
    for file in &files {
        look_up(file, &files[0], &mut chance, &mut seen);
    }
    // What is tried is what real files are made of.
    for name in ["inner", "middle", "outer", "_start", "ns::box<long>::times(long)"] {
        assert!(seen.contains_key(name), "{name}: {seen:?}");
    }
    tried("elf", 200 * files.len(), |chance| {
        let (own, other) = (chance.spoil(&files), chance.spoil(&files));
        look_up(&own, &other, chance, &mut BTreeMap::new());
    });
}
