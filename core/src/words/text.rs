//! Strings, descriptors with their paths, times and sizes.

use crate::line::Line;
use crate::procfs::FdTarget;

/// A string in double quotes, everything outside printable ASCII escaped: `"/a\n\33[m"`.
pub fn quoted(line: &mut Line, bytes: &[u8]) {
    line.byte(b'"');
    escape(line, bytes, false);
    line.byte(b'"');
}

/// The same without quotes, for a path in angle brackets: `<` and `>` become `\74` and `\76` too.
pub fn escaped(line: &mut Line, bytes: &[u8]) {
    escape(line, bytes, true);
}

/// Octal escapes are as short as can be: three digits only where a digit (0 to 7) follows.
fn escape(line: &mut Line, bytes: &[u8], brackets: bool) {
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\t' => b't',
            b'\r' => b'r',
            0x0b => b'v',
            0x0c => b'f',
            b'<' | b'>' if brackets => 0,
            b' '..=b'~' => {
                line.byte(byte);
                continue;
            }
            _ => 0,
        };
        line.byte(b'\\');
        if short == 0 {
            let digit_follows = tail.first().is_some_and(|next| (b'0'..=b'7').contains(next));
            line.digits::<8>(u64::from(byte), if digit_follows { 3 } else { 1 });
        } else {
            line.byte(short);
        }
    }
}

/// A descriptor and, where it is known, its file: `3</dev/shm/x>`, `3</dev/shm/x>(deleted)`, `3`.
///
/// `path` is without the kernel's ` (deleted)`. For a link's text see [`fd_target`].
pub fn fd(line: &mut Line, fd: i32, path: Option<&[u8]>, deleted: bool) {
    line.int(i64::from(fd));
    if let Some(path) = path {
        line.byte(b'<');
        escaped(line, path);
        line.byte(b'>');
        if deleted {
            line.str("(deleted)");
        }
    }
}

/// A descriptor and what its link in /proc says: `3</dev/shm/x>`, `5</memfd:a>(deleted)`, `8<pipe:[11999]>`.
pub fn fd_target(line: &mut Line, number: i32, target: FdTarget) {
    match target {
        FdTarget::Path { path, deleted } => fd(line, number, Some(path), deleted),
        FdTarget::Other(text) => fd(line, number, Some(text), false),
        FdTarget::Memfd(name) => {
            line.int(i64::from(number));
            line.str("</memfd:");
            escaped(line, name);
            line.str(">(deleted)");
        }
        FdTarget::Sysv(key) => {
            line.int(i64::from(number));
            line.str("</SYSV");
            line.digits::<16>(u64::from(key as u32), 8);
            line.str(">(deleted)");
        }
    }
}

const NS_PER_S: u64 = 1_000_000_000;

/// `12:34:56`
fn seconds_of_day(line: &mut Line, second: u64) {
    line.dec_padded(second / 3600, 2);
    line.byte(b':');
    line.dec_padded(second / 60 % 60, 2);
    line.byte(b':');
    line.dec_padded(second % 60, 2);
}

/// The time of day in UTC, to the microsecond: `12:34:56.123456`. `unix_ns` counts nanoseconds since 1970.
pub fn clock_time(line: &mut Line, unix_ns: u64) {
    seconds_of_day(line, unix_ns / NS_PER_S % 86_400);
    line.byte(b'.');
    line.dec_padded(unix_ns % NS_PER_S / 1000, 6);
}

/// Date and time in UTC, to the nanosecond: `2024-05-06T07:08:09.123456789Z`. `unix_ns` counts nanoseconds since 1970.
pub fn rfc3339(line: &mut Line, unix_ns: u64) {
    let second = unix_ns / NS_PER_S;
    // Days since 0000-03-01: with years that begin in March, the leap day is the last.
    let day = second / 86_400 + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (carry, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    line.dec_padded(era * 400 + year + carry, 4);
    line.byte(b'-');
    line.dec_padded(month, 2);
    line.byte(b'-');
    line.dec_padded(day, 2);
    line.byte(b'T');
    seconds_of_day(line, second % 86_400);
    line.byte(b'.');
    line.dec_padded(unix_ns % NS_PER_S, 9);
    line.byte(b'Z');
}

/// How long something took: `850ns`, `13.1us`, `2.4ms`, `1.2s`. `ns` is in nanoseconds.
pub fn duration(line: &mut Line, ns: u64) {
    if ns < 1000 {
        line.dec(ns);
        return line.str("ns");
    }
    for (tenth, unit) in [(100, "us"), (100_000, "ms"), (100_000_000, "s")] {
        let tenths = ns.saturating_add(tenth / 2) / tenth;
        if tenths < 10_000 || unit == "s" {
            line.dec(tenths / 10);
            line.byte(b'.');
            line.dec(tenths % 10);
            return line.str(unit);
        }
    }
}

/// A size: `4097 bytes`; from 1 MiB on also in a unit: `16777216 bytes (16.0 MiB)`.
pub fn human_size(line: &mut Line, bytes: u64) {
    line.dec(bytes);
    line.str(if bytes == 1 { " byte" } else { " bytes" });
    if bytes < 1 << 20 {
        return;
    }
    for (shift, unit) in [(20u32, " MiB)"), (30, " GiB)"), (40, " TiB)"), (50, " PiB)"), (60, " EiB)")] {
        // At most 2^60 * 10 + 2^59: fits.
        let part = (bytes & ((1 << shift) - 1)) * 10 + (1 << (shift - 1));
        let tenths = (bytes >> shift) * 10 + (part >> shift);
        if tenths < 10_240 || shift == 60 {
            line.str(" (");
            line.dec(tenths / 10);
            line.byte(b'.');
            line.dec(tenths % 10);
            return line.str(unit);
        }
    }
}
