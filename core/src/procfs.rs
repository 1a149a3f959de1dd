//! Readers of the kernel's own tables: bytes of /proc in, values out.
//!
//! Every byte is taken for hostile: nothing here panics or allocates by what the bytes say, a line that does not fit
//! is skipped and counted (`skipped` of each iterator). A last line without its newline was cut and is skipped too.
//! Opening and reading the files is others' work. Formats: proc(5) and the kernel files named with each reader.

mod escaped;
mod fd;
mod maps;
mod meminfo;
mod mounts;
mod process;
mod sysvipc;

pub use escaped::{Escaped, Unescaped};
pub use fd::{FdTarget, fd_link};
pub use maps::{Mapping, Mappings, mappings};
pub use meminfo::meminfo;
pub use mounts::{Mount, Mounts, mount_of, mounts, shm_mount};
pub use process::{ProcStat, ProcStatus, cmdline, environ, proc_stat, proc_status, soft_limit};
pub use sysvipc::{SHM_DEST, SHM_LOCKED, Segment, Segments, segments, without};

/// A number as a one-line file of /proc/sys holds it, such as `kernel/shmmax`; surrounding blanks are left out.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    number(text.trim_ascii(), 10)
}

/// The device number that `stat` reports for major and minor (makedev(3), 64 bits).
pub const fn makedev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}

/// The major part of a device number.
pub const fn dev_major(dev: u64) -> u32 {
    (dev >> 32 & 0xffff_f000 | dev >> 8 & 0xfff) as u32
}

/// The minor part of a device number.
pub const fn dev_minor(dev: u64) -> u32 {
    (dev >> 12 & 0xffff_ff00 | dev & 0xff) as u32
}

/// An unsigned number made of digits alone, of base 8, 10 or 16; nothing where it does not fit.
fn number(text: &[u8], base: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        if u64::from(digit) >= base {
            return None;
        }
        sum.checked_mul(base)?.checked_add(u64::from(digit))
    })
}

/// A decimal number that fits the wanted type.
fn decimal<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    T::try_from(number(text, 10)?).ok()
}

/// A decimal number with an optional minus sign.
fn signed<T: TryFrom<i64>>(text: &[u8]) -> Option<T> {
    let value = match text.strip_prefix(b"-") {
        Some(digits) => 0i64.checked_sub_unsigned(number(digits, 10)?)?,
        None => i64::try_from(number(text, 10)?).ok()?,
    };
    T::try_from(value).ok()
}

/// What is before and what is after the first `mark`.
fn cut_at(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == mark)?;
    let (before, after) = text.split_at_checked(at)?;
    Some((before, after.split_first()?.1))
}

/// The fields of a line between blanks.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// Complete lines, and how many were no good.
#[derive(Clone, Debug)]
struct Lines<'a> {
    rest: &'a [u8],
    skipped: usize,
}

impl<'a> Lines<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Lines { rest, skipped: 0 }
    }

    /// The next complete line, without its newline.
    fn line(&mut self) -> Option<&'a [u8]> {
        match cut_at(self.rest, b'\n') {
            Some((line, rest)) => {
                self.rest = rest;
                Some(line)
            }
            None => {
                if !self.rest.is_empty() {
                    self.skipped = self.skipped.saturating_add(1);
                    self.rest = &[];
                }
                None
            }
        }
    }

    /// The next value that `parse` finds in a line; blank lines do not count as bad ones.
    fn parsed<T>(&mut self, parse: impl Fn(&'a [u8]) -> Option<T>) -> Option<T> {
        loop {
            let line = self.line()?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse(line) {
                Some(value) => return Some(value),
                None => self.skipped = self.skipped.saturating_add(1),
            }
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
