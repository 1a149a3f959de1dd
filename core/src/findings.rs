//! Findings: what is wrong, of which kind, and what to do about it. Values only; the views are `text` and `json`.
//!
//! A rule is one file here and one line in [`RULES`]; a kind is one line in the table. A rule may watch the records as
//! they are replayed, and then asks the [`World`], which has put the ledger beside the kernel's tables.

mod at_exit;
mod detach;
mod leaks;
pub(crate) mod say;
mod unfinished;
mod world;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Display, Formatter};

use crate::ledger::{Ledger, Moment, ObjectIndex};
use crate::record::Event;

pub use unfinished::settle_makings;
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
}

impl Kind {
    /// The kind of this name.
    pub fn from_name(name: &[u8]) -> Option<Kind> {
        KINDS.iter().copied().find(|kind| kind.name().as_bytes() == name)
    }

    /// Whether the suppression word `leak` means it.
    pub const fn is_leak(self) -> bool {
        matches!(self, Kind::PosixLeak | Kind::SysvLeak)
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
        }
    }
}

/// One way to find something.
pub trait Rule {
    /// Sees every record in order, with the ledger as it was before it.
    fn before(&mut self, _ledger: &mut Ledger, _event: &Event) {}
    /// Says what it has found.
    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>);
}

/// Every rule, made anew for each report.
pub const RULES: &[fn() -> Box<dyn Rule>] = &[leaks::rule, at_exit::rule, detach::rule];

/// All rules.
pub fn rules() -> Vec<Box<dyn Rule>> {
    RULES.iter().map(|make| make()).collect()
}

/// What all rules find, the worst first, else by the time of the call.
pub fn find(rules: &mut [Box<dyn Rule>], world: &mut World) -> Vec<Draft> {
    let mut findings = Vec::new();
    for rule in rules {
        rule.conclude(world, &mut findings);
    }
    findings.sort_by_key(|finding| (finding.severity, finding.event.map_or(u64::MAX, |event| event.order)));
    findings
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unfinished_tests;
