//! Recordings: what paths on the command line name, opened, and concluded by the core.
//!
//! A session is a recording, with what its supervisor tells. Journals, single ones and those in directories, are one
//! recording together: a tree of processes leaves several, and what one made another may have removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use shmaudit_core::ledger::Ledger;
use shmaudit_core::reader::{Reader, Refusal};
use shmaudit_core::report::{Growth, Named, Report, Settings, conclude, growth};
use shmaudit_core::sources::{self, Sources};
use shmaudit_core::symbols::Files;

use crate::formats::{self, Calls, Seen};
use crate::refused::refused;
use crate::session::{self, Stored, Tables, Then, Told, is_session};
use crate::sys::open_file;
use crate::world::World;

/// Files, mapped.
pub struct Maps;

impl Files for Maps {
    type Bytes = Mmap;

    fn open(&mut self, path: &[u8]) -> Option<Mmap> {
        use std::os::unix::ffi::OsStrExt;
        let file = open_file(Path::new(std::ffi::OsStr::from_bytes(path)))?;
        // SAFETY: mapped read-only. A file that is cut short under us faults in this command and nowhere else.
        unsafe { Mmap::map(&file).ok() }
    }
}

/// A recording, opened. It may still be written to.
#[derive(Debug)]
pub struct Opened {
    /// Where it is.
    pub path: PathBuf,
    recorders: Vec<Stored>,
    told: Option<Told>,
}

impl Opened {
    /// The recordings that the paths name; without any, the newest session.
    pub fn open(paths: &[PathBuf]) -> Result<Vec<Opened>, String> {
        let newest = if paths.is_empty() { vec![session::newest()?] } else { Vec::new() };
        let mut recordings = Vec::new();
        let mut journals: Option<Opened> = None;
        for path in paths.iter().chain(&newest) {
            if is_session(path) {
                recordings.push(Opened::session(path)?);
                continue;
            }
            let together =
                journals.get_or_insert_with(|| Opened { path: path.clone(), recorders: Vec::new(), told: None });
            // In a directory one that cannot be read does not hide the others.
            let inside = in_directory(path)?;
            let alone = !path.is_dir() || inside.len() == 1;
            for journal in inside {
                match readable(&journal, Stored::journal(&journal)) {
                    Ok(recorder) => together.recorders.push(recorder),
                    Err(message) if alone => return Err(message),
                    Err(message) => crate::say(&format!("{message}: left out")),
                }
            }
        }
        if let Some(together) = journals {
            let found = together.recorders.len();
            if found == 0 {
                return Err(format!("{}: no journal in it can be read", together.path.display()));
            }
            if found > sources::MOST {
                return Err(format!("{found} journals: at most {} are read as one; name fewer", sources::MOST));
            }
            recordings.push(together);
        }
        Ok(recordings)
    }

    /// A session.
    pub fn session(path: &Path) -> Result<Opened, String> {
        let recorders = vec![readable(&path.join(session::RECORDER), Stored::session(path))?];
        // What the supervisor tells adds to the records; without it they stand for themselves.
        let told = Told::read(path).map_err(|message| crate::say(&message)).ok();
        Ok(Opened { path: path.to_path_buf(), recorders, told })
    }

    /// Whether a supervisor keeps it.
    pub fn is_live(&self) -> bool {
        self.told.as_ref().is_some_and(session::is_live)
    }

    /// Its recorders, to be read from elsewhere than their beginning.
    pub fn recorders_mut(&mut self) -> &mut [Stored] {
        &mut self.recorders
    }

    /// Its recorders.
    pub fn recorders(&self) -> &[Stored] {
        &self.recorders
    }

    /// Its recorders as one.
    pub fn sources(&self) -> Sources<'_, Stored> {
        // Each could be read when it was opened.
        Sources::new(self.recorders.iter().filter_map(|recorder| Reader::new(recorder).ok()))
    }

    /// The report, some time after the end: a session that was settled by the tables of its end, anything else by those of
    /// now.
    pub fn conclude(&self, settings: &Settings) -> Report {
        let sources = self.sources();
        let mut names = Named::new(&sources, Maps);
        let end = self.told.as_ref().and_then(|told| told.end.as_ref());
        let mut report = match end.filter(|end| end.daemons.is_empty()) {
            Some(end) => {
                let settings = self.settings(settings, &end.tables);
                let mut then = Then::new(&end.tables, sources.ipc_namespace(), sources.pid_namespace());
                conclude(&sources, &mut then, &mut names, &settings)
            }
            None => {
                let settings = Settings { later: true, ..self.settings(settings, &Tables::now()) };
                conclude(&sources, &mut World, &mut names, &settings)
            }
        };
        report.look_again(&mut World);
        report
    }

    /// The report at the very end.
    pub fn conclude_now(&self, settings: &Settings) -> Report {
        let sources = self.sources();
        let after = self.told.as_ref().and_then(|told| told.end.as_ref()).map(|end| end.tables.clone());
        let settings = self.settings(settings, &after.unwrap_or_else(Tables::now));
        conclude(&sources, &mut World, &mut Named::new(&sources, Maps), &settings)
    }

    /// The other IPC namespaces that its processes were in.
    pub fn namespaces(&self) -> BTreeSet<u32> {
        let sources = self.sources();
        let all = sources.processes().into_iter().map(|process| process.ipc_namespace);
        all.filter(|&namespace| namespace != 0 && namespace != sources.ipc_namespace()).collect()
    }

    fn settings(&self, settings: &Settings, after: &Tables) -> Settings {
        let Some(told) = &self.told else { return settings.clone() };
        Settings {
            command: told.command.iter().map(|word| word.bytes().to_vec()).collect(),
            supervised: Some(told.supervised(after)),
            ..settings.clone()
        }
    }

    /// What grew, at so many moments.
    pub fn growth(&self, moments: usize) -> Growth {
        let sources = self.sources();
        growth(&sources, &mut World, &mut Named::new(&sources, Maps), moments)
    }
}

impl Calls for Opened {
    fn each(&self, see: &mut dyn FnMut(&Seen)) -> Ledger {
        formats::walk(&self.sources(), Maps, see)
    }
}

/// The journal that the path names, or those in the directory, in the order of their names.
fn in_directory(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = fs::read_dir(path).map_err(|error| refused(path, &error))?;
    let mut inside: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "shmaudit"))
        .collect();
    if inside.is_empty() {
        return Err(format!("{}: no session and no journal in it (*.shmaudit)", path.display()));
    }
    inside.sort();
    Ok(inside)
}

fn readable(path: &Path, opened: io::Result<Result<Stored, Refusal>>) -> Result<Stored, String> {
    let opened = opened.map_err(|error| refused(path, &error))?;
    let stored = opened.map_err(|refusal| format!("{}: {}", path.display(), why(refusal)))?;
    if let Some((there, whole)) = stored.cut() {
        crate::say(&format!("{}: cut short: {there} of {whole} bytes are there; the rest is lost", path.display()));
    }
    Ok(stored)
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
