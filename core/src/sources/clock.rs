//! From the recorder's ticks to the wall clock.

use crate::layout::{CLOCK_NS, header};
use crate::reader::{Reader, Words};

/// Turns ticks into nanoseconds since 1970, by the two pairs of readings in a recorder's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    first_ticks: u64,
    first_unix: u64,
    ticks: u64,
    nanoseconds: u64,
}

impl Clock {
    /// The clock of a recorder.
    pub fn of<W: Words + ?Sized>(reader: &Reader<W>) -> Clock {
        if reader.header(header::CLOCK) == CLOCK_NS {
            return Clock { first_ticks: 0, first_unix: 0, ticks: 1, nanoseconds: 1 };
        }
        let [first_ticks, first_unix, last_ticks, last_unix] =
            [header::FIRST_TICKS, header::FIRST_UNIX, header::LAST_TICKS, header::LAST_UNIX]
                .map(|at| reader.header(at));
        Clock {
            first_ticks,
            first_unix,
            ticks: last_ticks.saturating_sub(first_ticks),
            nanoseconds: last_unix.saturating_sub(first_unix),
        }
    }

    /// Nanoseconds since 1970. Where the clock was read only once, everything happened then.
    pub fn unix(&self, ticks: u64) -> u64 {
        if self.ticks == 0 {
            return self.first_unix;
        }
        let since = i128::from(ticks) - i128::from(self.first_ticks);
        let passed = since.saturating_mul(i128::from(self.nanoseconds)) / i128::from(self.ticks);
        let unix = passed.saturating_add(i128::from(self.first_unix));
        u64::try_from(unix.max(0)).unwrap_or(u64::MAX)
    }

    /// How many nanoseconds `ticks` take.
    pub fn duration(&self, ticks: u64) -> u64 {
        if self.ticks == 0 {
            return 0;
        }
        let passed = u128::from(ticks) * u128::from(self.nanoseconds) / u128::from(self.ticks);
        u64::try_from(passed).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::CLOCK_TSC;
    use crate::testing::{BEGAN, Image};

    #[test]
    fn ticks_are_taken_between_two_readings() {
        let mut image = Image::new();
        assert_eq!(Clock::of(&image.reader()).unix(42), 42);
        image.words[header::CLOCK] = CLOCK_TSC;
        image.words[header::FIRST_TICKS] = 1000;
        image.words[header::LAST_TICKS] = 1000;
        assert_eq!(Clock::of(&image.reader()).unix(5000), BEGAN);
        image.words[header::LAST_TICKS] = 4000;
        image.words[header::LAST_UNIX] = BEGAN + 1000;
        let clock = Clock::of(&image.reader());
        assert_eq!((clock.unix(1000), clock.unix(4000), clock.unix(7000)), (BEGAN, BEGAN + 1000, BEGAN + 2000));
        assert_eq!((clock.unix(700), clock.duration(3000)), (BEGAN - 100, 1000));
    }

    proptest! {
        #[test]
        fn any_clock_is_survived(first_ticks: u64, first_unix: u64, ticks: u64, nanoseconds: u64, now: u64) {
            let clock = Clock { first_ticks, first_unix, ticks, nanoseconds };
            clock.unix(now);
            clock.duration(now);
        }
    }
}
