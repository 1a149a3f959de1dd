//! Call stacks: raw return addresses, found by the unwind tables of the files loaded at start.
//!
//! Nothing is read but the calling thread's own stack, as far up as it is known to be mapped; nothing is allocated: the
//! unwinder's caches are made at start, and a caller that finds them all busy keeps no stack.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use framehop::{ExplicitModuleSectionInfo, Module, MustNotAllocateDuringUnwind, Unwinder};
use once_cell::race::OnceBox;
use shmaudit_core::record::MAX_FRAMES;

use crate::{elf, escape, sys};

#[cfg(target_arch = "x86_64")]
use framehop::x86_64::{CacheX86_64 as Cache, UnwindRegsX86_64 as Registers, UnwinderX86_64 as Native};

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::{CacheAarch64 as Cache, UnwindRegsAarch64 as Registers, UnwinderAarch64 as Native};

type Caches = Cache<MustNotAllocateDuringUnwind>;

struct Slot {
    /// Thread pointer of who uses it, 0 for nobody.
    owner: AtomicUsize,
    /// Where a panic goes.
    way_back: AtomicUsize,
    cache: UnsafeCell<Caches>,
    memos: UnsafeCell<Box<[Memo; MEMOS]>>,
}

/// Where a walk begins, and how far it may go.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Start {
    pc: usize,
    sp: usize,
    fp: usize,
    end: usize,
    most: usize,
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
        }
    }
}

struct Stacks {
    unwinder: Native<&'static [u8], MustNotAllocateDuringUnwind>,
    /// Ranges of the loaded files, sorted.
    code: Vec<(usize, usize)>,
    own: (usize, usize),
    slots: Vec<Slot>,
}

// SAFETY: the unwinder is only read after it was made; a slot's cache is only used by its owner.
unsafe impl Sync for Stacks {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Stacks {}

static STACKS: OnceBox<Stacks> = OnceBox::new();
/// An address at the top of the first thread's stack.
static MAIN_TOP: AtomicUsize = AtomicUsize::new(0);

const CACHES: usize = 8;
/// Walks remembered per cache.
const MEMOS: usize = 32;
/// Words that a remembered walk may have read: two a frame.
const MEMO_READS: usize = 2 * MAX_FRAMES;
/// The kernel leaves at least this much free below the first thread's stack top.
const MAIN_REACH: usize = 120 << 20;
/// Thread stacks are taken to be no larger; their descriptor stands at their top.
const THREAD_REACH: usize = 64 << 20;

/// Reads the loaded files' unwind tables. `top` is an address above the first thread's frames.
pub fn start(top: usize) {
    MAIN_TOP.store(top, Ordering::Relaxed);
    let mut stacks = Stacks {
        unwinder: Native::new(),
        code: Vec::new(),
        own: (0, 0),
        slots: (0..CACHES).map(|_| Slot::new()).collect(),
    };
    let own = elf::own_address();
    elf::modules(|module| {
        if module.holds(own) {
            stacks.own = (module.start, module.end);
        }
        if let Some(unwind) = unwind_tables(module) {
            stacks.unwinder.add_module(unwind);
            stacks.code.push((module.start, module.end));
        }
        true
    });
    stacks.code.sort_unstable();
    let _ = STACKS.set(Box::new(stacks));
}

fn unwind_tables(module: &elf::Module) -> Option<Module<&'static [u8]>> {
    let (hdr_at, hdr) = module.eh_frame_hdr()?;
    // version, encodings, then the address of .eh_frame: "pc-relative, 4 bytes signed" is what linkers write.
    if hdr.first() != Some(&1) || hdr.get(1) != Some(&0x1b) {
        return None;
    }
    let offset = i32::from_le_bytes(hdr.get(4..8)?.try_into().ok()?);
    let frame_at = (hdr_at + 4).checked_add_signed(offset as isize)?;
    let frame = module.bytes(frame_at, module.segment_end(frame_at)?.checked_sub(frame_at)?)?;
    Some(Module::new(
        String::new(),
        module.start as u64..module.end as u64,
        module.bias as u64,
        ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_hdr_svma: Some(hdr_at as u64..(hdr_at + hdr.len()) as u64),
            eh_frame_hdr: Some(hdr),
            eh_frame_svma: Some(frame_at as u64..(frame_at + frame.len()) as u64),
            eh_frame: Some(frame),
            ..ExplicitModuleSectionInfo::default()
        },
    ))
}

