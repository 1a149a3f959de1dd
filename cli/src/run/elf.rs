//! What a program's file says of whether and how a library can be loaded into it.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use shmaudit_core::program::{Bytes, Program, program};

use crate::sys::open_file;

/// A file that is read, not mapped: whoever has it may write to it or cut it short.
struct Open(File);

impl Bytes for Open {
    fn at(&self, offset: u64, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset.saturating_add(length as u64)) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        bytes.truncate(length);
        bytes
    }
}

/// The libraries that a program asks for; none where it is no such program.
pub fn needed(path: &Path) -> Vec<Vec<u8>> {
    match open_file(path).and_then(|file| program(&Open(file))) {
        Some(Program::Elf64 { needed, .. }) => needed,
        _ => Vec::new(),
    }
}

/// Why no library is loaded into this file's program, as far as the file tells: `None` where nothing speaks against it.
pub fn why_not(path: &Path) -> Option<&'static str> {
    let file = open_file(path)?;
    let facts = file.metadata().ok()?;
    let set_id = facts.mode() & 0o6000 != 0 && facts.mode() & 0o111 != 0;
    match program(&Open(file))? {
        Program::Elf32 => Some("it is a 32-bit program"),
        Program::Elf64 { interpreted: false, .. } => Some("it is statically linked"),
        Program::Elf64 { .. } if set_id => Some("it is set-user-ID or set-group-ID"),
        Program::Elf64 { .. } => has_capabilities(path).then_some("it has file capabilities"),
    }
}

fn has_capabilities(path: &Path) -> bool {
    let mut room = [0u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut room).is_ok()
}
