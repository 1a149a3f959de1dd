//! Whether an object is somebody's, and why: a function of what is known, nothing asked.

use shmaudit_core::findings::Kind as Finding;
use shmaudit_core::suppress::{BUILT_IN, Suppressions};

use super::object::{Actor, Fate, Kind, Object, State};

/// How the names begin under which `clean` takes objects aside before it removes them.
pub const ASIDE: &[u8] = b".shmaudit-removing-";

/// Why programs keep an object of this name; nothing for ordinary names. The rules are the
/// built-in suppressions.
pub fn registry(rules: &Suppressions, name: &[u8]) -> Option<&'static str> {
    let rule = rules.matching(Finding::PosixLeak, [name].into_iter())?;
    let text = rules.text(rule);
    BUILT_IN.iter().find(|(known, _)| *known == text).map(|&(_, why)| why)
}

/// The state of an object of which everything else is known.
pub fn judge(object: &Object) -> (State, String) {
    if let Some(doomed) = doomed(object) {
        return doomed;
    }
    if let Some(holders) = holders(object) {
        return (State::Held, holders);
    }
    match object.kind {
        Kind::Sysv => segment(object),
        Kind::Semaphore => (State::Kept, "named semaphores outlive those who use them".to_string()),
        Kind::File => (State::Kept, "a file below a directory, which no shm_open made".to_string()),
        Kind::Hugetlbfs => (State::Kept, "a file of hugetlbfs, which programs open again by its path".to_string()),
        Kind::Posix | Kind::Memfd | Kind::Anonymous => file(object),
    }
}

fn doomed(object: &Object) -> Option<(State, String)> {
    let by = holders(object).unwrap_or_else(|| "nobody who can be seen".to_string());
    let segment = object.kind == Kind::Sysv && object.unlinked;
    let file = object.unlinked && matches!(object.kind, Kind::Posix | Kind::Semaphore | Kind::File | Kind::Hugetlbfs);
    if segment {
        Some((State::Doomed, format!("marked for removal; ends with its last attachment: {by}")))
    } else if file {
        Some((State::Doomed, format!("unlinked; ends with its last holder: {by}")))
    } else {
        None
    }
}

/// Who holds it, in words.
fn holders(object: &Object) -> Option<String> {
    let seen = object.holders.iter().map(|holder| holder.process.label()).take(3).collect::<Vec<_>>().join(", ");
    let more = object.holders.len().saturating_sub(3);
    let verb = if object.kind == Kind::Sysv { "attached by" } else { "held by" };
    let attached = object.attached.unwrap_or(0);
    match object.holders.len() {
        0 if attached > 0 => Some(format!("{} by processes that cannot be seen", attachments(attached))),
        0 => None,
        _ if more > 0 => Some(format!("{verb} {seen} and {more} more")),
        _ => Some(format!("{verb} {seen}")),
    }
}

fn attachments(count: u64) -> String {
    if count == 1 { "1 attachment".to_string() } else { format!("{count} attachments") }
}

fn segment(object: &Object) -> (State, String) {
    for (actor, what) in [(&object.creator, "its creator"), (&object.last, "its last user")] {
        match actor.as_ref().map(|actor| (&actor.fate, actor.pid)) {
            Some((Fate::Runs(process), _)) => return (State::Idle, format!("{what} {} still runs", process.label())),
            Some((Fate::Hidden, pid)) => {
                return (State::Idle, format!("{what} {pid} still runs, hidden from here"));
            }
            // Of the last user, 0 is also "nobody ever".
            Some((Fate::Elsewhere, _)) => {
                return (State::Unclear, format!("{what} is of another pid namespace, where it cannot be looked for"));
            }
            Some((Fate::Ended | Fate::Reused(_), _)) | None => {}
        }
    }
    match &object.creator {
        Some(creator) => (State::Orphan, format!("not attached; {}", gone("creator", creator))),
        None => (State::Unclear, "not attached; its creator is not known".to_string()),
    }
}

fn file(object: &Object) -> (State, String) {
    match &object.creator {
        Some(Actor { fate: Fate::Runs(process), .. }) => {
            return (State::Idle, format!("its maker {} still runs", process.label()));
        }
        Some(Actor { fate: Fate::Hidden | Fate::Elsewhere, pid }) => {
            return (State::Unclear, format!("what became of its maker {pid} cannot be told"));
        }
        _ => {}
    }
    if let Some(why) = object.registry {
        return (State::Kept, why.to_string());
    }
    if object.path.as_ref().is_some_and(|path| super::base_name(path.bytes()).starts_with(ASIDE)) {
        return (State::Orphan, "an interrupted `shmaudit clean` took it aside".to_string());
    }
    match &object.creator {
        Some(creator) => (State::Orphan, format!("no process has it open or mapped; {}", gone("maker", creator))),
        None => (State::Orphan, "no process that can be seen has it open or mapped".to_string()),
    }
}

