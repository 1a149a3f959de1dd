//! `vanished`: an object of the tree's that is gone, and nobody of the tree removed it.
//!
//! This is said only where every removal by the tree would be known: not by a process that has started programs with an
//! audit of their own, not of another mount, not where records are lost.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::removed::is_refused_by_id;
use super::sites::Sites;
use super::{Draft, Kind, Presence, Rule, World, say};
use crate::calls::Call;
use crate::kernel::Setting;
use crate::layout::process::{END_EXEC, END_EXIT};
use crate::layout::{hash_name, hash_shmid};
use crate::ledger::{Ledger, Moment, Object, ObjectIndex, name_of, name_under_mount};
use crate::reader::ProcessRecord;
use crate::record::{Event, Family, State};

const ENOENT: i32 = 2;
const IPC_RMID: u64 = 0;
/// Calls of several processes that came back so close to each other may have happened in any order.
const AT_ONCE_NS: u64 = 5_000_000;
const IPC_64: u64 = 0x100;

#[derive(Default)]
struct Vanished {
    /// The call that did not find it first.
    missed: Sites<Moment>,
    /// Names and ids, by their hashes, that were removed before their maker's record was written.
    removed: Sites<()>,
    /// When the last removal of a name, by its hash, came back, in nanoseconds since 1970: it may have taken what was made
    /// while it was under way.
    unlinked: Sites<u64>,
    spawned: bool,
    renamed: bool,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(Vanished::default())
}

impl Rule for Vanished {
    fn watches(&self) -> &'static [Call] {
        use Call::{Open, Openat, PosixSpawn, PosixSpawnp, ShmOpen, ShmUnlink, Shmat, Shmctl, Unlink, Unlinkat};
        use Call::{Rename, Renameat, Renameat2};
        &[
            ShmOpen,
            Open,
            Openat,
            Shmat,
            Shmctl,
            ShmUnlink,
            Unlink,
            Unlinkat,
            PosixSpawn,
            PosixSpawnp,
            Rename,
            Renameat,
            Renameat2,
        ]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        match event.call {
            Call::ShmOpen | Call::Open | Call::Openat if event.errno == ENOENT => {
                let object = name_of(event).and_then(|name| ledger.object_named(name));
                self.miss(ledger, event, object);
            }
            Call::Shmat | Call::Shmctl if is_refused_by_id(ledger, event) => self.miss(ledger, event, object),
            Call::ShmUnlink | Call::Unlink | Call::Unlinkat if event.errno == 0 && object.is_none() => {
                if let Some(name) = name_of(event) {
                    self.removed.at(hash_name(name), || ());
                }
            }
            Call::ShmUnlink | Call::Unlink | Call::Unlinkat if event.errno == 0 => {
                if let Some(name) = name_of(event)
                    && let Some(last) = self.unlinked.at(hash_name(name), || 0)
                {
                    *last = event.ended().max(*last);
                }
            }
            Call::Shmctl
                if event.errno == 0
                    && event.arg(1) & !IPC_64 == IPC_RMID
                    && object.is_none()
                    && event.object.dev == 0 =>
            {
                self.removed.at(hash_shmid(event.object.shmid()), || ());
            }
            // A rename is noted after it: what others did to either name at that moment may stand before or behind it.
            Call::Rename | Call::Renameat | Call::Renameat2 if event.errno == 0 => {
                for name in event.data.splitn(2, |&byte| byte == 0).filter_map(name_under_mount) {
                    self.removed.at(hash_name(name), || ());
                }
                self.renamed = true;
            }
            Call::PosixSpawn | Call::PosixSpawnp if event.state == State::Done && event.errno == 0 => {
                self.spawned = true;
            }
            _ => {}
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        if !self.knows_removals(world) {
            return;
        }
        // Who was killed when it had renamed an object over another, and not noted that.
        let killed = |process: &ProcessRecord| !matches!(process.end, END_EXIT | END_EXEC) && !world.runs(process);
        let unnoted = self.renamed && world.ledger.processes().iter().any(killed);
        let mount = world.space().map(|space| space.dev);
        let ledger = world.ledger;
        let since = ledger.since();
        for (index, object) in ledger.objects() {
            let open = object.removed.is_none() && object.removing.is_none();
            let fate = world.fate(index);
            if !open || !object.certain || fate.presence != Presence::Gone || fate.pending {
                continue;
            }
            // The registry has it, but who removed it may have been overwritten.
            if since > 0 && object.created.is_none_or(|created| created.ticks <= since.saturating_add(AT_ONCE_NS)) {
                continue;
            }
            let told = match object.id.family {
                // A name in a directory is removed with the directory, and that by relative names as a rule.
                Family::Posix => {
                    let by_shm_open = object.created.is_some_and(|created| created.call == Call::ShmOpen);
                    let name = object.name.as_deref().filter(|name| !name.contains(&b'/'));
                    by_shm_open
                        && !unnoted
                        && name.is_some_and(|name| self.removed.get(hash_name(name)).is_none())
                        && !name.is_some_and(|name| self.was_being_removed(name, object.created))
                        && mount == Some(object.id.dev)
                }
                // Other namespaces take their segments along.
                Family::Sysv if object.id.dev != 0 => false,
                Family::Sysv => world.knows_segments() && self.removed.get(hash_shmid(object.id.shmid())).is_none(),
                _ => false,
            };
            if let Some(created) = object.created.filter(|_| told) {
                findings.push(self.say(world, index, object, created));
            }
        }
    }
}

impl Vanished {
    /// Whether the object was made while another of its name was being removed.
    fn was_being_removed(&self, name: &[u8], created: Option<Moment>) -> bool {
        let last = self.unlinked.get(hash_name(name)).copied();
        last.zip(created).is_some_and(|(last, created)| last.saturating_add(AT_ONCE_NS) >= created.ticks)
    }

    fn miss(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        let there = |index: &ObjectIndex| ledger.object(*index).is_some_and(|object| object.removed.is_none());
        let Some(index) = object.filter(there) else { return };
        let moment = ledger.moment(event);
        self.missed.at(index.get() as u64, || moment);
    }

    /// Whether a removal by the tree would be in the records.
    fn knows_removals(&self, world: &mut World) -> bool {
        if !world.is_settled() || !world.is_timely() || world.ledger.lost() > 0 {
            return false;
        }
        if !world.is_from_within() {
            return true;
        }
        // A program that a process became or started has an audit of its own, or none.
        let replaced = world.ledger.processes().iter().any(|process| process.end == END_EXEC);
        !replaced && !self.spawned && !world.ledger.overwritten() && !world.had_children()
    }

    fn say(&self, world: &mut World, index: ObjectIndex, object: &Object, created: Moment) -> Draft {
        let sysv = object.id.family == Family::Sysv;
        let forced = sysv && world.setting(Setting::ShmRmidForced) == Some(1);
        let missed = self.missed.get(index.get() as u64).copied();
        let by = match forced {
            true => format!("the kernel did, as {} is 1 and nobody had it attached", Setting::ShmRmidForced.name()),
            false => "somebody else did".into(),
        };
        let since = missed.map_or_else(String::new, |missed| format!(" before {} looked for it", missed.call.name()));
        let message = format!(
            "{}{}, made by {}, disappeared{since}: no process of this audit removed it, {by}.",
            if sysv { "System V " } else { "POSIX object " },
            say::label(object),
            say::who(world.ledger, created),
        );
        Draft {
            object: Some(index),
            bytes: object.size.unwrap_or(0),
            event: Some(created),
            related: missed.map(|missed| ("missed", missed)).into_iter().collect(),
            ..Draft::new(Kind::Vanished, message)
        }
    }
}
