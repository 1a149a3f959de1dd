//! Words whose relaxed stores are plain ones where a thread says so, and whose other orders can be weakened.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic;

pub use std::sync::atomic::{Ordering, fence};

/// As the library's, and of the same size.
#[repr(transparent)]
pub struct AtomicU64(atomic::AtomicU64);

thread_local! {
    static PLAIN: Cell<bool> = const { Cell::new(false) };
}

/// What this thread stores relaxed is stored as any variable from now on. For threads that write nothing twice.
pub fn store_plainly() {
    PLAIN.set(true);
}

/// Names the accesses that have no order in this process.
pub const WEAK: &str = "SHMAUDIT_WEAK";

static WEAK_ONES: LazyLock<String> = LazyLock::new(|| std::env::var(WEAK).unwrap_or_default());

fn unless_weak(access: &str, order: Ordering) -> Ordering {
    if *WEAK_ONES == access { Ordering::Relaxed } else { order }
}

impl AtomicU64 {
    pub const fn new(value: u64) -> AtomicU64 {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    pub fn load(&self, order: Ordering) -> u64 {
        self.0.load(unless_weak("loads", order))
    }

    pub fn store(&self, value: u64, order: Ordering) {
        if order == Ordering::Relaxed && PLAIN.get() {
            // SAFETY: a valid word; that nobody else comes to it meanwhile is what ThreadSanitizer is asked.
            unsafe { self.0.as_ptr().write(value) };
        } else {
            self.0.store(value, unless_weak("stores", order));
        }
    }

    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }

    pub fn compare_exchange(&self, was: u64, new: u64, done: Ordering, not: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange(was, new, done, not)
    }

    pub fn compare_exchange_weak(&self, was: u64, new: u64, done: Ordering, not: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(was, new, done, not)
    }
}
