//! `limit-hit`: a call that failed because something is full, with the limit, its value, and what the tree itself held.

mod huge;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::sites::{Sites, site};
use super::{Draft, Hint, Kind, Rule, Severity, World, say};
use crate::calls::Call::{
    self, Creat, Dup, Dup2, Dup3, Fallocate, Fcntl, Ftruncate, MemfdCreate, Mmap, Mremap, Open, Openat, PosixFallocate,
    ShmOpen, Shmat, Shmctl, Shmget,
};
use crate::kernel::{Resource, Setting, Space};
use crate::layout::process::END_UNKNOWN;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix};
use crate::record::{Event, Family, State};

const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const SHM_LOCK: u64 = 11;

/// Times that what is held is counted.
const MOST_COUNTED: u32 = 64;

/// What is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// Segments, or their pages.
    Segments,
    /// What one segment may have.
    Segment,
    /// Memory for a segment.
    Memory,
    /// Huge pages for a segment, of the system's own size or of another.
    HugePages { another_size: bool },
    /// A process's addresses.
    Addresses,
    /// What may be locked.
    Locked,
    /// A process's descriptors.
    Descriptors,
    /// The system's open files.
    OpenFiles,
    /// Files of the shm mount.
    Files,
    /// Bytes of the shm mount.
    Bytes,
    /// What one file may have.
    FileSize,
}

/// What there was of it already, of this tree.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    count: u64,
    bytes: u64,
    /// A call of the place that holds most.
    most: Option<Moment>,
}

struct Hit {
    event: Moment,
    errno: i32,
    full: Full,
    asked: u64,
    held: Held,
    object: Option<ObjectIndex>,
    count: u64,
}

#[derive(Default)]
struct LimitHit {
    hits: Sites<Hit>,
    counted: u32,
    refused: huge::Refused,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(LimitHit::default())
}

/// Calls that can find something full.
const WATCHED: &[Call] = &[
    Shmget,
    Shmat,
    Shmctl,
    ShmOpen,
    Open,
    Openat,
    Creat,
    MemfdCreate,
    Mmap,
    Mremap,
    Dup,
    Dup2,
    Dup3,
    Fcntl,
    Fallocate,
    PosixFallocate,
    Ftruncate,
];

/// What a failed call says to be full, and how much of it was asked for.
fn full(event: &Event) -> Option<(Full, u64)> {
    let asked = match event.call {
        Shmget | Mmap | Ftruncate => event.arg(1),
        Mremap | PosixFallocate => event.arg(2),
        Fallocate => event.arg(3),
        _ => 0,
    };
    let full = match (event.call, event.errno) {
        (Shmget, ENOSPC) => Full::Segments,
        (Shmget, EINVAL) if asked > 0 => Full::Segment,
        (Shmget, ENOMEM) if huge::asks(event) => Full::HugePages { another_size: huge::of_another_size(event) },
        (Shmget | ShmOpen | Open | Openat | Creat | MemfdCreate | Fallocate | PosixFallocate, ENOMEM) => Full::Memory,
        (Mmap | Mremap | Shmat, ENOMEM) => Full::Addresses,
        (Shmctl, ENOMEM) if event.arg(1) & 0xff == SHM_LOCK => Full::Locked,
        (ShmOpen | Open | Openat | Creat | MemfdCreate | Dup | Dup2 | Dup3 | Fcntl, EMFILE) => Full::Descriptors,
        (ShmOpen | Open | Openat | Creat | MemfdCreate, ENFILE) => Full::OpenFiles,
        (ShmOpen | Open | Openat | Creat, ENOSPC) => Full::Files,
        (Fallocate | PosixFallocate | Ftruncate, ENOSPC) => Full::Bytes,
        (Fallocate | PosixFallocate | Ftruncate, EFBIG) => Full::FileSize,
        _ => return None,
    };
    Some((full, asked))
}

