//! `use-after-remove`: a call that failed because this tree had removed what it is about, with who removed it.
//!
//! A name or key that comes back makes an earlier miss no mistake: somebody waited for it, or cleaned up before making it.
//! Calls from a place that waited once are no mistake either.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::sites::{Sites, routine, site};
use super::{Draft, Kind, Rule, World, say};
use crate::calls::Call;
use crate::layout::hash_name;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix, name_of, name_under_mount};
use crate::record::{Event, Family, State};

const ENOENT: i32 = 2;
const EINVAL: i32 = 22;
const EIDRM: i32 = 43;
const AT_REMOVEDIR: u64 = 0x200;
const IPC_RMID: u64 = 0;
const IPC_64: u64 = 0x100;
const SHM_REMAP: u64 = 0o40000;

/// Labels that are remembered: of what is removed, and of what was missed.
const MOST_LABELS: usize = 1 << 16;

struct Use {
    event: Moment,
    errno: i32,
    object: ObjectIndex,
    /// Whether it was always that one.
    same: bool,
    removed: Moment,
    /// 0 where it turned out to be no mistake.
    count: u64,
}

#[derive(Default)]
struct UseAfterRemove {
    /// Names and keys, by their hashes, and the objects that the tree removed under them last.
    gone: BTreeMap<u64, u32>,
    uses: Sites<Use>,
    /// The places that missed something, by the hash of its name or key.
    missed: BTreeMap<u64, Vec<u64>>,
    /// Routines that wait for names and keys.
    waiting: Sites<()>,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(UseAfterRemove::default())
}

/// Whether a failed `shmat` or `shmctl` says that its shmid means nothing, and not that another argument is wrong.
pub(super) fn is_refused_by_id(ledger: &Ledger, event: &Event) -> bool {
    matches!(event.errno, EINVAL | EIDRM)
        && match event.call {
            // At an address that cannot be, it is refused whatever the segment is.
            Call::Shmat => event.arg(1).is_multiple_of(ledger.page().bytes()) && event.arg(2) & SHM_REMAP == 0,
            // IPC_RMID, IPC_SET, IPC_STAT, SHM_LOCK, SHM_UNLOCK.
            Call::Shmctl => matches!(event.arg(1) & !IPC_64, 0..=2 | 11 | 12),
            _ => false,
        }
}

/// The key that a `shmget` asks by, as [`hash_name`] makes them of names.
fn hash_key(key: i32, space: u64) -> u64 {
    mix(&[u64::from(key as u32), space])
}

