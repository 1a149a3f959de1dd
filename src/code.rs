//! Which code is loaded, and how to unwind through it: the files at start, and later ones when a stack first shows them.
//!
//! A list is never changed, only followed by a longer or shorter one; readers keep the one they have. Files loaded at start
//! stay mapped and are read in place; the tables of later ones are copied, for they may be unloaded at any time.

mod late;

use alloc::boxed::Box;
#[cfg(target_arch = "x86_64")]
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

#[cfg(target_arch = "aarch64")]
use shmaudit_core::cfi;

use crate::{clock, elf, paths, rules};

pub use late::{Learned, learn};

#[cfg(target_arch = "x86_64")]
use framehop::{ExplicitModuleSectionInfo, Module, MustNotAllocateDuringUnwind, Unwinder, x86_64::UnwinderX86_64};

/// What is loaded.
pub struct Loaded {
    /// The files, sorted.
    files: Vec<&'static File>,
    /// For code of none of them: it follows frame pointers.
    #[cfg(target_arch = "x86_64")]
    nowhere: &'static Native,
    /// This library's own.
    own: (usize, usize),
}

/// On aarch64 the core reads the tables: it takes those of signed return addresses too.
#[cfg(target_arch = "x86_64")]
type Native = UnwinderX86_64<&'static [u8], MustNotAllocateDuringUnwind>;

/// A file, as far as walking needs it.
struct File {
    start: usize,
    end: usize,
    /// Its code.
    text: (usize, usize),
    bias: usize,
    tables: Option<Tables>,
    /// The unwinder that knows it, and it alone: a list is then no more than where its files are.
    #[cfg(target_arch = "x86_64")]
    unwinder: Native,
}

/// A file's unwind tables: where they stand in the file's own addresses, and their bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tables {
    hdr_at: usize,
    hdr: &'static [u8],
    frame_at: usize,
    frame: &'static [u8],
}

/// What the tables say of an address.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: how to leave it can only be guessed, by the frame pointer.
    None,
    /// How to leave it.
    Plain,
    /// How to leave it, where it has realigned its stack: the caller's stack pointer lies so far from the frame pointer.
    Realigned(isize),
}

#[cfg(target_arch = "x86_64")]
const TRAMPOLINE: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
#[cfg(target_arch = "aarch64")]
const TRAMPOLINE: [u8; 8] = [0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4];

/// Whether the code at `at` is what signal handlers return to.
///
/// # Safety
/// As many bytes are there to be read.
pub unsafe fn returns_from_handler(at: usize) -> bool {
    // SAFETY: the caller vouches.
    unsafe { core::slice::from_raw_parts(at as *const u8, TRAMPOLINE.len()) == TRAMPOLINE }
}

static CURRENT: AtomicPtr<Loaded> = AtomicPtr::new(core::ptr::null_mut());
/// The list of the start, to go back to when something was unloaded.
static FIRST: AtomicPtr<Loaded> = AtomicPtr::new(core::ptr::null_mut());
/// Taken while a list is made.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Pages that were looked up and belong to no file, doubled, and one more where they are code all the same: made at run time.
static UNKNOWN: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
/// Most bytes of the table of mappings that are read.
pub const MAPS_BYTES: usize = 8 << 20;

impl Loaded {
    /// Whether `address` is in this library.
    pub fn is_own(&self, address: usize) -> bool {
        (self.own.0..self.own.1).contains(&address)
    }

    fn file(&self, address: usize) -> Option<&'static File> {
        let after = self.files.partition_point(|file| file.start <= address);
        after.checked_sub(1).and_then(|at| self.files.get(at)).copied().filter(|file| address < file.end)
    }

    /// What leaves frames whose code is at `address`.
    #[cfg(target_arch = "x86_64")]
    pub fn unwinder(&self, address: usize) -> &'static Native {
        self.file(address).map_or(self.nowhere, |file| &file.unwinder)
    }

    /// Whether `address` is in a file of the list.
    pub fn holds(&self, address: usize) -> bool {
        self.file(address).is_some()
    }

    /// Whether it is in the code of one.
    pub fn is_code(&self, address: usize) -> bool {
        self.file(address).is_some_and(|file| (file.text.0..file.text.1).contains(&address))
    }

    /// Whether `at` is where signal handlers return to: `mov rax, SYS_rt_sigreturn; syscall` (`mov x8, …; svc 0`), as debuggers
    /// know it too. musl has no tables for it, and those of glibc are beyond the unwinder.
    pub fn is_trampoline(&self, at: usize) -> bool {
        // SAFETY: the code of a loaded file, which a frame of this thread returns to.
        self.is_code(at) && self.is_code(at + TRAMPOLINE.len()) && unsafe { returns_from_handler(at) }
    }

    /// How the tables say that a frame is left whose code is at `address`.
    #[cfg(target_arch = "aarch64")]
    pub fn row(&self, address: usize) -> Option<cfi::Row> {
        let file = self.file(address)?;
        let (tables, at) = (file.tables?, address.wrapping_sub(file.bias));
        let (fde, begin) = tables.find(at)?;
        // Where its common part begins, counted back from where that stands.
        let here = tables.frame.len() - fde.len() + 4;
        let cie = tables.frame.get(here.checked_sub(u32_at(fde, 4)? as usize)?..)?;
        cfi::row(cie, fde, (at - begin) as u64, &cfi::AARCH64)
    }

    /// What the tables say of `address`.
    #[cfg(target_arch = "x86_64")]
    pub fn entry(&self, address: usize) -> Entry {
        let entry = || {
            let file = self.file(address)?;
            file.tables?.entry(address.wrapping_sub(file.bias))
        };
        entry().unwrap_or(Entry::None)
    }

    /// Whether it is `before` and `file` beside.
    fn is(&self, before: &Loaded, file: &'static File) -> bool {
        let mut rest = before.files.iter();
        let mut found = false;
        self.files.len() == before.files.len() + 1
            && self.files.iter().all(|&own| {
                let new = !found && core::ptr::eq(own, file);
                found |= new;
                new || rest.next().is_some_and(|&other| core::ptr::eq(own, other))
            })
    }

    fn with(&self, file: &'static File) -> Loaded {
        let mut files = self.files.clone();
        files.push(file);
        files.sort_unstable_by_key(|file| file.start);
        Loaded { files, ..*self }
    }
}

