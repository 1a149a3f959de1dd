//! `map-beyond-end`: a mapping that reaches beyond its object's end, from the start or because the object shrank under it.
//!
//! Only the pages beyond the object's last fault, and only until the object grows: what is covered before the mapping ends
//! was mapped first and sized later, which many do. A write(2) can make an object larger without a record, so the size
//! that the kernel tells has the last word wherever it can be asked.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::sites::{Sites, site};
use super::{Draft, Kind, Presence, Rule, World, say};
use crate::calls::Call;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix};
use crate::page::Page;
use crate::record::{Event, Family, ObjectId, Opening, Slot, State, size_when_mapped};

const MAP_ANONYMOUS: u64 = 0x20;
const FALLOC_FL_KEEP_SIZE: u64 = 1;

/// Mappings that reach beyond an end and are watched at a time.
const MOST_WATCHED: usize = 256;
/// Pieces of mappings that are looked at for objects that shrink, over all.
const MOST_LOOKS: u64 = 1 << 24;

/// A mapping that reaches beyond its object's end now.
#[derive(Clone, Copy, Debug)]
struct Beyond {
    id: ObjectId,
    process: Slot,
    pid: u32,
    start: u64,
    made: Moment,
    length: u64,
    /// The byte of the object after the mapping's last.
    reach: u64,
    /// The object's size then.
    size: u64,
    shrunk: Option<Moment>,
    /// Whether the size was seen right then, or comes from an object of the tree's own.
    sure: bool,
}

struct Found {
    first: Beyond,
    object: ObjectIndex,
    count: u64,
    bytes: u64,
}

#[derive(Default)]
struct MapBeyondEnd {
    watched: Vec<Beyond>,
    looks: u64,
    found: Sites<Found>,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(MapBeyondEnd::default())
}

impl Rule for MapBeyondEnd {
    fn watches(&self) -> &'static [Call] {
        use Call::{Creat, Fallocate, Fstat, Ftruncate, Mmap, Open, Openat, PosixFallocate, ShmOpen};
        &[Mmap, Ftruncate, Fallocate, PosixFallocate, Fstat, ShmOpen, Open, Openat, Creat]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        let id = event.object;
        if event.state != State::Done || event.failed() || id.ino == 0 {
            return;
        }
        if !matches!(id.family, Family::Posix | Family::Memfd) {
            return;
        }
        match event.call {
            Call::Mmap => {
                if let Some(size) = size_when_mapped(event) {
                    self.grown(ledger, event, size);
                }
                self.mapped(ledger, event, object);
            }
            Call::Ftruncate => self.sized(ledger, event, object),
            Call::Fallocate if event.arg(1) & FALLOC_FL_KEEP_SIZE == 0 => {
                self.grown(ledger, event, event.arg(2).saturating_add(event.arg(3)));
            }
            Call::PosixFallocate => self.grown(ledger, event, event.arg(1).saturating_add(event.arg(2))),
            Call::Fstat => {
                let size = event.data.get(8..16).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
                self.grown(ledger, event, size.map_or(0, u64::from_le_bytes));
            }
            _ => {
                if let Some(opening) = Opening::of(event) {
                    self.grown(ledger, event, opening.size);
                }
            }
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        let page = world.ledger.page();
        for beyond in core::mem::take(&mut self.watched) {
            let Some(object) = world.ledger.find(beyond.id) else { continue };
            let fate = world.fate(object);
            let known =
                if fate.presence == Presence::There { page.end_of(0, fate.size) < beyond.reach } else { beyond.sure };
            if known {
                self.note(page, object, beyond);
            }
        }
        for found in self.found.iter() {
            let by = found.first.shrunk.unwrap_or(found.first.made);
            if world.speaks_for(by.process, by.pid) {
                findings.push(say(world, found));
            }
        }
    }
}

impl MapBeyondEnd {
    fn mapped(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        // What cannot be touched does not fault.
        if event.arg(3) & MAP_ANONYMOUS != 0 || event.arg(2) == 0 {
            return;
        }
        let object = object.and_then(|index| ledger.object(index));
        let seen = size_when_mapped(event);
        let known = object.and_then(|object| object.size).filter(|&size| size > 0);
        let Some(size) = seen.or(known) else { return };
        let page = ledger.page();
        let reach = page.end_of(event.arg(5), event.arg(1));
        if reach <= page.end_of(0, size) || self.watched.len() >= MOST_WATCHED {
            return;
        }
        let sure = seen.is_some() || object.is_some_and(|object| object.certain);
        let made = ledger.moment(event);
        self.watched.push(Beyond {
            id: event.object,
            process: event.process,
            pid: event.pid,
            start: event.ret as u64,
            made,
            length: event.arg(1),
            reach,
            size,
            shrunk: None,
            sure,
        });
    }

