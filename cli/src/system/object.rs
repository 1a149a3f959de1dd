//! What an inventory is made of: objects, who holds them, who made them.

use std::rc::Rc;

use shmaudit_core::report::Text;

/// The kinds of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Segments of shmget(2), in this IPC namespace; of others those that are attached.
    Sysv,
    /// Objects of shm_open(3): files in /dev/shm itself.
    Posix,
    /// Files of named semaphores (sem_open(3)): /dev/shm/sem.*.
    Semaphore,
    /// Files in directories below /dev/shm, where no shm_open reaches.
    File,
    /// Files of a mounted hugetlbfs.
    Hugetlbfs,
    /// Files of memfd_create(2), while a process holds them.
    Memfd,
    /// Shared mappings without a file (MAP_SHARED|MAP_ANONYMOUS, drivers' buffers), while a process holds them.
    Anonymous,
}

impl Kind {
    /// The word for it in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Sysv => "sysv",
            Kind::Posix => "posix",
            Kind::Semaphore => "semaphore",
            Kind::File => "file",
            Kind::Hugetlbfs => "hugetlbfs",
            Kind::Memfd => "memfd",
            Kind::Anonymous => "anonymous",
        }
    }
}

/// What makes an object this one and no other, of the same boot. Names, keys and shmids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A segment of this IPC namespace.
    Segment {
        /// Its identifier.
        shmid: i32,
        /// Creation or last change, in seconds since 1970.
        ctime: u64,
        /// Its creator.
        cpid: u32,
    },
    /// A file.
    File {
        /// Device, as `st_dev`.
        dev: u64,
        /// Inode.
        ino: u64,
    },
    /// A segment of another IPC namespace, known by its attachments.
    Foreign {
        /// The namespace's inode.
        ipc: u64,
        /// Identifier in that namespace.
        shmid: i32,
    },
}

/// A process that runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start, in clock ticks since boot: with the pid it names a process for good.
    pub start: u64,
    /// Start, in nanoseconds since 1970, as the clock stands now.
    pub started: u64,
    /// The program's name as the kernel has it, at most 15 bytes.
    pub command: Text,
    /// Its arguments; empty where they cannot be read.
    pub arguments: Vec<Text>,
    /// Real user; nothing where it cannot be read.
    pub uid: Option<u32>,
}

impl Process {
    /// `postgres[812]`, in printable ASCII.
    pub fn label(&self) -> String {
        format!("{}[{}]", self.command.escaped(), self.pid)
    }
}

/// What has become of a process that the kernel names by its pid alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Runs(Rc<Process>),
    /// It has ended.
    Ended,
    /// It has ended, and the pid is a younger process's now.
    Reused(Rc<Process>),
    /// It runs, and nothing more can be seen of it.
    Hidden,
    /// It is of another pid namespace, where nothing can be told of it.
    Elsewhere,
}

/// A process that the kernel or a session names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Its pid; 0 for one of another pid namespace.
    pub pid: u32,
    /// What has become of it.
    pub fate: Fate,
}

impl Actor {
    /// `postgres[812]`, `812 (dead)`, in printable ASCII.
    pub fn label(&self) -> String {
        match &self.fate {
            Fate::Runs(process) => process.label(),
            Fate::Ended | Fate::Reused(_) => format!("{} (dead)", self.pid),
            Fate::Hidden => format!("{} (hidden)", self.pid),
            Fate::Elsewhere => "elsewhere".to_string(),
        }
    }
}

/// A process that holds an object, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub process: Rc<Process>,
    /// Its descriptors of the object.
    pub fds: Vec<i32>,
    /// Its mappings; of a segment, its attachments and their pieces.
    pub mappings: u64,
}

/// Whether an object is somebody's. The order is that of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum State {
    /// Nobody has it, and nobody who is known to want it still runs.
    Orphan,
    /// Nobody has it, and whether somebody wants it cannot be told.
    Unclear,
    /// Nobody has it, but its creator or its last user still runs.
    Idle,
    /// Nobody has it, and it is meant to stay: semaphores, registries, plain files.
    Kept,
    /// Removed (IPC_RMID, unlink), and kept by who still has it.
    Doomed,
    /// A process has it attached, mapped or open.
    Held,
}

