//! Folded stacks by leaked bytes: a line for each stack, outermost frame first, as flame-graph tools read them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use shmaudit_core::findings::Kind;
use shmaudit_core::report::{Finding, Frame};

use super::Recording;
use super::shown::{self, base_name, shown};

pub fn write(out: &mut dyn Write, recordings: &[Recording]) -> io::Result<()> {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for finding in recordings.iter().flat_map(|recording| &recording.report.findings) {
        if Kind::from_name(finding.kind.as_bytes()).is_some_and(Kind::is_leak) {
            let bytes = stacks.entry(stack(finding)).or_insert(0);
            *bytes = bytes.saturating_add(finding.bytes);
        }
    }
    for (stack, bytes) in stacks {
        writeln!(out, "{stack} {bytes}")?;
    }
    Ok(())
}

/// `prog;main;make;shm_open`
fn stack(finding: &Finding) -> String {
    let exe = finding.process.as_ref().map(|process| shown::text(&process.exe)).unwrap_or_default();
    let exe = match base_name(&exe) {
        "" => "unknown program",
        exe => exe,
    };
    let mut levels = vec![exe.to_string()];
    if let Some(event) = &finding.event {
        levels.extend(shown::above_main(event.stack.frames()).iter().rev().map(level));
        levels.push(event.call.to_string());
    }
    let levels: Vec<String> = levels.iter().map(|level| level.replace(';', ":")).collect();
    levels.join(";")
}

fn level(frame: &Frame) -> String {
    match &frame.function {
        Some(function) => shown(function).into_owned(),
        None => shown::caller(frame),
    }
}
