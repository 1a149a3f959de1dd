//! Words that stop at each access.

use std::sync::atomic;

pub use std::sync::atomic::Ordering;

use crate::explore::{fenced, is_wrong, last_loaded, loaded, step, stored};

/// As the library's, and of the same size.
#[repr(transparent)]
pub struct AtomicU64(atomic::AtomicU64);

/// The order of an access, unless it is to have none.
fn unless(wrong: &str, order: Ordering) -> Ordering {
    if is_wrong(wrong) { Ordering::Relaxed } else { order }
}

pub fn fence(order: Ordering) {
    assert_eq!(order, Ordering::Release, "no other is known here");
    if !is_wrong("NoFence") {
        fenced();
    }
}

impl AtomicU64 {
    pub const fn new(value: u64) -> AtomicU64 {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    fn place(&self) -> usize {
        self.0.as_ptr().addr()
    }

    pub fn load(&self, order: Ordering) -> u64 {
        step();
        loaded(self.place(), self.0.load(Ordering::Relaxed), unless("LoadsRelaxed", order))
    }

    pub fn store(&self, value: u64, order: Ordering) {
        step();
        let was = self.0.swap(value, Ordering::Relaxed);
        stored(self.place(), (was, value), unless("StoresRelaxed", order), false);
    }

    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        step();
        let was = self.0.swap(value, Ordering::Relaxed);
        stored(self.place(), (was, value), unless("UpdatesRelaxed", order), true);
        was
    }

    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        step();
        let was = self.0.fetch_add(value, Ordering::Relaxed);
        stored(self.place(), (was, was.wrapping_add(value)), unless("UpdatesRelaxed", order), true);
        was
    }

    pub fn compare_exchange(&self, was: u64, new: u64, done: Ordering, not: Ordering) -> Result<u64, u64> {
        step();
        let result = self.0.compare_exchange(was, new, Ordering::Relaxed, Ordering::Relaxed);
        match result {
            Ok(_) => stored(self.place(), (was, new), unless("UpdatesRelaxed", done), true),
            Err(now) => last_loaded(self.place(), now, not),
        }
        result
    }

    pub fn compare_exchange_weak(&self, was: u64, new: u64, done: Ordering, not: Ordering) -> Result<u64, u64> {
        self.compare_exchange(was, new, done, not)
    }
}
