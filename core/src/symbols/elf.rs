//! What is taken from an ELF file: where its sections lie, its build id, its function symbols.
//!
//! Nothing here keeps a reference into the file; offsets are checked when they are used, so any damage costs names only.

use alloc::vec::Vec;
use core::ops::Range;
use gimli::RunTimeEndian;
use object::elf;
use object::read::elf::{CompressionHeader, FileHeader, NoteIterator, ProgramHeader, SectionHeader, Sym};

/// Sections that are read, by name.
const WANTED: [&[u8]; 14] = [
    b".debug_abbrev",
    b".debug_addr",
    b".debug_info",
    b".debug_line",
    b".debug_line_str",
    b".debug_ranges",
    b".debug_rnglists",
    b".debug_str",
    b".debug_str_offsets",
    b".debug_sup",
    b".gnu_debugaltlink",
    b".gnu_debuglink",
    b".symtab",
    b".dynsym",
];
/// Sections looked at, and notes in them: real files have some dozens.
const MOST_SECTIONS: usize = 1 << 16;
const MOST_NOTES: usize = 256;
/// Symbols of a table that are read; a browser has a million.
const MOST_SYMBOLS: usize = 8 << 20;
/// Bytes of a build id: a hash has 16 to 32, a hand-made one may have any number.
const BUILD_ID: core::ops::RangeInclusive<usize> = 2..=64;
/// Symbols before the nearest one that are asked whether they reach to the address.
const OVERLAPS: usize = 64;

/// How a section is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    None,
    /// zlib, and the size claimed.
    Zlib(u64),
    /// zstd, and the size claimed.
    Zstd(u64),
}

/// Where a section's bytes are.
#[derive(Clone, Debug)]
pub(super) struct Section {
    name: &'static [u8],
    pub range: Range<usize>,
    pub packing: Packing,
}

/// The outline of a file.
#[derive(Clone, Debug)]
pub(super) struct Elf {
    pub endian: RunTimeEndian,
    /// Empty where there is none.
    pub build_id: Vec<u8>,
    /// From the first executable address to the last.
    pub code: Range<u64>,
    sections: Vec<Section>,
}

impl Elf {
    /// The outline of `bytes`; `None` where they are no ELF file.
    pub fn parse(bytes: &[u8]) -> Option<Elf> {
        match bytes.get(4).copied().map(elf::FileClass)? {
            elf::ELFCLASS32 => outline::<elf::FileHeader32<object::Endianness>>(bytes),
            elf::ELFCLASS64 => outline::<elf::FileHeader64<object::Endianness>>(bytes),
            _ => None,
        }
    }

    /// A section that has bytes in the file.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name.as_bytes())
    }

    /// The bytes of a section that is not compressed.
    pub fn plain<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let section = self.section(name).filter(|section| section.packing == Packing::None)?;
        bytes.get(section.range.clone())
    }
}

fn outline<E: FileHeader>(bytes: &[u8]) -> Option<Elf> {
    let header = E::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let little = header.is_little_endian();
    let mut found = Elf {
        endian: if little { RunTimeEndian::Little } else { RunTimeEndian::Big },
        build_id: Vec::new(),
        code: 0..0,
        sections: Vec::new(),
    };
    let headers = header.section_headers(endian, bytes).unwrap_or(&[]);
    let names = header
        .section_strings_index(endian, bytes)
        .ok()
        .and_then(|index| headers.get(index.0)?.data(endian, bytes).ok())
        .unwrap_or(&[]);
    let mut notes = MOST_NOTES;
    for section in headers.iter().take(MOST_SECTIONS) {
        let start = section.sh_addr(endian).into();
        let size: u64 = section.sh_size(endian).into();
        if section.sh_flags(endian).contains(elf::SHF_ALLOC | elf::SHF_EXECINSTR) && size > 0 {
            let end = start.saturating_add(size);
            let code = &mut found.code;
            *code = if code.is_empty() { start..end } else { code.start.min(start)..code.end.max(end) };
        }
        if found.build_id.is_empty()
            && let Ok(Some(list)) = section.notes(endian, bytes)
        {
            found.build_id = build_id(list, endian, &mut notes);
        }
        wanted::<E>(section, endian, bytes, names, &mut found.sections);
    }
    for segment in header.program_headers(endian, bytes).unwrap_or(&[]).iter().take(MOST_SECTIONS) {
        if found.build_id.is_empty()
            && let Ok(Some(list)) = segment.notes(endian, bytes)
        {
            found.build_id = build_id(list, endian, &mut notes);
        }
    }
    if found.code.is_empty() {
        found.code = 0..u64::MAX;
    }
    Some(found)
}

