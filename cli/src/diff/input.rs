//! A side of the comparison: of a report, what is compared.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shmaudit_core::report::{Label, Place, SCHEMA, Settings, Text, place_of};

use crate::formats::base_name;
use crate::refused::refused;
use crate::report;
use crate::sys::open_named;

/// The reports of one side.
pub struct Side(Vec<Report>);

#[derive(Deserialize)]
struct Report {
    schema: String,
    objects: Vec<Object>,
    #[serde(default)]
    objects_not_listed: u64,
    findings: Vec<Finding>,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    events_lost: u64,
}

/// What a side has had and does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Records that were lost.
    pub events_lost: u64,
    /// Objects that its reports do not list.
    pub objects_not_listed: u64,
}

/// A finding.
#[derive(Deserialize)]
pub struct Finding {
    pub kind: String,
    pub severity: String,
    pub object: Option<Object>,
    pub count: u64,
    pub bytes: u64,
    pub event: Option<Event>,
}

/// An object, or a reference to one.
#[derive(Deserialize)]
pub struct Object {
    pub family: String,
    pub name: Option<String>,
    pub key: Option<String>,
    pub size: u64,
    #[serde(default)]
    pub exists: bool,
    #[serde(default)]
    pub created: Option<Event>,
}

/// A call.
#[derive(Deserialize)]
pub struct Event {
    pub call: String,
    stack: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    function: Option<String>,
    unit: Option<String>,
    file: Option<String>,
    line: Option<u64>,
    module: Option<String>,
    offset: String,
}

impl Side {
    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().flat_map(|report| &report.findings)
    }

    /// All objects.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.0.iter().flat_map(|report| &report.objects)
    }

    /// What is not compared.
    pub fn missing(&self) -> Missing {
        let mut missing = Missing::default();
        for report in &self.0 {
            missing.events_lost = missing.events_lost.saturating_add(report.summary.events_lost);
            missing.objects_not_listed = missing.objects_not_listed.saturating_add(report.objects_not_listed);
        }
        missing
    }

    /// The side that a text of reports in JSON is.
    pub fn of_json(text: impl Read) -> Result<Side, String> {
        let reports: Result<Vec<Report>, _> = serde_json::Deserializer::from_reader(text).into_iter().collect();
        let reports = reports.map_err(|error| format!("not a report in JSON: {error}"))?;
        match reports.iter().find(|report| report.schema != SCHEMA) {
            _ if reports.is_empty() => Err("empty".to_string()),
            Some(other) => Err(format!("a report of schema {}, not {SCHEMA}", escaped(&other.schema))),
            None => Ok(Side(reports)),
        }
    }
}

/// Reads a report in JSON, or makes it of a recording.
pub fn read(path: &Path) -> Result<Side, String> {
    let named = |error: String| format!("{}: {error}", path.display());
    let mut json = Vec::new();
    let is_recording = |(first, _): &(Vec<u8>, File)| first == b"SHMAUDIT";
    let file = if path.is_dir() { None } else { Some(begin(path).map_err(|error| refused(path, &error))?) };
    let Some((first, rest)) = file.filter(|file| !is_recording(file)) else {
        for recording in report::recordings(&[path.to_path_buf()], &Settings::default())? {
            serde_json::to_writer(&mut json, &recording.report).map_err(|error| named(error.to_string()))?;
        }
        return Side::of_json(&*json).map_err(named);
    };
    Side::of_json(BufReader::new(first.chain(rest))).map_err(named)
}

/// The first bytes of a file, by which journals are known, and the rest: a pipe is read but once.
fn begin(path: &Path) -> io::Result<(Vec<u8>, File)> {
    let mut file = open_named(path)?;
    let mut first = Vec::new();
    file.by_ref().take(8).read_to_end(&mut first)?;
    Ok((first, file))
}

fn escaped(text: &str) -> String {
    Text::from(text.as_bytes()).escaped()
}

impl Object {
    /// What it is called in every run.
    pub fn label(&self) -> Label<'_> {
        Label { family: &self.family, name: self.name.as_deref(), key: self.key.as_deref() }
    }

    /// What people call it.
    pub fn shown(&self) -> String {
        match (&self.name, &self.key) {
            (Some(name), _) if self.family == "memfd" => format!("memfd {}", escaped(name)),
            (Some(name), _) => escaped(name),
            (None, Some(key)) => format!("segment {}", escaped(key)),
            (None, None) => format!("{} object", escaped(&self.family)),
        }
    }
}

impl Event {
    /// Its stack, innermost first.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.stack.iter().map(|frame| Place {
            function: frame.function.as_deref(),
            unit: frame.unit.as_deref(),
            module: frame.module.as_deref(),
            offset: Cow::Borrowed(&frame.offset),
        })
    }

    /// `make prog.c:16`, where people will look.
    pub fn place(&self) -> String {
        let place = place_of(&self.stack, |frame| (frame.module.as_deref(), frame.file.is_some()));
        let Some(frame) = place else {
            return "an unknown place".to_string();
        };
        let module = base_name(frame.module.as_deref().unwrap_or("?"));
        let place = match (&frame.function, &frame.file, frame.line) {
            (Some(function), Some(file), Some(line)) => format!("{function} {}:{line}", base_name(file)),
            (Some(function), Some(file), None) => format!("{function} {}", base_name(file)),
            (Some(function), None, _) => format!("{function} ({module})"),
            (None, ..) => format!("{module}+{}", frame.offset),
        };
        escaped(&place)
    }
}
