//! A report over a million records: an image as the recorder leaves one, concluded by the core in a process of its own.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};
use shmaudit_core::calls::Call;
use shmaudit_core::kernel::{FdFacts, FileFacts, Kernel, Lookup, Segment};
use shmaudit_core::layout::{self, Region, Sizes, header, process};
use shmaudit_core::reader::Reader;
use shmaudit_core::record::{
    Event, FLAG_CREATED, Family, ObjectId, State, TAG_HEAD, TAG_MORE, UNIT_PAYLOAD, UNIT_WORDS, encode, tag,
};
use shmaudit_core::report::{NoSymbols, Settings, conclude};
use shmaudit_core::text;

use crate::place::Place;
use crate::run::Run;

const RECORDS: usize = 1_000_000;
/// Frames of each record.
const FRAMES: usize = 13;
/// Places in the program that calls come from.
const SITES: u64 = 200;
/// Every how many objects one is left.
const LEFT: u64 = 2_000;
/// Units of the ring: a record takes four.
const UNITS: usize = 8 << 20;
const DEV: u64 = 25;
const PID: u32 = 100;

/// What it took.
pub struct Million {
    figures: Result<[f64; 4], String>,
}

/// Runs it in another process, so that its memory is its own.
pub fn measure(place: &Place) -> Million {
    let run = || {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let output = Run::new().word(program).words(["--records", &RECORDS.to_string()]).output(place)?;
        let found = crate::figures::numbers(&output, "records ").next().and_then(|all| all.try_into().ok());
        found.ok_or_else(|| "no figures".to_string())
    };
    Million { figures: run() }
}

impl Million {
    /// Nanoseconds.
    pub fn took(&self) -> Result<f64, String> {
        self.figures.clone().map(|[took, ..]| took)
    }

    /// Bytes beside the records themselves.
    pub fn memory(&self) -> Result<f64, String> {
        self.figures.clone().map(|[_, memory, ..]| memory)
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        match &self.figures {
            Ok([took, memory, image, findings]) => json!({
                "records": RECORDS, "ns": took, "bytes": memory, "records_bytes": image, "findings": findings,
            }),
            Err(why) => json!({ "skipped": why }),
        }
    }
}

/// In that process.
pub fn child(records: usize) {
    let mut image = Image::new();
    for number in 0.. {
        image.life(number);
        if image.records >= records {
            break;
        }
    }
    let bytes = image.words[header::HEAD] as usize * UNIT_WORDS * 8;
    // From here on the peak is the report's.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = status("VmRSS:");
    let started = Instant::now();
    let Ok(reader) = Reader::new(&image.words[..]) else { return };
    let report = conclude(&reader.into(), &mut Left, &mut NoSymbols, &Settings::default());
    let text = text::text(&report);
    let took = started.elapsed().as_nanos();
    let memory = status("VmHWM:").saturating_sub(before) * 1024;
    if report.summary.events == image.records as u64 && !text.is_empty() {
        println!("records {took} {memory} {bytes} {}", report.findings.len());
    }
}

