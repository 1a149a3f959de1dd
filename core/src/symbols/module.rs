//! One file of a program: itself, the file with its debug information, and where that is looked for.

use super::dwarf::{Index, Part, Sections, Source};
use super::elf::{Elf, Function, Functions, Packing, Table};
use super::name;
use super::unpack::unpack;
use super::{Files, Frame, LoadedModule};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::ops::Deref;

const DEBUG_ROOT: &[u8] = b"/usr/lib/debug";

/// An open file and its outline.
struct Image<B> {
    path: Vec<u8>,
    bytes: B,
    elf: Elf,
    functions: [OnceCell<Option<Functions>>; 2],
}

impl<B: Deref<Target = [u8]>> Image<B> {
    fn open<F: Files<Bytes = B>>(files: &mut F, path: &[u8]) -> Option<Self> {
        let bytes = files.open(path)?;
        let elf = Elf::parse(&bytes)?;
        Some(Image { path: path.to_vec(), bytes, elf, functions: Default::default() })
    }

    /// The file at `path`, if it has this build id.
    fn identified<F: Files<Bytes = B>>(files: &mut F, path: &[u8], id: &[u8]) -> Option<Self> {
        Self::open(files, path).filter(|image| image.is(id))
    }

    /// Whether its build id is the one given, which a record may have cut at its end.
    fn is(&self, id: &[u8]) -> bool {
        !id.is_empty() && self.elf.build_id.starts_with(id)
    }

    fn has(&self, section: &str) -> bool {
        self.elf.section(section).is_some()
    }

    fn function(&self, table: Table, address: u64) -> Option<Function<'_>> {
        let cell = self.functions.get(table as usize)?;
        cell.get_or_init(|| Functions::parse(&self.bytes, table)).as_ref()?.find(&self.bytes, address)
    }

    fn sections(&self, left: &mut u64) -> Sections {
        Sections::load(|name| match self.elf.section(name) {
            Some(section) if section.packing == Packing::None => Part::In(section.range.clone()),
            Some(section) => unpack(&self.bytes, section, left).map_or(Part::None, Part::Made),
            None => Part::None,
        })
    }
}

/// A loaded file's names, as far as they have been asked for.
pub(super) struct Module<B> {
    path: String,
    /// The file itself, one with its debug information, one that this shares with others.
    own: Option<Image<B>>,
    debug: Option<Image<B>>,
    shared: Option<Image<B>>,
    /// Of `debug`, else of `own`; and of `shared`.
    sections: Option<Sections>,
    shared_sections: Option<Sections>,
    index: Index,
}

impl<B: Deref<Target = [u8]>> Module<B> {
    /// Opens what there is for `module`; `left` bytes may be decompressed.
    pub fn open<F: Files<Bytes = B>>(files: &mut F, module: &LoadedModule, left: &mut u64) -> Self {
        let mut own = None;
        let mut debug = None;
        // What is no path is the kernel's ("[vdso]").
        if module.path.contains(&b'/') {
            let known = |image: &Image<B>| module.build_id.is_empty() || image.is(&module.build_id);
            own = Image::open(files, &module.path).filter(known);
        }
        let id = own.as_ref().map_or(&module.build_id, |own| &own.elf.build_id);
        if !own.as_ref().is_some_and(|own| own.has(".debug_info")) {
            debug = by_build_id(files, id).or_else(|| by_link(files, own.as_ref()?));
        }
        let described = debug.as_ref().or(own.as_ref());
        let shared = described.and_then(|image| shared(files, image));
        let sections = described.filter(|image| image.has(".debug_info")).map(|image| image.sections(left));
        let shared_sections = shared.as_ref().map(|image| image.sections(left));
        let path = name::text(&module.path);
        Module { path, own, debug, shared, sections, shared_sections, index: Index::default() }
    }

    /// The frames at the file's own address `address`, innermost first; at least one.
    pub fn frames(&mut self, address: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        if let (Some(image), Some(sections)) = (self.debug.as_ref().or(self.own.as_ref()), &self.sections) {
            let main = Source { sections, bytes: &image.bytes, endian: image.elf.endian };
            let shared = match (&self.shared, &self.shared_sections) {
                (Some(image), Some(sections)) => {
                    Some(Source { sections, bytes: &image.bytes, endian: image.elf.endian })
                }
                _ => None,
            };
            let fuel = Index::fuel(&main, shared.as_ref());
            let found = self.index.frames(&main, shared.as_ref(), &image.elf.code, address, &fuel);
            let last = found.len().saturating_sub(1);
            for (at, found) in found.into_iter().enumerate() {
                let (function, unit) = match found.function {
                    // Where the compiler leaves the linker's name out, the symbol says more: its namespace, its types.
                    Some(said) if !said.linkage && at == last => {
                        let symbol = self.symbol(address).filter(|symbol| symbol.address == found.start);
                        let symbol = symbol.and_then(|symbol| name::demangled(symbol.name));
                        (Some(symbol.unwrap_or_else(|| name::function(said.raw))), said.unit.and_then(name::source))
                    }
                    Some(said) => (Some(name::function(said.raw)), said.unit.and_then(name::source)),
                    None => self.named(address),
                };
                frames.push(Frame {
                    function,
                    unit,
                    file: found.file.map(|file| name::text(&file)),
                    line: Some(found.line).filter(|&line| line > 0),
                    column: Some(found.column).filter(|&column| column > 0),
                    module: Some(self.path.clone()),
                    offset: address,
                    inlined: at < last,
                });
            }
        }
        if frames.is_empty() {
            let (function, unit) = self.named(address);
            frames.push(Frame { function, unit, module: Some(self.path.clone()), offset: address, ..Frame::default() });
        }
        frames
    }

