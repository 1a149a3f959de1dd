//! `unaudited-process` and `unattributed-leak`: what a supervisor sees of a tree and the records do not tell.
//!
//! An object that no audited call made may also be another program's of the same user. It is this tree's where a process of
//! the tree made it by the kernel's word, was seen to hold it, had it mapped without an open that is known, or is of the
//! same user and was not audited; else the finding is a warning and says so.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Draft, Hint, Kind, Presence, Rule, Severity, Strange, World, say};
use crate::calls::Call;
use crate::kernel::{FileFacts, SHM_MOUNT};
use crate::layout::process::END_EXEC;
use crate::ledger::{Ledger, ObjectIndex};
use crate::procfs::Segment;
use crate::record::{Event, Family, ObjectId, State};
use crate::supervised::{Outsider, Supervised};

/// How an audited process makes what no call of it tells of.
const PAST_US: &str = " by a bare system call, or in a module loaded with RTLD_DEEPBIND, whose calls pass by the audit";

/// How far the clock of file times may lie behind the wall clock.
const SLACK_NS: u64 = 20_000_000;

#[derive(Default)]
struct Outside {
    /// Processes that were spawned, and those that a child which shares its parent's memory became, by their pids: when.
    begun: BTreeMap<u32, u64>,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(Outside::default())
}

impl Rule for Outside {
    fn watches(&self) -> &'static [Call] {
        use Call::{Execv, Execve, Execveat, Execvp, Execvpe, Fexecve, PosixSpawn, PosixSpawnp};
        &[PosixSpawn, PosixSpawnp, Execv, Execve, Execveat, Execvp, Execvpe, Fexecve]
    }

    fn before(&mut self, _: &mut Ledger, event: &Event, _: Option<ObjectIndex>) {
        let pid = match event.call {
            Call::PosixSpawn | Call::PosixSpawnp if event.errno == 0 => event.arg(0),
            Call::PosixSpawn | Call::PosixSpawnp => 0,
            // Of an exec that came back there is no new program.
            _ if event.state == State::Begun => event.args.last().copied().unwrap_or(0),
            _ => 0,
        };
        if let Some(pid) = u32::try_from(pid).ok().filter(|&pid| pid != 0) {
            self.begun.insert(pid, began(event));
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        let Some(supervised) = world.supervised() else { return };
        let unseen = self.unseen(world.ledger, supervised);
        unaudited(supervised, &unseen, findings);
        let mut pids: BTreeSet<u32> = world.ledger.processes().iter().map(|process| process.pid).collect();
        pids.extend(supervised.outsiders.iter().map(|outsider| outsider.pid));
        pids.extend(self.begun.keys());
        findings.extend(segments(world, supervised, &pids, &unseen));
        findings.extend(files(world, supervised));
    }
}

/// When a call began: on a busy machine who was spawned may be at work long before the spawn comes back.
fn began(event: &Event) -> u64 {
    match (event.state, event.took) {
        (State::Begun, _) => event.ticks,
        // Longer than a record can tell.
        (State::Done, u32::MAX) => 0,
        (State::Done, took) => event.ticks.saturating_sub(u64::from(took)),
    }
}

/// A process that ended before it could be looked at.
struct Unseen {
    pid: u32,
    /// The program that it was before, if it was audited as that.
    before: Vec<u8>,
}

impl Outside {
    /// Processes that began another program, of which there is neither a record nor a sight.
    fn unseen(&self, ledger: &Ledger, supervised: &Supervised) -> Vec<Unseen> {
        let after = |pid: u32, time: u64| {
            ledger.processes().iter().any(|process| process.pid == pid && process.end != END_EXEC && process.started >= time)
                || supervised.outsiders.iter().any(|outsider| outsider.pid == pid)
                // An exec chain: who was replaced later was audited in between.
                || ledger.processes().iter().any(|process| process.pid == pid && process.started > time)
        };
        let replaced = ledger.processes().iter().filter(|process| process.end == END_EXEC && process.ended != 0);
        let replaced = replaced.map(|process| (process.pid, process.ended, process.exe.clone()));
        let begun = self.begun.iter().map(|(&pid, &time)| (pid, time.saturating_sub(SLACK_NS), Vec::new()));
        let all: BTreeMap<u32, (u64, Vec<u8>)> =
            begun.chain(replaced).map(|(pid, time, before)| (pid, (time, before))).collect();
        all.into_iter()
            // Whose record was dropped had one.
            .filter(|&(pid, (time, _))| time > ledger.whole_since() && !after(pid, time))
            .map(|(pid, (_, before))| Unseen { pid, before })
            .collect()
    }
}

