//! The program's tree as /proc shows it: who is not audited and why, and who stays as a daemon.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shmaudit_core::kernel::SHM_MOUNT;
use shmaudit_core::procfs::{self, proc_stat, proc_status};

use super::{clock, elf, slots};
use crate::session::{Bytes, Outsider, Recorder, Tables};

/// How long a process may take from its exec to its first record.
const PATIENCE: Duration = Duration::from_millis(150);
/// For so long after the start of the program it is looked at often.
const YOUTH: Duration = Duration::from_millis(60);

/// From so many on, those that are not audited are counted together where nothing is left of them.
const MOST_TOLD: usize = 512;
/// Most files that one process is remembered to have held.
const MOST_HELD: usize = 4096;

/// The tree.
pub struct Tree {
    library: PathBuf,
    session: u32,
    started: Instant,
    looked: Instant,
    /// What the last look took.
    took: Duration,
    /// Those without a record, by pid and start, since when.
    waiting: HashMap<(u32, u64), Instant>,
    /// Who was found not to be audited.
    outsiders: Vec<Outsider>,
    /// How many of them are too many.
    most: usize,
    /// All pids that were seen.
    members: Vec<Member>,
}

/// A process of the tree.
#[derive(Clone, Copy, Debug)]
struct Member {
    pid: u32,
    ppid: u32,
    session: u32,
    starttime: u64,
}

impl Tree {
    /// The tree below this process. `library` is what is loaded into it.
    pub fn new(library: &Path) -> Tree {
        // SAFETY: 0 stands for this process, and no memory is passed. 0 also where its leader is outside of the namespace.
        let session = unsafe { libc::getsid(0) }.max(0) as u32;
        let now = Instant::now();
        Tree {
            library: library.to_path_buf(),
            session,
            started: now,
            looked: now,
            took: Duration::ZERO,
            waiting: HashMap::new(),
            outsiders: Vec::new(),
            most: MOST_TOLD,
            members: Vec::new(),
        }
    }

    /// Whether the program has just begun.
    pub fn is_young(&self) -> bool {
        self.started.elapsed() < YOUTH
    }

    /// Who was found not to be audited.
    pub fn outsiders(&self) -> &[Outsider] {
        &self.outsiders
    }

    /// The program itself has left no record: it is not audited, and `why` its file tells.
    pub fn program_is_outside(&mut self, pid: u32, command: &[Bytes], exe: &Path) {
        if self.outsiders.iter().any(|outsider| outsider.pid == pid) {
            return;
        }
        let why = elf::why_not(exe).unwrap_or("it left no record: it ended as it began, or could not load the library");
        self.outsiders.push(Outsider {
            pid,
            ppid: std::process::id(),
            starttime: 0,
            seen: clock::unix(),
            uid: None,
            exe: Bytes::from(exe.as_os_str().as_bytes()),
            args: command.to_vec(),
            why: why.to_string(),
            holds: Vec::new(),
            others: 0,
        });
    }

