//! Which threads are inside a call of libc that may come back through another hook, and is then not to be noted twice.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::sys;

/// Whether there are calls of libc that may come back through another hook: before glibc 2.34, librt's `shm_open` calls
/// `open` by its name.
static MAY_COME_BACK: AtomicBool = AtomicBool::new(true);

/// Says that there are none.
pub fn nothing_comes_back() {
    MAY_COME_BACK.store(false, Ordering::Relaxed);
}

/// Threads that are inside a call of libc that may come back through another hook.
static INSIDE: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

/// Marks the calling thread as inside such a call until dropped.
pub struct Inside(Option<&'static AtomicUsize>);

impl Inside {
    /// Marks it. With more threads inside than there are places, one is not marked, and its inner call is noted too.
    pub fn new() -> Inside {
        wrong!(CountsTwice => { return Inside(None) });
        if !MAY_COME_BACK.load(Ordering::Relaxed) {
            return Inside(None);
        }
        let me = sys::thread_pointer();
        // A mark of its own that it finds was left by a jump out of a signal handler.
        let free = INSIDE.iter().find(|place| {
            place
                .compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed)
                .map_or_else(|theirs| theirs == me, |_| true)
        });
        Inside(free)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(0, Ordering::Release);
        }
    }
}

/// Whether the calling thread is inside such a call.
pub fn is_inside() -> bool {
    let me = sys::thread_pointer();
    INSIDE.iter().any(|place| place.load(Ordering::Relaxed) == me)
}

/// In a forked child: nobody else is.
pub fn forked() {
    for place in &INSIDE {
        place.store(0, Ordering::Relaxed);
    }
}
