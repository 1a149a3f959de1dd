//! The ledger: replays records in the order in which the calls took effect, into objects' stories and what each process
//! holds. It knows nothing of the kernel's tables and of findings.
//!
//! Memory is by what lives, not by what happened: a record is read, applied and forgotten; of what stays, call stacks are
//! kept once.

mod ignored;
mod live;
mod making;
mod object;
mod ranges;
mod replay;
mod spaces;
mod stacks;
mod walk;

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::calls::Call;
use crate::layout::bare_name;
use crate::page::Page;
use crate::reader::{ProcessRecord, Words};
use crate::record::{Event, FLAG_CREATED, FLAG_MAYBE_CREATED, Family, ObjectId, Opening, Slot};
use crate::sources::{Sources, is_later};
use ignored::Ignored;
use spaces::Spaces;

pub use live::{Holding, Live, Open, Past};
pub use making::{Makes, Making};
pub use object::{Object, ObjectIndex};
pub use ranges::{Piece, Ranges};
pub(crate) use stacks::mix;
pub use stacks::{Moment, StackId, Stacks};

/// Everything that the records tell.
#[derive(Debug, Default)]
pub struct Ledger {
    objects: Vec<Object>,
    by_id: BTreeMap<ObjectId, ObjectIndex>,
    has_renamed: bool,
    by_name: BTreeMap<Rc<[u8]>, ObjectIndex>,
    /// By namespace and key.
    by_key: BTreeMap<(u64, i32), ObjectIndex>,
    processes: Vec<ProcessRecord>,
    spaces: Spaces,
    /// By the parent's slot and pid, and the child's pid.
    children: BTreeMap<(Slot, u32, u32), Slot>,
    makings: Vec<Making>,
    ignored: Ignored,
    tenants: BTreeMap<Slot, Tenant>,
    stacks: Stacks,
    page: Page,
    copied: usize,
    events: u64,
    lost: u64,
    overwritten: bool,
    since: u64,
    whole_since: u64,
}

/// Who has a slot of the process table, and what it holds. A forked child shares its parent's until one of them changes.
#[derive(Debug)]
struct Tenant {
    pid: u32,
    live: Rc<Live>,
}

/// Descriptors and pieces that are copied for forked children, over all; what comes later begins with nothing.
const MOST_COPIED: usize = 1 << 22;

impl Ledger {
    /// An empty ledger for these processes; `home`: the IPC namespace of whoever made the recorder, 0 where that is not known.
    pub fn new(mut processes: Vec<ProcessRecord>, home: u32) -> Ledger {
        processes.sort_by_key(|process| (process.slot, process.pid));
        processes.dedup_by_key(|process| (process.slot, process.pid));
        let child = |process: &ProcessRecord| Some(((process.parent?, process.ppid, process.pid), process.slot));
        let children = processes.iter().filter_map(child).collect();
        let spaces = Spaces::of(&processes, home);
        Ledger { processes, spaces, children, ..Ledger::default() }
    }

    /// Replays everything that the recorders have. `before` sees each record, the object that it is about as far as that
    /// has been met, and the ledger as it was before it.
    pub fn replay<W: Words + ?Sized>(
        sources: &Sources<W>,
        before: impl FnMut(&mut Ledger, &Event, Option<ObjectIndex>),
    ) -> Ledger {
        Ledger::each(sources, before, |_, _, ()| {})
    }

    /// Replays everything; what `before` makes of a record and the ledger before it, `after` gets with the ledger after it.
    fn each<W: Words + ?Sized, T>(
        sources: &Sources<W>,
        mut before: impl FnMut(&mut Ledger, &Event, Option<ObjectIndex>) -> T,
        mut after: impl FnMut(&Ledger, &Event, T),
    ) -> Ledger {
        let new = Ledger::new(sources.processes(), sources.ipc_namespace());
        let mut ledger = Ledger { page: sources.page(), ..new };
        let losses = sources.events(|event| {
            let event = &ledger.placed(event);
            let known = ledger.known(event);
            let noted = before(&mut ledger, event, known);
            ledger.apply(event, known);
            after(&ledger, event, noted);
        });
        ledger.lost = losses.torn;
        ledger.overwritten = losses.overwritten;
        ledger.since = losses.since;
        ledger.whole_since = sources.whole_since();
        sources.objects(|event| ledger.register(&ledger.placed(event)));
        ledger.mark_ignored();
        ledger
    }

