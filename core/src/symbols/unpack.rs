//! Compressed sections.

use super::elf::{Packing, Section};
use alloc::vec::Vec;

/// Most bytes of decompressed sections that one [`Symbols`](super::Symbols) holds.
pub(super) const MOST: u64 = 1 << 30;
/// What deflate and zstd (128 KiB of one block of four bytes) can make of one byte at most; a greater claim is false.
const DEFLATE: u64 = 1032;
const ZSTD: u64 = 32 << 10;

/// The contents of a compressed section of `bytes`, their size taken from `left`; `None` where they are not what the
/// header claims, or more than is left.
pub(super) fn unpack(bytes: &[u8], section: &Section, left: &mut u64) -> Option<Vec<u8>> {
    let packed = bytes.get(section.range.clone())?;
    let (claim, ratio) = match section.packing {
        Packing::None => return None,
        Packing::Zlib(claim) => (claim, DEFLATE),
        Packing::Zstd(claim) => (claim, ZSTD),
    };
    let rest = left.checked_sub(claim)?;
    let size = usize::try_from(claim).ok().filter(|_| claim / ratio <= packed.len() as u64)?;
    let mut out = Vec::new();
    out.try_reserve_exact(size).ok()?;
    out.resize(size, 0);
    let made = match section.packing {
        Packing::Zstd(_) => ruzstd::decoding::FrameDecoder::new().decode_all(packed, &mut out).ok()?,
        _ => {
            let input = core::iter::once(packed);
            miniz_oxide::inflate::decompress_slice_iter_to_slice(&mut out, input, true, false).ok()?
        }
    };
    (made == size).then(|| {
        *left = rest;
        out
    })
}
