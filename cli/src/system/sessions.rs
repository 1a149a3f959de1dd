//! What audited sessions know of objects: who made them, and at which line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use shmaudit_core::report::{Event, Object as Recorded, Report, Text};

use super::SECOND;
use super::object::{Identity, Made, Times};

/// Whoever can be asked.
pub trait Sessions {
    /// What is known of the object of this identity and these times.
    fn know(&self, identity: &Identity, times: &Times) -> Option<Made>;
}

/// No session at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Sessions for Nobody {
    fn know(&self, _: &Identity, _: &Times) -> Option<Made> {
        None
    }
}

/// What names an object in a journal. It may be used again: times decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Segment(i32),
    File(u64, u64),
}

/// Journals, concluded once.
#[derive(Debug, Default)]
pub struct Journals {
    made: HashMap<Key, Vec<Made>>,
}

/// How far the recorder's and the kernel's clock may be apart, in nanoseconds. A segment's time is in whole seconds.
const SLACK: u64 = 2 * SECOND;

impl Journals {
    /// Reads journals, and directories of them.
    pub fn open(paths: &[PathBuf]) -> Result<Journals, String> {
        let mut journals = Journals::default();
        if !paths.is_empty() {
            for (path, report) in crate::report::reports(paths)? {
                journals.add(&path, &report);
            }
        }
        Ok(journals)
    }

    fn add(&mut self, path: &Path, report: &Report) {
        use std::os::unix::ffi::OsStrExt;
        let session = Text::from(path.as_os_str().as_bytes());
        for object in &report.objects {
            let (Some(key), Some(event)) = (key(object), &object.created) else { continue };
            let process = report.processes.iter().rev().find(|process| process.pid == event.pid);
            let exe = process.map_or(&[][..], |process| process.exe.bytes());
            self.made.entry(key).or_default().push(Made {
                session: session.clone(),
                pid: event.pid,
                time: event.time.0,
                program: Text::from(super::base_name(exe)),
                place: place(event),
            });
        }
    }
}

impl Sessions for Journals {
    fn know(&self, identity: &Identity, times: &Times) -> Option<Made> {
        let key = match *identity {
            Identity::Segment { shmid, .. } => Key::Segment(shmid),
            Identity::File { dev, ino } => Key::File(dev, ino),
            Identity::Foreign { .. } => return None,
        };
        let same = |made: &&Made| match *identity {
            // IPC_SET moves the time forward.
            Identity::Segment { cpid, ctime, .. } => {
                cpid == made.pid && made.time <= ctime.saturating_mul(SECOND).saturating_add(SLACK)
            }
            _ => match times.made {
                Some(time) => time.abs_diff(made.time) <= SLACK,
                None => times.changed.is_some_and(|time| made.time <= time.saturating_add(SLACK)),
            },
        };
        self.made.get(&key)?.iter().filter(same).max_by_key(|made| made.time).cloned()
    }
}

fn key(object: &Recorded) -> Option<Key> {
    match object.what.shmid {
        Some(shmid) => Some(Key::Segment(shmid)),
        None => (object.what.ino != 0).then_some(Key::File(object.what.dev, object.what.ino)),
    }
}

/// `shm_open main posix_shm.c:16`
fn place(event: &Event) -> String {
    let mut place = event.call.to_string();
    if let Some(frame) = event.stack.frames().first() {
        if let Some(function) = &frame.function {
            place.push_str(&format!(" {}", Text::from(function.as_bytes()).escaped()));
        }
        if let Some(file) = &frame.file {
            let file = Text::from(super::base_name(file.as_bytes())).escaped();
            place.push_str(&format!(" {file}:{}", frame.line.unwrap_or(0)));
        }
    }
    place
}
