//! `bad-detach`: shmdt of an address at which nothing is attached, with who had attached and detached there.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::sites::{Sites, site};
use super::{Draft, Kind, Rule, World, say};
use crate::calls::Call;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix};
use crate::record::{Event, State};

const EINVAL: i32 = 22;

#[derive(Default)]
struct BadDetach {
    places: Sites<Bad>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    case: Case,
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
    fn watches(&self) -> &'static [Call] {
        &[Call::Shmdt]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, _: Option<ObjectIndex>) {
        if event.state != State::Done || event.errno != EINVAL {
            return;
        }
        let moment = ledger.moment(event);
        let address = event.arg(0);
        let live = ledger.live(event.process, event.pid);
        let inside = live.and_then(|live| live.ranges.at(address));
        let past = live.and_then(|live| live.past.get(&address));
        let case = Case::Nothing;
        let mut bad =
            Bad { case, event: moment, address, base: address, object: None, attached: None, gone: None, count: 0 };
        bad.case = match (inside, past) {
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
        let object = bad.object.map_or(0, |object| object.get() as u64 + 1);
        let place = mix(&[site(moment, address), bad.case as u64, object]);
        if let Some(bad) = self.places.at(place, || bad) {
            bad.count += 1;
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for bad in self.places.iter() {
            if world.speaks_for(bad.event.process, bad.event.pid) {
                findings.push(say(world, bad));
            }
        }
    }
}

fn say(world: &World, bad: &Bad) -> Draft {
    let object = bad.object.and_then(|index| world.ledger.object(index)).map(say::label).unwrap_or_default();
    let why = match (bad.case, bad.gone) {
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
    let message = format!(
        "shmdt({:#x}) failed{} in {}: {why}.",
        bad.address,
        say::times(bad.count),
        say::who(world.ledger, bad.event)
    );
    let mut related = Vec::new();
    related.extend(bad.gone.map(|gone| ("detached", gone)));
    related
        .extend(bad.attached.map(|attached| (if bad.case == Case::Mapping { "mapped" } else { "attached" }, attached)));
    Draft {
        object: bad.object,
        count: bad.count,
        event: Some(bad.event),
        related,
        ..Draft::new(Kind::BadDetach, message)
    }
}
