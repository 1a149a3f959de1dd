//! `bad-detach`: shmdt of an address at which nothing is attached, with who had attached and detached there.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Draft, Kind, Rule, World, say};
use crate::calls::Call;
use crate::ledger::{Ledger, Moment, ObjectIndex, StackId};
use crate::record::{Event, Slot, State};

const EINVAL: i32 = 22;
/// Different places that are told apart; more are counted with the last.
const MOST_PLACES: usize = 4096;

#[derive(Default)]
struct BadDetach {
    places: BTreeMap<Place, Bad>,
}

/// Stack and process, and without a stack the address.
type Place = (StackId, Case, Option<ObjectIndex>, Slot, u32, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Case {
    /// Something had been attached there.
    Ended,
    /// It is in the midst of an attachment.
    Inside,
    /// It is in a mapping, which is no attachment.
    Mapping,
    /// Nothing is known of the place.
    Nothing,
}

struct Bad {
    event: Moment,
    address: u64,
    base: u64,
    object: Option<ObjectIndex>,
    attached: Option<Moment>,
    gone: Option<Moment>,
    count: u64,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(BadDetach::default())
}

impl Rule for BadDetach {
    fn before(&mut self, ledger: &mut Ledger, event: &Event) {
        if event.call != Call::Shmdt || event.state != State::Done || event.errno != EINVAL {
            return;
        }
        let moment = ledger.moment(event);
        let address = event.arg(0);
        let live = ledger.live(event.process, event.pid);
        let inside = live.and_then(|live| live.ranges.at(address));
        let past = live.and_then(|live| live.past.get(&address));
        let mut bad = Bad { event: moment, address, base: address, object: None, attached: None, gone: None, count: 0 };
        let case = match (inside, past) {
            (Some((start, piece)), _) => {
                bad.object = Some(piece.of.object);
                bad.attached = Some(piece.of.made);
                bad.base = piece.base;
                match (piece.of.attachment, start) {
                    (true, _) => Case::Inside,
                    (false, _) => Case::Mapping,
                }
            }
            (None, Some(past)) => {
                bad.object = Some(past.holding.object);
                bad.attached = Some(past.holding.made);
                bad.gone = Some(past.gone);
                Case::Ended
            }
            (None, None) => Case::Nothing,
        };
        let at = if moment.stack == StackId::EMPTY { address } else { 0 };
        let place = (moment.stack, case, bad.object, event.process, event.pid, at);
        if self.places.len() < MOST_PLACES || self.places.contains_key(&place) {
            self.places.entry(place).or_insert(bad).count += 1;
        } else if let Some(mut last) = self.places.last_entry() {
            last.get_mut().count += 1;
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for (&(_, case, _, slot, pid, _), bad) in &self.places {
            if world.speaks_for(slot, pid) {
                findings.push(say(world, case, bad));
            }
        }
    }
}

fn say(world: &World, case: Case, bad: &Bad) -> Draft {
    let object = bad.object.and_then(|index| world.ledger.object(index)).map(say::label).unwrap_or_default();
    let times = match bad.count {
        1 => String::new(),
        count => format!(" {count} times"),
    };
    let why = match (case, bad.gone) {
        (Case::Ended, Some(gone)) => {
            format!("{object} had been attached there, and {} had detached it already", gone.call.name())
        }
        (Case::Inside, _) => format!(
            "it is {} into the attachment of {object}, which only its first address, {:#x}, detaches",
            say::size(bad.address.wrapping_sub(bad.base)),
            bad.base,
        ),
        (Case::Mapping, _) => format!("what is mapped there is {object}, which munmap undoes"),
        _ => "nothing is known to have been attached there".into(),
    };
    let message = format!("shmdt({:#x}) failed{times} in {}: {why}.", bad.address, say::who(world.ledger, bad.event));
    let mut related = Vec::new();
    related.extend(bad.gone.map(|gone| ("detached", gone)));
    related.extend(bad.attached.map(|attached| (if case == Case::Mapping { "mapped" } else { "attached" }, attached)));
    Draft {
        object: bad.object,
        count: bad.count,
        event: Some(bad.event),
        related,
        ..Draft::new(Kind::BadDetach, message)
    }
}
