//! Reports in JSON as the tests read them: all those that a run wrote, their findings in the words of `.expect` files.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Deserializer, Value};
use shmaudit_core::report::JSON_SCHEMA;

use crate::clean::escaped;
use crate::gallery::{self, Compiled};
use crate::trial::Stop;

/// One report.
pub struct Report(pub Value);

/// What is compared of a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Its kind.
    pub kind: String,
    /// Its severity.
    pub severity: String,
    /// Its object's name, key or `IPC_PRIVATE`; `-` without an object.
    pub label: String,
    /// Bytes.
    pub bytes: u64,
    /// How many.
    pub count: u64,
    /// The innermost function of the program's own source, `?` where no frame is of it.
    pub function: String,
    /// Its file, without directories, and line.
    pub place: String,
}

impl Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { kind, severity, label, bytes, count, function, place } = self;
        write!(out, "{kind} {severity} {label} bytes={bytes} count={count} {function} {place}")
    }
}

/// Options that send the report in JSON into `directory`, a file for each process that writes one, and nothing elsewhere.
pub fn into(directory: &Path) -> String {
    format!("log=off:report={}/%p.report:report_format=json", directory.display())
}

/// The reports in `directory`, by file; a file may hold several, one after the other.
pub fn read_all(directory: &Path) -> Result<Vec<(PathBuf, Vec<Report>)>, Stop> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "report"));
    files.sort();
    files.into_iter().map(|path| Ok((path.clone(), read(&path)?))).collect()
}

/// The reports of one file.
pub fn read(path: &Path) -> Result<Vec<Report>, Stop> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let reports: Result<Vec<Value>, _> = Deserializer::from_slice(&text).into_iter().collect();
    let reports = reports.map_err(|error| format!("{}: {error}{}", path.display(), crate::trial::Shown(&text)))?;
    reports.iter().try_for_each(conforms)?;
    Ok(reports.into_iter().map(Report).collect())
}

/// Fails unless a report is as its schema says, and has nothing of which the schema says nothing.
pub fn conforms(report: &Value) -> Result<(), Stop> {
    static SCHEMA: Compiled = Compiled::new();
    gallery::conforms(report, &SCHEMA, || {
        let mut schema = serde_json::from_str(JSON_SCHEMA).map_err(|error| error.to_string())?;
        close(&mut schema);
        Ok(schema)
    })
}

/// Members may be added to reports, but then to the schema too.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("required") {
                members.insert("additionalProperties".to_string(), false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

impl Report {
    /// Its findings, with the call sites in the source file named.
    pub fn findings(&self, source: &str) -> BTreeSet<Finding> {
        let findings = self.0.get("findings").and_then(Value::as_array);
        findings.into_iter().flatten().map(|finding| of_interest(finding, source)).collect()
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("?")
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(u64::MAX)
}

fn of_interest(finding: &Value, source: &str) -> Finding {
    let base = |file: &str| file.rsplit('/').next().unwrap_or(file).to_string();
    let stack = finding.get("event").and_then(|event| event.get("stack")).and_then(Value::as_array);
    let own = stack.into_iter().flatten().find(|frame| base(text(frame, "file")) == source);
    Finding {
        kind: text(finding, "kind").to_string(),
        severity: text(finding, "severity").to_string(),
        label: label(finding.get("object").unwrap_or(&Value::Null)),
        bytes: number(finding, "bytes"),
        count: number(finding, "count"),
        function: own.map_or("?", |frame| text(frame, "function")).to_string(),
        place: own.map_or("?:0".to_string(), |frame| format!("{source}:{}", number(frame, "line"))),
    }
}

/// The name by which a report calls an object.
pub fn label(object: &Value) -> String {
    match (object.get("name").and_then(Value::as_str), object.get("key").and_then(Value::as_str)) {
        (Some(name), _) => escaped(&bytes_of(name)),
        (None, Some(key)) => key.to_string(),
        (None, None) => "-".to_string(),
    }
}

/// A name's bytes: what was no UTF-8 is written `\xNN`.
fn bytes_of(name: &str) -> Vec<u8> {
    let mut parts = name.split("\\x");
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(part.get(2..).unwrap_or("").as_bytes());
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    bytes
}
