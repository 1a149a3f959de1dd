//! The machine's shared memory, taken stock of: every segment, object and nameless file, who holds it, whose it is.
//!
//! [`take`] reads the kernel's tables and changes nothing. What follows from them is decided by functions that ask
//! nothing (`state`, `limits`, `sight`), so that `ls`, `clean` and `top` say the same of the same thing.

mod clocks;
mod facts;
mod files;
mod gather;
mod limits;
mod object;
mod places;
mod processes;
mod sessions;
mod sight;
mod state;
mod sys;

pub use clocks::Clocks;
pub use facts::Facts;
pub use files::open_place;
pub use gather::{Inventory, take};
pub use object::{Actor, Fate, Identity, Kind, Object, Process, State};
pub use processes::{actor, holders_of};

/// The number of a namespace that this process is in.
pub fn namespace_of_self(kind: &str) -> Option<u64> {
    processes::namespace("/proc/self", kind)
}
pub use sessions::{Journals, Nobody, Sessions};
pub use state::{ASIDE, gone};
pub use sys::{ignore_sigio, is_nobody_elses, lease_is_whole, remove_segment, segment, take_lease, user_name};

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// The number of this process's IPC namespace.
pub fn own_ipc() -> Option<u64> {
    processes::namespace("/proc/self", "ipc")
}

/// The part of a path after its last slash.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Bytes in the largest unit of which there is one: `0`, `812`, `4.0K`, `16M`, `1.5G`.
pub fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes, None);
    let mut rest = 0;
    for next in ["K", "M", "G", "T", "P", "E"] {
        if value < 1024 {
            break;
        }
        (rest, value, unit) = (value % 1024, value / 1024, Some(next));
    }
    let Some(unit) = unit else { return bytes.to_string() };
    match (value, rest * 10 / 1024) {
        (..10, tenths) => format!("{value}.{tenths}{unit}"),
        _ => format!("{value}{unit}"),
    }
}

/// A span of time in its largest unit: `5s`, `12m`, `3h`, `40d`.
pub fn span(nanoseconds: u64) -> String {
    let seconds = nanoseconds / SECOND;
    // Two of a unit before it is used, so that what is told is never off by half.
    for (unit, name) in [(86_400, 'd'), (3_600, 'h'), (60, 'm')] {
        if seconds >= 2 * unit {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

/// Reads a size: `4096`, `64K`, `16M`, `1.5G`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &[("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)])
        .ok_or_else(|| "not a size: a number with K, M, G or T after it, such as 64K".to_string())
}

/// Reads a span of time, in nanoseconds: `90`, `90s`, `10m`, `2h`, `1d`.
pub fn parse_span(text: &str) -> Result<u64, String> {
    let units = [("", SECOND), ("s", SECOND), ("m", 60 * SECOND), ("h", 3_600 * SECOND), ("d", 86_400 * SECOND)];
    parse(text, &units)
        .ok_or_else(|| "not a span of time: a number with s, m, h or d after it, such as 10m".to_string())
}

/// A number with up to three decimals and one of the units.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, word) = (text.get(..at)?, text.get(at..)?);
    let &(_, unit) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let thousandths: u64 = format!("{decimals:0<3}").parse().ok()?;
    let part = u128::from(unit) * u128::from(thousandths) / 1000;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [(0, "0"), (812, "812"), (1023, "1023"), (1024, "1.0K"), (4608, "4.5K"), (10 << 10, "10K")];
        for (bytes, text) in cases.into_iter().chain([(3 << 19, "1.5M"), (u64::MAX, "15E"), (1 << 60, "1.0E")]) {
            assert_eq!(size(bytes), text);
        }
        assert_eq!((parse_size("64K"), parse_size("1.5g"), parse_size("0")), (Ok(65_536), Ok(3 << 29), Ok(0)));
        for bad in ["", "K", "-1", "1x", "1.2.3", "1.", ".5", "99999999999T", "1 K", "1\u{e4}", "1.2345"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans() {
        let cases = [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")];
        for (seconds, text) in cases {
            assert_eq!(span(seconds * SECOND), text);
        }
        assert_eq!((parse_span("90"), parse_span("2h")), (Ok(90 * SECOND), Ok(7_200 * SECOND)));
        assert_eq!(parse_span("0.5s"), Ok(SECOND / 2));
        assert!(parse_span("1w").is_err() && parse_span("h").is_err());
    }
}
