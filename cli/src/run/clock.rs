//! The clock that recorders are written by, as the library has it: the processor's counter where it runs at one speed, else
//! the wall clock.

use std::sync::OnceLock;

use shmaudit_core::layout::{CLOCK_NS, CLOCK_TSC};

/// Nanoseconds since 1970.
pub fn unix() -> u64 {
    crate::sys::clock(libc::CLOCK_REALTIME)
}

/// What a recorder's header calls it.
pub fn kind() -> u64 {
    static KIND: OnceLock<u64> = OnceLock::new();
    *KIND.get_or_init(find)
}

#[cfg(target_arch = "x86_64")]
fn find() -> u64 {
    use std::arch::x86_64::__cpuid;
    const ADVANCED_POWER_MANAGEMENT: u32 = 0x8000_0007;
    const INVARIANT_TSC: u32 = 1 << 8;
    let constant = __cpuid(0x8000_0000).eax >= ADVANCED_POWER_MANAGEMENT
        && __cpuid(ADVANCED_POWER_MANAGEMENT).edx & INVARIANT_TSC != 0;
    if constant && crate::sys::may_read_counter() { CLOCK_TSC } else { CLOCK_NS }
}

#[cfg(target_arch = "aarch64")]
fn find() -> u64 {
    CLOCK_TSC
}

/// The time in ticks.
pub fn ticks() -> u64 {
    if kind() == CLOCK_NS {
        return unix();
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the counter, and this process may read it, as `kind` has asked.
    let ticks = unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    let ticks = {
        let ticks: u64;
        // SAFETY: Linux lets every process read the virtual counter.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
        ticks
    };
    ticks
}
