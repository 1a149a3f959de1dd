//! Stock-taking: the tables are read, and what they say of one thing is put together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::fs::{Mode, OFlags, open};
use shmaudit_core::procfs::{self, Segment};
use shmaudit_core::report::Text;
use shmaudit_core::suppress::Suppressions;

use super::clocks::Clocks;
use super::facts::Facts;
use super::files::{Listing, list};
use super::limits::{self, Totals};
use super::object::{Identity, Kind, Object, State, Times};
use super::places::Places;
use super::processes::{Held, Target, actor, walk};
use super::sessions::Sessions;
use super::sight::{Sight, Unread, sight};
use super::{SECOND, base_name, state, sys};

/// The machine's shared memory at one moment.
#[derive(Debug)]
pub struct Inventory {
    /// The moment.
    pub clocks: Clocks,
    /// Where shared memory is.
    pub places: Places,
    /// All that was seen, in no order.
    pub objects: Vec<Object>,
    /// How much it is, and may be.
    pub totals: Totals,
    /// What was not seen.
    pub sight: Sight,
}

/// Takes stock. What cannot be read is said in [`Inventory::sight`].
pub fn take(sessions: &dyn Sessions) -> Inventory {
    let clocks = Clocks::read();
    let places = Places::find();
    let (_, swapped) = limits::memory();
    let mut unread = Unread::default();
    // Objects first, then those who hold them: what is let go meanwhile counts as held, not the other way round.
    let table = segments(&mut unread);
    let listings = listings(&places, &mut unread);
    let mut walk = walk(&places, &clocks);
    let mut gathered = Gathered { clocks, swapped, objects: Vec::new() };
    for segment in table.iter().flatten() {
        gathered.segment(segment, walk.held.remove(&Target::Segment { ipc: None, shmid: segment.shmid }));
    }
    // A file may have several names, each of which is listed.
    let mut listed = BTreeSet::new();
    for (kind_of, root, files) in listings {
        for (path, facts) in files {
            let target = Target::File { dev: facts.dev, ino: facts.ino };
            gathered.listed(kind_of(&path), &root, &path, &facts, walk.held.get(&target).cloned());
            listed.insert(target);
        }
    }
    walk.held.retain(|target, _| !listed.contains(target));
    for (target, held) in walk.held {
        gathered.unlisted(target, held, &places);
    }
    let mut objects = gathered.objects;
    let rules = Suppressions::default();
    for object in &mut objects {
        conclude(object, sessions, &rules, &clocks);
    }
    let (shmem, _) = limits::memory();
    let totals = Totals {
        segments: table.as_deref().map(limits::segments),
        mount: limits::mount(&places, &objects),
        huge: limits::huge_pages(),
        shmem,
        swapped,
    };
    let sight = sight(&walk.blind, unread, &places, &objects, &totals);
    Inventory { clocks, places, objects, totals, sight }
}

/// What follows from all that is known of an object.
fn conclude(object: &mut Object, sessions: &dyn Sessions, rules: &Suppressions, clocks: &Clocks) {
    object.made = sessions.know(&object.identity, &object.times);
    if object.creator.is_none()
        && let Some(made) = &object.made
    {
        object.creator = Some(actor(made.pid, made.time, clocks));
    }
    if object.kind == Kind::Posix
        && let Some(name) = &object.name
    {
        object.registry = state::registry(rules, name.bytes());
    }
    (object.state, object.reason) = state::judge(object);
}

fn segments(unread: &mut Unread) -> Option<Vec<Segment>> {
    let Ok(text) = fs::read("/proc/sysvipc/shm") else {
        unread.segments = true;
        return None;
    };
    let mut lines = procfs::segments(&text);
    let table = lines.by_ref().collect();
    unread.lines = lines.skipped() as u64;
    Some(table)
}

/// What a file is by its path below its mount.
type KindOf = fn(&[u8]) -> Kind;
/// A mount: what its files are, where it is, and the files.
type Listed = (KindOf, Vec<u8>, BTreeMap<Vec<u8>, Facts>);

