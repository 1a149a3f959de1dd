//! A difference as text and as JSON.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

use super::input::Missing;
use super::{Amount, Change, Difference, Entry};
use crate::formats::{Terminal, wrapped};

/// How a difference is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: schema shmaudit-diff/1.
    Json,
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const BOLD: Style = Style::new().bold();

/// Lines of one kind that are written; the others are counted.
const MOST: usize = 50;

pub fn write(out: &mut dyn Write, difference: &Difference, format: Format, terminal: Terminal) -> io::Result<()> {
    if format == Format::Json {
        return crate::formats::json(out, difference);
    }
    let parts =
        [("Findings", &difference.findings), ("Objects", &difference.objects), ("Call sites", &difference.call_sites)];
    for (title, entries) in parts {
        part(out, title, entries, terminal)?;
    }
    for (which, missing) in [("first", difference.missing.before), ("second", difference.missing.after)] {
        let Missing { events_lost: events, objects_not_listed: objects } = missing;
        let what = match (events, objects) {
            (0, 0) => continue,
            (_, 0) => format!("{events} records of the {which} were lost"),
            (0, _) => format!("{objects} objects of the {which} are not listed"),
            _ => format!("{events} records of the {which} were lost, {objects} objects are not listed"),
        };
        for line in terminal.wrap(&format!("shmaudit: warning: {what}: there was more than is compared."), 4) {
            writeln!(out, "{line}")?;
        }
    }
    let told: Vec<String> = parts.iter().filter_map(|(title, entries)| counted(title, entries)).collect();
    let told = if told.is_empty() { "nothing appeared, vanished or grew".to_string() } else { told.join("; ") };
    let line = format!("SUMMARY: shmaudit: {told}");
    let lines = terminal.wrap(&line, 4);
    let (head, rest) = lines.split_first().map_or((line.as_str(), &[][..]), |(head, rest)| (head.as_str(), rest));
    let told = head.strip_prefix("SUMMARY: ").unwrap_or(head);
    writeln!(out, "{}{told}", terminal.paint(BOLD, "SUMMARY: "))?;
    rest.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// `findings: 1 appeared, 2 grew`
fn counted(title: &str, entries: &[Entry]) -> Option<String> {
    let of = |change| entries.iter().filter(|entry| entry.change == change).count();
    let counts = [(Change::Appeared, "appeared"), (Change::Grew, "grew"), (Change::Vanished, "vanished")];
    let counts: Vec<String> = counts
        .iter()
        .filter(|&&(change, _)| of(change) > 0)
        .map(|&(change, word)| format!("{} {word}", of(change)))
        .collect();
    if counts.is_empty() { None } else { Some(format!("{}: {}", title.to_lowercase(), counts.join(", "))) }
}

fn part(out: &mut dyn Write, title: &str, entries: &[Entry], terminal: Terminal) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}", terminal.paint(BOLD, title))?;
    for entry in entries.iter().take(MOST) {
        let (word, style) = match (entry.change, entry.severity.as_deref()) {
            (Change::Vanished, _) => ("vanished", GREEN),
            (Change::Appeared, Some("error")) => ("appeared", RED),
            (Change::Grew, Some("error")) => ("grew", RED),
            (Change::Appeared, _) => ("appeared", YELLOW),
            (Change::Grew, _) => ("grew", YELLOW),
        };
        let kind = match (&entry.severity, &entry.kind) {
            (Some(severity), Some(kind)) => format!("{severity}: {kind}: "),
            _ => String::new(),
        };
        let text = format!("{kind}{}: {}", entry.what, amounts(entry));
        let width = terminal.width.unwrap_or(usize::MAX).max(40);
        for (number, line) in wrapped(&text, width.saturating_sub(12), "", "").iter().enumerate() {
            let head = if number == 0 { terminal.paint(style, word) } else { String::new() };
            let padding = " ".repeat(10 - if number == 0 { word.len() } else { 0 });
            writeln!(out, "  {head}{padding}{line}")?;
        }
    }
    if entries.len() > MOST {
        writeln!(out, "  and {} more", entries.len() - MOST)?;
    }
    writeln!(out)
}

/// `1 of 4096 bytes`, `1 of 4096 bytes -> 3 of 12288 bytes, 3 left`
fn amounts(entry: &Entry) -> String {
    let Entry { change, before, after, .. } = entry;
    let left =
        |amount: &Amount| amount.left.filter(|&left| left > 0).map_or(String::new(), |left| format!(", {left} left"));
    match change {
        Change::Appeared => format!("{} of {} bytes{}", after.count, after.bytes, left(after)),
        Change::Vanished => format!("{} of {} bytes{}", before.count, before.bytes, left(before)),
        Change::Grew => {
            let of = |amount: &Amount| format!("{} of {} bytes", amount.count, amount.bytes);
            format!("{} -> {}{}", of(before), of(after), left(after))
        }
    }
}
