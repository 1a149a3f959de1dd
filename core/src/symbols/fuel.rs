//! Reading with a measure: a byte reader for gimli that gives up once it has been asked for too much.
//!
//! Damaged debug information can describe far more work than it has bytes: many entries that share one long list, chains
//! that lead back. Every read takes from one account, so that the work of a look-up has an end whatever the file says.

use alloc::borrow::Cow;
use core::cell::Cell;
use gimli::{EndianSlice, Error, Reader, ReaderOffsetId, Result, RunTimeEndian};

/// What is left to read.
#[derive(Debug)]
pub(super) struct Fuel(Cell<u64>);

impl Fuel {
    /// An account of `amount` bytes.
    pub fn new(amount: u64) -> Self {
        Fuel(Cell::new(amount))
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.0.get()
    }

    /// Takes `amount`; false, and nothing left, where there is less.
    #[inline]
    pub fn take(&self, amount: u64) -> bool {
        match self.0.get().checked_sub(amount) {
            Some(left) => {
                self.0.set(left);
                true
            }
            None => {
                self.0.set(0);
                false
            }
        }
    }

    /// Runs `work` with at most `most` of the account.
    pub fn within<T>(&self, most: u64, work: impl FnOnce() -> T) -> T {
        let all = self.left();
        let lent = all.min(most);
        self.0.set(lent);
        let made = work();
        self.0.set(all - lent.saturating_sub(self.left()));
        made
    }
}

/// Bytes whose reading takes from a [`Fuel`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Metered<'a> {
    bytes: EndianSlice<'a, RunTimeEndian>,
    fuel: &'a Fuel,
}

impl<'a> Metered<'a> {
    /// A reader of `bytes`.
    pub fn new(bytes: &'a [u8], endian: RunTimeEndian, fuel: &'a Fuel) -> Self {
        Metered { bytes: EndianSlice::new(bytes, endian), fuel }
    }

    /// What it would read.
    pub fn slice(&self) -> &'a [u8] {
        self.bytes.slice()
    }

    #[inline]
    fn charge(&self, amount: usize) -> Result<()> {
        if self.fuel.take(amount as u64) { Ok(()) } else { Err(Error::UnexpectedEof(self.bytes.offset_id())) }
    }
}

impl Reader for Metered<'_> {
    type Endian = RunTimeEndian;
    type Offset = usize;

    #[inline]
    fn endian(&self) -> RunTimeEndian {
        self.bytes.endian()
    }

    #[inline]
    fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn empty(&mut self) {
        self.bytes.empty();
    }

    #[inline]
    fn truncate(&mut self, len: usize) -> Result<()> {
        self.bytes.truncate(len)
    }

    #[inline]
    fn offset_from(&self, base: &Self) -> usize {
        Reader::offset_from(&self.bytes, &base.bytes)
    }

    #[inline]
    fn offset_id(&self) -> ReaderOffsetId {
        self.bytes.offset_id()
    }

    #[inline]
    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.bytes.lookup_offset_id(id)
    }

    #[inline]
    fn find(&self, byte: u8) -> Result<usize> {
        let at = Reader::find(&self.bytes, byte);
        self.charge(at.unwrap_or(self.bytes.len()))?;
        at
    }

    #[inline]
    fn skip(&mut self, len: usize) -> Result<()> {
        self.charge(1)?;
        self.bytes.skip(len)
    }

    #[inline]
    fn split(&mut self, len: usize) -> Result<Self> {
        self.charge(1)?;
        Ok(Metered { bytes: Reader::split(&mut self.bytes, len)?, fuel: self.fuel })
    }

    #[inline]
    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.bytes.to_slice()
    }

    #[inline]
    fn to_string(&self) -> Result<Cow<'_, str>> {
        Reader::to_string(&self.bytes)
    }

    #[inline]
    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        Reader::to_string_lossy(&self.bytes)
    }

    #[inline]
    fn read_slice(&mut self, buf: &mut [u8]) -> Result<()> {
        self.charge(buf.len())?;
        Reader::read_slice(&mut self.bytes, buf)
    }
}
