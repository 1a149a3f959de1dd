//! Who called: names for the addresses that a log line shows. Each address is resolved once, contained, and remembered.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use alloc::boxed::Box;
use alloc::vec::Vec;

use shmaudit_core::layout::header;
use shmaudit_core::line::Line;
use shmaudit_core::logline;
use shmaudit_core::reader::Reader;
use shmaudit_core::report::loaded;
use shmaudit_core::symbols::{Frame, LoadedModule, Symbols};

use crate::audit::Audit;
use crate::symbols::Maps;
use crate::{code, contain, process, sys};

const ROOM: usize = 4096;

/// An address and what is known of it.
struct Site {
    address: AtomicU64,
    known: AtomicPtr<Known>,
}

/// Its frames, several where calls were inlined there, and the innermost as a line shows it.
struct Known {
    frames: Vec<Frame>,
    caller: Vec<u8>,
}

/// Most bytes of a caller in a line.
const CALLER_BYTES: usize = 200;

static SITES: [Site; ROOM] =
    [const { Site { address: AtomicU64::new(0), known: AtomicPtr::new(core::ptr::null_mut()) } }; ROOM];
/// The thread that resolves an address, 0 for none. It stays taken when that went wrong.
static BUSY: AtomicUsize = AtomicUsize::new(0);
/// No further address is tried.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);
/// Naps that a thread waits for another to have resolved its address, and how long one is: two seconds.
const NAPS: usize = 10_000;
const NAP_NS: i64 = 200_000;

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
    known(audit, address).map_or(&[], |known| &known.frames)
}

/// The innermost of them as a line shows it.
pub fn caller(audit: &'static Audit, address: u64) -> &'static [u8] {
    known(audit, address).map_or(&[], |known| &known.caller)
}

fn known(audit: &'static Audit, address: u64) -> Option<&'static Known> {
    // Where a file was unloaded, the same address may be another function's.
    let key = address | code::era(address as usize - 1) << 48;
    let me = sys::thread_pointer();
    for _ in 0..NAPS {
        let site = match find(key) {
            Ok(site) => return site.known(),
            Err(Some(site)) => site,
            Err(None) => return None,
        };
        if GIVEN_UP.load(Ordering::Relaxed) {
            return None;
        }
        if sys::limit(libc::RLIMIT_AS) != u64::MAX {
            // It takes some megabytes for a while, which the program may be short of meanwhile.
            GIVEN_UP.store(true, Ordering::Relaxed);
            return None;
        }
        match BUSY.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                let mut task = Task { audit, address, site };
                if site.address.load(Ordering::Acquire) == 0 {
                    if !contain::run(resolve, (&raw mut task).cast()) {
                        GIVEN_UP.store(true, Ordering::Relaxed);
                        return None;
                    }
                    site.address.store(key, Ordering::Release);
                }
                BUSY.store(0, Ordering::Release);
            }
            // A handler that came while this very thread resolves.
            Err(holder) if holder == me => return None,
            Err(_) => sys::nap(NAP_NS),
        }
    }
    GIVEN_UP.store(true, Ordering::Relaxed);
    None
}

/// The place of `key`, or the place that it may take.
fn find(key: u64) -> Result<&'static Site, Option<&'static Site>> {
    let home = (key ^ key >> 12 ^ key >> 40) as usize;
    for step in 0..8 {
        let Some(site) = SITES.get((home + step) % ROOM) else { continue };
        match site.address.load(Ordering::Acquire) {
            0 => return Err(Some(site)),
            known if known == key => return Ok(site),
            _ => {}
        }
    }
    Err(None)
}

/// In a forked child, whose only thread does not resolve: who did is not there.
pub fn forked() {
    if BUSY.load(Ordering::Relaxed) != 0 {
        // What it was at is half made: left as it is, and begun anew.
        // SAFETY: the child's only thread is here.
        core::mem::forget(unsafe { (*NAMES.0.get()).take() });
        BUSY.store(0, Ordering::Relaxed);
    }
}

impl Site {
    fn known(&self) -> Option<&'static Known> {
        // SAFETY: a leaked box, never changed once its address is stored.
        unsafe { self.known.load(Ordering::Acquire).as_ref() }
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
            names.modules = {
                let me = process::me(recorder);
                loaded(&reader.processes(), &reader.modules(), (me.slot, me.pid), u64::MAX)
            };
        }
        names.records = records;
    }
    let frames = names.symbols.resolve(&names.modules, task.address, false).to_vec();
    let mut room = [0; CALLER_BYTES];
    let mut caller = Line::new(&mut room);
    if let Some(frame) = frames.first() {
        logline::caller(&mut caller, frame);
    }
    let caller = caller.as_bytes().to_vec();
    task.site.known.store(Box::into_raw(Box::new(Known { frames, caller })), Ordering::Release);
}
