//! The unwinder at work: leaves the frames that no rule is known for, by the unwind tables of the loaded files (`code`),
//! and learns the rules.
//!
//! It may panic, which ends the walk and nothing else, and it wants some kilobytes of stack. Its caches and stacks are made
//! at start; a walk that finds them all busy ends.

use alloc::boxed::Box;
use alloc::vec::Vec;
#[cfg(target_arch = "x86_64")]
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use once_cell::race::OnceBox;

use crate::code::{self, Learned, Loaded};
use crate::recorder::Recorder;
use crate::stack::{Limits, Position, Room};
use crate::{escape, filter, process, sys};

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
use x86_64::Caches;

/// What the unwinder works with where no rule is known.
struct Slot {
    /// Thread pointer of who uses it, 0 for nobody.
    owner: AtomicUsize,
    /// Its thread id, and its stack pointer when it began.
    thread: AtomicU32,
    began: AtomicU64,
    /// When that was, counted in walks.
    turn: AtomicU64,
    /// Where a panic goes.
    way_back: AtomicUsize,
    #[cfg(target_arch = "x86_64")]
    cache: UnsafeCell<Caches>,
    /// End of a stack to work on; 0 where there was no memory for one.
    stack: usize,
}

impl Slot {
    fn new(stack: usize) -> Slot {
        Slot {
            owner: AtomicUsize::new(0),
            thread: AtomicU32::new(0),
            began: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            way_back: AtomicUsize::new(0),
            #[cfg(target_arch = "x86_64")]
            cache: UnsafeCell::new(Caches::new_in()),
            stack,
        }
    }

    /// One that is the calling thread's until its owner is cleared.
    #[cold]
    fn take(sp: u64, limits: &Limits) -> Option<&'static Slot> {
        let slots = SLOTS.get()?;
        let thread = sys::thread_pointer();
        let home = thread >> 12;
        let slot = (0..CACHES)
            .filter_map(|step| slots.0.get((home + step) % CACHES))
            .find(|slot| slot.owner.compare_exchange(0, thread, Ordering::Acquire, Ordering::Relaxed).is_ok())
            .or_else(|| slots.0.iter().find(|slot| slot.take_over(thread, sp, limits)))?;
        slot.thread.store(process::tid(), Ordering::Relaxed);
        slot.began.store(sp, Ordering::Relaxed);
        slot.turn.store(TURNS.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(slot)
    }

