//! Call stacks: raw return addresses, found by the unwind tables of the loaded files (`code`).
//!
//! Nothing is read but the calling thread's own stack, as far up as it is known to be mapped; nothing is allocated: the
//! unwinder's caches are made at start, and a caller that finds them all busy keeps no stack.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use framehop::{FrameAddress, MustNotAllocateDuringUnwind, Unwinder};
use once_cell::race::OnceBox;
use shmaudit_core::record::MAX_FRAMES;

use crate::code::{self, Entry, Learned, Loaded};
use crate::recorder::Recorder;
use crate::{escape, process, sys};

#[cfg(target_arch = "x86_64")]
use framehop::x86_64::{CacheX86_64 as Cache, UnwindRegsX86_64 as Registers};

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::{CacheAarch64 as Cache, UnwindRegsAarch64 as Registers};

type Caches = Cache<MustNotAllocateDuringUnwind>;

struct Slot {
    /// Thread pointer of who uses it, 0 for nobody.
    owner: AtomicUsize,
    /// Its thread id, and its stack pointer when it began.
    thread: AtomicU32,
    began: AtomicUsize,
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
                // SAFETY: where a walk reads next follows from where it begins and from what it has read, and that is
                // the same up to here; so this walk too may read it.
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
            thread: AtomicU32::new(0),
            began: AtomicUsize::new(0),
            way_back: AtomicUsize::new(0),
            cache: UnsafeCell::new(Caches::new_in()),
            memos: UnsafeCell::new(memos),
            stack: sys::map_anonymous(STACK_BYTES, libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_STACK)
                .map_or(0, |stack| stack as usize + STACK_BYTES),
        }
    }
}

