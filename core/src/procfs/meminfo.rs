//! /proc/meminfo: how the machine's memory is used (the kernel's fs/proc/meminfo.c).

use super::{Lines, decimal, fields};

/// A value of the table: bytes where the line is in kB, else the number (of huge pages).
pub fn meminfo(table: &[u8], name: &[u8]) -> Option<u64> {
    let mut lines = Lines::new(table);
    while let Some(line) = lines.line() {
        if let Some(value) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(b":")) {
            let mut parts = fields(value);
            let number: u64 = decimal(parts.next()?)?;
            return match parts.next() {
                None => Some(number),
                Some(b"kB") => number.checked_mul(1024),
                Some(_) => None,
            };
        }
    }
    None
}
