//! Call stacks: raw return addresses, found by the unwind tables of the loaded files (`code`).
//!
//! Nothing is read but the calling thread's own stack, as far up as it is known to be mapped; nothing is allocated: the
//! unwinder's caches are made at start, and a caller that finds them all busy keeps no stack.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use framehop::{MustNotAllocateDuringUnwind, Unwinder};
use once_cell::race::OnceBox;
use shmaudit_core::record::MAX_FRAMES;

use crate::code::{self, Loaded};
use crate::recorder::Recorder;
use crate::{escape, sys};

#[cfg(target_arch = "x86_64")]
use framehop::x86_64::{CacheX86_64 as Cache, UnwindRegsX86_64 as Registers};

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::{CacheAarch64 as Cache, UnwindRegsAarch64 as Registers};

type Caches = Cache<MustNotAllocateDuringUnwind>;

struct Slot {
    /// Thread pointer of who uses it, 0 for nobody.
    owner: AtomicUsize,
    /// Where a panic goes.
    way_back: AtomicUsize,
    cache: UnsafeCell<Caches>,
    memos: UnsafeCell<Box<[Memo; MEMOS]>>,
    /// End of a stack to walk on; 0 where there was no memory for one.
    stack: usize,
}

/// Where a walk begins, and how far it may go.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Start {
    pc: usize,
    sp: usize,
    fp: usize,
    end: usize,
    most: usize,
    generation: usize,
}

/// A walk that was made, with everything that it read. Walking is a function of where it begins and of what it reads, so
/// the same beginning and unchanged words give the same frames: reading them again is all there is to do.
struct Memo {
    start: Start,
    reads: [(usize, u64); MEMO_READS],
    reads_used: usize,
    frames: [u64; MAX_FRAMES],
    frames_used: usize,
}

impl Memo {
    fn holds(&self, start: &Start) -> bool {
        self.start == *start
            && self.reads.iter().take(self.reads_used).all(|&(at, value)| {
                // SAFETY: the walk read it on this very stack: same stack pointer, same readable end.
                unsafe { core::ptr::read_volatile(at as *const u64) == value }
            })
    }
}

impl Slot {
    fn new() -> Slot {
        // SAFETY: all zeros is a memo of nothing: integers only.
        let memos = unsafe { Box::<[Memo; MEMOS]>::new_zeroed().assume_init() };
        Slot {
            owner: AtomicUsize::new(0),
            way_back: AtomicUsize::new(0),
            cache: UnsafeCell::new(Caches::new_in()),
            memos: UnsafeCell::new(memos),
            stack: sys::map_anonymous(STACK_BYTES, libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_STACK)
                .map_or(0, |stack| stack as usize + STACK_BYTES),
        }
    }
}

struct Slots(Vec<Slot>);

// SAFETY: a slot's cache and memos are only used by its owner.
unsafe impl Sync for Slots {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Slots {}

static SLOTS: OnceBox<Slots> = OnceBox::new();
/// An address at the top of the first thread's stack.
static MAIN_TOP: AtomicUsize = AtomicUsize::new(0);

const CACHES: usize = 8;
/// A handler of the program's that comes while a walk is on it has the rest.
const STACK_BYTES: usize = 256 << 10;
/// Walks remembered per cache.
const MEMOS: usize = 32;
/// Words that a remembered walk may have read: two a frame.
const MEMO_READS: usize = 2 * MAX_FRAMES;
/// Files loaded since the start that one walk may discover.
const DISCOVERIES: usize = 4;
/// The kernel leaves at least this much free below the first thread's stack top.
const MAIN_REACH: usize = 120 << 20;
/// Thread stacks are taken to be no larger; their descriptor stands at their top.
const THREAD_REACH: usize = 64 << 20;

/// Makes what walks need. `top` is an address above the first thread's frames.
pub fn start(top: usize) {
    MAIN_TOP.store(top, Ordering::Relaxed);
    code::start();
    let _ = SLOTS.set(Box::new(Slots((0..CACHES).map(|_| Slot::new()).collect())));
}

/// Whether `sp` is on the first thread's stack.
fn is_main(sp: usize) -> bool {
    let main = MAIN_TOP.load(Ordering::Relaxed);
    sp < main && main - sp < MAIN_REACH
}

/// The address up to which the stack that `sp` is on may be read.
fn readable_end(sp: usize) -> usize {
    if is_main(sp) {
        return MAIN_TOP.load(Ordering::Relaxed);
    }
    let thread = sys::thread_pointer();
    if sp < thread && thread - sp < THREAD_REACH {
        return thread;
    }
    // A stack that is not the thread's own: the page that is in use is certain.
    (sp | 4095) + 1
}

/// The return addresses of the calling hook's caller and of its callers, innermost first, at most `most`.
#[inline(always)]
pub fn capture<'r>(room: &'r mut [MaybeUninit<u64>; MAX_FRAMES], most: usize, recorder: &Recorder) -> &'r [u64] {
    if most == 0 {
        return &[];
    }
    let (pc, sp, fp): (usize, usize, usize);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: copies three registers.
    unsafe {
        core::arch::asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) pc, out(reg) sp, out(reg) fp,
                         options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: copies three registers.
    unsafe {
        core::arch::asm!("adr {}, .", "mov {}, sp", "mov {}, x29", out(reg) pc, out(reg) sp, out(reg) fp,
                         options(nomem, nostack, preserves_flags));
    }
    let count = walk(room, most, (pc, sp, fp), recorder).unwrap_or(0);
    // SAFETY: `walk` wrote the first `count` elements.
    unsafe { core::slice::from_raw_parts(room.as_ptr().cast(), count.min(MAX_FRAMES)) }
}

