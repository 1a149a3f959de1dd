//! Pages, as large as the kernel has them under which a recording was made.

use crate::layout::header;
use crate::reader::{Reader, Words};

/// The size of a page in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page(u64);

impl Page {
    /// The smallest that there is: x86-64's.
    pub const SMALLEST: Page = Page(4096);

    /// A page of so many bytes. What no kernel has counts as the smallest.
    pub const fn new(bytes: u64) -> Page {
        const LARGEST: u64 = 1 << 18;
        if bytes.is_power_of_two() && bytes >= Page::SMALLEST.0 && bytes <= LARGEST {
            Page(bytes)
        } else {
            Page::SMALLEST
        }
    }

    /// As a recorder tells it; one from before recorders told has small ones.
    pub fn of<W: Words + ?Sized>(reader: &Reader<W>) -> Page {
        Page::new(reader.header(header::PAGE))
    }

    /// Its bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The address after the last of `length` bytes from `start`, rounded up to a page.
    pub const fn end_of(self, start: u64, length: u64) -> u64 {
        start.saturating_add(length).saturating_add(self.0 - 1) & !(self.0 - 1)
    }

    /// How many of them `bytes` take.
    pub const fn count(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.0)
    }
}

impl Default for Page {
    fn default() -> Page {
        Page::SMALLEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_to_its_own_size() {
        for (page, start, length, end) in [
            (4096, 0, 0, 0),
            (4096, 4096, 1, 8192),
            (16384, 16384, 4096, 32768),
            (65536, 0x10_0000, 4096, 0x11_0000),
            (65536, 0x10_0000, 65536, 0x11_0000),
            (65536, 0x10_0000, 65537, 0x12_0000),
            (65536, u64::MAX - 5, 9, 0xffff_ffff_ffff_0000),
        ] {
            assert_eq!(Page::new(page).end_of(start, length), end, "{page} {start:#x} {length}");
        }
        assert_eq!(
            (Page::new(65536).count(1), Page::new(65536).count(65537), Page::new(4096).count(65536)),
            (1, 2, 16)
        );
    }

    #[test]
    fn what_no_kernel_has_is_not_believed() {
        for bytes in [0, 1, 4095, 5000, 1 << 12, (1 << 16) + 1, 1 << 30, 1 << 63, u64::MAX] {
            assert_eq!(Page::new(bytes), Page::SMALLEST, "{bytes}");
        }
    }
}