fn build_id<E: FileHeader>(mut notes: NoteIterator<E>, endian: E::Endian, left: &mut usize) -> Vec<u8> {
    while *left > 0
        && let Ok(Some(note)) = notes.next()
    {
        *left -= 1;
        if note.name() == elf::ELF_NOTE_GNU
            && note.n_type(endian) == elf::NT_GNU_BUILD_ID
            && BUILD_ID.contains(&note.desc().len())
        {
            return note.desc().to_vec();
        }
    }
    Vec::new()
}

fn wanted<E: FileHeader>(
    section: &E::SectionHeader,
    endian: E::Endian,
    bytes: &[u8],
    names: &[u8],
    found: &mut Vec<Section>,
) {
    let rest = names.get(section.sh_name(endian) as usize..).unwrap_or(&[]);
    let rest = rest.get(..24).unwrap_or(rest);
    let name = rest.split(|&byte| byte == 0).next().unwrap_or(&[]);
    // Before SHF_COMPRESSED the name told of the compression.
    let old = name.strip_prefix(b".z").filter(|rest| rest.starts_with(b"debug_"));
    let Some(&name) = WANTED.iter().find(|&&known| known == name || (old.is_some() && old == known.get(1..))) else {
        return;
    };
    let Some((offset, size)) = section.file_range(endian) else { return };
    let range = |offset: u64, size: u64| {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        (end <= bytes.len()).then_some(start..end)
    };
    let placed = match section.compression(endian, bytes) {
        Ok(None) if old.is_some() => range(offset, size).and_then(|range| {
            let head: &[u8; 12] = bytes.get(range.clone())?.first_chunk()?;
            let (magic, claim) = head.split_first_chunk::<4>()?;
            let claim = u64::from_be_bytes(claim.try_into().ok()?);
            (magic == b"ZLIB").then_some((range.start + head.len()..range.end, Packing::Zlib(claim)))
        }),
        Ok(None) => range(offset, size).map(|range| (range, Packing::None)),
        Ok(Some((head, offset, size))) => range(offset, size).and_then(|range| match head.ch_type(endian) {
            elf::ELFCOMPRESS_ZLIB => Some((range, Packing::Zlib(head.ch_size(endian).into()))),
            elf::ELFCOMPRESS_ZSTD => Some((range, Packing::Zstd(head.ch_size(endian).into()))),
            _ => None,
        }),
        Err(_) => None,
    };
    if let Some((range, packing)) = placed
        && !range.is_empty()
        && !found.iter().any(|section| section.name == name)
    {
        found.push(Section { name, range, packing });
    }
}

/// Which symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// `.symtab`
    Full,
    /// `.dynsym`
    Dynamic,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    address: u64,
    size: u64,
    name: u32,
    /// The name of the source file, for a symbol that only its own file knows; 0 for none.
    unit: u32,
    /// Among symbols of one address the greatest is taken.
    rank: u8,
}

/// A function, as a symbol tells of it.
pub(super) struct Function<'a> {
    pub name: &'a [u8],
    pub address: u64,
    /// The source file that was compiled, where others do not know the function (`static`).
    pub unit: Option<&'a [u8]>,
}

/// The function symbols of a file, by address.
#[derive(Clone, Debug)]
pub(super) struct Functions {
    symbols: Vec<Symbol>,
    names: Range<usize>,
}

