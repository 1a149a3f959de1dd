//! Ticks: the cheapest clock that orders and times calls without a system call.

use core::sync::atomic::{AtomicBool, Ordering};

use shmaudit_core::layout::{CLOCK_NS, CLOCK_TSC};

use crate::sys;

static COUNTER: AtomicBool = AtomicBool::new(false);

/// Chooses the clock, before anything is recorded. Returns what the header calls it.
pub fn start() -> u64 {
    let constant = constant_counter();
    COUNTER.store(constant, Ordering::Relaxed);
    if constant { CLOCK_TSC } else { CLOCK_NS }
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
    if COUNTER.load(Ordering::Relaxed) { sys::ticks() } else { sys::realtime() }
}
