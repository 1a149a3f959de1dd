//! The one audit of this process, and the path of one call through it.
//!
//! A hook starts a [`Seen`] before the real call and ends it after; what lies between is the program's own. Ending writes
//! one record, enters a new object into the registry, and logs the call where asked to.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use alloc::boxed::Box;

use shmaudit_core::calls::{Call, Trace};
use shmaudit_core::layout;
use shmaudit_core::options::Options;
use shmaudit_core::record::{
    Event, FLAG_BEFORE, FLAG_CREATED, FLAG_CUT, FLAG_MAYBE_CREATED, Family, MAX_DATA, MAX_FRAMES, ObjectId, State,
};

use crate::log::Log;
use crate::recorder::{Recorder, Ticket};
use crate::{clock, errno, process, stack, start};

/// Everything that stays the same from start to end.
pub struct Audit {
    /// Where calls are recorded.
    pub recorder: Recorder,
    /// The options in force.
    pub options: Options,
    /// Where calls are logged.
    pub log: Option<Log>,
}

static AUDIT: AtomicPtr<Audit> = AtomicPtr::new(core::ptr::null_mut());

/// 0 nobody began, 1 somebody is at it, 2 ready, 3 it does not work here.
static STAGE: AtomicU8 = AtomicU8::new(0);

/// The audit, started on the first use: hooks run before our constructor.
#[inline(always)]
pub fn get() -> Option<&'static Audit> {
    match ready() {
        Some(audit) => Some(audit),
        None => begin(None),
    }
}

/// The audit if it is ready; never starts it.
#[inline(always)]
pub fn ready() -> Option<&'static Audit> {
    let audit = AUDIT.load(Ordering::Acquire);
    // SAFETY: a leaked box, never changed.
    if audit.is_null() { None } else { Some(unsafe { &*audit }) }
}

/// Ends the audit of this process, not of its parent: a forked child that is not to be followed.
pub fn stop() {
    STAGE.store(3, Ordering::Release);
    AUDIT.store(core::ptr::null_mut(), Ordering::Release);
}

/// Starts the audit once. Whoever comes while another is at it goes without: no call waits for us.
#[cold]
pub fn begin(given: Option<start::Given>) -> Option<&'static Audit> {
    if STAGE.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return ready();
    }
    let kept = errno::Kept::new();
    let audit = start::start(given);
    STAGE.store(if audit.is_some() { 2 } else { 3 }, Ordering::Release);
    if let Some(audit) = audit {
        AUDIT.store(Box::into_raw(audit), Ordering::Release);
    }
    drop(kept);
    ready()
}

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
    audit: Option<&'static Audit>,
    call: Call,
    started: u64,
}

/// A release whose record was written before the call.
pub struct Begun<'a> {
    seen: Seen,
    about: About<'a>,
    ticket: Option<Ticket>,
}

impl Seen {
    /// A call begins.
    #[inline(always)]
    pub fn start(call: Call) -> Seen {
        let audit = get();
        Seen { audit, call, started: if audit.is_some() { clock::now() } else { 0 } }
    }

    /// As `start`, for calls that mostly are not ours: the audit is not started for them.
    #[inline(always)]
    pub fn if_ready(call: Call) -> Seen {
        let audit = ready();
        Seen { audit, call, started: if audit.is_some() { clock::now() } else { 0 } }
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
            audit.note(self, ret, errno, about);
        }
    }

    /// As `end`, for calls that return an error number.
    pub fn end_with_errno(self, ret: i32, about: About) {
        if let Some(audit) = self.audit {
            audit.note(self, i64::from(ret), ret, about);
        }
    }

    /// Notes a release before it happens, so that nobody's re-use of what it releases is noted first.
    #[inline(always)]
    pub fn begin(self, about: About<'_>) -> Begun<'_> {
        let ticket = self.audit.map(|audit| audit.note_begun(self, about));
        Begun { seen: self, about, ticket }
    }
}

impl Begun<'_> {
    /// The release has come back.
    #[inline(always)]
    pub fn end(self, ret: i64, failed: bool) {
        if let (Some(audit), Some(ticket)) = (self.seen.audit, self.ticket) {
            let errno = if failed { errno::get() } else { 0 };
            audit.note_end(self.seen, ticket, ret, errno, self.about);
        }
    }
}

