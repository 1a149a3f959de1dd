//! A bounded line of bytes: how text is made where there is no heap and nothing may panic.

/// Bytes appended to a caller's buffer. What does not fit is dropped and [`Line::is_cut`] says so; nothing panics.
#[derive(Debug)]
pub struct Line<'a> {
    buf: &'a mut [u8],
    len: usize,
    cut: bool,
}

impl<'a> Line<'a> {
    /// An empty line over `buf`.
    pub fn new(buf: &'a mut [u8]) -> Self {
        Line { buf, len: 0, cut: false }
    }

    /// What has been written so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether something did not fit.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Forgets what was written after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
        }
    }

    /// Appends one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        match self.buf.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.cut = true,
        }
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        match self.buf.get_mut(self.len..).and_then(|rest| rest.get_mut(..bytes.len())) {
            Some(places) => {
                places.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.bytes_that_fit(bytes),
        }
    }

    #[cold]
    fn bytes_that_fit(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.byte(byte);
        }
    }

    /// Appends text.
    #[inline]
    pub fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Appends `value` in decimal.
    pub fn dec(&mut self, value: u64) {
        self.digits::<10>(value, 1);
    }

    /// Appends `value` in decimal, with its sign.
    pub fn int(&mut self, value: i64) {
        if value < 0 {
            self.byte(b'-');
        }
        self.dec(value.unsigned_abs());
    }

    /// Appends `value` in decimal, filled with zeros to `width` digits.
    pub fn dec_padded(&mut self, value: u64, width: usize) {
        self.digits::<10>(value, width);
    }

    /// Appends `value` as `0x…` in lower case.
    pub fn hex(&mut self, value: u64) {
        self.str("0x");
        self.digits::<16>(value, 1);
    }

    /// Appends `value` as C's octal literals are written: `0777`, `0`.
    pub fn oct(&mut self, value: u64) {
        if value != 0 {
            self.byte(b'0');
        }
        self.digits::<8>(value, 1);
    }

    /// Appends `value` in `BASE` (8 to 16), filled with zeros to `width` digits (at most 24). Dividing by a base that is not
    /// known here would take most of a line's time.
    pub fn digits<const BASE: u64>(&mut self, mut value: u64, width: usize) {
        let mut digits = [b'0'; MOST_DIGITS];
        let mut first = MOST_DIGITS;
        for (at, place) in digits.iter_mut().enumerate().rev() {
            *place = DIGITS[(value % BASE) as usize & 15];
            value /= BASE;
            first = at;
            if value == 0 {
                break;
            }
        }
        let first = first.min(MOST_DIGITS.saturating_sub(width));
        self.bytes(digits.get(first..).unwrap_or(&[]));
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// More than any value has in base 8.
const MOST_DIGITS: usize = 24;

impl core::fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.str(text);
        Ok(())
    }
}
