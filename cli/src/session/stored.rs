//! A session's recorder and what was stored of it, as one recorder whose ring has never turned.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use shmaudit_core::layout::{HEADER_BYTES, MAGIC, REGION_COUNT, Region, header, module, process};
use shmaudit_core::reader::{Reader, Refusal, Words};
use shmaudit_core::record::UNIT_WORDS;

use super::{MODULES, PROCESSES, RECORDER, UNITS};

/// A file, mapped. It may still be written to: each word is read once and checked by the reader.
#[derive(Debug)]
pub struct Mapped {
    map: Option<Mmap>,
    /// Bytes that the disk holds of it.
    held: u64,
    /// Words that it would have if nothing were cut off its end: those are read as 0.
    whole: usize,
}

impl Mapped {
    /// A file; nothing where it is empty. What is no file is refused before it can keep us waiting.
    pub fn open(path: &Path) -> io::Result<Mapped> {
        Mapped::of(OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?)
    }

    /// A file in a session's directory, where links are nobody's.
    pub(super) fn inside(directory: &Path, name: &str) -> io::Result<Mapped> {
        let mut options = OpenOptions::new();
        Mapped::of(options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(directory.join(name))?)
    }

    fn of(file: File) -> io::Result<Mapped> {
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        if facts.len() == 0 {
            return Ok(Mapped::nothing());
        }
        // SAFETY: mapped read-only. A file that is cut short under us faults in this command and nowhere else.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Mapped { map: Some(map), held: facts.blocks().saturating_mul(512), whole: 0 })
    }

    /// No file.
    const fn nothing() -> Mapped {
        Mapped { map: None, held: 0, whole: 0 }
    }

    /// Where a recorder's end was cut off within the registry's entries or the ring, what is left is read. Its size is
    /// believed up to what a writer makes.
    fn complete(&mut self) {
        if self.word(header::MAGIC) != Some(MAGIC) || self.bytes().len() < HEADER_BYTES {
            return;
        }
        let place = |region: usize| {
            let word = |at: usize| self.word(header::REGIONS + 2 * region + at).unwrap_or(0);
            (word(0), word(0).saturating_add(word(1)).div_ceil(8))
        };
        let whole = (0..REGION_COUNT).map(|region| place(region).1).max().unwrap_or(0);
        if whole <= MOST_WORDS && self.bytes().len() as u64 > place(Region::Entries as usize).0 {
            self.whole = whole as usize;
        }
    }

    /// The bytes that are there, and those that there were.
    fn cut(&self) -> Option<(usize, usize)> {
        Some((self.bytes().len(), self.whole * 8)).filter(|(there, whole)| there < whole)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }

    /// Records of so many words that are looked for in it. What a supervisor stores has holes, but not one of a length that
    /// would keep us for hours: nobody has to write such a file.
    fn records(&self, words: usize) -> u64 {
        const HOLES: u64 = 256;
        (self.words() as u64).min((self.held + 4096).saturating_mul(HOLES) / 8) / words as u64
    }

    /// One that may be missing.
    pub(super) fn beside(directory: &Path, name: &str) -> io::Result<Mapped> {
        match Mapped::inside(directory, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Mapped::nothing()),
            opened => opened,
        }
    }
}

impl Words for Mapped {
    fn word(&self, index: usize) -> Option<u64> {
        let at = index.checked_mul(8)?;
        let bytes = self.map.as_ref()?.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn words(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len() / 8).max(self.whole)
    }
}

/// The units that were stored.
#[derive(Debug)]
struct Units {
    /// Where their file is, or will be: while the supervisor runs it grows.
    directory: Option<PathBuf>,
    /// The file, and how far the supervisor had come when it was mapped anew last.
    mapped: RefCell<(Mapped, u64)>,
}

impl Units {
    /// Word `index` of the file; `drained`: how far the supervisor has come.
    fn word(&self, index: usize, drained: u64) -> Option<u64> {
        let (mapped, seen) = &mut *self.mapped.borrow_mut();
        if index >= mapped.words() && *seen != drained {
            *seen = drained;
            if let Some(grown) = self.directory.as_ref().and_then(|directory| Mapped::beside(directory, UNITS).ok()) {
                *mapped = grown;
            }
        }
        mapped.word(index)
    }
}

