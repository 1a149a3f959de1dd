//! What the recorder has no room for is stored in time: the ring's units before they are written over, records of ended
//! processes and of their files before their places are used again.
//!
//! Nothing is stored before it is needed: the last turn of the ring is always read in the recorder itself, so that a
//! record that ends late has its end there. And nothing grows without a bound: of calls the latest are kept, of processes
//! and their files those that can still be asked for and then the latest. What goes is counted in the recorder's header.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use shmaudit_core::layout::{Region, header, module, process};
use shmaudit_core::record::UNIT_WORDS;

use super::shorten::{Known, shorten};
use super::{MODULES, PROCESSES, Recorder, UNITS};

/// Bytes of a unit.
const UNIT: u64 = UNIT_WORDS as u64 * 8;
/// Units that are written at once.
const PART: u64 = 4096;
/// Module records at the end of the table that may still be being written.
const YOUNG_MODULES: u64 = 64;

/// Records of a table that are stored, one after another.
struct Records {
    name: &'static str,
    file: Option<File>,
    /// Bytes that are in it.
    bytes: u64,
    /// Bytes from which it is made shorter, and what it then has at least.
    most: u64,
    least: u64,
}

impl Records {
    fn new(name: &'static str, most: u64) -> Records {
        Records { name, file: None, bytes: 0, most, least: 0 }
    }

    fn add(&mut self, directory: &Path, records: &[u8]) -> io::Result<()> {
        open(&mut self.file, directory, self.name)?.write_all_at(records, self.bytes)?;
        self.bytes += records.len() as u64;
        Ok(())
    }

    /// Whether it has become too long. What cannot go is not looked through again before there is as much once more.
    fn is_too_long(&self) -> bool {
        self.bytes > self.most.max(2 * self.least)
    }

    /// Drops what is not needed, the oldest first, until half of the room is left. How many records went.
    fn shorten(
        &mut self,
        directory: &Path,
        record: usize,
        is_needed: impl Fn(&[u8]) -> bool,
        goes: impl FnMut(&[u8]),
    ) -> io::Result<u64> {
        let shorter = shorten(directory, self.name, record, self.most / 2, is_needed, goes)?;
        (self.file, self.bytes, self.least) = (Some(shorter.file), shorter.bytes, shorter.needed);
        Ok(shorter.dropped)
    }
}

/// Where it is stored.
pub struct Store {
    directory: PathBuf,
    units: Option<File>,
    /// Units that their file has room for: the one of position p is at p modulo that.
    room: u64,
    processes: Records,
    modules: Records,
    /// Why storing does not work any more.
    refused: Option<io::Error>,
}

impl Store {
    /// In a session's directory, and there at most so many bytes: half of them for calls, a quarter each for processes and
    /// for the files that they had loaded.
    pub fn new(directory: &Path, most: u64, recorder: &Recorder) -> Store {
        let room = (most / 2 / (PART * UNIT)).max(1) * PART;
        recorder.set(header::STORED_UNITS, room);
        Store {
            directory: directory.to_path_buf(),
            units: None,
            room,
            processes: Records::new(PROCESSES, most / 4),
            modules: Records::new(MODULES, most / 4),
            refused: None,
        }
    }

    /// Stores what has become old. How full the ring's unstored part had become, in 256ths: when to come again.
    pub fn tick(&mut self, recorder: &Recorder) -> u64 {
        let full = self.units(recorder);
        let stored = self.processes(recorder).and_then(|()| self.modules(recorder));
        let stored = stored.and_then(|()| self.shorten(recorder));
        self.note(stored);
        full
    }