/// What one walk works on: by pointer, so that nothing needs dropping when a panic ends it.
struct Walk<'a> {
    recorder: &'a Recorder,
    slot: &'static Slot,
    memo: &'a mut Memo,
    start: Start,
}

fn walk(
    room: &mut [MaybeUninit<u64>; MAX_FRAMES],
    most: usize,
    (pc, sp, fp): (usize, usize, usize),
    recorder: &Recorder,
) -> Option<usize> {
    let slots = SLOTS.get()?;
    let thread = sys::thread_pointer();
    let home = thread >> 12;
    let slot = (0..CACHES)
        .filter_map(|step| slots.0.get((home + step) % CACHES))
        .find(|slot| slot.owner.compare_exchange(0, thread, Ordering::Acquire, Ordering::Relaxed).is_ok())?;
    // SAFETY: `owner` was ours to set, so the memos are ours until it is cleared.
    let memos = unsafe { &mut *slot.memos.get() };
    let memo = memos.get_mut((sp >> 4 ^ pc >> 2) % MEMOS)?;
    let loaded = code::current()?;
    let start = Start { pc, sp, fp, end: readable_end(sp), most, generation: loaded.generation };
    if !memo.holds(&start) {
        let mut walk = Walk { recorder, slot, memo, start };
        // Reading unwind tables takes some kilobytes. The first thread has them; others may have hardly more than a page.
        let stack = if is_main(sp) { 0 } else { slot.stack };
        // SAFETY: both pointers outlive the call, the stack is the slot's own; nothing in a walk needs dropping.
        unsafe { escape::guarded(slot.way_back.as_ptr(), explore, (&raw mut walk).cast(), stack) };
    }
    let count = memo.frames_used.min(most);
    for (place, &frame) in room.iter_mut().zip(memo.frames.iter().take(count)) {
        place.write(frame);
    }
    slot.owner.store(0, Ordering::Release);
    Some(count)
}

/// In a forked child: the walks that other threads were making are the parent's, and what they had remembered is half done.
pub fn forked() {
    let Some(slots) = SLOTS.get() else { return };
    for slot in slots.0.iter().filter(|slot| slot.owner.load(Ordering::Relaxed) != 0) {
        // SAFETY: this process has one thread, and it is not in a walk: walks do not fork.
        for memo in unsafe { &mut *slot.memos.get() }.iter_mut() {
            memo.start = Start::default();
        }
        slot.owner.store(0, Ordering::Relaxed);
    }
}

/// Called by the panic handler: goes back to the walk that this thread is in, if it is in one.
pub fn leave_walk() {
    let Some(slots) = SLOTS.get() else { return };
    let thread = sys::thread_pointer();
    if let Some(slot) = slots.0.iter().find(|slot| slot.owner.load(Ordering::Relaxed) == thread) {
        // SAFETY: the owner is inside the guarded call that stored the way back.
        unsafe { escape::escape(slot.way_back.load(Ordering::Relaxed)) }
    }
}

/// Walks, and walks again where that showed files that were loaded since the start.
unsafe extern "C" fn explore(walk: *mut core::ffi::c_void) -> usize {
    // SAFETY: `walk` passes its own, exclusively.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    for _ in 0..=DISCOVERIES {
        let Some(loaded) = code::current() else { return 0 };
        walk.start.generation = loaded.generation;
        walk.memo.start = Start::default();
        walk.memo.reads_used = 0;
        walk.memo.frames_used = 0;
        let unknown = follow(walk, loaded);
        if unknown == 0 || !code::learn(walk.recorder, unknown) {
            break;
        }
    }
    0
}

/// Follows the unwind tables up the stack into the memo. Returns where it had to stop for want of a file that it knows.
fn follow(walk: &mut Walk, loaded: &Loaded) -> usize {
    // SAFETY: `owner` was ours to set, so the cache is ours until it is cleared.
    let cache = unsafe { &mut *walk.slot.cache.get() };
    let Start { pc, sp, fp, end, most, generation: _ } = walk.start;
    let (reads, used) = (&mut walk.memo.reads, &mut walk.memo.reads_used);
    let mut forgetful = false;
    let mut read = |address: u64| {
        let at = address as usize;
        if at < sp || at & 7 != 0 || at > end - 8 {
            return Err(());
        }
        // SAFETY: between the stack pointer and the end of the mapped stack.
        let value = unsafe { core::ptr::read_volatile(at as *const u64) };
        match reads.get_mut(*used) {
            Some(read) => *read = (at, value),
            None => forgetful = true,
        }
        *used += 1;
        Ok(value)
    };
    #[cfg(target_arch = "x86_64")]
    let registers = Registers::new(pc as u64, sp as u64, fp as u64);
    #[cfg(target_arch = "aarch64")]
    let registers = Registers::new(pc as u64, sp as u64, fp as u64);
    let mut unknown = 0;
    let mut frames = loaded.unwinder.iter_frames(pc as u64, registers, cache, &mut read);
    while let Ok(Some(frame)) = frames.next() {
        let address = frame.address();
        let at = address as usize;
        if loaded.is_own(at) {
            continue;
        }
        let Some(place) = walk.memo.frames.get_mut(walk.memo.frames_used) else { break };
        *place = address;
        walk.memo.frames_used += 1;
        if walk.memo.frames_used >= most {
            break;
        }
        // What is in no known file has no tables: a guess could lead anywhere.
        if !loaded.holds(at - 1) {
            unknown = at - 1;
            break;
        }
    }
    if !forgetful {
        walk.memo.start = walk.start;
    }
    unknown
}
