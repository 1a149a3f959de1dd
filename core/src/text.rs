//! The report for people: the most severe and largest first, what one place did again folded, each finding with who did it
//! and where, the numbers in the last line.
//!
//! Everything from outside is escaped: no byte of a name reaches a terminal as it is. Lines end in `\n`, no other control
//! byte is written. Colour is others' work.

mod growth;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::findings::{Severity, say};
use crate::report::{Event, Finding, Frame, Known, Object, Report, Stack};

pub use growth::growth;

/// Findings from one place that get a line each; more are counted.
const MOST_ALIKE: usize = 20;
/// Objects that wait and get a line each.
const MOST_PENDING: usize = 20;

/// The report as text; empty where nobody needs to be told anything.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    if report.is_silent() {
        return out;
    }
    let mut hints = BTreeSet::new();
    for group in groups(&report.findings) {
        match group.first() {
            Some(first) if first.severity == Severity::Note => notes(&mut out, &group, &mut hints),
            _ => full(&mut out, &group, &mut hints),
        }
    }
    pending(&mut out, report);
    for warning in &report.warnings {
        line(&mut out, &format!("shmaudit: warning: {}", say::escaped(warning.as_bytes())));
    }
    suppressions(&mut out, report);
    line(&mut out, &format!("SUMMARY: shmaudit: {}", summary(report)));
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Findings of one kind from one place, explained by calls of the same places: they share their stacks, or all have none.
/// The worst first, then those of the most bytes.
fn groups(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let nowhere: Rc<str> = Rc::from("");
    let mut places: BTreeMap<usize, Rc<str>> = BTreeMap::new();
    let mut known: BTreeMap<(Severity, &str, Rc<str>), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let place = match &finding.event {
            Some(event) => places.entry(event.stack.identity()).or_insert_with(|| Rc::from(stack(&event.stack))),
            None => &nowhere,
        };
        let place = match finding.related.as_slice() {
            [] => Rc::clone(place),
            related => {
                let whats = related.iter().map(|related| format!("{}\n{}", related.what, stack(&related.event.stack)));
                Rc::from([String::from(&**place)].into_iter().chain(whats).collect::<String>())
            }
        };
        let group = *known.entry((finding.severity, finding.kind, place)).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(finding),
            None => groups.push(alloc::vec![finding]),
        }
    }
    groups.sort_by_key(|group| (group.first().map(|first| first.severity), Reverse(bytes(group))));
    groups
}

fn bytes(group: &[&Finding]) -> u64 {
    group.iter().fold(0, |sum, finding| sum.saturating_add(finding.bytes))
}

fn heading(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "ERROR",
        Severity::Warning => "WARNING",
        Severity::Note => "note",
    };
    format!("shmaudit: {severity}: {}: {}", finding.kind, finding.said())
}

/// What to do about findings of a kind, told once.
fn hint(out: &mut String, finding: &Finding, told: &mut BTreeSet<&'static str>) {
    if told.insert(finding.hint.advice) {
        line(out, &format!("  hint: {}", finding.hint.advice));
    }
}

fn full(out: &mut String, group: &[&Finding], hints: &mut BTreeSet<&'static str>) {
    let Some(first) = group.first() else { return };
    let (shown, rest) = group.split_at(group.len().min(MOST_ALIKE));
    for finding in shown {
        line(out, &heading(finding));
    }
    if !rest.is_empty() {
        let of = match bytes(rest) {
            0 => String::new(),
            bytes => format!(", of {}", say::size(bytes)),
        };
        let from = if first.event.is_some() { " from there" } else { "" };
        line(out, &format!("    and {} more of the same{from}{of}.", rest.len()));
    }
    if let Some(event) = &first.event {
        out.push_str(&stack(&event.stack));
    }
    for related in &first.related {
        line(out, &format!("  {} by {}:", related.what, call(&related.event)));
        out.push_str(&stack(&related.event.stack));
    }
    hint(out, first, hints);
    remedy(out, shown, rest.len());
    line(out, "");
}

