//! The file itself: loadable by every C library, exporting what the list says and nothing else.

use std::collections::BTreeSet;
use std::fs;

use object::elf::{
    DF_1_NODELETE, DT_FLAGS_1, DT_NEEDED, DT_SONAME, DT_TEXTREL, DT_VERNEED, DT_VERSYM, DynamicTag, FileHeader64, PF_W,
    PF_X, PT_DYNAMIC, PT_GNU_STACK, PT_LOAD, PT_TLS, SHN_UNDEF, STB_LOCAL, STT_TLS, STV_HIDDEN,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionTable, Sym, SymbolTable};
use object::{Endianness, elf};
use shmaudit_core::calls::{HOOKS, INTERFACE};

use crate::trial::{Stop, Trials, Verdict};
use crate::{check, fail, place};

type Header = FileHeader64<Endianness>;

/// What every C library has, under these plain names.
const MAY_BE_UNDEFINED: [&str; 8] =
    ["__errno_location", "dl_iterate_phdr", "memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];
const MOST_BYTES: u64 = 3 << 19;

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("elf::dynamic_section", dynamic_section);
    trials.add("elf::exports_are_the_list", exports);
    trials.add("elf::undefined_are_in_every_libc", undefined);
    trials.add("elf::no_thread_local_storage", no_tls);
    trials.add("elf::segments", segments);
    trials.add("elf::size", size);
}

/// The file, in memory.
struct Library {
    data: Vec<u8>,
}

impl Library {
    fn read() -> Result<Library, Stop> {
        Ok(Library { data: fs::read(place::library())? })
    }

    fn header(&self) -> Result<(&Header, Endianness), Stop> {
        let header = Header::parse(self.data.as_slice())?;
        Ok((header, header.endian()?))
    }

    fn segments(&self) -> Result<(&[elf::ProgramHeader64<Endianness>], Endianness), Stop> {
        let (header, endian) = self.header()?;
        Ok((header.program_headers(endian, self.data.as_slice())?, endian))
    }

    fn sections(&self) -> Result<(SectionTable<'_, Header>, Endianness), Stop> {
        let (header, endian) = self.header()?;
        Ok((header.sections(endian, self.data.as_slice())?, endian))
    }

    /// Tag and value of each entry of the dynamic section.
    fn dynamic(&self) -> Result<Vec<(DynamicTag, u64)>, Stop> {
        let (segments, endian) = self.segments()?;
        let mut entries = Vec::new();
        for segment in segments.iter().filter(|segment| segment.p_type(endian) == PT_DYNAMIC) {
            for entry in segment.dynamic(endian, self.data.as_slice())?.unwrap_or_default() {
                entries.push((entry.d_tag(endian), entry.d_val(endian)));
            }
        }
        check!(!entries.is_empty(), "no dynamic section");
        Ok(entries)
    }

    fn symbols(&self) -> Result<Vec<Symbol>, Stop> {
        let (sections, endian) = self.sections()?;
        let table: SymbolTable<'_, Header> = sections.symbols(endian, self.data.as_slice(), elf::SHT_DYNSYM)?;
        let mut symbols = Vec::new();
        for symbol in table.iter().skip(1) {
            let name = String::from_utf8_lossy(symbol.name(endian, table.strings())?).into_owned();
            symbols.push(Symbol {
                name,
                defined: symbol.st_shndx(endian) != SHN_UNDEF,
                seen: symbol.st_bind() != STB_LOCAL && symbol.st_visibility() != STV_HIDDEN,
                tls: symbol.st_type() == STT_TLS,
            });
        }
        Ok(symbols)
    }
}

struct Symbol {
    name: String,
    defined: bool,
    seen: bool,
    tls: bool,
}

fn dynamic_section() -> Verdict {
    let library = Library::read()?;
    let entries = library.dynamic()?;
    let has = |tag: DynamicTag| entries.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value);
    check!(has(DT_NEEDED).is_none(), "a library is NEEDED");
    check!(has(DT_VERNEED).is_none() && has(DT_VERSYM).is_none(), "symbol versions are needed");
    check!(has(DT_TEXTREL).is_none(), "text relocations");
    let flags = has(DT_FLAGS_1).unwrap_or(0);
    check!(flags & DF_1_NODELETE.0 != 0, "not NODELETE: flags {flags:#x}");
    let Some(offset) = has(DT_SONAME) else { fail!("no SONAME") };
    let (sections, endian) = library.sections()?;
    let table = sections.symbols(endian, library.data.as_slice(), elf::SHT_DYNSYM)?;
    let soname = table.strings().get(u32::try_from(offset)?).map_err(|()| "SONAME is outside the strings")?;
    check!(soname == b"libshmaudit.so.0", "SONAME is {}", soname.escape_ascii());
    Ok(())
}

fn exports() -> Verdict {
    let exported: BTreeSet<String> =
        Library::read()?.symbols()?.into_iter().filter(|s| s.defined && s.seen).map(|s| s.name).collect();
    let listed: BTreeSet<String> =
        HOOKS.iter().map(|(name, _)| *name).chain(INTERFACE.iter().copied()).map(String::from).collect();
    let missing: Vec<_> = listed.difference(&exported).collect();
    let surplus: Vec<_> = exported.difference(&listed).collect();
    check!(
        missing.is_empty() && surplus.is_empty(),
        "listed, not exported: {missing:?}; exported, not listed: {surplus:?}"
    );
    Ok(())
}

fn undefined() -> Verdict {
    let undefined: Vec<String> =
        Library::read()?.symbols()?.into_iter().filter(|s| !s.defined && !s.name.is_empty()).map(|s| s.name).collect();
    let unknown: Vec<_> = undefined.iter().filter(|name| !MAY_BE_UNDEFINED.contains(&name.as_str())).collect();
    check!(unknown.is_empty(), "undefined: {unknown:?}");
    Ok(())
}

fn no_tls() -> Verdict {
    let library = Library::read()?;
    let (segments, endian) = library.segments()?;
    check!(!segments.iter().any(|segment| segment.p_type(endian) == PT_TLS), "a TLS segment");
    let tls: Vec<String> =
        library.symbols()?.into_iter().filter(|symbol| symbol.tls).map(|symbol| symbol.name).collect();
    check!(tls.is_empty(), "thread-local symbols: {tls:?}");
    Ok(())
}

fn segments() -> Verdict {
    let library = Library::read()?;
    let (segments, endian) = library.segments()?;
    for segment in segments {
        let flags = segment.p_flags(endian);
        let both = flags.0 & PF_W.0 != 0 && flags.0 & PF_X.0 != 0;
        check!(segment.p_type(endian) != PT_LOAD || !both, "a segment is writable and executable");
        check!(segment.p_type(endian) != PT_GNU_STACK || flags.0 & PF_X.0 == 0, "the stack is executable");
    }
    check!(
        segments.iter().any(|segment| segment.p_type(endian) == PT_GNU_STACK),
        "no word on the stack: it would be executable"
    );
    Ok(())
}

/// What `strip` leaves is what the loader loads, and headers.
fn size() -> Verdict {
    let library = Library::read()?;
    let (segments, endian) = library.segments()?;
    let loaded = segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
    let end = loaded.map(|segment| segment.p_offset(endian) + segment.p_filesz(endian)).max().unwrap_or(0);
    check!(end > 0 && end + 4096 <= MOST_BYTES, "{end} bytes are loaded; {MOST_BYTES} is the most");
    Ok(())
}
