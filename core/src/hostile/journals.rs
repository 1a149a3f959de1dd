//! Recorders of real runs, as the words in them that are not 0, and what becomes of them: their bytes, and, checked sums and
//! all, what their records say.

use std::format;
use std::prelude::rust_2024::*;
use std::vec;

use super::{Chance, corpus, is_shown, tried};
use crate::baseline::Baseline;
use crate::calls::{CALLS, Call};
use crate::kernel::{FileFacts, Kernel, Unasked};
use crate::layout::{bare_name, process};
use crate::line::Line;
use crate::logline::{self, Extra};
use crate::procfs::{self, Segment};
use crate::reader::{Reader, Words};
use crate::record::{Event, Family, MAX_ARGS, MAX_DATA, MAX_FRAMES, ObjectId, Slot, State};
use crate::report::{Frame, Report, Settings, Symbolize, conclude, growth};
use crate::sources::Sources;
use crate::supervised::{Outsider, Supervised};
use crate::testing::{Image, Tables};
use crate::{json, text};

/// The words of a file of the corpus.
fn words(file: &[u8]) -> Vec<u64> {
    let mut words = Vec::new();
    for line in core::str::from_utf8(file).unwrap().lines() {
        let (at, values) = line.split_once(": ").unwrap();
        if at == "words" {
            words = vec![0; values.parse().unwrap()];
            continue;
        }
        let at: usize = at.parse().unwrap();
        for (place, value) in words[at..].iter_mut().zip(values.split(' ')) {
            *place = u64::from_str_radix(value, 16).unwrap();
        }
    }
    words
}

fn journals() -> Vec<Vec<u64>> {
    corpus("journals").iter().map(|file| words(file)).collect()
}

/// Names that nobody should be shown as they are.
struct Wild;

impl Symbolize for Wild {
    fn frames(&mut self, _: (Slot, u32), _: u64, address: u64, out: &mut Vec<Frame>) {
        let text =
            |what: &str| (!address.is_multiple_of(3)).then(|| format!("{what}\x1b[2J\u{9b}1m\n{:x}", address % 8));
        out.push(Frame {
            function: text("main"),
            file: text("/src/a.c"),
            line: Some(address as u32),
            module: text("/bin/a"),
            offset: address,
            ..Frame::default()
        });
    }
}

/// All that is made of a recorder.
fn told<W: Words + ?Sized>(sources: &Sources<W>, kernel: &mut dyn Kernel, settings: &Settings) -> Report {
    let mut report = conclude(sources, kernel, &mut Wild, settings);
    report.look_again(kernel);
    is_shown(&text::text(&report));
    let json = json::json(&report);
    assert!(!json.trim_end().contains(char::is_control), "{}", json.escape_debug());
    // What has been written is known from then on; of nothing, nothing is written.
    let mut baseline = if json.is_empty() { Baseline::default() } else { Baseline::parse(json.as_bytes()).unwrap() };
    let mut known = report.clone();
    baseline.apply(&mut known, true);
    assert!(known.findings.is_empty());
    growth(sources, kernel, &mut Wild, 3);
    let mut room = [0; 600];
    sources.events(|event| {
        for how in 0..3 {
            let mut line = Line::new(&mut room);
            let extra = Extra { caller: b"main a.c:1", ..Extra::default() };
            match how {
                0 => logline::text(&mut line, event, &extra),
                1 => logline::json(&mut line, event, &extra, &logline::unresolved),
                _ => logline::syscalls(&mut line, event),
            }
            let tame =
                line.as_bytes().iter().all(|&byte| (b' '..0x7F).contains(&byte) || byte == b'\n' || byte >= 0x80);
            assert!(tame, "{}", line.as_bytes().escape_ascii());
        }
    });
    report
}

/// A record that owns what it says.
#[derive(Clone)]
struct Owned {
    event: Event<'static>,
    args: Vec<u64>,
    data: Vec<u8>,
    frames: Vec<u64>,
}

