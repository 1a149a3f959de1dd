//! `world-accessible`: an object made with permissions for everybody. Of a file what counts is what the umask left.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::pattern::pattern;
use super::sites::{Sites, site};
use super::{Draft, Kind, Rule, World, say};
use crate::calls::Call;
use crate::layout::hash_name;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix, name_of};
use crate::record::{Event, FLAG_CREATED, ObjectId, Opening, State};

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;

/// Objects from one place whose sizes are added up.
const MOST_SUMMED: usize = 1024;

#[derive(Default)]
struct WorldAccessible {
    /// By place, what names of one pattern and mode were made there.
    made: Sites<Made>,
}

struct Made {
    event: Moment,
    mode: u32,
    objects: Vec<ObjectId>,
    count: u64,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(WorldAccessible::default())
}

impl Rule for WorldAccessible {
    fn watches(&self) -> &'static [Call] {
        &[Call::ShmOpen, Call::Open, Call::Openat, Call::Creat, Call::Shmget]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, _: Option<ObjectIndex>) {
        if event.state != State::Done || event.failed() || event.flags & FLAG_CREATED == 0 {
            return;
        }
        let mode = match event.call {
            Call::Shmget => event.arg(2) as u32 & 0o777,
            _ => Opening::of(event).map_or(0, |opening| opening.mode),
        };
        if mode & (READ | WRITE) == 0 {
            return;
        }
        let moment = ledger.moment(event);
        let name = name_of(event).map_or(0, |name| hash_name(pattern(name).as_bytes()));
        let place = mix(&[site(moment, 0), u64::from(mode), name]);
        let new = || Made { event: moment, mode, objects: Vec::new(), count: 0 };
        if let Some(made) = self.made.at(place, new) {
            made.count += 1;
            if made.objects.len() < MOST_SUMMED {
                made.objects.push(event.object);
            }
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for made in self.made.iter() {
            if world.speaks_for(made.event.process, made.event.pid) {
                findings.extend(say(world, made));
            }
        }
    }
}

fn say(world: &World, made: &Made) -> Option<Draft> {
    let mode = made.mode;
    let first = world.ledger.find(*made.objects.first()?)?;
    let others = match made.count {
        1 => String::new(),
        2 => " and 1 more".into(),
        count => format!(" and {} more", count - 1),
    };
    let may = match (mode & READ != 0, mode & WRITE != 0) {
        (true, true) => "read and change",
        (true, false) => "read",
        _ => "change",
    };
    let message = format!(
        "{} made {}{others} with mode {mode:04o}: every user of the machine may {may} {}.",
        say::who(world.ledger, made.event),
        world.ledger.object(first).map(say::label)?,
        if made.count == 1 { "it" } else { "them" },
    );
    let sizes = made.objects.iter().filter_map(|&id| Some(world.fate(world.ledger.find(id)?).size));
    Some(Draft {
        object: Some(first),
        count: made.count,
        bytes: sizes.fold(0, u64::saturating_add),
        event: Some(made.event),
        ..Draft::new(Kind::WorldAccessible, message)
    })
}
