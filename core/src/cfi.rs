//! Call frame information (`.eh_frame`): where, at one address of a function, its caller's registers are to be found.
//!
//! Only what a walk up the stack asks for: stack pointer, frame pointer, return address, where they are saved at fixed
//! distances. That return addresses are signed (`DW_CFA_AARCH64_negate_ra_state`) is passed over: who walks strips them all.
//! Nothing is allocated; any bytes are taken.
//!
//! DWARF 5, 6.4; DWARF for the Arm 64-bit Architecture, 4.1 and 4.4.

/// The numbers of a machine's registers in its tables.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// The stack pointer's.
    pub sp: u64,
    /// The frame pointer's.
    pub fp: u64,
    /// The return address's.
    pub link: u64,
}

/// aarch64: sp, x29, x30.
pub const AARCH64: Numbers = Numbers { sp: 31, fp: 29, link: 30 };

/// What the caller's stack pointer is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// The stack pointer.
    Stack,
    /// The frame pointer.
    Frame,
}

/// Where a register's value in the caller is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saved {
    /// Still in the register.
    Same,
    /// So many bytes from the caller's stack pointer.
    At(i64),
    /// Nowhere: as a return address, nobody called.
    Nowhere,
    /// Somewhere that is not told by a distance.
    Elsewhere,
}

/// How to leave a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// What the caller's stack pointer is counted from; `None` for what is neither of the two.
    pub base: Option<Base>,
    /// Bytes from there to the caller's stack pointer.
    pub distance: i64,
    /// The caller's frame pointer.
    pub fp: Saved,
    /// The return address.
    pub link: Saved,
}

/// Rows that may be remembered at once.
const DEPTH: usize = 8;

/// The row at `offset` bytes into the function of `fde`, whose common part is `cie`; both begin with their length. `None`
/// for what is damaged or written in another way than compilers write it.
pub fn row(cie: &[u8], fde: &[u8], offset: u64, numbers: &Numbers) -> Option<Row> {
    let mut cie = Bytes::entry(cie)?;
    if cie.word(4)? != 0 || !matches!(cie.byte()?, 1 | 3) {
        return None;
    }
    let augmented = match cie.byte()? {
        0 => false,
        b'z' => {
            while cie.byte()? != 0 {}
            true
        }
        _ => return None,
    };
    let units = Units { code: cie.unsigned()?, data: cie.signed()? };
    if cie.unsigned()? != numbers.link {
        return None;
    }
    let mut fde = Bytes::entry(fde)?;
    // Its distance to the common part, where its code begins and how long that is.
    fde.take(12)?;
    for entry in [&mut cie, &mut fde] {
        if augmented {
            let length = entry.unsigned()?;
            entry.take(usize::try_from(length).ok()?)?;
        }
    }
    let none = Row { base: None, distance: 0, fp: Saved::Same, link: Saved::Same };
    let mut machine = Machine { row: none, first: none, kept: [none; DEPTH], used: 0, at: 0, units, numbers: *numbers };
    machine.run(cie, u64::MAX)?;
    machine.first = machine.row;
    machine.run(fde, offset)?;
    Some(machine.row)
}

#[derive(Clone, Copy)]
struct Units {
    code: u64,
    data: i64,
}

struct Machine {
    row: Row,
    /// After the common part.
    first: Row,
    kept: [Row; DEPTH],
    used: usize,
    /// Where the row holds from.
    at: u64,
    units: Units,
    numbers: Numbers,
}

impl Machine {
    /// Executes what there is for addresses up to `last`.
    fn run(&mut self, mut code: Bytes, last: u64) -> Option<()> {
        while let Some(byte) = code.byte() {
            let low = u64::from(byte & 0x3f);
            let advance = match byte {
                0x40..0x80 => low,
                0x02 => u64::from(code.byte()?),
                0x03 => u64::from(code.word(2)?),
                0x04 => u64::from(code.word(4)?),
                _ => {
                    self.execute(byte, low, &mut code)?;
                    continue;
                }
            };
            self.at = self.at.checked_add(advance.checked_mul(self.units.code)?)?;
            if self.at > last {
                break;
            }
        }
        Some(())
    }

