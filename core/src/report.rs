//! The report as a value: what `shmaudit-report/1` says, before it is text or JSON. [`conclude`] makes it.
//!
//! Stacks and names are shared, so that a hundred thousand leaks from one place cost one stack.

mod conclude;
mod fingerprint;
mod growth;
mod now;
mod stack;
mod value;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::findings::{Concluding, Hint, Kind, Severity};
use crate::supervised::Supervised;
use crate::suppress::Suppressions;

pub use conclude::conclude;
pub(crate) use fingerprint::bare;
pub use fingerprint::{Label, Place, fingerprint, fingerprint_of, is_libc, pattern, way};
pub use growth::{GROWTH_SCHEMA, Growth, MOST_MOMENTS, Site, growth};
pub use stack::{Frame, Named, NoSymbols, Stack, Symbolize, loaded, place_of};
pub use value::{Text, Time};

/// Name and version of the report's form.
pub const SCHEMA: &str = "shmaudit-report/1";

/// That form as a JSON Schema, which every report in JSON is checked against.
pub const JSON_SCHEMA: &str = include_str!("report/schema.json");

/// What a report is to be about.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The audited process that concludes; `None` for the supervisor, and for the report after the fact.
    pub concluding: Option<Concluding>,
    /// The command that was run; where it is empty, the first process's arguments.
    pub command: Vec<Vec<u8>>,
    /// Findings that nobody wants.
    pub suppressions: Suppressions,
    /// Only leaks of objects made after this [order](crate::record::Event::order): a checkpoint.
    pub since: Option<u64>,
    /// Whether the kernel is asked long after the records' end, so that what is gone may have gone since.
    pub later: bool,
    /// What a supervisor knows beyond the records.
    pub supervised: Option<Supervised>,
    /// Most objects that are listed; those that still exist come first. Text lists none.
    pub objects: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            concluding: None,
            command: Vec::new(),
            suppressions: Suppressions::default(),
            since: None,
            later: false,
            supervised: None,
            objects: 4096,
        }
    }
}

/// A call, with its stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When it came back.
    pub time: Time,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// C name.
    pub call: &'static str,
    /// Innermost frame first.
    pub stack: Stack,
}

/// A process, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessRef {
    /// Process id.
    pub pid: u32,
    /// Path of its program; empty where it is not known.
    pub exe: Text,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// Path of its program.
    pub exe: Text,
    /// Its arguments.
    pub args: Vec<Text>,
    /// When it was first seen.
    pub started: Time,
    /// When it told of its end.
    pub ended: Option<Time>,
    /// `exit`, `signal`, `exec`, `running` or `unknown`.
    pub end: &'static str,
    /// Exit status, or the number of the signal that ended it.
    pub status: Option<i32>,
    /// Whether its calls were seen.
    pub audited: bool,
    /// Why not.
    pub why_not: Option<String>,
}

/// An object, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectRef {
    /// `posix`, `sysv`, `memfd` or `file`.
    pub family: &'static str,
    /// Name, for POSIX objects with one slash before it.
    pub name: Option<Text>,
    /// Key of a segment.
    pub key: Option<String>,
    /// Identifier of a segment.
    pub shmid: Option<i32>,
    /// Device of a file; of a segment its IPC namespace where that is another than the recorder's.
    pub dev: u64,
    /// Inode of a file.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Permissions in octal.
    pub mode: Option<String>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Its number in the ledger, by which a [walk](crate::ledger::Ledger::walk) knows it.
    #[serde(skip)]
    pub number: usize,
    /// What it is.
    #[serde(flatten)]
    pub what: ObjectRef,
    /// The audited call that made it.
    pub created: Option<Event>,
    /// The audited call that removed it.
    pub removed: Option<Event>,
    /// Whether it is there; where the kernel could not be asked, whether nobody is known to have removed it.
    pub exists: bool,
    /// Attachments of a segment.
    pub attached: u64,
    /// How often each call was about it.
    pub calls: BTreeMap<&'static str, u64>,
}

/// A call that has to do with a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// What it did: `created`, `removed`, `attached`, `detached`, …
    pub what: &'static str,
    /// The call.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind's name.
    pub kind: &'static str,
    /// How bad it is.
    #[serde(serialize_with = "value::severity")]
    pub severity: Severity,
    /// One sentence, in printable ASCII.
    pub message: String,
    /// What to do.
    #[serde(serialize_with = "value::displayed")]
    pub hint: Hint,
    /// The object.
    pub object: Option<ObjectRef>,
    /// How often.
    pub count: u64,
    /// Bytes concerned.
    pub bytes: u64,
    /// The process whose call it is about.
    pub process: Option<ProcessRef>,
    /// That call.
    pub event: Option<Event>,
    /// Other calls that explain it.
    pub related: Vec<Related>,
    /// Of a leak, when the report is made some time after the end: `there`, `gone`, or `renewed` where another object has
    /// its name or key by now.
    pub now: Option<&'static str>,
}

