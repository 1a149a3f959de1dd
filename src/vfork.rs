//! `vfork` children: they run in their parent's memory and on its thread, but have descriptors of their own.
//!
//! Only the process id tells the two apart, and asking for it may be what a filter of system calls kills for. So a thread
//! is marked when it calls `vfork`, and unmarked by what the child does last: an exec, an exit. A child that ends unseen
//! leaves its parent marked, until the kernel may be asked.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use libc::pid_t;

use crate::hooks::fork;
use crate::real::next;
use crate::{filter, process, sys};

/// The threads that have a `vfork` child, by their thread pointers.
static THREADS: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];
/// How many there are.
#[unsafe(link_section = ".data.hot")]
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// `vfork`: marks the thread and leaves the rest to the next definition, by a jump: the child runs on its caller's frame,
/// and there must be none between.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> pid_t {
    #[cfg(target_arch = "x86_64")]
    naked_asm!(
        "sub rsp, 8",
        "call {begins}",
        "add rsp, 8",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2:",
        "jmp {fork}",
        begins = sym begins,
        fork = sym fork,
    );
    #[cfg(target_arch = "aarch64")]
    naked_asm!(
        "stp x29, x30, [sp, #-16]!",
        "bl {begins}",
        "ldp x29, x30, [sp], #16",
        "cbz x0, 2f",
        "mov x16, x0",
        "br x16",
        "2:",
        "b {fork}",
        begins = sym begins,
        fork = sym fork,
    );
}

/// Marks the thread; gives the next definition, 0 where there is none.
extern "C" fn begins() -> usize {
    let next = next!(vfork).map_or(0, |next| next as usize);
    if next != 0 {
        begun();
    }
    next
}

/// The calling thread is about to have a child that shares its memory, and to wait for it.
pub fn begun() {
    let me = sys::thread_pointer();
    let is_marked = || THREADS.iter().any(|place| place.load(Ordering::Relaxed) == me);
    let mark = |place: &AtomicUsize| place.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    if !is_marked() && THREADS.iter().any(mark) {
        COUNT.fetch_add(1, Ordering::AcqRel);
    }
}

/// The child is about to leave its parent's memory, or the parent is back.
pub fn over() {
    if COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let me = sys::thread_pointer();
    for place in &THREADS {
        if place.compare_exchange(me, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            COUNT.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Whether the caller is such a child. Asks the kernel only where its thread is marked and no filter can be in force.
#[inline(always)]
pub fn is_child() -> bool {
    COUNT.load(Ordering::Relaxed) != 0 && is_marked_child()
}

#[cold]
#[inline(never)]
fn is_marked_child() -> bool {
    wrong!(BlindToVfork => { return false });
    let me = sys::thread_pointer();
    if !THREADS.iter().any(|place| place.load(Ordering::Relaxed) == me) {
        return false;
    }
    if filter::is_none() && process::is_own_pid(sys::getpid()) {
        over();
        return false;
    }
    true
}

/// In a forked child, which is nobody's `vfork` child.
pub fn forked() {
    for place in &THREADS {
        place.store(0, Ordering::Relaxed);
    }
    COUNT.store(0, Ordering::Relaxed);
}
