//! Call stacks with names.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{Event, Time, is_libc};
use crate::ledger::{Ledger, Moment, StackId};
use crate::reader::{ModuleRecord, ProcessRecord, Words};
use crate::record::Slot;
use crate::sources::Sources;
pub use crate::symbols::Frame;
use crate::symbols::{Files, LoadedModule, Symbols};

/// Gives addresses names.
pub trait Symbolize {
    /// Appends the frames at return address `address` of a process (its slot and pid), as it was at `time` (nanoseconds
    /// since 1970), innermost first; at least one.
    fn frames(&mut self, process: (Slot, u32), time: u64, address: u64, out: &mut Vec<Frame>);

    /// The same number for times at which the same files were loaded.
    fn era(&self, _time: u64) -> usize {
        0
    }
}

/// Addresses as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSymbols;

impl Symbolize for NoSymbols {
    fn frames(&mut self, _: (Slot, u32), _: u64, address: u64, out: &mut Vec<Frame>) {
        out.push(Frame { offset: address, ..Frame::default() });
    }
}

/// Names from the files that a recorder says were loaded.
#[derive(Debug)]
pub struct Named<F: Files> {
    symbols: Symbols<F>,
    images: Images,
    /// When something was unloaded, sorted.
    unloads: Vec<u64>,
    loaded: BTreeMap<((Slot, u32), usize), Vec<LoadedModule>>,
}

/// Most generations of forks that loaded files are looked for in.
const MOST_GENERATIONS: usize = 64;

impl<F: Files> Named<F> {
    /// Of these recorders, from these files.
    pub fn new<W: Words + ?Sized>(sources: &Sources<W>, files: F) -> Named<F> {
        let records = sources.modules();
        let mut unloads: Vec<u64> = records.iter().map(|module| module.since).collect();
        unloads.sort_unstable();
        unloads.dedup();
        let images = Images::new(sources.processes(), records);
        Named { symbols: Symbols::new(files), images, unloads, loaded: BTreeMap::new() }
    }
}

/// Processes and the files that they had loaded, to be asked for many of them.
#[derive(Debug)]
struct Images {
    /// By slot and pid.
    processes: Vec<ProcessRecord>,
    /// By slot, and of a slot in the order of their making.
    records: Vec<ModuleRecord>,
}

impl Images {
    fn new(mut processes: Vec<ProcessRecord>, mut records: Vec<ModuleRecord>) -> Images {
        processes.sort_by_key(|process| (process.slot, process.pid));
        records.sort_by_key(|module| module.process);
        Images { processes, records }
    }

    /// As [`loaded`].
    fn loaded(&self, process: (Slot, u32), time: u64) -> Vec<LoadedModule> {
        let of = |slot: Slot| {
            let from = self.records.partition_point(|module| module.process < slot);
            let rest = self.records.get(from..).unwrap_or(&[]);
            rest.get(..rest.partition_point(|module| module.process == slot)).unwrap_or(&[])
        };
        let parent = |(slot, pid): (Slot, u32)| {
            let at = self.processes.binary_search_by_key(&(slot, pid), |process| (process.slot, process.pid)).ok()?;
            let process = self.processes.get(at)?;
            Some((process.parent?, process.ppid))
        };
        walk(of, parent, process, time)
    }
}

/// What a process had loaded at `time`: its own records, the latest first, and those of the processes whose image it shares.
pub fn loaded(
    processes: &[ProcessRecord],
    records: &[ModuleRecord],
    process: (Slot, u32),
    time: u64,
) -> Vec<LoadedModule> {
    let parent = |(slot, pid): (Slot, u32)| {
        let record = processes.iter().find(|process| (process.slot, process.pid) == (slot, pid))?;
        Some((record.parent?, record.ppid))
    };
    walk(|_| records, parent, process, time)
}