/// One command for all that are shown, or one for files and one for the segments of each namespace.
fn remedy(out: &mut String, shown: &[&Finding], more: usize) {
    let all: Vec<&str> = shown.iter().filter_map(|finding| finding.hint.command.as_deref()).collect();
    let mut commands: Vec<(&str, String)> = Vec::new();
    for (program, words) in all.iter().map(|command| parted(command)) {
        match commands.iter_mut().find(|(other, _)| *other == program) {
            Some((_, of_it)) => of_it.push_str(words),
            None => commands.push((program, words.into())),
        }
    }
    if commands.is_empty() {
        return;
    }
    let these = match (all.len(), more) {
        (1, _) => "it",
        (_, 0) => "them",
        _ => "the first of them",
    };
    let commands: Vec<String> = commands.iter().map(|(program, words)| format!("{program}{words}")).collect();
    line(out, &format!("  to remove {these}: {}", commands.join("; ")));
}

/// A command, and what it removes: of one command they are put together, `rm -f A B`, `ipcrm -m 1 -m 2`.
fn parted(command: &str) -> (&str, &str) {
    let end = match command.find("ipcrm") {
        _ if command.starts_with("rm -f") => "rm -f".len(),
        Some(at) => at + "ipcrm".len(),
        None => command.len(),
    };
    command.split_at(end)
}

fn call(event: &Event) -> String {
    format!("{} in process {}", event.call, event.pid)
}

fn notes(out: &mut String, group: &[&Finding], hints: &mut BTreeSet<&'static str>) {
    for finding in group.iter().take(MOST_ALIKE) {
        let place = finding.event.as_ref().and_then(|event| place(&event.stack));
        let message = heading(finding);
        let message = message.strip_suffix('.').unwrap_or(&message);
        line(out, &place.map_or_else(|| format!("{message}."), |place| format!("{message}: {place}")));
    }
    if group.len() > MOST_ALIKE {
        line(out, &format!("shmaudit: note: and {} more of the same.", group.len() - MOST_ALIKE));
    }
    if let Some(first) = group.first() {
        hint(out, first, hints);
    }
}

/// The place that a reader will look for.
pub(crate) fn place(stack: &Stack) -> Option<String> {
    stack.place().map(frame)
}

/// `main posix_shm.c:16 (posix_shm+0x1139)`
fn frame(frame: &Frame) -> String {
    let base = |path: &str| say::escaped(say::base_name(path.as_bytes()));
    let function = frame.function.as_ref().map_or_else(|| "??".to_string(), |name| say::escaped(name.as_bytes()));
    let source = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(" {}:{line}", base(file)),
        (Some(file), None) => format!(" {}", base(file)),
        (None, _) => String::new(),
    };
    let module = match &frame.module {
        _ if frame.inlined => "inlined".to_string(),
        Some(module) => format!("{}+{:#x}", base(module), frame.offset),
        None => format!("{:#x}", frame.offset),
    };
    format!("{function}{source} ({module})")
}

fn stack(stack: &Stack) -> String {
    let mut out = String::new();
    for (number, level) in shown(stack.frames()).iter().enumerate() {
        line(&mut out, &format!("    #{number} {}", frame(level)));
    }
    out
}

/// What every program has below `main` tells nothing.
fn shown(frames: &[Frame]) -> &[Frame] {
    let main = frames.iter().rposition(|frame| frame.function.as_deref() == Some("main"));
    frames.get(..main.map_or(frames.len(), |main| main + 1)).unwrap_or(frames)
}

