//! The forms that reports take: one file below for each, views of the same values.
//!
//! What is common to them is here: [`Recording`] is what they get, [`write`] the one place that knows them all. Where
//! recordings come from is not known here.

mod calls;
mod folded;
mod groups;
mod html;
mod junit;
mod perfetto;
mod sarif;
mod shown;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use shmaudit_core::report::{Report, Settings};

pub use calls::{Calls, Seen, walk};
pub use shown::{base_name, json, shown};
pub use text::{Terminal, lines, wrapped};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: schema shmaudit-report/1, one document a recording (--schema prints the schema).
    Json,
    /// SARIF 2.1.0, for GitHub code scanning and editors.
    Sarif,
    /// JUnit XML, for what shows tests: errors are failures.
    Junit,
    /// One page to look at and search, without network.
    Html,
    /// Chrome trace events, for ui.perfetto.dev: every call, process and object in time.
    Perfetto,
    /// Folded stacks by leaked bytes, for flame graphs.
    Folded,
}

/// Most objects of one recording that a page lists.
const MOST_OBJECTS: usize = 100_000;

impl Format {
    /// What the report must have for it.
    pub fn settings(self) -> Settings {
        match self {
            Format::Html => Settings { objects: MOST_OBJECTS, ..Settings::default() },
            _ => Settings::default(),
        }
    }
}

/// A recording as formats see it.
pub struct Recording {
    /// What follows from it.
    pub report: Report,
    /// Its calls once more, for formats that show each.
    pub calls: Box<dyn Calls>,
}

/// What the reader of a report wants.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Where the sources are: an absolute path, which locations are relative to.
    pub source_root: PathBuf,
    /// The terminal that is written to, if it is one.
    pub terminal: Terminal,
}

/// Writes the recordings in this format.
pub fn write(out: &mut dyn Write, format: Format, recordings: &[Recording], wishes: &Wishes) -> io::Result<()> {
    match format {
        Format::Text => texts(out, recordings, wishes.terminal),
        Format::Json => recordings.iter().try_for_each(|recording| json(out, &recording.report)),
        Format::Sarif => sarif::write(out, recordings, &wishes.source_root),
        Format::Junit => junit::write(out, recordings),
        Format::Html => html::write(out, recordings),
        Format::Perfetto => perfetto::write(out, recordings),
        Format::Folded => folded::write(out, recordings),
    }
}

/// The reports that have something to tell; all where none has.
fn told(recordings: &[Recording]) -> Vec<&Report> {
    let all = || recordings.iter().map(|recording| &recording.report);
    let told: Vec<&Report> = all().filter(|report| !report.is_silent()).collect();
    if told.is_empty() { all().collect() } else { told }
}

/// Of several, each under a line that says which it is.
fn texts(out: &mut dyn Write, recordings: &[Recording], terminal: Terminal) -> io::Result<()> {
    for (number, Recording { report, .. }) in recordings.iter().enumerate() {
        if recordings.len() > 1 && !report.is_silent() {
            let blank = if number == 0 { "" } else { "\n" };
            let command: Vec<String> = report.command.iter().map(shown::text).collect();
            let of = format!("{} of {}", number + 1, recordings.len());
            writeln!(
                out,
                "{blank}shmaudit: recording {of}: {}, begun {}",
                command.join(" "),
                shown::date(report.started.0)
            )?;
        }
        text::write(out, report, terminal)?;
    }
    Ok(())
}