    fn execute(&mut self, byte: u8, low: u64, code: &mut Bytes) -> Option<()> {
        match byte {
            // offset, restore
            0x80..0xc0 => {
                let at = self.scaled(code.unsigned()?)?;
                self.set(low, Saved::At(at));
            }
            0xc0.. => self.restore(low),
            // nop; the return address is signed from here on, or no more
            0x00 | 0x2c | 0x2d => {}
            // offset_extended, and with a sign
            0x05 => {
                let (register, at) = (code.unsigned()?, code.unsigned()?);
                self.set(register, Saved::At(self.scaled(at)?));
            }
            0x11 => {
                let (register, at) = (code.unsigned()?, code.signed()?);
                self.set(register, Saved::At(at.checked_mul(self.units.data)?));
            }
            0x06 => self.restore(code.unsigned()?),
            0x07 => self.set(code.unsigned()?, Saved::Nowhere),
            0x08 => self.set(code.unsigned()?, Saved::Same),
            // register, val_offset, and with a sign
            0x09 | 0x14 | 0x15 => {
                let register = code.unsigned()?;
                code.unsigned()?;
                self.set(register, Saved::Elsewhere);
            }
            0x0a => {
                *self.kept.get_mut(self.used)? = self.row;
                self.used += 1;
            }
            0x0b => {
                self.used = self.used.checked_sub(1)?;
                self.row = *self.kept.get(self.used)?;
            }
            // def_cfa, and with a sign; its register; its offset, and with a sign
            0x0c | 0x12 => {
                self.row.base = self.base(code.unsigned()?);
                self.row.distance = self.distance(byte == 0x12, code)?;
            }
            0x0d => self.row.base = self.base(code.unsigned()?),
            0x0e | 0x13 => self.row.distance = self.distance(byte == 0x13, code)?,
            // def_cfa_expression
            0x0f => {
                let length = code.unsigned()?;
                code.take(usize::try_from(length).ok()?)?;
                self.row.base = None;
            }
            // expression, val_expression
            0x10 | 0x16 => {
                let (register, length) = (code.unsigned()?, code.unsigned()?);
                code.take(usize::try_from(length).ok()?)?;
                self.set(register, Saved::Elsewhere);
            }
            // GNU_args_size
            0x2e => drop(code.unsigned()?),
            _ => return None,
        }
        Some(())
    }

    fn scaled(&self, by: u64) -> Option<i64> {
        i64::try_from(by).ok()?.checked_mul(self.units.data)
    }

    fn distance(&self, scaled: bool, code: &mut Bytes) -> Option<i64> {
        if scaled { code.signed()?.checked_mul(self.units.data) } else { i64::try_from(code.unsigned()?).ok() }
    }

    fn base(&self, register: u64) -> Option<Base> {
        match register {
            register if register == self.numbers.sp => Some(Base::Stack),
            register if register == self.numbers.fp => Some(Base::Frame),
            _ => None,
        }
    }

    fn set(&mut self, register: u64, saved: Saved) {
        if register == self.numbers.fp {
            self.row.fp = saved;
        } else if register == self.numbers.link {
            self.row.link = saved;
        }
    }

    fn restore(&mut self, register: u64) {
        let saved = if register == self.numbers.fp { self.first.fp } else { self.first.link };
        self.set(register, saved);
    }
}

/// What is still to be read.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// An entry's, after its length.
    fn entry(bytes: &'a [u8]) -> Option<Bytes<'a>> {
        let mut bytes = Bytes(bytes);
        let length = bytes.word(4)?;
        Some(Bytes(bytes.take(usize::try_from(length).ok()?)?))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A little-endian number of at most four bytes.
    fn word(&mut self, length: usize) -> Option<u32> {
        Some(self.take(length)?.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte)))
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// LEB128 without a sign.
    fn unsigned(&mut self) -> Option<u64> {
        self.leb().map(|(value, _)| value)
    }

    /// LEB128 with a sign.
    fn signed(&mut self) -> Option<i64> {
        let (value, bits) = self.leb()?;
        let free = 64u32.saturating_sub(bits);
        Some((value << free) as i64 >> free)
    }

    /// A number's bits, and how many.
    fn leb(&mut self) -> Option<(u64, u32)> {
        let (mut value, mut bits) = (0u64, 0);
        loop {
            let byte = self.byte()?;
            if bits > 56 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << bits;
            bits += 7;
            if byte & 0x80 == 0 {
                return Some((value, bits));
            }
        }
    }
}

#[cfg(test)]
mod tests;