fn pending(out: &mut String, report: &Report) {
    if report.pending.is_empty() {
        return;
    }
    let living: Vec<String> = report
        .waiting_for
        .iter()
        .take(MOST_PENDING)
        .map(|process| format!("{}[{}]", say::escaped(say::base_name(process.exe.bytes())), process.pid))
        .collect();
    let more = if report.waiting_for.len() > living.len() { " and others" } else { "" };
    let run = if report.waiting_for.len() == 1 { "still runs and" } else { "still run and" };
    line(out, &format!("shmaudit: pending: {}{more} {run} may remove:", living.join(", ")));
    for object in report.pending.iter().take(MOST_PENDING) {
        line(out, &format!("    {}", waits(object)));
    }
    if report.pending.len() > MOST_PENDING {
        line(out, &format!("    and {}", say::number((report.pending.len() - MOST_PENDING) as u64, "more object")));
    }
}

fn waits(object: &Object) -> String {
    let what = &object.what;
    let name = match (&what.name, &what.key, what.shmid) {
        (Some(name), ..) => name.escaped(),
        (None, Some(key), Some(shmid)) => format!("segment {key} (shmid {shmid})"),
        (None, _, shmid) => format!("segment of shmid {}", shmid.unwrap_or(-1)),
    };
    let made = object.created.as_ref();
    let place = made.and_then(|event| place(&event.stack)).map_or_else(String::new, |place| format!(": {place}"));
    let by = made.map_or_else(String::new, |event| format!(", made by process {}", event.pid));
    format!("{name}, {}{by}{place}", say::size(what.size))
}

/// Which suppressions took away how much, and which of the user's nothing.
fn suppressions(out: &mut String, report: &Report) {
    let used: Vec<String> = report
        .suppressed
        .iter()
        .map(|rule| {
            // What the program has excused has no rule, but words.
            let by = if rule.rule.contains(':') { "by " } else { "" };
            format!("{} {by}{}", say::number(rule.count, "finding"), say::escaped(rule.rule.as_bytes()))
        })
        .collect();
    if !used.is_empty() {
        line(out, &format!("shmaudit: suppressed: {}.", used.join(", ")));
    }
    let unused: Vec<String> = report.unused_suppressions.iter().map(|rule| say::quoted(rule.as_bytes())).collect();
    match unused.as_slice() {
        [] => {}
        [rule] => line(out, &format!("shmaudit: warning: nothing was suppressed by {rule}.")),
        rules => {
            line(out, &format!("shmaudit: warning: {} suppressions were not used: {}.", rules.len(), rules.join(", ")));
        }
    }
}

/// The numbers in one line, as `SUMMARY` has them.
pub fn summary(report: &Report) -> String {
    let summary = &report.summary;
    let mut parts = Vec::new();
    parts.push(match summary.leaked_objects {
        0 if report.settled && report.pending.is_empty() => "nothing leaked".to_string(),
        0 => "nothing leaked so far".to_string(),
        count => format!("{} leaked, {}", say::number(count, "object"), say::size(summary.leaked_bytes)),
    });
    let others = summary.errors.saturating_sub(summary.leaked_objects);
    let suppressed = report.suppressed.iter().fold(0u64, |sum, rule| sum.saturating_add(rule.count));
    let counts = [(others, "error"), (summary.warnings, "warning"), (summary.notes, "note")];
    parts.extend(counts.iter().filter(|(count, _)| *count > 0).map(|&(count, of)| say::number(count, of)));
    if !report.pending.is_empty() {
        parts.push(format!("{} pending", report.pending.len()));
    }
    if suppressed > 0 {
        parts.push(format!("{suppressed} suppressed"));
    }
    if let Some(baseline) = report.baseline {
        parts.push(match baseline {
            Known { known, gone: 0 } => format!("{known} known"),
            Known { known, gone } => format!("{known} known, {gone} gone"),
        });
    }
    let calls = say::number(report.audited_calls(), "call");
    let lost = match summary.events_lost {
        0 => String::new(),
        lost => format!(", {} lost", say::number(lost, "record")),
    };
    format!("{} ({calls}{lost})", parts.join("; "))
}

#[cfg(test)]
mod tests;
