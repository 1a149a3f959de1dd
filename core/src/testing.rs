//! For tests: a recorder's image as a writer leaves it, and a kernel that answers what it was told.

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;
use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use crate::calls::{CALLS, Call};
use crate::kernel::{Elsewhere, FdFacts, FileFacts, Kernel, Lookup, Resource, Setting, Space};
use crate::layout::{self, Region, Sizes, header};
use crate::procfs::Segment;
use crate::reader::Reader;
use crate::record::{
    Event, Family, LateEnd, ObjectId, Slot, State, TAG_HEAD, TAG_MORE, UNIT_PAYLOAD, UNIT_WORDS, encode, late_words,
    tag,
};
use crate::report::{Frame, Symbolize};
use crate::sources::Sources;

/// An event that succeeded with 0, to be changed by the test.
pub(crate) fn event(call: Call) -> Event<'static> {
    Event {
        call,
        state: State::Done,
        flags: 0,
        ticks: 0,
        took: 100,
        errno: 0,
        process: 0,
        pid: 100,
        tid: 100,
        ret: 0,
        order: 0,
        args: &[],
        object: ObjectId::NONE,
        data: &[],
        frames: &[],
    }
}

/// Arguments that live as long as an event may. They are held here, so that nothing has leaked when tests are over.
pub(crate) fn for_ever<const N: usize>(args: [u64; N]) -> &'static [u64; N] {
    static HELD: Mutex<Vec<&'static [u64]>> = Mutex::new(Vec::new());
    let args: &'static [u64; N] = Box::leak(Box::new(args));
    HELD.lock().unwrap().push(args);
    args
}

/// A recorder being written.
pub(crate) struct Image {
    pub words: Vec<u64>,
    sizes: Sizes,
    ticks: u64,
}

/// When the first tick of an [`Image`] was: 2024-05-06T07:08:09Z.
pub(crate) const BEGAN: u64 = 1_714_979_289_000_000_000;

impl Image {
    pub fn new() -> Image {
        Image::sized(Sizes { processes: 32, modules: 4, entries: 64, entry_bytes: 640, units: 4096 })
    }

    pub fn sized(sizes: Sizes) -> Image {
        let (regions, total) = sizes.regions();
        let mut words = vec![0u64; total / 8];
        for (index, (offset, length)) in regions.into_iter().enumerate() {
            words[header::REGIONS + 2 * index] = offset as u64;
            words[header::REGIONS + 2 * index + 1] = length as u64;
        }
        words[header::MAGIC] = layout::MAGIC;
        words[header::VERSION] = layout::VERSION;
        words[header::TOTAL] = total as u64;
        words[header::ENTRY_BYTES] = sizes.entry_bytes as u64;
        words[header::CLOCK] = layout::CLOCK_NS;
        words[header::FIRST_TICKS] = BEGAN;
        words[header::FIRST_UNIX] = BEGAN;
        words[header::LAST_TICKS] = BEGAN;
        words[header::LAST_UNIX] = BEGAN;
        Image { words, sizes, ticks: BEGAN }
    }

    fn at(&self, region: Region) -> usize {
        self.sizes.regions().0[region as usize].0 / 8
    }

    /// Enters a process with the exe `/bin/prog`. Returns its slot.
    pub fn process(&mut self, pid: u32, parent: Option<Slot>, end: u64) -> Slot {
        use layout::process::*;
        let slot = self.words[header::PROCESSES];
        self.words[header::PROCESSES] += 1;
        let base = self.at(Region::Processes) + slot as usize * BYTES / 8;
        let ppid = parent
            .map_or(1, |parent| self.words[self.at(Region::Processes) + parent as usize * BYTES / 8 + PID] as u32);
        let place = &mut self.words[base..base + BYTES / 8];
        place[STATE] = STATE_LIVE;
        place[PID] = u64::from(pid) | u64::from(ppid) << 32;
        place[STARTTIME] = 5;
        place[PARENT] = parent.map_or(0, |parent| u64::from(parent) + 1);
        place[STARTED] = BEGAN + slot;
        place[ENDED] = if end == END_UNKNOWN { 0 } else { BEGAN + 1_000_000 + slot };
        place[END] = end;
        let (exe, args) = (b"/bin/prog", b"./prog\0-x\0");
        place[LENGTHS] = exe.len() as u64 | (args.len() as u64) << 16;
        write_bytes(&mut place[EXE..], exe);
        write_bytes(&mut place[ARGS..], args);
        slot as Slot
    }

    /// Sets a word of a process record.
    pub fn set(&mut self, slot: Slot, word: usize, value: u64) {
        let base = self.at(Region::Processes) + slot as usize * layout::process::BYTES / 8;
        self.words[base + word] = value;
    }

