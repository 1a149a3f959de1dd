//! `no-exclusive-create`: a call that would have made an object met one that nobody of this tree had made.
//!
//! Meeting what the tree itself made is how relatives share an object, and no finding.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::sites::{Sites, site};
use super::{Draft, Kind, Presence, Rule, World, say};
use crate::calls::Call;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix};
use crate::record::{Event, FLAG_CREATED, Family, ObjectId, State};

const O_CREAT: u64 = 0o100;
const O_EXCL: u64 = 0o200;
const IPC_CREAT: u64 = 0o1000;
const IPC_EXCL: u64 = 0o2000;

#[derive(Default)]
struct NoExclusiveCreate {
    met: Sites<Met>,
}

struct Met {
    event: Moment,
    id: ObjectId,
    count: u64,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(NoExclusiveCreate::default())
}

/// Whether a call makes what is not there and takes what is.
fn makes_or_takes(event: &Event) -> bool {
    let posix = |flags: u64| flags & (O_CREAT | O_EXCL) == O_CREAT;
    match event.call {
        Call::ShmOpen | Call::Open => posix(event.arg(0)),
        Call::Openat => posix(event.arg(1)),
        Call::Creat => true,
        Call::Shmget => event.arg(0) != 0 && event.arg(2) & (IPC_CREAT | IPC_EXCL) == IPC_CREAT,
        _ => false,
    }
}

impl Rule for NoExclusiveCreate {
    fn watches(&self) -> &'static [Call] {
        &[Call::ShmOpen, Call::Open, Call::Openat, Call::Creat, Call::Shmget]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        let id = event.object;
        let posix = id.family == Family::Posix && id.ino != 0;
        if event.state != State::Done || event.failed() || !(posix || id.family == Family::Sysv) {
            return;
        }
        if event.flags & FLAG_CREATED != 0 || !makes_or_takes(event) {
            return;
        }
        if object.and_then(|index| ledger.object(index)).is_some_and(|object| object.certain) {
            return;
        }
        let event = ledger.moment(event);
        if let Some(met) = self.met.at(mix(&[site(event, 0), id.dev, id.ino]), || Met { event, id, count: 0 }) {
            met.count += 1;
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for met in self.met.iter() {
            let index = world.ledger.find(met.id);
            let Some((index, object)) = index.and_then(|index| Some((index, world.ledger.object(index)?))) else {
                continue;
            };
            // Its maker's record may have come later, or tell more than its own call could.
            if object.certain || world.fate(index).ours || !world.speaks_for(met.event.process, met.event.pid) {
                continue;
            }
            // What is gone has left the registry, and who made it may have been overwritten.
            if world.ledger.since() > 0 && world.fate(index).presence == Presence::Gone {
                continue;
            }
            let (create, exclusive) = match met.id.family {
                Family::Sysv => ("IPC_CREAT", "IPC_EXCL"),
                _ => ("O_CREAT", "O_EXCL"),
            };
            let message = format!(
                "{} in {} with {create} but without {exclusive} met {}{}, which was there before, made by {}.",
                met.event.call.name(),
                say::who(world.ledger, met.event),
                say::label(object),
                say::times(met.count),
                say::maker(world, index),
            );
            findings.push(Draft {
                object: Some(index),
                count: met.count,
                bytes: world.fate(index).size,
                event: Some(met.event),
                ..Draft::new(Kind::NoExclusiveCreate, message)
            });
        }
    }
}
