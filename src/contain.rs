//! Containment: ledger, symbols and report run in a child that shares the memory, on a stack of its own, while
//! the program waits. A panic, a fault or an endless loop ends the child; the program goes on.
//!
//! Where the kernel gives no child, and no other thread is there to be disturbed, it is done in place: what would end the
//! child then leads back to where it began. (Emulators give none: valgrind, and qemu's user mode, which knows no child that
//! shares the memory.) With other threads, what can do with a copy of the memory is done in a forked child.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

use crate::{elf, escape, process, sys};

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
    for one in &RUNNING {
        one.stack.store(0, Ordering::Relaxed);
    }
}

/// Status of a child that gave up.
pub const GAVE_UP: i32 = 98;
const STACK_BYTES: usize = 4 << 20;
/// Longer than any report takes.
const LIMIT_SECONDS: i64 = 60;

/// A stack that work runs on now.
struct Running {
    /// Its end, 0 for none.
    stack: AtomicUsize,
    /// The way back out of it, where there is no child to end.
    way_back: AtomicUsize,
}

static RUNNING: [Running; 8] = [const { Running { stack: AtomicUsize::new(0), way_back: AtomicUsize::new(0) } }; 8];

/// The stack that the caller runs on, where that is one of ours.
fn running() -> Option<&'static Running> {
    let here = 0u8;
    let here = (&raw const here).addr();
    RUNNING.iter().find(|one| {
        let end = one.stack.load(Ordering::Acquire);
        end != 0 && (end - STACK_BYTES..end).contains(&here)
    })
}

/// Ends what runs contained, if the caller does.
pub fn leave() {
    let Some(one) = running() else { return };
    match one.way_back.load(Ordering::Acquire) {
        0 => sys::exit_group(GAVE_UP),
        // SAFETY: the guarded call is under way on this thread, the only one.
        way_back => unsafe { escape::escape(way_back) },
    }
}

/// Runs `work(argument)` contained. `false`: it gave up, faulted or took too long; nothing it shared is to be trusted.
pub fn run(work: fn(*mut c_void), argument: *mut c_void) -> bool {
    contain(work, argument, None)
}

/// The same for work that tells no more than `outcome`, which lies in its argument: it may be done in a copy of the memory.
pub fn run_apart(work: fn(*mut c_void), argument: *mut c_void, outcome: &AtomicI32) -> bool {
    contain(work, argument, Some(outcome))
}

fn contain(work: fn(*mut c_void), argument: *mut c_void, outcome: Option<&AtomicI32>) -> bool {
    let Ok(stack) = sys::map_anonymous(STACK_BYTES, libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_STACK) else {
        return false;
    };
    let end = stack.wrapping_add(STACK_BYTES).addr();
    let free = |one: &&Running| one.stack.compare_exchange(0, end, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    let Some(running) = RUNNING.iter().find(free) else {
        // SAFETY: nobody has seen it.
        unsafe { sys::unmap(stack, STACK_BYTES) };
        return false;
    };
    running.way_back.store(0, Ordering::Release);
    // The next child may be to be the first of a new pid namespace, and that is the program's. Asked of the thread, for the
    // process has no such links once its first thread has ended (pthread_exit in main). Valgrind makes a fork of what is to
    // share the memory.
    let may =
        !is_on_valgrind() && sys::same_link(c"/proc/thread-self/ns/pid", c"/proc/thread-self/ns/pid_for_children");
    let task = Task { work, argument, done: AtomicBool::new(false) };
    let everything = u64::MAX;
    let mut before = 0u64;
    // SAFETY: signal sets of 8 bytes, all ours. No handler of the program may run on the child.
    unsafe {
        let how = libc::SIG_SETMASK as usize;
        sys::call(libc::SYS_rt_sigprocmask, how, &raw const everything as usize, &raw mut before as usize, 8, 0, 0);
    }
    let child = if may {
        // SAFETY: the stack is ours and outlives the child, which the kernel lets end before we go on (CLONE_VFORK); `task`
        // lives here meanwhile.
        unsafe { clone_and_wait(stack.wrapping_add(STACK_BYTES), enter, (&raw const task).cast()) }
    } else {
        -1
    };
    if child < 0 && is_only_thread() {
        wrong!(NeedsChild => { return false });
        in_place(&task, running, end);
    } else if let (NOT_SHARED, Some(outcome)) = (child, outcome) {
        forked_child(&task, outcome);
    }
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
        running.stack.store(0, Ordering::Release);
        sys::unmap(stack, STACK_BYTES);
    }
    // Another thread of the program's may have waited for our child; what it has done counts.
    task.done.load(Ordering::Acquire)
}

