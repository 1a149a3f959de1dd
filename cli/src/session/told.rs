//! `session.json`: what the supervisor tells of a session beyond the records.

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shmaudit_core::kernel::FileFacts;
use shmaudit_core::supervised::{self, Supervised};

use super::{TOLD, Tables};
use crate::refused::refused;

/// Form of the file.
pub const SCHEMA: &str = "shmaudit-session/1";
/// Most bytes of the file that are read.
const MOST_BYTES: u64 = 256 << 20;

/// Text of any bytes: as a string where it is UTF-8, else as a list of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Raw(Vec<u8>),
}

impl Bytes {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Bytes::Text(text) => text.as_bytes(),
            Bytes::Raw(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.to_string()),
            Err(_) => Bytes::Raw(bytes.to_vec()),
        }
    }
}

/// The process that keeps a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// Process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub starttime: u64,
}

/// A process of the tree that is not audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outsider {
    /// Process id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// When it started, in clock ticks since boot.
    pub starttime: u64,
    /// When it was first seen, in nanoseconds since 1970.
    pub seen: u64,
    /// Its user.
    pub uid: Option<u32>,
    /// Path of its program.
    pub exe: Bytes,
    /// Its arguments.
    pub args: Vec<Bytes>,
    /// Why it is not audited.
    pub why: String,
    /// Files of the shm mount that it was seen to hold: (device, inode).
    #[serde(default)]
    pub holds: Vec<(u64, u64)>,
    /// So many more of this program, for the same reason, ended and left nothing that was still there.
    #[serde(default)]
    pub others: u64,
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When, in nanoseconds since 1970.
    pub time: u64,
    /// Status that the program exited with.
    pub status: Option<i32>,
    /// Signal that it was ended by.
    pub signal: Option<i32>,
    /// Processes of the tree that ran on.
    pub daemons: Vec<u32>,
    /// New files of the shm mount that processes outside of the tree hold: (device, inode).
    #[serde(default)]
    pub foreign: Vec<(u64, u64)>,
    /// The kernel's tables then.
    pub tables: Tables,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// [`SCHEMA`].
    pub schema: String,
    /// The command.
    pub command: Vec<Bytes>,
    /// Where it was run.
    pub directory: Bytes,
    /// When, in nanoseconds since 1970.
    pub started: u64,
    /// The run of the kernel (/proc/sys/kernel/random/boot_id): process ids and segments are of it alone.
    pub boot: String,
    /// The user who ran it.
    pub uid: u32,
    /// IPC namespace, by inode number; 0 where it is not known.
    pub ipc_namespace: u64,
    /// Who keeps it.
    pub supervisor: Supervisor,
    /// The kernel's tables before.
    pub before: Tables,
    /// Processes of the tree that could not be audited.
    pub outsiders: Vec<Outsider>,
    /// How it ended; nothing while it runs, and where the supervisor was killed.
    pub end: Option<End>,
}

impl Told {
    /// Of a session's directory.
    pub fn read(directory: &Path) -> Result<Told, String> {
        let path = directory.join(TOLD);
        let wrong = |why: String| format!("{}: {why}", path.display());
        let mut options = fs::OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = options.open(&path).map_err(|error| refused(&path, &error))?;
        let facts = file.metadata().map_err(|error| wrong(error.to_string()))?;
        if !facts.is_file() {
            return Err(wrong("not a file".to_string()));
        }
        let mut text = Vec::new();
        // It may be growing.
        file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(|error| wrong(error.to_string()))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(wrong("larger than any session's".to_string()));
        }
        let told: Told = serde_json::from_slice(&text).map_err(|error| wrong(format!("not a session: {error}")))?;
        if told.schema != SCHEMA {
            return Err(wrong(format!("of another form than {SCHEMA}")));
        }
        Ok(told)
    }

    /// Writes it in place of what was there, whole or not at all.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let new = directory.join("session.json.new");
        let _ = fs::remove_file(&new);
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut file = BufWriter::new(options.open(&new)?);
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.flush()?;
        fs::rename(&new, directory.join(TOLD))
    }

    /// What of it the core takes; `after`: the kernel's tables at the end, or now.
    pub fn supervised(&self, after: &Tables) -> Supervised {
        let identity = |(_, facts): &(Bytes, FileFacts)| (facts.dev, facts.ino);
        let named = |(name, facts): &(Bytes, FileFacts)| (name.bytes().to_vec(), *facts);
        let outsider = |outsider: &Outsider| supervised::Outsider {
            pid: outsider.pid,
            ppid: outsider.ppid,
            seen: outsider.seen,
            uid: outsider.uid,
            exe: outsider.exe.bytes().to_vec(),
            args: outsider.args.iter().map(|arg| arg.bytes().to_vec()).collect(),
            why: outsider.why.clone(),
            holds: outsider.holds.clone(),
            others: outsider.others,
        };
        Supervised {
            started: self.started,
            uid: self.uid,
            segments: self.before.segments.clone(),
            files: self.before.files.as_ref().map(|files| files.iter().map(identity).collect()),
            files_after: after.files.iter().flatten().map(named).collect(),
            foreign: self.end.as_ref().map(|end| end.foreign.clone()).unwrap_or_default(),
            outsiders: self.outsiders.iter().map(outsider).collect(),
        }
    }

    /// This run of the kernel.
    pub fn boot() -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
    }
}
