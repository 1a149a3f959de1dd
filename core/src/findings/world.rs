//! The ledger beside the kernel's tables: what exists, whose it is, who still runs.
//!
//! The kernel decides what exists; records say whose it is. Who concludes matters: a process at its own end counts
//! itself as gone, and leaves to its living relatives what they may still remove.

mod fate;
mod system;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::kernel::{FdFacts, Kernel, Setting, Space};
use crate::layout::process::{END_EXEC, END_EXIT, STATE_ENDED};
use crate::ledger::{Ledger, Object, ObjectIndex};
use crate::procfs::mappings;
use crate::reader::ProcessRecord;
use crate::record::{Family, Slot};
use crate::supervised::Supervised;
use fate::{Table, posix_fate, sysv_fate};

/// The process that concludes, where it is one of the audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concluding {
    /// Its slot.
    pub slot: Slot,
    /// Its pid.
    pub pid: u32,
    /// Whether it is at its end; otherwise it asks in the middle of its life.
    pub exiting: bool,
}

/// Whether an object is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It is not.
    #[default]
    Gone,
    /// It is.
    There,
    /// It is, marked for removal (`SHM_DEST`).
    Doomed,
    /// Nobody removed it, and the kernel could not be asked.
    Unknown,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Whether it is there.
    pub presence: Presence,
    /// Whether the audited tree made it.
    pub ours: bool,
    /// Whether a living relative may still remove it.
    pub pending: bool,
    /// Size in bytes, by the kernel or else by the records.
    pub size: u64,
    /// Permissions, by the kernel or else by the records.
    pub mode: Option<u32>,
    /// Attachments of a segment.
    pub attached: u64,
    /// Process of the last attach or detach of a segment, 0 where it is not known.
    pub lpid: u32,
}

/// A shared mapping in the table of the process that concludes.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    start: u64,
    end: u64,
    dev: u64,
    ino: u64,
    shmid: Option<i32>,
}

/// Everything that rules may ask.
pub struct World<'a> {
    /// What the records tell.
    pub ledger: &'a Ledger,
    kernel: &'a mut dyn Kernel,
    me: Option<Concluding>,
    timely: bool,
    supervised: Option<&'a Supervised>,
    fates: Vec<Fate>,
    living: Vec<(Slot, u32)>,
    /// Of the recorder's IPC namespace (0) and others.
    tables: BTreeMap<u64, Table>,
    settings: [Option<Option<u64>>; Setting::FileMax as usize + 1],
    space: Option<Option<Space>>,
    attachers: BTreeMap<u32, Option<BTreeMap<i32, u64>>>,
    my_maps: Option<Vec<Mapped>>,
    my_fds: Option<BTreeMap<i32, FdFacts>>,
}

