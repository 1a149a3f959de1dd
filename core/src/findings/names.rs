//! `nonportable-name`: names that `shm_open` takes here and need not take elsewhere.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::pattern::pattern;
use super::sites::Sites;
use super::{Draft, Kind, Rule, World, say};
use crate::calls::Call;
use crate::layout::hash_name;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix};
use crate::record::{Event, Family, ObjectId, State};

#[derive(Default)]
struct NonportableName {
    /// By process and name as it was given.
    names: Sites<Name>,
}

struct Name {
    event: Moment,
    /// As it was given, in quotes.
    text: String,
    leading: bool,
    object: ObjectId,
    count: u64,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(NonportableName::default())
}

impl Rule for NonportableName {
    fn watches(&self) -> &'static [Call] {
        &[Call::ShmOpen, Call::ShmUnlink]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, _: Option<ObjectIndex>) {
        let leading = event.data.first() == Some(&b'/');
        let more = event.data.iter().skip(1).any(|&byte| byte == b'/');
        if event.state != State::Done || event.data.is_empty() || leading && !more {
            return;
        }
        let name = hash_name(pattern(event.data).as_bytes());
        let place = mix(&[u64::from(event.process), u64::from(event.pid), name]);
        let moment = ledger.moment(event);
        let new = || Name { event: moment, text: say::quoted(event.data), leading, object: event.object, count: 0 };
        if let Some(name) = self.names.at(place, new) {
            name.count += 1;
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for name in self.names.iter() {
            let Name { event, text, leading, object, count } = name;
            if !world.speaks_for(event.process, event.pid) {
                continue;
            }
            let why = match leading {
                false => "has no slash at its beginning",
                true => "has more slashes than the one at its beginning",
            };
            let message = format!(
                "the name {text} of {} in {} {why}{}: what it means is left to each system.",
                event.call.name(),
                say::who(world.ledger, *event),
                match count {
                    1 => String::new(),
                    count => format!(" ({count} calls)"),
                },
            );
            let object = if object.family == Family::None { None } else { world.ledger.find(*object) };
            let draft = Draft::new(Kind::NonportableName, message);
            findings.push(Draft { object, count: *count, event: Some(*event), ..draft });
        }
    }
}
