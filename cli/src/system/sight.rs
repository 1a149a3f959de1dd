//! What could not be seen, in sentences: whoever reads an inventory must know what is not in it.

use super::limits::Totals;
use super::object::{Kind, Object};
use super::places::Places;
use super::processes::{Blind, namespace};
use super::size;

/// The first namespaces have these numbers on every machine (include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: u64 = 0xeffffffc;

/// How much of the machine is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Whether every process of the machine was looked into.
    pub complete: bool,
    /// How many were.
    pub processes: u64,
    /// What was not seen, one sentence each, in printable ASCII.
    pub unseen: Vec<String>,
}

/// What went unread beside processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Whether /proc/sysvipc/shm could not be read.
    pub segments: bool,
    /// Lines of it that were none.
    pub lines: u64,
    /// Directories that may not be read.
    pub closed: u64,
    /// Files beyond what is listed.
    pub left_out: u64,
}

/// Says what was not seen.
pub fn sight(blind: &Blind, unread: Unread, places: &Places, objects: &[Object], totals: &Totals) -> Sight {
    let mut unseen = Vec::new();
    let inner = namespace("/proc/self", "pid").is_none_or(|number| number != FIRST_PID_NAMESPACE);
    let hidden = places.hidepid.is_some() && !rustix::process::geteuid().is_root();
    if blind.proc {
        unseen.push("/proc cannot be read: nobody is seen to hold anything.".to_string());
    }
    if blind.processes > 0 {
        let users = blind.users.iter().take(4).map(u32::to_string).collect::<Vec<_>>().join(", ");
        let of = if users.is_empty() { String::new() } else { format!(" (of users {users})") };
        let processes = number(blind.processes, "process", "processes");
        let who = if rustix::process::geteuid().is_root() { "not even by root" } else { "root sees what they hold" };
        unseen.push(format!("{processes}{of} may not be looked into: {who}."));
    }
    if inner {
        unseen.push("This is not the machine's first pid namespace: processes outside of it are not seen.".to_string());
    }
    if hidden {
        unseen.push("/proc is mounted with hidepid: other users' processes are not seen.".to_string());
    }
    for (number_of, (count, one)) in &blind.ipc {
        unseen.push(format!(
            "{} of another IPC namespace ({number_of}, such as {one}): of its segments only attached ones are seen; \
             all with: nsenter -i -t {} shmaudit ls",
            number(*count, "process", "processes"),
            pid_of(one)
        ));
    }
    for (number_of, (count, one)) in &blind.mnt {
        unseen.push(format!(
            "{} with another /dev/shm (mount namespace {number_of}, such as {one}): of its objects only held ones are \
             seen; all with: nsenter -m -t {} shmaudit ls",
            number(*count, "process", "processes"),
            pid_of(one)
        ));
    }
    if unread.segments {
        unseen.push("/proc/sysvipc/shm cannot be read: no segment is seen.".to_string());
    }
    if unread.lines > 0 {
        unseen.push(format!("{} of /proc/sysvipc/shm cannot be understood.", number(unread.lines, "line", "lines")));
    }
    if unread.closed > 0 {
        unseen.push(format!("{} may not be read.", number(unread.closed, "directory", "directories")));
    }
    if unread.left_out > 0 {
        unseen.push(format!("{} left out: there are too many.", number(unread.left_out, "file is", "files are")));
    }
    if places.shm.is_none() {
        unseen.push("There is no /dev/shm: shm_open fails here.".to_string());
    }
    if let Some(mount) = &totals.mount
        && mount.unseen() > 0
    {
        let bytes = size(mount.unseen());
        unseen.push(format!("{bytes} of {} are of files without a name that nobody is seen to hold.", mount.path));
    }
    let strangers = strangers(objects);
    if strangers > 0 {
        let attachments = number(strangers, "attachment is", "attachments are");
        unseen.push(format!("{attachments} of processes that cannot be seen."));
    }
    Sight { complete: !blind.proc && blind.processes == 0 && !inner && !hidden, processes: blind.seen, unseen }
}

/// Attachments that no process was seen to have.
fn strangers(objects: &[Object]) -> u64 {
    let missing = |object: &Object| {
        let seen = object.holders.iter().map(|holder| holder.mappings).sum();
        object.attached.unwrap_or(0).saturating_sub(seen)
    };
    objects.iter().filter(|object| object.kind == Kind::Sysv).map(missing).sum()
}

fn number(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The number in `postgres[812]`.
fn pid_of(label: &str) -> &str {
    label.rsplit('[').next().and_then(|rest| rest.strip_suffix(']')).unwrap_or(label)
}
