//! What rules ask of the system around the objects: limits, other people's segments, names of processes.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use super::{Table, World};
use crate::findings::say;
use crate::kernel::{Resource, Setting, Space};
use crate::procfs::Segment;
use crate::record::{ObjectId, Slot};

impl World<'_> {
    /// A number under /proc/sys.
    pub fn setting(&mut self, setting: Setting) -> Option<u64> {
        let kernel = &mut *self.kernel;
        *self.settings.get_mut(setting as usize)?.get_or_insert_with(|| kernel.setting(setting))
    }

    /// What there is room for under the shm mount.
    pub fn space(&mut self) -> Option<Space> {
        let kernel = &mut *self.kernel;
        *self.space.get_or_insert_with(|| kernel.space())
    }

    /// The soft limit of an audited process, as long as it runs.
    pub fn limit(&mut self, slot: Slot, pid: u32, resource: Resource) -> Option<u64> {
        let runs = self.is_me(slot, pid) || self.living.contains(&(slot, pid));
        if runs { self.kernel.limit(pid, resource) } else { None }
    }

    /// Whether the process that concludes has waited for children, which may be others than those that are known.
    pub fn had_children(&mut self) -> bool {
        self.me.is_some_and(|me| self.kernel.had_children(me.pid).unwrap_or(true))
    }

    /// Whether it is one of the audited processes that concludes, and not somebody who sees the whole session.
    pub fn is_from_within(&self) -> bool {
        self.me.is_some()
    }

    /// Whether the process that concludes is about to end.
    pub fn is_at_end(&self) -> bool {
        self.me.is_some_and(|me| me.exiting)
    }

    /// Whether the segments' table of the recorder's namespace was readable.
    pub fn knows_segments(&self) -> bool {
        self.table(0).is_some()
    }

    fn table(&self, space: u64) -> Option<&BTreeMap<i32, Segment>> {
        self.tables.get(&space)?.segments()
    }

    /// Somebody who is in another IPC namespace, as far as anybody was found there.
    pub fn somebody_in(&self, space: u64) -> Option<u32> {
        match self.tables.get(&space)? {
            &Table::Open { process, .. } if process != 0 => Some(process),
            _ => None,
        }
    }

    /// The segments of the recorder's namespace that are there now.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.table(0).into_iter().flat_map(BTreeMap::values)
    }

    /// The segment that `key` leads to now.
    pub fn segment_of_key(&self, key: i32) -> Option<&Segment> {
        self.segments().find(|segment| segment.key == key && key != 0 && !segment.is_dest())
    }

    /// The segment as it is now.
    pub fn segment(&self, id: ObjectId) -> Option<&Segment> {
        self.table(id.dev)?.get(&id.shmid())
    }

    /// A process that need not be audited: `process 77 (postgres)`, `process 77, which has ended`.
    pub fn outsider(&mut self, pid: u32) -> String {
        self.named(pid).unwrap_or_else(|| format!("process {pid}, which has ended"))
    }

    /// The same of one that is known to run.
    pub fn runner(&mut self, pid: u32) -> String {
        self.named(pid).unwrap_or_else(|| format!("process {pid}"))
    }

    fn named(&mut self, pid: u32) -> Option<String> {
        let name = self.kernel.program(pid)?;
        Some(format!("process {pid} ({})", say::escaped(&name)))
    }
}
