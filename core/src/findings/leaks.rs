//! `posix-leak`, `sysv-leak`, `sysv-pending-destroy`: what stays behind.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Draft, Fate, Hint, Kind, Presence, Rule, World, say};
use crate::kernel::{SHM_MOUNT, Setting};
use crate::layout::process::{END_SIGNAL, END_UNKNOWN};
use crate::ledger::{Moment, Object, ObjectIndex};
use crate::record::Family;
use crate::words;

struct Leaks;

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(Leaks)
}

impl Rule for Leaks {
    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        let ledger = world.ledger;
        // The kernel removes a segment with its maker's end or, if it is attached, with the last detach.
        let forced = world.is_at_end() && world.setting(Setting::ShmRmidForced) == Some(1);
        for (index, object) in ledger.objects().filter(|(_, object)| object.outlives()) {
            let fate = world.fate(index);
            if fate.pending || forced && object.id.family == Family::Sysv {
                continue;
            }
            match (fate.presence, object.created) {
                (Presence::There | Presence::Unknown, Some(created)) if fate.ours => {
                    findings.push(leak(world, index, object, fate, created));
                }
                (Presence::Doomed, _) => findings.extend(kept(world, index, object, fate)),
                _ => {}
            }
        }
    }
}

fn leak(world: &World, index: ObjectIndex, object: &Object, fate: Fate, created: Moment) -> Draft {
    let posix = object.id.family == Family::Posix;
    let (kind, what, undone) = match posix {
        true => (Kind::PosixLeak, "POSIX object ", "unlinked"),
        false => (Kind::SysvLeak, "System V ", "removed"),
    };
    let attached = fate.attached.saturating_sub(world.my_attachments(index));
    let attached = match attached {
        0 => String::new(),
        others => format!(", and has {}", say::number(others, "attachment")),
    };
    let unconfirmed = match (fate.presence, posix) {
        (Presence::Unknown, true) => " (not confirmed: /dev/shm could not be read)",
        (Presence::Unknown, false) if object.id.dev != 0 => {
            " (not confirmed: that namespace is still there, and its segments could not be read)"
        }
        (Presence::Unknown, false) => " (not confirmed: /proc/sysvipc/shm could not be read)",
        _ => "",
    };
    let message = format!(
        "{what}{} of {}, made by {}{}, was never {undone}{attached}{unconfirmed}.",
        say::label(object),
        say::size(fate.size),
        say::who(world.ledger, created),
        killed(world, created),
    );
    Draft {
        hint: Hint { advice: kind.hint(), command: remover(world, object) },
        object: Some(index),
        bytes: fate.size,
        event: Some(created),
        ..Draft::new(kind, message)
    }
}

/// What kept the maker from removing it, ` (killed by SIGABRT)`. A supervisor knows the signals of its children.
fn killed(world: &World, created: Moment) -> String {
    match world.ledger.process(created.process, created.pid) {
        Some(maker) if maker.end == END_SIGNAL => {
            format!(" (killed by {})", say::written(32, |line| words::signal(line, maker.status)))
        }
        Some(maker) if maker.end == END_UNKNOWN && !world.runs(maker) => " (ended without exit)".to_owned(),
        _ => String::new(),
    }
}

/// The command that removes an object.
fn remover(world: &World, object: &Object) -> Option<String> {
    Some(match (object.name.as_deref(), object.id.dev) {
        (Some(name), _) => format!("rm -f {}", say::shell_word(&[SHM_MOUNT, name].concat())),
        (None, 0) => format!("ipcrm -m {}", object.id.shmid()),
        (None, space) => say::remover_elsewhere(world.somebody_in(space)?, object.id.shmid()),
    })
}

/// A segment that is marked for removal and still attached by somebody who stays.
fn kept(world: &mut World, index: ObjectIndex, object: &Object, fate: Fate) -> Option<Draft> {
    // While relatives live, their attachments are as a rule the purpose of the early removal.
    if !world.is_settled() || object.removed.is_none() && !fate.ours {
        return None;
    }
    let others = fate.attached.saturating_sub(world.my_attachments(index));
    if others == 0 {
        return None;
    }
    let ledger = world.ledger;
    let near = |&&(slot, pid): &&(crate::record::Slot, u32)| ledger.space(slot, pid) == object.id.dev;
    let living: Vec<_> = world.living().iter().filter(near).copied().collect();
    let mut candidates: Vec<u32> = living.iter().map(|&(_, pid)| pid).collect();
    candidates.push(fate.lpid);
    let holder = match world.who_attached(object.id.shmid(), &candidates) {
        Some(pid) => match living.iter().find(|&&(_, known)| known == pid) {
            Some(&(slot, pid)) => format!("{}, which still runs,", say::process(world.ledger, slot, pid)),
            // It may be another audit's: under plain preload every program that is executed has one of its own.
            None => format!("{}, which this audit does not cover,", world.runner(pid)),
        },
        None if fate.lpid != 0 => {
            format!("a process that could not be found (process {} attached or detached last)", fate.lpid)
        }
        None => "a process that could not be found".to_owned(),
    };
    let message = format!(
        "System V {} of {} is marked for removal, but {} by {holder} {} it.",
        say::label(object),
        say::size(fate.size),
        say::number(others, "attachment"),
        if others == 1 { "keeps" } else { "keep" },
    );
    Some(Draft {
        object: Some(index),
        bytes: fate.size,
        event: object.removed.or(object.created),
        related: object.removed.and(object.created).map(|created| ("created", created)).into_iter().collect(),
        ..Draft::new(Kind::SysvPendingDestroy, message)
    })
}
