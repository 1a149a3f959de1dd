//! The questions that concluding asks of the world. The library answers them with raw system calls, the command with the
//! standard library, a test with a table.
//!
//! Every question may go unanswered (a chroot, another user, no /proc): then the records alone count, and what follows
//! from them says that it is not confirmed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use crate::procfs::Segment;

/// Where the POSIX objects are, as glibc and musl have it.
pub const SHM_MOUNT: &[u8] = b"/dev/shm/";

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// When it was made, in nanoseconds since 1970; where the kernel does not keep that, when it was changed last.
    pub born: u64,
}

/// An open descriptor of a regular file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdFacts {
    /// The descriptor.
    pub fd: i32,
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
}

/// The answer to "what is this?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// This.
    Found(T),
    /// There is no such thing.
    Missing,
    /// It cannot be told.
    Unreadable,
}

/// A limit or a habit of the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Most segments of an IPC namespace.
    Shmmni,
    /// Most bytes of a segment.
    Shmmax,
    /// Most pages of all segments.
    Shmall,
    /// Whether a segment goes when nobody has it attached any more and its maker has ended.
    ShmRmidForced,
    /// Most mappings of a process.
    MaxMapCount,
    /// Huge pages that are set aside.
    NrHugepages,
    /// Most open files.
    FileMax,
}

impl Setting {
    /// Its name for sysctl(8).
    pub const fn name(self) -> &'static str {
        match self {
            Setting::Shmmni => "kernel.shmmni",
            Setting::Shmmax => "kernel.shmmax",
            Setting::Shmall => "kernel.shmall",
            Setting::ShmRmidForced => "kernel.shm_rmid_forced",
            Setting::MaxMapCount => "vm.max_map_count",
            Setting::NrHugepages => "vm.nr_hugepages",
            Setting::FileMax => "fs.file-max",
        }
    }

    /// The file under /proc/sys.
    pub fn path(self) -> String {
        format!("/proc/sys/{}", self.name().replace('.', "/"))
    }
}

/// A limit of one process (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// `RLIMIT_NOFILE`: one more than the highest descriptor.
    OpenFiles,
    /// `RLIMIT_AS`: bytes of all mappings.
    AddressSpace,
    /// `RLIMIT_FSIZE`: bytes of a file.
    FileSize,
    /// `RLIMIT_MEMLOCK`: bytes locked in memory.
    LockedMemory,
}

impl Resource {
    /// Its name in C.
    pub const fn name(self) -> &'static str {
        match self {
            Resource::OpenFiles => "RLIMIT_NOFILE",
            Resource::AddressSpace => "RLIMIT_AS",
            Resource::FileSize => "RLIMIT_FSIZE",
            Resource::LockedMemory => "RLIMIT_MEMLOCK",
        }
    }

    /// What stands before it in /proc/PID/limits.
    pub const fn line(self) -> &'static str {
        match self {
            Resource::OpenFiles => "Max open files",
            Resource::AddressSpace => "Max address space",
            Resource::FileSize => "Max file size",
            Resource::LockedMemory => "Max locked memory",
        }
    }
}

/// What a file system has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Its device.
    pub dev: u64,
    /// Bytes in all; 0 where it has no limit.
    pub bytes: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Files in all; 0 where it has no limit.
    pub files: u64,
    /// Files that may still be made.
    pub free_files: u64,
}

/// The segments of another IPC namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// These.
    Open {
        /// The segments.
        segments: Vec<Segment>,
        /// Somebody who is in that namespace; 0 where something else keeps it.
        process: u32,
    },
    /// The namespace is there, and its table cannot be read; or it is not known whether it is there.
    Closed,
    /// Nobody keeps it any more: its segments went with it.
    Gone,
}

/// The world, asked.
pub trait Kernel {
    /// The segments of this IPC namespace (/proc/sysvipc/shm); `None`: not readable.
    fn segments(&mut self) -> Option<Vec<Segment>>;
    /// That namespace, by inode number; 0 where it is not known.
    fn ipc_namespace(&mut self) -> u32 {
        0
    }
    /// The pid namespace that the tables are numbered by; 0 where it is not known.
    fn pid_namespace(&mut self) -> u32 {
        0
    }
    /// The segments of another IPC namespace, by its inode number.
    fn segments_of(&mut self, _namespace: u32) -> Elsewhere {
        Elsewhere::Closed
    }
    /// `lstat` of `name` under [`SHM_MOUNT`]; `name` has no leading slash. `Unreadable` where there is no such mount or
    /// the error is another than `ENOENT`.
    fn shm_file(&mut self, name: &[u8]) -> Lookup<FileFacts>;
    /// The text of /proc/PID/maps.
    fn maps(&mut self, pid: u32) -> Option<Vec<u8>>;
    /// The descriptors of a process that are regular files.
    fn fds(&mut self, pid: u32) -> Option<Vec<FdFacts>>;
    /// Whether that very process runs: not a zombie, of this start time (in clock ticks since boot; 0: not known), and not
    /// a younger one of the same pid: it was seen running at `seen` (nanoseconds since 1970; 0: not known).
    fn alive(&mut self, pid: u32, starttime: u64, seen: u64) -> bool;
    /// All files under [`SHM_MOUNT`] by name; `None` where nobody needs to know.
    fn shm_files(&mut self) -> Option<Vec<(Vec<u8>, FileFacts)>> {
        None
    }
    /// A number under /proc/sys.
    fn setting(&mut self, _: Setting) -> Option<u64> {
        None
    }
    /// What there is room for under [`SHM_MOUNT`].
    fn space(&mut self) -> Option<Space> {
        None
    }
    /// The soft limit of a process that still runs, `u64::MAX` for none (/proc/PID/limits).
    fn limit(&mut self, _pid: u32, _: Resource) -> Option<u64> {
        None
    }
    /// The name of a process that still runs (/proc/PID/comm).
    fn program(&mut self, _pid: u32) -> Option<Vec<u8>> {
        None
    }
    /// Whether a process has waited for children of its own (their faults in /proc/PID/stat).
    fn had_children(&mut self, _pid: u32) -> Option<bool> {
        None
    }
}

/// A world that answers nothing: what the records alone say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unasked;

impl Kernel for Unasked {
    fn segments(&mut self) -> Option<Vec<Segment>> {
        None
    }
    fn shm_file(&mut self, _: &[u8]) -> Lookup<FileFacts> {
        Lookup::Unreadable
    }
    fn maps(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
    fn fds(&mut self, _: u32) -> Option<Vec<FdFacts>> {
        None
    }
    fn alive(&mut self, _: u32, _: u64, _: u64) -> bool {
        false
    }
}
