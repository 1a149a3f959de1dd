//! Rows of what gcc 12 writes for aarch64.

use alloc::vec::Vec;

use super::{AARCH64, Base, Row, Saved, row};

/// `"zR"`, code in units of 4, data in units of -8, the return address in x30, `def_cfa sp, 0`.
const CIE: [u8; 20] = [16, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 4, 0x78, 30, 1, 0x1b, 0x0c, 31, 0];

/// Length, common part, begin, range, no more; then `rules`.
fn fde(rules: &[u8]) -> Vec<u8> {
    let mut bytes = ((13 + rules.len()) as u32).to_le_bytes().to_vec();
    bytes.extend([0x18, 0, 0, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 0]);
    bytes.extend(rules);
    bytes
}

fn at(rules: &[u8], offset: u64) -> Option<Row> {
    row(&CIE, &fde(rules), offset, &AARCH64)
}

fn saving(base: Base, distance: i64, fp: i64, link: i64) -> Option<Row> {
    Some(Row { base: Some(base), distance, fp: Saved::At(fp), link: Saved::At(link) })
}

const NOTHING_SAVED: Option<Row> =
    Some(Row { base: Some(Base::Stack), distance: 0, fp: Saved::Same, link: Saved::Same });

/// `-O2 -mbranch-protection=standard`: paciasp; stp x29, x30, [sp, -112]!; …; autiasp.
#[test]
fn signed_return_address() {
    let rules = [
        0x41, 0x2d, 0x41, 0x0e, 0x70, 0x9d, 0x0e, 0x9e, 0x0d, 0x42, 0x93, 0x0c, 0x46, 0xde, 0xdd, 0xd3, 0x0e, 0, 0x41,
        0x2d,
    ];
    assert_eq!(at(&rules, 0), NOTHING_SAVED);
    assert_eq!(at(&rules, 7), NOTHING_SAVED);
    assert_eq!(at(&rules, 8), saving(Base::Stack, 112, -112, -104));
    assert_eq!(at(&rules, 39), saving(Base::Stack, 112, -112, -104));
    assert_eq!(at(&rules, 40), NOTHING_SAVED);
    assert_eq!(at(&rules, 4000), NOTHING_SAVED);
}

/// A function with an array of variable length counts from x29.
#[test]
fn by_frame_pointer() {
    let rules = [
        0x41, 0x0e, 0x20, 0x9d, 0x04, 0x9e, 0x03, 0x43, 0x0d, 0x1d, 0x42, 0x93, 0x02, 0x48, 0xde, 0xdd, 0xd3, 0x0c,
        0x1f, 0,
    ];
    assert_eq!(at(&rules, 4), saving(Base::Stack, 32, -32, -24));
    assert_eq!(at(&rules, 16), saving(Base::Frame, 32, -32, -24));
    assert_eq!(at(&rules, 55), saving(Base::Frame, 32, -32, -24));
    assert_eq!(at(&rules, 56), NOTHING_SAVED);
}

#[test]
fn early_return() {
    // remember, restore, advance, restore_state.
    let rules = [0x41, 0x0e, 0x10, 0x9d, 0x02, 0x9e, 0x01, 0x44, 0x0a, 0xde, 0xdd, 0x0e, 0, 0x41, 0x0b];
    assert_eq!(at(&rules, 4), saving(Base::Stack, 16, -16, -8));
    assert_eq!(at(&rules, 20), NOTHING_SAVED);
    assert_eq!(at(&rules, 24), saving(Base::Stack, 16, -16, -8));
}

#[test]
fn outermost() {
    let nowhere = at(&[0x07, 30], 0).map(|row| row.link);
    assert_eq!(nowhere, Some(Saved::Nowhere));
}

#[test]
fn expressions_are_told() {
    // def_cfa_expression, expression, each of two bytes.
    let told = Row { base: None, distance: 0, fp: Saved::Elsewhere, link: Saved::Same };
    assert_eq!(at(&[0x0f, 2, 0x8f, 0, 0x10, 29, 2, 0x8f, 0], 0), Some(told));
}

/// Every cut and every changed byte gives a row or none.
#[test]
fn damage() {
    let whole = fde(&[0x41, 0x2d, 0x0e, 0x70, 0x9d, 0x0e, 0x9e, 0x0d, 0x0a, 0x0b, 0x12, 31, 0x70]);
    for length in 0..whole.len() {
        row(&CIE, &whole[..length], 40, &AARCH64);
    }
    for length in 0..CIE.len() {
        assert_eq!(row(&CIE[..length], &whole, 40, &AARCH64), None);
    }
    for place in 0..whole.len() {
        for byte in 0..=255 {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            row(&CIE, &bytes, 40, &AARCH64);
        }
    }
    for place in 0..CIE.len() {
        for byte in 0..=255 {
            let mut bytes = CIE;
            bytes[place] = byte;
            row(&bytes, &whole, 40, &AARCH64);
        }
    }
    assert_eq!(at(&[0x0b], 0), None);
    assert_eq!(at(&[0x0a; 9], 0), None);
    assert_eq!(at(&[0x0e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 0), None);
}
