//! From ticks since boot, in which processes' starts are told, to the wall clock, in which objects' times are.

use rustix::time::{ClockId, clock_gettime};

use super::SECOND;

/// The clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The moment, in nanoseconds since 1970.
    pub now: u64,
    /// Boot, in nanoseconds since 1970, as the wall clock stands now. A step of the wall clock moves it.
    boot: u64,
    /// Ticks in a second.
    ticks: u64,
}

impl Clocks {
    /// Reads them.
    pub fn read() -> Clocks {
        let now = nanoseconds(ClockId::Realtime);
        Clocks {
            now,
            boot: now.saturating_sub(nanoseconds(ClockId::Boottime)),
            ticks: rustix::param::clock_ticks_per_second().max(1),
        }
    }

    /// Nanoseconds since 1970 of a moment in ticks since boot; the tick's beginning.
    pub fn of_ticks(&self, ticks: u64) -> u64 {
        let since = u128::from(ticks) * u128::from(SECOND) / u128::from(self.ticks);
        self.boot.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Nanoseconds that have passed since a moment; 0 for one that is to come.
    pub const fn since(&self, moment: u64) -> u64 {
        self.now.saturating_sub(moment)
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec).saturating_mul(SECOND).saturating_add(part(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_began_in_the_past() {
        let clocks = Clocks::read();
        let text = std::fs::read("/proc/self/stat").unwrap();
        let started = clocks.of_ticks(shmaudit_core::procfs::proc_stat(&text).unwrap().starttime);
        // Not in the future, not beyond a day of testing.
        assert!(clocks.since(started) < 86_400 * SECOND && started <= clocks.now + SECOND / 50);
    }
}