    /// Every object, in the order in which it was first met.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectIndex, &Object)> {
        self.objects.iter().enumerate().map(|(index, object)| (ObjectIndex(index as u32), object))
    }

    /// An object.
    pub fn object(&self, index: ObjectIndex) -> Option<&Object> {
        self.objects.get(index.get())
    }

    /// The object that is known by `id` now.
    pub fn find(&self, id: ObjectId) -> Option<ObjectIndex> {
        self.by_id.get(&id).copied()
    }

    /// Whether a file of the shm mount was given another name.
    pub fn has_renamed(&self) -> bool {
        self.has_renamed
    }

    /// The object that `name`, without leading slashes, leads to now.
    pub fn object_named(&self, name: &[u8]) -> Option<ObjectIndex> {
        self.by_name.get(name).copied()
    }

    /// The segment that `key` leads to now in that [namespace](Ledger::space).
    pub fn object_keyed(&self, space: u64, key: i32) -> Option<ObjectIndex> {
        self.by_key.get(&(space, key)).copied()
    }

    /// The processes that have a record, by slot.
    pub fn processes(&self) -> &[ProcessRecord] {
        &self.processes
    }

    /// The process that had `slot` when its pid was `pid`; a slot goes to another process after its owner's end.
    pub fn process(&self, slot: Slot, pid: u32) -> Option<&ProcessRecord> {
        let found = self.processes.binary_search_by_key(&(slot, pid), |process| (process.slot, process.pid)).ok()?;
        self.processes.get(found)
    }

    /// What that process holds.
    pub fn live(&self, slot: Slot, pid: u32) -> Option<&Live> {
        let tenant = self.tenants.get(&slot)?;
        if tenant.pid == pid { Some(&tenant.live) } else { None }
    }

    /// What each process holds that has not told of its end before `ticks`.
    pub fn running(&self, ticks: u64) -> impl Iterator<Item = (Slot, u32, &Live)> {
        self.tenants.iter().filter_map(move |(&slot, tenant)| {
            let ended = self.process(slot, tenant.pid).map_or(0, |process| process.ended);
            if ended == 0 || ended >= ticks { Some((slot, tenant.pid, &*tenant.live)) } else { None }
        })
    }

    /// Call stacks.
    pub fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    /// What is remembered of `event`.
    pub fn moment(&mut self, event: &Event) -> Moment {
        self.stacks.moment(event)
    }

    /// The machine's pages.
    pub fn page(&self) -> Page {
        self.page
    }

    /// Records that were replayed.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Records known to be lost: torn, or overwritten while they were read.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many records are lost, in all: of those that were overwritten only the counters of calls know how many, if any.
    pub fn lost_of<W: Words + ?Sized>(&self, sources: &Sources<W>) -> u64 {
        if !self.overwritten && sources.miscounted() == 0 {
            return self.lost;
        }
        self.lost.max(sources.all_calls().saturating_sub(self.events)).max(1)
    }

    /// Of processes that began later than this, every record is there: see [`Sources::whole_since`].
    pub fn whole_since(&self) -> u64 {
        self.whole_since
    }

    /// Whether the ring had turned, so that the oldest records are gone.
    pub fn overwritten(&self) -> bool {
        self.overwritten
    }

    /// Where they are: when the oldest record that is there was written, in nanoseconds since 1970; else 0.
    pub fn since(&self) -> u64 {
        self.since
    }

    fn push(&mut self, object: Object) -> ObjectIndex {
        let index = ObjectIndex(u32::try_from(self.objects.len()).unwrap_or(u32::MAX));
        if object.id.family == Family::Sysv || object.id.ino != 0 {
            self.by_id.insert(object.id, index);
        }
        self.objects.push(object);
        index
    }

    fn with(&mut self, index: ObjectIndex, change: impl FnOnce(&mut Object)) {
        if let Some(object) = self.objects.get_mut(index.get()) {
            change(object);
        }
    }

    /// The process that has `slot` now: made anew where another has had it until now.
    fn tenant(&mut self, slot: Slot, pid: u32) -> Option<&mut Tenant> {
        if self.tenants.get(&slot).is_none_or(|tenant| tenant.pid != pid) {
            let live = self.inherited(slot, pid);
            self.tenants.insert(slot, Tenant { pid, live });
        }
        self.tenants.get_mut(&slot)
    }

    /// What that process holds, to be changed.
    fn live_of(&mut self, slot: Slot, pid: u32) -> Option<&mut Live> {
        let copied = self.copied;
        let tenant = self.tenant(slot, pid)?;
        let weight = if Rc::strong_count(&tenant.live) > 1 { tenant.live.weight() } else { 0 };
        if copied.saturating_add(weight) > MOST_COPIED {
            tenant.live = Rc::default();
        }
        self.copied = copied.saturating_add(weight);
        let tenant = self.tenants.get_mut(&slot)?;
        Some(Rc::make_mut(&mut tenant.live))
    }

    /// What a process has from the one that it was forked from.
    fn inherited(&self, slot: Slot, pid: u32) -> Rc<Live> {
        let parent = self.process(slot, pid).and_then(|process| Some((process.parent?, process.ppid)));
        let tenant = parent.and_then(|(parent, ppid)| {
            let tenant = self.tenants.get(&parent)?;
            if tenant.pid == ppid { Some(tenant.live.clone()) } else { None }
        });
        tenant.unwrap_or_default()
    }

    /// The creating record of an object that nobody has removed, or what the program told to ignore: from the registry,
    /// which outlives the ring's turns.
    fn register(&mut self, event: &Event) {
        self.ignored.note(event);
        let certain = event.flags & FLAG_CREATED != 0;
        if !certain && event.flags & FLAG_MAYBE_CREATED == 0 {
            return;
        }
        let Some(index) = self.known(event) else { return self.register_new(event) };
        let Some(object) = self.objects.get(index.get()) else { return };
        let newer = |moment: &Moment| is_later((event.order, event.ticks), (moment.order, moment.ticks));
        match (&object.created, &object.removed) {
            (Some(created), _) if created.order == event.order => {}
            (Some(created), _) if certain && newer(created) && object.certain => self.register_new(event),
            (Some(_), _) if object.certain || !certain => {}
            (_, Some(removed)) if newer(removed) => self.register_new(event),
            (_, Some(_)) => {}
            _ => self.describe(index, event),
        }
    }

    fn register_new(&mut self, event: &Event) {
        let index = self.push(Object::new(event.object));
        self.describe(index, event);
    }

    /// What the call that made an object, or opened it, says of it.
    fn describe(&mut self, index: ObjectIndex, event: &Event) {
        let made = event.flags & (FLAG_CREATED | FLAG_MAYBE_CREATED) != 0;
        let certain = event.flags & FLAG_CREATED != 0;
        let moment = if made { Some(self.stacks.moment(event)) } else { None };
        let name = name_of(event).map(Rc::from);
        if let (Some(name), Family::Posix) = (&name, event.object.family) {
            self.by_name.insert(Rc::clone(name), index);
        }
        if event.call == Call::Shmget && event.arg(0) != 0 {
            self.by_key.insert((event.object.dev, event.arg(0) as u32 as i32), index);
        }
        let opening = Opening::of(event);
        self.with(index, |object| {
            if let Some(name) = name {
                object.name = Some(name);
            }
            if event.call == Call::Shmget {
                object.key = object.key.or(Some(event.arg(0) as u32 as i32));
                object.at_least(event.arg(1));
            }
            if made && (object.created.is_none() || certain && !object.certain) {
                object.created = moment;
                object.certain = certain;
                object.mode = mode_of(event).or(object.mode);
                if event.object.family != Family::Sysv {
                    object.size = object.size.or(Some(0));
                }
            }
            if let Some(opening) = opening {
                object.mode = Some(opening.mode);
                object.owner = Some(opening.owner);
                object.size = Some(opening.size);
            }
        });
    }

    /// The object that a record is about, if it has been met.
    fn known(&self, event: &Event) -> Option<ObjectIndex> {
        let by_name = || self.by_name.get(name_of(event)?).copied();
        match event.object.family {
            Family::Sysv => self.find(event.object),
            Family::Memfd => self.find(event.object),
            Family::Posix if event.object.ino != 0 => self.find(event.object),
            Family::Posix => by_name(),
            Family::None if matches!(event.call, Call::ShmUnlink | Call::Unlink | Call::Unlinkat) => by_name(),
            Family::None => None,
        }
    }
}

/// The name of the object in a record's data, without leading slashes; for paths, what follows the shm mount.
pub fn name_of<'a>(event: &Event<'a>) -> Option<&'a [u8]> {
    match event.call {
        Call::ShmOpen | Call::ShmUnlink => Some(bare_name(event.data)),
        Call::MemfdCreate => Some(event.data),
        Call::Open | Call::Openat | Call::Creat | Call::Unlink | Call::Unlinkat => name_under_mount(event.data),
        _ => None,
    }
}

/// What a path has after the shm mount.
pub(crate) fn name_under_mount(path: &[u8]) -> Option<&[u8]> {
    path.strip_prefix(crate::kernel::SHM_MOUNT).map(bare_name).filter(|name| !name.is_empty())
}

/// Permissions that a creating call asked for.
fn mode_of(event: &Event) -> Option<u32> {
    let mode = match event.call {
        Call::ShmOpen | Call::Open => event.arg(1),
        Call::Openat | Call::Shmget => event.arg(2),
        Call::Creat => event.arg(0),
        Call::MemfdCreate => 0o777,
        _ => return None,
    };
    Some(mode as u32 & 0o7777 & if event.call == Call::Shmget { 0o777 } else { 0o7777 })
}

#[cfg(test)]
mod tests;