fn status(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A recorder as a program leaves it that makes and removes objects all its life.
struct Image {
    words: Vec<u64>,
    ring: usize,
    records: usize,
}

impl Image {
    fn new() -> Image {
        let sizes = Sizes { processes: 8, modules: 8, entries: 64, entry_bytes: 640, units: UNITS };
        let (regions, total) = sizes.regions();
        let mut words = vec![0; total / 8];
        for (index, (offset, length)) in regions.into_iter().enumerate() {
            words[header::REGIONS + 2 * index] = offset as u64;
            words[header::REGIONS + 2 * index + 1] = length as u64;
        }
        words[header::MAGIC] = layout::MAGIC;
        words[header::VERSION] = layout::VERSION;
        words[header::TOTAL] = total as u64;
        words[header::ENTRY_BYTES] = sizes.entry_bytes as u64;
        words[header::CLOCK] = layout::CLOCK_NS;
        words[header::PROCESSES] = 1;
        let at = |region: Region| regions[region as usize].0 / 8;
        words[at(Region::Processes) + process::STATE] = process::STATE_ENDED;
        words[at(Region::Processes) + process::PID] = u64::from(PID);
        words[at(Region::Processes) + process::END] = process::END_EXIT;
        Image { words, ring: at(Region::Ring), records: 0 }
    }

    /// One object's: a segment's every fourth time, else a POSIX object's. Now and then the last call is forgotten.
    fn life(&mut self, number: u64) {
        let left = number.is_multiple_of(LEFT);
        let at = 0x7F00_0000_0000 + number % 1000 * 4096;
        if number % 4 == 3 {
            let id = ObjectId::sysv(number as i32);
            let shmid = number & 0x7FFF_FFFF;
            self.add(number, Call::Shmget, id, &[0, 4096, 0o1600], shmid as i64, b"", FLAG_CREATED);
            self.add(number, Call::Shmat, id, &[shmid, 0, 0], at as i64, b"", 0);
            self.add(number, Call::Shmdt, ObjectId::NONE, &[at], 0, b"", 0);
            self.add(number, Call::Shmctl, id, &[shmid, 0, 0], 0, b"", 0);
            return;
        }
        let id = ObjectId { family: Family::Posix, dev: DEV, ino: number + 1 };
        let name = format!("/object-{number}");
        let name = name.as_bytes();
        self.add(number, Call::ShmOpen, id, &[0o302, 0o600], 3, name, FLAG_CREATED);
        self.add(number, Call::Ftruncate, id, &[3, 4096], 0, b"", 0);
        self.add(number, Call::Mmap, id, &[0, 4096, 3, 1, 3, 0], at as i64, b"", 0);
        self.add(number, Call::Munmap, ObjectId::NONE, &[at, 4096], 0, b"", 0);
        self.add(number, Call::Close, id, &[3], 0, b"", 0);
        if !left {
            self.add(number, Call::ShmUnlink, ObjectId::NONE, &[], 0, name, 0);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what differs between records")]
    fn add(&mut self, number: u64, call: Call, object: ObjectId, args: &[u64], ret: i64, data: &[u8], flags: u16) {
        let site = 0x40_0000 + number % SITES * 64 + u64::from(call.number());
        let frames: [u64; FRAMES] = std::array::from_fn(|depth| site + depth as u64 * 0x1_0000);
        let position = self.words[header::HEAD];
        let event = Event {
            call,
            state: State::Done,
            flags,
            ticks: self.records as u64 + 1,
            took: 1000,
            errno: 0,
            process: 0,
            pid: PID,
            tid: PID,
            ret,
            order: position * 2 + 1,
            args,
            object,
            data,
            frames: &frames,
        };
        if position as usize + event.units() > UNITS {
            return;
        }
        self.words[header::HEAD] += event.units() as u64;
        self.records += 1;
        let (words, ring) = (&mut self.words, self.ring);
        encode(&event, |at, value| {
            let unit = position + (at / UNIT_PAYLOAD) as u64;
            let base = ring + unit as usize * UNIT_WORDS;
            words[base] = tag(unit, if at < UNIT_PAYLOAD { TAG_HEAD } else { TAG_MORE });
            words[base + 1 + at % UNIT_PAYLOAD] = value;
        });
    }
}

/// A world in which there is what was left.
struct Left;

impl Kernel for Left {
    fn segments(&mut self) -> Option<Vec<Segment>> {
        Some(Vec::new())
    }
    fn shm_file(&mut self, name: &[u8]) -> Lookup<FileFacts> {
        let number = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix("object-")?.parse::<u64>().ok());
        match number {
            Some(number) if number.is_multiple_of(LEFT) => {
                Lookup::Found(FileFacts { dev: DEV, ino: number + 1, size: 4096, mode: 0o100600, uid: 0, born: 0 })
            }
            _ => Lookup::Missing,
        }
    }
    fn maps(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
    fn fds(&mut self, _: u32) -> Option<Vec<FdFacts>> {
        None
    }
    fn alive(&mut self, _: u32, _: u64, _: u64) -> bool {
        false
    }
}