    fn sized(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        let (id, size) = (event.object, event.arg(1));
        let Some(index) = object else { return };
        let before = ledger.object(index).and_then(|object| object.size).unwrap_or(0);
        if size >= before {
            return self.grown(ledger, event, size);
        }
        let page = ledger.page();
        let moment = ledger.moment(event);
        for (process, pid, live) in ledger.running(event.ticks) {
            self.looks = self.looks.saturating_add(live.ranges.len() as u64);
            if self.looks > MOST_LOOKS {
                break;
            }
            for (start, piece) in live.ranges.iter().filter(|(_, piece)| piece.of.object == index) {
                let reach = piece.of.offset.saturating_add(piece.end.wrapping_sub(piece.base));
                // What a forked child has from its parent is its parent's to answer for.
                let own = (piece.of.made.process, piece.of.made.pid) == (process, pid);
                let cut = reach > page.end_of(0, size) && reach <= page.end_of(0, before);
                if own && cut && self.watched.len() < MOST_WATCHED {
                    let (made, length, shrunk) = (piece.of.made, piece.of.asked, Some(moment));
                    let beyond = Beyond { id, process, pid, start, made, length, reach, size, shrunk, sure: true };
                    self.watched.push(beyond);
                }
            }
        }
    }

    /// The object is this large at least: whoever mapped more meanwhile had time to fault, if the mapping is gone.
    fn grown(&mut self, ledger: &Ledger, event: &Event, size: u64) {
        let (id, page) = (event.object, ledger.page());
        let covers = |beyond: &Beyond| beyond.id == id && beyond.reach <= page.end_of(0, size);
        if !self.watched.iter().any(covers) {
            return;
        }
        let (covered, rest): (Vec<Beyond>, Vec<Beyond>) = self.watched.iter().partition(|beyond| covers(beyond));
        self.watched = rest;
        let Some(index) = ledger.find(id) else { return };
        for beyond in covered {
            let process = ledger.process(beyond.process, beyond.pid);
            let ended = process.is_some_and(|process| process.ended != 0 && process.ended < event.ticks);
            let live = ledger.live(beyond.process, beyond.pid).filter(|_| !ended);
            let still = live.and_then(|live| live.ranges.at(beyond.start));
            if still.is_none_or(|(_, piece)| piece.of.made.order != beyond.made.order) && beyond.sure {
                self.note(page, index, beyond);
            }
        }
    }

    fn note(&mut self, page: Page, object: ObjectIndex, beyond: Beyond) {
        let by = beyond.shrunk.unwrap_or(beyond.made);
        let place = mix(&[site(by, by.order), beyond.made.stack.number()]);
        if let Some(found) = self.found.at(place, || Found { first: beyond, object, count: 0, bytes: 0 }) {
            found.count += 1;
            found.bytes = found.bytes.saturating_add(beyond.reach - page.end_of(0, beyond.size).min(beyond.reach));
        }
    }
}

fn say(world: &World, found: &Found) -> Draft {
    let first = &found.first;
    let object = world.ledger.object(found.object);
    let what = object.map(say::label).unwrap_or_default();
    let mapper = say::who(world.ledger, first.made);
    let more = match found.count {
        1 => String::new(),
        count => format!(", and so did {} more from there", count - 1),
    };
    let message = match first.shrunk {
        Some(shrunk) => format!(
            "{} in {} cut {what} to {} under a mapping of {} in {mapper}{more}: what is mapped beyond the end faults (SIGBUS).",
            shrunk.call.name(),
            say::who(world.ledger, shrunk),
            say::size(first.size),
            say::size(first.length),
        ),
        None => {
            let had = match first.size {
                0 => "had no size yet".into(),
                size => format!("had {}", say::size(size)),
            };
            format!(
                "{mapper} mapped {} of {what}, which {had}{more}: what is mapped beyond the end faults (SIGBUS).",
                say::size(first.length),
            )
        }
    };
    let mut related = Vec::new();
    if first.shrunk.is_some() {
        related.push(("mapped", first.made));
    } else if let Some(sized) = object.and_then(|object| object.sized).filter(|sized| sized.order < first.made.order) {
        related.push(("sized", sized));
    }
    related.extend(object.and_then(|object| object.created).map(|created| ("created", created)));
    Draft {
        object: Some(found.object),
        count: found.count,
        bytes: found.bytes,
        event: Some(first.shrunk.unwrap_or(first.made)),
        related,
        ..Draft::new(Kind::MapBeyondEnd, message)
    }
}