/// Those of one program and reason are one finding.
fn unaudited(supervised: &Supervised, unseen: &[Unseen], findings: &mut Vec<Draft>) {
    let mut alike: BTreeMap<(&[u8], &str), Vec<&Outsider>> = BTreeMap::new();
    for outsider in &supervised.outsiders {
        alike.entry((&outsider.exe, &outsider.why)).or_default().push(outsider);
    }
    for ((exe, why), outsiders) in alike {
        let Some(first) = outsiders.first() else { continue };
        let all = outsiders.iter().map(|outsider| outsider.others.saturating_add(1)).fold(0, u64::saturating_add);
        let others = all.saturating_sub(1);
        let more = if others == 0 { String::new() } else { format!(" (and {} of it)", say::number(others, "other")) };
        let name = if exe.is_empty() { "of an unknown program".into() } else { format!("({})", say::escaped(exe)) };
        findings.push(Draft {
            count: all,
            process: Some((first.pid, first.exe.clone())),
            ..Draft::new(Kind::UnauditedProcess, format!("process {} {name}{more} was not audited: {why}.", first.pid))
        });
    }
    if let Some(first) = unseen.first() {
        let others = unseen.len().saturating_sub(1) as u64;
        let more = if others == 0 { String::new() } else { format!(" and {}", say::number(others, "other")) };
        let before = match first.before.is_empty() {
            true => String::new(),
            false => format!(", {} before,", say::escaped(say::base_name(&first.before))),
        };
        findings.push(Draft {
            count: unseen.len() as u64,
            process: Some((first.pid, Vec::new())),
            ..Draft::new(
                Kind::UnauditedProcess,
                format!(
                    "process {}{before}{more} began a program that left no record, and ended before it could be looked at: it was not audited, or was killed as it began.",
                    first.pid
                ),
            )
        });
    }
}

/// Segments that are new and that no audited call made.
fn segments(world: &World, supervised: &Supervised, pids: &BTreeSet<u32>, unseen: &[Unseen]) -> Vec<Draft> {
    let anybody = !supervised.outsiders.is_empty() || !unseen.is_empty();
    let Some(before) = &supervised.segments else { return Vec::new() };
    let was = |segment: &&Segment| {
        before.iter().any(|old| (old.shmid, old.cpid, old.key) == (segment.shmid, segment.cpid, segment.key))
    };
    let attributed = |segment: &&Segment| {
        let found = world.ledger.find(ObjectId::sysv(segment.shmid));
        found.is_some_and(|index| world.fate(index).ours && world.fate(index).presence != Presence::Gone)
    };
    let new = world.segments().filter(|segment| !segment.is_dest() && !was(segment) && !attributed(segment));
    new.filter_map(|segment| {
        let certain = segment.cpid != 0 && pids.contains(&segment.cpid);
        let likely = anybody && segment.cuid == supervised.uid && segment.nattch == 0;
        let outsider = supervised.outsiders.iter().find(|outsider| outsider.pid == segment.cpid);
        let audited = world.ledger.processes().iter().rev().find(|process| process.pid == segment.cpid);
        let unseen = unseen.iter().any(|unseen| unseen.pid == segment.cpid);
        let (by, why) = match (segment.cpid, outsider, audited) {
            (0, ..) => ("a process of another pid namespace".into(), ""),
            (pid, Some(outsider), _) if !outsider.exe.is_empty() => {
                (format!("{}[{pid}]", say::escaped(say::base_name(&outsider.exe))), ", which was not audited")
            }
            // What it became is more likely than what it was.
            (_, None, Some(process)) if unseen => {
                (say::process(world.ledger, process.slot, process.pid), ", which became a program that left no record")
            }
            (_, None, Some(process)) => (say::process(world.ledger, process.slot, process.pid), PAST_US),
            (pid, ..) => (format!("process {pid}"), ""),
        };
        let strange = Strange {
            id: ObjectId::sysv(segment.shmid),
            name: None,
            key: Some(segment.key),
            size: segment.size,
            mode: segment.mode(),
        };
        let what = format!(
            "System V segment {} (shmid {}) of {}, made by {by}{why},",
            say::key(segment.key),
            segment.shmid,
            say::size(segment.size)
        );
        let command = format!("ipcrm -m {}", segment.shmid);
        (certain || likely).then(|| draft(certain, what, strange, command))
    })
    .collect()
}

