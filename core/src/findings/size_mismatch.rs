//! `size-mismatch`: a call refused because the object has another size than the caller takes it to have.
//!
//! `shmget` refuses more than the segment has; `mmap` refuses no bytes, which is what a program asks for that maps an
//! object by a size of 0 before its maker has given it one. What is mapped beyond an end is `map-beyond-end`.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::sites::{Sites, site};
use super::{Draft, Kind, Rule, World, say};
use crate::calls::Call;
use crate::ledger::{Ledger, Moment, ObjectIndex, mix};
use crate::record::{Event, Family, State, size_when_mapped};

const EINVAL: i32 = 22;

#[derive(Default)]
struct SizeMismatch {
    refused: Sites<Refused>,
}

struct Refused {
    event: Moment,
    object: Option<ObjectIndex>,
    key: i32,
    asked: u64,
    had: Option<u64>,
    count: u64,
}

pub(super) fn rule() -> Box<dyn Rule> {
    Box::new(SizeMismatch::default())
}

impl Rule for SizeMismatch {
    fn watches(&self) -> &'static [Call] {
        &[Call::Shmget, Call::Mmap]
    }

    fn before(&mut self, ledger: &mut Ledger, event: &Event, object: Option<ObjectIndex>) {
        if event.state != State::Done || event.errno != EINVAL {
            return;
        }
        let (object, key, asked) = match event.call {
            Call::Shmget if event.arg(0) != 0 => {
                let key = event.arg(0) as u32 as i32;
                (ledger.object_keyed(ledger.space(event.process, event.pid), key), key, event.arg(1))
            }
            Call::Mmap if event.arg(1) == 0 && event.object.family != Family::None => (object, 0, 0),
            _ => return,
        };
        let had = size_when_mapped(event).or_else(|| ledger.object(object?)?.size);
        let refused = match event.call {
            Call::Mmap => had == Some(0),
            // Where nothing is known of it, the kernel's table may have it.
            _ => had.is_none_or(|had| had < asked),
        };
        if refused {
            let event = ledger.moment(event);
            let place = mix(&[site(event, 0), object.map_or(0, |object| object.get() as u64 + 1), key as u64]);
            if let Some(refused) = self.refused.at(place, || Refused { event, object, key, asked, had, count: 0 }) {
                refused.count += 1;
            }
        }
    }

    fn conclude(&mut self, world: &mut World, findings: &mut Vec<Draft>) {
        for refused in self.refused.iter() {
            if world.speaks_for(refused.event.process, refused.event.pid) {
                findings.extend(match refused.object {
                    Some(object) => Some(known(world, object, refused)),
                    None => unknown(world, refused),
                });
            }
        }
    }
}

fn known(world: &mut World, index: ObjectIndex, refused: &Refused) -> Draft {
    let maker = say::maker(world, index);
    let object = world.ledger.object(index);
    let what = object.map(say::label).unwrap_or_default();
    let message = match (refused.event.call, refused.had) {
        (Call::Mmap, _) => format!(
            "mmap of 0 bytes failed{} in {}: {what}, made by {maker}, had no size yet.",
            say::times(refused.count),
            say::who(world.ledger, refused.event),
        ),
        (_, had) => format!(
            "shmget of {} failed{} in {}: {what}, made by {maker}, has {}.",
            say::size(refused.asked),
            say::times(refused.count),
            say::who(world.ledger, refused.event),
            had.map_or_else(|| "fewer".into(), say::size),
        ),
    };
    let created = object.and_then(|object| object.created.filter(|_| object.certain));
    Draft {
        object: Some(index),
        count: refused.count,
        bytes: refused.asked,
        event: Some(refused.event),
        related: created.map(|created| ("created", created)).into_iter().collect(),
        ..Draft::new(Kind::SizeMismatch, message)
    }
}

/// A segment that nobody of the tree has met: what the kernel knows of it, if it is still there and too small.
fn unknown(world: &mut World, refused: &Refused) -> Option<Draft> {
    let segment = world.segment_of_key(refused.key).filter(|segment| segment.size < refused.asked).copied()?;
    let message = format!(
        "shmget of {} failed{} in {}: segment {} (shmid {}), made by {}, has {}.",
        say::size(refused.asked),
        say::times(refused.count),
        say::who(world.ledger, refused.event),
        say::key(refused.key),
        segment.shmid,
        world.outsider(segment.cpid),
        say::size(segment.size),
    );
    Some(Draft {
        count: refused.count,
        bytes: refused.asked,
        event: Some(refused.event),
        ..Draft::new(Kind::SizeMismatch, message)
    })
}
