//! Who we are: process slot, pid and tid without a system call per call, right after every kind of fork.

mod slots;

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use shmaudit_core::layout::process as slot;
use shmaudit_core::record::Slot;

#[cfg(target_arch = "aarch64")]
use crate::elf;
use crate::recorder::Recorder;
use crate::sys::PAGE_MOST;
use crate::{audit, callers, clock, code, conclude, contain, filter, heap, inside, log, pause, sys, unwind, vfork};

use slots::{WORDS, place, take_slot};

#[unsafe(link_section = ".data.hot")]
static PID: AtomicU32 = AtomicU32::new(0);
#[unsafe(link_section = ".data.hot")]
static SLOT: AtomicU32 = AtomicU32::new(NO_SLOT);
/// A page that every fork that copies memory wipes: 1 in the process that set it, 0 in a child.
#[unsafe(link_section = ".data.hot")]
static FORK_PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());
/// Where the thread id stands relative to the thread pointer; 0: not known.
#[unsafe(link_section = ".data.hot")]
static TID_OFFSET: AtomicI32 = AtomicI32::new(0);
/// Whether forked children are audited.
static FOLLOW: AtomicBool = AtomicBool::new(true);
/// The process that the recorder was made by.
static ROOT: AtomicU32 = AtomicU32::new(0);

/// The slot of a process that found no record.
pub const NO_SLOT: u32 = u16::MAX as u32;

/// The calling process.
#[derive(Clone, Copy)]
pub struct Me {
    /// Its slot in the process table.
    pub slot: Slot,
    /// Its pid.
    pub pid: u32,
}

/// The C libraries keep the thread id in their thread descriptor, which the kernel itself fills; these are the places
/// where glibc (since 2.4) and musl have it. Each is believed only if it holds the id we know.
#[cfg(target_arch = "x86_64")]
fn tid_places() -> impl Iterator<Item = i32> {
    [0x2d0, 0x30, 0x38].into_iter()
}

/// The same: here descriptors end at the thread pointer and differ in length. What glibc tells debuggers comes first; then
/// musl's places.
#[cfg(target_arch = "aarch64")]
fn tid_places() -> impl Iterator<Item = i32> {
    let mut found = [0usize; 2];
    elf::definitions(&[c"_thread_db_sizeof_pthread", c"_thread_db_pthread_tid"], |index, address| {
        if let Some(place) = found.get_mut(index) {
            *place = address;
        }
    });
    let [length, tid] = found;
    let told = if length == 0 || tid == 0 {
        None
    } else {
        // SAFETY: nptl_db: `uint32_t` bytes of the descriptor; `uint32_t[3]` bits, number and offset of the field.
        let (length, [bits, _, offset]) = unsafe { (*(length as *const i32), *(tid as *const [i32; 3])) };
        let fits = bits == 32 && (0..length).contains(&offset) && length < 1 << 16;
        if fits { Some(offset - length) } else { None }
    };
    told.into_iter().chain([-0xa8, -0xb0])
}

/// Learns who we are, at start, on the thread that runs it.
pub fn start(recorder: &Recorder, exe: &[u8], args: &[u8], starttime: u64, namespaces: u64, follow: bool) {
    FOLLOW.store(follow, Ordering::Relaxed);
    let tid = sys::gettid();
    for offset in tid_places() {
        if read_tid(offset) == tid as u32 {
            TID_OFFSET.store(offset, Ordering::Relaxed);
            break;
        }
    }
    if let Ok(page) = sys::map_anonymous(PAGE_MOST, libc::MAP_PRIVATE) {
        // SAFETY: advice on our own fresh page. Where the kernel does not know it (before 4.14), the page is left out
        // below and only forks that a hook sees are noticed.
        let wiped =
            unsafe { sys::call(libc::SYS_madvise, page as usize, PAGE_MOST, libc::MADV_WIPEONFORK as usize, 0, 0, 0) };
        #[cfg(feature = "wrong")]
        let wiped = if crate::wrong::is(crate::wrong::Wrong::BlindToFork) { -1 } else { wiped };
        if wiped == 0 {
            FORK_PAGE.store(page.cast(), Ordering::Release);
        }
    }
    mark_page();
    let pid = sys::getpid() as u32;
    ROOT.store(pid, Ordering::Relaxed);
    PID.store(pid, Ordering::Relaxed);
    let taken = take_slot(recorder);
    SLOT.store(taken, Ordering::Relaxed);
    let Some(place) = place(recorder, taken) else { return };
    place.set(slot::STARTTIME, starttime);
    place.set(slot::NAMESPACES, namespaces);
    let exe = exe.get(..exe.len().min(slot::EXE_BYTES)).unwrap_or(&[]);
    let args = args.get(..args.len().min(slot::ARGS_BYTES)).unwrap_or(&[]);
    place.set_bytes(slot::EXE, exe);
    place.set_bytes(slot::ARGS, args);
    place.set(slot::LENGTHS, exe.len() as u64 | (args.len() as u64) << 16);
    place.set(slot::PARENT, 0);
    place.live(pid, sys::getppid() as u32);
}

