//! What the page's script draws: processes, objects and their stacks, as JSON that can stand in a page.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use serde::Serialize;
use shmaudit_core::findings::Kind;
use shmaudit_core::report::{Event, Object, ObjectRef, Report};

use super::super::Recording;
use super::super::shown::{self, base_name};
use super::{frame, uses};

/// Times are microseconds since the beginning.
#[derive(Serialize)]
struct Data {
    span: f64,
    processes: Vec<Process>,
    objects: Vec<Shown>,
    stacks: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct Process {
    pid: u32,
    name: String,
    exe: String,
    args: String,
    start: f64,
    end: f64,
    how: String,
}

#[derive(Serialize)]
struct Shown {
    label: String,
    family: &'static str,
    size: u64,
    state: &'static str,
    start: f64,
    end: f64,
    identity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    attached: u64,
    calls: String,
    /// Process, from when to when.
    uses: Vec<(usize, f64, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Call>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Call>,
}

#[derive(Serialize)]
struct Call {
    call: &'static str,
    who: String,
    time: f64,
    stack: usize,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The data, without a character that could end the element it stands in.
pub fn data(recordings: &[Recording], began: u64, ended: u64) -> io::Result<String> {
    let mut maker = Maker { began, stacks: Vec::new(), known: HashMap::new() };
    let mut data = Data { span: maker.micros(ended), processes: Vec::new(), objects: Vec::new(), stacks: Vec::new() };
    for recording in recordings {
        let first = data.processes.len();
        data.processes.extend(recording.report.processes.iter().map(|process| maker.process(process, ended)));
        data.objects.extend(maker.objects(recording, first));
    }
    data.stacks = maker.stacks;
    Ok(serde_json::to_string(&data)?.replace('<', "\\u003c"))
}

struct Maker {
    began: u64,
    stacks: Vec<Vec<String>>,
    known: HashMap<usize, usize>,
}

/// What tells two objects of a report apart that both exist.
type Identity = (&'static str, u64, u64, Option<i32>);

fn identity(object: &ObjectRef) -> Identity {
    (object.family, object.dev, object.ino, object.shmid)
}

/// The place of the process that made a call; a pid may have been several processes', one after the other.
fn of_pid(report: &Report, event: &Event) -> Option<usize> {
    let had = |process: &shmaudit_core::report::Process| process.pid == event.pid;
    let before = |process: &shmaudit_core::report::Process| had(process) && process.started <= event.time;
    report.processes.iter().rposition(before).or_else(|| report.processes.iter().position(had))
}

impl Maker {
    fn micros(&self, time: u64) -> f64 {
        time.saturating_sub(self.began) as f64 / 1000.0
    }

    fn process(&self, process: &shmaudit_core::report::Process, ended: u64) -> Process {
        let exe = shown::text(&process.exe);
        let args: Vec<String> = process.args.iter().skip(1).map(shown::text).collect();
        Process {
            pid: process.pid,
            name: if exe.is_empty() { "process".to_string() } else { base_name(&exe).to_string() },
            args: args.join(" "),
            start: self.micros(process.started.0),
            end: self.micros(process.ended.map_or(ended, |end| end.0).max(process.started.0)),
            how: match process.status {
                Some(status) => format!("{} {status}", process.end),
                None => process.end.to_string(),
            },
            exe,
        }
    }

    fn objects(&mut self, recording: &Recording, first: usize) -> Vec<Shown> {
        let report = &recording.report;
        let leaks = report
            .findings
            .iter()
            .filter(|finding| Kind::from_name(finding.kind.as_bytes()).is_some_and(Kind::is_leak));
        let leaked: BTreeSet<Identity> = leaks.filter_map(|leak| leak.object.as_ref()).map(identity).collect();
        let pending: BTreeSet<usize> = report.pending.iter().map(|object| object.number).collect();
        let mut uses = uses::uses(recording);
        let shown = report.objects.iter().map(|object| {
            let state = match object.exists {
                true if leaked.contains(&identity(&object.what)) => "leaked",
                true if pending.contains(&object.number) => "pending",
                true => "exists",
                false if object.removed.is_some() => "removed",
                false => "gone",
            };
            let mut uses = uses.remove(&object.number).unwrap_or_default();
            // Where the record of it is lost, the registry still knows who made it.
            for event in object.created.iter().chain(&object.removed) {
                if let Some(process) = of_pid(report, event) {
                    uses.entry(process).or_insert((event.time.0, event.time.0));
                }
            }
            self.object(object, state, report, first, &uses)
        });
        shown.collect()
    }

    fn object(
        &mut self,
        object: &Object,
        state: &'static str,
        report: &Report,
        first: usize,
        uses: &BTreeMap<usize, (u64, u64)>,
    ) -> Shown {
        let what = &object.what;
        let earliest = uses.values().map(|&(from, _)| from).min();
        let latest = uses.values().map(|&(_, to)| to).max();
        // A call is in the records when it came back; who made the object has had to do with it since the call began.
        let made = object.created.as_ref().map(|made| made.time.0);
        let start = made.into_iter().chain(earliest).min().unwrap_or(report.started.0);
        let end = match (&object.removed, object.exists) {
            (_, true) => report.ended.0,
            (Some(removed), _) => removed.time.0,
            (None, _) => latest.unwrap_or(report.ended.0),
        };
        let calls: Vec<String> = object.calls.iter().map(|(call, count)| format!("{call} {count}")).collect();
        Shown {
            label: shown::label(what),
            family: what.family,
            size: what.size,
            state,
            start: self.micros(start),
            end: self.micros(end.max(start)),
            identity: match (what.shmid, what.ino) {
                (Some(shmid), _) => format!("shmid {shmid}"),
                (None, 0) => String::new(),
                (None, ino) => format!("inode {ino} of device {}", what.dev),
            },
            mode: what.mode.clone(),
            attached: object.attached,
            calls: calls.join(", "),
            uses: uses
                .iter()
                .map(|(&process, &(from, to))| (first + process, self.micros(from), self.micros(to)))
                .collect(),
            created: object.created.as_ref().map(|event| self.call(event, report)),
            removed: object.removed.as_ref().map(|event| self.call(event, report)),
        }
    }

    fn call(&mut self, event: &Event, report: &Report) -> Call {
        let process = of_pid(report, event).and_then(|at| report.processes.get(at));
        let exe = process.map(|process| shown::text(&process.exe)).unwrap_or_default();
        let stacks = &mut self.stacks;
        let stack = *self.known.entry(event.stack.identity()).or_insert_with(|| {
            let frames = shown::above_main(event.stack.frames()).iter().map(|level| {
                let shown = frame(level);
                let place = if shown.place.is_empty() { String::new() } else { format!(" {}", shown.place) };
                format!("{}{place} ({})", shown.function, shown.module)
            });
            stacks.push(frames.collect());
            stacks.len() - 1
        });
        Call {
            call: event.call,
            who: format!("{}[{}]", base_name(&exe), event.pid),
            time: self.micros(event.time.0),
            stack,
        }
    }
}
