//! Who holds what: a walk over /proc that reads the descriptors and mappings of every process that may be read.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use shmaudit_core::procfs::{self, FdTarget, Mapping, fd_link, mappings, proc_stat, proc_status};
use shmaudit_core::report::Text;

use super::clocks::Clocks;
use super::facts::Facts;
use super::object::{Actor, Fate, Holder, Process};
use super::places::{Places, SHM};

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A file.
    File {
        /// Device.
        dev: u64,
        /// Inode.
        ino: u64,
    },
    /// A segment.
    Segment {
        /// The IPC namespace of those who hold it; nothing for our own.
        ipc: Option<u64>,
        /// Identifier in that namespace.
        shmid: i32,
    },
}

/// Something that is held.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Its path as a link or a table of mappings has it, without ` (deleted)`; of memfds the name.
    pub path: Vec<u8>,
    /// Whether the path is a memfd's name.
    pub memfd: bool,
    /// A segment's key when it was made.
    pub key: Option<i32>,
    /// What the kernel tells of the file; nothing where it is mapped only and that may not be followed.
    pub facts: Option<Facts>,
    /// The end of the farthest mapping: without facts, the least that its size can be.
    pub extent: u64,
    /// Whether it is in huge pages.
    pub huge: bool,
    /// The mount namespace of its holders, where it is not ours.
    pub mnt: Option<u64>,
    /// Who holds it, by pid.
    pub holders: BTreeMap<u32, Holder>,
}

/// What the walk could not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blind {
    /// Processes that were looked into.
    pub seen: u64,
    /// Processes whose descriptors or mappings may not be read.
    pub processes: u64,
    /// Their users.
    pub users: BTreeSet<u32>,
    /// Other IPC namespaces: how many processes are there, and one of them.
    pub ipc: BTreeMap<u64, (u64, String)>,
    /// Other mount namespaces with another /dev/shm, the same.
    pub mnt: BTreeMap<u64, (u64, String)>,
    /// Whether /proc itself cannot be read.
    pub proc: bool,
}

/// The result of a walk.
#[derive(Debug, Default)]
pub struct Walk {
    /// What is held.
    pub held: BTreeMap<Target, Held>,
    /// What could not be read.
    pub blind: Blind,
}

/// A walk's way through.
struct Walker<'a> {
    places: &'a Places,
    clocks: &'a Clocks,
    own_ipc: Option<u64>,
    own_mnt: Option<u64>,
    walk: Walk,
}

/// Reads every process but this one.
pub fn walk(places: &Places, clocks: &Clocks) -> Walk {
    let mut walker = Walker {
        places,
        clocks,
        own_ipc: namespace("/proc/self", "ipc"),
        own_mnt: namespace("/proc/self", "mnt"),
        walk: Walk::default(),
    };
    let (me, pids) = (std::process::id(), pids().unwrap_or_default());
    // Where not even this process is listed, that is no /proc.
    walker.walk.blind.proc = !pids.contains(&me);
    pids.into_iter().filter(|&pid| pid != me).for_each(|pid| walker.process(pid));
    walker.walk
}

fn pids() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The number of a namespace.
pub fn namespace(process: &str, kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("{process}/ns/{kind}")).ok()?;
    link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

/// A process by its pid, if it runs.
pub fn process(pid: u32, clocks: &Clocks) -> Option<Process> {
    let base = format!("/proc/{pid}");
    let text = fs::read(format!("{base}/stat")).ok()?;
    let stat = proc_stat(&text).filter(|stat| !stat.is_over())?;
    let arguments = fs::read(format!("{base}/cmdline")).unwrap_or_default();
    let status = fs::read(format!("{base}/status")).unwrap_or_default();
    Some(Process {
        pid,
        start: stat.starttime,
        started: clocks.of_ticks(stat.starttime),
        command: Text::from(stat.comm),
        arguments: procfs::cmdline(&arguments).map(Text::from).collect(),
        uid: proc_status(&status).uid.map(|users| users[0]),
    })
}

/// What became of the process that had this pid at `time` (nanoseconds since 1970), or did something until then.
pub fn actor(pid: u32, time: u64, clocks: &Clocks) -> Actor {
    let fate = match fs::read(format!("/proc/{pid}/stat")) {
        _ if pid == 0 => Fate::Elsewhere,
        Ok(_) => match process(pid, clocks) {
            Some(process) if process.started > time => Fate::Reused(Rc::new(process)),
            Some(process) => Fate::Runs(Rc::new(process)),
            // A zombie holds nothing and wants nothing.
            None => Fate::Ended,
        },
        Err(error) if is_refusal(&error) => Fate::Hidden,
        // /proc may be mounted so that it hides others' processes; kill tells that they are there.
        Err(_) if exists(pid) => Fate::Hidden,
        Err(_) => Fate::Ended,
    };
    Actor { pid, fate }
}

