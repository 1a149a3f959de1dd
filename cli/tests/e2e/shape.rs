//! JSON compared with its description: a document of the same shape, whose strings say what stands in their place.
//!
//! `string`, `number`, `bool`, `time`, `null`, `any`, `@frame` and the like for what [`named`] holds, `=word` for itself,
//! `a|b` for either. An object has at least the members described; `{"*": …}` describes all members of a map.

use serde_json::Value;

use crate::fail;
use crate::trial::{Stop, Verdict};

/// `shmaudit-report/1`.
pub const REPORT: &str = r#"{
  "schema": "=shmaudit-report/1", "command": ["string"], "started": "time", "ended": "time",
  "processes": [{"pid": "number", "ppid": "number", "exe": "string", "args": ["string"], "started": "time",
                 "ended": "time|null", "end": "=exit|=signal|=exec|=running|=unknown", "status": "number|null",
                 "audited": "bool", "why_not": "string|null"}],
  "objects": ["@object"],
  "findings": [{"kind": "string", "severity": "=error|=warning|=note", "message": "string", "hint": "string",
                "object": "@label|null", "count": "number", "bytes": "number",
                "process": {"pid": "number", "exe": "string"}, "event": "@event", "related": ["@related"]}],
  "suppressed": [{"rule": "string", "count": "number"}], "unused_suppressions": ["string"],
  "summary": {"errors": "number", "warnings": "number", "notes": "number", "leaked_objects": "number",
              "leaked_bytes": "number", "calls": {"*": "number"}, "failed_calls": {"*": {"*": "number"}},
              "events": "number", "events_lost": "number", "unaudited_processes": "number"}
}"#;

/// A line of the log in JSON.
pub const LOG_LINE: &str = r#"{
  "time": "time", "pid": "number", "tid": "number", "call": "string", "args": {"*": "any"}, "ret": "any",
  "errno": "string|null", "duration_ns": "number", "object": "@label|null", "stack": ["@frame"]
}"#;

fn named(name: &str) -> Option<&'static str> {
    Some(match name {
        "@label" => {
            r#"{"family": "=posix|=sysv|=memfd|=file", "name": "string|null", "key": "string|null", "shmid": "number|null"}"#
        }
        "@object" => {
            r#"{"family": "=posix|=sysv|=memfd|=file", "name": "string|null", "key": "string|null", "shmid": "number|null",
                "dev": "number", "ino": "number", "size": "number", "mode": "string", "created": "@event|null",
                "removed": "@event|null", "exists": "bool", "attached": "number", "calls": {"*": "number"}}"#
        }
        "@event" => r#"{"time": "time", "pid": "number", "tid": "number", "call": "string", "stack": ["@frame"]}"#,
        "@related" => {
            r#"{"what": "string", "time": "time", "pid": "number", "tid": "number", "call": "string", "stack": ["@frame"]}"#
        }
        "@frame" => {
            r#"{"function": "string|null", "file": "string|null", "line": "number|null", "module": "string|null",
                "offset": "string|null", "inlined": "bool"}"#
        }
        _ => return None,
    })
}

/// Fails, naming the place, unless `value` is as `shape` describes.
pub fn check(value: &Value, shape: &str) -> Verdict {
    let shape: Value = serde_json::from_str(shape)?;
    is_of(value, &shape, "$")
}

fn is_of(value: &Value, shape: &Value, at: &str) -> Verdict {
    match (shape, value) {
        (Value::String(words), _) => is_one_of(value, words, at),
        (Value::Array(shapes), Value::Array(values)) => {
            let Some(shape) = shapes.first() else { return Ok(()) };
            values.iter().enumerate().try_for_each(|(index, value)| is_of(value, shape, &format!("{at}[{index}]")))
        }
        (Value::Object(shapes), Value::Object(values)) => {
            if let Some(shape) = shapes.get("*") {
                return values.iter().try_for_each(|(name, value)| is_of(value, shape, &format!("{at}.{name}")));
            }
            shapes.iter().try_for_each(|(name, shape)| match values.get(name) {
                Some(value) => is_of(value, shape, &format!("{at}.{name}")),
                None => fail!("{at} has no {name}: {value}"),
            })
        }
        _ => fail!("{at} is {value}, not as {shape}"),
    }
}

fn is_one_of(value: &Value, words: &str, at: &str) -> Verdict {
    let mut reason = None;
    for word in words.split('|') {
        let fits = match word {
            "any" => true,
            "null" => value.is_null(),
            "bool" => value.is_boolean(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "time" => value.as_str().is_some_and(is_time),
            _ => match (word.strip_prefix('='), named(word)) {
                (Some(word), _) => value.as_str() == Some(word),
                (None, Some(shape)) => {
                    let inner = check_inner(value, shape, at);
                    let fits = inner.is_ok();
                    reason = inner.err().or(reason);
                    fits
                }
                (None, None) => fail!("no such description: {word}"),
            },
        };
        if fits {
            return Ok(());
        }
    }
    match reason {
        Some(reason) if value.is_object() => Err(reason),
        _ => fail!("{at} is {value}, not {words}"),
    }
}

fn check_inner(value: &Value, shape: &str, at: &str) -> Result<(), Stop> {
    let shape: Value = serde_json::from_str(shape)?;
    is_of(value, &shape, at)
}

/// RFC 3339 in UTC: `2026-01-31T23:59:59.123456789Z`.
fn is_time(text: &str) -> bool {
    let Some(text) = text.strip_suffix('Z') else { return false };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let pattern = "dddd-dd-ddTdd:dd:dd";
    whole.len() == pattern.len()
        && whole.chars().zip(pattern.chars()).all(|(c, p)| if p == 'd' { c.is_ascii_digit() } else { c == p })
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}