    /// Appends a record and counts its call. Returns its order.
    pub fn add(&mut self, event: Event) -> u64 {
        let position = self.words[header::HEAD];
        self.ticks += 1000;
        let order = if event.order == 0 { position * 2 + 1 } else { event.order };
        let ticks = if event.ticks == 0 { self.ticks } else { event.ticks };
        let event = Event { order, ticks, ..event };
        let (ring, units) = (self.at(Region::Ring), self.sizes.units as u64);
        self.words[header::HEAD] += event.units() as u64;
        let unit = |at: usize| {
            (ring as u64 + ((position + (at / UNIT_PAYLOAD) as u64) & (units - 1)) * UNIT_WORDS as u64) as usize
        };
        let words = &mut self.words;
        encode(&event, |at, value| {
            let kind = if at < UNIT_PAYLOAD { TAG_HEAD } else { TAG_MORE };
            words[unit(at)] = tag(position + (at / UNIT_PAYLOAD) as u64, kind);
            words[unit(at) + 1 + at % UNIT_PAYLOAD] = value;
        });
        let counters = self.at(Region::Counters) + usize::from(event.call.number()) * layout::COUNTER_WORDS;
        self.words[counters] += 1;
        if event.errno != 0 {
            self.words[counters + (event.errno as usize).min(layout::ERRNOS - 1)] += 1;
        }
        self.words[header::LAST_TICKS] = self.ticks;
        self.words[header::LAST_UNIX] = self.ticks;
        order
    }

    /// Ends the late record that was added last, in place.
    pub fn end_late(&mut self, order: u64, call: Call, args: usize, end: &LateEnd) {
        let position = order / 2;
        let (ring, units) = (self.at(Region::Ring), self.sizes.units as u64);
        let place = |word: usize| {
            let unit = (position + (word / UNIT_PAYLOAD) as u64) & (units - 1);
            ring + unit as usize * UNIT_WORDS + 1 + word % UNIT_PAYLOAD
        };
        let (sum, process) = (self.words[place(6)] as u32, self.words[place(2)] >> 48);
        let words = late_words(sum, process as Slot, call, args, end);
        for (word, &value) in (UNIT_PAYLOAD + words.first..).zip(words.body()) {
            self.words[place(word)] = value;
        }
        for (word, value) in words.head {
            self.words[place(word)] = value;
        }
    }

    /// Changes a bit of a word of the record at `order`.
    pub fn damage(&mut self, order: u64, word: usize) {
        let unit = (order / 2) as usize + word / UNIT_PAYLOAD;
        let at = self.at(Region::Ring) + unit * UNIT_WORDS + 1 + word % UNIT_PAYLOAD;
        self.words[at] ^= 1 << 3;
    }

    /// Writes over all that begins at `from` and before `to`, both orders.
    pub fn destroy(&mut self, from: u64, to: u64) {
        let (ring, unit) = (self.at(Region::Ring), |order: u64| (order / 2) as usize * UNIT_WORDS);
        self.words[ring + unit(from)..ring + unit(to)].fill(0x5A5A_5A5A_5A5A_5A5A);
    }

    /// Writes over how often a call was made.
    pub fn miscount(&mut self, call: Call, times: u64) {
        let counter = self.at(Region::Counters) + usize::from(call.number()) * layout::COUNTER_WORDS;
        self.words[counter] = times;
    }

    /// Enters a creating record into the registry.
    pub fn register(&mut self, event: Event) {
        let entry = self.words[header::ENTRIES_USED] as usize;
        self.words[header::ENTRIES_USED] += 1;
        let base = self.at(Region::Entries) + entry * self.sizes.entry_bytes / 8;
        self.words[base] = event.order << 1 | 1;
        encode(&event, |at, value| self.words[base + layout::entry::RECORD + at] = value);
    }

    pub fn sources(&self) -> Sources<'_, [u64]> {
        self.reader().into()
    }

    pub fn reader(&self) -> Reader<'_, [u64]> {
        Reader::new(&self.words[..]).unwrap()
    }
}

fn write_bytes(words: &mut [u64], bytes: &[u8]) {
    for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
}

/// A kernel that answers from tables.
#[derive(Default)]
pub(crate) struct Tables {
    pub segments: Option<Vec<Segment>>,
    pub files: BTreeMap<Vec<u8>, FileFacts>,
    pub no_mount: bool,
    pub maps: BTreeMap<u32, String>,
    pub fds: BTreeMap<u32, Vec<FdFacts>>,
    pub alive: BTreeSet<u32>,
    pub settings: BTreeMap<Setting, u64>,
    pub space: Option<Space>,
    pub limits: BTreeMap<(u32, Resource), u64>,
    pub programs: BTreeMap<u32, Vec<u8>>,
    pub had_children: bool,
    pub ipc_namespace: u32,
    pub pid_namespace: u32,
    pub elsewhere: BTreeMap<u32, Elsewhere>,
}

impl Tables {
    pub fn new() -> Tables {
        Tables { segments: Some(Vec::new()), ..Tables::default() }
    }