fn listings(places: &Places, unread: &mut Unread) -> Vec<Listed> {
    let mut note = |listing: Listing| {
        unread.closed += listing.closed;
        unread.left_out += listing.left_out;
        listing.files
    };
    let mut all: Vec<Listed> = Vec::new();
    if let Some(place) = &places.shm {
        all.push((kind_in_shm, place.path.clone(), note(list(place))));
    }
    for place in &places.huge {
        all.push((|_| Kind::Hugetlbfs, place.path.clone(), note(list(place))));
    }
    all
}

/// What a file in the shm mount is.
fn kind_in_shm(path: &[u8]) -> Kind {
    if path.contains(&b'/') {
        Kind::File
    } else if path.starts_with(b"sem.") {
        Kind::Semaphore
    } else {
        Kind::Posix
    }
}

/// The name that an object's function takes; of a file the whole path.
fn name_of(kind: Kind, root: &[u8], path: &[u8]) -> Vec<u8> {
    match kind {
        Kind::Semaphore => [b"/", path.strip_prefix(b"sem.").unwrap_or(path)].concat(),
        Kind::Posix => [b"/", path].concat(),
        _ => [root, b"/", path].concat(),
    }
}

/// The objects, as they are put together.
struct Gathered {
    clocks: Clocks,
    swapped: Option<u64>,
    objects: Vec<Object>,
}

/// An object of which nothing is known.
fn blank(kind: Kind, identity: Identity) -> Object {
    Object {
        kind,
        identity,
        name: None,
        path: None,
        key: None,
        namespace: None,
        unlinked: false,
        links: 1,
        huge: Some(false),
        size: 0,
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
        state: State::Unclear,
        reason: String::new(),
        registry: None,
        made: None,
    }
}

impl Gathered {
    fn segment(&mut self, segment: &Segment, held: Option<Held>) {
        let moment = |seconds: u64| (seconds != 0).then(|| seconds.saturating_mul(SECOND));
        // The kernel keeps whole seconds: a process that began within the same one may have been there before.
        let end_of = |seconds: u64| seconds.saturating_add(1).saturating_mul(SECOND).saturating_sub(1);
        let used = segment.atime.max(segment.dtime);
        let last = (segment.lpid != 0).then(|| actor(segment.lpid, end_of(used), &self.clocks));
        let identity = Identity::Segment { shmid: segment.shmid, ctime: segment.ctime, cpid: segment.cpid };
        self.objects.push(Object {
            key: Some(segment.key),
            unlinked: segment.is_dest(),
            // Only an attachment tells what a segment's pages are.
            huge: held.as_ref().map(|held| held.huge),
            size: segment.size,
            resident: Some(segment.rss),
            swap: Some(segment.swap),
            mode: Some(segment.mode()),
            uid: Some(segment.uid),
            gid: Some(segment.gid),
            creator: Some(actor(segment.cpid, end_of(segment.ctime), &self.clocks)),
            last,
            attached: Some(segment.nattch),
            times: Times {
                made: None,
                attached: moment(segment.atime),
                detached: moment(segment.dtime),
                changed: moment(segment.ctime),
                modified: None,
            },
            holders: held.map(|held| held.holders.into_values().collect()).unwrap_or_default(),
            ..blank(Kind::Sysv, identity)
        });
    }

    fn listed(&mut self, kind: Kind, root: &[u8], path: &[u8], facts: &Facts, held: Option<Held>) {
        let whole = [root, b"/", path].concat();
        let huge = kind == Kind::Hugetlbfs;
        let (resident, swap) = self.memory(facts, huge, &whole);
        self.objects.push(Object {
            name: Some(Text::from(&name_of(kind, root, path)[..])),
            path: Some(Text::from(&whole[..])),
            huge: Some(huge),
            resident,
            swap,
            holders: held.map(|held| held.holders.into_values().collect()).unwrap_or_default(),
            ..of_file(kind, facts)
        });
    }