fn records(journals: &[Vec<u64>]) -> Vec<Vec<Owned>> {
    let of = |words: &Vec<u64>| {
        let mut records = Vec::new();
        let sources: Sources<[u64]> = Reader::new(&words[..]).unwrap().into();
        sources.events(|event| {
            let (args, data, frames) = (event.args.to_vec(), event.data.to_vec(), event.frames.to_vec());
            let event = Event { args: &[], data: &[], frames: &[], ..*event };
            records.push(Owned { event, args, data, frames });
        });
        records
    };
    journals.iter().map(of).collect()
}

impl Chance {
    fn spoil_record(&mut self, record: &mut Owned, all: &[Vec<Owned>]) {
        let from = &all[self.below(all.len())];
        let other = &from[self.below(from.len())];
        let event = &mut record.event;
        match self.below(14) {
            0 => event.call = CALLS[self.below(CALLS.len())],
            1 => event.state = State::Begun,
            2 => event.flags = [self.below(1 << 16) as u16, 0, event.flags ^ 1 << self.below(16)][self.below(3)],
            3 => event.errno = [0, 2, 17, 22, 28, 43, self.below(200) as i32][self.below(7)],
            4 => event.process = self.below(6) as Slot,
            5 => event.pid = [1, event.pid, event.pid + 1, self.below(1 << 32) as u32][self.below(4)],
            6 => event.ret = [-1, 0, other.event.ret, self.telling(100) as i64][self.below(4)],
            7 => event.ticks = [0, u64::MAX, event.ticks.wrapping_add(self.telling(9))][self.below(3)],
            8 => event.object = other.event.object,
            9 => {
                let family = [Family::None, Family::Posix, Family::Sysv, Family::Memfd][self.below(4)];
                let known = [event.object.ino, self.telling(9)][self.below(2)];
                event.object = ObjectId { family, dev: event.object.dev, ino: known };
                if family == Family::None {
                    event.object = ObjectId::NONE;
                }
            }
            10 => record.data = other.data.clone(),
            11 => {
                let at = self.below(record.data.len() + 1);
                let bytes = [&b"\x1b[1m"[..], b"\0", b"/", b"\n\xff\xfe", &[b'x'; 300]][self.below(5)];
                record.data.splice(at..at, bytes.iter().copied());
            }
            12 => {
                let at = self.below(MAX_ARGS);
                record.args.resize(record.args.len().max(at + 1), 0);
                record.args[at] = match self.below(3) {
                    0 => other.args.first().copied().unwrap_or(0),
                    1 => self.below(8) as u64 * 4096,
                    _ => self.telling(4096),
                };
            }
            _ => record.frames = (0..self.below(MAX_FRAMES + 1)).map(|_| self.telling(1 << 20)).collect(),
        }
    }

    /// A kernel that knows some of what the records tell of, and something else.
    fn kernel(&mut self, records: &[Owned]) -> Tables {
        let mut kernel = Tables::new();
        for record in records {
            let (object, known) = (record.event.object, self.below(3));
            match object.family {
                Family::Posix if known > 0 => {
                    let name = record.data.split(|&byte| byte == 0).next().unwrap_or(&[]);
                    let name = name.strip_prefix(b"/dev/shm").unwrap_or(name);
                    let ino = object.ino ^ (known as u64 / 2);
                    let size = self.telling(4096);
                    let born = [0, record.event.ticks, u64::MAX][self.below(3)];
                    let facts = FileFacts { dev: object.dev, ino, size, mode: 0o100_666, uid: known as u32, born };
                    kernel.files.insert(bare_name(name).to_vec(), facts);
                }
                Family::Sysv if known > 0 => {
                    let line = format!(
                        "{} {} {} {} {} {} {} 0 0 0 0 0 {} 0 0 0\n",
                        self.below(3) as i64 * 0x1000,
                        object.shmid(),
                        [0o666, 0o1600][self.below(2)],
                        self.telling(4096),
                        record.event.pid,
                        record.event.pid,
                        self.below(3),
                        self.telling(9)
                    );
                    let head = "key shmid perms size cpid lpid nattch\n";
                    let text = format!("{head}{line}");
                    procfs::segments(text.as_bytes()).for_each(|segment: Segment| kernel.segment(segment));
                    kernel.attachment(record.event.pid, 0x7F00_0000_0000, 0x7F00_0000_1000, 0, object.shmid());
                }
                _ => {}
            }
            if self.below(4) == 0 {
                kernel.alive.insert(record.event.pid);
            }
        }
        kernel.no_mount = self.below(10) == 0;
        kernel.had_children = self.below(2) == 0;
        kernel
    }
}

