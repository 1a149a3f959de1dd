//! Leaving a frame on aarch64: what the tables say becomes a rule, and the rule is followed.

use shmaudit_core::cfi::{Base, Row, Saved};

use super::Step;
use crate::code;
use crate::rules::{self, Key, Rule};
use crate::stack::Position;
use crate::sys;

impl Step<'_> {
    /// Leaves the frame.
    pub(super) fn leave(&mut self) -> Option<()> {
        let at = &mut self.position;
        if at.sure && !at.is_return && (self.loaded.is_trampoline(at.place as usize) || at.is_handlers_return()) {
            at.may_read(self.limits, true);
            return if at.is_too_far() { None } else { interrupted(at) };
        }
        // Behind a guess the tables are of no use: most count from the stack pointer.
        let row = if at.sure { self.loaded.row(at.place as usize) } else { None };
        at.may_read(self.limits, row.is_some());
        if at.is_too_far() {
            return None;
        }
        let Some(row) = row else { return if at.leave(Rule::CHAINED, &mut ()) { Some(()) } else { None } };
        if row.link == Saved::Same && !at.is_return {
            return in_register(at, &row);
        }
        let rule = rule(&row)?;
        if !code::is_closing()
            && let Some(key) = Key::new(at.place, self.limits.era)
        {
            rules::remember(key, rule.own(self.loaded.is_own(at.place as usize)));
        }
        if at.leave(rule, &mut ()) { Some(()) } else { None }
    }
}

impl Position {
    /// Whether it is where signal handlers return to, in a page of no file: where there is no vDSO, emulators put it there. The
    /// position is then one that was not left by a call.
    pub(super) fn is_handlers_return(&mut self) -> bool {
        let start = if self.is_return { self.place + 1 } else { self.place };
        let ends_here = start & 0xfff <= 0xff8;
        // SAFETY: code that this thread will run, in a page that the kernel shows as such.
        let is = self.sure && start & 3 == 0 && ends_here && unsafe { code::returns_from_handler(start as usize) };
        if is {
            (self.place, self.is_return) = (start, false);
        }
        is
    }
}

/// As a rule. `None` where there is none for it.
fn rule(row: &Row) -> Option<Rule> {
    let place = |saved: i64| u64::try_from(row.distance.checked_add(saved)?).ok();
    let saved = match row.fp {
        Saved::At(saved) => Some(place(saved)?),
        Saved::Same => None,
        Saved::Nowhere | Saved::Elsewhere => return None,
    };
    match row.link {
        Saved::At(link) => {
            Rule::saving(row.base? == Base::Frame, u64::try_from(row.distance).ok()?, saved, place(link)?)
        }
        // Nobody called, or it was not interrupted and cannot be without.
        Saved::Same | Saved::Nowhere => Some(Rule::outermost()),
        Saved::Elsewhere => None,
    }
}

/// From a function that was interrupted while its return address was in the register.
fn in_register(at: &mut Position, row: &Row) -> Option<()> {
    let base = if row.base? == Base::Frame { at.fp } else { at.sp };
    let sp = base.wrapping_add_signed(row.distance);
    let fp = match row.fp {
        Saved::At(saved) => at.read(sp.wrapping_add_signed(saved))?,
        _ => at.fp,
    };
    let pc = sys::without_signature(at.link);
    if sp < at.sp || sp > at.end || pc == 0 {
        return None;
    }
    *at = Position { place: pc.wrapping_sub(1), is_return: true, sp, fp, ..*at };
    Some(())
}

/// To what a signal interrupted, by the context that the kernel left on the stack for its return.
fn interrupted(at: &mut Position) -> Option<()> {
    // siginfo_t takes 128 bytes, ucontext_t's flags, link, stack and mask 176; a fault's address; x0 to x30, sp, pc.
    let word = |number: u64| at.read(at.sp + 128 + 176 + 8 + number * 8);
    let (fp, link, sp, place) = (word(29)?, word(30)?, word(31)?, word(32)?);
    if sp & 7 != 0 {
        return None;
    }
    *at = Position { place, is_return: false, sp, fp, link, ..*at };
    Some(())
}