fn read_tid(offset: i32) -> u32 {
    let at = sys::thread_pointer().wrapping_add_signed(offset as isize);
    // SAFETY: within the thread descriptor of every C library that we load into (their descriptors are larger than the
    // largest offset of the list, or stand inside the library's data).
    unsafe { core::ptr::read_volatile(at as *const u32) }
}

/// The calling thread's id.
#[inline(always)]
pub fn tid() -> u32 {
    match TID_OFFSET.load(Ordering::Relaxed) {
        0 => sys::gettid() as u32,
        offset => read_tid(offset),
    }
}

/// Whether this process has a thread of this id.
pub fn has_thread(tid: u32) -> bool {
    // SAFETY: signal 0 is none.
    unsafe { sys::call(libc::SYS_tgkill, sys::getpid() as usize, tid as usize, 0, 0, 0, 0) == 0 }
}

fn mark_page() {
    let page = FORK_PAGE.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: our own page, never unmapped.
        unsafe { (*page).store(1, Ordering::Relaxed) };
    }
}

/// In a child that is none of the program's: it speaks for the process that it is a copy of.
pub fn stays() {
    mark_page();
    heap::forked();
    inside::forked();
}

/// The calling process, as it is now.
#[inline(always)]
pub fn me(recorder: &Recorder) -> Me {
    let page = FORK_PAGE.load(Ordering::Acquire);
    // SAFETY: our own page, never unmapped.
    if !page.is_null() && unsafe { (*page).load(Ordering::Relaxed) } == 0 {
        adopt(recorder);
    }
    Me { slot: SLOT.load(Ordering::Relaxed), pid: PID.load(Ordering::Relaxed) }
}

/// Whether this is the process that the recorder was made by.
pub fn is_root() -> bool {
    PID.load(Ordering::Relaxed) == ROOT.load(Ordering::Relaxed)
}

/// Whether this is a `vfork` child, however it was made: it runs in its parent's memory, and what stands there is the
/// parent's. Asked before a process ends or is replaced. Under a filter of system calls, only where a hook saw it made.
pub fn is_vfork_child() -> bool {
    wrong!(BlindToVfork => { return false });
    if filter::is_none() { !is_own_pid(sys::getpid()) } else { vfork::is_child() }
}

/// The pid of the calling `vfork` child; 0 where the kernel may not be asked.
pub fn vfork_child_pid() -> u64 {
    if filter::is_none() { sys::getpid() as u64 } else { 0 }
}

/// Whether `pid` is that of the process whose memory this is.
pub fn is_own_pid(pid: i32) -> bool {
    pid as u32 == PID.load(Ordering::Relaxed)
}

/// The forks that are under way: thread pointer and the slot reserved for the child.
static FORKS: [(AtomicUsize, AtomicU32); 16] = [const { (AtomicUsize::new(0), AtomicU32::new(NO_SLOT)) }; 16];

/// The slot that the calling thread has reserved for its child, for the first that asks: handlers of the program's run in
/// the child before its fork comes back, and may make calls.
fn take_reserved() -> Option<u32> {
    let me = sys::thread_pointer();
    let (thread, number) = FORKS.iter().find(|(thread, _)| thread.load(Ordering::Acquire) == me)?;
    let number = number.load(Ordering::Relaxed);
    thread.store(0, Ordering::Release);
    Some(number)
}

