//! The calls of a recording, one by one and in order.

use std::collections::HashMap;

use shmaudit_core::ledger::{Ledger, ObjectIndex};
use shmaudit_core::reader::Words;
use shmaudit_core::record::{Event, Slot};
use shmaudit_core::report::{Frame, Named, Symbolize};
use shmaudit_core::sources::Sources;
use shmaudit_core::symbols::Files;

/// A call as it is shown.
pub struct Seen<'a> {
    /// Its record.
    pub event: &'a Event<'a>,
    /// What was known after it.
    pub ledger: &'a Ledger,
    /// The object that it is about.
    pub object: Option<ObjectIndex>,
    /// When it came back, in nanoseconds since 1970.
    pub time: u64,
    /// How long it took, in nanoseconds.
    pub took: u64,
    /// Who called: the innermost frame whose source is known, else the innermost.
    pub caller: Option<&'a Frame>,
}

/// What can show its calls.
pub trait Calls {
    /// Shows every call to `see`; afterwards, what is known at the end.
    fn each(&self, see: &mut dyn FnMut(&Seen)) -> Ledger;
}

/// [`Calls::each`] for what recorders have, with names from these files.
pub fn walk<W: Words + ?Sized, F: Files>(sources: &Sources<W>, files: F, see: &mut dyn FnMut(&Seen)) -> Ledger {
    let mut callers = Callers { names: Named::new(sources, files), known: HashMap::new() };
    Ledger::walk(sources, |ledger, event, object| {
        let caller = callers.of(event);
        let time = event.ended();
        see(&Seen { event, ledger, object, time, took: u64::from(event.took), caller });
    })
}

/// Call stacks' callers that are remembered; then they are looked up anew.
const MOST_KNOWN: usize = 1 << 16;

/// What a caller is by: the process's slot and pid, the era of its modules, and the call stack.
type Way = ((Slot, u32), usize, Vec<u64>);

struct Callers<F: Files> {
    names: Named<F>,
    known: HashMap<Way, Option<Frame>>,
}

impl<F: Files> Callers<F> {
    fn of(&mut self, event: &Event) -> Option<&Frame> {
        if self.known.len() > MOST_KNOWN {
            self.known.clear();
        }
        let process = (event.process, event.pid);
        let key = (process, self.names.era(event.ticks), event.frames.to_vec());
        let names = &mut self.names;
        let found = self.known.entry(key).or_insert_with(|| {
            let mut frames = Vec::new();
            for &address in event.frames {
                let before = frames.len();
                names.frames(process, event.ticks, address, &mut frames);
                if frames.iter().skip(before).any(|frame| frame.file.is_some()) {
                    break;
                }
            }
            let at = frames.iter().position(|frame| frame.file.is_some()).unwrap_or(0);
            frames.into_iter().nth(at)
        });
        found.as_ref()
    }
}
