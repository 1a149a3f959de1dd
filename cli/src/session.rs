//! A session: the directory that `shmaudit run` leaves behind, readable after any death.
//!
//! | file | holds | who writes it |
//! |---|---|---|
//! | `session.json` | what was run and by whom; the kernel's tables before and after | the supervisor, whole each time |
//! | `recorder.shmaudit` | the recorder, in the layout of every journal | every audited process |
//! | `units` | what the ring has no room for: 64 bytes a unit, the latest as many as there is room for, written in turns | the supervisor |
//! | `processes`, `modules` | records whose places in the recorder are used again, in the same form | the supervisor |
//!
//! The last three together have a most size ([`Limits::session`]): what goes for it is counted, and reports say so.

mod compact;
mod keep;
mod recorder;
mod shorten;
mod store;
mod stored;
mod tables;
mod told;

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use shmaudit_core::line::Line;
use shmaudit_core::words;

pub use compact::compact;
pub use keep::{Found, Limits, all, home, is_live, newest, prune, remove};
pub use recorder::Recorder;
pub use store::Store;
pub use stored::{Mapped, Stored};
pub use tables::{Tables, Then};
pub use told::{Bytes, End, Outsider, SCHEMA, Supervisor, Told};

/// The recorder's file.
pub const RECORDER: &str = "recorder.shmaudit";
/// What the supervisor tells.
pub const TOLD: &str = "session.json";
/// What the ring has no room for.
pub const UNITS: &str = "units";
/// Records of processes that ended long ago.
pub const PROCESSES: &str = "processes";
/// Records of files that were loaded long ago.
pub const MODULES: &str = "modules";

/// Whether a directory is a session's.
pub fn is_session(path: &Path) -> bool {
    path.join(TOLD).is_file() && path.join(RECORDER).is_file()
}

/// Makes the directory of a new session, mode 0700. One that is there must be empty, ours and no link; it gets that mode.
pub fn make(path: &Path) -> Result<(), String> {
    let refused = |why: &str| format!("{}: {why}", path.display());
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.map_err(|error| format!("{}: {error}", parent.display()))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(refused(&error.to_string())),
    }
    let facts = fs::symlink_metadata(path).map_err(|error| refused(&error.to_string()))?;
    if !facts.is_dir() {
        return Err(refused("is there and no directory"));
    }
    if facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("belongs to another user"));
    }
    if facts.mode() & 0o022 != 0 {
        return Err(refused("others may write to it; take it from them (chmod go-w) or name another directory"));
    }
    match fs::read_dir(path).map_err(|error| refused(&error.to_string()))?.next() {
        None => fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|error| refused(&error.to_string())),
        Some(_) if is_session(path) => Err(refused("holds a session already; remove it or name another directory")),
        Some(_) => Err(refused("is not empty; name a new directory")),
    }
}

/// The name of a session that is made now: it sorts by time.
pub fn name(started: u64, program: &Path) -> PathBuf {
    let mut room = [0; 64];
    let mut line = Line::new(&mut room);
    words::rfc3339(&mut line, started);
    // To the millisecond: 20260131T120102.345
    let time = String::from_utf8_lossy(line.as_bytes()).replace(['-', ':'], "");
    let stamp: String = time.chars().take(19).collect();
    let program = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let program: String =
        program.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.+".contains(*c)).take(40).collect();
    PathBuf::from(format!("{stamp}-{}-{program}", std::process::id()))
}