    /// The tree's processes as last seen.
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.pid).collect()
    }

    /// The tree's processes, where all of them are of other sessions than the program's: what makes a daemon.
    pub fn daemons(&self) -> Vec<u32> {
        let all_away = self.members.iter().all(|member| member.session != self.session);
        if all_away { self.pids() } else { Vec::new() }
    }

    /// Looks, where it is time to, at everybody but our own helpers; whether somebody new is not audited.
    pub fn look(&mut self, recorder: &Recorder, is_helper: impl Fn(u32) -> bool) -> bool {
        let pause = (self.took * 20).clamp(PATIENCE / 3, Duration::from_secs(1));
        if self.looked.elapsed() < pause && !self.is_young() {
            return false;
        }
        let begun = Instant::now();
        self.members = descendants(std::process::id());
        self.members.retain(|member| !is_helper(member.pid));
        let begins = self.joined(recorder);
        let before = self.outsiders.len();
        self.hold();
        let missing: Vec<Member> =
            self.members.iter().copied().filter(|member| !slots::has(recorder, member.pid, member.starttime)).collect();
        self.waiting.retain(|&(pid, starttime), _| {
            missing.iter().any(|member| (member.pid, member.starttime) == (pid, starttime))
        });
        for member in missing {
            let known = |outsider: &Outsider| (outsider.pid, outsider.starttime) == (member.pid, member.starttime);
            let exe = exe(member.pid);
            if self.outsiders.iter().any(|outsider| known(outsider) && outsider.exe == exe) {
                continue;
            }
            let since = *self.waiting.entry((member.pid, member.starttime)).or_insert(begun);
            // Who becomes another program while it is looked at is looked at again.
            if let Some(outsider) = self.judge(member, exe, begun - since)
                && !becomes(&outsider)
            {
                self.outsiders.push(outsider);
            }
        }
        let news = begins || self.outsiders.len() > before;
        if self.outsiders.len() > self.most {
            self.fold();
        }
        self.looked = Instant::now();
        self.took = begun.elapsed();
        news
    }

    /// Takes back what was said of those that took long to begin and are audited now: a debugger may have held them, or they
    /// load many files. Whether there were any.
    fn joined(&mut self, recorder: &Recorder) -> bool {
        let before = self.outsiders.len();
        let members = &self.members;
        self.outsiders.retain(|outsider| {
            let (pid, starttime) = (outsider.pid, outsider.starttime);
            let runs = members.iter().any(|member| (member.pid, member.starttime) == (pid, starttime));
            !(runs && slots::has(recorder, pid, starttime) && exe(pid) == outsider.exe)
        });
        self.outsiders.len() < before
    }

    /// The tree has ended: the same of those that were not looked at after they had begun.
    pub fn settle(&mut self, recorder: &Recorder) {
        self.outsiders.retain(|one| !slots::is_of(recorder, one.pid, one.starttime, one.exe.bytes()));
    }

    /// Those that have ended and left nothing that is still there are counted with the first of their program and reason.
    fn fold(&mut self) {
        let now = Tables::now();
        let files: HashSet<(u64, u64)> = now.files.iter().flatten().map(|(_, facts)| (facts.dev, facts.ino)).collect();
        let makers: HashSet<u32> = now.segments.iter().flatten().map(|segment| segment.cpid).collect();
        let running: HashSet<u32> = self.members.iter().map(|member| member.pid).collect();
        let mut first: HashMap<(Vec<u8>, String), usize> = HashMap::new();
        let mut kept: Vec<Outsider> = Vec::new();
        for outsider in std::mem::take(&mut self.outsiders) {
            let stays = running.contains(&outsider.pid)
                || makers.contains(&outsider.pid)
                || outsider.holds.iter().any(|file| files.contains(file));
            let at = *first.entry((outsider.exe.bytes().to_vec(), outsider.why.clone())).or_insert(kept.len());
            match kept.get_mut(at).filter(|_| !stays) {
                Some(alike) => alike.others += 1 + outsider.others,
                None => kept.push(outsider),
            }
        }
        self.most = MOST_TOLD.max(2 * kept.len());
        self.outsiders = kept;
    }

    /// What those that are not audited hold now.
    fn hold(&mut self) {
        let runs = |pid: u32, starttime: u64| {
            self.members.iter().any(|member| (member.pid, member.starttime) == (pid, starttime))
        };
        for outsider in self.outsiders.iter_mut().filter(|outsider| runs(outsider.pid, outsider.starttime)) {
            for file in held(outsider.pid) {
                if !outsider.holds.contains(&file) && outsider.holds.len() < MOST_HELD {
                    outsider.holds.push(file);
                }
            }
        }
    }

    /// Why a process without a record has none; `None` as long as it may still get one.
    fn judge(&self, member: Member, exe: Bytes, waited: Duration) -> Option<Outsider> {
        let base = format!("/proc/{}", member.pid);
        let path = Path::new(std::ffi::OsStr::from_bytes(exe.bytes()));
        // What runs has a name in /proc even where its file has gone.
        let why = elf::why_not(Path::new(&format!("{base}/exe"))).map(str::to_string);
        let why = match why {
            Some(_) if self.is_in_valgrind(&base) => return None,
            Some(why) => why,
            None if waited < PATIENCE => return None,
            None => self.reason(&base, path),
        };
        let status = fs::read(format!("{base}/status")).unwrap_or_default();
        let arguments = fs::read(format!("{base}/cmdline")).unwrap_or_default();
        Some(Outsider {
            pid: member.pid,
            ppid: member.ppid,
            starttime: member.starttime,
            seen: clock::unix(),
            uid: proc_status(&status).uid.map(|users| users[0]),
            exe,
            args: procfs::cmdline(&arguments).map(Bytes::from).collect(),
            why,
            holds: held(member.pid),
            others: 0,
        })
    }

    /// Whether it is valgrind's own program, which is static and loads the audited one and the library itself.
    fn is_in_valgrind(&self, base: &str) -> bool {
        let environment = fs::read(format!("{base}/environ")).unwrap_or_default();
        procfs::environ(&environment, b"VALGRIND_LAUNCHER").is_some() && self.is_preloaded(&environment)
    }

    fn is_preloaded(&self, environment: &[u8]) -> bool {
        let library = self.library.as_os_str().as_bytes();
        let preload = procfs::environ(environment, b"LD_PRELOAD");
        preload.is_some_and(|preload| preload.windows(library.len()).any(|part| part == library))
    }

    fn reason(&self, base: &str, exe: &Path) -> String {
        let maps = fs::read(format!("{base}/maps"));
        let library = self.library.as_os_str().as_bytes();
        let loaded = maps.as_ref().is_ok_and(|text| text.windows(library.len()).any(|part| part == library));
        if loaded {
            return "the library is loaded, and could not join the session: another user, or a namespace that has not the \
                    session's directory"
                .to_string();
        }
        match fs::read(format!("{base}/environ")) {
            Err(error) => format!("its environment cannot be read: {error}"),
            Ok(environment) if self.is_preloaded(&environment) => {
                format!("the library could not be loaded into {}", exe.display())
            }
            Ok(_) => "its environment was cleared: LD_PRELOAD was not passed on".to_string(),
        }
    }
}