impl Slot {
    /// Where all are taken: takes one whose walk nobody will end. Its thread is gone (cancelled in the midst of it), or it
    /// was this thread's own, on the first stack below here, left by a `longjmp` out of a handler.
    #[cold]
    fn take_over(&self, thread: usize, sp: usize) -> bool {
        let owner = self.owner.load(Ordering::Relaxed);
        let began = self.began.load(Ordering::Relaxed);
        let left = owner == thread && is_main(sp) && is_main(began) && began < sp && !sys::is_on_signal_stack();
        let gone = || !process::has_thread(self.thread.load(Ordering::Relaxed));
        (left || gone()) && self.owner.compare_exchange(owner, thread, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// In a forked child: the walks of other threads are not there.
pub fn forked() {
    let Some(slots) = SLOTS.get() else { return };
    let thread = sys::thread_pointer();
    for slot in slots.0.iter().filter(|slot| slot.owner.load(Ordering::Relaxed) != thread) {
        // A walk in the midst of a memo has it marked as of nothing.
        slot.owner.store(0, Ordering::Release);
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
/// How far below it that stack may reach: what lies beyond may be anything.
static MAIN_REACH: AtomicUsize = AtomicUsize::new(0);

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
const MAIN_MOST: usize = 120 << 20;
/// A frame is taken to be no larger.
const FRAME_MOST: usize = 64 << 20;
/// Frames that one walk passes, the library's own among them.
const STEPS: usize = 512;

/// Makes what walks need. `top` is an address above the first thread's frames.
pub fn start(top: usize) {
    MAIN_TOP.store(top, Ordering::Relaxed);
    MAIN_REACH.store((sys::limit(libc::RLIMIT_STACK) as usize).min(MAIN_MOST), Ordering::Relaxed);
    code::start();
    let _ = SLOTS.set(Box::new(Slots((0..CACHES).map(|_| Slot::new()).collect())));
}

/// Whether `sp` is on the first thread's stack.
fn is_main(sp: usize) -> bool {
    let main = MAIN_TOP.load(Ordering::Relaxed);
    sp < main && main - sp < MAIN_REACH.load(Ordering::Relaxed)
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
        .find(|slot| slot.owner.compare_exchange(0, thread, Ordering::Acquire, Ordering::Relaxed).is_ok())
        .or_else(|| slots.0.iter().find(|slot| slot.take_over(thread, sp)))?;
    slot.thread.store(process::tid(), Ordering::Relaxed);
    slot.began.store(sp, Ordering::Relaxed);
    // SAFETY: `owner` was ours to set, so the memos are ours until it is cleared.
    let memos = unsafe { &mut *slot.memos.get() };
    let memo = memos.get_mut((sp >> 4 ^ pc >> 2) % MEMOS)?;
    let loaded = code::current()?;
    let start = Start { pc, sp, fp, most, generation: loaded.generation };
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
        if unknown == 0 {
            break;
        }
        match code::learn(walk.recorder, unknown) {
            Learned::File => {}
            Learned::Code => break,
            Learned::Data => {
                walk.memo.frames_used -= 1;
                break;
            }
        }
    }
    0
}

/// Follows the unwind tables up the stack into the memo. Returns where it had to stop for want of a file that it knows.
///
/// What may be read: on the first thread's stack all above the stack pointer; elsewhere what the tables say is the frame's,
/// for a frame that will be returned to is there. A frame without tables is left by a guess, which reads no further than
/// the page that is certain.
fn follow(walk: &mut Walk, loaded: &Loaded) -> usize {
    // SAFETY: `owner` was ours to set, so the cache is ours until it is cleared.
    let cache = unsafe { &mut *walk.slot.cache.get() };
    let Start { pc, sp, fp, most, generation: _ } = walk.start;
    let (reads, used) = (&mut walk.memo.reads, &mut walk.memo.reads_used);
    let mut forgetful = false;
    let (low, end) = (Cell::new(sp), Cell::new(sp));
    let mut read = |address: u64| {
        let at = address as usize;
        if at < low.get() || at & 7 != 0 || at > end.get().saturating_sub(8) {
            return Err(());
        }
        // SAFETY: between the stack pointer and the end of what is known to be there.
        let value = unsafe { core::ptr::read_volatile(at as *const u64) };
        match reads.get_mut(*used) {
            Some(read) => *read = (at, value),
            None => forgetful = true,
        }
        *used += 1;
        Ok(value)
    };
    let mut registers = Registers::new(pc as u64, sp as u64, fp as u64);
    let mut address = FrameAddress::from_instruction_pointer(pc as u64);
    // Whether the registers are what the tables say, and not what was guessed.
    let mut sure = true;
    let mut unknown = 0;
    for _ in 0..STEPS {
        let at = address.address_for_lookup() as usize;
        if !loaded.is_own(at) {
            // What is in a file but no code is no frame.
            if loaded.holds(at) && !loaded.is_code(at) {
                break;
            }
            let Some(place) = walk.memo.frames.get_mut(walk.memo.frames_used) else { break };
            // One after what is looked up, as return addresses are.
            *place = at as u64 + 1;
            walk.memo.frames_used += 1;
            if walk.memo.frames_used >= most {
                break;
            }
            // What is in no known file has no tables: a guess could lead anywhere.
            if !loaded.holds(at) {
                unknown = at;
                break;
            }
        }
        let here = registers.sp() as usize;
        low.set(here);
        if sure && loaded.is_trampoline(address) {
            end.set(here.saturating_add(4096));
            let Some((next, interrupted)) = interrupted(&mut read, here) else { break };
            (registers, address) = (next, interrupted);
            continue;
        }
        let entry = loaded.entry(at);
        let tells = entry != Entry::None;
        if is_main(here) {
            end.set(MAIN_TOP.load(Ordering::Relaxed));
        } else if sure && tells {
            end.set(here.saturating_add(FRAME_MOST));
        } else if sure {
            end.set((here | 4095) + 1);
        }
        sure &= tells;
        let before = registers;
        let Ok(Some(back)) = loaded.unwinder.unwind_frame(address, &mut registers, cache, &mut read) else { break };
        if let Entry::Realigned(offset) = entry {
            // The caller's stack pointer lies in the frame; it is right if the return address lies below it.
            let place = before.bp().wrapping_add_signed(offset as i64);
            if let Ok(caller) = read(place)
                && caller >= registers.sp()
                && read(caller - 8) == Ok(back)
            {
                registers.set_sp(caller);
            }
        }
        let Some(next) = FrameAddress::from_return_address(back) else { break };
        address = next;
    }
    if !forgetful {
        walk.memo.start = walk.start;
    }
    unknown
}

/// What a signal interrupted, from the context that the kernel left at `context` for its return.
#[cfg(target_arch = "x86_64")]
fn interrupted(read: &mut impl FnMut(u64) -> Result<u64, ()>, context: usize) -> Option<(Registers, FrameAddress)> {
    // ucontext_t: flags, link and stack take 40 bytes, then come the registers r8 to r15, rdi, rsi, rbp, …, rsp, rip.
    let (bp, sp, ip) = (40 + 10 * 8, 40 + 15 * 8, 40 + 16 * 8);
    let mut word = |offset: usize| read((context + offset) as u64).ok();
    let (sp, ip, bp) = (word(sp)?, word(ip)?, word(bp)?);
    Some((Registers::new(ip, sp, bp), FrameAddress::from_instruction_pointer(ip)))
}

#[cfg(not(target_arch = "x86_64"))]
fn interrupted(_: &mut impl FnMut(u64) -> Result<u64, ()>, _: usize) -> Option<(Registers, FrameAddress)> {
    None
}
