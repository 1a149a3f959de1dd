//! The one audit of this process, and the path of one call through it.
//!
//! A hook starts a [`Seen`] before the real call and ends it after; what lies between is the program's own. Ending writes
//! one record, enters a new object into the registry, and logs the call where asked to.

mod call;

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use shmaudit_core::calls::{Call, Trace};
use shmaudit_core::layout;
use shmaudit_core::options::Options;
use shmaudit_core::record::{
    Event, FLAG_CREATED, FLAG_CUT, FLAG_MAYBE_CREATED, FLAG_PAUSED, Family, LateEnd, MAX_ARGS, MAX_DATA, MAX_FRAMES,
    ObjectId, State, late_args,
};

pub use call::{About, Seen};

use crate::log::Log;
use crate::recorder::{Recorder, Ticket};
use crate::registry::Found;
use crate::{clock, errno, pause, process, stack, start};

/// Everything that stays the same from start to end.
pub struct Audit {
    /// Where calls are recorded.
    pub recorder: Recorder,
    /// The options in force.
    pub options: Options,
    /// Where calls are logged.
    pub log: Option<Log>,
}

// What every call reads stands together, in a section of its own: the program and the kernel leave little of it in the
// processor's caches between two calls.

#[unsafe(link_section = ".data.hot")]
static AUDIT: AtomicPtr<Audit> = AtomicPtr::new(core::ptr::null_mut());

struct Place(UnsafeCell<MaybeUninit<Audit>>);

// SAFETY: written once, before anybody reads it.
unsafe impl Sync for Place {}

#[unsafe(link_section = ".data.hot")]
static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));

/// The `Trace` bits of calls that are logged; 0 where there is no log.
#[unsafe(link_section = ".data.hot")]
static LOGGED: AtomicU8 = AtomicU8::new(0);

/// 0 nobody began, 1 somebody is at it, 2 ready, 3 it does not work here.
static STAGE: AtomicU8 = AtomicU8::new(0);

/// The audit, started on the first use: hooks run before our constructor.
#[inline(always)]
pub fn get() -> Option<&'static Audit> {
    match ready() {
        Some(audit) => Some(audit),
        None => {
            #[cfg(feature = "wrong")]
            crate::wrong::start();
            wrong!(NeedsConstructor => { crate::wrong::fault() });
            begin(None)
        }
    }
}

/// The audit if it is ready; never starts it.
#[inline(always)]
pub fn ready() -> Option<&'static Audit> {
    let audit = AUDIT.load(Ordering::Acquire);
    // SAFETY: written once, never changed.
    if audit.is_null() { None } else { Some(unsafe { &*audit }) }
}

/// Ends the audit of this process, not of its parent: a forked child that is not to be followed.
pub fn stop() {
    STAGE.store(3, Ordering::Release);
    AUDIT.store(core::ptr::null_mut(), Ordering::Release);
}

/// No further line is logged.
pub fn stop_logging() {
    LOGGED.store(0, Ordering::Relaxed);
}

/// Starts the audit once. Whoever comes while another is at it goes without: no call waits for us.
#[cold]
pub fn begin(given: Option<start::Given>) -> Option<&'static Audit> {
    if STAGE.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return ready();
    }
    let kept = errno::Kept::new();
    #[cfg(feature = "wrong")]
    crate::wrong::start();
    let audit = start::start(given);
    STAGE.store(if audit.is_some() { 2 } else { 3 }, Ordering::Release);
    if let Some(audit) = audit {
        LOGGED.store(if audit.log.is_some() { audit.options.trace } else { 0 }, Ordering::Relaxed);
        // SAFETY: nobody else writes it: `STAGE` was ours to set; nobody reads it before the pointer is stored.
        let place = unsafe { (*PLACE.0.get()).write(audit) };
        AUDIT.store(place, Ordering::Release);
    }
    drop(kept);
    ready()
}