/// Whether there is a process of this pid, whatever /proc shows.
fn exists(pid: u32) -> bool {
    let answer = i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process);
    matches!(answer, Some(Ok(()) | Err(Errno::PERM)))
}

/// The process that a walk is at; asked for its name only if it holds something.
struct Visit {
    pid: u32,
    base: String,
    ipc: Option<u64>,
    mnt: Option<u64>,
    process: OnceCell<Option<Rc<Process>>>,
}

impl Walker<'_> {
    fn process(&mut self, pid: u32) {
        let base = format!("/proc/{pid}");
        let Ok(text) = fs::read(format!("{base}/stat")) else {
            // Listed, and not to be read: hidden, unless it has ended meanwhile.
            self.walk.blind.processes += u64::from(exists(pid));
            return;
        };
        let Some(stat) = proc_stat(&text).filter(|stat| !stat.is_kernel() && !stat.is_over()) else { return };
        // A first thread that has ended has neither memory nor files; the process's others do.
        let base = if stat.state == b'Z' { living_thread(pid).unwrap_or(base) } else { base };
        let other = |kind, own| namespace(&base, kind).filter(|&number| Some(number) != own);
        let (ipc, mnt) = (other("ipc", self.own_ipc), other("mnt", self.own_mnt));
        let visit = Visit { pid, ipc, mnt, process: OnceCell::new(), base };
        let seen = [self.descriptors(&visit), self.mappings(&visit)];
        if seen.iter().any(|seen| seen.as_ref().is_err_and(is_refusal)) {
            self.walk.blind.processes += 1;
            self.walk.blind.users.extend(Facts::of(rustix::fs::CWD, &visit.base, true).map(|facts| facts.uid));
        } else {
            self.walk.blind.seen += 1;
        }
        let label = || format!("{}[{pid}]", Text::from(stat.comm).escaped());
        if let Some(number) = visit.ipc {
            self.walk.blind.ipc.entry(number).or_insert_with(|| (0, label())).0 += 1;
        }
        if let Some(number) = visit.mnt
            && self.has_other_shm(&visit)
        {
            self.walk.blind.mnt.entry(number).or_insert_with(|| (0, label())).0 += 1;
        }
    }

    /// Whether /dev/shm is another file system for it than for us.
    fn has_other_shm(&self, visit: &Visit) -> bool {
        let theirs = Facts::of(rustix::fs::CWD, format!("{}/root{SHM}", visit.base), true).map(|facts| facts.dev);
        theirs.is_ok_and(|dev| self.places.shm.as_ref().is_none_or(|shm| shm.dev != dev))
    }

    fn descriptors(&mut self, visit: &Visit) -> io::Result<()> {
        for entry in fs::read_dir(format!("{}/fd", visit.base))? {
            let Ok(entry) = entry else { break };
            let path = entry.path();
            let link = match fs::read_link(&path) {
                Ok(link) => link,
                Err(error) if is_refusal(&error) => return Err(error),
                Err(_) => continue,
            };
            let link = link.as_os_str().as_bytes();
            if is_no_file(link) {
                continue;
            }
            let Ok(facts) = Facts::of(rustix::fs::CWD, &path, true) else { continue };
            let (name, memfd) = match fd_link(link) {
                FdTarget::Memfd(name) => (name, true),
                FdTarget::Path { path, .. } => (path, false),
                FdTarget::Sysv(_) | FdTarget::Other(_) => (link, false),
            };
            if !facts.is_file() || !self.is_shared_memory(facts.dev, name) {
                continue;
            }
            let fd = entry.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(-1);
            let target = Target::File { dev: facts.dev, ino: facts.ino };
            let Some(held) = self.held(target, visit) else { continue };
            held.name(name, memfd);
            held.facts = Some(facts);
            if let Some(holder) = held.holders.get_mut(&visit.pid) {
                holder.fds.push(fd);
            }
        }
        Ok(())
    }

    fn mappings(&mut self, visit: &Visit) -> io::Result<()> {
        let table = fs::read(format!("{}/maps", visit.base))?;
        for mapping in mappings(&table) {
            let Some(target) = self.target(&mapping, visit) else { continue };
            let huge = self.places.is_nameless_huge(mapping.st_dev());
            let Some(held) = self.held(target, visit) else { continue };
            held.huge |= huge;
            held.extent = held.extent.max(mapping.offset.saturating_add(mapping.len()));
            held.key = held.key.or(mapping.sysv_key());
            if let Some(holder) = held.holders.get_mut(&visit.pid) {
                holder.mappings += 1;
            }
            if let Target::File { dev, ino } = target {
                let path = mapping.path.to_vec();
                match path.strip_prefix(b"/memfd:").filter(|_| mapping.deleted) {
                    Some(name) => held.name(name, true),
                    None => held.name(&path, false),
                }
                if held.facts.is_none() {
                    let link = format!("{}/map_files/{:x}-{:x}", visit.base, mapping.start, mapping.end);
                    let facts = Facts::of(rustix::fs::CWD, link, true).ok();
                    held.facts = facts.filter(|facts| (facts.dev, facts.ino) == (dev, ino));
                }
            }
        }
        Ok(())
    }

    /// What of shared memory a mapping is of.
    fn target(&self, mapping: &Mapping, visit: &Visit) -> Option<Target> {
        let dev = mapping.st_dev();
        // A file in the shm mount can be given the name of a segment's attachment.
        if let Some(shmid) = mapping.sysv_shmid()
            && !self.places.is_mounted(dev)
            && (self.places.nameless.is_none() || self.places.is_nameless(dev))
        {
            return Some(Target::Segment { ipc: visit.ipc, shmid });
        }
        let is_file = mapping.ino != 0 && self.is_shared_memory(dev, mapping.path.raw());
        is_file.then_some(Target::File { dev, ino: mapping.ino })
    }

    /// Whether files of this device are shared memory: those of the places, and what others have in a /dev/shm of theirs.
    fn is_shared_memory(&self, dev: u64, path: &[u8]) -> bool {
        let below = |path: &[u8]| path.strip_prefix(SHM.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        self.places.is_mounted(dev) || self.places.is_nameless(dev) || below(path)
    }

    /// The entry of what this process holds, with the process among its holders. Nothing for a process that has ended.
    fn held(&mut self, target: Target, visit: &Visit) -> Option<&mut Held> {
        let process = visit.process.get_or_init(|| process(visit.pid, self.clocks).map(Rc::new)).clone()?;
        let mounted = matches!(target, Target::File { dev, .. } if self.places.is_mounted(dev));
        let held = self.walk.held.entry(target).or_insert_with(|| Held { mnt: visit.mnt, ..Held::default() });
        if mounted || visit.mnt.is_none() {
            held.mnt = None;
        }
        held.holders.entry(visit.pid).or_insert_with(|| Holder { process, fds: Vec::new(), mappings: 0 });
        Some(held)
    }
}