#[test]
fn bytes_of_journals() {
    let journals = journals();
    let mut events = 0;
    for words in &journals {
        let sources: Sources<[u64]> = Reader::new(&words[..]).unwrap().into();
        let report = told(&sources, &mut Unasked, &Settings::default());
        assert_eq!(report.summary.events_lost, 0);
        events += report.summary.events;
    }
    assert!(events > 200, "{events}");
    let bytes: Vec<Vec<u8>> =
        journals.iter().map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect()).collect();
    tried("journals", 100 * bytes.len(), |chance| {
        let spoiled = chance.spoil(&bytes);
        let words: Vec<u64> = spoiled.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let other = &journals[chance.below(journals.len())];
        // Several are read as one.
        let readers = [Reader::new(&words[..]), Reader::new(&other[..])];
        if readers[0].is_ok() {
            told(&Sources::new(readers.into_iter().flatten()), &mut Unasked, &Settings::default());
        }
    });
}

#[test]
fn records_of_journals() {
    let all = records(&journals());
    let mut found = Vec::new();
    tried("records", 100 * all.len(), |chance| {
        let mut records = all[chance.below(all.len())].clone();
        for _ in 0..1 + chance.below(8) {
            let at = chance.below(records.len());
            match chance.below(8) {
                0 => drop(records.remove(at)),
                1 => records.push(records[at].clone()),
                2 => {
                    let from = &all[chance.below(all.len())];
                    records.insert(at, from[chance.below(from.len())].clone());
                }
                _ => chance.spoil_record(&mut records[at], &all),
            }
            if records.is_empty() {
                return;
            }
        }
        let mut image = Image::new();
        for pid in [100, 101, 102] {
            let ends = [process::END_EXIT, process::END_EXEC, process::END_UNKNOWN, process::END_SIGNAL];
            image.process(pid, (pid > 100).then_some(0), ends[chance.below(4)]);
        }
        for record in &records {
            let args = &record.args[..record.args.len().min(MAX_ARGS)];
            let data = &record.data[..record.data.len().min(MAX_DATA)];
            let order = if chance.below(9) == 0 { record.event.order } else { 0 };
            let order = image.add(Event { order, args, data, frames: &record.frames, ..record.event });
            if record.event.call == Call::ShmOpen || chance.below(9) == 0 {
                image.register(Event { order, args, data, frames: &[], ..record.event });
            }
        }
        let mut kernel = chance.kernel(&records);
        let supervised = (chance.below(2) == 0).then(|| Supervised {
            segments: Some(Vec::new()),
            files: Some(Vec::new()),
            files_after: kernel.files.clone().into_iter().collect(),
            outsiders: vec![Outsider {
                pid: 7,
                exe: b"/bin/\x1b[1m".to_vec(),
                why: "it is static".into(),
                ..Outsider::default()
            }],
            ..Supervised::default()
        });
        let settings = Settings { supervised, later: chance.below(2) == 0, ..Settings::default() };
        let report = told(&image.sources(), &mut kernel, &settings);
        for finding in &report.findings {
            if !found.contains(&finding.kind) {
                found.push(finding.kind);
            }
        }
    });
    // It gets as far as most kinds of findings.
    assert!(found.len() >= 10, "{found:?}");
}

#[test]
fn reports_that_others_wrote() {
    let texts: Vec<Vec<u8>> = journals()
        .iter()
        .map(|words| {
            json::json(&told(&Reader::new(&words[..]).unwrap().into(), &mut Unasked, &Settings::default())).into_bytes()
        })
        .collect();
    tried("baselines", 100 * texts.len(), |chance| {
        if let Err(message) = Baseline::parse(&chance.change(&texts)) {
            is_shown(&message);
        }
    });
}