impl File {
    /// `keep` makes the tables' bytes last.
    fn of(module: &elf::Module, keep: impl FnMut(&'static [u8]) -> &'static [u8]) -> File {
        let mut text = (usize::MAX, 0);
        for header in module.headers().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_X != 0) {
            let start = module.bias.wrapping_add(header.p_vaddr as usize);
            text = (text.0.min(start), text.1.max(start.wrapping_add(header.p_memsz as usize)));
        }
        let tables = unwind_tables(module, keep);
        File {
            start: module.start,
            end: module.end,
            text,
            bias: module.bias,
            tables,
            #[cfg(target_arch = "x86_64")]
            unwinder: tables.map_or_else(Native::new, |tables| tables.unwinder(module)),
        }
    }

    /// Whether it is the same file at the same place.
    fn is(&self, other: &File) -> bool {
        let place = |file: &File| (file.start, file.end, file.text, file.bias, file.tables);
        place(self) == place(other)
    }
}

impl Tables {
    #[cfg(target_arch = "x86_64")]
    fn unwinder(self, module: &elf::Module) -> Native {
        let Tables { hdr_at, hdr, frame_at, frame } = self;
        let mut unwinder = Native::new();
        unwinder.add_module(Module::new(
            String::new(),
            module.start as u64..module.end as u64,
            module.bias as u64,
            ExplicitModuleSectionInfo {
                base_svma: 0,
                eh_frame_hdr_svma: Some(hdr_at as u64..(hdr_at + hdr.len()) as u64),
                eh_frame_hdr: Some(hdr),
                eh_frame_svma: Some(frame_at as u64..(frame_at + frame.len()) as u64),
                eh_frame: Some(frame),
                ..ExplicitModuleSectionInfo::default()
            },
        ));
        unwinder
    }

    /// The entry for the file's own address `at`, and where its code begins: by the sorted table of `.eh_frame_hdr`, whose
    /// entries must agree with what `.eh_frame` has there.
    fn find(&self, at: usize) -> Option<(&'static [u8], usize)> {
        // "4 bytes unsigned" for the count, "relative to this section, 4 bytes signed" for the entries.
        if self.hdr.get(2..4)? != [0x03, 0x3b] {
            return None;
        }
        let count = u32_at(self.hdr, 8)? as usize;
        let entries = self.hdr.get(12..)?;
        let start =
            |index: usize| self.hdr_at.checked_add_signed(u32_at(entries, index.checked_mul(8)?)? as i32 as isize);
        let (mut low, mut high) = (0, count.min(entries.len() / 8));
        while low < high {
            let middle = (low + high) / 2;
            if start(middle)? <= at { low = middle + 1 } else { high = middle }
        }
        let index = low.checked_sub(1)?;
        let fde = self.hdr_at.checked_add_signed(u32_at(entries, index * 8 + 4)? as i32 as isize)?;
        let fde = self.frame.get(fde.checked_sub(self.frame_at)?..)?;
        // Its length, its CIE, where its code begins ("pc-relative, 4 bytes signed", as everybody writes) and how long it is.
        let fde_at = self.frame_at + (self.frame.len() - fde.len());
        let begin = (fde_at + 8).checked_add_signed(u32_at(fde, 8)? as i32 as isize)?;
        if begin != start(index)? || at - begin >= u32_at(fde, 12)? as usize {
            return None;
        }
        Some((fde, begin))
    }

