//! What a whole process pays: at its start, at its end, in memory, on disk.

use std::fs;

use serde_json::{Value, json};

use crate::figures::{Series, Turn, median_of, numbers, rounds};
use crate::place::{Place, installed};
use crate::run::Run;
use crate::table::{self, Table};
use crate::works::{Shape, work};

/// Records that the report at exit is over: enough to fill the ring.
const FULL: usize = 140_000;
/// Starts a turn.
const STARTS: usize = 10;

/// All of it.
pub struct Processes {
    /// `true`, bare.
    pub start_bare: Series,
    /// `true` under a library that does nothing.
    pub start_empty: Series,
    /// `true` under the library.
    pub start: Series,
    /// From the program's end to the process's, with no report.
    end: Series,
    /// The same with a report over a full ring.
    end_report: Series,
    memory: Vec<(&'static str, Result<f64, String>)>,
    /// Bytes of the library without its debugging information.
    pub size: Result<f64, String>,
}

/// Measures all of it.
pub fn measure(place: &Place, quick: bool) -> Result<Processes, String> {
    let start = |preload: Option<std::path::PathBuf>| {
        let mut run = Run::new().word(&place.spawn).word(STARTS.to_string());
        if let Some(preload) = preload {
            run = run.word(format!("LD_PRELOAD={}", preload.display()));
        }
        let run = run.word("true");
        Turn { every: 1, once: Box::new(move || median_of(&run.output(place)?, "spawn ").map(Into::into)) }
    };
    let starts = vec![start(None), start(Some(place.empty.clone())), start(Some(place.library.clone()))];
    let [start_bare, start_empty, start] = three(rounds(if quick { 15 } else { 60 }, starts));

    let end = |options: &'static str| Turn { every: 1, once: Box::new(move || end(place, options).map(Into::into)) };
    let ends = vec![end("log=off:report=off"), end("log=off:report='%'")];
    let [end, end_report, _] = three(rounds(if quick { 3 } else { 9 }, ends));

    let memory = [
        ("bare", memory(place, None, "sysv", 10)),
        ("preloaded, 10 segments made and removed", memory(place, Some("log=off:report=off"), "sysv", 10)),
        ("preloaded, ring full", memory(place, Some("log=off:report=off"), "full", FULL)),
        ("preloaded, ring full, with a report", memory(place, Some("log=off:report='%'"), "full", FULL)),
    ];
    Ok(Processes { start_bare, start_empty, start, end, end_report, memory: memory.into(), size: size(place) })
}

fn three(series: Vec<Series>) -> [Series; 3] {
    let mut series = series.into_iter();
    std::array::from_fn(|_| series.next().unwrap_or_default())
}

/// Runs a work under `spawn.c`.
fn spawned(place: &Place, options: Option<&str>, name: &str, times: usize) -> Result<String, String> {
    let out = place.fresh("report");
    let mut run = Run::new().word(&place.spawn).word("1");
    if let Some(options) = options {
        run = run.word(format!("LD_PRELOAD={}", place.library.display()));
        run = run.word(format!("SHMAUDIT_OPTIONS={}", options.replace('%', &out.to_string_lossy())));
    }
    let shape = Shape { threads: 1, live: 0, warm: 0, batches: 1, times };
    let output = run.word(&place.calls).words(work_arguments(name, shape)).output(place);
    let _ = fs::remove_file(out);
    crate::place::sweep();
    output
}

fn work_arguments(name: &str, shape: Shape) -> Vec<String> {
    let mut arguments = work("deep").arguments(shape);
    arguments[0] = name.to_string();
    arguments
}

/// Nanoseconds from where `main` ends to where the process has.
fn end(place: &Place, options: &str) -> Result<f64, String> {
    let output = spawned(place, Some(options), "full", FULL)?;
    let first = |word: &str, at: usize| numbers(&output, word).next().and_then(|numbers| numbers.get(at).copied());
    let (ended, began) = (first("spawn ", 2), first("end ", 0));
    ended.zip(began).map(|(ended, began)| ended - began).ok_or_else(|| "the program gave no figures".to_string())
}

/// Most KiB that a program had.
fn memory(place: &Place, options: Option<&str>, name: &str, times: usize) -> Result<f64, String> {
    let output = spawned(place, options, name, times)?;
    let kib = numbers(&output, "spawn ").next().and_then(|numbers| numbers.get(1).copied());
    kib.ok_or_else(|| "the program gave no figures".to_string())
}

fn size(place: &Place) -> Result<f64, String> {
    installed("strip").ok_or("needs strip")?;
    let stripped = place.directory().join("stripped.so");
    let strip = Run::new().words(["strip", "-o"]).word(&stripped).word(&place.library);
    strip.output(place)?;
    fs::metadata(&stripped).map(|file| file.len() as f64).map_err(|error| error.to_string())
}

impl Processes {
    /// A row a figure.
    pub fn table(&self) -> String {
        let mut table = Table::new(["a process", "bare", "preloaded, over bare"]);
        let bare = |series: &Series| series.spread().map_or("–".into(), |spread| table::time(spread.median));
        let over = |series: &Series, bare: &Series| match (&series.skipped, series.over(bare), series.ratio(bare)) {
            (Some(why), _, _) => format!("skipped: {why}"),
            (_, Some(over), Some(ratio)) => table::over(over, ratio),
            _ => "–".into(),
        };
        table.row(["start and end of `true`".into(), bare(&self.start_bare), over(&self.start, &self.start_bare)]);
        let empty = over(&self.start_empty, &self.start_bare);
        table.row(["the same under a library that does nothing".into(), bare(&self.start_bare), empty]);
        let report = over(&self.end_report, &self.end);
        table.row(["report at exit over a full ring (bare: preloaded, report=off)".into(), bare(&self.end), report]);
        let kib = |kib: f64| format!("{} KiB", table::grouped(kib));
        let least = self.memory.first().and_then(|(_, kib)| kib.clone().ok());
        for (what, value) in self.memory.iter().skip(1) {
            let value = match (value, least) {
                (Ok(value), Some(least)) => table::signed(kib(value - least)),
                (Err(why), _) => format!("skipped: {why}"),
                _ => "–".into(),
            };
            table.row([format!("most memory: {what}"), least.map_or("–".into(), kib), value]);
        }
        table.text()
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let memory = self.memory.iter().map(|(what, kib)| match kib {
            Ok(kib) => json!({ "program": what, "kib": kib }),
            Err(why) => json!({ "program": what, "skipped": why }),
        });
        json!({
            "start_ns": { "bare": self.start_bare.json(&self.start_bare), "empty_library": self.start_empty.json(&self.start_bare),
                          "preloaded": self.start.json(&self.start_bare) },
            "end_ns": { "report_off": self.end.json(&self.end), "report": self.end_report.json(&self.end) },
            "memory": memory.collect::<Value>(),
            "stripped_bytes": self.size.clone().ok(),
        })
    }
}
