//! SARIF 2.1.0 (OASIS), as GitHub code scanning reads it: one run, a rule for each kind, a result for each group of findings.
//!
//! Fingerprints hold nothing that changes between runs (see [`fingerprint`](shmaudit_core::report::fingerprint())). Sources below the source root are
//! named relative to `%SRCROOT%`, everything else by `file:` URIs.

use std::io::{self, Write};
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};
use shmaudit_core::findings::{KINDS, Kind, Severity};
use shmaudit_core::report::{Event, Finding, Frame, Report, Stack};

use super::Recording;
use super::groups::{Group, groups};
use super::shown::{self, shown};
use crate::explain;

/// Where the sources are, as CodeQL calls it.
const ROOT: &str = "%SRCROOT%";
/// What cannot stand in a path of a URI as it is.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');
const PATH: &AsciiSet = &QUERY.add(b'{').add(b'}').add(b'[').add(b']').add(b'\\').add(b'^').add(b'|');

pub fn write(out: &mut dyn Write, recordings: &[Recording], source_root: &Path) -> io::Result<()> {
    let sources = Sources { root: directory(source_root) };
    let findings = recordings.iter().flat_map(|recording| &recording.report.findings);
    let results: Vec<Value> = groups(findings).iter().filter_map(|group| sources.result(group)).collect();
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "shmaudit",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": KINDS.iter().map(|&kind| rule(kind)).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": "shmaudit/" },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { ROOT: { "uri": format!("file://{}", encoded(&sources.root)) } },
            "invocations": recordings.iter().map(|recording| invocation(&recording.report)).collect::<Vec<_>>(),
            "results": results,
        }],
    });
    serde_json::to_writer(&mut *out, &log)?;
    out.write_all(b"\n")
}

fn level(severity: Severity) -> &'static str {
    severity.name()
}

fn rule(kind: Kind) -> Value {
    let remedy = explain::remedy(kind.name());
    let markdown = remedy.map_or_else(String::new, |remedy| {
        format!("\n\nBefore:\n\n```c\n{}\n```\n\nAfter:\n\n```c\n{}\n```", remedy.before, remedy.after)
    });
    json!({
        "id": kind.name(),
        "name": camel(kind.name()),
        "shortDescription": { "text": first_sentence(kind.why()) },
        "fullDescription": { "text": kind.why() },
        "help": {
            "text": format!("{} {}", kind.why(), kind.hint()),
            "markdown": format!("{}\n\n{}{markdown}", kind.why(), kind.hint()),
        },
        "defaultConfiguration": { "level": level(kind.severity()) },
        "properties": {
            "tags": ["shared-memory", if kind.is_leak() { "leak" } else { "correctness" }],
            "precision": "very-high",
            "problem.severity": match kind.severity() { Severity::Note => "recommendation", other => other.name() },
        },
    })
}

/// `posix-leak` as `PosixLeak`.
fn camel(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect()
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| text.get(..=end).unwrap_or(text))
}

fn invocation(report: &Report) -> Value {
    let command: Vec<String> = report.command.iter().map(shown::text).collect();
    let notes = report.warnings.iter().map(|warning| json!({ "level": "warning", "message": { "text": warning } }));
    json!({
        "executionSuccessful": true,
        "commandLine": command.join(" "),
        "arguments": command.get(1..).unwrap_or(&[]),
        "startTimeUtc": report.started,
        "endTimeUtc": report.ended,
        "toolExecutionNotifications": notes.collect::<Vec<_>>(),
    })
}

/// How files are named.
struct Sources {
    /// With a slash at its end.
    root: String,
}

/// A directory's path with one slash at its end.
fn directory(path: &Path) -> String {
    let path = normal(&path.to_string_lossy());
    if path == "/" { path } else { format!("{path}/") }
}

