//! Objects whose makers were killed in the very call that made them: the kernel has them, and no record of theirs has an
//! end. A call that was to make such an object, by the process that the kernel names or of the name it has, made it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::kernel::{Elsewhere, FileFacts, Kernel, Lookup, Segment};
use crate::ledger::{Ledger, Makes, Making};
use crate::record::{Family, ObjectId};

/// The kernel's time stamps are those of its last tick: at most 10 ms (`HZ=100`) behind.
const TICK_NS: u64 = 10_000_000;

/// Gives calls that never came back the objects that they made.
pub fn settle_makings(ledger: &mut Ledger, kernel: &mut dyn Kernel) {
    if ledger.makings().is_empty() {
        return;
    }
    let mut tables: BTreeMap<u64, Vec<Segment>> = BTreeMap::new();
    let files = kernel.shm_files().unwrap_or_default();
    let mut taken = BTreeSet::new();
    for number in 0..ledger.makings().len() {
        let Some(making) = ledger.makings().get(number) else { return };
        let found = match &making.makes {
            Makes::Segment { .. } => {
                let space = ledger.space(making.begun.process, making.begun.pid);
                let segments = tables.entry(space).or_insert_with(|| table(space, kernel));
                let id = |segment: &Segment| ObjectId { dev: space, ..ObjectId::sysv(segment.shmid) };
                let mut unknown = segments.iter().filter(|segment| {
                    !taken.contains(&id(segment)) && !is_known(ledger, id(segment)) && fits(making, segment)
                });
                unknown.next().map(|segment| {
                    taken.insert(id(segment));
                    id(segment)
                })
            }
            Makes::File { name } => match kernel.shm_file(name) {
                Lookup::Found(file) if file.born.saturating_add(TICK_NS) >= making.begun.ticks => {
                    let id = ObjectId { family: Family::Posix, dev: file.dev, ino: file.ino };
                    Some(id).filter(|&id| ledger.find(id).is_none())
                }
                _ => None,
            }
            .or_else(|| renamed_since(ledger, making, &files)),
        };
        if let Some(id) = found {
            ledger.made(number, id);
        }
    }
}

/// The segments of a namespace, as far as they can be read.
fn table(space: u64, kernel: &mut dyn Kernel) -> Vec<Segment> {
    if space == 0 {
        return kernel.segments().unwrap_or_default();
    }
    match kernel.segments_of(space as u32) {
        Elsewhere::Open { segments, .. } => segments,
        _ => Vec::new(),
    }
}

/// How long a call may have been at it when its maker was killed.
const IN_CALL_NS: u64 = 1_000_000_000;

/// A file that nobody made, born when this call was at it: somebody has given it another name since.
fn renamed_since(ledger: &Ledger, making: &Making, files: &[(Vec<u8>, FileFacts)]) -> Option<ObjectId> {
    let begun = making.begun.ticks.saturating_sub(TICK_NS);
    let fits = |facts: &FileFacts| (begun..begun.saturating_add(IN_CALL_NS)).contains(&facts.born);
    let ids = files.iter().filter(|(_, facts)| ledger.has_renamed() && fits(facts));
    let mut ids = ids.map(|(_, file)| ObjectId { family: Family::Posix, dev: file.dev, ino: file.ino });
    ids.find(|&id| ledger.find(id).is_none())
}

/// Names by the kernel's word: a process that was killed when it had renamed or removed an object, and had not yet noted
/// that, leaves its relatives' records behind the truth.
pub fn settle_names(ledger: &mut Ledger, kernel: &mut dyn Kernel) {
    let Some(files) = kernel.shm_files() else { return };
    let mut names: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
    for (name, facts) in files {
        names.entry((facts.dev, facts.ino)).or_default().push(name);
    }
    let mut stale = Vec::new();
    for (index, object) in ledger.objects().filter(|(_, object)| object.id.family == Family::Posix) {
        let Some(there) = names.get(&(object.id.dev, object.id.ino)) else { continue };
        let right = object.removed.is_none() && there.iter().any(|name| object.name.as_deref() == Some(&name[..]));
        if let Some(name) = there.first().filter(|_| !right) {
            stale.push((index, name.clone()));
        }
    }
    for (index, name) in stale {
        ledger.found(index, &name);
    }
}

/// Whether the records know who made it.
fn is_known(ledger: &Ledger, id: ObjectId) -> bool {
    let object = ledger.find(id).and_then(|index| ledger.object(index));
    object.is_some_and(|object| object.created.is_some() && object.certain)
}

/// Whether the segment is what the call was to make.
fn fits(making: &Making, segment: &Segment) -> bool {
    let Makes::Segment { key, size } = making.makes else { return false };
    let since = making.begun.ticks.saturating_sub(TICK_NS) / 1_000_000_000;
    (segment.cpid, segment.key, segment.size) == (making.begun.pid, key, size) && segment.ctime >= since
}
