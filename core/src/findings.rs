//! Findings: what is wrong, of which kind, and what to do about it. Values only; the views are `text` and `json`.
//!
//! A rule is one file here and one line in [`RULES`]; a kind is one line in the table. A rule may watch the records as
//! they are replayed, and then asks the [`World`], which has put the ledger beside the kernel's tables.

mod accessible;
mod at_exit;
mod beyond;
mod detach;
mod exclusive;
mod ftok;
mod leaks;
mod limits;
mod names;
mod outside;
pub(crate) mod pattern;
mod removed;
pub(crate) mod say;
mod sites;
mod size_mismatch;
mod unfinished;
mod vanished;
mod world;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt::{Display, Formatter};

use crate::calls::{CALLS, Call};
use crate::ledger::{Ledger, Moment, ObjectIndex};
use crate::record::{Event, ObjectId};

pub use unfinished::{settle_makings, settle_names};
pub use world::{Concluding, Fate, Presence, World, living};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something stays behind that nobody will remove.
    Error,
    /// Likely a mistake.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// As the report has it.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $name:literal $severity:ident, $why:literal, $hint:literal;)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        /// Every kind.
        pub const KINDS: &[Kind] = &[$(Kind::$variant,)*];

        impl Kind {
            /// Its name in reports and suppressions.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }
            /// How bad it is as a rule.
            pub const fn severity(self) -> Severity {
                match self { $(Kind::$variant => Severity::$severity,)* }
            }
            /// When it holds and why that matters.
            pub const fn why(self) -> &'static str {
                match self { $(Kind::$variant => $why,)* }
            }
            /// What to do about it.
            pub const fn hint(self) -> &'static str {
                match self { $(Kind::$variant => $hint,)* }
            }
        }
    };
}

