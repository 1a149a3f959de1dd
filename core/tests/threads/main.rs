//! The recorder's ring and registry, as the library has them, on real threads, for some thousand rounds.
//!
//! `make sanitize` runs them under ThreadSanitizer as well, which watches whether what a thread reads was handed to it: all of
//! the recorder's words are atomic, so that it would find nothing to say of them as they are. Where nothing is written twice,
//! each relaxed store is a plain one here (`atomic.rs`): a reader that comes to it without a release and an acquire before is
//! reported then. `wrong.rs` weakens these, and must be reported.
//!
//! Where things are written over or used again, readers see half of them by design, and reject it: there the words stay
//! atomic, and it is the readers' checks that are tried.
#![expect(unsafe_code, reason = "the recorder is a mapping")]

extern crate alloc;

/// Never in force here.
macro_rules! wrong {
    ($name:ident => $body:block) => {};
}

#[path = "../../../src/recorder.rs"]
#[expect(dead_code, unexpected_cfgs, reason = "the library uses all of it, and `wrong` is a feature of its package")]
mod recorder;
#[path = "../../../src/registry.rs"]
#[expect(dead_code, reason = "the library uses all of it")]
mod registry;

mod atomic;
mod objects;
#[path = "../interleavings/place.rs"]
mod place;
#[path = "../interleavings/records.rs"]
mod records;
mod ring;
#[cfg(sanitizer = "thread")]
mod wrong;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use place::{clock, journal, sys};

/// How often each is tried; as many times as often where `SHMAUDIT_ROUNDS` says so.
fn rounds(usual: u64) -> u64 {
    usual * std::env::var("SHMAUDIT_ROUNDS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Runs `thread` on so many threads, and `here` on this one. They are the C library's own threads: what the standard library
/// does about its own is not instrumented, and would be reported.
fn beside(threads: u64, thread: &(dyn Fn(u64) + Sync), here: impl FnOnce()) {
    type Work<'a> = (&'a (dyn Fn(u64) + Sync), u64);

    extern "C" fn start(work: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: `works` below, which stays until this thread is over.
        let (thread, number) = unsafe { *work.cast_const().cast::<Work>() };
        thread(number);
        std::ptr::null_mut()
    }

    let works: Vec<Work> = (0..threads).map(|number| (thread, number)).collect();
    let begin = |work: &Work| {
        let mut id = 0;
        let work = std::ptr::from_ref(work).cast_mut().cast();
        // SAFETY: a function that takes such a pointer; it is joined below.
        let refused = unsafe { libc::pthread_create(&mut id, std::ptr::null(), start, work) };
        assert_eq!(refused, 0, "no thread");
        id
    };
    let ids: Vec<libc::pthread_t> = works.iter().map(begin).collect();
    let end = catch_unwind(AssertUnwindSafe(here));
    for id in ids {
        // SAFETY: a thread of ours that nobody has joined.
        unsafe { libc::pthread_join(id, std::ptr::null_mut()) };
    }
    if let Err(why) = end {
        resume_unwind(why);
    }
}
