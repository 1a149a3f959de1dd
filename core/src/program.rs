//! What a program's file says of whether and how a library can be loaded into it: no more of it is read than the kernel and the
//! dynamic linker go by, whatever it claims.

use alloc::vec::Vec;

/// Bytes of a file from an offset on: as many as asked for, fewer where it ends, none where it cannot be read.
pub trait Bytes {
    /// At most `most` bytes from `offset` on.
    fn at(&self, offset: u64, most: usize) -> Vec<u8>;
}

/// A program, by its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Of 32 bits.
    Elf32,
    /// Of 64 bits.
    Elf64 {
        /// Whether it asks for a dynamic linker, which is who loads libraries.
        interpreted: bool,
        /// The libraries that it asks for, as far as they have usual names, at most [`MOST_NEEDED`].
        needed: Vec<Vec<u8>>,
    },
}

/// Most bytes of program headers: the kernel runs nothing that has more (fs/binfmt_elf.c, `load_elf_phdrs`).
const MOST_HEADERS: usize = 65536;
/// Most bytes of the dynamic section. Programs of several hundred libraries have a tenth of it.
const MOST_DYNAMIC: usize = 1 << 18;
/// Most libraries.
pub const MOST_NEEDED: usize = 4096;
/// Longest name of a library (PATH_MAX).
const LONGEST: usize = 4096;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// A little-endian number of `N` bytes at most 8.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let found = bytes.get(at..at.checked_add(N)?)?;
    Some(found.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// A program header: what is where in the file, and where in memory.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    length: u64,
}

/// What kind of program it is. `None`: none that the kernel would start by itself, as a script.
pub fn program(file: &impl Bytes) -> Option<Program> {
    let header = file.at(0, HEADER);
    match header.get(..6)? {
        b"\x7fELF\x01\x01" => return Some(Program::Elf32),
        b"\x7fELF\x02\x01" => {}
        _ => return None,
    }
    let (offset, size, count) =
        (number::<8>(&header, 32)?, number::<2>(&header, 54)?, number::<2>(&header, 56)? as usize);
    let length = count.checked_mul(PROGRAM_HEADER).filter(|&length| (1..=MOST_HEADERS).contains(&length))?;
    if size != PROGRAM_HEADER as u64 {
        return None;
    }
    let headers = file.at(offset, length);
    let segments: Vec<Segment> = headers.chunks_exact(PROGRAM_HEADER).filter_map(segment).collect();
    let interpreted = segments.iter().any(|segment| segment.kind == PT_INTERP);
    let needed = if interpreted { needed(file, &segments).unwrap_or_default() } else { Vec::new() };
    Some(Program::Elf64 { interpreted, needed })
}

fn segment(header: &[u8]) -> Option<Segment> {
    Some(Segment {
        kind: number::<4>(header, 0)? as u32,
        offset: number::<8>(header, 8)?,
        address: number::<8>(header, 16)?,
        length: number::<8>(header, 32)?,
    })
}

/// The libraries of the dynamic section, which ends with the first entry of no kind.
fn needed(file: &impl Bytes, segments: &[Segment]) -> Option<Vec<Vec<u8>>> {
    let dynamic = segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
    let length = usize::try_from(dynamic.length).unwrap_or(usize::MAX).min(MOST_DYNAMIC);
    let section = file.at(dynamic.offset, length);
    let entries = || {
        let pairs = section.chunks_exact(16).filter_map(|entry| Some((number::<8>(entry, 0)?, number::<8>(entry, 8)?)));
        pairs.take_while(|&(kind, _)| kind != DT_NULL)
    };
    let strings = entries().find(|&(kind, _)| kind == DT_STRTAB)?.1;
    let holds = |segment: &&Segment| {
        segment.kind == PT_LOAD && strings.checked_sub(segment.address).is_some_and(|past| past < segment.length)
    };
    let loaded = segments.iter().find(holds)?;
    let strings = loaded.offset.checked_add(strings - loaded.address)?;
    let name = |(_, at): (u64, u64)| {
        let text = file.at(strings.checked_add(at)?, LONGEST);
        let end = text.iter().position(|&byte| byte == 0)?;
        text.get(..end).map(<[u8]>::to_vec)
    };
    Some(entries().filter(|&(kind, _)| kind == DT_NEEDED).take(MOST_NEEDED).filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// A file that is never read further than it is long, and counts what is read.
    struct File<'a>(&'a [u8]);

    impl Bytes for File<'_> {
        fn at(&self, offset: u64, most: usize) -> Vec<u8> {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
            self.0[from..from.saturating_add(most).min(self.0.len())].to_vec()
        }
    }

    /// One of every word that is written, where nothing else is: 64-bit header, `headers`, the dynamic section, names.
    fn file(headers: &[(u32, u64, u64, u64)], rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; HEADER];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = HEADER as u8;
        bytes[54] = PROGRAM_HEADER as u8;
        bytes[56] = headers.len() as u8;
        for &(kind, offset, address, length) in headers {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 4]);
            for word in [offset, address, 0, length, length, 1] {
                bytes.extend(word.to_le_bytes());
            }
        }
        bytes.extend_from_slice(rest);
        bytes
    }

    fn entries(pairs: &[(u64, u64)]) -> Vec<u8> {
        pairs.iter().flat_map(|(kind, value)| [kind.to_le_bytes(), value.to_le_bytes()].concat()).collect()
    }

    #[test]
    fn what_a_program_needs() {
        let dynamic = entries(&[(DT_NEEDED, 1), (DT_STRTAB, 0x5000), (DT_NEEDED, 6), (DT_NULL, 0), (DT_NEEDED, 1)]);
        let at = (HEADER + 3 * PROGRAM_HEADER) as u64;
        let names = at + dynamic.len() as u64;
        let rest = [&dynamic[..], b"\0a.so\0lib/b\0"].concat();
        let headers = [(PT_INTERP, 0, 0, 0), (PT_DYNAMIC, at, 0, 4096), (PT_LOAD, names - 16, 0x4FF0, 100)];
        let read = |headers: &[(u32, u64, u64, u64)]| program(&File(&file(headers, &rest))).unwrap();
        let needed = vec![b"a.so".to_vec(), b"lib/b".to_vec()];
        assert_eq!(read(&headers), Program::Elf64 { interpreted: true, needed });
        // Without a dynamic linker nobody looks at the names.
        let mut alone = headers;
        alone[0].0 = 4;
        assert_eq!(read(&alone), Program::Elf64 { interpreted: false, needed: Vec::new() });
        // Names that are nowhere in the file.
        let mut elsewhere = headers;
        elsewhere[2].1 = u64::MAX - 20;
        assert_eq!(read(&elsewhere), Program::Elf64 { interpreted: true, needed: Vec::new() });
    }

    #[test]
    fn what_the_kernel_would_not_start() {
        let mut large = file(&[], &[]);
        large[56..58].copy_from_slice(&1171u16.to_le_bytes());
        let mut wide = file(&[(PT_LOAD, 0, 0, 0)], &[]);
        wide[54] = 57;
        let none: [&[u8]; 6] = [b"", b"#!/bin/sh\n", b"\x7fELF\x02\x01", &file(&[], &[]), &large, &wide];
        for bytes in none {
            assert_eq!(program(&File(bytes)), None, "{}", bytes.escape_ascii());
        }
        assert_eq!(program(&File(b"\x7fELF\x01\x01\x01")), Some(Program::Elf32));
    }
}