impl Rule for LimitHit {
    fn watches(&self) -> &'static [Call] {
        WATCHED
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        if event.state != State::Done {
            return;
        }
        self.refused.see(event);
        if !event.failed() {
            return;
        }
        let Some((full, asked)) = full(event) else { return };
        // Less than was asked for is another matter: the segment is there.
        let keyed = || ledger.object_keyed(ledger.space(event.process, event.pid), event.arg(0) as u32 as i32);
        if full == Full::Segment && keyed().is_some() {
            return;
        }
        let moment = ledger.moment(event);
        let counted = &mut self.counted;
        let new = || Hit {
            event: moment,
            errno: event.errno,
            full,
            asked,
            held: if *counted < MOST_COUNTED { held(ledger, full, event) } else { Held::default() },
            object,
            count: 0,
        };
        if let Some(hit) = self.hits.at(mix(&[site(moment, 0), event.errno as u64]), new) {
            if hit.count == 0 {
                *counted += 1;
            }
            hit.count += 1;
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for hit in self.hits.iter() {
            if world.speaks_for(hit.event.process, hit.event.pid) {
                let draft = say(world, hit);
                let is_met = matches!(hit.full, Full::HugePages { .. })
                    && self.refused.went_on(hit.event.process, hit.event.pid);
                findings.extend(
                    draft.map(|draft| if is_met { Draft { severity: Severity::Note, ..draft } } else { draft }),
                );
            }
        }
        ended_on_a_full_mount(world, findings);
    }
}

/// What is held of what is full, and by which place most of it.
fn held(ledger: &Ledger, full: Full, event: &Event) -> Held {
    let live = ledger.live(event.process, event.pid);
    let mut sum = Sum::default();
    match full {
        Full::Descriptors => {
            live.into_iter().flat_map(|live| live.fds.values()).for_each(|open| sum.add(Some(open.made), 0, 1));
        }
        Full::Addresses => live.into_iter().flat_map(|live| live.ranges.iter()).for_each(|(start, piece)| {
            sum.add(Some(piece.of.made), piece.end - start, piece.end - start);
        }),
        Full::Segments => objects(ledger, Family::Sysv).for_each(|(made, size)| {
            sum.add(made, ledger.page().end_of(0, size), 1);
        }),
        Full::Files => objects(ledger, Family::Posix).for_each(|(made, size)| sum.add(made, size, 1)),
        Full::Bytes => objects(ledger, Family::Posix).for_each(|(made, size)| sum.add(made, size, size)),
        _ => {}
    }
    sum.held()
}

/// Makers and sizes of the objects that nobody of the tree has removed.
fn objects(ledger: &Ledger, family: Family) -> impl Iterator<Item = (Option<Moment>, u64)> {
    let there = ledger.objects().filter(move |(_, object)| object.id.family == family && object.removed.is_none());
    there.map(|(_, object)| (object.created.filter(|_| object.certain), object.size.unwrap_or(0)))
}

#[derive(Default)]
struct Sum {
    held: Held,
    places: Sites<(u64, Moment)>,
}

impl Sum {
    fn add(&mut self, made: Option<Moment>, bytes: u64, weight: u64) {
        self.held.count += 1;
        self.held.bytes = self.held.bytes.saturating_add(bytes);
        if let Some(made) = made
            && let Some((sum, _)) = self.places.at(made.stack.number(), || (0, made))
        {
            *sum = sum.saturating_add(weight);
        }
    }

    fn held(self) -> Held {
        let most = self.places.iter().max_by_key(|&&(weight, made)| (weight, u64::MAX - made.order));
        Held { most: most.map(|&(_, made)| made), ..self.held }
    }
}

fn say(world: &mut World, hit: &Hit) -> Option<Draft> {
    let why = why(world, hit)?;
    let object = hit.object.and_then(|index| world.ledger.object(index)).map(say::label);
    let of = match (object, hit.asked) {
        (Some(label), 0) => format!(" of {label}"),
        (Some(label), asked) => format!(" of {} of {label}", say::size(asked)),
        (None, 0) => String::new(),
        (None, asked) => format!(" of {}", say::size(asked)),
    };
    let message = format!(
        "{}{of} failed{} with {} in {}: {why}.",
        hit.event.call.name(),
        say::times(hit.count),
        say::errno(hit.errno),
        say::who(world.ledger, hit.event),
    );
    Some(Draft {
        object: hit.object,
        count: hit.count,
        bytes: hit.asked,
        event: Some(hit.event),
        related: hit.held.most.map(|most| ("most held", most)).into_iter().collect(),
        hint: Hint { advice: advice(hit.full), command: None },
        ..Draft::new(Kind::LimitHit, message)
    })
}

