//! Time: ticks that order and time calls without a system call, and the wall clock by the kernel's vDSO.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shmaudit_core::layout::{CLOCK_NS, CLOCK_TSC, header};

use crate::recorder::Recorder;
use crate::{elf, sys};

#[unsafe(link_section = ".data.hot")]
static COUNTER: AtomicBool = AtomicBool::new(false);
static VDSO: AtomicUsize = AtomicUsize::new(0);

/// Chooses the clock, before anything is recorded. Returns what the header calls it.
pub fn start() -> u64 {
    // The kernel's own function, not libc's: that may be another interposer's, and is a system call in old ones.
    let name = if cfg!(target_arch = "x86_64") { c"__vdso_clock_gettime" } else { c"__kernel_clock_gettime" };
    elf::definitions(&[name], |_, address| VDSO.store(address, Ordering::Relaxed));
    let constant = constant_counter();
    COUNTER.store(constant, Ordering::Relaxed);
    if constant { CLOCK_TSC } else { CLOCK_NS }
}

/// Takes the clock that a recorder has; `false` where this process may not read it.
pub fn start_as(clock: u64) -> bool {
    let best = start();
    COUNTER.store(clock == CLOCK_TSC, Ordering::Relaxed);
    clock == best || clock == CLOCK_NS
}

/// `CLOCK_REALTIME` in nanoseconds since 1970.
pub fn realtime() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// `CLOCK_BOOTTIME` in nanoseconds: what the start times of processes count from.
pub fn boottime() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

fn read(clock: i32) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    match VDSO.load(Ordering::Relaxed) {
        // SAFETY: the kernel fills one timespec.
        0 => unsafe {
            sys::call(libc::SYS_clock_gettime, clock as usize, &raw mut time as usize, 0, 0, 0, 0);
        },
        vdso => {
            // SAFETY: the vDSO function's prototype, vdso(7).
            let vdso: extern "C" fn(i32, *mut libc::timespec) -> i32 = unsafe { core::mem::transmute(vdso) };
            vdso(clock, &raw mut time);
        }
    }
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// `ticks` as nanoseconds, by what the two clocks have said since the recorder was made; `unix_ns` is the time now.
pub fn nanoseconds(recorder: &Recorder, ticks: u64, unix_ns: u64) -> u64 {
    let first = |word: usize| recorder.word(word).load(Ordering::Relaxed);
    let ticks_passed = now().wrapping_sub(first(header::FIRST_TICKS));
    let time_passed = unix_ns.saturating_sub(first(header::FIRST_UNIX));
    // Exact to a nanosecond in a hundred days; the division of 128 bits would take longer than the rest of a line.
    if ticks_passed == 0 { 0 } else { (ticks as f64 * (time_passed as f64 / ticks_passed as f64)) as u64 }
}

/// Whether the counter runs at one speed, and may be read: programs can forbid it (`prctl(PR_SET_TSC)`).
#[cfg(target_arch = "x86_64")]
fn constant_counter() -> bool {
    let mut allowed: i32 = 0;
    const PR_TSC_ENABLE: i32 = 1;
    // SAFETY: the kernel fills one int.
    let asked = unsafe { sys::call(libc::SYS_prctl, libc::PR_GET_TSC as usize, &raw mut allowed as usize, 0, 0, 0, 0) };
    if asked < 0 || allowed != PR_TSC_ENABLE {
        return false;
    }
    use core::arch::x86_64::__cpuid;
    const ADVANCED_POWER_MANAGEMENT: u32 = 0x8000_0007;
    const INVARIANT_TSC: u32 = 1 << 8;
    __cpuid(0x8000_0000).eax >= ADVANCED_POWER_MANAGEMENT && __cpuid(ADVANCED_POWER_MANAGEMENT).edx & INVARIANT_TSC != 0
}

#[cfg(target_arch = "aarch64")]
fn constant_counter() -> bool {
    true
}

/// The time in ticks.
#[inline(always)]
pub fn now() -> u64 {
    if COUNTER.load(Ordering::Relaxed) { sys::ticks() } else { realtime() }
}
