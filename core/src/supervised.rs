//! What a supervisor knows of a tree of processes beyond their records: who ran without an audit, and what there was
//! before.

use alloc::string::String;
use alloc::vec::Vec;

use crate::kernel::FileFacts;
use crate::procfs::Segment;

/// A process of the tree that is not audited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outsider {
    /// Process id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// When it was first seen, in nanoseconds since 1970.
    pub seen: u64,
    /// Its user; `None` where that is not known.
    pub uid: Option<u32>,
    /// Path of its program.
    pub exe: Vec<u8>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Why it is not audited: a clause (`it is statically linked`).
    pub why: String,
    /// Files of the shm mount that it was seen to hold: (device, inode).
    pub holds: Vec<(u64, u64)>,
    /// So many more of this program, for the same reason, ended and left nothing that was still there.
    pub others: u64,
}

/// What a supervisor knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supervised {
    /// When it began, in nanoseconds since 1970.
    pub started: u64,
    /// Its user, in whose name the tree began.
    pub uid: u32,
    /// The segments before; `None` where they could not be read.
    pub segments: Option<Vec<Segment>>,
    /// The files of the shm mount before, by (device, inode); `None` where they could not be read.
    pub files: Option<Vec<(u64, u64)>>,
    /// The files of the shm mount after, by name.
    pub files_after: Vec<(Vec<u8>, FileFacts)>,
    /// Those of the files after that processes outside of the tree held: (device, inode).
    pub foreign: Vec<(u64, u64)>,
    /// Who is not audited.
    pub outsiders: Vec<Outsider>,
}
