//! The report as JSON: schema `shmaudit-report/1`.

use alloc::string::String;
use core::fmt::Write;

use crate::report::Report;

/// The report in one line, `\n` at its end; empty where nobody needs to be told anything.
///
/// Where there is a standard library, `serde_json::to_writer` writes a [`Report`] without holding the whole text.
pub fn json(report: &Report) -> String {
    if report.is_silent() {
        return String::new();
    }
    // Every key is a string and nothing in a report can fail to be written.
    let mut text = tame(serde_json::to_string(report).unwrap_or_default());
    text.push('\n');
    text
}

/// JSON lets control characters from DEL on stand in a string as they are, of which a terminal takes some for the beginning of
/// an escape sequence: they are escaped too.
fn tame(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut tame = String::with_capacity(text.len() + 64);
    for letter in text.chars() {
        if letter.is_control() {
            let _ = write!(tame, "\\u{:04x}", u32::from(letter));
        } else {
            tame.push(letter);
        }
    }
    tame
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use serde_json::Value;

    use super::*;
    use crate::calls::Call;
    use crate::kernel::Unasked;
    use crate::layout::process::END_EXIT;
    use crate::record::{Event, FLAG_CREATED, Family, ObjectId};
    use crate::report::{NoSymbols, Settings, conclude};
    use crate::testing::{Image, event};

    #[test]
    fn keys_are_as_documented() {
        let mut image = Image::new();
        image.process(100, None, END_EXIT);
        let object = ObjectId { family: Family::Posix, dev: 9, ino: 7 };
        let data = b"/a\n\xff";
        let made = Event {
            flags: FLAG_CREATED,
            ret: 3,
            object,
            data,
            args: &[0, 0o600],
            frames: &[0x11],
            ..event(Call::ShmOpen)
        };
        image.add(made);
        image.add(Event { args: &[0x7000], errno: 22, ret: -1, ..event(Call::Shmdt) });
        let text = json(&conclude(&image.sources(), &mut Unasked, &mut NoSymbols, &Settings::default()));
        let report: Value = serde_json::from_str(&text).unwrap();
        let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        let has = |value: &Value, wanted: &[&str]| {
            for key in wanted {
                assert!(keys(value).iter().any(|found| found == key), "{key} is missing in {value}");
            }
        };
        has(&report, &["schema", "command", "started", "ended", "processes", "objects", "findings", "suppressed"]);
        has(&report, &["unused_suppressions", "summary", "pending"]);
        has(
            &report["processes"][0],
            &["pid", "ppid", "exe", "args", "started", "ended", "end", "status", "audited", "why_not"],
        );
        let object = &report["objects"][0];
        has(object, &["family", "name", "key", "shmid", "dev", "ino", "size", "mode", "created", "removed", "exists"]);
        has(object, &["attached", "calls"]);
        assert_eq!((object["name"].as_str(), object["mode"].as_str()), (Some("/a\n\\xff"), Some("0600")));
        let finding = &report["findings"][0];
        has(
            finding,
            &["kind", "severity", "message", "hint", "object", "count", "bytes", "process", "event", "related"],
        );
        has(&finding["event"], &["time", "pid", "tid", "call", "stack"]);
        has(&finding["event"]["stack"][0], &["function", "file", "line", "module", "offset", "inlined"]);
        assert_eq!(finding["event"]["stack"][0]["offset"], "0x11");
        has(
            &report["summary"],
            &["errors", "warnings", "notes", "leaked_objects", "leaked_bytes", "calls", "failed_calls"],
        );
        has(&report["summary"], &["events", "events_lost", "unaudited_processes"]);
        assert_eq!(report["summary"]["failed_calls"]["shmdt"]["EINVAL"], 1);
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
    }
}