/// The new files that processes outside of the tree hold, by (device, inode).
pub fn foreign(before: &Tables, after: &Tables, tree: &[u32]) -> Vec<(u64, u64)> {
    let files = |tables: &Tables| -> Vec<(u64, u64)> {
        tables.files.iter().flatten().map(|(_, facts)| (facts.dev, facts.ino)).collect()
    };
    let old = files(before);
    let new: Vec<(u64, u64)> = files(after).into_iter().filter(|file| !old.contains(file)).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let others = pids.filter(|pid| !tree.contains(pid));
    let mut foreign: Vec<(u64, u64)> = others.flat_map(held).filter(|file| new.contains(file)).collect();
    foreign.sort_unstable();
    foreign.dedup();
    foreign
}

/// The files of the shm mount that a process has mapped or open, as far as that can be seen.
fn held(pid: u32) -> Vec<(u64, u64)> {
    let below = |path: &[u8]| path.starts_with(SHM_MOUNT);
    let table = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mapped = procfs::mappings(&table).filter(|mapping| mapping.ino != 0 && below(mapping.path.raw()));
    let mut held: Vec<(u64, u64)> = mapped.map(|mapping| (mapping.st_dev(), mapping.ino)).collect();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|link| below(link.as_os_str().as_bytes())) {
            held.extend(fs::metadata(entry.path()).map(|facts| (facts.dev(), facts.ino())));
        }
    }
    held
}

fn exe(pid: u32) -> Bytes {
    let link = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    Bytes::from(link.as_os_str().as_bytes())
}

/// Whether the process runs another program by now than it was judged by.
fn becomes(judged: &Outsider) -> bool {
    let now = exe(judged.pid);
    !now.bytes().is_empty() && now != judged.exe
}

/// Everybody below `root`, as long as they run.
fn descendants(root: u32) -> Vec<Member> {
    let mut found: Vec<Member> = Vec::new();
    let mut todo = vec![root];
    while let Some(parent) = todo.pop() {
        for pid in children(parent) {
            let text = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
            let Some(stat) = proc_stat(&text) else { continue };
            if found.iter().any(|member| member.pid == pid) {
                continue;
            }
            todo.push(pid);
            if !stat.is_over() {
                found.push(Member { pid, ppid: stat.ppid, session: stat.session, starttime: stat.starttime });
            }
        }
    }
    found
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outsider(pid: u32, exe: Bytes, why: &str) -> Outsider {
        Outsider {
            pid,
            ppid: 1,
            starttime: 1,
            seen: 0,
            uid: None,
            exe,
            args: Vec::new(),
            why: why.to_string(),
            holds: Vec::new(),
            others: 0,
        }
    }

    /// Beyond any pid that there can be.
    const NOBODY: u32 = 1 << 30;

    #[test]
    fn who_becomes_another_program_is_not_judged_by_the_first() {
        let me = std::process::id();
        let judged = |pid: u32, exe: Bytes| becomes(&outsider(pid, exe, "it is statically linked"));
        assert!(judged(me, Bytes::from(&b"/bin/static"[..])) && !judged(me, exe(me)));
        // Who has ended meanwhile was what it was.
        assert!(!judged(NOBODY, Bytes::from(&b"/bin/static"[..])));
    }

    #[test]
    fn those_of_whom_nothing_is_left_are_counted_with_the_first() {
        let mut tree = Tree::new(Path::new("/libshmaudit.so"));
        let outsider = |number: u32, why: &str| Outsider {
            holds: vec![(u64::MAX, u64::from(number))],
            ..outsider(NOBODY + number, Bytes::from(&b"/bin/static"[..]), why)
        };
        tree.outsiders = (0..600).map(|number| outsider(number, "it is statically linked")).collect();
        tree.outsiders.push(outsider(600, "another reason"));
        tree.outsiders[7].pid = std::process::id();
        tree.members = vec![Member { pid: std::process::id(), ppid: 1, session: 1, starttime: 1 }];
        tree.fold();
        let left: Vec<(u32, u64)> = tree.outsiders.iter().map(|one| (one.pid & !NOBODY, one.others)).collect();
        assert_eq!(left, [(0, 598), (std::process::id(), 0), (600, 0)]);
        tree.fold();
        assert_eq!(tree.outsiders.len(), 3);
        assert_eq!(tree.outsiders.iter().map(|one| one.others + 1).sum::<u64>(), 601);
    }
}
