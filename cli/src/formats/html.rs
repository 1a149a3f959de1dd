//! One page to look at: verdict, findings with stacks, processes and objects in time. It carries its own style and script,
//! asks the network for nothing (its policy forbids it), and runs no other script: both are named by their hashes.
//!
//! What is static is the template's, which escapes; lists that may be long are drawn by `page.js` from [`data`].

mod data;
mod uses;

use std::io::{self, Write};

use askama::Template;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use shmaudit_core::findings::{Kind, Severity};
use shmaudit_core::report::{Event, Frame, Report, Stack};
use shmaudit_core::words;

use super::Recording;
use super::groups::{Group, groups};
use super::shown::{self, base_name, date, shown, written};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Findings of a group that are named.
const MOST_ALIKE: usize = 50;

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    version: &'a str,
    style: &'a str,
    style_hash: String,
    script: &'a str,
    script_hash: String,
    command: String,
    started: String,
    lasted: String,
    verdict: String,
    mood: &'a str,
    cards: Vec<Card>,
    warnings: Vec<&'a str>,
    findings: Vec<Shown>,
    not_listed: u64,
    data: String,
}

/// A number.
struct Card {
    name: &'static str,
    value: String,
    more: String,
    mood: &'static str,
}

/// A group of findings.
struct Shown {
    severity: &'static str,
    kind: &'static str,
    message: String,
    more: usize,
    bytes: String,
    stacks: Vec<ShownStack>,
    others: Vec<String>,
    untold: usize,
    why: &'static str,
    hint: &'static str,
    command: String,
    those: &'static str,
}

struct ShownStack {
    what: String,
    frames: Vec<ShownFrame>,
}

struct ShownFrame {
    function: String,
    place: String,
    module: String,
}

pub fn write(out: &mut dyn Write, recordings: &[Recording]) -> io::Result<()> {
    let reports: Vec<&Report> = recordings.iter().map(|recording| &recording.report).collect();
    let hash = |text: &str| BASE64.encode(&Sha256::digest(text.as_bytes()));
    let began = reports.iter().map(|report| report.started.0).min().unwrap_or(0);
    let ended = reports.iter().map(|report| report.ended.0).max().unwrap_or(began);
    let errors: u64 = reports.iter().map(|report| report.summary.errors).sum();
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        style: STYLE,
        style_hash: hash(STYLE),
        script: SCRIPT,
        script_hash: hash(SCRIPT),
        command: command(&super::told(recordings)),
        started: date(began),
        lasted: written(|line| words::duration(line, ended.saturating_sub(began))),
        verdict: verdict(&reports),
        mood: if errors > 0 { "error" } else { "good" },
        cards: cards(&reports),
        warnings: reports.iter().flat_map(|report| &report.warnings).map(String::as_str).collect(),
        findings: groups(reports.iter().flat_map(|report| &report.findings)).iter().filter_map(shown_group).collect(),
        not_listed: reports.iter().map(|report| report.objects_not_listed).sum(),
        data: data::data(recordings, began, ended)?,
    };
    page.write_into(out)
}

fn size(bytes: u64) -> String {
    written(|line| words::human_size(line, bytes))
}

fn command(reports: &[&Report]) -> String {
    let first: Vec<String> =
        reports.first().map(|report| report.command.iter().map(shown::text).collect()).unwrap_or_default();
    match reports.len() {
        0 | 1 => first.join(" "),
        many => format!("{} and {} more", first.join(" "), many - 1),
    }
}

/// `2 objects leaked, 8192 bytes`
fn verdict(reports: &[&Report]) -> String {
    let objects: u64 = reports.iter().map(|report| report.summary.leaked_objects).sum();
    let bytes = reports.iter().fold(0u64, |sum, report| sum.saturating_add(report.summary.leaked_bytes));
    let waits = reports.iter().any(|report| !report.pending.is_empty() || !report.settled);
    match objects {
        0 if waits => "Nothing leaked so far".to_string(),
        0 => "Nothing leaked".to_string(),
        1 => format!("1 object leaked, {}", size(bytes)),
        many => format!("{many} objects leaked, {}", size(bytes)),
    }
}

