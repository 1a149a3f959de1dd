//! The records once more, each with the object it is about: for views that show calls one by one.

use super::{Ledger, ObjectIndex};
use crate::calls::Call;
use crate::reader::Words;
use crate::record::{Event, Family};
use crate::sources::Sources;

impl Ledger {
    /// Replays everything that the recorders have. `each` sees the ledger as it is after a record, the record, and the
    /// object that it is about: by identity, by name, or by what the process has at the address or descriptor.
    pub fn walk<W: Words + ?Sized>(
        sources: &Sources<W>,
        mut each: impl FnMut(&Ledger, &Event, Option<ObjectIndex>),
    ) -> Ledger {
        Ledger::each(
            sources,
            |ledger, event, _| ledger.about(event),
            |ledger, event, before| {
                // A call that made the object has entered it just now; one that removed it has dropped its name.
                let acquires = event.object.family != Family::None && !event.failed();
                let after = if acquires { ledger.about(event) } else { None };
                each(ledger, event, after.or(before));
            },
        )
    }

    /// The object that a record not yet applied is about.
    fn about(&self, event: &Event) -> Option<ObjectIndex> {
        let held = || {
            let live = self.live(event.process, event.pid)?;
            match event.call {
                Call::Close | Call::Dup | Call::Dup2 | Call::Dup3 | Call::Fcntl => {
                    Some(live.fds.get(&i32::try_from(event.arg(0)).ok()?)?.object)
                }
                Call::Munmap | Call::Mremap => Some(live.ranges.at(event.arg(0))?.1.of.object),
                Call::Shmdt => {
                    let here = live.ranges.at(event.arg(0)).map(|(_, piece)| piece.of.object);
                    here.or_else(|| Some(live.past.get(&event.arg(0))?.holding.object))
                }
                _ => None,
            }
        };
        self.known(event).or_else(held)
    }
}
