//! Call stacks: raw return addresses, innermost first.
//!
//! Here is what most calls need: frames are left by rules that are known already (`rules`). Where one is not, the unwinder
//! goes on (`unwind`). Nothing is read but the calling thread's own stack, as far up as it is known to be mapped; nothing
//! is allocated.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use shmaudit_core::record::MAX_FRAMES;

use crate::recorder::Recorder;
use crate::rules::{self, ERAS, Key, Rule};
use crate::{code, paths, sys, unwind};

/// An address at the top of the first thread's stack.
#[unsafe(link_section = ".data.hot")]
static MAIN_TOP: AtomicUsize = AtomicUsize::new(0);
/// How far below it that stack may reach: what lies beyond may be anything.
#[unsafe(link_section = ".data.hot")]
static MAIN_REACH: AtomicUsize = AtomicUsize::new(0);

/// The kernel leaves at least this much free below the first thread's stack top.
const MAIN_MOST: usize = 120 << 20;
/// A frame is taken to be no larger.
const FRAME_MOST: u64 = 64 << 20;
/// Frames that one walk passes, the library's own among them.
const STEPS: usize = 512;

/// Makes what walks need. `top` is an address above the first thread's frames.
pub fn start(top: usize) {
    MAIN_TOP.store(top, Ordering::Relaxed);
    MAIN_REACH.store((sys::limit(libc::RLIMIT_STACK) as usize).min(MAIN_MOST), Ordering::Relaxed);
    code::start();
    unwind::start();
}

/// Where frames are kept.
pub type Room = [MaybeUninit<u64>; MAX_FRAMES];

/// The return addresses of the calling hook's caller and of its callers, innermost first, at most `most`.
#[inline(always)]
pub fn capture<'r>(room: &'r mut Room, most: usize, recorder: &Recorder) -> &'r [u64] {
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
    let count = walk(room, most, (pc, sp, fp), recorder);
    // SAFETY: `walk` wrote the first `count` elements.
    unsafe { core::slice::from_raw_parts(room.as_ptr().cast(), count.min(MAX_FRAMES)) }
}

#[inline(always)]
fn walk(room: &mut Room, most: usize, (pc, sp, fp): (usize, usize, usize), recorder: &Recorder) -> usize {
    let limits = Limits::now(most);
    let mut position = Position {
        place: pc as u64,
        is_return: false,
        sp: sp as u64,
        fp: fp as u64,
        sure: true,
        end: sp as u64,
        used: 0,
        steps: 0,
        #[cfg(target_arch = "aarch64")]
        link: 0,
    };
    if let Some(used) = paths::follow(room, &position, &limits) {
        return used;
    }
    let from = position;
    if position.pass(room, &limits, &mut ()) {
        position = unwind::explore(room, position, &limits, recorder);
    } else {
        paths::remember(room, from, &limits);
    }
    position.used
}

/// Is told what a walk by rules reads of the stack.
pub trait Watch {
    /// The frame is kept.
    #[inline(always)]
    fn kept(&mut self) {}
    /// `value`, read at `at`, is a return address.
    #[inline(always)]
    fn returns(&mut self, _at: u64, _value: u64) {}
    /// `value`, read at `at`, is the caller's frame pointer.
    #[inline(always)]
    fn saved(&mut self, _at: u64, _value: u64) {}
    /// The frame is left by the frame pointer.
    #[inline(always)]
    fn leads(&mut self) {}
}

/// Nobody is told.
impl Watch for () {}

/// What stays the same during a walk.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Frames wanted.
    pub most: usize,
    /// Where the stack pointer is on the first thread's stack, and where that ends.
    main: (u64, u64),
    /// How often files had been unloaded when it began.
    pub era: u64,
}

impl Limits {
    /// For a walk that begins now.
    #[inline(always)]
    fn now(most: usize) -> Limits {
        let top = MAIN_TOP.load(Ordering::Relaxed);
        let main = (top.saturating_sub(MAIN_REACH.load(Ordering::Relaxed)) as u64 + 1, top as u64);
        // Before the list of files is looked at: what is unloaded meanwhile has another era.
        Limits { most: most.min(MAX_FRAMES), main, era: code::unloads() % ERAS }
    }

    /// Whether `sp` is on the first thread's stack.
    #[inline(always)]
    pub fn is_main(&self, sp: u64) -> bool {
        self.main.0 <= sp && sp < self.main.1
    }
}

/// Where a walk is: at a frame that is to be left.
#[derive(Clone, Copy)]
pub struct Position {
    /// An address inside the instruction that it was left by, or the first of the one that it was interrupted before.
    pub place: u64,
    /// Whether it was left by a call.
    pub is_return: bool,
    /// The stack pointer there.
    pub sp: u64,
    /// The frame pointer, or what else the register holds.
    pub fp: u64,
    /// Whether both are what the tables say, and not what was guessed.
    pub sure: bool,
    /// End of what may be read.
    pub end: u64,
    /// Frames found.
    pub used: usize,
    /// Frames passed, the library's own among them.
    pub steps: usize,
    /// Where it was interrupted: the register that calls leave the return address in.
    #[cfg(target_arch = "aarch64")]
    pub link: u64,
}