impl Audit {
    /// The record of a call, written at `now`.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "what an event is made of")]
    fn event<'a>(
        &self,
        seen: Seen,
        state: State,
        ret: i64,
        errno: i32,
        about: &About<'a>,
        now: u64,
        frames: &'a [u64],
    ) -> Event<'a> {
        let me = process::me(&self.recorder);
        Event {
            call: seen.call,
            state,
            flags: pause::flag() | if about.data.len() > MAX_DATA { about.flags | FLAG_CUT } else { about.flags },
            ticks: now,
            took: now.wrapping_sub(seen.started).min(u64::from(u32::MAX)) as u32,
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
        }
    }

    /// Writes the record of a call: the one place where it happens, for it is long.
    #[inline(never)]
    fn note(&'static self, seen: Seen, state: State, ret: i64, errno: i32, about: &About) -> Ticket {
        #[cfg(feature = "wrong")]
        let _held = crate::wrong::Held::new();
        #[cfg(feature = "wrong")]
        if crate::wrong::forgets(seen.call.number()) {
            return Ticket::none();
        }
        let mut room = [MaybeUninit::uninit(); MAX_FRAMES];
        let frames = stack::capture(&mut room, self.recorder.stacks, &self.recorder);
        let now = if state == State::Begun { seen.started } else { clock::now() };
        if state == State::Done {
            // Before the record, whose words this would otherwise have to wait for.
            self.recorder.count(seen.call, errno);
        }
        let (ticket, order) = self.recorder.append(self.event(seen, state, ret, errno, about, now, frames));
        if state == State::Done {
            let made = errno == 0 && about.flags & (FLAG_CREATED | FLAG_MAYBE_CREATED) != 0;
            if made || self.logs(seen.call) {
                // The event is made anew, so that most calls' never is in memory.
                let event = self.event(seen, state, ret, errno, about, now, frames);
                self.note_more(seen, &Event { order, ..event }, about, made);
            }
        }
        ticket
    }

    /// What few calls need.
    #[cold]
    #[inline(never)]
    fn note_more(&'static self, seen: Seen, event: &Event, about: &About, enter: bool) {
        if enter {
            self.enter(seen, about, |hash| self.recorder.register(hash, event));
        }
        if self.logs(seen.call) {
            self.log(event, about);
        }
    }

    #[inline(never)]
    fn note_end(&'static self, seen: Seen, ticket: Ticket, ret: i64, errno: i32, about: &About) {
        self.recorder.count(seen.call, errno);
        let took = clock::now().wrapping_sub(seen.started);
        self.recorder.finish(ticket, took.min(u64::from(u32::MAX)) as u32, errno, ret);
        if self.logs(seen.call) {
            self.log_end(seen, ret, errno, about);
        }
    }

    #[inline(never)]
    fn note_made(&'static self, seen: Seen, ticket: Ticket, ret: i64, errno: i32, about: About, opening: [u64; 2]) {
        self.recorder.count(seen.call, errno);
        let now = clock::now();
        let head = self.recorder.head();
        let end = LateEnd {
            ticks: now,
            took: now.wrapping_sub(seen.started).min(u64::from(u32::MAX)) as u32,
            errno,
            ret,
            // It takes effect now, not where its record stands.
            order: head * 2,
            object: about.object,
            made: about.flags,
            opening,
        };
        self.recorder.finish_late(ticket, seen.call, about.args.len(), &end);
        // The record in the ring is what the registry keeps, too.
        let mut entered = true;
        if errno == 0 && about.flags & (FLAG_CREATED | FLAG_MAYBE_CREATED) != 0 {
            self.enter(seen, &about, |hash| entered = self.recorder.register_noted(hash, ticket, end.order));
        }
        if !entered || self.logs(seen.call) {
            self.note_made_more(seen, about, &end, !entered);
        }
    }

    /// What few of those calls need: the event is made anew.
    #[cold]
    #[inline(never)]
    fn note_made_more(&'static self, seen: Seen, about: About, end: &LateEnd, enter: bool) {
        let mut args = [0; MAX_ARGS];
        let own = about.args.len().saturating_sub(late_args(seen.call));
        for (place, &arg) in args.iter_mut().zip(about.args.iter().take(own).chain(&end.opening)) {
            *place = arg;
        }
        let about = About { args: args.get(..about.args.len()).unwrap_or(&[]), ..about };
        let mut room = [MaybeUninit::uninit(); MAX_FRAMES];
        let frames = stack::capture(&mut room, self.recorder.stacks, &self.recorder);
        let event = self.event(seen, State::Done, end.ret, end.errno, &about, end.ticks, frames);
        self.note_more(seen, &Event { order: end.order, ..event }, &about, enter);
    }

    #[cold]
    #[inline(never)]
    fn log_end(&'static self, seen: Seen, ret: i64, errno: i32, about: &About) {
        let mut room = [MaybeUninit::uninit(); MAX_FRAMES];
        let frames = stack::capture(&mut room, self.recorder.stacks, &self.recorder);
        self.log(&self.event(seen, State::Done, ret, errno, about, clock::now(), frames), about);
    }

    /// Records and logs what the program has told its audit; `keep`: by what hash the registry keeps it, beyond the ring's
    /// turns. Returns where the record stands in the order of all calls, and whether it is kept.
    #[cold]
    pub fn note_told(&'static self, call: Call, about: &About, keep: Option<u64>) -> (u64, bool) {
        let mut room = [MaybeUninit::uninit(); MAX_FRAMES];
        let frames = stack::capture(&mut room, self.recorder.stacks, &self.recorder);
        let now = clock::now();
        let seen = Seen { audit: Some(self), call, started: now };
        let event = self.event(seen, State::Begun, 0, 0, about, now, frames);
        let (ticket, order) = self.recorder.append(event);
        let ret = if call == Call::Checkpoint { order as i64 } else { 0 };
        self.recorder.count(call, 0);
        self.recorder.finish(ticket, 0, 0, ret);
        let event = Event { state: State::Done, order, ret, ..event };
        if let Some(hash) = keep {
            // Of two that say the same, the later one counts.
            let before = self.recorder.find(hash);
            self.recorder.register(hash, &event);
            before.map(|before| self.recorder.remove(before));
        }
        if self.logs(call) {
            self.log(&event, about);
        }
        (order, keep.is_none_or(|hash| self.recorder.find(hash).is_some()))
    }

    /// Records, without counting or logging it, that a descriptor of `object` has been closed where no hook saw it.
    pub fn note_unseen_close(&self, fd: i32, object: ObjectId) {
        let now = clock::now();
        let seen = Seen { audit: None, call: Call::Close, started: now };
        let args = [fd as u32 as u64];
        let about = About::args(&args).object(object);
        self.recorder.append(self.event(seen, State::Done, 0, 0, &about, now, &[]));
    }

    /// Enters the object that a call has made into the registry, by `register`, which is told the hash to know it by.
    #[inline(always)]
    fn enter(&self, seen: Seen, about: &About, register: impl FnOnce(u64)) {
        let certain = about.flags & FLAG_CREATED != 0;
        match about.object.family {
            Family::Posix if certain => {
                let hash = layout::hash_name(about.label);
                // The name was free: what had it when this call began has been removed where no hook saw it.
                let gone = |found: &Found| self.recorder.device(*found) == Some(about.object.dev);
                if let Some(found) = self.recorder.find_before(hash, seen.started).filter(gone) {
                    self.recorder.remove(found);
                }
                register(hash);
            }
            // Whether the call found or made the segment is the kernel's to say, by its creator's pid.
            Family::Sysv => {
                let hash = layout::hash_shmid(about.object.shmid());
                if certain || self.recorder.find(hash).is_none() {
                    register(hash);
                }
            }
            _ => {}
        }
    }

    /// Whether calls of this kind are logged.
    #[inline(always)]
    pub fn logs(&self, call: Call) -> bool {
        LOGGED.load(Ordering::Relaxed) & call.trace() as u8 != 0
    }

    #[cold]
    #[inline(never)]
    fn log(&'static self, event: &Event, about: &About) {
        if event.flags & FLAG_PAUSED == 0
            && (event.call.trace() != Trace::Process || self.recorder.is_concerned())
            && let Some(log) = &self.log
        {
            let kept = errno::Kept::new();
            log.call(self, event, about);
            drop(kept);
        }
    }
}
