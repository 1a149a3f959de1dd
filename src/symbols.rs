//! Names for addresses of this process, from the files that it has loaded. Only ever used contained: a file that changes
//! under us, or lies, ends the contained child and nothing else.

use alloc::ffi::CString;
use alloc::vec::Vec;

use shmaudit_core::reader::{ModuleRecord, Reader};
use shmaudit_core::symbols::{Files, LoadedModule};

use crate::recorder::Recorder;
use crate::sys;

/// Files, mapped read-only.
pub struct Maps;

impl Files for Maps {
    type Bytes = &'static [u8];

    fn open(&mut self, path: &[u8]) -> Option<&'static [u8]> {
        let path = CString::new(path).ok()?;
        let fd = sys::open(&path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0).ok()?;
        let stat = sys::fstat(fd.0).ok()?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG || stat.st_size <= 0 {
            return None;
        }
        sys::map_file(fd.0, stat.st_size as usize)
    }
}

/// The files that the process in `slot` has loaded: its own records and those of the processes whose image it shares.
pub fn loaded(recorder: &Recorder, slot: u16) -> Vec<LoadedModule> {
    let Ok(reader) = Reader::new(recorder) else { return Vec::new() };
    let (processes, modules) = (reader.processes(), reader.modules());
    let mut found = Vec::new();
    let mut at = Some(slot);
    // Parents are older, so their chain ends; the bound is for a damaged table.
    for _ in 0..64 {
        let Some(slot) = at else { break };
        // What was loaded last counts, where an address was used twice.
        found.extend(modules.iter().rev().filter(|module| module.process == slot).map(as_loaded));
        at = processes.iter().find(|process| process.slot == slot).and_then(|process| process.parent);
    }
    found
}

fn as_loaded(module: &ModuleRecord) -> LoadedModule {
    LoadedModule {
        path: module.path.clone(),
        start: module.start,
        end: module.end,
        bias: module.bias,
        build_id: module.build_id.clone(),
    }
}