/// The address up to which the stack that `sp` is on may be read.
fn readable_end(sp: usize) -> usize {
    let main = MAIN_TOP.load(Ordering::Relaxed);
    if sp < main && main - sp < MAIN_REACH {
        return main;
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
pub fn capture(room: &mut [MaybeUninit<u64>; MAX_FRAMES], most: usize) -> &[u64] {
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
    let count = walk(room, most, pc, sp, fp).unwrap_or(0);
    // SAFETY: `walk` wrote the first `count` elements.
    unsafe { core::slice::from_raw_parts(room.as_ptr().cast(), count.min(MAX_FRAMES)) }
}

/// What one walk works on: by pointer, so that nothing needs dropping when a panic ends it.
struct Walk<'a> {
    stacks: &'static Stacks,
    slot: &'static Slot,
    memo: &'a mut Memo,
    start: Start,
}

fn walk(room: &mut [MaybeUninit<u64>; MAX_FRAMES], most: usize, pc: usize, sp: usize, fp: usize) -> Option<usize> {
    let stacks = STACKS.get()?;
    let thread = sys::thread_pointer();
    let home = thread >> 12;
    let slot = (0..CACHES)
        .filter_map(|step| stacks.slots.get((home + step) % CACHES))
        .find(|slot| slot.owner.compare_exchange(0, thread, Ordering::Acquire, Ordering::Relaxed).is_ok())?;
    // SAFETY: `owner` was ours to set, so the memos are ours until it is cleared.
    let memos = unsafe { &mut *slot.memos.get() };
    let start = Start { pc, sp, fp, end: readable_end(sp), most };
    let memo = memos.get_mut((sp >> 4 ^ pc >> 2) % MEMOS)?;
    if !memo.holds(&start) {
        memo.start = Start::default();
        memo.reads_used = 0;
        memo.frames_used = 0;
        let mut walk = Walk { stacks, slot, memo, start };
        // SAFETY: both pointers outlive the call; nothing in a walk needs dropping.
        if unsafe { escape::guarded(slot.way_back.as_ptr(), follow, (&raw mut walk).cast()) } == 0 {
            walk.memo.start = start;
        }
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
    let Some(stacks) = STACKS.get() else { return };
    let thread = sys::thread_pointer();
    if let Some(slot) = stacks.slots.iter().find(|slot| slot.owner.load(Ordering::Relaxed) == thread) {
        // SAFETY: the owner is inside the guarded call that stored the way back.
        unsafe { escape::escape(slot.way_back.load(Ordering::Relaxed)) }
    }
}

/// Follows the unwind tables up the stack into the memo. Returns 0 where what it found may be used again.
unsafe extern "C" fn follow(walk: *mut core::ffi::c_void) -> usize {
    // SAFETY: `walk` passes its own, exclusively.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    // SAFETY: `owner` was ours to set, so the cache is ours until it is cleared.
    let cache = unsafe { &mut *walk.slot.cache.get() };
    let Start { pc, sp, fp, end, most } = walk.start;
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
    let stacks = walk.stacks;
    let mut frames = stacks.unwinder.iter_frames(pc as u64, registers, cache, &mut read);
    while let Ok(Some(frame)) = frames.next() {
        let address = frame.address();
        let at = address as usize;
        if (stacks.own.0..stacks.own.1).contains(&at) {
            continue;
        }
        let Some(place) = walk.memo.frames.get_mut(walk.memo.frames_used) else { break };
        *place = address;
        walk.memo.frames_used += 1;
        if walk.memo.frames_used >= most {
            break;
        }
        // What is not in a file loaded at start has no tables here: a guess could lead anywhere.
        let known = stacks.code.partition_point(|&(start, _)| start <= at).checked_sub(1).and_then(|at| stacks.code.get(at));
        if known.is_none_or(|&(_, end)| at >= end) {
            break;
        }
    }
    usize::from(forgetful)
}