impl Audit {
    /// Calls `use_it` with the record of a call as it is now.
    #[inline(always)]
    fn with_event<R>(
        &self,
        seen: Seen,
        state: State,
        ret: i64,
        errno: i32,
        about: About,
        use_it: impl FnOnce(&mut Event) -> R,
    ) -> R {
        let now = clock::now();
        let me = process::me(&self.recorder);
        let mut room = [MaybeUninit::<u64>::uninit(); MAX_FRAMES];
        let frames = stack::capture(&mut room, self.options.stacks, &self.recorder);
        let took = now.wrapping_sub(seen.started);
        let mut event = Event {
            call: seen.call,
            state,
            flags: if about.data.len() > MAX_DATA { about.flags | FLAG_CUT } else { about.flags },
            ticks: now,
            took: if took > u64::from(u32::MAX) { u32::MAX } else { took as u32 },
            errno,
            process: me.slot,
            pid: me.pid,
            tid: process::tid(),
            ret,
            order: about.mark.map_or(0, |mark| mark * 2),
            args: about.args,
            object: about.object,
            data: about.data.get(..about.data.len().min(MAX_DATA)).unwrap_or(&[]),
            frames,
        };
        use_it(&mut event)
    }

    #[inline(never)]
    fn note(&'static self, seen: Seen, ret: i64, errno: i32, about: About) {
        self.recorder.count(seen.call, errno);
        self.with_event(seen, State::Done, ret, errno, about, |event| {
            self.recorder.append(event);
            if errno == 0 && about.flags & (FLAG_CREATED | FLAG_MAYBE_CREATED) != 0 {
                self.enter(event, about);
            }
            self.log(event, about);
        });
    }

    #[inline(never)]
    fn note_begun(&self, seen: Seen, about: About) -> Ticket {
        self.with_event(seen, State::Begun, 0, 0, about, |event| {
            event.flags |= FLAG_BEFORE;
            // What the call will have taken counts from here.
            event.ticks = seen.started;
            self.recorder.append(event)
        })
    }

    #[inline(never)]
    fn note_end(&'static self, seen: Seen, ticket: Ticket, ret: i64, errno: i32, about: About) {
        self.recorder.count(seen.call, errno);
        let took = clock::now().wrapping_sub(seen.started);
        self.recorder.finish(ticket, took.min(u64::from(u32::MAX)) as u32, errno, ret);
        if self.logs(seen.call) {
            self.with_event(seen, State::Done, ret, errno, about, |event| self.log(event, about));
        }
    }

    /// Records, without counting or logging it, that a descriptor of `object` has been closed where no hook saw it.
    pub fn note_unseen_close(&self, fd: i32, object: ObjectId) {
        let seen = Seen { audit: None, call: Call::Close, started: clock::now() };
        let args = [fd as u32 as u64];
        let about = About::args(&args).object(object);
        self.with_event(seen, State::Done, 0, 0, about, |event| self.recorder.append(event));
    }

    /// Enters the object that `event` made into the registry.
    #[cold]
    fn enter(&self, event: &Event, about: About) {
        let certain = event.flags & FLAG_CREATED != 0;
        match about.object.family {
            Family::Posix if certain => self.recorder.register(layout::hash_name(about.label), event),
            // Whether the call found or made the segment is the kernel's to say, by its creator's pid.
            Family::Sysv => {
                let hash = layout::hash_shmid(about.object.shmid());
                if certain || self.recorder.find(hash).is_none() {
                    self.recorder.register(hash, event);
                }
            }
            _ => {}
        }
    }

    /// Whether calls of this kind are logged.
    #[inline(always)]
    pub fn logs(&self, call: Call) -> bool {
        self.log.is_some() && self.options.traces(call.trace())
    }

    #[inline(always)]
    fn log(&'static self, event: &Event, about: About) {
        if self.logs(event.call)
            && (event.call.trace() != Trace::Process || self.recorder.is_concerned())
            && let Some(log) = &self.log
        {
            let kept = errno::Kept::new();
            log.call(self, event, about);
            drop(kept);
        }
    }
}
