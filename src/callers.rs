//! Who called: names for the addresses that a log line shows. Each address is resolved once, contained, and remembered.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use alloc::boxed::Box;
use alloc::vec::Vec;

use shmaudit_core::layout::header;
use shmaudit_core::line::Line;
use shmaudit_core::reader::Reader;
use shmaudit_core::report::loaded;
use shmaudit_core::symbols::{Frame, LoadedModule, Symbols};
use shmaudit_core::words;

use crate::audit::Audit;
use crate::symbols::Maps;
use crate::{contain, process};

const ROOM: usize = 4096;

/// An address and its frames, several where calls were inlined there.
struct Site {
    address: AtomicU64,
    frames: AtomicPtr<Vec<Frame>>,
}

static SITES: [Site; ROOM] =
    [const { Site { address: AtomicU64::new(0), frames: AtomicPtr::new(core::ptr::null_mut()) } }; ROOM];
/// Taken while an address is resolved; stays taken when that went wrong, and then no further one is tried.
static BUSY: AtomicBool = AtomicBool::new(false);

struct Names {
    symbols: Symbols<Maps>,
    modules: Vec<LoadedModule>,
    /// Module records when `modules` was read.
    records: u64,
}

struct Holder(UnsafeCell<Option<Box<Names>>>);

// SAFETY: only reached by the holder of `BUSY`.
unsafe impl Sync for Holder {}

static NAMES: Holder = Holder(UnsafeCell::new(None));

/// The frames at a return address, innermost first; empty where nothing is known.
pub fn frames(audit: &'static Audit, address: u64) -> &'static [Frame] {
    let home = (address ^ address >> 12) as usize;
    let mut free = None;
    for step in 0..8 {
        let Some(site) = SITES.get((home + step) % ROOM) else { continue };
        match site.address.load(Ordering::Acquire) {
            0 => {
                free = Some(site);
                break;
            }
            known if known == address => return site.known(),
            _ => {}
        }
    }
    let Some(site) = free else { return &[] };
    if BUSY.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return &[];
    }
    let mut task = Task { audit, address, site };
    if !contain::run(resolve, (&raw mut task).cast()) {
        return &[];
    }
    site.address.store(address, Ordering::Release);
    BUSY.store(false, Ordering::Release);
    site.known()
}

impl Site {
    fn known(&self) -> &'static [Frame] {
        let frames = self.frames.load(Ordering::Acquire);
        // SAFETY: a leaked box, never changed once its address is stored.
        if frames.is_null() { &[] } else { unsafe { &*frames } }
    }
}

struct Task {
    audit: &'static Audit,
    address: u64,
    site: &'static Site,
}

fn resolve(task: *mut c_void) {
    // SAFETY: `frames` passes its task and waits; it holds `BUSY`, so the names are ours alone.
    let (task, names) = unsafe { (&*task.cast::<Task>(), &mut *NAMES.0.get()) };
    let recorder = &task.audit.recorder;
    let records = recorder.word(header::MODULES).load(Ordering::Acquire);
    let names =
        names.get_or_insert_with(|| Box::new(Names { symbols: Symbols::new(Maps), modules: Vec::new(), records: 0 }));
    if names.records != records {
        if let Ok(reader) = Reader::new(recorder) {
            names.modules = loaded(&reader.processes(), &reader.modules(), process::me(recorder).slot);
        }
        names.records = records;
    }
    let frames = names.symbols.resolve(&names.modules, task.address, false).to_vec();
    task.site.frames.store(Box::into_raw(Box::new(frames)), Ordering::Release);
}

/// The last part of a path.
pub fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Writes `main posix_shm.c:16`, or `main (posix_shm+0x1139)` where the line is not known.
pub fn write(line: &mut Line, frame: &Frame) {
    if let Some(function) = &frame.function {
        words::escaped(line, function.as_bytes());
        line.byte(b' ');
    }
    match (&frame.file, frame.line) {
        (Some(file), Some(number)) => {
            words::escaped(line, base(file).as_bytes());
            line.byte(b':');
            line.dec(u64::from(number));
        }
        _ => {
            line.byte(b'(');
            words::escaped(line, base(frame.module.as_deref().unwrap_or("?")).as_bytes());
            line.byte(b'+');
            line.hex(frame.offset);
            line.byte(b')');
        }
    }
}
