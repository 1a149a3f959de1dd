//! The questions that concluding asks of the world. The library answers them with raw system calls, the command with the
//! standard library, a test with a table.
//!
//! Every question may go unanswered (a chroot, another user, no /proc): then the records alone count, and what follows
//! from them says that it is not confirmed.

use alloc::vec::Vec;

pub use crate::procfs::Segment;

/// Where the POSIX objects are, as glibc and musl have it.
pub const SHM_MOUNT: &[u8] = b"/dev/shm/";

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// The world, asked.
pub trait Kernel {
    /// The segments of this IPC namespace (/proc/sysvipc/shm); `None`: not readable.
    fn segments(&mut self) -> Option<Vec<Segment>>;
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