/// A recorder, with what was stored of it.
#[derive(Debug)]
pub struct Stored {
    recorder: Mapped,
    units: Units,
    processes: Mapped,
    modules: Mapped,
    /// The header as it is told: of regions that are larger than the recorder's.
    header: Vec<u64>,
    /// The regions in the recorder, in words.
    own: [(usize, usize); REGION_COUNT],
    /// The same as told, for the three that are larger.
    told: [(usize, usize); REGION_COUNT],
    /// Position before which units are read where they are stored.
    head: u64,
    modules_saved: u64,
    /// Units that the file of stored ones has room for, where it is written in turns.
    room: u64,
}

/// Most units that a head is believed to have come to.
const MOST_UNITS: u64 = 1 << 44;
/// Units that may be written between a look at the head and one at a unit.
const FRONTIER: u64 = 4096;
/// Most bytes of a region in a file: no writer makes one of a tenth of that.
const MOST_BYTES: usize = 4 << 30;
/// Most words that a recorder's file is believed to have had: twice those of a session's.
const MOST_WORDS: u64 = (128 << 20) / 8;

impl Stored {
    /// A single journal, or a recorder of which nothing was stored.
    pub fn journal(path: &Path) -> io::Result<Result<Stored, Refusal>> {
        Ok(Stored::over(Mapped::open(path)?, None, [const { Mapped::nothing() }; 3]))
    }

    /// Of a session's directory.
    pub fn session(directory: &Path) -> io::Result<Result<Stored, Refusal>> {
        let recorder = Mapped::inside(directory, RECORDER)?;
        let [units, processes, modules] = [UNITS, PROCESSES, MODULES].map(|name| Mapped::beside(directory, name));
        Ok(Stored::over(recorder, Some(directory.to_path_buf()), [units?, processes?, modules?]))
    }

    fn over(
        mut recorder: Mapped,
        directory: Option<PathBuf>,
        [units, processes, modules]: [Mapped; 3],
    ) -> Result<Stored, Refusal> {
        recorder.complete();
        let reader = Reader::new(&recorder)?;
        let (regions, entry_bytes) = reader.regions();
        if let Some(region) = regions.iter().position(|&(_, length)| length > MOST_BYTES) {
            return Err(Refusal::Region(region));
        }
        let own = regions.map(|(offset, length)| (offset / 8, length / 8));
        let mut header: Vec<u64> = (0..HEADER_BYTES / 8).map(|word| recorder.word(word).unwrap_or(0)).collect();
        let head = header[header::HEAD];
        if let Some((there, _)) = recorder.cut() {
            // How many records that were, the counters know; of the registry the first entries are in use.
            header[header::UNITS_LOST] = header[header::UNITS_LOST].max(1);
            let entries = there.saturating_sub(regions[Region::Entries as usize].0) / entry_bytes.max(1);
            let cut = header[header::ENTRIES_USED].saturating_sub(entries as u64);
            header[header::OBJECTS_LOST] = header[header::OBJECTS_LOST].saturating_add(cut);
        }
        let stored_modules = modules.records(module::BYTES / 8) as usize;
        let modules_saved = if stored_modules > 0 { header[header::MODULES_SAVED] } else { 0 };
        let mut told = own;
        if header[header::SESSION] == 1 && head < MOST_UNITS {
            let slots = own[Region::Processes as usize].1 / (process::BYTES / 8);
            let places = own[Region::Modules as usize].1 / (module::BYTES / 8);
            let ring = (own[Region::Ring as usize].1 / UNIT_WORDS) as u64;
            // What is neither in the ring nor stored is not looked for, wherever the head says that it is.
            let kept = &mut header[header::KEPT_FROM];
            *kept = head.saturating_sub(ring + units.records(UNIT_WORDS)).max(*kept);
            let units = head.max(1).next_power_of_two().max(ring);
            let stored = processes.records(process::BYTES / 8) as usize;
            let lengths = [
                (Region::Processes, own[Region::Processes as usize].1 + stored * process::BYTES / 8),
                (Region::Modules, own[Region::Modules as usize].1 + stored_modules * module::BYTES / 8),
                (Region::Ring, units as usize * UNIT_WORDS),
            ];
            let mut at = recorder.words().max(HEADER_BYTES / 8);
            for (region, length) in lengths {
                told[region as usize] = (at, length);
                header[header::REGIONS + 2 * region as usize] = at as u64 * 8;
                header[header::REGIONS + 2 * region as usize + 1] = length as u64 * 8;
                at += length;
            }
            // Every place of both tables is looked at.
            header[header::PROCESSES] = header[header::PROCESSES].min(slots as u64);
            if stored > 0 {
                header[header::PROCESSES] = (slots + stored) as u64;
            }
            if stored_modules > 0 {
                header[header::MODULES] = (places + stored_modules) as u64;
            }
        }
        let room = header[header::STORED_UNITS];
        let units = Units { directory, mapped: RefCell::new((units, 0)) };
        Ok(Stored { recorder, units, processes, modules, header, own, told, head, modules_saved, room })
    }

