//! Whether an object may go: a function of the inventory. What is not proven stays.

use shmaudit_core::suppress;

use crate::system::{Fate, Inventory, Kind, Object, State, gone, span};

use super::Include;

/// What is thought of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go, for these reasons.
    May(Vec<String>),
    /// It stays, for this reason.
    Stays(String),
}

/// What is asked about.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only what a session made.
    pub sessions: bool,
    /// What else may go.
    pub include: Vec<Include>,
    /// Kinds; none for all.
    pub kinds: Vec<Kind>,
    /// What must be in the name or key.
    pub name: Option<String>,
    /// The owner.
    pub user: Option<u32>,
    /// Nanoseconds without anything.
    pub min_age: u64,
}

impl Scope {
    /// Whether an object is asked about at all. What has no name and what is of another namespace cannot be removed.
    pub fn asks(&self, object: &Object) -> bool {
        let kind = match object.kind {
            Kind::Memfd | Kind::Anonymous => false,
            Kind::Sysv | Kind::Posix | Kind::Semaphore | Kind::File | Kind::Hugetlbfs => true,
        };
        let named = |glob: &String| {
            let name = object.name.as_ref().map_or(&[][..], |name| name.bytes());
            suppress::matches(glob.as_bytes(), name) || suppress::matches(glob.as_bytes(), object.label().as_bytes())
        };
        kind && object.namespace.is_none()
            && object.state != State::Doomed
            && (!self.sessions || object.made.is_some())
            && (self.kinds.is_empty() || self.kinds.contains(&object.kind))
            && self.name.as_ref().is_none_or(named)
            && self.user.is_none_or(|uid| object.uid == Some(uid))
    }

    fn includes(&self, what: Include) -> bool {
        self.include.contains(&what)
    }
}

/// What is thought of an object that is asked about.
pub fn judge(object: &Object, inventory: &Inventory, scope: &Scope) -> Verdict {
    match stays(object, scope) {
        Some(reason) => return Verdict::Stays(reason),
        None if object.links > 1 => {
            return Verdict::Stays(format!("it has {} names, and each would keep it", object.links));
        }
        None if !permitted(object) => {
            return Verdict::Stays("only its owner and root may remove it".to_string());
        }
        None => {}
    }
    let mut evidence = match object.kind {
        Kind::Sysv => segment(object),
        _ => file(object, inventory),
    };
    let Some(last) = object.times.last() else {
        return Verdict::Stays("when it was used last cannot be told".to_string());
    };
    let age = inventory.clocks.since(last);
    if age < scope.min_age {
        return Verdict::Stays(format!("idle for {} only", span(age)));
    }
    evidence.push(format!("idle for {}", span(age)));
    Verdict::May(evidence)
}

/// Why it stays, if only its state is looked at.
fn stays(object: &Object, scope: &Scope) -> Option<String> {
    let included = match (object.state, object.kind) {
        (State::Orphan, _) => return None,
        (State::Kept, Kind::Semaphore) => Include::Semaphores,
        (State::Kept, Kind::File) => Include::Files,
        (State::Kept, Kind::Hugetlbfs) => Include::Hugetlbfs,
        (State::Kept, _) => Include::Registries,
        _ => return Some(object.reason.clone()),
    };
    let flag = match included {
        Include::Semaphores => "semaphores",
        Include::Registries => "registries",
        Include::Files => "files",
        Include::Hugetlbfs => "hugetlbfs",
    };
    (!scope.includes(included)).then(|| format!("{} (--include {flag})", object.reason))
}

fn permitted(object: &Object) -> bool {
    let me = rustix::process::geteuid();
    me.is_root() || object.uid == Some(me.as_raw())
}

fn segment(object: &Object) -> Vec<String> {
    let creator = object.creator.as_ref().map(|creator| gone("creator", creator));
    let last = object.last.as_ref().map_or_else(
        || "nobody ever attached it".to_string(),
        |last| format!("attached to nobody (nattch 0); {}", gone("its last user", last)),
    );
    creator.into_iter().chain([last, "of this IPC namespace".to_string()]).collect()
}

fn file(object: &Object, inventory: &Inventory) -> Vec<String> {
    let processes = inventory.sight.processes;
    let mut evidence = vec![match inventory.sight.complete {
        true => format!("neither open nor mapped in any of the machine's {processes} processes"),
        false => format!(
            "neither open nor mapped in the {processes} processes that can be looked into; of the others the kernel is \
             asked before removal"
        ),
    }];
    evidence.push(match (&object.creator, &object.made) {
        (Some(creator), Some(made)) if matches!(creator.fate, Fate::Ended | Fate::Reused(_)) => {
            format!("{}, says {}: {}", gone("maker", creator), made.session.escaped(), made.place)
        }
        _ => "who made it is not known: of files the kernel does not keep it".to_string(),
    });
    evidence
}