impl<'a> World<'a> {
    /// Asks the kernel about everything that the ledger knows. `began`: the recorder's start in seconds since 1970.
    pub fn new(ledger: &'a Ledger, kernel: &'a mut dyn Kernel, me: Option<Concluding>, began: u64) -> World<'a> {
        let living = living(ledger.processes(), kernel, me);
        let tables = Table::all(ledger, kernel);
        let asker = kernel.pid_namespace();
        let mut fates: Vec<Fate> = Vec::new();
        for (_, object) in ledger.objects() {
            fates.push(match object.id.family {
                Family::Posix => posix_fate(object, kernel),
                Family::Sysv => {
                    let table = tables.get(&object.id.dev).unwrap_or(&Table::Closed);
                    let renumbered =
                        object.created.is_some_and(|made| ledger.has_other_pid(made.process, made.pid, asker));
                    sysv_fate(object, table, began, renumbered)
                }
                _ => Fate { ours: object.created.is_some(), size: object.size.unwrap_or(0), ..Fate::default() },
            });
        }
        let leaving = me.filter(|me| me.exiting);
        let mut world = World {
            ledger,
            my_maps: leaving.and_then(|me| kernel.maps(me.pid)).map(|text| my_maps(&text)),
            my_fds: leaving
                .and_then(|me| kernel.fds(me.pid))
                .map(|fds| fds.into_iter().map(|fd| (fd.fd, fd)).collect()),
            kernel,
            me,
            timely: true,
            supervised: None,
            fates,
            living,
            tables,
            settings: Default::default(),
            space: None,
            attachers: BTreeMap::new(),
        };
        world.settle();
        world
    }

    /// The kernel is asked some time after the end of what the records tell: what is gone may have gone since.
    pub fn asked_later(self) -> World<'a> {
        World { timely: false, ..self }
    }

    /// With what a supervisor knows.
    pub fn with(self, supervised: Option<&'a Supervised>) -> World<'a> {
        World { supervised, ..self }
    }

    /// What a supervisor knows, where there was one.
    pub fn supervised(&self) -> Option<&'a Supervised> {
        self.supervised
    }

    /// Whether the kernel is asked at the end of what the records tell.
    pub fn is_timely(&self) -> bool {
        self.timely
    }

    /// What became of an object.
    pub fn fate(&self, index: ObjectIndex) -> Fate {
        self.fates.get(index.get()).copied().unwrap_or_default()
    }

    /// The audited processes that still run, the one that concludes not among them.
    pub fn living(&self) -> &[(Slot, u32)] {
        &self.living
    }

    /// Whether a process still runs; the one that concludes does, unless it is at its end.
    pub fn runs(&self, process: &ProcessRecord) -> bool {
        let me = self.me.is_some_and(|me| (me.slot, me.pid) == (process.slot, process.pid) && !me.exiting);
        me || self.living.contains(&(process.slot, process.pid))
    }

    /// Whether this report speaks for what that process did, so that everything is said once. Of a family that shares a
    /// recorder, the first process reports at its end in any case, and the last for all that have not: an unsettled
    /// report is the first's and about itself. The supervisor speaks for all.
    pub fn speaks_for(&self, slot: Slot, pid: u32) -> bool {
        if self.me.is_none() || self.is_me(slot, pid) {
            return true;
        }
        let first = |process: &ProcessRecord| process.parent.is_none() && process.state == STATE_ENDED;
        self.is_settled() && !self.ledger.process(slot, pid).is_some_and(first)
    }

    /// Whether a process has ended by itself, so that what it held was its to give back.
    pub fn ended_normally(&self, process: &ProcessRecord) -> bool {
        match self.me {
            Some(me) if (me.slot, me.pid) == (process.slot, process.pid) => me.exiting,
            _ => process.end == END_EXIT && !self.living.contains(&(process.slot, process.pid)),
        }
    }

    /// Whether it is the process that concludes.
    pub fn is_me(&self, slot: Slot, pid: u32) -> bool {
        self.me.is_some_and(|me| (me.slot, me.pid) == (slot, pid))
    }

    /// Whether the kernel agrees that a process has `object` mapped between two addresses. `None`: it cannot be asked,
    /// because its tables are closed to us or the process has gone.
    pub fn confirms_mapping(&self, slot: Slot, pid: u32, object: &Object, start: u64, end: u64) -> Option<bool> {
        let maps = if self.is_me(slot, pid) { self.my_maps.as_ref()? } else { return None };
        // By address, as the table has it: one that ends after `start` is the first that can hold it.
        let from = maps.partition_point(|mapped| mapped.end <= start);
        let mut candidates = maps.iter().skip(from).take_while(|mapped| mapped.start < end);
        Some(candidates.any(|mapped| match object.id.family {
            Family::Sysv => mapped.shmid == Some(object.id.shmid()),
            _ => object.id.ino == 0 || (mapped.dev, mapped.ino) == (object.id.dev, object.id.ino),
        }))
    }

    /// Whether the kernel agrees that `fd` of a process is `object`, and what it knows of it. `None` as above.
    pub fn confirms_fd(&self, slot: Slot, pid: u32, object: &Object, fd: i32) -> Option<Option<FdFacts>> {
        let fds = if self.is_me(slot, pid) { self.my_fds.as_ref()? } else { return None };
        let same = |facts: &&FdFacts| object.id.ino == 0 || (facts.dev, facts.ino) == (object.id.dev, object.id.ino);
        Some(fds.get(&fd).filter(same).copied())
    }

    /// Whether it is the concluding process whose descriptors are asked for, and they are not readable.
    pub fn fds_unreadable(&self, slot: Slot, pid: u32) -> bool {
        self.is_me(slot, pid) && self.my_fds.is_none()
    }

    /// The same of its mappings.
    pub fn maps_unreadable(&self, slot: Slot, pid: u32) -> bool {
        self.is_me(slot, pid) && self.my_maps.is_none()
    }

    /// Attachments of a segment by the process that concludes, by the kernel or else by the records: they go when it ends.
    pub fn my_attachments(&self, index: ObjectIndex) -> u64 {
        let Some(me) = self.me.filter(|me| me.exiting) else { return 0 };
        let space = self.ledger.space(me.slot, me.pid);
        let object = self.ledger.object(index).filter(|object| object.id.dev == space);
        let shmid = object.map(|object| object.id.shmid());
        let count = match &self.my_maps {
            Some(maps) => maps.iter().filter(|mapped| mapped.shmid.is_some() && mapped.shmid == shmid).count(),
            None => {
                let live = self.ledger.live(me.slot, me.pid);
                live.map_or(0, |live| live.ranges.iter().filter(|(_, piece)| piece.of.object == index).count())
            }
        };
        count as u64
    }

    /// Which of these processes has the segment attached.
    pub fn who_attached(&mut self, shmid: i32, candidates: &[u32]) -> Option<u32> {
        let me = self.me.map(|me| me.pid);
        candidates.iter().copied().filter(|&pid| Some(pid) != me).find(|&pid| {
            let kernel = &mut *self.kernel;
            let table = self.attachers.entry(pid).or_insert_with(|| {
                let mut table = BTreeMap::new();
                for mapping in mappings(&kernel.maps(pid)?) {
                    if let Some(shmid) = mapping.sysv_shmid() {
                        *table.entry(shmid).or_insert(0u64) += 1;
                    }
                }
                Some(table)
            });
            table.as_ref().is_some_and(|table| table.contains_key(&shmid))
        })
    }

    /// Whether the verdict on everything can be spoken here; otherwise living relatives will speak it.
    pub fn is_settled(&self) -> bool {
        self.me.is_none() || self.living.is_empty()
    }

    /// Marks what living relatives may still remove. Of a process that concludes, any living member of its tree is one;
    /// the supervisor, which sees the whole session, waits only for the maker's own line and for who holds the object.
    fn settle(&mut self) {
        if self.living.is_empty() {
            return;
        }
        let (kin, held) = if self.me.is_some() {
            (BTreeSet::new(), BTreeSet::new())
        } else {
            (kin(self.ledger, &self.living), held(self.ledger, &self.living))
        };
        for (index, object) in self.ledger.objects() {
            let maker = object.created.map(|created| (created.process, created.pid));
            let waits = self.me.is_some() || held.contains(&index) || maker.is_some_and(|maker| kin.contains(&maker));
            if let Some(fate) = self.fates.get_mut(index.get()) {
                fate.pending = waits && fate.ours && matches!(fate.presence, Presence::There | Presence::Unknown);
            }
        }
    }
}

