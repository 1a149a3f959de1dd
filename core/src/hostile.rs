//! The files of `corpus/`, and what becomes of them by chance: every parser of what others have written returns, in time that
//! grows with the text, and lets no control byte through. `SHMAUDIT_EXECUTIONS` says how often each file is changed.

use std::fs;
use std::path::PathBuf;
use std::prelude::rust_2024::*;
use std::println;
use std::time::{Duration, Instant};

use crate::findings::Kind;
use crate::options::Options;
use crate::procfs;
use crate::suppress::Suppressions;

/// xorshift64: the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    /// One of the texts, changed: bytes set, left out, put in and said again, the end cut off, another's part taken over.
    fn change(&mut self, all: &[Vec<u8>]) -> Vec<u8> {
        const TELLING: &[u8] = b"\0\n\r\t\x1b\x7f\x80\xff :='\"\\%*^$#()-0123456789afx/,.";
        let mut text = all[self.below(all.len())].clone();
        for _ in 0..1 + self.below(8) {
            let at = self.below(text.len() + 1);
            match self.below(6) {
                0 if at < text.len() => text[at] = TELLING[self.below(TELLING.len())],
                1 if at < text.len() => text[at] = self.below(256) as u8,
                2 => drop(text.drain(at..(at + self.below(20)).min(text.len()))),
                3 => {
                    let byte = TELLING[self.below(TELLING.len())];
                    let times = [1, 2, 30, 300][self.below(4)];
                    drop(text.splice(at..at, core::iter::repeat_n(byte, times)));
                }
                4 => {
                    let other = &all[self.below(all.len())];
                    let from = self.below(other.len());
                    let to = (from + self.below(60)).min(other.len());
                    drop(text.splice(at..at, other[from..to].iter().copied()));
                }
                _ => text.truncate(at.max(1)),
            }
        }
        text
    }
}

fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(kind);
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 2);
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn each(kind: &str, parse: impl Fn(&[u8])) {
    let texts = corpus(kind);
    let asked = std::env::var("SHMAUDIT_EXECUTIONS").ok().and_then(|text| text.parse().ok());
    let times = asked.unwrap_or(2000) * texts.len();
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let changed = (0..times).map(|_| chance.change(&texts));
    let mut slowest = Duration::ZERO;
    for text in texts.iter().cloned().chain(changed) {
        let begun = Instant::now();
        parse(&text);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?} for {}", text.escape_ascii());
        slowest = slowest.max(took);
    }
    println!("{kind}: {} executions, the slowest {slowest:?}", times + texts.len());
}

fn is_shown(text: &str) {
    assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{}", text.escape_debug());
}

#[test]
fn options() {
    each("options", |text| {
        let (options, warnings) = Options::parse(text, text.len().is_multiple_of(2));
        warnings.iter().for_each(|warning| is_shown(warning));
        is_shown(&options.help());
        assert!(warnings.len() <= text.len() + 1);
    });
}

#[test]
fn suppressions() {
    const NAMES: [&[u8]; 3] = [b"/PostgreSQL.1", &[b'a'; 500], b"main"];
    each("suppressions", |text| {
        let mut rules = Suppressions::default();
        for mistake in rules.add(text) {
            is_shown(&mistake.message);
        }
        rules.matching(Kind::SysvLeak, NAMES.into_iter());
        rules.matching(Kind::BadDetach, NAMES.into_iter());
    });
}

#[test]
fn kernel_tables() {
    each("procfs", |text| {
        let lines = text.iter().filter(|&&byte| byte == b'\n').count() + 1;
        assert!(procfs::segments(text).count() <= lines);
        assert!(procfs::mappings(text).map(|mapping| mapping.path.to_vec().len()).sum::<usize>() <= text.len());
        assert!(procfs::mounts(text).map(|mount| mount.root.to_vec().len()).sum::<usize>() <= text.len());
        procfs::shm_mount(text);
        procfs::proc_stat(text);
        procfs::proc_status(text);
        procfs::meminfo(text, b"Shmem");
        procfs::fd_link(text);
        procfs::soft_limit(text, b"Max open files");
        assert!(procfs::cmdline(text).count() <= text.len() + 1);
    });
}
