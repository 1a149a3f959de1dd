//! Leaving a frame on x86-64: by framehop, from which the rules are learned.

use framehop::x86_64::{CacheX86_64 as Cache, UnwindRegsX86_64 as Registers};
use framehop::{FrameAddress, MustNotAllocateDuringUnwind, Unwinder};

use super::Step;
use crate::code::{self, Entry};
use crate::rules::{self, Key, Rule};
use crate::stack::Position;

/// What framehop remembers.
pub(super) type Caches = Cache<MustNotAllocateDuringUnwind>;

impl Step<'_> {
    /// Leaves the frame.
    pub(super) fn leave(&mut self) -> Option<()> {
        let at = &mut self.position;
        if at.sure && !at.is_return && self.loaded.is_trampoline(at.place as usize) {
            at.may_read(self.limits, true);
            return if at.is_too_far() { None } else { interrupted(at) };
        }
        let place = at.place as usize;
        let entry = self.loaded.entry(place);
        at.may_read(self.limits, entry != Entry::None);
        if at.is_too_far() {
            return None;
        }
        let before = *at;
        let left = self.left(&before, before.fp)?;
        if entry == Entry::Plain
            && !code::is_closing()
            && let (Some(rule), Some(key)) = (self.rule(&before, &left), Key::new(before.place, self.limits.era))
        {
            rules::remember(key, rule.own(self.loaded.is_own(place)));
        }
        let (pc, mut sp) = (left.back.ok()??, left.sp);
        if let Entry::Realigned(offset) = entry
            // The caller's stack pointer lies in the frame; it is right if the return address lies below it.
            && let Some(caller) = before.read(before.fp.wrapping_add_signed(offset as i64))
            && caller >= sp
            && before.read(caller - 8) == Some(pc)
        {
            sp = caller;
        }
        self.position = Position { place: pc.wrapping_sub(1), is_return: true, sp, fp: left.fp, ..before };
        Some(())
    }

    /// Leaves the frame at `before` with another frame pointer there.
    fn left(&self, before: &Position, fp: u64) -> Option<Left> {
        // SAFETY: the slot is ours, so its cache is.
        let cache = unsafe { &mut *self.slot.cache.get() };
        let mut reads = Reads::default();
        let mut read = |address| reads.read(before, address);
        let address = address(before)?;
        let mut registers = Registers::new(address.address(), before.sp, fp);
        let back = self.loaded.unwinder(before.place as usize).unwind_frame(address, &mut registers, cache, &mut read);
        Some(Left { back: back.map_err(|_| ()), sp: registers.sp(), fp: frame_pointer(&registers), reads })
    }

    /// The rule that the frame was left by, if it was left in one of the ways that there are rules for.
    fn rule(&self, before: &Position, left: &Left) -> Option<Rule> {
        // A frame pointer that leads nowhere: where it makes no difference, it was not what was followed.
        const NOWHERE: u64 = 1;
        let without = self.left(before, NOWHERE)?;
        if left.back == Ok(None) && without.back == Ok(None) && left.reads.used + without.reads.used == 0 {
            return Some(Rule::outermost());
        }
        left.back.ok()??;
        let beside = left.reads.beside(left.sp.checked_sub(8)?)?;
        if without.back == left.back && without.sp == left.sp {
            let saved = match beside {
                Some(at) if without.fp == left.fp => Some(at.checked_sub(before.sp)?),
                None if without.fp == NOWHERE => None,
                _ => return None,
            };
            return Rule::by_stack_pointer(left.sp.checked_sub(before.sp)?, saved);
        }
        let chained = without.back.is_err() && beside == Some(before.fp) && before.fp.checked_add(16) == Some(left.sp);
        if chained { Some(Rule::by_frame_pointer()) } else { None }
    }
}

/// As the unwinder has it.
fn address(at: &Position) -> Option<FrameAddress> {
    match at.is_return {
        true => FrameAddress::from_return_address(at.place.wrapping_add(1)),
        false => Some(FrameAddress::from_instruction_pointer(at.place)),
    }
}

/// How a frame was left: the return address if there is a caller, the caller's registers, what was read.
struct Left {
    back: Result<Option<u64>, ()>,
    sp: u64,
    fp: u64,
    reads: Reads,
}

/// What was read to leave a frame: no more than two words where there is a rule for it.
#[derive(Default)]
struct Reads {
    places: [u64; 2],
    used: usize,
}

impl Reads {
    fn read(&mut self, at: &Position, address: u64) -> Result<u64, ()> {
        if let Some(place) = self.places.get_mut(self.used) {
            *place = address;
        }
        self.used += 1;
        at.read(address).ok_or(())
    }

    /// What was read before `place`, if anything; `None` where `place` was not the last read, or more than two were.
    fn beside(&self, place: u64) -> Option<Option<u64>> {
        match (self.used, self.places) {
            (1, [one, _]) if one == place => Some(None),
            (2, [one, two]) if two == place && one != place => Some(Some(one)),
            _ => None,
        }
    }
}

fn frame_pointer(registers: &Registers) -> u64 {
    registers.bp()
}

/// To what a signal interrupted, by the context that the kernel left on the stack for its return.
fn interrupted(at: &mut Position) -> Option<()> {
    // ucontext_t: flags, link and stack take 40 bytes, then come the registers r8 to r15, rdi, rsi, rbp, …, rsp, rip.
    let word = |number: u64| at.read(at.sp + 40 + number * 8);
    let (fp, sp, place) = (word(10)?, word(15)?, word(16)?);
    if sp & 7 != 0 {
        return None;
    }
    *at = Position { place, is_return: false, sp, fp, ..*at };
    Some(())
}