/// Whether valgrind runs the program: its own way to be asked, by instructions that do nothing elsewhere (valgrind.h,
/// `RUNNING_ON_VALGRIND`).
fn is_on_valgrind() -> bool {
    const RUNNING_ON_VALGRIND: usize = 0x1001;
    let question = [RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0];
    let mut answer = 0usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: four rotations by 128 bits in all, and an exchange of a register with itself.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") question.as_ptr(), inout("rdx") answer, inout("rdi") 0usize => _,
            options(nostack, readonly),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: four rotations by 128 bits in all, and a register or itself.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3", "ror x12, x12, #13", "ror x12, x12, #51", "ror x12, x12, #61", "orr x10, x10, x10",
            in("x4") question.as_ptr(), inout("x3") answer, inout("x12") 0usize => _,
            options(nostack, readonly),
        );
    }
    answer != 0
}

/// What the clone below gives where the kernel, or what stands for it, does not let a child share the memory.
const NOT_SHARED: isize = -(libc::EINVAL as isize);

/// Whether there is no other thread. An emulator has threads of its own, and of the program's the C library knows.
fn is_only_thread() -> bool {
    let mut single = 0;
    elf::definitions(&[c"__libc_single_threaded"], |_, address| single = address);
    // SAFETY: `char __libc_single_threaded` (glibc 2.32).
    sys::is_only_thread() || single != 0 && unsafe { core::ptr::read_volatile(single as *const u8) } != 0
}

/// Whether this is a child with a copy of the memory, and of everything that is mapped.
static COPY: AtomicBool = AtomicBool::new(false);

/// Whether what concludes does so in a copy of the memory.
pub fn is_copy() -> bool {
    COPY.load(Ordering::Relaxed)
}

/// Runs the task in a copy of the memory, and takes its outcome over. It goes wrong as it does in a child that shares it.
fn forked_child(task: &Task, outcome: &AtomicI32) {
    let Ok(shared) = sys::map_anonymous(size_of::<Told>(), libc::MAP_SHARED) else { return };
    // SAFETY: ours, zeroed, aligned to a page; unmapped below, when nobody uses it.
    let told = unsafe { &*shared.cast::<Told>() };
    sigchld_waits(|| {
        // Emulators know no child that ends without a signal.
        // SAFETY: a copy of the memory, in which this thread goes on here.
        let child = unsafe { sys::call(libc::SYS_clone, libc::SIGCHLD as usize, 0, 0, 0, 0, 0) };
        if child == 0 {
            process::stays();
            COPY.store(true, Ordering::Relaxed);
            settle_in();
            (task.work)(task.argument);
            told.outcome.store(outcome.load(Ordering::Acquire), Ordering::Relaxed);
            told.done.store(true, Ordering::Release);
            sys::exit_group(0);
        }
        let mut usage = core::mem::MaybeUninit::<libc::rusage>::zeroed();
        if child > 0 {
            // SAFETY: fills one struct rusage.
            unsafe {
                let usage = usage.as_mut_ptr() as usize;
                sys::call(libc::SYS_wait4, child as usize, 0, libc::__WALL as usize, usage, 0, 0);
            }
        }
        // SAFETY: zeroed is a valid one.
        FAULTS.fetch_add(unsafe { usage.assume_init() }.ru_minflt as u64, Ordering::Relaxed);
    });
    if told.done.load(Ordering::Acquire) {
        outcome.store(told.outcome.load(Ordering::Relaxed), Ordering::Release);
        task.done.store(true, Ordering::Release);
    }
    // SAFETY: the child has ended.
    unsafe { sys::unmap(shared, size_of::<Told>()) };
}

/// What a child with a copy of the memory tells.
struct Told {
    outcome: AtomicI32,
    done: AtomicBool,
}

