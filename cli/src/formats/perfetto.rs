//! Chrome trace events as JSON, for ui.perfetto.dev: calls as slices on their threads, objects in time, sizes as counters.
//!
//! Objects are the threads of a process that is none (its number is above every pid): a slice for its life, a mark for each
//! call about it, whoever made it. Times are microseconds since the recordings began, to the nanosecond.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};
use shmaudit_core::calls::Ret;
use shmaudit_core::ledger::{self, Ledger};
use shmaudit_core::line::Line;
use shmaudit_core::logline;
use shmaudit_core::record::{Family, State};
use shmaudit_core::report::{Process, Report, Text};
use shmaudit_core::words;

use super::shown::{self, base_name, shown};
use super::{Recording, Seen};

/// Above every pid that the kernel gives (PID_MAX_LIMIT is 4,194,304).
const OBJECTS: u64 = 1 << 23;
/// The threads that objects are.
const OBJECT: u64 = 1 << 24;
/// Bytes shown of a name within a call.
const NAME: usize = 128;

pub fn write(out: &mut dyn Write, recordings: &[Recording]) -> io::Result<()> {
    let began = recordings.iter().map(|recording| recording.report.started.0).min().unwrap_or(0);
    let first = recordings.first().map(|recording| &recording.report);
    let about = json!({
        "tool": concat!("shmaudit ", env!("CARGO_PKG_VERSION")),
        "started": first.map(|report| report.started),
        "command": first.map(|report| &report.command),
    });
    write!(out, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{about},\"traceEvents\":[")?;
    let mut trace = Trace { out, began, any: false, failed: None };
    let mut objects = 0;
    for (number, recording) in (0u64..).zip(recordings) {
        let mut story = Story::new(&mut trace, number, objects, &recording.report);
        let ledger = recording.calls.each(&mut |seen| story.call(seen));
        objects += story.end(&ledger);
    }
    let Trace { out, failed, .. } = trace;
    match failed {
        Some(error) => Err(error),
        None => out.write_all(b"\n]}\n"),
    }
}

/// One element of `traceEvents`.
#[derive(Default, Serialize)]
struct Element<'a> {
    ph: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    pid: u64,
    tid: u64,
    /// Nanoseconds since 1970; written as microseconds since the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// Of what has a beginning and an end of its own, local to its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    id2: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Value>,
}

/// What has been written.
struct Trace<'a> {
    out: &'a mut dyn Write,
    began: u64,
    any: bool,
    failed: Option<io::Error>,
}

impl Trace<'_> {
    fn micros(&self, time: u64) -> f64 {
        time.saturating_sub(self.began) as f64 / 1000.0
    }

    fn add(&mut self, element: &Element) {
        if self.failed.is_some() {
            return;
        }
        let before: &[u8] = if self.any { b",\n" } else { b"\n" };
        self.any = true;
        let out = &mut *self.out;
        let written = out.write_all(before).and_then(|()| Ok(serde_json::to_writer(out, element)?));
        self.failed = written.err();
    }

    fn describe(&mut self, what: &str, pid: u64, tid: u64, args: Value) {
        self.add(&Element { ph: "M", name: what, pid, tid, args: Some(args), ..Element::default() });
    }
}

/// What is known of an object while its recording is told.
#[derive(Clone, Copy, Default)]
struct Life {
    seen: Option<u64>,
    size: u64,
    removed: Option<u64>,
}

/// One recording being told.
struct Story<'t, 'a> {
    trace: &'t mut Trace<'a>,
    pid: u64,
    first: u64,
    ended: u64,
    lives: Vec<Life>,
    /// Not removed: how many, of how many bytes.
    alive: (i64, i64),
    /// When the last call on a thread came back.
    threads: HashMap<(u32, u32), u64>,
}

