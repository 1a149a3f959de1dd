//! `shmaudit report`: journals to reports, by the same code that the library concludes with.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use shmaudit_core::reader::{Reader, Refusal, Words};
use shmaudit_core::report::{Named, Report, Settings, conclude};
use shmaudit_core::symbols::Files;
use shmaudit_core::text;

use crate::Format;
use crate::world::World;

/// A journal, mapped. It may still be written to: each word is read once and checked by the reader.
pub struct Journal(Mmap);

impl Words for Journal {
    fn word(&self, index: usize) -> Option<u64> {
        let bytes = self.0.get(index.checked_mul(8)?..index.checked_mul(8)?.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn words(&self) -> usize {
        self.0.len() / 8
    }
}

/// Files, mapped.
struct Maps;

impl Files for Maps {
    type Bytes = Mmap;

    fn open(&mut self, path: &[u8]) -> Option<Mmap> {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if !fs::metadata(path).ok()?.is_file() {
            return None;
        }
        map(&File::open(path).ok()?).ok()
    }
}

fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: mapped read-only. A file that is cut short under us faults in this command and nowhere else.
    unsafe { Mmap::map(file) }
}

/// Reports on every journal; the number of findings of severity error.
pub fn report(paths: &[PathBuf], format: Format, output: Option<&Path>) -> Result<u64, String> {
    let mut out: Box<dyn Write> = match output {
        None => Box::new(io::stdout().lock()),
        Some(path) => Box::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
    };
    let mut errors = 0;
    for journal in journals(paths)? {
        let report = one(&journal)?;
        errors += report.summary.errors;
        write(&mut out, &report, format).map_err(|error| format!("writing the report: {error}"))?;
    }
    Ok(errors)
}

/// The journals that the paths name, directories looked into, in the order of their names.
pub fn journals(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut inside: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "shmaudit"))
            .collect();
        if inside.is_empty() {
            return Err(format!("{}: no journal in it (*.shmaudit)", path.display()));
        }
        inside.sort();
        found.append(&mut inside);
    }
    Ok(found)
}

/// A journal, mapped; whether it is one is asked when it is read.
pub fn open(path: &Path) -> Result<Journal, String> {
    let unreadable = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() == 0 {
        return Err(format!("{}: empty, not a journal", path.display()));
    }
    map(&file).map(Journal).map_err(unreadable)
}

/// The report on one journal.
pub fn one(path: &Path) -> Result<Report, String> {
    let journal = open(path)?;
    let reader = Reader::new(&journal).map_err(|refusal| format!("{}: {}", path.display(), why(refusal)))?;
    let mut names = Named::new(&reader, Maps);
    Ok(conclude(&reader, &mut World, &mut names, &Settings::default()))
}

fn why(refusal: Refusal) -> String {
    match refusal {
        Refusal::TooShort => "too short for a journal's header".to_string(),
        Refusal::NotARecorder => "not a journal: it does not begin with SHMAUDIT".to_string(),
        Refusal::Version(version) => {
            format!("a journal of layout {version}; this shmaudit reads layout {}", shmaudit_core::layout::VERSION)
        }
        Refusal::Region(region) => format!("damaged: region {region} lies outside of the file"),
    }
}

fn write(out: &mut dyn Write, report: &Report, format: Format) -> io::Result<()> {
    match format {
        Format::Text => out.write_all(text::text(report).as_bytes()),
        Format::Json => {
            serde_json::to_writer(&mut *out, report)?;
            out.write_all(b"\n")
        }
    }
}