kinds! {
    /// A POSIX object outlives its makers.
    PosixLeak "posix-leak" Error,
        "An object that the audited processes made still exists when the last of them has ended. It keeps its memory until somebody unlinks it or the machine restarts.",
        "Call shm_unlink when the last user has opened it.";
    /// A segment outlives its makers.
    SysvLeak "sysv-leak" Error,
        "A segment that the audited processes made still exists when the last of them has ended, and is not marked for removal. It keeps its memory and its shmid until somebody removes it or the machine restarts.",
        "Call shmctl(shmid, IPC_RMID, NULL) when the last user has attached it: it goes with the last detach.";
    /// A removed segment that somebody keeps.
    SysvPendingDestroy "sysv-pending-destroy" Warning,
        "A segment is marked for removal, and its memory stays for as long as a process outside the audited tree, or one that still runs, has it attached.",
        "End or detach the process that has it attached.";
    /// A descriptor that nobody closed.
    FdAtExit "fd-at-exit" Note,
        "A descriptor of a shared-memory object was open at a normal exit. The kernel closes it; in a process that lives longer it would be a leak.",
        "Close it after the object is mapped: the mapping does not need it.";
    /// A mapping that nobody undid.
    MappingAtExit "mapping-at-exit" Note,
        "A shared-memory object was mapped at a normal exit. The kernel unmaps it; in a process that lives longer it would be a leak.",
        "Call munmap when the memory is no longer used.";
    /// An attachment that nobody undid.
    AttachAtExit "attach-at-exit" Note,
        "A segment was attached at a normal exit. The kernel detaches it; in a process that lives longer it would be a leak.",
        "Call shmdt when the memory is no longer used.";
    /// A detach of what is not attached.
    BadDetach "bad-detach" Warning,
        "shmdt was called with an address at which no segment is attached. Had another been attached there meanwhile, that one would have been detached.",
        "Detach each attachment once, with the address that shmat returned.";
    /// A call on what had been removed.
    UseAfterRemove "use-after-remove" Warning,
        "A call failed because the audited processes had removed the object that it asks for: somebody removed it while somebody else still needed it, or it was removed twice. Had its name or key been given again meanwhile, the call would have hit another object.",
        "Let the last user remove it, or open and attach it everywhere before anybody removes it.";
    /// A mapping that is longer than its object.
    MapBeyondEnd "map-beyond-end" Warning,
        "A mapping reaches beyond the last page of its object, from the start or because the object was made smaller under it. The first touch of such a page ends the process with SIGBUS.",
        "Give the object its size with ftruncate before it is mapped, map no more than fstat says, and shrink it only when nobody has it mapped.";
    /// A size that does not fit.
    SizeMismatch "size-mismatch" Warning,
        "A call was refused with EINVAL because the object has another size than the caller asked for: as a rule an old segment that an earlier version or another configuration made, or an object that its maker has not sized yet.",
        "Ask with a size of 0 and look with IPC_STAT or fstat, remove the old object, or make the size a part of the name or key.";
    /// Creating without asking for exclusive creation.
    NoExclusiveCreate "no-exclusive-create" Note,
        "A call that would have made an object met one that nobody of the audited processes had made, and took it: left over by an earlier run, or laid there by somebody else, with whatever content, size and permissions it has.",
        "Create with O_EXCL or IPC_EXCL, and decide what to do about EEXIST.";
    /// Permissions for everybody.
    WorldAccessible "world-accessible" Warning,
        "An object was made with read or write permission for everybody. Every user of the machine can read what is in it, or change it under the program.",
        "Create it with mode 0600, or 0660 and a group of its own.";
    /// A name that other systems may refuse.
    NonportableName "nonportable-name" Note,
        "POSIX says what a name means only if it begins with a slash and has no other. This system takes some other names; another may refuse them, or take them for files.",
        "Begin the name with a slash, and use no other in it.";
    /// A key from an `ftok` that had failed.
    FtokFailedKey "ftok-failed-key" Warning,
        "ftok failed, as a rule because the file is not there, and its result of -1 was used as a key. To shmget that is a key like any other, and every program that makes the same mistake gets the same segment. An id whose lower eight bits are 0 is a note: POSIX leaves the key open then.",
        "Check the result of ftok, or use IPC_PRIVATE or a name with shm_open.";
    /// Something is full.
    LimitHit "limit-hit" Warning,
        "A call failed because a limit was reached: of the system's segments and their pages, of the space under /dev/shm, of the process's descriptors, addresses or files, of huge pages. As a rule something that is never given back has filled it up.",
        "Give back what is held: the report names the call that holds most of it. Else raise the limit.";
    /// Gone without a removal.
    Vanished "vanished" Warning,
        "An object that the audited processes made disappeared, and none of them removed it: an administrator, a clean-up job, another program, or systemd-logind, which removes a user's objects at the end of the last session (RemoveIPC).",
        "Find out who removes it; a system user's objects, or RemoveIPC=no in logind.conf, are safe from systemd-logind.";
    /// A process that the audit could not follow.
    UnauditedProcess "unaudited-process" Warning,
        "A process of the tree was not audited: its program is static, set-user-ID or of another ELF class, or it was started with an environment without the audit's variables. What it did is not in the records; what it left behind is in the kernel's tables.",
        "Link the program dynamically, run it with the audit's environment variables, or audit its callers.";
    /// A leak without a maker.
    UnattributedLeak "unattributed-leak" Error,
        "An object came into being while the audited processes ran, carries the tree's user or a process id of the tree, and still exists; no audited call made it. A process that could not be audited did, or a system call made without the C library.",
        "Look at the processes that were not audited, and at system calls made directly.";
}

impl Kind {
    /// The kind of this name.
    pub fn from_name(name: &[u8]) -> Option<Kind> {
        KINDS.iter().copied().find(|kind| kind.name().as_bytes() == name)
    }

    /// Whether the suppression word `leak` means it.
    pub const fn is_leak(self) -> bool {
        matches!(self, Kind::PosixLeak | Kind::SysvLeak | Kind::UnattributedLeak)
    }
}

/// What to do about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// For the next time.
    pub advice: &'static str,
    /// A shell command that removes what stays behind.
    pub command: Option<String>,
}

