//! The words that threads and processes share, in one place: the tests of interleavings (`core/tests/interleavings`) put
//! their own here, and stop at each access.

pub use core::sync::atomic::{AtomicU64, Ordering, fence};