    /// What the symbols call the function there, and its source file if others do not know it.
    fn named(&self, address: u64) -> (Option<String>, Option<String>) {
        match self.symbol(address) {
            Some(symbol) => (Some(name::function(symbol.name)), symbol.unit.and_then(name::source)),
            None => (None, None),
        }
    }

    fn symbol(&self, address: u64) -> Option<Function<'_>> {
        let tables = [(&self.own, Table::Full), (&self.debug, Table::Full), (&self.own, Table::Dynamic)];
        tables.into_iter().find_map(|(image, table)| image.as_ref()?.function(table, address))
    }
}

/// The file that a distribution's debug package has for a build id.
fn by_build_id<F: Files>(files: &mut F, id: &[u8]) -> Option<Image<F::Bytes>> {
    let (first, rest) = id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let mut path = [DEBUG_ROOT, format!("/.build-id/{first:02x}/").as_bytes()].concat();
    for byte in rest {
        path.extend(format!("{byte:02x}").as_bytes());
    }
    path.extend(b".debug");
    Image::identified(files, &path, id)
}

/// The file that `.gnu_debuglink` names: beside the file, in `.debug` there, or in the tree of debug files.
fn by_link<F: Files>(files: &mut F, own: &Image<F::Bytes>) -> Option<Image<F::Bytes>> {
    let section = own.elf.plain(&own.bytes, ".gnu_debuglink")?;
    let length = section.iter().position(|&byte| byte == 0)?;
    let file = section.get(..length).filter(|file| !file.is_empty() && !file.contains(&b'/'))?;
    let sum: [u8; 4] = section.get((length + 4) & !3..)?.first_chunk().copied()?;
    let sum =
        if own.elf.endian == gimli::RunTimeEndian::Little { u32::from_le_bytes(sum) } else { u32::from_be_bytes(sum) };
    let place = name::directory(&own.path);
    let mut places = Vec::from([place.to_vec(), [place, b"/.debug"].concat()]);
    if place.starts_with(b"/") || own.path.starts_with(b"/") {
        places.push([DEBUG_ROOT, place].concat());
    }
    places.into_iter().find_map(|place| {
        let path = [&place, &b"/"[..], file].concat();
        let image = (path != own.path).then(|| Image::open(files, &path))??;
        // Equal build ids say the same without all of a large file being read.
        let same = if own.elf.build_id.is_empty() || image.elf.build_id.is_empty() {
            image.bytes.len() <= MOST_SUMMED && crc32(&image.bytes) == sum
        } else {
            image.elf.build_id == own.elf.build_id
        };
        same.then_some(image)
    })
}

/// The file that several debug files share (dwz): by path, seen from where `image` is, or by build id.
fn shared<F: Files>(files: &mut F, image: &Image<F::Bytes>) -> Option<Image<F::Bytes>> {
    let (path, id) = match image.elf.plain(&image.bytes, ".gnu_debugaltlink") {
        Some(section) => {
            let length = section.iter().position(|&byte| byte == 0)?;
            (section.get(..length)?, section.get(length + 1..)?)
        }
        None => {
            // Version 5, 0 for the file that uses it, path, length of the id, id.
            let section = image.elf.plain(&image.bytes, ".debug_sup")?.get(3..)?;
            let length = section.iter().position(|&byte| byte == 0)?;
            (section.get(..length)?, section.get(length + 2..)?)
        }
    };
    let place = name::join(name::directory(&image.path), path);
    Image::identified(files, &name::clean(&place), id).or_else(|| by_build_id(files, id))
}

/// Bytes of a file that are read for its check sum: what is larger has a build id.
const MOST_SUMMED: usize = 1 << 30;

/// The check sum of `.gnu_debuglink`.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut sum = at as u32;
            let mut bit = 0;
            while bit < 8 {
                sum = (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
                bit += 1;
            }
            table[at] = sum;
            at += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum: u32, &byte| (sum >> 8) ^ TABLE[usize::from(sum as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_sum_of_a_debug_link() {
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
    }
}