/// Reserves a slot for a child about to be forked.
pub fn reserve(recorder: &Recorder) -> u32 {
    let number = before_fork(recorder);
    let me = sys::thread_pointer();
    let free = |place: &&(AtomicUsize, AtomicU32)| {
        place.0.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    if let Some((_, place)) = FORKS.iter().find(free) {
        place.store(number, Ordering::Release);
    }
    number
}

/// A slot for a child about to be forked, which begins as a copy of ours.
fn before_fork(recorder: &Recorder) -> u32 {
    let me = me(recorder);
    let number = take_slot(recorder);
    if let (Some(child), Some(ours)) = (place(recorder, number), place(recorder, me.slot)) {
        child.set(slot::STATE, slot::STATE_FORKING);
        child.set(slot::PID, 0);
        child.set(slot::STARTTIME, 0);
        for word in slot::LENGTHS..WORDS {
            child.set(word, ours.get(word));
        }
        child.set(slot::PARENT, u64::from(me.slot) + 1);
    }
    number
}

/// In a forked child, at the first sign of it: it is another process now, with one thread. What other threads of its
/// parent had in hand is free here.
fn adopt(recorder: &Recorder) {
    mark_page();
    heap::forked();
    code::forked();
    callers::forked();
    conclude::forked();
    contain::forked();
    log::forked();
    pause::forked();
    unwind::forked();
    vfork::forked();
    let number = take_reserved();
    for (thread, _) in &FORKS {
        thread.store(0, Ordering::Relaxed);
    }
    if !FOLLOW.load(Ordering::Relaxed) {
        audit::stop();
    }
    let parent = PID.load(Ordering::Relaxed);
    let tid = tid();
    // Right after a fork by the C library the only thread's id is the pid. A raw clone leaves the parent's there.
    let pid = if number.is_some() && tid != parent { tid } else { sys::getpid() as u32 };
    let number = match number {
        Some(number) => number,
        None => before_fork(recorder),
    };
    if tid != pid && filter::is_none() {
        // What the C library has there stays wrong: the kernel is asked.
        TID_OFFSET.store(0, Ordering::Relaxed);
    }
    PID.store(pid, Ordering::Relaxed);
    SLOT.store(number, Ordering::Relaxed);
    if let Some(place) = place(recorder, number) {
        place.live(pid, parent);
    }
}

/// Back in the child: adopts the slot, unless a handler's call has done so. A reservation that nobody took tells that the
/// page was not wiped: qemu's user mode promises to, and does not.
pub fn forked(recorder: &Recorder) {
    let thread = sys::thread_pointer();
    let reserved = FORKS.iter().any(|(owner, _)| owner.load(Ordering::Relaxed) == thread);
    if reserved || FORK_PAGE.load(Ordering::Relaxed).is_null() {
        adopt(recorder);
    } else {
        me(recorder);
    }
}

/// In the parent: the child's pid, in case that it never came to say so itself; 0 where there is no child.
pub fn after_fork(recorder: &Recorder, number: u32, child: u32) {
    take_reserved();
    let Some(place) = place(recorder, number) else { return };
    if child == 0 {
        place.set(slot::STATE, slot::STATE_ENDED);
        return;
    }
    let ours = u64::from(child) | u64::from(PID.load(Ordering::Relaxed)) << 32;
    if let Some(pid) = place.0.get(slot::PID)
        && pid.compare_exchange(0, ours, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    {
        place.set(slot::STARTED, clock::now());
    }
    if let Some(state) = place.0.first() {
        let _ = state.compare_exchange(slot::STATE_FORKING, slot::STATE_LIVE, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// The calling process is about to end with `status`; its handlers may still run.
pub fn leaving(recorder: &Recorder, status: i32) {
    let me = me(recorder);
    if let Some(place) = place(recorder, me.slot) {
        place.set(slot::END, slot::END_EXIT | u64::from(status as u32) << 8);
    }
}

/// The calling process has nothing left to do but to speak its verdict. Of two that come here at once, the later one
/// speaks for both.
pub fn ending(recorder: &Recorder) {
    let me = me(recorder);
    if let Some(ended) = place(recorder, me.slot).and_then(|place| place.0.get(slot::ENDED)) {
        ended.store(clock::now(), Ordering::SeqCst);
    }
}

/// The verdict is spoken: nobody needs to wait for this process any more.
pub fn ended(recorder: &Recorder) {
    let me = me(recorder);
    if let Some(place) = place(recorder, me.slot) {
        place.set(slot::STATE, slot::STATE_ENDED);
    }
}

/// The calling process is about to be replaced, or (`false`) was not.
pub fn replaced(recorder: &Recorder, replaced: bool) {
    wrong!(BlindToExec => { return });
    let me = me(recorder);
    let Some(place) = place(recorder, me.slot) else { return };
    place.set(slot::END, if replaced { slot::END_EXEC } else { slot::END_UNKNOWN });
    place.set(slot::ENDED, if replaced { clock::now() } else { 0 });
}