    /// What they say of the file's own address `at`.
    #[cfg(target_arch = "x86_64")]
    fn entry(&self, at: usize) -> Option<Entry> {
        let (fde, _) = self.find(at)?;
        let rules = fde.get(16..(u32_at(fde, 0)? as usize).checked_add(4)?)?;
        // DW_CFA_def_cfa_expression of three bytes: DW_OP_breg of the frame pointer, its offset, DW_OP_deref.
        const FRAME_POINTER: u8 = 0x76;
        let realigned =
            rules.windows(5).find(|r| r[..3] == [0x0f, 3, FRAME_POINTER] && r[3] & 0x80 == 0 && r[4] == 0x06);
        Some(match realigned {
            Some(rule) => Entry::Realigned(isize::from((rule[3] << 1) as i8 >> 1)),
            None => Entry::Plain,
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Reads the loaded files' unwind tables.
pub fn start() {
    let mut loaded = Loaded {
        files: Vec::new(),
        #[cfg(target_arch = "x86_64")]
        nowhere: Box::leak(Box::new(Native::new())),
        own: (0, 0),
    };
    let own = elf::own_address();
    elf::modules(|module| {
        if module.holds(own) {
            loaded.own = (module.start, module.end);
        }
        loaded.files.push(Box::leak(Box::new(File::of(module, |bytes| bytes))));
        true
    });
    loaded.files.sort_unstable_by_key(|file| file.start);
    let list = Box::into_raw(Box::new(loaded));
    FIRST.store(list, Ordering::Release);
    CURRENT.store(list, Ordering::Release);
}

/// The list in force.
#[inline(always)]
pub fn current() -> Option<&'static Loaded> {
    let list = CURRENT.load(Ordering::Acquire);
    // SAFETY: a leaked box, never changed.
    if list.is_null() { None } else { Some(unsafe { &*list }) }
}

/// Times that a file was, or may have been, unloaded.
#[unsafe(link_section = ".data.hot")]
static UNLOADS: AtomicUsize = AtomicUsize::new(0);
/// When the last one was, in ticks.
static UNLOADED: AtomicU64 = AtomicU64::new(0);

/// Tells apart what stood at `address` at different times: 0 for files that stay, 15 bits.
pub fn era(address: usize) -> u64 {
    let first = FIRST.load(Ordering::Acquire);
    // SAFETY: a leaked box, never changed.
    let stays = !first.is_null() && unsafe { &*first }.holds(address);
    if stays { 0 } else { (UNLOADS.load(Ordering::Relaxed) as u64 & 0x3fff) + 1 }
}

/// How often files were unloaded: as long as this is the same, the same address is the same code. To be asked for before
/// the list.
#[inline(always)]
pub fn unloads() -> u64 {
    UNLOADS.load(Ordering::Acquire) as u64
}

/// How many calls that may unload a file are under way.
static CLOSING: AtomicUsize = AtomicUsize::new(0);

/// A file may be unloaded from now on, until [`closed`]: what is learned of files meanwhile is used once and not kept.
pub fn closing() {
    CLOSING.fetch_add(1, Ordering::AcqRel);
    unloaded();
}

/// The end of it.
pub fn closed() {
    unloaded();
    let _ = CLOSING.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |closing| closing.checked_sub(1));
}

/// Whether one is under way.
pub fn is_closing() -> bool {
    CLOSING.load(Ordering::Acquire) != 0
}

/// A file was unloaded, or may have been: later files are looked up anew.
fn unloaded() {
    CURRENT.store(FIRST.load(Ordering::Acquire), Ordering::Release);
    if (UNLOADS.fetch_add(1, Ordering::AcqRel) as u64 + 1).is_multiple_of(rules::ERAS) {
        rules::forget();
        paths::forget();
    }
    UNLOADED.store(clock::now(), Ordering::Relaxed);
    for page in &UNKNOWN {
        page.store(0, Ordering::Relaxed);
    }
}

/// In a forked child: nobody else makes a list.
pub fn forked() {
    BUSY.store(false, Ordering::Relaxed);
    CLOSING.store(0, Ordering::Relaxed);
}

fn unwind_tables(module: &elf::Module, mut keep: impl FnMut(&'static [u8]) -> &'static [u8]) -> Option<Tables> {
    let (hdr_at, hdr) = module.eh_frame_hdr()?;
    let hdr = keep(hdr);
    // version, encodings, then the address of .eh_frame: "pc-relative, 4 bytes signed" is what linkers write.
    if hdr.first() != Some(&1) || hdr.get(1) != Some(&0x1b) {
        return None;
    }
    let offset = i32::from_le_bytes(hdr.get(4..8)?.try_into().ok()?);
    let frame_at = (hdr_at + 4).checked_add_signed(offset as isize)?;
    let frame = module.bytes(frame_at, module.segment_end(frame_at)?.checked_sub(frame_at)?)?;
    Some(Tables { hdr_at, hdr, frame_at, frame: keep(frame) })
}
