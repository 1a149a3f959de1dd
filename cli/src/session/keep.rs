//! Which sessions there are, and how long they are kept.

use std::env;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::compact::compact_later;
use super::told::Told;
use crate::refused::refused;
use crate::world::World;
use shmaudit_core::kernel::Kernel;

/// How long sessions are kept that nobody gave a name (`run` without `-o`); all settings are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Age from which a session may go.
    pub age: Duration,
    /// Bytes of all of them; beyond, the oldest go first.
    pub bytes: u64,
    /// Bytes that one session stores beside its recorder while it runs: calls, processes, files that they had loaded;
    /// beyond, the oldest go.
    pub session: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { age: Duration::from_secs(30 * 24 * 3600), bytes: 4 << 30, session: 512 << 20 }
    }
}

/// A session that is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its directory.
    pub path: PathBuf,
    /// When it was made, by its name; else by its directory's time.
    pub changed: SystemTime,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// Where sessions are that nobody gave a place: `$XDG_STATE_HOME/shmaudit`, else `~/.local/state/shmaudit`, else one of this
/// user's in the directory for temporary files.
pub fn home() -> PathBuf {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    match state {
        Some(state) => state.join("shmaudit"),
        None => env::temp_dir().join(format!("shmaudit-{}", rustix::process::geteuid().as_raw())),
    }
}

/// What there is at home.
#[derive(Debug, Default)]
pub struct All {
    /// The sessions, the oldest first.
    pub found: Vec<Found>,
    /// What may be sessions and may not be read, in the same order: where, and a sentence on why.
    pub refused: Vec<(PathBuf, String)>,
}

/// All sessions at home. An error says why its directory cannot be read; one that is not there has no session.
pub fn all() -> Result<All, String> {
    let home = home();
    let mut all = All::default();
    let entries = match fs::read_dir(&home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
        entries => entries.map_err(|error| refused(&home, &error))?,
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        match found(&path) {
            Ok(found) => all.found.extend(found),
            Err((at, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                all.refused.push((path, refused(&at, &error)));
            }
            Err(_) => {}
        }
    }
    Ok(all)
}

/// The session of this directory, if it is one. An error names what cannot be read: the directory, or a file of it.
fn found(path: &Path) -> Result<Option<Found>, (PathBuf, io::Error)> {
    let failed = |error| (path.to_path_buf(), error);
    let facts = fs::symlink_metadata(path).map_err(failed)?;
    if !facts.is_dir() {
        return Ok(None);
    }
    for name in [super::TOLD, super::RECORDER] {
        let file = path.join(name);
        if !fs::metadata(&file).map_err(failed)?.is_file() {
            return Ok(None);
        }
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&file);
        opened.map_err(|error| (file, error))?;
    }
    let files = fs::read_dir(path).map_err(failed)?;
    let bytes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.blocks() * 512)).sum();
    let changed = facts.modified().map_err(failed)?;
    Ok(Some(Found { path: path.to_path_buf(), changed, bytes }))
}

/// The newest session at home. An older one is not taken for it because it may not be read.
pub fn newest() -> Result<PathBuf, String> {
    let All { mut found, mut refused } = all()?;
    match (found.pop(), refused.pop()) {
        (Some(found), Some((path, why))) if path > found.path => Err(why),
        (Some(found), _) => Ok(found.path),
        (None, Some((_, why))) => Err(why),
        (None, None) => Err(format!("{}: no session in it; `shmaudit run PROGRAM` makes one", home().display())),
    }
}

/// Whether its supervisor runs.
pub fn is_live(told: &Told) -> bool {
    let of_now = told.end.is_none() && told.boot == Told::boot();
    of_now && World.alive(told.supervisor.pid, told.supervisor.starttime, told.started)
}

/// Removes what is too old, and then the oldest of what is too much; never one that runs. What is kept gives back what it
/// has not used. What was removed.
pub fn prune(limits: Limits) -> Vec<Found> {
    let now = SystemTime::now();
    let (mut kept, mut removed) = (all().unwrap_or_default().found, Vec::new());
    let old = |found: &Found| now.duration_since(found.changed).is_ok_and(|age| age > limits.age);
    let mut total: u64 = kept.iter().map(|found| found.bytes).sum();
    // The newest stays in any case: it is what `report` tells of.
    kept.pop();
    for found in kept {
        let live = Told::read(&found.path).is_ok_and(|told| is_live(&told));
        if live {
            continue;
        }
        if (old(&found) || total > limits.bytes) && remove(&found.path) {
            total = total.saturating_sub(found.bytes);
            removed.push(found);
        } else {
            compact_later(&found.path);
        }
    }
    removed
}

/// Removes a session's own files and then its directory; anything else in it stays, and so does the directory.
pub fn remove(path: &Path) -> bool {
    for name in [super::UNITS, super::PROCESSES, super::MODULES, super::RECORDER, super::TOLD] {
        let _ = fs::remove_file(path.join(name));
        // Of a supervisor that was killed as it wrote it anew.
        let _ = fs::remove_file(path.join(format!("{name}.new")));
    }
    fs::remove_dir(path).is_ok()
}
