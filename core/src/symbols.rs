//! Addresses to functions, files and lines: what a stack of return addresses says to people.
//!
//! Nothing is parsed before a line or a report asks for it, and then only what the address needs; what has been read is
//! kept for the next one. Sources, in this order: the debug information of the file itself (compressed or not), of a
//! separate file found by build id or `.gnu_debuglink`, the symbol tables. A file whose build id is not the recorded one
//! is not asked. Opening files is the caller's ([`Files`]); any damage in them costs names, never more. Looking up is loops
//! over measured reading; only the demanglers recurse, as deep as their own limits, for which [`STACK`] is enough.

mod dwarf;
mod elf;
mod fuel;
mod module;
mod name;
mod table;
#[cfg(test)]
mod tests;
mod unit;
mod unpack;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Deref;

/// Bytes of stack that [`Symbols::resolve`] never exceeds (seen at the most: 384 KiB optimised, 4 MiB not; a real program's
/// names take less than 64 KiB).
pub const STACK: usize = if cfg!(debug_assertions) { 8 << 20 } else { 1 << 20 };

/// Resolved addresses that are kept; more than any program has call sites of shared memory.
const MOST_CACHED: usize = 1 << 16;

/// Gives the bytes of files: the library maps them read-only, the command may read them.
pub trait Files {
    /// A file's bytes for as long as they are needed; they must not change meanwhile.
    type Bytes: Deref<Target = [u8]>;
    /// The bytes of a regular file (opening must not wait, as a FIFO would); `None` where there is none.
    fn open(&mut self, path: &[u8]) -> Option<Self::Bytes>;
}

/// A file that is or was loaded in a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedModule {
    /// Its path; what has no slash (`[vdso]`) is not opened.
    pub path: Vec<u8>,
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// What is added to the file's own addresses.
    pub bias: u64,
    /// Build id; empty where there is none, and then the file is trusted as it is.
    pub build_id: Vec<u8>,
}

/// A frame of a stack. Names are UTF-8, with `\xNN` for a byte that is not; control characters are as in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The function, demangled.
    pub function: Option<String>,
    /// The name of the source file that was compiled, where no other knows the function: C's `static`.
    pub unit: Option<String>,
    /// The source file, in one piece with the directory it was compiled in.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// Path of the loaded file; `None` where the address is in no known one.
    pub module: Option<String>,
    /// The file's own address of the call, which `addr2line -e` takes; without a module, the address itself.
    pub offset: u64,
    /// Whether it was inlined into the next frame.
    pub inlined: bool,
}

/// Finds names for addresses and keeps what it found.
pub struct Symbols<F: Files> {
    files: F,
    /// By path and build id.
    known: BTreeMap<Vec<u8>, Vec<(Vec<u8>, usize)>>,
    modules: Vec<module::Module<F::Bytes>>,
    frames: BTreeMap<(usize, u64), Vec<Frame>>,
    nowhere: [Frame; 1],
    unpack_left: u64,
}

impl<F: Files> core::fmt::Debug for Symbols<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Symbols").field("modules", &self.modules.len()).finish_non_exhaustive()
    }
}

impl<F: Files> Symbols<F> {
    /// Knows nothing yet.
    pub fn new(files: F) -> Self {
        Symbols {
            files,
            known: BTreeMap::new(),
            modules: Vec::new(),
            frames: BTreeMap::new(),
            nowhere: [Frame::default()],
            unpack_left: unpack::MOST,
        }
    }

    /// The frames at an address of a process with these modules, the innermost inlined one first; at least one.
    ///
    /// `address` is a return address, looked up one before (the call may be the last instruction of its line or its
    /// function), unless `is_pc` says that it is where a thread was.
    pub fn resolve(&mut self, modules: &[LoadedModule], address: u64, is_pc: bool) -> &[Frame] {
        let address = if is_pc { address } else { address.wrapping_sub(1) };
        let Some(loaded) = modules.iter().find(|module| (module.start..module.end).contains(&address)) else {
            self.nowhere[0].offset = address;
            return &self.nowhere;
        };
        let at = self.module(loaded);
        let address = address.wrapping_sub(loaded.bias);
        if self.frames.len() >= MOST_CACHED && !self.frames.contains_key(&(at, address)) {
            self.frames.clear();
        }
        let Self { frames, modules, nowhere, .. } = self;
        match modules.get_mut(at) {
            Some(module) => frames.entry((at, address)).or_insert_with(|| module.frames(address)),
            None => nowhere,
        }
    }

    fn module(&mut self, loaded: &LoadedModule) -> usize {
        if let Some(list) = self.known.get(&loaded.path)
            && let Some((_, at)) = list.iter().find(|(id, _)| *id == loaded.build_id)
        {
            return *at;
        }
        let at = self.modules.len();
        self.modules.push(module::Module::open(&mut self.files, loaded, &mut self.unpack_left));
        self.known.entry(loaded.path.clone()).or_default().push((loaded.build_id.clone(), at));
        at
    }
}
