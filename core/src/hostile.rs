//! The files of `corpus/`, and what becomes of them by chance: every parser of what others have written returns, in time and
//! memory that grow with the text, and lets no control byte through. `SHMAUDIT_EXECUTIONS` says how often each file is
//! changed, `SHMAUDIT_SEED` what chance begins with.

mod elf;
mod journals;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::prelude::rust_2024::*;
use std::println;
use std::time::Duration;

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

    /// One of the files, spoiled: bits, bytes, numbers of every width, parts of it elsewhere, another's part, runs of one byte,
    /// cut, and made longer.
    fn spoil(&mut self, all: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = all[self.below(all.len())].clone();
        for _ in 0..1 + self.below(8) {
            let length = bytes.len();
            let at = self.below(length);
            match self.below(9) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2..5 => {
                    let width = [1, 2, 4, 8][self.below(4)];
                    let value = self.telling(length);
                    let at = at / width * width;
                    for (place, byte) in bytes[at..].iter_mut().zip(value.to_le_bytes()).take(width) {
                        *place = byte;
                    }
                }
                5 => {
                    let from = self.below(length);
                    let part: Vec<u8> = bytes[from..(from + self.below(64)).min(length)].to_vec();
                    bytes[at..].iter_mut().zip(part).for_each(|(place, byte)| *place = byte);
                }
                6 => {
                    let other = &all[self.below(all.len())];
                    let from = self.below(other.len());
                    let part = other[from..].iter().take(self.below(400));
                    bytes[at..].iter_mut().zip(part).for_each(|(place, byte)| *place = *byte);
                }
                7 => {
                    let byte = [0, 0xFF, 0x80, 1][self.below(4)];
                    bytes[at..].iter_mut().take(self.below(40)).for_each(|place| *place = byte);
                }
                _ if self.below(4) == 0 => bytes.truncate(at.max(1)),
                _ => bytes.resize(length + self.below(256), 0),
            }
        }
        bytes
    }

    /// A number at which something ends, or any.
    fn telling(&mut self, length: usize) -> u64 {
        let any = (self.below(usize::MAX) as u64).rotate_left(32) ^ self.below(usize::MAX) as u64;
        match self.below(8) {
            0 => self.below(17) as u64,
            1 => length as u64,
            2 => self.below(length) as u64,
            3 => 1 << self.below(64),
            4 => (1u64 << self.below(64)).wrapping_sub(1),
            5 => u64::MAX - self.below(17) as u64,
            6 => 0xFFFF_FFF0 + self.below(32) as u64,
            _ => any,
        }
    }
}

/// The files of a kind.
fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(kind);
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 2);
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Processor time of this thread: what a trial takes, however busy the machine is.
fn spent() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

/// Most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read("/proc/self/status").unwrap_or_default();
    procfs::meminfo(&status, b"VmHWM").unwrap_or(0) / 1024
}

/// Names what was being tried when a test panics.
struct Trying<'a>(&'a str, u64, usize);

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}: execution {} from SHMAUDIT_SEED={}", self.0, self.2, self.1);
        }
    }
}

/// Tries `made` of chance as often as asked, by default `usual` times: each within two seconds and a GiB.
fn tried(kind: &str, usual: usize, mut tries: impl FnMut(&mut Chance)) {
    let times = number("SHMAUDIT_EXECUTIONS").map_or(usual, |asked| asked as usize);
    let seed = number("SHMAUDIT_SEED").unwrap_or(0x9E37_79B9_7F4A_7C15).max(1);
    let mut chance = Chance(seed);
    let mut trying = Trying(kind, seed, 0);
    let mut slowest = Duration::ZERO;
    for time in 0..times {
        trying.2 = time;
        let begun = spent();
        tries(&mut chance);
        let took = spent() - begun;
        // What is not optimised takes its time.
        assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 }), "{took:?}");
        slowest = slowest.max(took);
    }
    assert!(peak() < 1 << 20, "{} KiB", peak());
    println!("{kind}: {times} executions, the slowest {slowest:?}, at most {} KiB", peak());
}

fn each(kind: &str, parse: impl Fn(&[u8])) {
    let texts = corpus(kind);
    texts.iter().for_each(|text| parse(text));
    tried(kind, 2000 * texts.len(), |chance| parse(&chance.change(&texts)));
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