    /// Bytes of its recorder that are there, and those that there were before its end was cut off.
    pub fn cut(&self) -> Option<(usize, usize)> {
        self.recorder.cut()
    }

    /// Where the next record stands when this was opened, and how many units were lost before they were stored.
    pub fn now(&self) -> (u64, u64) {
        (self.head, self.header[header::UNITS_LOST])
    }

    /// Leaves out what was there at the moment `then`; whether something that came after it is gone.
    pub fn begin_at(&mut self, (position, lost): (u64, u64)) -> bool {
        let units = (self.told[Region::Ring as usize].1 / UNIT_WORDS) as u64;
        let oldest = self.header[header::KEPT_FROM].max(self.head.saturating_sub(units));
        self.header[header::KEPT_FROM] = position.max(self.header[header::KEPT_FROM]);
        oldest > position || self.header[header::UNITS_LOST] > lost
    }

    fn unit_word(&self, word: usize) -> Option<u64> {
        let (start, length) = self.own[Region::Ring as usize];
        let units = (length / UNIT_WORDS) as u64;
        let (position, of_unit) = ((word / UNIT_WORDS) as u64, word % UNIT_WORDS);
        let live = self.recorder.word(header::HEAD).unwrap_or(self.head);
        let drained = self.recorder.word(header::DRAINED).unwrap_or(0);
        // While programs write, what is about to be written over is read where it stays.
        let frontier = if live != self.head && position < drained { FRONTIER } else { 0 };
        if position.saturating_add(units) >= live.saturating_add(frontier) {
            return self.recorder.word(start + (position % units.max(1)) as usize * UNIT_WORDS + of_unit);
        }
        // What was not stored in time, or is not any more, is not there: the unit's tag is another's.
        let place = position.checked_rem(self.room).unwrap_or(position) as usize;
        Some(self.units.word(place * UNIT_WORDS + of_unit, drained).unwrap_or(0))
    }

    fn module_word(&self, word: usize) -> Option<u64> {
        const WORDS: usize = module::BYTES / 8;
        let (start, length) = self.own[Region::Modules as usize];
        let Some(stored) = word.checked_sub(length) else {
            // A place that was not used again holds what is stored too.
            let (place, places) = ((word / WORDS) as u64, (length / WORDS) as u64);
            let written =
                self.recorder.word(header::MODULES).unwrap_or(0).min(self.modules_saved.saturating_add(places));
            let turns = written.checked_sub(place + 1).map(|since| since / places.max(1));
            let number = turns.map(|turns| place + turns * places);
            let again = number.is_some_and(|number| number < self.modules_saved);
            return if again { Some(0) } else { self.recorder.word(start + word) };
        };
        self.modules.word(stored)
    }
}

impl Words for Stored {
    fn word(&self, index: usize) -> Option<u64> {
        if let Some(&word) = self.header.get(index) {
            return Some(word);
        }
        if index < self.recorder.words() {
            return self.recorder.word(index);
        }
        let within = |region: Region| {
            let (start, length) = self.told[region as usize];
            index.checked_sub(start).filter(|&word| word < length)
        };
        if let Some(word) = within(Region::Ring) {
            return self.unit_word(word);
        }
        if let Some(word) = within(Region::Modules) {
            return self.module_word(word);
        }
        let word = within(Region::Processes)?;
        let (start, length) = self.own[Region::Processes as usize];
        match word.checked_sub(length) {
            None => self.recorder.word(start + word),
            Some(stored) => self.processes.word(stored),
        }
    }

    fn words(&self) -> usize {
        let ends = self.told.iter().map(|&(start, length)| start + length);
        ends.fold(self.recorder.words(), usize::max)
    }
}
