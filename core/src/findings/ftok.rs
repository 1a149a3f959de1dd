//! `ftok-failed-key`: `shmget` with the -1 that a failed `ftok` returned; and `ftok` with an id of 0.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::sites::{Sites, site};
use super::{Draft, Hint, Kind, Rule, Severity, World, say};
use crate::calls::Call;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix};
use crate::record::{Event, Family, ObjectId, Slot, State};

/// Most generations of forks that a failed `ftok` is looked for in.
const MOST_GENERATIONS: usize = 64;

const NO_ID: &str = "Call ftok with an id whose lower eight bits are not all 0, such as 'A'.";

#[derive(Clone)]
struct Failed {
    event: Moment,
    path: String,
    id: i32,
    errno: i32,
}

struct Used {
    event: Moment,
    failed: Failed,
    object: ObjectId,
    made: bool,
    count: u64,
}

struct Zero {
    event: Moment,
    path: String,
    id: i32,
    count: u64,
}

#[derive(Default)]
struct Ftok {
    /// The latest of each process.
    failed: Sites<Failed>,
    used: Sites<Used>,
    zero: Sites<Zero>,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(Ftok::default())
}

impl Rule for Ftok {
    fn watches(&self) -> &'static [Call] {
        &[Call::Ftok, Call::Shmget]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, _: Option<ObjectIndex>) {
        if event.state != State::Done {
            return;
        }
        match event.call {
            Call::Ftok => self.ftok(ledger, event),
            Call::Shmget if event.arg(0) as u32 == u32::MAX => self.shmget(ledger, event),
            _ => {}
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for used in self.used.iter() {
            if world.speaks_for(used.event.process, used.event.pid) {
                findings.push(say_used(world, used));
            }
        }
        for zero in self.zero.iter() {
            if world.speaks_for(zero.event.process, zero.event.pid) {
                findings.push(say_zero(world, zero));
            }
        }
    }
}

fn process(slot: Slot, pid: u32) -> u64 {
    mix(&[u64::from(slot), u64::from(pid)])
}

impl Ftok {
    fn ftok(&mut self, ledger: &mut Ledger, event: &Event) {
        let id = event.arg(0) as u32 as i32;
        let moment = ledger.moment(event);
        if event.failed() {
            let failed = Failed { event: moment, path: say::quoted(event.data), id, errno: event.errno };
            if let Some(latest) = self.failed.at(process(event.process, event.pid), || failed.clone()) {
                *latest = failed;
            }
        }
        if id & 0xff == 0 {
            let new = || Zero { event: moment, path: say::quoted(event.data), id, count: 0 };
            if let Some(zero) = self.zero.at(site(moment, 0), new) {
                zero.count += 1;
            }
        }
    }

    fn shmget(&mut self, ledger: &mut Ledger, event: &Event) {
        let Some(failed) = self.failed_of(ledger, event.process, event.pid) else { return };
        let moment = ledger.moment(event);
        let new = || Used { event: moment, failed, object: event.object, made: !event.failed(), count: 0 };
        if let Some(used) = self.used.at(site(moment, 0), new) {
            used.count += 1;
        }
    }

    /// The latest failure of a process, or of those that it was forked from.
    fn failed_of(&self, ledger: &Ledger, slot: Slot, pid: u32) -> Option<Failed> {
        let (mut slot, mut pid) = (slot, pid);
        for _ in 0..MOST_GENERATIONS {
            if let Some(failed) = self.failed.get(process(slot, pid)) {
                return Some(failed.clone());
            }
            let process = ledger.process(slot, pid)?;
            (slot, pid) = (process.parent?, process.ppid);
        }
        None
    }
}

fn say_used(world: &World, used: &Used) -> Draft {
    let Failed { event: failed, path, id, errno } = &used.failed;
    let object = if used.object.family == Family::Sysv { world.ledger.find(used.object) } else { None };
    let message = format!(
        "shmget in {}{} took for a key the -1 that ftok({path}, {id}) had returned when it failed with {}: it means one and \
         the same segment to every program that does so{}.",
        say::who(world.ledger, used.event),
        say::times(used.count),
        say::errno(*errno),
        if used.made { "" } else { ", and this time shmget failed too" },
    );
    Draft {
        object,
        count: used.count,
        bytes: object.map_or(0, |index| world.fate(index).size),
        event: Some(used.event),
        related: alloc::vec![("key", *failed)],
        ..Draft::new(Kind::FtokFailedKey, message)
    }
}

fn say_zero(world: &World, zero: &Zero) -> Draft {
    let Zero { event, path, id, count } = zero;
    let message = format!(
        "ftok({path}, {id}) in {}{} has an id whose lower eight bits are 0, for which POSIX leaves the key open.",
        say::who(world.ledger, *event),
        say::times(*count),
    );
    Draft {
        severity: Severity::Note,
        hint: Hint { advice: NO_ID, command: None },
        count: *count,
        event: Some(*event),
        ..Draft::new(Kind::FtokFailedKey, message)
    }
}