/// A page of an object gets its memory when it is touched. Where the mount has none left, the kernel sends SIGBUS: to be seen
/// by a process that ended without a word while it had objects mapped, and by a mount that is still full.
fn ended_on_a_full_mount(world: &mut World, findings: &mut Vec<Draft>) {
    let ledger = world.ledger;
    let full = |space: &Space| space.bytes > 0 && space.free < ledger.page().bytes();
    let Some(space) = world.space().filter(full) else { return };
    for process in ledger.processes() {
        let (slot, pid) = (process.slot, process.pid);
        if process.end != END_UNKNOWN || world.runs(process) || world.is_me(slot, pid) || !world.speaks_for(slot, pid) {
            continue;
        }
        let pieces = ledger.live(slot, pid).into_iter().flat_map(|live| live.ranges.iter());
        let of_mount = pieces.filter_map(|(_, piece)| {
            let object = ledger.object(piece.of.object)?;
            let here = object.id.family == Family::Posix && object.id.dev == space.dev;
            if here { Some((piece.of.asked, piece.of.made, piece.of.object, say::label(object))) } else { None }
        });
        let Some((bytes, made, object, label)) = of_mount.max_by_key(|&(bytes, ..)| bytes) else { continue };
        let message = format!(
            "{} ended without a word while it had {} of {label} mapped, and /dev/shm is full, with {} in all: a touch of a page \
             for which there is no room ends a process with SIGBUS.",
            say::process(ledger, slot, pid),
            say::size(bytes),
            say::size(space.bytes),
        );
        let hint = Hint { advice: TOUCH, command: None };
        let draft = Draft::new(Kind::LimitHit, message);
        findings.push(Draft { object: Some(object), bytes, event: Some(made), hint, ..draft });
    }
}

/// Which limit it was and its value; `None` where it cannot have been one.
fn why(world: &mut World, hit: &Hit) -> Option<String> {
    let held = hit.held;
    let (slot, pid) = (hit.event.process, hit.event.pid);
    Some(match hit.full {
        Full::Segments => segments(world, hit),
        Full::Segment => {
            let most = world.setting(Setting::Shmmax).filter(|&most| hit.asked > most)?;
            format!("{} allows a segment {}", Setting::Shmmax.name(), say::size(most))
        }
        Full::Memory => "the machine had not enough memory, or had promised all that it may promise".into(),
        Full::HugePages { another_size } => huge::why(world, another_size),
        Full::Addresses => {
            let had = match held.count {
                0 => String::new(),
                count => format!("; it had {} of {} mapped then", say::number(count, "piece"), say::size(held.bytes)),
            };
            // Half of what is allowed, for what is mapped besides is not known.
            let most = world.setting(Setting::MaxMapCount);
            match (most.filter(|&most| held.count > most / 2), world.limit(slot, pid, Resource::AddressSpace)) {
                (Some(most), _) => format!("{} allows a process {most} mappings{had}", Setting::MaxMapCount.name()),
                (None, Some(most)) if most != u64::MAX => {
                    format!("RLIMIT_AS allows the process {} of addresses{had}", say::size(most))
                }
                _ => format!("its addresses (RLIMIT_AS), its mappings (vm.max_map_count) or memory had run out{had}"),
            }
        }
        Full::Locked => limited(world.limit(slot, pid, Resource::LockedMemory), Resource::LockedMemory),
        Full::FileSize => limited(world.limit(slot, pid, Resource::FileSize), Resource::FileSize),
        Full::Descriptors => {
            let allows = match world.limit(slot, pid, Resource::OpenFiles) {
                Some(most) => format!("RLIMIT_NOFILE allows the process {}", say::number(most, "descriptor")),
                None => "the process had as many descriptors as RLIMIT_NOFILE allows".into(),
            };
            format!("{allows}, and {} of shared memory", was_were(held.count))
        }
        Full::OpenFiles => match world.setting(Setting::FileMax) {
            Some(most) => format!("{} allows the system {most} open files", Setting::FileMax.name()),
            None => format!("the system had as many open files as {} allows", Setting::FileMax.name()),
        },
        Full::Files => match world.space().filter(|space| space.files > 0) {
            Some(space) => format!(
                "/dev/shm has room for {}, and {} of this tree's",
                say::number(space.files, "file"),
                was_were(held.count)
            ),
            None => "/dev/shm has no room for another file".into(),
        },
        Full::Bytes => match world.space().filter(|space| space.bytes > 0) {
            Some(space) => format!(
                "/dev/shm holds {} in all, of which {} are free now, and this tree's objects had {}",
                say::size(space.bytes),
                say::size(space.free),
                say::size(held.bytes)
            ),
            None => "/dev/shm is full".into(),
        },
    })
}

