//! Stored records of processes and of their files, made fewer: what can still be asked for stays.
//!
//! That is who made an object that nobody has removed, who runs, and those whose images these share by fork: their names
//! and files are what the stacks of a leak are named from.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use shmaudit_core::layout::{module, process};
use shmaudit_core::reader::Reader;

use super::store::create;
use super::{Mapped, PROCESSES, Recorder};

/// A process: its slot and its pid.
type Who = (u64, u64);

/// Processes whose records stay.
pub struct Known(HashSet<Who>);

/// What became of a file.
pub struct Shorter {
    /// The new one, to be written on.
    pub file: File,
    /// Its bytes.
    pub bytes: u64,
    /// Of these, what was needed.
    pub needed: u64,
    /// Records that are gone.
    pub dropped: u64,
}

fn word(record: &[u8], word: usize) -> u64 {
    record.get(word * 8..word * 8 + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The process of a stored record, and the one whose image it shares.
fn process_of(record: &[u8]) -> (Who, Option<Who>) {
    let pids = word(record, process::PID);
    let parent = word(record, process::PARENT).checked_sub(1).map(|slot| (slot, pids >> 32));
    (((word(record, process::STATE) >> 32).saturating_sub(1), pids & 0xFFFF_FFFF), parent)
}

impl Known {
    /// By the recorder and what is stored in the directory.
    pub fn of(recorder: &Recorder, directory: &Path) -> io::Result<Known> {
        let stored = Mapped::beside(directory, PROCESSES)?;
        let mut parents: HashMap<Who, Who> = HashMap::new();
        for record in stored.bytes().chunks_exact(process::BYTES) {
            let (who, parent) = process_of(record);
            parents.extend(parent.map(|parent| (who, parent)));
        }
        let mut needed: Vec<Who> = Vec::new();
        let Ok(reader) = Reader::new(recorder) else { return Ok(Known(HashSet::new())) };
        reader.objects(|event| needed.push((u64::from(event.process), u64::from(event.pid))));
        for record in reader.processes() {
            let who = (u64::from(record.slot), u64::from(record.pid));
            parents.extend(record.parent.map(|parent| (who, (u64::from(parent), u64::from(record.ppid)))));
            if record.state == process::STATE_LIVE {
                needed.push(who);
            }
        }
        let mut known = HashSet::new();
        while let Some(who) = needed.pop() {
            if known.insert(who) {
                needed.extend(parents.get(&who));
            }
        }
        Ok(Known(known))
    }

    /// Whether a process's record must stay.
    pub fn needs_process(&self, record: &[u8]) -> bool {
        self.0.contains(&process_of(record).0)
    }

    /// When the process of a record began, in the recorder's ticks.
    pub fn began(record: &[u8]) -> u64 {
        word(record, process::STARTED)
    }

    /// Whether a file's must.
    pub fn needs_module(&self, record: &[u8]) -> bool {
        let state = word(record, module::STATE);
        self.0.contains(&(u64::from((state >> 8) as u16), state >> 32))
    }
}

/// Writes the file anew, in place of what was there: of its records, each of so many bytes, those that are needed, and of the
/// others the last, as long as all of it is at most `most` bytes. `goes` sees each that is not.
pub fn shorten(
    directory: &Path,
    name: &str,
    record: usize,
    most: u64,
    is_needed: impl Fn(&[u8]) -> bool,
    mut goes: impl FnMut(&[u8]),
) -> io::Result<Shorter> {
    let old = Mapped::beside(directory, name)?;
    let records = old.bytes().chunks_exact(record);
    let all = records.len() as u64;
    let needed = records.clone().filter(|record| is_needed(record)).count() as u64;
    let others = all - needed;
    let mut going = others - others.min((most / record as u64).saturating_sub(needed));
    let dropped = going;
    let new = directory.join(format!("{name}.new"));
    let _ = fs::remove_file(&new);
    let file = create(&new)?;
    let mut out = BufWriter::new(&file);
    for record in records {
        if going > 0 && !is_needed(record) {
            going -= 1;
            goes(record);
            continue;
        }
        out.write_all(record)?;
    }
    out.flush()?;
    drop(out);
    fs::rename(&new, directory.join(name))?;
    let size = |records: u64| records * record as u64;
    Ok(Shorter { file, bytes: size(all - dropped), needed: size(needed), dropped })
}