impl Functions {
    /// The functions of one of the tables of `bytes`.
    pub fn parse(bytes: &[u8], table: Table) -> Option<Functions> {
        match bytes.get(4).copied().map(elf::FileClass)? {
            elf::ELFCLASS32 => functions::<elf::FileHeader32<object::Endianness>>(bytes, table),
            elf::ELFCLASS64 => functions::<elf::FileHeader64<object::Endianness>>(bytes, table),
            _ => None,
        }
    }

    /// The function that `address` is in: one whose size covers it, else the nearest one before it if that has no size
    /// (assembly).
    pub fn find<'a>(&self, bytes: &'a [u8], address: u64) -> Option<Function<'a>> {
        let before = self.symbols.get(..self.symbols.partition_point(|symbol| symbol.address <= address))?;
        let nearest = before.last()?;
        let symbol = before
            .iter()
            .rev()
            .take(OVERLAPS)
            .find(|symbol| address - symbol.address < symbol.size)
            .or((nearest.size == 0).then_some(nearest))?;
        let names = bytes.get(self.names.clone())?;
        let text = |at: u32| names.get(at as usize..)?.split(|&byte| byte == 0).next().filter(|text| !text.is_empty());
        let name = text(symbol.name)?;
        // A part that the compiler has cut from a function (`f.part.0`) is local, whatever the function is.
        let unit = text(symbol.unit).filter(|_| symbol.unit > 0 && !name.contains(&b'.'));
        Some(Function { name, address: symbol.address, unit })
    }
}

fn functions<E: FileHeader>(bytes: &[u8], table: Table) -> Option<Functions> {
    let header = E::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let kind = if table == Table::Full { elf::SHT_SYMTAB } else { elf::SHT_DYNSYM };
    let sections = header.section_headers(endian, bytes).ok()?;
    let section = sections.iter().take(MOST_SECTIONS).find(|section| section.sh_type(endian) == kind)?;
    let list: &[E::Sym] = section.data_as_array(endian, bytes).ok()?;
    let (offset, size) = sections.get(section.link(endian).0)?.file_range(endian)?;
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    // The lowest bit of an address of 32-bit ARM says which instruction set.
    let unset = u64::from(header.e_machine(endian) == elf::EM_ARM);
    let code = |index: u16| {
        let section = sections.get(usize::from(index));
        section.is_some_and(|section| section.sh_flags(endian).contains(elf::SHF_EXECINSTR))
    };
    let mut symbols = Vec::new();
    // A file's symbol stands before those that only the file knows.
    let mut unit = 0;
    for symbol in list.iter().take(MOST_SYMBOLS) {
        if symbol.st_type() == elf::STT_FILE {
            unit = symbol.st_name(endian);
        }
        let section = symbol.st_shndx(endian);
        let address: u64 = symbol.st_value(endian).into();
        let size: u64 = symbol.st_size(endian).into();
        let function = match symbol.st_type() {
            elf::STT_FUNC | elf::STT_GNU_IFUNC => true,
            elf::STT_NOTYPE => code(section.0),
            _ => false,
        };
        if !function || section == elf::SHN_UNDEF || address == 0 {
            continue;
        }
        let name = symbol.st_name(endian);
        let first = usize::try_from(name).ok().and_then(|name| bytes.get(start.checked_add(name)?));
        let bind = match symbol.st_bind() {
            elf::STB_GLOBAL => 4,
            elf::STB_WEAK => 2,
            _ => 0,
        };
        if symbol.st_type() == elf::STT_NOTYPE && matches!(first, None | Some(b'$' | b'.' | 0)) {
            continue; // Marks of assemblers, not functions.
        }
        let rank = u8::from(size > 0) * 8 + bind + u8::from(first != Some(&b'_'));
        let unit = if symbol.st_bind() == elf::STB_LOCAL { unit } else { 0 };
        symbols.push(Symbol { address: address & !unset, size, name, unit, rank });
    }
    if symbols.is_empty() {
        return None;
    }
    symbols.sort_unstable_by_key(|symbol| (symbol.address, symbol.rank, symbol.name));
    Some(Functions { symbols, names: start..end })
}