/// What to do about a page for which there is no room.
const TOUCH: &str = "Reserve the memory with posix_fallocate before it is touched: that fails with ENOSPC and not by a signal. \
                     Free room in /dev/shm (shmaudit ls), or give it more (mount -o remount,size=; a container's --shm-size).";

/// What to do where this is full.
fn advice(full: Full) -> &'static str {
    match full {
        Full::Segments => {
            "Remove the segments that nobody uses (shmaudit ls), or raise kernel.shmmni and kernel.shmall with sysctl."
        }
        Full::Segment => "Ask for less, or raise kernel.shmmax with sysctl.",
        Full::Descriptors => "Close a descriptor when its object is mapped, or raise the limit (ulimit -n).",
        Full::Files | Full::Bytes => {
            "Free room in /dev/shm (shmaudit ls), or give it more (mount -o remount,size=; a container's --shm-size)."
        }
        Full::Addresses => "Unmap what is no longer used, or raise the limit.",
        Full::HugePages { .. } => {
            "Ask without SHM_HUGETLB where it fails, or set pages aside (sysctl vm.nr_hugepages)."
        }
        Full::Memory | Full::Locked | Full::FileSize | Full::OpenFiles => "Ask for less, or raise the limit.",
    }
}

/// `3 were`
fn was_were(count: u64) -> String {
    if count == 1 { "1 was".into() } else { format!("{count} were") }
}

fn limited(most: Option<u64>, resource: Resource) -> String {
    match most {
        Some(most) => format!("{} allows the process {}", resource.name(), say::size(most)),
        None => format!("the process had come to its {}", resource.name()),
    }
}

/// Of the two limits of all segments, the one that was reached, as far as what is there now tells.
fn segments(world: &mut World, hit: &Hit) -> String {
    let page = world.ledger.page();
    let known = |world: &World, shmid: i32| world.ledger.find(crate::record::ObjectId::sysv(shmid)).is_some();
    let others = world.segments().filter(|segment| !known(world, segment.shmid));
    let (number, pages) = others.fold((hit.held.count, hit.held.bytes / page.bytes()), |(number, pages), segment| {
        (number + 1, pages.saturating_add(page.count(segment.size)))
    });
    let (most, most_pages) = (world.setting(Setting::Shmmni), world.setting(Setting::Shmall));
    let asked = page.count(hit.asked);
    let ours = format!("and {} this tree's", was_were(hit.held.count));
    match (most, most_pages) {
        (_, Some(most)) if pages.saturating_add(asked) > most => format!(
            "{} allows all segments {most} pages of {} bytes, {asked} were asked for and {pages} in use",
            Setting::Shmall.name(),
            page.bytes()
        ),
        (Some(most), _) if number >= most => format!("{} allows {most} segments, {ours}", Setting::Shmmni.name()),
        (Some(most), Some(pages)) => format!(
            "{} allows {most} segments and {} {pages} pages for all of them; one was reached, {ours}",
            Setting::Shmmni.name(),
            Setting::Shmall.name()
        ),
        _ => format!(
            "the most segments ({}) or pages of them ({}) were reached, {ours}",
            Setting::Shmmni.name(),
            Setting::Shmall.name()
        ),
    }
}
