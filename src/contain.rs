//! Containment: ledger, symbols and report run in a child that shares the memory, on a stack of its own, while
//! the program waits. A panic, a fault or an endless loop ends the child; the program goes on.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sys;

/// Minor faults of our own children that the program's own seem to have had: the kernel adds them up for all that were
/// waited for.
static FAULTS: AtomicU64 = AtomicU64::new(0);

/// Minor faults that our children in this process had.
pub fn faults() -> u64 {
    FAULTS.load(Ordering::Relaxed)
}

/// A forked child has had none.
pub fn forked() {
    FAULTS.store(0, Ordering::Relaxed);
}

/// Status of a child that gave up.
pub const GAVE_UP: i32 = 98;
const STACK_BYTES: usize = 4 << 20;
/// Longer than any report takes.
const LIMIT_SECONDS: i64 = 60;

/// Runs `work(argument)` contained. `false`: it gave up, faulted or took too long; nothing it shared is to be trusted.
pub fn run(work: fn(*mut c_void), argument: *mut c_void) -> bool {
    let Ok(stack) = sys::map_anonymous(STACK_BYTES, libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_STACK) else {
        return false;
    };
    if !sys::same_link(c"/proc/self/ns/pid", c"/proc/self/ns/pid_for_children") {
        // The next child is to be the first of a new pid namespace, and that is the program's.
        return false;
    }
    let task = Task { work, argument, done: AtomicBool::new(false) };
    let everything = u64::MAX;
    let mut before = 0u64;
    // SAFETY: signal sets of 8 bytes, all ours. No handler of the program may run on the child.
    unsafe {
        let how = libc::SIG_SETMASK as usize;
        sys::call(libc::SYS_rt_sigprocmask, how, &raw const everything as usize, &raw mut before as usize, 8, 0, 0);
    }
    // SAFETY: the stack is ours and outlives the child, which the kernel lets end before we go on (CLONE_VFORK); `task`
    // lives here meanwhile.
    let child = unsafe { clone_and_wait(stack.wrapping_add(STACK_BYTES), enter, (&raw const task).cast()) };
    if child > 0 {
        let mut status = 0i32;
        // SAFETY: fills one int. The child sends no signal, so only a wait for clones finds it.
        unsafe {
            sys::call(libc::SYS_wait4, child as usize, &raw mut status as usize, libc::__WALL as usize, 0, 0, 0);
        }
    }
    // SAFETY: the program's own mask is put back; the stack is no longer used.
    unsafe {
        let how = libc::SIG_SETMASK as usize;
        sys::call(libc::SYS_rt_sigprocmask, how, &raw const before as usize, 0, 8, 0, 0);
        sys::unmap(stack, STACK_BYTES);
    }
    // Another thread of the program's may have waited for our child; what it has done counts.
    task.done.load(Ordering::Acquire)
}

struct Task {
    work: fn(*mut c_void),
    argument: *mut c_void,
    done: AtomicBool,
}

extern "C" fn enter(task: *const c_void) -> ! {
    // SAFETY: `run` passes its task and waits.
    let task = unsafe { &*task.cast::<Task>() };
    end_on_faults();
    // What the program may not do is not for us to trip over: these limits are the child's own.
    for resource in [libc::RLIMIT_NOFILE, libc::RLIMIT_FSIZE] {
        sys::lift_limit(resource);
    }
    (task.work)(task.argument);
    task.done.store(true, Ordering::Release);
    FAULTS.fetch_add(sys::own_faults(), Ordering::Relaxed);
    sys::exit_group(0)
}

/// In the child: faults and the clock end it quietly, with no core file and whatever the program has for handlers.
fn end_on_faults() {
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    extern "C" fn give_up(_: i32) {
        sys::exit_group(GAVE_UP);
    }
    let action = KernelAction { handler: give_up as *const () as usize, flags: 0, restorer: 0, mask: 0 };
    let signals =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT, libc::SIGALRM];
    let open: u64 = signals.iter().fold(0, |set, signal| set | 1 << (signal - 1));
    // SAFETY: the child has its own handlers (no CLONE_SIGHAND), its own timer and its own mask. The handler does not
    // return, so it needs no restorer.
    unsafe {
        for signal in signals {
            sys::call(libc::SYS_rt_sigaction, signal as usize, &raw const action as usize, 0, 8, 0, 0);
        }
        sys::call(libc::SYS_rt_sigprocmask, libc::SIG_UNBLOCK as usize, &raw const open as usize, 0, 8, 0, 0);
        let limit = libc::itimerval {
            it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
            it_value: libc::timeval { tv_sec: LIMIT_SECONDS, tv_usec: 0 },
        };
        sys::call(libc::SYS_setitimer, libc::ITIMER_REAL as usize, &raw const limit as usize, 0, 0, 0, 0);
    }
}

/// Starts `run(argument)` on `stack` in a child that shares our memory; comes back when it has ended.
///
/// # Safety
/// `stack` is the upper end of a mapping that outlives the child, and `run` does not return.
unsafe fn clone_and_wait(stack: *mut u8, run: extern "C" fn(*const c_void) -> !, argument: *const c_void) -> isize {
    let flags = (libc::CLONE_VM | libc::CLONE_VFORK) as usize;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: in the parent this is a system call. In the child nothing of the parent's stack is used: what it needs is
    // in registers, which both have.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags, in("rsi") stack, in("rdx") 0usize, in("r10") 0usize, in("r8") 0usize,
            in("r12") argument, in("r13") run,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, {argument}",
            "br {run}",
            "2:",
            argument = in(reg) argument, run = in(reg) run,
            in("x8") libc::SYS_clone, inlateout("x0") flags as isize => result,
            in("x1") stack, in("x2") 0usize, in("x3") 0usize, in("x4") 0usize,
        );
    }
    result
}