impl Held {
    /// The first name is kept.
    fn name(&mut self, path: &[u8], memfd: bool) {
        if self.path.is_empty() && !self.memfd {
            self.path = path.to_vec();
            self.memfd = memfd;
        }
    }
}

/// A thread of a process whose first thread has ended, as a place in /proc.
fn living_thread(pid: u32) -> Option<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let threads = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    threads.filter(|&thread| thread != pid).map(|thread| format!("/proc/{thread}")).find(|base| {
        let text = fs::read(format!("{base}/stat")).unwrap_or_default();
        proc_stat(&text).is_some_and(|stat| !matches!(stat.state, b'Z' | b'X'))
    })
}

/// Whether the kernel does not let us see, rather than that the process has ended meanwhile.
fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether a descriptor's link is certainly that of no file: a file's begins with a slash or a parenthesis.
fn is_no_file(link: &[u8]) -> bool {
    [&b"pipe:["[..], b"socket:[", b"anon_inode:"].iter().any(|word| link.starts_with(word))
}

/// Reads whether anybody but this process holds a file, by descriptors and mappings: the labels of those who do.
pub fn holders_of(dev: u64, ino: u64, places: &Places, clocks: &Clocks) -> (Vec<String>, Blind) {
    let walk = walk(places, clocks);
    let held = walk.held.get(&Target::File { dev, ino });
    let labels = held.map(|held| held.holders.values().map(|holder| holder.process.label()).collect());
    (labels.unwrap_or_default(), walk.blind)
}
