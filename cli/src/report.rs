//! `shmaudit report`: journals to reports, by the same code that the library concludes with.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use shmaudit_core::ledger::Ledger;
use shmaudit_core::reader::{Reader, Refusal, Words};
use shmaudit_core::report::{self, JSON_SCHEMA, Named, Report, Settings, conclude};
use shmaudit_core::sources::Sources;
use shmaudit_core::symbols::Files;
use shmaudit_core::text;

use crate::formats::{self, Calls, Format, Recording, Seen, Terminal, Wishes};
use crate::known;
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

impl Calls for Journal {
    fn each(&self, see: &mut dyn FnMut(&Seen)) -> Ledger {
        // It could be read a moment ago.
        Reader::new(self).map_or_else(|_| Ledger::default(), |reader| formats::walk(&Sources::from(reader), Maps, see))
    }
}

/// Where a report goes, and as what: standard output, maybe a terminal, or a file.
fn sink(output: Option<&Path>) -> Result<(Box<dyn Write>, Terminal), String> {
    Ok(match output {
        None => (Box::new(BufWriter::new(io::stdout().lock())), Terminal::of_stdout()),
        Some(path) => {
            let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
            (Box::new(BufWriter::new(file)), Terminal::default())
        }
    })
}

/// Prints the schema of the reports in JSON.
pub fn schema(output: Option<&Path>) -> Result<u64, String> {
    let (mut out, _) = sink(output)?;
    ended(out.write_all(JSON_SCHEMA.as_bytes()).and_then(|()| out.flush()))
}

/// Moments at which `--growth` looks.
const MOMENTS: usize = 12;

/// Reports on every journal; the number of findings of severity error that are not known.
pub fn report(
    paths: &[PathBuf],
    format: Format,
    output: Option<&Path>,
    source_root: Option<PathBuf>,
    known: &known::Options,
) -> Result<u64, String> {
    let mut known = known.read()?;
    let settings = Settings { suppressions: known.suppressions.clone(), ..format.settings() };
    let mut recordings = recordings(paths, settings)?;
    let last = recordings.len();
    for (number, recording) in recordings.iter_mut().enumerate() {
        known.apply(&mut recording.report, number + 1 == last);
    }
    let (mut out, terminal) = sink(output)?;
    let source_root = std::path::absolute(source_root.unwrap_or_else(|| PathBuf::from(".")))
        .map_err(|error| format!("--source-root: {error}"))?;
    let wishes = Wishes { source_root, terminal };
    ended(formats::write(&mut *out, format, &recordings, &wishes).and_then(|()| out.flush()))?;
    known.write()?;
    Ok(recordings.iter().map(|recording| recording.report.summary.errors).sum())
}

/// The recordings in these journals, concluded by the tables of now.
pub fn recordings(paths: &[PathBuf], settings: Settings) -> Result<Vec<Recording>, String> {
    let settings = Settings { later: true, ..settings };
    let recording = |path: &PathBuf| {
        let journal = open(path)?;
        let report = concluded(&journal.sources(path)?, &settings);
        Ok(Recording { report, calls: Box::new(journal) })
    };
    journals(paths)?.iter().map(recording).collect()
}

/// A reader that has seen enough, as `head` has, is no failure.
pub fn ended(written: io::Result<()>) -> Result<u64, String> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("writing: {error}")),
        _ => Ok(0),
    }
}

/// Tells of every journal what grew.
pub fn growth(paths: &[PathBuf], format: Format, output: Option<&Path>) -> Result<u64, String> {
    let mut text = String::new();
    for path in journals(paths)? {
        let journal = open(&path)?;
        let sources = journal.sources(&path)?;
        let growth = report::growth(&sources, &mut World, &mut Named::new(&sources, Maps), MOMENTS);
        match format {
            Format::Text => text.push_str(&text::growth(&growth)),
            Format::Json => text.push_str(&(serde_json::to_string(&growth).unwrap_or_default() + "\n")),
            _ => return Err("--growth is written as text or json".to_string()),
        }
    }
    let (mut out, _) = sink(output)?;
    ended(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
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

/// The report on one journal, by the tables of now.
pub fn one(path: &Path) -> Result<Report, String> {
    let settings = Settings { later: true, ..Settings::default() };
    Ok(concluded(&open(path)?.sources(path)?, &settings))
}

/// What follows from these, by the tables of now.
fn concluded(sources: &Sources<Journal>, settings: &Settings) -> Report {
    conclude(sources, &mut World, &mut Named::new(sources, Maps), settings)
}

impl Journal {
    /// What it is read by. `path` is for errors.
    fn sources(&self, path: &Path) -> Result<Sources<'_, Journal>, String> {
        let refused = |refusal| format!("{}: {}", path.display(), why(refusal));
        Reader::new(self).map(Sources::from).map_err(refused)
    }
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
