//! The library's own heap, over mappings of its own: it neither uses nor disturbs the program's malloc.
//!
//! It is used at start-up and while concluding, never in a hook. One user at a time: the lock is only ever tried by code
//! that may also fail, and a holder that died in the contained child leaves it taken, so that nobody trusts what it left.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dlmalloc::{Allocator, Dlmalloc};

use crate::sys;

struct Mappings;

// SAFETY: alloc returns memory that nobody else has, straight from the kernel; free gives back what alloc gave.
unsafe impl Allocator for Mappings {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        match sys::map_anonymous(size, libc::MAP_PRIVATE | libc::MAP_NORESERVE) {
            Ok(at) => (at, size, 0),
            Err(_) => (core::ptr::null_mut(), 0, 0),
        }
    }
    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        core::ptr::null_mut()
    }
    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }
    fn free(&self, at: *mut u8, size: usize) -> bool {
        // SAFETY: dlmalloc gives back a whole mapping that it got from alloc and no longer uses.
        unsafe { sys::unmap(at, size) };
        true
    }
    fn can_release_part(&self, _: u32) -> bool {
        false
    }
    fn allocates_zeros(&self) -> bool {
        true
    }
    fn page_size(&self) -> usize {
        sys::PAGE_MOST
    }
}

struct Heap {
    lock: AtomicU32,
    inner: UnsafeCell<Dlmalloc<Mappings>>,
}

// SAFETY: `inner` is only reached through `with`, which holds the lock.
unsafe impl Sync for Heap {}

impl Heap {
    fn with<R>(&self, failed: R, use_it: impl FnOnce(&mut Dlmalloc<Mappings>) -> R) -> R {
        // Users are few, and exclusive by their own means; a taken lock means that one of them died inside. A bounded
        // wait for the honest case, then no memory.
        for _ in 0..1_000_000 {
            if self.lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                // SAFETY: we hold the lock.
                let result = use_it(unsafe { &mut *self.inner.get() });
                self.lock.store(0, Ordering::Release);
                return result;
            }
            core::hint::spin_loop();
        }
        failed
    }
}

/// In a forked child: whoever was inside is not there, and what it was at is half made. It is left as it is; from then on
/// nothing is given back.
pub fn forked() {
    if HEAP.lock.load(Ordering::Relaxed) != 0 {
        ABANDONED.store(true, Ordering::Relaxed);
        // SAFETY: the child's only thread is here, and it is not inside: it was forking.
        unsafe { *HEAP.inner.get() = Dlmalloc::new_with_allocator(Mappings) };
        HEAP.lock.store(0, Ordering::Release);
    }
}

static ABANDONED: AtomicBool = AtomicBool::new(false);

// SAFETY: dlmalloc upholds the contract; failure is a null pointer.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: size and alignment come from a valid layout.
        self.with(core::ptr::null_mut(), |heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if ABANDONED.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the caller gives back what alloc gave with this layout.
        self.with((), |heap| unsafe { heap.free(at, layout.size(), layout.align()) });
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as alloc.
        self.with(core::ptr::null_mut(), |heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ABANDONED.load(Ordering::Relaxed) {
            // SAFETY: alignment and the new size make a valid layout, as the caller vouches; as many bytes as both have.
            return unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    new.copy_from_nonoverlapping(at, size.min(layout.size()));
                }
                new
            };
        }
        // SAFETY: the caller gives what alloc gave with this layout.
        self.with(core::ptr::null_mut(), |heap| unsafe { heap.realloc(at, layout.size(), layout.align(), size) })
    }
}

#[global_allocator]
static HEAP: Heap = Heap { lock: AtomicU32::new(0), inner: UnsafeCell::new(Dlmalloc::new_with_allocator(Mappings)) };