impl<'t, 'a> Story<'t, 'a> {
    fn new(trace: &'t mut Trace<'a>, number: u64, first: u64, report: &Report) -> Story<'t, 'a> {
        let pid = OBJECTS + number;
        trace.describe("process_name", pid, pid, json!({ "name": "shared memory" }));
        trace.describe("process_sort_index", pid, pid, json!({ "sort_index": -1 }));
        for (index, process) in (0u64..).zip(&report.processes) {
            runs(trace, (number << 32) + index, process, report.ended.0);
        }
        Story { trace, pid, first, ended: report.ended.0, lives: Vec::new(), alive: (0, 0), threads: HashMap::new() }
    }

    fn call(&mut self, seen: &Seen) {
        let event = seen.event;
        let (pid, tid) = (u64::from(event.pid), u64::from(event.tid));
        let mut args = Map::new();
        args.insert("call".to_string(), call_text(seen).into());
        if event.failed() {
            let name = words::errno_name(event.errno);
            args.insert("errno".to_string(), name.map_or_else(|| event.errno.to_string(), ToString::to_string).into());
        }
        if let Some(caller) = seen.caller {
            args.insert("caller".to_string(), shown::caller(caller).into());
        }
        let object = seen.object.and_then(|index| Some((index, seen.ledger.object(index)?)));
        if let Some((_, object)) = object {
            args.insert("object".to_string(), label(object).into());
        }
        let mut element = Element { name: event.call.name(), cat: Some("call"), pid, tid, ..Element::default() };
        if event.state == State::Done && event.call.ret() != Ret::Never {
            let start = self.start(seen);
            let took = seen.time.saturating_sub(start);
            (element.ph, element.dur) = ("X", Some(took as f64 / 1000.0));
            element.ts = Some(self.trace.micros(start));
        } else {
            (element.ph, element.s, element.ts) = ("i", Some("t"), Some(self.trace.micros(seen.time)));
        }
        element.args = Some(args.clone().into());
        self.trace.add(&element);
        if let Some((index, object)) = object {
            args.insert("pid".to_string(), event.pid.into());
            self.about(seen, index.get(), object, args);
        }
    }

    /// When a call began. What rounding has pushed into the call before it begins at that one's end.
    fn start(&mut self, seen: &Seen) -> u64 {
        let start = seen.time.saturating_sub(seen.took);
        let last = self.threads.entry((seen.event.pid, seen.event.tid)).or_insert(0);
        let start = if start < *last && *last - start < 1000 { (*last).min(seen.time) } else { start };
        *last = (*last).max(seen.time);
        start
    }

    /// A mark on the object's own track, and what it is now.
    fn about(&mut self, seen: &Seen, index: usize, object: &ledger::Object, args: Map<String, Value>) {
        if self.lives.len() <= index {
            self.lives.resize(index + 1, Life::default());
        }
        let Some(life) = self.lives.get_mut(index) else { return };
        let before = *life;
        life.seen = life.seen.or(Some(seen.time.saturating_sub(seen.took)));
        life.size = object.size.unwrap_or(0);
        if object.removed.is_some() {
            life.removed = life.removed.or(Some(seen.time));
        }
        let life = *life;
        let mark = Element {
            ph: "i",
            name: seen.event.call.name(),
            cat: Some("object"),
            pid: self.pid,
            tid: OBJECT + self.first + index as u64,
            ts: Some(self.trace.micros(seen.time)),
            s: Some("t"),
            args: Some(args.into()),
            ..Element::default()
        };
        self.trace.add(&mark);
        let bytes = |life: Life| if life.seen.is_some() && life.removed.is_none() { life.size as i64 } else { 0 };
        let one = |life: Life| i64::from(life.seen.is_some() && life.removed.is_none());
        let changed = (one(life) - one(before), bytes(life).saturating_sub(bytes(before)));
        if changed.1 != 0 || before.seen.is_none() {
            self.counter(&label(object), "bytes", seen.time, bytes(life));
        }
        if changed != (0, 0) {
            self.alive = (self.alive.0 + changed.0, self.alive.1.saturating_add(changed.1));
            self.counter("all objects", "count", seen.time, self.alive.0);
            self.counter("all objects", "bytes", seen.time, self.alive.1);
        }
    }

