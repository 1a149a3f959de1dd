//! `shmaudit report`: journals to reports, by the same code that the library concludes with.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use shmaudit_core::reader::{Reader, Refusal, Words};
use shmaudit_core::report::{self, Named, Report, Settings, conclude};
use shmaudit_core::sources::Sources;
use shmaudit_core::symbols::Files;
use shmaudit_core::text;

use crate::session::{Stored, Told};
use crate::world::World;
use crate::{Format, known};

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

/// Moments at which `--growth` looks.
const MOMENTS: usize = 12;

/// Reports on every journal; the number of findings of severity error that are not known.
pub fn report(paths: &[PathBuf], format: Format, output: Option<&Path>, known: &known::Options) -> Result<u64, String> {
    let mut known = known.read()?;
    let settings = Settings { later: true, suppressions: known.suppressions.clone(), ..Settings::default() };
    let paths = journals(paths)?;
    let mut out = create(output)?;
    let mut errors = 0;
    for (number, path) in paths.iter().enumerate() {
        let concluded =
            |sources: &Sources<Journal>| conclude(sources, &mut World, &mut Named::new(sources, Maps), &settings);
        let mut report = read(path, concluded)?;
        known.apply(&mut report, number + 1 == paths.len());
        errors += report.summary.errors;
        write(&mut out, &report, format).map_err(|error| format!("writing the report: {error}"))?;
    }
    known.write()?;
    Ok(errors)
}

/// Tells of every journal what grew.
pub fn growth(paths: &[PathBuf], format: Format, output: Option<&Path>) -> Result<(), String> {
    let mut out = create(output)?;
    for path in journals(paths)? {
        let grown =
            |sources: &Sources<Journal>| report::growth(sources, &mut World, &mut Named::new(sources, Maps), MOMENTS);
        let growth = read(&path, grown)?;
        let text = match format {
            Format::Text => text::growth(&growth),
            Format::Json => serde_json::to_string(&growth).unwrap_or_default() + "\n",
        };
        out.write_all(text.as_bytes()).map_err(|error| format!("writing the report: {error}"))?;
    }
    Ok(())
}

fn create(output: Option<&Path>) -> Result<Box<dyn Write>, String> {
    Ok(match output {
        None => Box::new(io::stdout().lock()),
        Some(path) => Box::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
    })
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

/// The report on a session at its end; the number of findings of severity error that are not known.
pub fn of_session(path: &Path, format: Format, output: Option<&Path>, known: &known::Options) -> Result<u64, String> {
    let mut known = known.read()?;
    let stored = Stored::session(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let stored = stored.map_err(|refusal| format!("{}: {}", path.display(), why(refusal)))?;
    let told = Told::read(path)?;
    let settings = Settings {
        command: told.command.iter().map(|word| word.bytes().to_vec()).collect(),
        suppressions: known.suppressions.clone(),
        ..Settings::default()
    };
    let reader = Reader::new(&stored).map_err(|refusal| format!("{}: {}", path.display(), why(refusal)))?;
    let sources = Sources::from(reader);
    let mut report = conclude(&sources, &mut World, &mut Named::new(&sources, Maps), &settings);
    known.apply(&mut report, true);
    let mut out: Box<dyn Write> = match output {
        None => Box::new(io::stderr()),
        Some(_) => create(output)?,
    };
    write(&mut out, &report, format).map_err(|error| format!("writing the report: {error}"))?;
    known.write()?;
    Ok(report.summary.errors)
}

/// The report on one journal, by the tables of now.
pub fn one(path: &Path) -> Result<Report, String> {
    let settings = Settings { later: true, ..Settings::default() };
    read(path, |sources| conclude(sources, &mut World, &mut Named::new(sources, Maps), &settings))
}

/// What `use_it` makes of a journal.
fn read<R>(path: &Path, use_it: impl FnOnce(&Sources<Journal>) -> R) -> Result<R, String> {
    let journal = open(path)?;
    let reader = Reader::new(&journal).map_err(|refusal| format!("{}: {}", path.display(), why(refusal)))?;
    Ok(use_it(&Sources::from(reader)))
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