/// `creator 812 is dead`, `creator 812 is dead, its pid now younger sshd[812]'s`
pub fn gone(what: &str, actor: &Actor) -> String {
    match &actor.fate {
        Fate::Reused(process) => {
            format!("{what} {} is dead, its pid now that of the younger {}", actor.pid, process.label())
        }
        _ => format!("{what} {} is dead", actor.pid),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use shmaudit_core::report::Text;

    use super::super::object::{Holder, Identity, Process, Times};
    use super::*;

    fn process(pid: u32) -> Rc<Process> {
        let command = Text::from(&b"a\x1bb"[..]);
        Rc::new(Process { pid, start: 1, started: 1, command, arguments: Vec::new(), uid: Some(0) })
    }

    fn holder(pid: u32) -> Holder {
        Holder { process: process(pid), fds: vec![3], mappings: 1 }
    }

    fn object(kind: Kind) -> Object {
        Object {
            kind,
            identity: Identity::File { dev: 1, ino: 2 },
            name: Some(Text::from(&b"/x"[..])),
            path: Some(Text::from(&b"/dev/shm/x"[..])),
            key: None,
            namespace: None,
            unlinked: false,
            links: 1,
            huge: None,
            size: 1,
            resident: None,
            swap: None,
            mode: None,
            uid: None,
            gid: None,
            creator: None,
            last: None,
            attached: None,
            times: Times::default(),
            holders: Vec::new(),
            state: State::Held,
            reason: String::new(),
            registry: None,
            made: None,
        }
    }

    fn sysv(creator: Fate, last: Fate, attached: u64) -> Object {
        let creator = Some(Actor { pid: 7, fate: creator });
        Object { creator, last: Some(Actor { pid: 8, fate: last }), attached: Some(attached), ..object(Kind::Sysv) }
    }

    #[test]
    fn segments() {
        let cases = [
            (sysv(Fate::Ended, Fate::Ended, 0), State::Orphan, "not attached; creator 7 is dead"),
            (
                sysv(Fate::Reused(process(7)), Fate::Ended, 0),
                State::Orphan,
                "not attached; creator 7 is dead, its pid now that of the younger a\\33b[7]",
            ),
            (sysv(Fate::Runs(process(7)), Fate::Ended, 0), State::Idle, "its creator a\\33b[7] still runs"),
            (sysv(Fate::Ended, Fate::Runs(process(8)), 0), State::Idle, "its last user a\\33b[8] still runs"),
            (sysv(Fate::Hidden, Fate::Ended, 0), State::Idle, "its creator 7 still runs, hidden from here"),
            (
                sysv(Fate::Elsewhere, Fate::Ended, 0),
                State::Unclear,
                "its creator is of another pid namespace, where it cannot be looked for",
            ),
            (sysv(Fate::Ended, Fate::Ended, 2), State::Held, "2 attachments by processes that cannot be seen"),
        ];
        for (object, state, reason) in cases {
            assert_eq!(judge(&object), (state, reason.to_string()));
        }
        let mut held = Object { unlinked: true, ..sysv(Fate::Ended, Fate::Ended, 1) };
        held.holders = vec![holder(9)];
        let reason = "marked for removal; ends with its last attachment: attached by a\\33b[9]";
        assert_eq!(judge(&held), (State::Doomed, reason.to_string()));
    }

    #[test]
    fn files() {
        let posix = object(Kind::Posix);
        assert_eq!(judge(&posix).0, State::Orphan);
        let held = Object { holders: (1..6).map(holder).collect(), ..posix.clone() };
        let reason = "held by a\\33b[1], a\\33b[2], a\\33b[3] and 2 more";
        assert_eq!(judge(&held), (State::Held, reason.to_string()));
        assert_eq!(judge(&Object { unlinked: true, ..held }).0, State::Doomed);
        let made = |fate| Object { creator: Some(Actor { pid: 7, fate }), ..posix.clone() };
        assert_eq!(judge(&made(Fate::Runs(process(7)))).0, State::Idle);
        assert_eq!(judge(&made(Fate::Elsewhere)).0, State::Unclear);
        assert_eq!(judge(&made(Fate::Ended)).1, "no process has it open or mapped; maker 7 is dead");
        assert_eq!(judge(&Object { registry: Some("why"), ..posix }), (State::Kept, "why".to_string()));
        assert_eq!(judge(&object(Kind::Semaphore)).0, State::Kept);
        assert_eq!(judge(&object(Kind::Hugetlbfs)).0, State::Kept);
    }

    #[test]
    fn registries() {
        let rules = Suppressions::default();
        assert!(registry(&rules, b"/lttng-ust-wait-8").is_some_and(|why| why.contains("session daemon")));
        assert!(registry(&rules, b"/jack-shm-registry").is_some());
        assert_eq!(registry(&rules, b"/shmtest"), None);
    }
}