fn cards(reports: &[&Report]) -> Vec<Card> {
    let sum = |of: fn(&Report) -> u64| reports.iter().fold(0u64, |sum, report| sum.saturating_add(of(report)));
    let card = |name, value: u64, mood| Card {
        name,
        value: value.to_string(),
        more: String::new(),
        mood: if value > 0 { mood } else { "" },
    };
    let failed = |report: &Report| report.summary.failed_calls.values().flat_map(|errnos| errnos.values()).sum();
    let suppressed = |report: &Report| report.suppressed.iter().map(|rule| rule.count).sum();
    let mut cards = vec![
        card("Errors", sum(|report| report.summary.errors), "error"),
        card("Warnings", sum(|report| report.summary.warnings), "warning"),
        card("Notes", sum(|report| report.summary.notes), ""),
        card("Objects", sum(|report| report.objects.len() as u64 + report.objects_not_listed), ""),
        card("Processes", sum(|report| report.processes.len() as u64), ""),
        Card {
            more: match sum(failed) {
                0 => String::new(),
                failed => format!("{failed} failed"),
            },
            ..card("Calls", sum(Report::audited_calls), "")
        },
    ];
    let rest = [
        card("Pending", sum(|report| report.pending.len() as u64), ""),
        card("Suppressed", sum(suppressed), ""),
        card("Records lost", sum(|report| report.summary.events_lost), "warning"),
        card("Not audited", sum(|report| report.summary.unaudited_processes), "warning"),
    ];
    cards.extend(rest.into_iter().filter(|card| card.value != "0"));
    cards
}

fn shown_group(group: &Group) -> Option<Shown> {
    let first = group.first()?;
    let others = group.findings.get(1..).unwrap_or(&[]);
    let own =
        first.event.iter().map(|event| stack(format!("{} in {}", event.call, process(first, event)), &event.stack));
    let related = first.related.iter().map(|related| {
        let Event { call, pid, stack: frames, .. } = &related.event;
        stack(format!("{} by {call} in process {pid}", related.what), frames)
    });
    Some(Shown {
        severity: match first.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        kind: first.kind,
        message: first.said(),
        more: others.len(),
        bytes: size(group.bytes()),
        stacks: own.chain(related).collect(),
        others: others.iter().take(MOST_ALIKE).map(|finding| finding.said()).collect(),
        untold: others.len().saturating_sub(MOST_ALIKE),
        why: Kind::from_name(first.kind.as_bytes()).map_or("", Kind::why),
        hint: first.hint.advice,
        command: group.command().unwrap_or_default(),
        those: group.those(),
    })
}

fn process(finding: &shmaudit_core::report::Finding, event: &Event) -> String {
    let exe = finding.process.as_ref().map(|process| shown::text(&process.exe)).unwrap_or_default();
    match base_name(&exe) {
        "" => format!("process {}", event.pid),
        name => format!("{name}[{}]", event.pid),
    }
}

fn stack(what: String, stack: &Stack) -> ShownStack {
    ShownStack { what, frames: shown::above_main(stack.frames()).iter().map(frame).collect() }
}

fn frame(frame: &Frame) -> ShownFrame {
    let module = match &frame.module {
        _ if frame.inlined => "inlined".to_string(),
        Some(module) => format!("{}+{:#x}", base_name(module), frame.offset),
        None => format!("{:#x}", frame.offset),
    };
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{}:{line}", base_name(file)),
        (Some(file), None) => base_name(file).to_string(),
        (None, _) => String::new(),
    };
    ShownFrame {
        function: shown(frame.function.as_deref().unwrap_or("??")).into_owned(),
        place: shown(&place).into_owned(),
        module: shown(&module).into_owned(),
    }
}