    /// What went wrong, said once.
    pub fn refusal(&mut self) -> Option<io::Error> {
        self.refused.take()
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.refused = Some(error);
        }
    }

    fn units(&mut self, recorder: &Recorder) -> u64 {
        let ring = recorder.region(Region::Ring);
        let units = (ring.len() / UNIT_WORDS) as u64;
        let head = recorder.get(header::HEAD);
        let mut from = recorder.get(header::DRAINED);
        let full = (head - from.min(head)) * 256 / units;
        // A quarter of the ring stays for records that have no end yet.
        let until = head.saturating_sub(units / 4) / PART * PART;
        while from < until {
            // What has been written over while nobody came; and what is about to be.
            let whole = recorder.get(header::HEAD).saturating_sub(units - PART);
            if from < whole {
                let skipped = (whole - from).next_multiple_of(PART);
                recorder.at(header::UNITS_LOST).fetch_add(skipped, Ordering::Relaxed);
                from += skipped;
                recorder.set(header::DRAINED, from);
                continue;
            }
            let at = (from % units) as usize * UNIT_WORDS;
            let part = bytes(&ring[at..at + PART as usize * UNIT_WORDS]);
            // Who reads meanwhile is told before it is written over.
            let kept = (from + PART).saturating_sub(self.room);
            recorder.at(header::KEPT_FROM).fetch_max(kept, Ordering::AcqRel);
            let place = from % self.room * UNIT;
            let stored = open(&mut self.units, &self.directory, UNITS).and_then(|file| file.write_all_at(&part, place));
            if stored.is_err() {
                recorder.at(header::UNITS_LOST).fetch_add(PART, Ordering::Relaxed);
                self.note(stored);
            }
            from += PART;
            recorder.at(header::DRAINED).store(from, Ordering::Release);
        }
        full
    }

    /// From half a table on, those that have ended.
    fn processes(&mut self, recorder: &Recorder) -> io::Result<()> {
        const WORDS: usize = process::BYTES / 8;
        let table = recorder.region(Region::Processes);
        let room = table.len() / WORDS;
        let used = usize::try_from(recorder.get(header::PROCESSES)).unwrap_or(room).min(room);
        if used < room / 2 {
            return Ok(());
        }
        for (slot, record) in table.chunks_exact(WORDS).take(used).enumerate() {
            let state = &record[process::STATE];
            if state.load(Ordering::Acquire) != process::STATE_ENDED {
                continue;
            }
            let mut bytes = bytes(record);
            let stored = process::STATE_ENDED | (slot as u64 + 1) << 32;
            bytes[..8].copy_from_slice(&stored.to_le_bytes());
            self.processes.add(&self.directory, &bytes)?;
            state.store(process::STATE_SAVED, Ordering::Release);
        }
        Ok(())
    }

    /// From half a table on, all but the youngest.
    fn modules(&mut self, recorder: &Recorder) -> io::Result<()> {
        const WORDS: usize = module::BYTES / 8;
        let table = recorder.region(Region::Modules);
        let room = (table.len() / WORDS) as u64;
        let saved = recorder.get(header::MODULES_SAVED);
        // Beyond the room records found no place.
        let written = recorder.get(header::MODULES).min(saved + room);
        if written - saved < room / 2 {
            return Ok(());
        }
        for number in saved..written - YOUNG_MODULES {
            let at = (number % room) as usize * WORDS;
            self.modules.add(&self.directory, &bytes(&table[at..at + WORDS]))?;
        }
        recorder.at(header::MODULES_SAVED).store(written - YOUNG_MODULES, Ordering::Release);
        Ok(())
    }

    /// Makes room where there are too many.
    fn shorten(&mut self, recorder: &Recorder) -> io::Result<()> {
        if !self.processes.is_too_long() && !self.modules.is_too_long() {
            return Ok(());
        }
        let known = Known::of(recorder, &self.directory)?;
        if self.processes.is_too_long() {
            let goes = |record: &[u8]| {
                recorder.at(header::DROPPED_UNTIL).fetch_max(Known::began(record), Ordering::Relaxed);
            };
            let needs = |record: &[u8]| known.needs_process(record);
            let went = self.processes.shorten(&self.directory, process::BYTES, needs, goes)?;
            recorder.at(header::PROCESSES_DROPPED).fetch_add(went, Ordering::Relaxed);
        }
        if self.modules.is_too_long() {
            let needs = |record: &[u8]| known.needs_module(record);
            self.modules.shorten(&self.directory, module::BYTES, needs, |_| {})?;
        }
        Ok(())
    }
}

fn bytes(words: &[AtomicU64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.load(Ordering::Acquire).to_le_bytes()).collect()
}

/// The file, made when it is first needed.
fn open<'f>(file: &'f mut Option<File>, directory: &Path, name: &str) -> io::Result<&'f mut File> {
    match file {
        Some(file) => Ok(file),
        None => Ok(file.insert(create(&directory.join(name))?)),
    }
}

/// A new file, ours alone.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}
