//! Words that stop at each access.

use std::sync::atomic;

pub use std::sync::atomic::Ordering;

use crate::explore::step;

/// As the library's, and of the same size.
#[repr(transparent)]
pub struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub const fn new(value: u64) -> AtomicU64 {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    pub fn load(&self, order: Ordering) -> u64 {
        step();
        self.0.load(order)
    }

    pub fn store(&self, value: u64, order: Ordering) {
        step();
        self.0.store(value, order);
    }

    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.swap(value, order)
    }

    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_add(value, order)
    }

    pub fn compare_exchange(&self, was: u64, new: u64, done: Ordering, not: Ordering) -> Result<u64, u64> {
        step();
        self.0.compare_exchange(was, new, done, not)
    }

    pub fn compare_exchange_weak(&self, was: u64, new: u64, done: Ordering, not: Ordering) -> Result<u64, u64> {
        self.compare_exchange(was, new, done, not)
    }
}
