//! One call, from before the real one to after it, and what its record says.

use shmaudit_core::calls::Call;
use shmaudit_core::record::{FLAG_BEFORE, FLAG_LATE, Family, ObjectId, State};

use super::{Audit, get, ready};
use crate::recorder::Ticket;
#[cfg(feature = "wrong")]
use crate::sys;
use crate::{clock, errno};

/// What a record says of a call beyond its result.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// Arguments that are numbers, in the prototype's order.
    pub args: &'a [u64],
    /// The object.
    pub object: ObjectId,
    /// Name, path or struct.
    pub data: &'a [u8],
    /// `FLAG_…` bits.
    pub flags: u16,
    /// For a POSIX object: its name in the shm mount's directory.
    pub label: &'a [u8],
    /// For a release that could only be noted afterwards: the ring's head before it.
    pub mark: Option<u64>,
}

impl<'a> About<'a> {
    /// Arguments and nothing else.
    #[inline(always)]
    pub fn args(args: &'a [u64]) -> About<'a> {
        About { args, object: ObjectId::NONE, data: &[], flags: 0, label: &[], mark: None }
    }

    /// About `object`.
    #[inline(always)]
    pub fn object(self, object: ObjectId) -> About<'a> {
        About { object, ..self }
    }

    /// With text or bytes.
    #[inline(always)]
    pub fn data(self, data: &'a [u8]) -> About<'a> {
        About { data, ..self }
    }
}

/// A call that a hook has seen begin.
#[derive(Clone, Copy)]
pub struct Seen {
    pub(super) audit: Option<&'static Audit>,
    pub(super) call: Call,
    pub(super) started: u64,
}

/// A release whose record was written before the call.
pub struct Begun<'a> {
    seen: Seen,
    about: About<'a>,
    ticket: Option<Ticket>,
}

/// A call that may make an object, whose record was written before it.
pub struct Making<'a> {
    seen: Seen,
    about: About<'a>,
    ticket: Option<Ticket>,
}

impl Seen {
    /// A call begins.
    #[inline(always)]
    pub fn start(call: Call) -> Seen {
        #[cfg(feature = "wrong")]
        crate::wrong::in_hook();
        let audit = get();
        Seen { audit, call, started: if audit.is_some() { clock::now() } else { 0 } }
    }

    /// As `start`, for calls that mostly are not ours: the audit is not started for them.
    #[inline(always)]
    pub fn if_ready(call: Call) -> Seen {
        let audit = ready();
        #[cfg(feature = "wrong")]
        let call = crate::wrong::taken_for(call);
        Seen { audit, call, started: if audit.is_some() { clock::now() } else { 0 } }
    }

    /// Nanoseconds since the call began; `unix_ns` is the time now.
    pub fn passed(&self, unix_ns: u64) -> u64 {
        let ticks = clock::now().wrapping_sub(self.started);
        self.audit.map_or(0, |audit| clock::nanoseconds(&audit.recorder, ticks, unix_ns))
    }

    /// Which call it is.
    pub fn call(&self) -> Call {
        self.call
    }

    /// When the call began, by our clock.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// The audit that takes note, if there is one.
    pub fn audit(&self) -> Option<&'static Audit> {
        self.audit
    }

    /// The call has come back with `ret`.
    #[inline(always)]
    pub fn end(self, ret: i64, failed: bool, about: About) {
        if let Some(audit) = self.audit {
            let errno = if failed { errno::get() } else { 0 };
            audit.note(self, State::Done, ret, errno, &about);
            wrong!(ErrnoInHook => { errno::set(libc::ENOTTY) });
        }
    }

    /// As `end`, for calls that return an error number.
    pub fn end_with_errno(self, ret: i32, about: About) {
        if let Some(audit) = self.audit {
            audit.note(self, State::Done, i64::from(ret), ret, &about);
        }
    }

    /// Notes a release before it happens, so that nobody's re-use of what it releases is noted first.
    #[inline(always)]
    pub fn begin(self, about: About<'_>) -> Begun<'_> {
        wrong!(NotesAfter => { return Begun { seen: self, about, ticket: None } });
        // What the call will have taken counts from its beginning.
        let before = About { flags: about.flags | FLAG_BEFORE, ..about };
        let ticket = self.audit.map(|audit| audit.note(self, State::Begun, 0, 0, &before));
        Begun { seen: self, about, ticket }
    }

    /// Notes a call that may make an object of `family` before it is made: a process that is killed in the kernel leaves
    /// the object, and this.
    #[inline(always)]
    pub fn begin_making(self, family: Family, about: About<'_>) -> Making<'_> {
        let object = ObjectId { family, ..ObjectId::NONE };
        let late = About { flags: about.flags | FLAG_LATE, ..about.object(object) };
        let ticket = self.audit.map(|audit| audit.note(self, State::Begun, 0, 0, &late));
        Making { seen: self, about, ticket }
    }
}

impl Making<'_> {
    /// The call has come back, with `object` where it succeeded; `made`: `FLAG_…` bits; `opening`: what was found, which of a
    /// call that opens replaces its last two arguments.
    #[inline(always)]
    pub fn end(self, ret: i64, failed: bool, object: ObjectId, made: u16, opening: [u64; 2]) {
        if let (Some(audit), Some(ticket)) = (self.seen.audit, self.ticket) {
            let errno = if failed { errno::get() } else { 0 };
            audit.note_made(self.seen, ticket, ret, errno, About { flags: made, ..self.about.object(object) }, opening);
        }
    }
}

impl Begun<'_> {
    /// The release has come back.
    #[inline(always)]
    pub fn end(self, ret: i64, failed: bool) {
        wrong!(NotesAfter => {
            sys::nap(50_000);
            return self.seen.end(ret, failed, self.about);
        });
        if let (Some(audit), Some(ticket)) = (self.seen.audit, self.ticket) {
            let errno = if failed { errno::get() } else { 0 };
            audit.note_end(self.seen, ticket, ret, errno, &self.about);
        }
    }
}
