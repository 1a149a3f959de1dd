//! Call stacks with names.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Serialize, Serializer};

use super::{Clock, Event};
use crate::ledger::{Ledger, Moment, StackId};

/// A frame of a call stack. An inlined function has a frame of its own, before the one that it was inlined into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Name of the function.
    pub function: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
    /// Path of the program or library.
    pub module: Option<String>,
    /// Offset in it, or the address where there is none: `0x1139`.
    pub offset: String,
    /// Whether this function was inlined into the next frame's.
    pub inlined: bool,
}

/// Gives addresses names.
pub trait Symbolize {
    /// Appends the frames at return address `address` of a process, innermost first; at least one.
    fn frames(&mut self, process: u16, pid: u32, address: u64, out: &mut Vec<Frame>);
}

/// Addresses as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSymbols;

impl Symbolize for NoSymbols {
    fn frames(&mut self, _: u16, _: u32, address: u64, out: &mut Vec<Frame>) {
        out.push(Frame { offset: format!("{address:#x}"), ..Frame::default() });
    }
}

/// A call stack, innermost frame first, shared by all calls that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack(Arc<Vec<Frame>>);

impl Stack {
    /// Its frames.
    pub fn frames(&self) -> &[Frame] {
        &self.0
    }
}

impl From<Vec<Frame>> for Stack {
    fn from(frames: Vec<Frame>) -> Stack {
        Stack(Arc::new(frames))
    }
}

impl Serialize for Stack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Makes moments of the ledger into events of the report.
pub(super) struct Events<'a> {
    ledger: &'a Ledger,
    clock: Clock,
    symbolize: &'a mut dyn Symbolize,
    known: BTreeMap<(StackId, u16, u32), Stack>,
}

impl<'a> Events<'a> {
    pub(super) fn new(ledger: &'a Ledger, clock: Clock, symbolize: &'a mut dyn Symbolize) -> Events<'a> {
        Events { ledger, clock, symbolize, known: BTreeMap::new() }
    }

    pub(super) fn event(&mut self, moment: Moment) -> Event {
        Event {
            time: super::Time(self.clock.unix(moment.ticks)),
            pid: moment.pid,
            tid: moment.tid,
            call: moment.call.name(),
            stack: self.stack(moment),
        }
    }

    fn stack(&mut self, moment: Moment) -> Stack {
        let (ledger, symbolize) = (self.ledger, &mut *self.symbolize);
        let named = || {
            let mut frames = Vec::new();
            for &address in ledger.stacks().frames(moment.stack) {
                symbolize.frames(moment.process, moment.pid, address, &mut frames);
            }
            Stack::from(frames)
        };
        self.known.entry((moment.stack, moment.process, moment.pid)).or_insert_with(named).clone()
    }
}