impl State {
    /// The word for it in every output.
    pub const fn name(self) -> &'static str {
        match self {
            State::Orphan => "orphan",
            State::Unclear => "unclear",
            State::Idle => "idle",
            State::Kept => "kept",
            State::Doomed => "doomed",
            State::Held => "held",
        }
    }
}

/// When things happened, in nanoseconds since 1970; of segments the kernel keeps whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Made; nothing where the kernel does not keep it (segments, old kernels' files).
    pub made: Option<u64>,
    /// Last attach of a segment.
    pub attached: Option<u64>,
    /// Last detach of a segment.
    pub detached: Option<u64>,
    /// Last change of a segment's or file's properties; of a segment never changed, its creation.
    pub changed: Option<u64>,
    /// Last write to a file. Writes through a mapping do not count.
    pub modified: Option<u64>,
}

impl Times {
    /// The last thing that happened.
    pub fn last(&self) -> Option<u64> {
        [self.made, self.attached, self.detached, self.changed, self.modified].into_iter().flatten().max()
    }
}

/// What an audited session knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The session, as its user would name it.
    pub session: Text,
    /// The maker's pid.
    pub pid: u32,
    /// When it was made, in nanoseconds since 1970.
    pub time: u64,
    /// The maker's program.
    pub program: Text,
    /// The call and its place: `shm_open main posix_shm.c:16`.
    pub place: String,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Which it is.
    pub identity: Identity,
    /// Its name: of POSIX objects and semaphores as their functions take it, of files the path.
    pub name: Option<Text>,
    /// Where its file is, seen from here; nothing for what has none or none any more.
    pub path: Option<Text>,
    /// A segment's key; 0 is `IPC_PRIVATE`.
    pub key: Option<i32>,
    /// The other namespace (its inode) that its name or id belongs to.
    pub namespace: Option<u64>,
    /// Whether it has no name any more and only its holders keep it.
    pub unlinked: bool,
    /// Names of its file; 1 for segments.
    pub links: u32,
    /// Whether it is made of huge pages; nothing where that cannot be told (a segment that is not attached).
    pub huge: Option<bool>,
    /// Size in bytes.
    pub size: u64,
    /// Bytes in memory.
    pub resident: Option<u64>,
    /// Bytes in swap.
    pub swap: Option<u64>,
    /// Permissions.
    pub mode: Option<u32>,
    /// Owner's user.
    pub uid: Option<u32>,
    /// Owner's group.
    pub gid: Option<u32>,
    /// The process that made it, by the kernel or by a session.
    pub creator: Option<Actor>,
    /// The process that attached or detached it last.
    pub last: Option<Actor>,
    /// A segment's attachments, by the kernel's count.
    pub attached: Option<u64>,
    /// When.
    pub times: Times,
    /// The processes that can be seen to hold it, by pid.
    pub holders: Vec<Holder>,
    /// Whether it is somebody's.
    pub state: State,
    /// Why that.
    pub reason: String,
    /// Whether the name is one that programs keep by design, and why they do.
    pub registry: Option<&'static str>,
    /// What a session knows.
    pub made: Option<Made>,
}

impl Object {
    /// The name or key, in printable ASCII.
    pub fn label(&self) -> String {
        match (self.key, &self.name) {
            (Some(0), _) => "IPC_PRIVATE".to_string(),
            (Some(key), _) => format!("{key:#010x}"),
            (None, Some(name)) => name.escaped(),
            (None, None) => "-".to_string(),
        }
    }

    /// The number that it goes by: shmid, or inode.
    pub const fn id(&self) -> u64 {
        match self.identity {
            Identity::Segment { shmid, .. } | Identity::Foreign { shmid, .. } => shmid as u32 as u64,
            Identity::File { ino, .. } => ino,
        }
    }

    /// Its kind, name and number as sentences have them: `segment 0x00000011 (shmid 3)`, `/shmtest`.
    pub fn title(&self) -> String {
        match self.kind {
            Kind::Sysv => format!("segment {} (shmid {})", self.label(), self.id()),
            Kind::Posix | Kind::File | Kind::Hugetlbfs => self.label(),
            Kind::Semaphore | Kind::Memfd => format!("{} {}", self.kind.name(), self.label()),
            Kind::Anonymous => format!("anonymous memory {}", self.id()),
        }
    }
}