/// By the records among which a slot's are, and the process whose image another shares.
fn walk<'a>(
    records: impl Fn(Slot) -> &'a [ModuleRecord],
    parent: impl Fn((Slot, u32)) -> Option<(Slot, u32)>,
    process: (Slot, u32),
    time: u64,
) -> Vec<LoadedModule> {
    let mut found = Vec::new();
    let mut at = Some(process);
    for _ in 0..MOST_GENERATIONS {
        let Some((slot, pid)) = at else { break };
        let is_own = |module: &&ModuleRecord| {
            module.process == slot && (module.pid == pid || module.pid == 0) && module.since <= time
        };
        found.extend(records(slot).iter().rev().filter(is_own).map(|module| LoadedModule {
            path: module.path.clone(),
            start: module.start,
            end: module.end,
            bias: module.bias,
            build_id: module.build_id.clone(),
        }));
        at = parent((slot, pid));
    }
    found
}

impl<F: Files> Symbolize for Named<F> {
    fn frames(&mut self, process: (Slot, u32), time: u64, address: u64, out: &mut Vec<Frame>) {
        let made = || self.images.loaded(process, time);
        let era = self.unloads.partition_point(|&unload| unload <= time);
        let modules = self.loaded.entry((process, era)).or_insert_with(made);
        out.extend_from_slice(self.symbols.resolve(modules, address, false));
    }

    fn era(&self, time: u64) -> usize {
        self.unloads.partition_point(|&unload| unload <= time)
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

    /// The frame that a reader will look for: see [`place_of`].
    pub fn place(&self) -> Option<&Frame> {
        place_of(&self.0, |frame| (frame.module.as_deref(), frame.file.is_some()))
    }

    /// The same number for stacks that are shared.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

/// The place that a reader will look for: the innermost frame with a source, else the innermost. The C library's sources are
/// nobody's to look for, though its debug information may be the only one there. `of` tells a frame's module and whether it
/// has a source.
pub fn place_of<T>(frames: &[T], of: impl Fn(&T) -> (Option<&str>, bool)) -> Option<&T> {
    let known = |frame: &&T| matches!(of(frame), (module, true) if !module.is_some_and(is_libc));
    frames.iter().find(known).or(frames.first())
}

impl From<Vec<Frame>> for Stack {
    fn from(frames: Vec<Frame>) -> Stack {
        Stack(Arc::new(frames))
    }
}

impl Serialize for Stack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Written))
    }
}

/// A frame as reports have it.
struct Written<'a>(&'a Frame);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Frame { function, unit, file, line, module, offset, inlined, .. } = self.0;
        let mut written = serializer.serialize_struct("Frame", 7)?;
        written.serialize_field("function", function)?;
        written.serialize_field("unit", unit)?;
        written.serialize_field("file", file)?;
        written.serialize_field("line", line)?;
        written.serialize_field("module", module)?;
        written.serialize_field("offset", &format!("{offset:#x}"))?;
        written.serialize_field("inlined", inlined)?;
        written.end()
    }
}

/// Makes moments of the ledger into events of the report.
pub(super) struct Events<'a> {
    ledger: &'a Ledger,
    symbolize: &'a mut dyn Symbolize,
    known: BTreeMap<(StackId, (Slot, u32), usize), Stack>,
}

impl<'a> Events<'a> {
    pub(super) fn new(ledger: &'a Ledger, symbolize: &'a mut dyn Symbolize) -> Events<'a> {
        Events { ledger, symbolize, known: BTreeMap::new() }
    }

    pub(super) fn event(&mut self, moment: Moment) -> Event {
        Event {
            time: Time(moment.ticks),
            pid: moment.pid,
            tid: moment.tid,
            call: moment.call.name(),
            stack: self.stack(moment),
        }
    }

    fn stack(&mut self, moment: Moment) -> Stack {
        let process = (moment.process, moment.pid);
        let era = self.symbolize.era(moment.ticks);
        let (ledger, symbolize) = (self.ledger, &mut *self.symbolize);
        let named = || {
            let mut frames = Vec::new();
            for &address in ledger.stacks().frames(moment.stack) {
                symbolize.frames(process, moment.ticks, address, &mut frames);
            }
            Stack::from(frames)
        };
        self.known.entry((moment.stack, process, era)).or_insert_with(named).clone()
    }
}