/// Runs `child`, all signals waiting, and takes the SIGCHLD that comes of it from those that the program will get.
fn sigchld_waits(child: impl FnOnce()) {
    let sigchld = 1u64 << (libc::SIGCHLD - 1);
    let mut pending = 0u64;
    // SAFETY: fills a signal set of 8 bytes.
    unsafe { sys::call(libc::SYS_rt_sigpending, &raw mut pending as usize, 8, 0, 0, 0, 0) };
    child();
    if pending & sigchld == 0 {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: reads a signal set of 8 bytes and one timespec.
        unsafe {
            let (set, now) = (&raw const sigchld as usize, &raw const now as usize);
            sys::call(libc::SYS_rt_sigtimedwait, set, 0, now, 8, 0, 0);
        }
    }
}

struct Task {
    work: fn(*mut c_void),
    argument: *mut c_void,
    done: AtomicBool,
}

/// Runs the task without a child: all other signals wait, and faults lead back.
fn in_place(task: &Task, running: &Running, stack: usize) {
    unsafe extern "C" fn work(task: *mut c_void) -> usize {
        // SAFETY: `in_place` passes its task, which nobody changes.
        let task = unsafe { &*task.cast_const().cast::<Task>() };
        (task.work)(task.argument);
        task.done.store(true, Ordering::Release);
        0
    }
    let before = set_handlers(None);
    let argument: *const Task = task;
    // SAFETY: place, task and stack outlive the call, and nobody else uses the stack. What the work leaves behind on an
    // escape is not trusted by anybody.
    unsafe { escape::guarded(running.way_back.as_ptr(), work, argument.cast_mut().cast(), stack) };
    set_handlers(Some(&before));
}

/// What a child does first.
fn settle_in() {
    end_on_faults();
    // What the program may not do is not for us to trip over: these limits are the child's own.
    for resource in [libc::RLIMIT_NOFILE, libc::RLIMIT_FSIZE] {
        sys::lift_limit(resource);
    }
}

extern "C" fn enter(task: *const c_void) -> ! {
    // SAFETY: `run` passes its task and waits.
    let task = unsafe { &*task.cast::<Task>() };
    settle_in();
    (task.work)(task.argument);
    task.done.store(true, Ordering::Release);
    FAULTS.fetch_add(sys::own_faults(), Ordering::Relaxed);
    sys::exit_group(0)
}

/// As the kernel has it.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

const FAULTS_SIGNALS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT];

/// Lets faults end what runs contained, whatever the program has for handlers, or (`Some`) puts these back. Returns what was
/// in force. The caller's mask is open for them from then on.
fn set_handlers(back: Option<&[KernelAction; FAULTS_SIGNALS.len()]>) -> [KernelAction; FAULTS_SIGNALS.len()] {
    extern "C" fn give_up(_: i32) {
        leave();
        sys::exit_group(GAVE_UP);
    }
    // The handler does not return, so it needs no restorer.
    let flags = libc::SA_NODEFER as u64;
    let ours = KernelAction { handler: give_up as *const () as usize, flags, restorer: 0, mask: 0 };
    let mut before = [KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 }; FAULTS_SIGNALS.len()];
    for (index, (signal, before)) in FAULTS_SIGNALS.iter().zip(&mut before).enumerate() {
        let action = back.and_then(|back| back.get(index)).unwrap_or(&ours);
        let (action, before) = (&raw const *action as usize, &raw mut *before as usize);
        // SAFETY: reads one struct and fills another.
        unsafe { sys::call(libc::SYS_rt_sigaction, *signal as usize, action, before, 8, 0, 0) };
    }
    let open: u64 = FAULTS_SIGNALS.iter().fold(0, |set, signal| set | 1 << (signal - 1));
    let how = if back.is_some() { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK } as usize;
    // SAFETY: a signal set of 8 bytes.
    unsafe { sys::call(libc::SYS_rt_sigprocmask, how, &raw const open as usize, 0, 8, 0, 0) };
    before
}

/// In the child, which has its own handlers (no CLONE_SIGHAND), its own timer and its own mask: faults and the clock end it
/// quietly, with no core file.
fn end_on_faults() {
    extern "C" fn too_long(_: i32) {
        sys::exit_group(GAVE_UP);
    }
    set_handlers(None);
    let action = KernelAction { handler: too_long as *const () as usize, flags: 0, restorer: 0, mask: 0 };
    let open: u64 = 1 << (libc::SIGALRM - 1);
    // SAFETY: reads one struct, one set, one timer. The handler does not return.
    unsafe {
        sys::call(libc::SYS_rt_sigaction, libc::SIGALRM as usize, &raw const action as usize, 0, 8, 0, 0);
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
