//! What somebody has looked at already: suppressions, a baseline, and suppressions to be written.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use shmaudit_core::baseline::Baseline;
use shmaudit_core::report::Report;
use shmaudit_core::suppress::{self, Suppressions};

use crate::sys::open_named;

/// Largest file of suppressions.
const MOST_SUPPRESSIONS: u64 = 16 << 20;
/// Largest baseline.
const MOST_BASELINE: u64 = 1 << 30;

/// Options of every command that tells findings.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Findings not to report: lines of leak:GLOB or KIND:GLOB.
    #[arg(long, value_name = "FILE")]
    suppressions: Option<PathBuf>,
    /// A former report in JSON: only what is new counts.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Add a suppression to FILE for everything that is found.
    #[arg(long, value_name = "FILE")]
    write_suppressions: Option<PathBuf>,
    /// Tell also what the built-in suppressions know: leaks that programs such as PostgreSQL leave on purpose.
    #[arg(long)]
    no_built_in: bool,
}

/// What the options name, read.
pub struct Known {
    /// Built-in and given ones.
    pub suppressions: Suppressions,
    baseline: Option<Baseline>,
    write: Option<Written>,
}

/// A file of suppressions that grows.
struct Written {
    path: PathBuf,
    text: Vec<u8>,
    /// What is in it, and what else is in force.
    rules: Suppressions,
}

impl Options {
    /// Reads the files. An error names the file, the place and what is wrong there.
    pub fn read(&self) -> Result<Known, String> {
        let mut suppressions = if self.no_built_in { Suppressions::none() } else { Suppressions::default() };
        if let Some(path) = &self.suppressions {
            add(&mut suppressions, path, &read(path, MOST_SUPPRESSIONS)?)?;
        }
        let baseline = match &self.baseline {
            None => None,
            Some(path) => {
                let parsed = Baseline::parse(&read(path, MOST_BASELINE)?);
                Some(parsed.map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        let write = match &self.write_suppressions {
            None => None,
            Some(path) => Some(Written::open(path, suppressions.clone())?),
        };
        Ok(Known { suppressions, baseline, write })
    }
}

impl Known {
    /// Leaves out of a report what the baseline has, and takes note of the rest for the suppressions that are to be written.
    /// Several reports count together; what they do not have any more is told with the last.
    pub fn apply(&mut self, report: &mut Report, last: bool) {
        if let Some(baseline) = &mut self.baseline {
            baseline.apply(report, last);
        }
        if let Some(written) = &mut self.write {
            written.add(report);
        }
    }

    /// Reads once more the file of suppressions that grows: while a program ran, others may have added to it.
    pub fn look_again(&mut self) -> Result<(), String> {
        if let Some(Written { path, .. }) = &self.write {
            self.write = Some(Written::open(path, self.suppressions.clone())?);
        }
        Ok(())
    }

    /// Writes the suppressions, if that was asked for.
    pub fn write(&self) -> Result<(), String> {
        match &self.write {
            None => Ok(()),
            Some(Written { path, text, .. }) => {
                fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
            }
        }
    }
}

impl Written {
    fn open(path: &Path, mut rules: Suppressions) -> Result<Written, String> {
        let mut text = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            _ => read(path, MOST_SUPPRESSIONS)?,
        };
        add(&mut rules, path, &text)?;
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        Ok(Written { path: path.to_path_buf(), text, rules })
    }

    fn add(&mut self, report: &Report) {
        let more = suppress::written(report, &self.rules);
        // What is written there is well made.
        self.rules.add(more.as_bytes());
        self.text.extend_from_slice(more.as_bytes());
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = open_named(path).map_err(failed)?;
    // What is no file, a pipe or a device, tells no size.
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > most {
        return Err(format!("{}: larger than {} MiB", path.display(), most >> 20));
    }
    Ok(text)
}

fn add(suppressions: &mut Suppressions, path: &Path, text: &[u8]) -> Result<(), String> {
    match suppressions.add(text).first() {
        None => Ok(()),
        Some(mistake) => {
            Err(format!("{}:{}: {}; lines are leak:GLOB or KIND:GLOB", path.display(), mistake.line, mistake.message))
        }
    }
}