impl Rule for UseAfterRemove {
    fn watches(&self) -> &'static [Call] {
        use Call::{Creat, Open, Openat, Rename, Renameat, Renameat2, ShmOpen, ShmUnlink, Shmat, Shmctl, Shmget};
        use Call::{Unlink, Unlinkat};
        &[ShmOpen, Open, Openat, Creat, ShmUnlink, Unlink, Unlinkat, Rename, Renameat, Renameat2, Shmget, Shmat, Shmctl]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        if event.state != State::Done {
            return;
        }
        let space = ledger.space(event.process, event.pid);
        match event.call {
            Call::ShmOpen | Call::Open | Call::Openat | Call::Creat => match (name_of(event), event.errno) {
                (Some(name), 0) => self.came_back(hash_name(name)),
                (Some(name), ENOENT) => self.miss(ledger, event, hash_name(name)),
                _ => {}
            },
            Call::ShmUnlink | Call::Unlink | Call::Unlinkat if event.arg(1) & AT_REMOVEDIR == 0 => {
                match (name_of(event), event.errno) {
                    (Some(name), 0) => self.remove(hash_name(name), object),
                    (Some(name), ENOENT) => self.miss(ledger, event, hash_name(name)),
                    _ => {}
                }
            }
            Call::Shmget => match (event.arg(0) as u32 as i32, event.errno) {
                (0, _) => {}
                (key, 0) => self.came_back(hash_key(key, space)),
                (key, ENOENT) => self.miss(ledger, event, hash_key(key, space)),
                _ => {}
            },
            Call::Shmctl if event.errno == 0 && event.arg(1) & !IPC_64 == IPC_RMID => {
                let key = object.and_then(|index| ledger.object(index)?.key).filter(|&key| key != 0);
                if let Some(key) = key.filter(|&key| ledger.object_keyed(space, key) == object) {
                    self.remove(hash_key(key, space), object);
                }
            }
            Call::Shmctl | Call::Shmat if is_refused_by_id(ledger, event) && event.object.family == Family::Sysv => {
                // An id is not given again for a long time.
                self.note(ledger, event, object);
            }
            Call::Rename | Call::Renameat | Call::Renameat2 if event.errno == 0 => {
                let new = event.data.splitn(2, |&byte| byte == 0).nth(1);
                if let Some(name) = new.and_then(name_under_mount) {
                    self.came_back(hash_name(name));
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for used in self.uses.iter().filter(|used| used.count > 0) {
            if world.speaks_for(used.event.process, used.event.pid) {
                findings.push(say(world, used));
            }
        }
    }
}

impl UseAfterRemove {
    fn remove(&mut self, label: u64, object: Option<ObjectIndex>) {
        let Some(object) = object else { return };
        if self.gone.len() >= MOST_LABELS {
            self.gone.pop_first();
        }
        self.gone.insert(label, object.get() as u32);
    }

    /// What is asked for by `label` exists again: who missed it had waited, or had made sure.
    fn came_back(&mut self, label: u64) {
        if self.gone.is_empty() || self.gone.remove(&label).is_none() {
            return;
        }
        for place in self.missed.remove(&label).into_iter().flatten() {
            if let Some(used) = self.uses.get_mut(place) {
                used.count = 0;
                self.waiting.at(routine(used.event), || ());
            }
        }
    }

    /// A call that asked by a name or key, and there was nothing.
    fn miss(&mut self, ledger: &mut Ledger, event: &Event, label: u64) {
        let Some(&object) = self.gone.get(&label) else { return };
        if self.waiting.get(routine(ledger.moment(event))).is_some() {
            return;
        }
        let Some(place) = self.note(ledger, event, Some(ObjectIndex::new(object))) else { return };
        if self.missed.len() < MOST_LABELS {
            let places = self.missed.entry(label).or_default();
            if !places.contains(&place) && places.len() < 64 {
                places.push(place);
            }
        }
    }

    /// A use of an object, if it is one that the tree has removed.
    fn note(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) -> Option<u64> {
        let removed = ledger.object(object?)?.removed?;
        let (object, errno) = (object?, event.errno);
        let event = ledger.moment(event);
        let place = mix(&[site(event, removed.order), removed.stack.number()]);
        let used = self.uses.at(place, || Use { event, errno, object, same: true, removed, count: 0 })?;
        used.same &= used.object == object;
        used.count += 1;
        Some(place)
    }
}

fn say(world: &World, used: &Use) -> Draft {
    let object = world.ledger.object(used.object);
    let again = matches!(used.event.call, Call::ShmUnlink | Call::Unlink | Call::Unlinkat);
    let who = say::who(world.ledger, used.event);
    let (by, itself) = match say::who(world.ledger, used.removed) {
        by if by == who => ("it".into(), " itself"),
        by => (by, ""),
    };
    let message = format!(
        "{} of {}{} failed with {}{} in {who}: {by} had removed {}{itself}{}.",
        used.event.call.name(),
        object.map(say::label).unwrap_or_default(),
        if used.same { "" } else { " and others" },
        say::errno(used.errno),
        say::times(used.count),
        if used.same { "it" } else { "them" },
        if again { " already" } else { "" },
    );
    let created = object.and_then(|object| object.created.filter(|_| object.certain));
    let mut related = alloc::vec![("removed", used.removed)];
    related.extend(created.map(|created| ("created", created)));
    Draft {
        object: Some(used.object),
        count: used.count,
        event: Some(used.event),
        related,
        ..Draft::new(Kind::UseAfterRemove, message)
    }
}