impl Display for Hint {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match &self.command {
            Some(command) => write!(f, "{} To remove it now: {command}", self.advice),
            None => f.write_str(self.advice),
        }
    }
}

/// A finding before its stacks have names.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What is wrong.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, in printable ASCII.
    pub message: String,
    /// What to do.
    pub hint: Hint,
    /// The object.
    pub object: Option<ObjectIndex>,
    /// How often.
    pub count: u64,
    /// Bytes concerned.
    pub bytes: u64,
    /// The call it is about.
    pub event: Option<Moment>,
    /// Other calls, and what they did.
    pub related: Vec<(&'static str, Moment)>,
    /// An object that no record tells of.
    pub strange: Option<Strange>,
    /// A process that it is about where there is no call: pid and path of the program.
    pub process: Option<(u32, Vec<u8>)>,
}

/// An object that only the kernel's tables tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strange {
    /// Which.
    pub id: ObjectId,
    /// Name of a file on the shm mount.
    pub name: Option<Vec<u8>>,
    /// Key of a segment.
    pub key: Option<i32>,
    /// Size in bytes.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
}

impl Draft {
    /// A finding of the kind's own severity and hint.
    pub fn new(kind: Kind, message: String) -> Draft {
        Draft {
            kind,
            severity: kind.severity(),
            message,
            hint: Hint { advice: kind.hint(), command: None },
            object: None,
            count: 1,
            bytes: 0,
            event: None,
            related: Vec::new(),
            strange: None,
            process: None,
        }
    }
}

/// One way to find something.
pub trait Rule {
    /// The calls whose records it wants to see.
    fn watches(&self) -> &'static [Call] {
        &[]
    }
    /// Sees those records in order, with the object that each is about as far as that has been met, and with the ledger as
    /// it was before it.
    fn before(&mut self, _ledger: &mut Ledger, _event: &Event, _object: Option<ObjectIndex>) {}
    /// Says what it has found.
    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>);
}

/// Every rule's maker.
const RULES: &[fn() -> Box<dyn Rule>] = &[
    leaks::rule,
    at_exit::rule,
    detach::rule,
    removed::rule,
    beyond::rule,
    size_mismatch::rule,
    exclusive::rule,
    accessible::rule,
    names::rule,
    ftok::rule,
    limits::rule,
    vanished::rule,
    outside::rule,
];

/// All rules, made anew for each report.
pub struct Rules {
    rules: Vec<Box<dyn Rule>>,
    /// Of each call, the rules that watch it: a bit each.
    watching: [u16; CALLS.len()],
}

impl Default for Rules {
    fn default() -> Rules {
        let rules: Vec<Box<dyn Rule>> = RULES.iter().map(|make| make()).collect();
        let mut watching = [0u16; CALLS.len()];
        for (bit, rule) in rules.iter().enumerate() {
            for call in rule.watches() {
                if let Some(rules) = watching.get_mut(usize::from(call.number())) {
                    *rules |= 1 << bit;
                }
            }
        }
        Rules { rules, watching }
    }
}

impl Rules {
    /// Shows a record to the rules that watch its call.
    pub fn before(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        let mut watching = self.watching.get(usize::from(event.call.number())).copied().unwrap_or(0);
        while watching != 0 {
            if let Some(rule) = self.rules.get_mut(watching.trailing_zeros() as usize) {
                rule.before(ledger, event, object);
            }
            watching &= watching - 1;
        }
    }

    /// What all rules find, the worst first, then the largest, then by the time of the call.
    pub fn find(mut self, world: &mut World) -> Vec<Draft> {
        let mut findings = Vec::new();
        for rule in &mut self.rules {
            rule.conclude(world, &mut findings);
        }
        findings.sort_by_key(|finding| {
            (finding.severity, Reverse(finding.bytes), finding.event.map_or(u64::MAX, |event| event.order))
        });
        findings
    }
}

const _: () = assert!(RULES.len() <= u16::BITS as usize);

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unfinished_tests;