fn encoded(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

impl Sources {
    fn result(&self, group: &Group) -> Option<Value> {
        let first = group.first()?;
        let more = match group.findings.len() {
            0 | 1 => String::new(),
            many => format!(" And {} more of the same from there, {} bytes in all.", many - 1, group.bytes()),
        };
        let text = format!("{}{more} {}", first.said(), group.hint());
        let mut result = json!({
            "ruleId": first.kind,
            "level": level(first.severity),
            "message": { "text": text },
            "locations": [self.location_of(first)],
            "occurrenceCount": group.count(),
            "partialFingerprints": { "shmauditFinding/v1": group.fingerprint },
            "properties": { "bytes": group.bytes(), "object": first.object.as_ref().map(shown::label) },
        });
        let map = result.as_object_mut()?;
        if let Some(index) = KINDS.iter().position(|kind| kind.name() == first.kind) {
            map.insert("ruleIndex".to_string(), index.into());
        }
        self.stacks(map, first);
        Some(result)
    }

    /// The call's own stack, and those of the calls that explain it.
    fn stacks(&self, result: &mut Map<String, Value>, finding: &Finding) {
        let own = finding.event.iter().map(|event| (event.call.to_string(), event));
        let related = finding.related.iter().map(|related| {
            let event = &related.event;
            (format!("{} by {}", related.what, event.call), event)
        });
        let stacks: Vec<Value> =
            own.chain(related.clone()).map(|(what, event)| self.stack(&what, &event.stack)).collect();
        if !stacks.is_empty() {
            result.insert("stacks".to_string(), stacks.into());
        }
        let places: Vec<Value> = related
            .enumerate()
            .map(|(id, (what, event))| {
                let mut place = self.location(self.in_sources(event));
                if let Some(place) = place.as_object_mut() {
                    place.insert("id".to_string(), id.into());
                    place.insert("message".to_string(), json!({ "text": what }));
                }
                place
            })
            .collect();
        if !places.is_empty() {
            result.insert("relatedLocations".to_string(), places.into());
        }
    }

    fn stack(&self, what: &str, stack: &Stack) -> Value {
        let frames = shown::above_main(stack.frames()).iter().map(|frame| {
            let mut written = json!({ "location": self.location(Some(frame)) });
            if let (Some(module), Some(written)) = (&frame.module, written.as_object_mut()) {
                written.insert("module".to_string(), shown(module).into_owned().into());
            }
            written
        });
        json!({ "message": { "text": what }, "frames": frames.collect::<Vec<_>>() })
    }

    /// Where people will look: in a source below the root, else in any source; else it is the program.
    fn location_of(&self, finding: &Finding) -> Value {
        let frame = finding.event.as_ref().and_then(|event| self.in_sources(event));
        if frame.is_some_and(|frame| frame.file.is_some() || frame.module.is_some()) {
            return self.location(frame);
        }
        let exe = finding.process.as_ref().map(|process| process.exe.to_utf8()).unwrap_or_default();
        let exe = if exe.is_empty() { "unknown" } else { &exe };
        json!({ "physicalLocation": { "artifactLocation": self.artifact(exe) } })
    }

    fn in_sources<'a>(&self, event: &'a Event) -> Option<&'a Frame> {
        let ours = |frame: &&Frame| frame.file.as_deref().is_some_and(|file| normal(file).starts_with(&self.root));
        event.stack.frames().iter().find(ours).or_else(|| event.stack.place())
    }

    fn location(&self, frame: Option<&Frame>) -> Value {
        let Some(frame) = frame else { return json!({}) };
        let mut location = Map::new();
        if let Some(file) = frame.file.as_deref().or(frame.module.as_deref()) {
            let mut physical = json!({ "artifactLocation": self.artifact(file) });
            if let (Some(_), Some(line), Some(physical)) = (&frame.file, frame.line, physical.as_object_mut()) {
                let mut region = json!({ "startLine": line });
                if let (Some(column), Some(region)) =
                    (frame.column.filter(|&column| column > 0), region.as_object_mut())
                {
                    region.insert("startColumn".to_string(), column.into());
                }
                physical.insert("region".to_string(), region);
            }
            location.insert("physicalLocation".to_string(), physical);
        }
        if let Some(function) = &frame.function {
            let function = shown(function);
            location.insert(
                "logicalLocations".to_string(),
                json!([{ "fullyQualifiedName": function, "kind": "function" }]),
            );
        }
        location.into()
    }

    fn artifact(&self, file: &str) -> Value {
        let file = normal(file);
        match file.strip_prefix(&self.root) {
            Some(below) => json!({ "uri": encoded(below), "uriBaseId": ROOT }),
            None if file.starts_with('/') => json!({ "uri": format!("file://{}", encoded(&file)) }),
            // Sources compiled with a prefix map are named relative to where they were.
            None => json!({ "uri": encoded(&file), "uriBaseId": ROOT }),
        }
    }
}

/// A path without `.`, `..` and doubled slashes, by its words alone.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match (part, parts.last()) {
            ("..", Some(&last)) if last != ".." => {
                parts.pop();
            }
            ("..", None) if path.starts_with('/') => {}
            _ => parts.push(part),
        }
    }
    let start = if path.starts_with('/') { "/" } else { "" };
    format!("{start}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_root() {
        let sources = Sources { root: directory(Path::new("/src/pro ject/")) };
        for (file, uri, base) in [
            ("/src/pro ject/a/b.c", "a/b.c", Some(ROOT)),
            ("/src/pro ject/build/../a/./b.c", "a/b.c", Some(ROOT)),
            ("/src/pro ject-2/b.c", "file:///src/pro%20ject-2/b.c", None),
            ("/usr/include/x#y.h", "file:///usr/include/x%23y.h", None),
            ("./a/b.c", "a/b.c", Some(ROOT)),
            ("../b.c", "../b.c", Some(ROOT)),
        ] {
            let artifact = sources.artifact(file);
            assert_eq!((artifact["uri"].as_str(), artifact["uriBaseId"].as_str()), (Some(uri), base), "{file}");
        }
    }

    #[test]
    fn names_of_rules() {
        assert_eq!(camel("sysv-pending-destroy"), "SysvPendingDestroy");
        assert_eq!(first_sentence("One. Two."), "One.");
        assert_eq!(first_sentence("One."), "One.");
    }
}