impl Finding {
    /// What it says: the message, and what has become of the object since.
    pub fn said(&self) -> String {
        let now = match self.now {
            Some("gone") => " It is gone by now.",
            Some("renewed") => " It is gone by now, and another has its place.",
            _ => "",
        };
        [&self.message, now].concat()
    }

    /// What suppressions are matched with: name and key of the object, function, file and module of each frame of the call;
    /// an empty text where there is nothing, so that `KIND:*` takes every finding.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let object = self.object.as_ref();
        let name = object.and_then(|object| object.name.as_ref()).map(Text::bytes);
        let key = object.and_then(|object| object.key.as_deref()).map(str::as_bytes);
        let frames = self.event.iter().flat_map(|event| event.stack.frames());
        let of_frames = frames.flat_map(|frame| [&frame.function, &frame.file, &frame.module]).flatten();
        name.into_iter().chain(key).chain(of_frames.map(String::as_bytes)).chain(core::iter::once(&[][..]))
    }
}

/// A suppression that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// The rule as it was written.
    pub rule: String,
    /// How many findings it took away.
    pub count: u64,
}

/// What an earlier report had told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Findings that are no news, and are left out here.
    pub known: u64,
    /// Findings of the earlier report that there are no more.
    pub gone: u64,
}

/// The numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Findings of severity error.
    pub errors: u64,
    /// Findings of severity warning.
    pub warnings: u64,
    /// Findings of severity note.
    pub notes: u64,
    /// Objects that stay behind.
    pub leaked_objects: u64,
    /// Their bytes.
    pub leaked_bytes: u64,
    /// How often each call was made.
    pub calls: BTreeMap<&'static str, u64>,
    /// How often each call failed, by errno.
    pub failed_calls: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// Records that the report is made of.
    pub events: u64,
    /// Records that were lost.
    pub events_lost: u64,
    /// Processes that could not be audited.
    pub unaudited_processes: u64,
}

impl Summary {
    /// Applies `change` to the numbers that a finding is in.
    pub(crate) fn count(&mut self, finding: &Finding, change: impl Fn(&mut u64, u64)) {
        match finding.severity {
            Severity::Error => change(&mut self.errors, 1),
            Severity::Warning => change(&mut self.warnings, 1),
            Severity::Note => change(&mut self.notes, 1),
        }
        // A leak that may be another's is a warning, and not counted.
        let certain = finding.severity == Severity::Error;
        if certain && Kind::from_name(finding.kind.as_bytes()).is_some_and(Kind::is_leak) {
            change(&mut self.leaked_objects, 1);
            change(&mut self.leaked_bytes, finding.bytes);
        }
    }
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The command.
    pub command: Vec<Text>,
    /// When recording began.
    pub started: Time,
    /// When it ended, or the report was made.
    pub ended: Time,
    /// Whether this is the last word; otherwise the living speak it.
    pub settled: bool,
    /// Processes.
    pub processes: Vec<Process>,
    /// Objects.
    pub objects: Vec<Object>,
    /// Objects beyond [`Settings::objects`].
    pub objects_not_listed: u64,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Objects that a living process may still remove: no leaks yet.
    pub pending: Vec<Object>,
    /// The processes that they wait for.
    pub waiting_for: Vec<ProcessRef>,
    /// Suppressions that were used.
    pub suppressed: Vec<Suppressed>,
    /// The user's suppressions that were not.
    pub unused_suppressions: Vec<String>,
    /// What an earlier report had already told, where one was given.
    pub baseline: Option<Known>,
    /// What is wrong with the report itself.
    pub warnings: Vec<String>,
    /// The numbers.
    pub summary: Summary,
}

impl Report {
    /// How many calls of interest were made: forks and exits alone are none.
    pub fn audited_calls(&self) -> u64 {
        let all = crate::calls::CALLS.iter().filter(|call| call.trace() != crate::calls::Trace::Process);
        all.filter_map(|call| self.summary.calls.get(call.name())).fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Leaves out the findings of which `drop` says so, from the numbers too.
    pub fn leave_out(&mut self, mut drop: impl FnMut(&Finding) -> bool) {
        let summary = &mut self.summary;
        self.findings.retain(|finding| {
            let dropped = drop(finding);
            if dropped {
                summary.count(finding, |sum, number| *sum = sum.saturating_sub(number));
            }
            !dropped
        });
    }

    /// Whether there is nothing to tell anybody: no audited call, as far as is known, or a verdict that is others' to speak.
    pub fn is_silent(&self) -> bool {
        let nothing = self.findings.is_empty() && self.pending.is_empty() && self.baseline.is_none();
        let no_calls = self.audited_calls() == 0 && self.summary.events_lost == 0;
        nothing && (!self.settled || no_calls && self.suppressed.is_empty())
    }
}

#[cfg(test)]
mod excused_tests;
#[cfg(test)]
mod tests;
