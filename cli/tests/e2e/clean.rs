//! What a program left behind: found by comparing the kernel's tables before and after, removed, and told.
//!
//! Only what is provably the program's is touched: names and keys that stand in its source, and segments that its own
//! process created, or that a report names with their maker.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{Ended, Run};
use crate::trial::Stop;
use crate::{place, sys};

const SHM: &str = "/dev/shm";
/// All scenarios' keys begin with this, each scenario's own with the same first 28 bits.
const KEYS: &str = "0x5a4d";

/// An object or segment that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// The name with a leading slash, escaped as in `.expect` files; the key; or `IPC_PRIVATE`.
    pub label: String,
    /// Bytes.
    pub size: u64,
}

struct Segment {
    key: i32,
    shmid: i32,
    size: u64,
    creator: u32,
}

/// The right to run a program of this name, whose objects no other trial and no other test run makes meanwhile.
pub struct Turn {
    source: Vec<u8>,
    name: String,
    _held: File,
}

impl Turn {
    /// Waits for it. What an earlier, killed run left under the program's names is removed.
    pub fn take(source: &Path) -> Result<Turn, Stop> {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let turn = Turn { source: fs::read(source)?, _held: place::turn(source)?, name };
        turn.remove(&BTreeSet::new(), &BTreeSet::new(), 0);
        Ok(turn)
    }

    /// Runs a program made of the source, and removes what it left.
    pub fn run(&self, run: Run) -> Result<(Ended, BTreeSet<Left>), Stop> {
        let names: BTreeSet<PathBuf> = objects().into_iter().collect();
        let shmids: BTreeSet<i32> = segments().iter().map(|segment| segment.shmid).collect();
        let mut creator = 0;
        let ended = run.end_of(&mut creator);
        let left = self.remove(&names, &shmids, creator);
        Ok((ended?, left))
    }

    /// Whether the last part of a path under the shm mount is the program's by its name.
    fn owns(&self, name: &[u8]) -> bool {
        let own = format!("shmaudit-{}", self.name);
        name.strip_prefix(own.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'-')))
    }

    /// Whether a name stands in the source as it is.
    fn mentions(&self, name: &[u8]) -> bool {
        let quoted = [b"\"", name, b"\""].concat();
        let rooted = [b"\"/", name, b"\""].concat();
        contains(&self.source, &quoted) || contains(&self.source, &rooted)
    }

    fn owns_key(&self, key: i32) -> bool {
        let text = String::from_utf8_lossy(&self.source);
        let keys =
            text.match_indices(KEYS).filter_map(|(at, _)| u32::from_str_radix(text.get(at + 2..at + 10)?, 16).ok());
        keys.map(|own| own >> 4).any(|own| own == key as u32 >> 4)
    }

    fn remove(&self, names: &BTreeSet<PathBuf>, shmids: &BTreeSet<i32>, creator: u32) -> BTreeSet<Left> {
        let mut left = BTreeSet::new();
        for path in objects() {
            let name = path.file_name().unwrap_or_default().as_bytes();
            let ours = self.owns(name) || creator != 0 && self.mentions(name);
            if ours && !names.contains(&path) {
                let size = fs::symlink_metadata(&path).map_or(0, |facts| facts.size());
                left.insert(Left { label: escaped(&[b"/", name].concat()), size });
                let _ = fs::remove_file(&path);
            }
        }
        for segment in segments() {
            let ours = self.owns_key(segment.key) || creator != 0 && segment.creator == creator;
            if ours && !shmids.contains(&segment.shmid) {
                let label = if segment.key == 0 { "IPC_PRIVATE".to_string() } else { format!("{:#010x}", segment.key) };
                left.insert(Left { label, size: segment.size });
                sys::remove_segment(segment.shmid);
            }
        }
        left
    }
}

/// Removes the segments of a report that still are there, made by the process that it names: those that a program's children
/// left without a key.
pub fn remove_told(report: &Value) {
    let objects = report["objects"].as_array();
    let told = |segment: &Segment| {
        objects.into_iter().flatten().any(|object| {
            object["shmid"] == segment.shmid
                && object["created"]["pid"] == segment.creator
                && object["key"] == "IPC_PRIVATE"
        })
    };
    for segment in segments().into_iter().filter(|segment| segment.key == 0 && told(segment)) {
        sys::remove_segment(segment.shmid);
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn objects() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(SHM) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// /proc/sysvipc/shm: key shmid perms size cpid …
fn segments() -> Vec<Segment> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segment = |line: &str| {
        let mut words = line.split_whitespace();
        let mut word = || words.next();
        let (key, shmid) = (word()?.parse::<i32>().ok()?, word()?.parse().ok()?);
        let _perms = word()?;
        Some(Segment { key, shmid, size: word()?.parse().ok()?, creator: word()?.parse().ok()? })
    };
    table.lines().skip(1).filter_map(segment).collect()
}

/// A name as strace would print it.
pub fn escaped(name: &[u8]) -> String {
    let mut room = [0; 4096];
    let mut line = shmaudit_core::line::Line::new(&mut room);
    shmaudit_core::words::escaped(&mut line, name);
    String::from_utf8_lossy(line.as_bytes()).into_owned()
}
