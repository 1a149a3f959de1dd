//! `fd-at-exit`, `mapping-at-exit`, `attach-at-exit`: what a process still held when it ended by itself.
//!
//! Only what the process itself opened, mapped or attached: what a forked child inherited is its parent's to undo. What
//! a killed or replaced process held is nobody's mistake.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Draft, Kind, Rule, Severity, World, say};
use crate::calls::Call;
use crate::ledger::{Holding, Live, Moment, ObjectIndex, StackId};
use crate::reader::ProcessRecord;
use crate::record::Slot;

/// From so many on from one place, the habit is the matter, not the exit.
const HABIT: u64 = 8;

struct AtExit;

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(AtExit)
}

/// Everything of a kind that one place in the program left.
struct Left {
    first: Moment,
    object: ObjectIndex,
    same: bool,
    what: Option<String>,
    count: u64,
    bytes: u64,
    processes: Vec<(Slot, u32)>,
    unconfirmed: bool,
}

/// Kind, call, stack and whether the audit was paused; without a stack also the object.
type Place = (Kind, Call, StackId, bool, Option<ObjectIndex>);
type Places = BTreeMap<Place, Left>;

impl Rule for AtExit {
    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        let world: &World = world;
        let mut places = Places::new();
        for process in world.ledger.processes() {
            if !world.ended_normally(process) || !world.speaks_for(process.slot, process.pid) {
                continue;
            }
            if let Some(live) = world.ledger.live(process.slot, process.pid) {
                descriptors(world, process, live, &mut places);
                addresses(world, process, live, &mut places);
            }
        }
        findings.extend(places.into_iter().map(|((kind, ..), left)| say(world, kind, left)));
    }
}

fn own(process: &ProcessRecord, made: Moment) -> bool {
    (made.process, made.pid) == (process.slot, process.pid)
}

fn descriptors(world: &World, process: &ProcessRecord, live: &Live, places: &mut Places) {
    for (&fd, open) in live.fds.iter().filter(|(_, open)| own(process, open.made)) {
        let Some(object) = world.ledger.object(open.object) else { continue };
        let mut bytes = world.fate(open.object).size;
        match world.confirms_fd(process.slot, process.pid, object, fd) {
            Some(None) => continue,
            Some(Some(facts)) => bytes = facts.size,
            None => {}
        }
        let left = leave(world, places, Kind::FdAtExit, process, open.made, open.object, bytes);
        left.what.get_or_insert_with(|| format!("descriptor {fd}"));
    }
}

fn addresses(world: &World, process: &ProcessRecord, live: &Live, places: &mut Places) {
    // Pieces of one mapping count once.
    let mut holdings: BTreeMap<usize, (&Holding, u64)> = BTreeMap::new();
    for (start, piece) in live.ranges.iter().filter(|(_, piece)| own(process, piece.of.made)) {
        let Some(object) = world.ledger.object(piece.of.object) else { continue };
        if world.confirms_mapping(process.slot, process.pid, object, start, piece.end) == Some(false) {
            continue;
        }
        let (_, bytes) = holdings.entry(Rc::as_ptr(&piece.of) as usize).or_insert((&piece.of, 0));
        *bytes = bytes.saturating_add(piece.end - start);
    }
    for (holding, bytes) in holdings.into_values() {
        let whole = bytes == world.ledger.page().end_of(0, holding.asked);
        let (kind, asked) = match holding.attachment {
            true => (Kind::AttachAtExit, world.fate(holding.object).size),
            false => (Kind::MappingAtExit, holding.asked),
        };
        leave(world, places, kind, process, holding.made, holding.object, if whole { asked } else { bytes });
    }
}

fn leave<'p>(
    world: &World,
    places: &'p mut Places,
    kind: Kind,
    process: &ProcessRecord,
    made: Moment,
    object: ObjectIndex,
    bytes: u64,
) -> &'p mut Left {
    let otherwise = if made.stack == StackId::EMPTY { Some(object) } else { None };
    let place = (kind, made.call, made.stack, made.paused, otherwise);
    let left = places.entry(place).or_insert_with(|| Left {
        first: made,
        object,
        same: true,
        what: None,
        count: 0,
        bytes: 0,
        processes: Vec::new(),
        unconfirmed: match kind {
            Kind::FdAtExit => world.fds_unreadable(process.slot, process.pid),
            _ => world.maps_unreadable(process.slot, process.pid),
        },
    });
    left.same &= left.object == object;
    if made.order < left.first.order {
        // By their order, which is the same in every run, and not by addresses.
        (left.first, left.object) = (made, object);
    }
    left.count += 1;
    left.bytes = left.bytes.saturating_add(bytes);
    let who = (process.slot, process.pid);
    if left.processes.last() != Some(&who) {
        left.processes.push(who);
    }
    left
}

fn say(world: &World, kind: Kind, left: Left) -> Draft {
    let object = match world.ledger.object(left.object) {
        Some(object) if left.same => say::label(object),
        Some(object) => format!("{} and others", say::label(object)),
        None => String::new(),
    };
    let who = match left.processes.as_slice() {
        [(slot, pid)] => format!("{} exited", say::process(world.ledger, *slot, *pid)),
        all => format!("{} processes exited", all.len()),
    };
    let one = left.count == 1;
    let (what, was) = match (kind, left.what) {
        (Kind::FdAtExit, Some(what)) if one => (format!("{what} of {object}"), "open"),
        (Kind::FdAtExit, _) => (format!("{} of {object}", say::number(left.count, "descriptor")), "open"),
        (Kind::MappingAtExit, _) => (format!("{} of {object}", say::number(left.count, "mapping")), "there"),
        _ => (format!("{} of {object}", say::number(left.count, "attachment")), "there"),
    };
    let unconfirmed = if left.unconfirmed { " (not confirmed: /proc/self could not be read)" } else { "" };
    let message = format!(
        "{what}, {}{}, {} still {was} when {who}{unconfirmed}.",
        say::size(left.bytes),
        if one { "" } else { " in all" },
        if one { "was" } else { "were" },
    );
    Draft {
        severity: if left.count >= HABIT { Severity::Warning } else { Severity::Note },
        object: Some(left.object),
        count: left.count,
        bytes: left.bytes,
        event: Some(left.first),
        ..Draft::new(kind, message)
    }
}