    /// What is held and stands in no table: files without a name, those of other namespaces, and what is only just made.
    fn unlisted(&mut self, target: Target, held: Held, places: &Places) {
        let (dev, ino) = match target {
            Target::Segment { ipc, shmid } => return self.foreign(ipc, shmid, held),
            Target::File { dev, ino } => (dev, ino),
        };
        let root = places.shm.as_ref().map_or(&b"/dev/shm"[..], |place| &place.path);
        let below = held.path.strip_prefix(b"/dev/shm/").unwrap_or(&held.path);
        let kind = match held.memfd {
            true => Kind::Memfd,
            false if places.is_nameless(dev) => Kind::Anonymous,
            false if places.is_mounted_huge(dev) => Kind::Hugetlbfs,
            false => kind_in_shm(below),
        };
        let name = match kind {
            Kind::Memfd => Some(held.path.clone()),
            Kind::Anonymous => anonymous_name(&held.path).map(<[u8]>::to_vec),
            Kind::Hugetlbfs => Some(held.path.clone()),
            _ => Some(name_of(kind, root, below)),
        };
        let facts = held.facts.unwrap_or(Facts {
            dev,
            ino,
            size: held.extent,
            used: 0,
            links: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            times: Times::default(),
        });
        let huge = places.is_nameless_huge(dev) || places.is_mounted_huge(dev);
        let link =
            held.holders.iter().find_map(|(pid, holder)| Some(format!("/proc/{pid}/fd/{}", holder.fds.first()?)));
        let (resident, swap) = self.memory(&facts, huge, link.unwrap_or_default().as_bytes());
        let known = held.facts.is_some();
        self.objects.push(Object {
            name: name.map(|name| Text::from(&name[..])),
            namespace: held.mnt.filter(|_| !places.is_nameless(dev)),
            unlinked: facts.links == 0,
            huge: Some(huge),
            resident: resident.filter(|_| known),
            swap: swap.filter(|_| known),
            mode: known.then_some(facts.mode & 0o7777),
            uid: known.then_some(facts.uid),
            gid: known.then_some(facts.gid),
            holders: held.holders.into_values().collect(),
            ..of_file(kind, &facts)
        });
    }

    /// A segment of another IPC namespace; or one of ours that was made after the table was read.
    fn foreign(&mut self, ipc: Option<u64>, shmid: i32, held: Held) {
        let Some(namespace) = ipc else { return };
        self.objects.push(Object {
            key: held.key,
            namespace: Some(namespace),
            huge: Some(held.huge),
            size: held.extent,
            holders: held.holders.into_values().collect(),
            ..blank(Kind::Sysv, Identity::Foreign { ipc: namespace, shmid })
        });
    }

    /// Bytes in memory and in swap. The file system tells both together; only while swap is in use is there anything to
    /// tell apart, and then the file must be opened for it.
    fn memory(&self, facts: &Facts, huge: bool, path: &[u8]) -> (Option<u64>, Option<u64>) {
        // Blocks of hugetlbfs are not counted by the file but by its mapping, and are never swapped.
        if huge || self.swapped == Some(0) || facts.used == 0 {
            return (Some(facts.used), Some(0));
        }
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if !path.starts_with(b"/proc/") {
            flags |= OFlags::NOFOLLOW;
        }
        let cached = || {
            let file = open(path, flags, Mode::empty()).ok()?;
            Facts::of_open(&file).ok().filter(|opened| opened.same_file(facts))?;
            sys::cached_pages(&file).ok()?.checked_mul(rustix::param::page_size() as u64)
        };
        match cached() {
            Some(resident) => (Some(resident.min(facts.used)), Some(facts.used.saturating_sub(resident))),
            None => (None, None),
        }
    }
}

fn of_file(kind: Kind, facts: &Facts) -> Object {
    Object {
        links: facts.links,
        size: facts.size,
        mode: Some(facts.mode & 0o7777),
        uid: Some(facts.uid),
        gid: Some(facts.gid),
        times: facts.times,
        ..blank(kind, Identity::File { dev: facts.dev, ino: facts.ino })
    }
}

/// A name that tells more than that there is none: drivers give their buffers some.
fn anonymous_name(path: &[u8]) -> Option<&[u8]> {
    let name = base_name(path);
    (!matches!(name, b"zero" | b"anon_hugepage" | b"")).then_some(name)
}
