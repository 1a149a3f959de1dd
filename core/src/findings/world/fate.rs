//! What became of an object, by the kernel's tables: of files by their name, of segments by the table of their IPC namespace.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Fate, Presence};
use crate::kernel::{Elsewhere, Kernel, Lookup, Segment};
use crate::ledger::{Ledger, Object};
use crate::record::Family;

/// The segments of an IPC namespace.
#[derive(Debug)]
pub(super) enum Table {
    /// These, by shmid.
    Open {
        /// The segments.
        segments: BTreeMap<i32, Segment>,
        /// Somebody there, where it is another namespace than that of who asks; 0 where nobody was found.
        process: u32,
    },
    /// They cannot be read.
    Closed,
    /// The namespace is gone, and its segments with it.
    Gone,
}

impl Table {
    /// Of the recorder's namespace and of each other that a segment is of, by what [`Ledger::space`] calls them.
    pub(super) fn all(ledger: &Ledger, kernel: &mut dyn Kernel) -> BTreeMap<u64, Table> {
        let here = kernel.ipc_namespace();
        let mut tables = BTreeMap::new();
        let segments = ledger.objects().filter(|(_, object)| object.id.family == Family::Sysv);
        for space in segments.map(|(_, object)| object.id.dev).chain([0]) {
            let namespace = if space == 0 { ledger.home() } else { space as u32 };
            let is_here = if space == 0 { namespace == 0 || here == 0 } else { false } || namespace == here;
            tables
                .entry(space)
                .or_insert_with(|| if is_here { Table::here(kernel) } else { Table::of(namespace, kernel) });
        }
        tables
    }

    fn here(kernel: &mut dyn Kernel) -> Table {
        kernel.segments().map_or(Table::Closed, |segments| Table::Open { segments: by_shmid(segments), process: 0 })
    }

    fn of(namespace: u32, kernel: &mut dyn Kernel) -> Table {
        match kernel.segments_of(namespace) {
            Elsewhere::Open { segments, process } => Table::Open { segments: by_shmid(segments), process },
            Elsewhere::Closed => Table::Closed,
            Elsewhere::Gone => Table::Gone,
        }
    }

    /// The segments, as far as they are known.
    pub(super) fn segments(&self) -> Option<&BTreeMap<i32, Segment>> {
        match self {
            Table::Open { segments, .. } => Some(segments),
            _ => None,
        }
    }
}

fn by_shmid(segments: Vec<Segment>) -> BTreeMap<i32, Segment> {
    segments.into_iter().map(|segment| (segment.shmid, segment)).collect()
}

/// By the file that has its name.
pub(super) fn posix_fate(object: &Object, kernel: &mut dyn Kernel) -> Fate {
    let told =
        Fate { ours: object.created.is_some(), size: object.size.unwrap_or(0), mode: object.mode, ..Fate::default() };
    let Some(name) = object.name.as_deref().filter(|_| object.removed.is_none()) else { return told };
    match kernel.shm_file(name) {
        Lookup::Found(facts) if object.id.ino == 0 || (facts.dev, facts.ino) == (object.id.dev, object.id.ino) => {
            Fate { presence: Presence::There, size: facts.size, mode: Some(facts.mode & 0o7777), ..told }
        }
        Lookup::Unreadable if object.removing.is_none() => Fate { presence: Presence::Unknown, ..told },
        _ => told,
    }
}

/// By the table of the segment's namespace. `began`: the recorder's start in seconds since 1970. `renumbered`: whether the
/// table has its maker under another pid than the records; then the second in which it was made and its size stand for that.
pub(super) fn sysv_fate(object: &Object, table: &Table, began: u64, renumbered: bool) -> Fate {
    let told = Fate { ours: object.certain, size: object.size.unwrap_or(0), mode: object.mode, ..Fate::default() };
    let segments = match table {
        Table::Open { segments, .. } => segments,
        Table::Gone => return told,
        Table::Closed => {
            let open = object.removed.is_none() && object.removing.is_none();
            return Fate { presence: if open { Presence::Unknown } else { Presence::Gone }, ..told };
        }
    };
    let Some(segment) = segments.get(&object.id.shmid()) else { return told };
    let there = Fate {
        presence: if segment.is_dest() { Presence::Doomed } else { Presence::There },
        size: segment.size,
        mode: Some(segment.mode()),
        attached: segment.nattch,
        lpid: segment.lpid,
        ..told
    };
    let same_moment = |made: u64| segment.ctime.abs_diff(made / 1_000_000_000) <= 1;
    let same_maker = object.created.is_some_and(|created| match renumbered {
        true => same_moment(created.ticks) && object.size == Some(segment.size),
        false => created.pid == segment.cpid,
    });
    // A key of 0 is also what a segment has once it is marked; a creator of 0 is of another pid namespace.
    let same_key = segment.is_dest() || object.key.is_none_or(|key| key == segment.key);
    let since = segment.ctime.saturating_add(1) >= began;
    match (object.created, object.certain) {
        // Removed and there without a mark: another that was given the same shmid.
        _ if object.removed.is_some() && !segment.is_dest() => told,
        (None, _) => there,
        (Some(_), true) if same_key && (same_maker || segment.cpid == 0 && since) => there,
        (Some(_), true) => told,
        // It may have been found: the kernel knows who made it.
        (Some(_), false) => Fate { ours: same_maker && same_key && since, ..there },
    }
}
