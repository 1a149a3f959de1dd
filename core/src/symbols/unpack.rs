//! Compressed sections: what they claim is believed as far as it is there.

use super::elf::{Packing, Section};
use alloc::vec::Vec;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read;

/// Most bytes of decompressed sections that one [`Symbols`](super::Symbols) holds.
pub(super) const MOST: u64 = 1 << 30;
/// What deflate and zstd (128 KiB of one block of four bytes) can make of one byte at most; a greater claim is false.
const DEFLATE: u64 = 1032;
const ZSTD: u64 = 32 << 10;
/// Bytes that are made room for at first.
const STEP: usize = 1 << 20;
/// Blocks of zstd that are read at once, and those that are read of a section altogether: so many, and one for so many bytes.
/// Three bytes are a block that says nothing: a file with a hole has any number of them.
const BLOCKS: usize = 64;
const MOST_BLOCKS: usize = 1 << 12;
const BYTES_PER_BLOCK: usize = 64;

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
    let out = match section.packing {
        Packing::Zstd(_) => zstd(packed, size)?,
        _ => zlib(packed, size)?,
    };
    *left = rest;
    Some(out)
}

/// Makes twice as much room as there is, but not more than `size`. `None` where that is no more.
fn grow(out: &mut Vec<u8>, size: usize) -> Option<()> {
    let room = out.len().saturating_mul(2).max(STEP).min(size);
    out.try_reserve_exact(room.checked_sub(out.len()).filter(|&more| more > 0)?).ok()?;
    out.resize(room, 0);
    Some(())
}

fn zlib(mut packed: &[u8], size: usize) -> Option<Vec<u8>> {
    const FLAGS: u32 =
        TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_IGNORE_ADLER32;
    let mut state = DecompressorOxide::new();
    let (mut out, mut at) = (Vec::new(), 0);
    let _ = grow(&mut out, size);
    loop {
        let (status, read, made) = decompress(&mut state, packed, &mut out, at, FLAGS);
        (packed, at) = (packed.get(read..)?, at + made);
        match status {
            TINFLStatus::Done => return (at == size).then_some(out),
            TINFLStatus::HasMoreOutput => grow(&mut out, size)?,
            _ => return None,
        }
    }
}

fn zstd(mut packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    let mut blocks = MOST_BLOCKS + size / BYTES_PER_BLOCK;
    while !packed.is_empty() {
        let mut decoder = FrameDecoder::new();
        decoder.init(&mut packed).ok()?;
        loop {
            let before = decoder.blocks_decoded();
            decoder.decode_blocks(&mut packed, BlockDecodingStrategy::UptoBlocks(BLOCKS)).ok()?;
            blocks = blocks.checked_sub(decoder.blocks_decoded() - before)?;
            while decoder.can_collect() > 0 {
                if at == out.len() {
                    grow(&mut out, size)?;
                }
                at += decoder.read(out.get_mut(at..)?).ok().filter(|&read| read > 0)?;
            }
            if decoder.is_finished() {
                break;
            }
        }
    }
    (at == size).then_some(out)
}