fn my_maps(text: &[u8]) -> Vec<Mapped> {
    // The first segment of a namespace has the shmid 0, and that is its inode.
    let all = mappings(text).filter(|mapping| mapping.ino != 0 || mapping.sysv_shmid().is_some());
    all.map(|mapping| Mapped {
        start: mapping.start,
        end: mapping.end,
        dev: mapping.st_dev(),
        ino: mapping.ino,
        shmid: mapping.sysv_shmid(),
    })
    .collect()
}

/// Who of a recorder's processes still runs, the one that concludes not among them. Of two processes that end at once,
/// the one that came to its end later takes the other for gone, so that exactly one of them settles.
pub fn living(processes: &[ProcessRecord], kernel: &mut dyn Kernel, me: Option<Concluding>) -> Vec<(Slot, u32)> {
    let is_me = |process: &ProcessRecord| me.is_some_and(|me| (me.slot, me.pid) == (process.slot, process.pid));
    let my_end = processes.iter().find(|process| is_me(process)).map_or(0, |mine| mine.ended);
    let my_end = if my_end == 0 { u64::MAX } else { my_end };
    let exiting = me.is_some_and(|me| me.exiting);
    let mut living = Vec::new();
    for process in processes {
        let leaving = exiting && process.end == END_EXIT && process.ended != 0;
        let before_me = leaving && (process.ended, process.slot) < (my_end, me.map_or(0, |me| me.slot));
        if is_me(process) || before_me || process.state == STATE_ENDED || process.end == END_EXEC {
            continue;
        }
        if kernel.alive(process.pid, process.starttime, process.started) {
            living.push((process.slot, process.pid));
        }
    }
    living
}

/// Most generations that a line is followed for.
const MOST_GENERATIONS: usize = 64;

/// The living, whom they descend from, and who descends from them.
fn kin(ledger: &Ledger, living: &[(Slot, u32)]) -> BTreeSet<(Slot, u32)> {
    let mut by_pid: BTreeMap<u32, Vec<&ProcessRecord>> = BTreeMap::new();
    for process in ledger.processes() {
        by_pid.entry(process.pid).or_default().push(process);
    }
    let before = |pid: u32, of: &ProcessRecord| {
        let all = by_pid.get(&pid)?.iter().copied();
        all.filter(|other| other.slot != of.slot && other.started <= of.started).max_by_key(|other| other.started)
    };
    let line = |process: &ProcessRecord| {
        let mut line = Vec::new();
        let mut at = Some(process);
        while let Some(now) = at.filter(|_| line.len() < MOST_GENERATIONS) {
            line.push((now.slot, now.pid));
            let forked = now.parent.and_then(|parent| ledger.process(parent, now.ppid));
            let replaced = || before(now.pid, now).filter(|other| other.end == END_EXEC);
            at = forked.or_else(replaced).or_else(|| before(now.ppid, now));
        }
        line
    };
    let living: BTreeSet<(Slot, u32)> = living.iter().copied().collect();
    let mut kin = living.clone();
    for process in ledger.processes() {
        let line = line(process);
        if living.contains(&(process.slot, process.pid)) {
            kin.extend(line);
        } else if line.iter().any(|ancestor| living.contains(ancestor)) {
            kin.insert((process.slot, process.pid));
        }
    }
    kin
}

/// What the living hold.
fn held(ledger: &Ledger, living: &[(Slot, u32)]) -> BTreeSet<ObjectIndex> {
    let mut held = BTreeSet::new();
    for live in living.iter().filter_map(|&(slot, pid)| ledger.live(slot, pid)) {
        held.extend(live.fds.values().map(|open| open.object));
        held.extend(live.ranges.iter().map(|(_, piece)| piece.of.object));
    }
    held
}
