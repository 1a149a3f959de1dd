//! Which IPC namespace a process's segments are of: shmids and keys are of one namespace and are the same in others.
//!
//! A segment's identity has the namespace in place of a file's device, and 0 for the namespace of whoever made the recorder,
//! which is nearly always the only one.

use alloc::collections::BTreeMap;

use super::Ledger;
use crate::reader::ProcessRecord;
use crate::record::{Event, Family, ObjectId, Slot};

/// Most generations of forks that a namespace is looked for in.
const MOST_GENERATIONS: usize = 64;

/// The processes of other namespaces than the recorder's.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    home: u32,
    others: BTreeMap<(Slot, u32), u32>,
}

impl Spaces {
    /// Of these processes, sorted by slot and pid; `home` is the recorder's, 0 where that is not known.
    pub(super) fn of(processes: &[ProcessRecord], home: u32) -> Spaces {
        let mut others = BTreeMap::new();
        if home == 0 || processes.iter().all(|process| [0, home].contains(&process.ipc_namespace)) {
            return Spaces { home, others };
        }
        let record = |slot: Slot, pid: u32| {
            let at = processes.binary_search_by_key(&(slot, pid), |process| (process.slot, process.pid)).ok()?;
            processes.get(at)
        };
        for process in processes {
            // A forked child is where its parent was.
            let mut at = Some(process);
            for _ in 0..MOST_GENERATIONS {
                at = match at {
                    Some(process) if process.ipc_namespace == 0 => {
                        process.parent.and_then(|parent| record(parent, process.ppid))
                    }
                    known => known,
                };
            }
            let namespace = at.map_or(0, |process| process.ipc_namespace);
            if namespace != 0 && namespace != home {
                others.insert((process.slot, process.pid), namespace);
            }
        }
        Spaces { home, others }
    }

    fn get(&self, slot: Slot, pid: u32) -> u64 {
        if self.others.is_empty() { 0 } else { self.others.get(&(slot, pid)).copied().map_or(0, u64::from) }
    }
}

impl Ledger {
    /// The recorder's own IPC namespace, by inode number; 0 where it is not known.
    pub fn home(&self) -> u32 {
        self.spaces.home
    }

    /// The IPC namespace that a process is in, by inode number; 0 for the recorder's own.
    pub fn space(&self, slot: Slot, pid: u32) -> u64 {
        self.spaces.get(slot, pid)
    }

    /// Whether a process has another number in the pid namespace `asker` than in its own records: it is of another, or the
    /// first of one that nobody has told of, or forked from such a process.
    pub fn has_other_pid(&self, slot: Slot, pid: u32, asker: u32) -> bool {
        const FIRST: u32 = 1;
        let mut at = self.process(slot, pid);
        for _ in 0..MOST_GENERATIONS {
            match at {
                Some(process) if process.pid_namespace != 0 => return asker != 0 && process.pid_namespace != asker,
                Some(process) if process.pid == FIRST => return true,
                Some(process) => at = process.parent.and_then(|parent| self.process(parent, process.ppid)),
                None => return false,
            }
        }
        false
    }

    /// The event, about a segment of its process's namespace.
    pub(super) fn placed<'e>(&self, event: &Event<'e>) -> Event<'e> {
        match event.object.family {
            Family::Sysv => {
                let dev = self.space(event.process, event.pid);
                Event { object: ObjectId { dev, ..event.object }, ..*event }
            }
            _ => *event,
        }
    }
}
