//! How arguments and results are written: strace's words.
//!
//! Everything here appends to a caller's [`Line`] and takes raw values, so that it can run in a hook: it never panics,
//! never allocates and needs a few hundred bytes of stack. Order of flags, hexadecimal remainders and comments for
//! unknown values (`0x40 /* PROT_??? */`) are those of strace 6.1, with the names that later kernels added.
//!
//! What a call's arguments *are* is not known here: see [`calls`](crate::calls).

mod errno;
mod flags;
mod ipc;
mod signal;
mod text;

pub use errno::{errno_message, errno_name, result_errno};
pub use flags::*;
pub use ipc::*;
pub use signal::{signal, signal_name, wait_status};
pub use text::*;

use crate::line::Line;

/// Values and their names, in the order in which they are looked for and written.
type Names = [(u64, &'static str)];

/// Writes the names of the bits in `value`, joined by `|`, then what no name covers in hexadecimal.
///
/// Zero is the name of a leading zero entry, or `0`. Where no name fits, `unknown` follows as a comment.
fn bits(line: &mut Line, value: u64, names: &Names, unknown: &str) {
    if value == 0 {
        match names.first() {
            Some(&(0, name)) => line.str(name),
            _ => line.byte(b'0'),
        }
        return;
    }
    let mut rest = value;
    for &(bit, name) in names {
        if bit != 0 && rest & bit == bit {
            if rest != value {
                line.byte(b'|');
            }
            line.str(name);
            rest &= !bit;
        }
    }
    if rest == value {
        unnamed(line, value, unknown);
    } else if rest != 0 {
        line.byte(b'|');
        line.hex(rest);
    }
}

/// Writes the name of `value`, or `0x7 /* SHM_??? */`.
fn one_of(line: &mut Line, value: u64, names: &Names, unknown: &str) {
    match names.iter().find(|&&(known, _)| known == value) {
        Some(&(_, name)) => line.str(name),
        None => unnamed(line, value, unknown),
    }
}

/// Writes a value that has no name; an empty `unknown` leaves out the comment.
fn unnamed(line: &mut Line, value: u64, unknown: &str) {
    line.hex(value);
    if !unknown.is_empty() {
        line.str(" /* ");
        line.str(unknown);
        line.str(" */");
    }
}

/// Writes the logarithm of a huge page size as the kernel's flag words hold it: `21<<MAP_HUGE_SHIFT`.
fn huge_shift(line: &mut Line, size: u64, name: &str) {
    line.dec(size);
    line.str("<<");
    line.str(name);
}

#[cfg(test)]
mod tests;