/// Files of the shm mount that are new and that no audited call made.
fn files(world: &World, supervised: &Supervised) -> Vec<Draft> {
    let Some(before) = &supervised.files else { return Vec::new() };
    let identity = |facts: &FileFacts| (facts.dev, facts.ino);
    let was = |facts: &FileFacts| {
        before.contains(&identity(facts)) || facts.born.saturating_add(SLACK_NS) < supervised.started
    };
    let known = |facts: &FileFacts| {
        let id = ObjectId { family: Family::Posix, dev: facts.dev, ino: facts.ino };
        world.ledger.find(id).and_then(|index| world.ledger.object(index))
    };
    let mut drafts = Vec::new();
    for (name, facts) in &supervised.files_after {
        let outsiders = supervised.outsiders.iter();
        let holder = outsiders.clone().find(|outsider| outsider.holds.contains(&identity(facts)));
        let maker = outsiders.clone().find(|outsider| outsider.uid.unwrap_or(supervised.uid) == facts.uid);
        let object = known(facts);
        let attributed = object.is_some_and(|object| object.created.is_some());
        let ours = holder.is_some() || maker.is_some() || facts.uid == supervised.uid;
        if was(facts) || attributed || supervised.foreign.contains(&identity(facts)) || !ours {
            continue;
        }
        // Who has an object without having opened it by a call that is known has opened it by one that is not.
        let opens = [Call::ShmOpen, Call::Open, Call::Openat, Call::Creat];
        let taken = object.is_some_and(|object| !object.calls().iter().any(|(call, _)| opens.contains(call)));
        let by = match holder.or(maker) {
            Some(outsider) if outsider.exe.is_empty() => {
                format!(", as it seems of process {}, which was not audited,", outsider.pid)
            }
            Some(outsider) => {
                let name = say::escaped(say::base_name(&outsider.exe));
                format!(", as it seems of {name}[{}], which was not audited,", outsider.pid)
            }
            None if taken => ", which processes of this tree had,".into(),
            None => String::new(),
        };
        let strange = Strange {
            id: ObjectId { family: Family::Posix, dev: facts.dev, ino: facts.ino },
            name: Some(name.clone()),
            key: None,
            size: facts.size,
            mode: facts.mode & 0o7777,
        };
        let kind = if name.starts_with(b"sem.") { "Named semaphore" } else { "POSIX object" };
        let what = format!("{kind} /{} of {}{by}", say::escaped(name), say::size(facts.size));
        let command = format!("rm -f {}", say::shell_word(&[SHM_MOUNT, name].concat()));
        drafts.push(draft(holder.or(maker).is_some() || taken, what, strange, command));
    }
    drafts
}

fn draft(certain: bool, what: String, strange: Strange, command: String) -> Draft {
    let kind = Kind::UnattributedLeak;
    let message = match certain {
        true => format!("{what} is new and stays: no audited call of this tree made it."),
        false => format!(
            "{what} is new and stays: no audited call made it; a system call of this tree made directly may have, or \
             another program of the same user."
        ),
    };
    Draft {
        severity: if certain { kind.severity() } else { Severity::Warning },
        hint: Hint { advice: kind.hint(), command: Some(command) },
        bytes: strange.size,
        strange: Some(strange),
        ..Draft::new(kind, message)
    }
}
