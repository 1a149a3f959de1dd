//! What a program's file says of whether and how a library can be loaded into it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use object::elf::{DT_NEEDED, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

use crate::session::Mapped;

type Header = FileHeader64<Endianness>;

/// The libraries that a program asks for; none where it is no such program.
pub fn needed(path: &Path) -> Vec<Vec<u8>> {
    let Ok(file) = Mapped::open(path) else { return Vec::new() };
    needed_of(file.bytes()).unwrap_or_default()
}

fn needed_of(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let header = Header::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, bytes).ok()?;
    let (entries, strings) = sections.dynamic(endian, bytes).ok()??;
    let strings = sections.strings(endian, bytes, strings).ok()?;
    let needed = entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED);
    Some(needed.filter_map(|entry| Some(entry.string(endian, strings).ok()?.to_vec())).collect())
}

/// Why no library is loaded into this file's program, as far as the file tells: `None` where nothing speaks against it.
pub fn why_not(path: &Path) -> Option<&'static str> {
    let file = File::open(path).ok()?;
    let facts = file.metadata().ok()?;
    let set_id = facts.mode() & 0o6000 != 0 && facts.mode() & 0o111 != 0;
    let mapped = Mapped::open(path).ok()?;
    let bytes = mapped.bytes();
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => return Some("it is a 32-bit program"),
        Ok(FileKind::Elf64) => {}
        _ => return None,
    }
    let interpreted = || {
        let header = Header::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let headers = header.program_headers(endian, bytes).ok()?;
        Some(headers.iter().any(|header| header.p_type(endian) == PT_INTERP))
    };
    if interpreted() == Some(false) {
        return Some("it is statically linked");
    }
    if set_id {
        return Some("it is set-user-ID or set-group-ID");
    }
    has_capabilities(path).then_some("it has file capabilities")
}

fn has_capabilities(path: &Path) -> bool {
    let mut room = [0u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut room).is_ok()
}