impl Position {
    /// Keeps the frame. Whether more are wanted.
    #[inline(always)]
    pub fn keep(&mut self, room: &mut Room, limits: &Limits) -> bool {
        if let Some(place) = room.get_mut(self.used) {
            // One after what is looked up, as return addresses are.
            place.write(self.place + 1);
            self.used += 1;
        }
        self.used < limits.most
    }

    /// Says how far up may be read to leave the frame. On the first thread's stack all above the stack pointer; elsewhere
    /// what the tables say is the frame's (`told`), for a frame that will be returned to is there. A frame without tables is
    /// left by a guess, which reads no further than the page that is certain.
    #[inline(always)]
    pub fn may_read(&mut self, limits: &Limits, told: bool) {
        if limits.is_main(self.sp) {
            self.end = limits.main.1;
        } else if self.sure {
            self.end = if told { self.sp.saturating_add(FRAME_MOST) } else { (self.sp | 4095) + 1 };
        }
        self.sure &= told;
    }

    /// A word of the stack, where it may be read: between the stack pointer and the end of what is known to be there.
    #[inline(always)]
    pub fn read(&self, at: u64) -> Option<u64> {
        if at < self.sp || at & 7 != 0 || at > self.end.saturating_sub(8) {
            return None;
        }
        // SAFETY: as said.
        Some(unsafe { word(at) })
    }

    /// Leaves frames as long as there are rules for them. `false`: the walk has ended.
    #[inline(always)]
    pub fn pass(&mut self, room: &mut Room, limits: &Limits, watch: &mut impl Watch) -> bool {
        let mut at = *self;
        if cfg!(target_arch = "aarch64") && !at.sure {
            // The chain of frame pointers does not tell where frames end, which rules count from.
            return true;
        }
        let Some(free) = room.get_mut(at.used..limits.most) else { return false };
        let mut free = free.iter_mut();
        // Rules lead upwards only, so the first thread's stack is not left again.
        let is_main = limits.is_main(at.sp);
        at.may_read(limits, true);
        let goes_on = loop {
            let Some(rule) = Key::new(at.place, limits.era).and_then(rules::find) else { break true };
            if !rule.is_own() {
                // One after what is looked up, as return addresses are.
                if let Some(frame) = free.next() {
                    frame.write(at.place + 1);
                }
                watch.kept();
                if free.len() == 0 {
                    break false;
                }
            }
            if !is_main {
                at.may_read(limits, true);
            }
            if !at.leave(rule, watch) || at.is_too_far() {
                break false;
            }
        };
        at.used = limits.most - free.len();
        *self = at;
        goes_on
    }

    /// Whether it has gone on for too long.
    #[inline(always)]
    pub fn is_too_far(&mut self) -> bool {
        self.steps += 1;
        self.steps >= STEPS
    }

    /// Leaves the frame by `rule`. `false`: it cannot be left.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    pub fn leave(&mut self, rule: Rule, watch: &mut impl Watch) -> bool {
        if rule.is_by_frame_pointer() {
            watch.leads();
        }
        let base = if rule.is_by_frame_pointer() { self.fp } else { self.sp };
        let sp = base.wrapping_add(rule.distance());
        if base < self.sp || sp <= base || sp > self.end || base & 7 != 0 {
            return false;
        }
        // SAFETY: aligned, and between the stack pointer and the end of what is known to be there, as are the words that a
        // rule names.
        let link = unsafe { word(base + rule.link()) };
        if let Some(saved) = rule.saved() {
            // SAFETY: as above.
            self.fp = unsafe { word(base + saved) };
            watch.saved(base + saved, self.fp);
        }
        watch.returns(base + rule.link(), link);
        let pc = sys::without_signature(link);
        (self.place, self.is_return, self.sp) = (pc.wrapping_sub(1), true, sp);
        pc != 0
    }

    /// Leaves the frame by `rule`, exactly as the unwinder did when it was learned. `false`: it cannot be left.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn leave(&mut self, rule: Rule, watch: &mut impl Watch) -> bool {
        let sp = if rule.is_by_frame_pointer() {
            watch.leads();
            let sp = self.fp.wrapping_add(16);
            if self.fp < self.sp || sp <= self.sp || sp > self.end || sp & 7 != 0 {
                return false;
            }
            // SAFETY: aligned, and between the stack pointer and the end of what is known to be there.
            let saved = unsafe { word(self.fp) };
            watch.saved(self.fp, saved);
            self.fp = saved;
            sp
        } else {
            let sp = self.sp.wrapping_add(rule.distance());
            if sp <= self.sp || sp > self.end {
                return false;
            }
            if let Some(saved) = rule.saved() {
                // SAFETY: as above: it lies between the two stack pointers.
                self.fp = unsafe { word(self.sp + saved) };
                watch.saved(self.sp + saved, self.fp);
            }
            sp
        };
        // SAFETY: as above.
        let pc = unsafe { word(sp - 8) };
        watch.returns(sp - 8, pc);
        (self.place, self.is_return, self.sp) = (pc.wrapping_sub(1), true, sp);
        pc != 0
    }
}

/// A word of the stack.
///
/// # Safety
/// It is there.
#[inline(always)]
pub unsafe fn word(at: u64) -> u64 {
    // SAFETY: the caller vouches.
    unsafe { core::ptr::read_volatile(at as *const u64) }
}
