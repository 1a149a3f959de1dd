//! What the recorder has no room for is stored in time: the ring's units before they are written over, records of ended
//! processes and of their files before their places are used again.
//!
//! Nothing is stored before it is needed: the last turn of the ring is always read in the recorder itself, so that a
//! record that ends late has its end there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use shmaudit_core::layout::{Region, header, module, process};
use shmaudit_core::record::UNIT_WORDS;

use super::{MODULES, PROCESSES, Recorder, UNITS};

/// Bytes of a unit.
const UNIT: u64 = UNIT_WORDS as u64 * 8;
/// Units that are written at once.
const PART: u64 = 4096;
/// Module records at the end of the table that may still be being written.
const YOUNG_MODULES: u64 = 64;

/// Where it is stored.
pub struct Store {
    directory: PathBuf,
    units: Option<File>,
    processes: Option<File>,
    modules: Option<File>,
    /// Most bytes of units; then the oldest half goes.
    most: u64,
    /// Why storing does not work any more.
    refused: Option<io::Error>,
}

impl Store {
    /// In a session's directory.
    pub fn new(directory: &Path, most: u64) -> Store {
        let directory = directory.to_path_buf();
        Store { directory, units: None, processes: None, modules: None, most, refused: None }
    }

    /// Stores what has become old. How full the ring's unstored part had become, in 256ths: when to come again.
    pub fn tick(&mut self, recorder: &Recorder) -> u64 {
        let full = self.units(recorder);
        let stored = self.processes(recorder).and_then(|()| self.modules(recorder));
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
            let stored =
                open(&mut self.units, &self.directory, UNITS).and_then(|file| file.write_all_at(&part, from * UNIT));
            if stored.is_err() {
                recorder.at(header::UNITS_LOST).fetch_add(PART, Ordering::Relaxed);
                self.note(stored);
            }
            from += PART;
            recorder.at(header::DRAINED).store(from, Ordering::Release);
        }
        self.forget(recorder, from);
        full
    }

    /// Gives the oldest half of the units back to the disk when there are too many.
    fn forget(&mut self, recorder: &Recorder, drained: u64) {
        let kept = recorder.get(header::KEPT_FROM);
        let Some(file) = self.units.as_ref().filter(|_| (drained - kept.min(drained)) * UNIT > self.most) else {
            return;
        };
        let until = (kept + (drained - kept) / 2) / PART * PART;
        recorder.at(header::KEPT_FROM).store(until, Ordering::Release);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let punched = fallocate(file, hole, kept * UNIT, (until - kept) * UNIT);
        self.note(punched.map_err(io::Error::from));
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
            open(&mut self.processes, &self.directory, PROCESSES)?.write_all(&bytes)?;
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
            let file = open(&mut self.modules, &self.directory, MODULES)?;
            file.write_all_at(&bytes(&table[at..at + WORDS]), number * module::BYTES as u64)?;
        }
        recorder.at(header::MODULES_SAVED).store(written - YOUNG_MODULES, Ordering::Release);
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
        None => {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            Ok(file.insert(options.open(directory.join(name))?))
        }
    }
}
