//! Texts in which the kernel has replaced some bytes by a backslash and three octal digits.

use alloc::vec::Vec;

/// A path as it stands in a table of /proc. What was replaced depends on the table, so it knows which it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a> {
    raw: &'a [u8],
    newline_only: bool,
}

impl<'a> Escaped<'a> {
    /// From a table that escapes the backslash too (mountinfo): every escape is undone.
    pub const fn new(raw: &'a [u8]) -> Self {
        Escaped { raw, newline_only: false }
    }

    /// From a table that escapes nothing but newlines, as `\012` (maps): a backslash before anything else is itself.
    /// A name that really holds those four characters looks the same; (device, inode) tell them apart.
    pub const fn newline_only(raw: &'a [u8]) -> Self {
        Escaped { raw, newline_only: true }
    }

    /// The text as it stands in the table.
    pub const fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Its bytes with the escapes undone.
    pub const fn bytes(self) -> Unescaped<'a> {
        Unescaped { rest: self.raw, newline_only: self.newline_only }
    }

    /// Its bytes with the escapes undone, on the heap; never longer than [`Escaped::raw`].
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes().collect()
    }

    /// Whether it stands for these bytes.
    pub fn is(self, bytes: &[u8]) -> bool {
        self.bytes().eq(bytes.iter().copied())
    }
}

/// The bytes of an [`Escaped`] with the escapes undone.
#[derive(Clone, Debug)]
pub struct Unescaped<'a> {
    rest: &'a [u8],
    newline_only: bool,
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] = self.rest {
            // At most 0o377.
            let byte = (a & 3) << 6 | (b & 7) << 3 | (c & 7);
            if !self.newline_only || byte == b'\n' {
                self.rest = rest;
                return Some(byte);
            }
        }
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }
}