    /// Where all are taken: takes one whose walk nobody will end. Its thread is gone (cancelled in the midst of it), or it
    /// was this thread's own, on the first stack, left by a `longjmp` out of a handler: was it merely interrupted, what the
    /// kernel lays down for the handler would be between there and here.
    #[cold]
    fn take_over(&self, thread: usize, sp: u64, limits: &Limits) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let began = self.began.load(Ordering::Relaxed);
        if !filter::is_none() {
            // The kernel may not be asked.
            return false;
        }
        let left = owner == thread
            && limits.is_main(sp)
            && limits.is_main(began)
            && began.saturating_sub(SIGNAL_FRAME) < sp
            && !sys::is_on_signal_stack();
        let gone = || !process::has_thread(self.thread.load(Ordering::Relaxed));
        (left || gone()) && self.owner.compare_exchange(owner, thread, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// In a forked child: the walks of other threads are not there.
pub fn forked() {
    let Some(slots) = SLOTS.get() else { return };
    let thread = sys::thread_pointer();
    for slot in slots.0.iter().filter(|slot| slot.owner.load(Ordering::Relaxed) != thread) {
        slot.owner.store(0, Ordering::Release);
    }
}

/// Walks so far that no rule was known for.
static TURNS: AtomicU64 = AtomicU64::new(0);

struct Slots(Vec<Slot>);

// SAFETY: a slot's cache is only used by its owner.
unsafe impl Sync for Slots {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Slots {}

static SLOTS: OnceBox<Slots> = OnceBox::new();

const CACHES: usize = 8;
/// A signal's frame is no smaller.
const SIGNAL_FRAME: u64 = 1024;
/// A handler of the program's that comes while a walk is on it has the rest.
const STACK_BYTES: usize = 256 << 10;
/// Files loaded since the start that one walk may discover.
const DISCOVERIES: usize = 4;

/// Makes what it needs.
pub fn start() {
    let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_STACK;
    let stacks = sys::map_anonymous(CACHES * STACK_BYTES, flags).map_or(0, |stacks| stacks as usize);
    let end = |number: usize| if stacks == 0 { 0 } else { stacks + (number + 1) * STACK_BYTES };
    let _ = SLOTS.set(Box::new(Slots((0..CACHES).map(|number| Slot::new(end(number))).collect())));
}

/// A step of the unwinder's, on a stack of its own. By pointer, so that nothing needs dropping when a panic ends it.
struct Step<'a> {
    recorder: &'a Recorder,
    limits: &'a Limits,
    room: &'a mut Room,
    #[cfg(target_arch = "x86_64")]
    slot: &'static Slot,
    loaded: &'static Loaded,
    position: Position,
    /// Files that the walk has discovered so far.
    discoveries: usize,
    /// Whether the walk goes on.
    goes_on: bool,
}

/// Goes on where no rule is known.
#[cold]
#[inline(never)]
pub fn explore(room: &mut Room, position: Position, limits: &Limits, recorder: &Recorder) -> Position {
    let sp = position.sp;
    let (Some(loaded), Some(slot)) = (code::current(), Slot::take(sp, limits)) else { return position };
    let mut task = Step {
        recorder,
        limits,
        room,
        #[cfg(target_arch = "x86_64")]
        slot,
        loaded,
        position,
        discoveries: 0,
        goes_on: true,
    };
    while task.goes_on {
        task.goes_on = false;
        // Reading unwind tables takes some kilobytes. The first thread has them; others may have hardly more than a page.
        let stack = if limits.is_main(sp) { 0 } else { slot.stack };
        // SAFETY: both pointers outlive the call, the stack is the slot's own; nothing in a step needs dropping.
        unsafe { escape::guarded(slot.way_back.as_ptr(), step, (&raw mut task).cast(), stack) };
        task.goes_on = task.goes_on && task.position.pass(task.room, limits, &mut ());
    }
    slot.owner.store(0, Ordering::Release);
    task.position
}

/// Called by the panic handler: goes back to the walk that this thread is in, if it is in one.
pub fn leave_walk() {
    let Some(slots) = SLOTS.get() else { return };
    let thread = sys::thread_pointer();
    let own = slots.0.iter().filter(|slot| slot.owner.load(Ordering::Relaxed) == thread);
    // Older ones were left by jumps out of signal handlers.
    if let Some(slot) = own.max_by_key(|slot| slot.turn.load(Ordering::Relaxed)) {
        // SAFETY: the owner is inside the guarded call that stored the way back.
        unsafe { escape::escape(slot.way_back.load(Ordering::Relaxed)) }
    }
}

/// Leaves one frame by the unwind tables, and remembers the rule.
unsafe extern "C" fn step(step: *mut core::ffi::c_void) -> usize {
    // SAFETY: `explore` passes its own, exclusively.
    let step = unsafe { &mut *step.cast::<Step>() };
    step.goes_on = step.arrive() && step.leave().is_some();
    0
}

impl Step<'_> {
    /// Keeps the frame if it is one. Whether it is to be left.
    fn arrive(&mut self) -> bool {
        let at = &mut self.position;
        // No call is before what a signal handler returns to.
        if at.sure && at.is_return && self.loaded.is_trampoline(at.place as usize + 1) {
            (at.place, at.is_return) = (at.place + 1, false);
        }
        let place = at.place as usize;
        if self.loaded.is_own(place) {
            return true;
        }
        while !self.loaded.holds(place) {
            let known = self.discoveries == DISCOVERIES;
            self.discoveries += 1;
            match if known { Learned::Code } else { code::learn(self.recorder, place) } {
                Learned::File(list) => self.loaded = list,
                // What is in no file has no tables: a guess could lead anywhere.
                Learned::Code => {
                    #[cfg(target_arch = "aarch64")]
                    if self.position.is_handlers_return() {
                        return true;
                    }
                    self.position.keep(self.room, self.limits);
                    return false;
                }
                Learned::Data => return false,
            }
        }
        // What is in a file but no code is no frame.
        self.loaded.is_code(place) && self.position.keep(self.room, self.limits)
    }
}