    pub fn file(&mut self, name: &str, ino: u64, size: u64) {
        self.files.insert(name.into(), FileFacts { dev: 9, ino, size, mode: 0o100600, uid: 0, born: 0 });
    }

    pub fn segment(&mut self, segment: Segment) {
        self.segments.get_or_insert_default().push(segment);
    }

    /// An attachment of `shmid` in the maps of `pid`.
    pub fn attachment(&mut self, pid: u32, start: u64, end: u64, key: u32, shmid: i32) {
        let line = format!("{start:x}-{end:x} rw-s 00000000 00:01 {shmid} /SYSV{key:08x} (deleted)\n");
        self.maps.entry(pid).or_default().push_str(&line);
    }
}

impl Kernel for Tables {
    fn segments(&mut self) -> Option<Vec<Segment>> {
        self.segments.clone()
    }
    fn ipc_namespace(&mut self) -> u32 {
        self.ipc_namespace
    }
    fn pid_namespace(&mut self) -> u32 {
        self.pid_namespace
    }
    fn segments_of(&mut self, namespace: u32) -> Elsewhere {
        self.elsewhere.get(&namespace).cloned().unwrap_or(Elsewhere::Gone)
    }
    fn shm_file(&mut self, name: &[u8]) -> Lookup<FileFacts> {
        match self.files.get(name) {
            _ if self.no_mount => Lookup::Unreadable,
            Some(facts) => Lookup::Found(*facts),
            None => Lookup::Missing,
        }
    }
    fn shm_files(&mut self) -> Option<Vec<(Vec<u8>, FileFacts)>> {
        Some(self.files.iter().map(|(name, facts)| (name.clone(), *facts)).collect())
    }
    fn maps(&mut self, pid: u32) -> Option<Vec<u8>> {
        self.maps.get(&pid).map(|text| text.clone().into_bytes())
    }
    fn fds(&mut self, pid: u32) -> Option<Vec<FdFacts>> {
        self.fds.get(&pid).cloned()
    }
    fn alive(&mut self, pid: u32, _: u64, _: u64) -> bool {
        self.alive.contains(&pid)
    }
    fn setting(&mut self, setting: Setting) -> Option<u64> {
        self.settings.get(&setting).copied()
    }
    fn space(&mut self) -> Option<Space> {
        self.space
    }
    fn limit(&mut self, pid: u32, resource: Resource) -> Option<u64> {
        self.limits.get(&(pid, resource)).copied()
    }
    fn program(&mut self, pid: u32) -> Option<Vec<u8>> {
        self.programs.get(&pid).cloned()
    }
    fn had_children(&mut self, _: u32) -> Option<bool> {
        Some(self.had_children)
    }
}

const TEXTS: &[&[u8]] = &[b"/a", b"b", b"/dev/shm/a", b"/dev/shm/b\0/dev/shm/a", b"/\n\x1b[31m\xff", b"\0", b""];

prop_compose! {
    /// An event with numbers that are likely to meet, and its arguments.
    pub(crate) fn any_event()(
        call in 0..CALLS.len(), flags in 0u16..8, done in prop::bool::weighted(0.9), errno in prop_oneof![4 => Just(0), 1 => 1..200i32],
        process in 0u32..4, family in 0..4usize, ino in prop_oneof![0..4u64, any::<u64>()],
        ret in prop_oneof![-1..4i64, (0..8i64).prop_map(|page| page * 4096), any::<i64>()],
        args in prop::collection::vec(prop_oneof![0..8u64, (0..8u64).prop_map(|page| page * 4096), any::<u64>()], 0..6),
        data in prop::sample::select(TEXTS),
    ) -> (Event<'static>, Vec<u64>) {
        let family = [Family::None, Family::Posix, Family::Sysv, Family::Memfd][family];
        let object = if family == Family::None { ObjectId::NONE } else { ObjectId { family, dev: 9, ino } };
        let state = if done { State::Done } else { State::Begun };
        let pid = 100 + process;
        (Event { flags, state, errno, process, pid, object, ret, data, ..event(CALLS[call]) }, args)
    }
}

/// Names made from addresses: 0x10 is `main prog.c:16`, 0x2005 is line 5 of `f20`, odd thousands are a library's.
pub(crate) struct Invented;

impl Symbolize for Invented {
    fn frames(&mut self, _: (Slot, u32), _: u64, address: u64, out: &mut Vec<Frame>) {
        let (function, line) = (address >> 8, address & 0xff);
        let function = if function == 0 { "main".into() } else { format!("f{function:x}") };
        let library = address >> 12 & 1 == 1;
        out.push(Frame {
            function: if library { None } else { Some(function) },
            file: if library { None } else { Some("/src/prog.c".into()) },
            line: if library { None } else { Some(line as u32) },
            module: Some(if library { "/lib/libx.so.1".into() } else { "/bin/prog".into() }),
            offset: address,
            ..Frame::default()
        });
    }
}