    /// A track called `name unit`.
    fn counter(&mut self, name: &str, unit: &str, time: u64, value: i64) {
        let ts = Some(self.trace.micros(time));
        let args = Some(json!({ unit: value }));
        self.trace.add(&Element { ph: "C", name, pid: self.pid, tid: self.pid, ts, args, ..Element::default() });
    }

    /// The objects' lives. How many tracks they took.
    fn end(self, ledger: &Ledger) -> u64 {
        let lives = self.lives.iter().enumerate();
        for ((index, life), (_, object)) in lives.zip(ledger.objects()) {
            let Some(seen) = life.seen else { continue };
            let tid = OBJECT + self.first + index as u64;
            let label = label(object);
            self.trace.describe("thread_name", self.pid, tid, json!({ "name": label }));
            self.trace.describe("thread_sort_index", self.pid, tid, json!({ "sort_index": index }));
            let end = life.removed.unwrap_or(self.ended).max(seen);
            let made = object.created.filter(|_| object.certain);
            let args = json!({
                "bytes": life.size,
                "mode": object.mode.map(|mode| format!("{mode:04o}")),
                "made by pid": made.map(|made| made.pid),
                "removed by pid": object.removed.map(|removed| removed.pid),
            });
            self.trace.add(&Element {
                ph: "X",
                name: &label,
                cat: Some("object"),
                pid: self.pid,
                tid,
                ts: Some(self.trace.micros(seen)),
                dur: Some(end.saturating_sub(seen) as f64 / 1000.0),
                args: Some(args),
                ..Element::default()
            });
        }
        self.lives.len() as u64
    }
}

/// A process: its name, and how long it ran.
fn runs(trace: &mut Trace, id: u64, process: &Process, ended: u64) {
    let pid = u64::from(process.pid);
    let exe = shown::text(&process.exe);
    let name = if exe.is_empty() { "process" } else { base_name(&exe) };
    trace.describe("process_name", pid, pid, json!({ "name": name }));
    let args: Vec<String> = process.args.iter().map(shown::text).collect();
    trace.describe("process_labels", pid, pid, json!({ "labels": args.join(" ") }));
    trace.describe("thread_name", pid, pid, json!({ "name": name }));
    let start = process.started.0;
    let end = process.ended.map_or(ended, |ended| ended.0).max(start);
    let args = json!({ "end": process.end, "status": process.status, "ppid": process.ppid, "exe": exe });
    let element = |ph, time: f64, args| Element {
        ph,
        name: "runs",
        cat: Some("process"),
        pid,
        tid: pid,
        ts: Some(time),
        id2: Some(json!({ "local": format!("{id:#x}") })),
        args,
        ..Element::default()
    };
    let (from, to) = (trace.micros(start), trace.micros(end));
    trace.add(&element("b", from, Some(args)));
    trace.add(&element("e", to, None));
}

fn call_text(seen: &Seen) -> String {
    let mut buffer = [0u8; 1024];
    let mut line = Line::new(&mut buffer);
    logline::call(&mut line, seen.event, NAME);
    String::from_utf8_lossy(line.as_bytes()).into_owned()
}

/// An object of the ledger: as [`shown::label`], of one of a report.
fn label(object: &ledger::Object) -> String {
    let name = object.name.as_deref().map(|name| shown(&Text::from(name).to_utf8()).into_owned());
    match (object.id.family, name) {
        (Family::Posix, Some(name)) => format!("/{name}"),
        (Family::Memfd, Some(name)) => format!("memfd {name}"),
        (Family::Sysv, _) => match object.key {
            Some(0) => format!("segment IPC_PRIVATE (shmid {})", object.id.shmid()),
            Some(key) => format!("segment 0x{key:08x} (shmid {})", object.id.shmid()),
            None => format!("segment of shmid {}", object.id.shmid()),
        },
        _ => format!("inode {}", object.id.ino),
    }
}
