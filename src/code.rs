//! Which code is loaded, and how to unwind through it: the files at start, and later ones when a stack first shows them.
//!
//! A list is never changed, only followed by a longer or shorter one; readers keep the one they have. Files loaded at start
//! stay mapped and are read in place; the tables of later ones are copied, for they may be unloaded at any time.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use framehop::{ExplicitModuleSectionInfo, Module, MustNotAllocateDuringUnwind, Unwinder};
use shmaudit_core::procfs;

use crate::recorder::Recorder;
use crate::start::read_file;
use crate::{elf, errno, modules, process};

#[cfg(target_arch = "x86_64")]
use framehop::x86_64::UnwinderX86_64 as Native;

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::UnwinderAarch64 as Native;

/// What is loaded.
pub struct Loaded {
    /// The unwinder that knows it.
    pub unwinder: Native<&'static [u8], MustNotAllocateDuringUnwind>,
    /// Tells one list from another.
    pub generation: usize,
    /// Address ranges of the files, sorted.
    ranges: Vec<(usize, usize)>,
    /// This library's own.
    own: (usize, usize),
}

static CURRENT: AtomicPtr<Loaded> = AtomicPtr::new(core::ptr::null_mut());
/// The list of the start, to go back to when something was unloaded.
static FIRST: AtomicPtr<Loaded> = AtomicPtr::new(core::ptr::null_mut());
/// Taken while a list is made.
static BUSY: AtomicBool = AtomicBool::new(false);
static GENERATIONS: AtomicUsize = AtomicUsize::new(1);

/// Pages that were looked up and belong to no file: code made at run time.
static UNKNOWN: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
/// Most bytes of the table of mappings that are read.
const MAPS_BYTES: usize = 8 << 20;

impl Loaded {
    /// Whether `address` is in this library.
    pub fn is_own(&self, address: usize) -> bool {
        (self.own.0..self.own.1).contains(&address)
    }

    /// Whether `address` is in a file of the list.
    pub fn holds(&self, address: usize) -> bool {
        let after = self.ranges.partition_point(|&(start, _)| start <= address);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|&(_, end)| address < end)
    }

    fn with(&self, range: (usize, usize), unwind: Option<Module<&'static [u8]>>) -> Loaded {
        let mut ranges = self.ranges.clone();
        ranges.push(range);
        ranges.sort_unstable();
        let mut unwinder = self.unwinder.clone();
        if let Some(unwind) = unwind {
            unwinder.add_module(unwind);
        }
        Loaded { unwinder, ranges, own: self.own, generation: GENERATIONS.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Reads the loaded files' unwind tables.
pub fn start() {
    let mut loaded = Loaded { unwinder: Native::new(), ranges: Vec::new(), own: (0, 0), generation: 0 };
    let own = elf::own_address();
    elf::modules(|module| {
        if module.holds(own) {
            loaded.own = (module.start, module.end);
        }
        if let Some(unwind) = unwind_tables(module, |bytes| bytes) {
            loaded.unwinder.add_module(unwind);
        }
        loaded.ranges.push((module.start, module.end));
        true
    });
    loaded.ranges.sort_unstable();
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

/// A file was unloaded, or may have been: later files are looked up anew.
pub fn unloaded() {
    CURRENT.store(FIRST.load(Ordering::Acquire), Ordering::Release);
    for page in &UNKNOWN {
        page.store(0, Ordering::Relaxed);
    }
}

/// Looks up the file that `address` is in, by the kernel's table of mappings. The loader's own list would need its lock,
/// which the program may hold. Returns whether the list has grown. Once a file, and once a page of code without one.
#[cold]
pub fn learn(recorder: &Recorder, address: usize) -> bool {
    let page = address >> 12;
    let known = UNKNOWN.iter().any(|unknown| unknown.load(Ordering::Relaxed) == page);
    let Some(now) = current() else { return false };
    if known || BUSY.swap(true, Ordering::Acquire) {
        return false;
    }
    let kept = errno::Kept::new();
    let found = look_up(recorder, now, address);
    match found {
        Some(grown) => CURRENT.store(Box::into_raw(Box::new(grown)), Ordering::Release),
        None => {
            if let Some(place) = UNKNOWN.get(page % UNKNOWN.len()) {
                place.store(page, Ordering::Relaxed);
            }
        }
    }
    BUSY.store(false, Ordering::Release);
    drop(kept);
    found_one(now)
}

fn found_one(before: &Loaded) -> bool {
    current().is_some_and(|now| now.generation != before.generation)
}

fn look_up(recorder: &Recorder, now: &Loaded, address: usize) -> Option<Loaded> {
    let text = read_file(c"/proc/self/maps", MAPS_BYTES);
    let at = procfs::mappings(&text).find(|mapping| (mapping.start..mapping.end).contains(&(address as u64)))?;
    if at.ino == 0 || !at.exec {
        return None;
    }
    // The file's first mapping below the address begins with its header.
    let same = |mapping: &procfs::Mapping| mapping.dev == at.dev && mapping.ino == at.ino && mapping.start <= at.start;
    let base = procfs::mappings(&text).filter(|mapping| same(mapping) && mapping.offset == 0 && mapping.read).last()?;
    let module = elf::Module::at(base.start as usize, (base.end - base.start) as usize)?;
    if !module.holds(address) {
        return None;
    }
    let path = at.path.to_vec();
    // SAFETY: `BUSY` is ours.
    let kept = unsafe { &mut *KEPT.0.get() };
    if !kept.recorded.iter().any(|(start, known)| *start == module.start && *known == path) {
        modules::record_one(recorder, process::me(recorder).slot, &module, &path);
        kept.recorded.push((module.start, path));
    }
    let unwind = unwind_tables(&module, |bytes| kept.copy(bytes));
    Some(now.with((module.start, module.end), unwind))
}

/// What is kept for good of files loaded late: one that is loaded again has it already.
struct Learned {
    tables: Vec<&'static [u8]>,
    /// Start and path of those that have a record.
    recorded: Vec<(usize, Vec<u8>)>,
}

impl Learned {
    fn copy(&mut self, bytes: &'static [u8]) -> &'static [u8] {
        if let Some(same) = self.tables.iter().find(|same| **same == bytes) {
            return same;
        }
        let copy = Vec::leak(bytes.to_vec());
        self.tables.push(copy);
        copy
    }
}

struct Kept(UnsafeCell<Learned>);

// SAFETY: only reached by the holder of `BUSY`.
unsafe impl Sync for Kept {}

static KEPT: Kept = Kept(UnsafeCell::new(Learned { tables: Vec::new(), recorded: Vec::new() }));

fn unwind_tables(
    module: &elf::Module,
    mut keep: impl FnMut(&'static [u8]) -> &'static [u8],
) -> Option<Module<&'static [u8]>> {
    let (hdr_at, hdr) = module.eh_frame_hdr()?;
    // version, encodings, then the address of .eh_frame: "pc-relative, 4 bytes signed" is what linkers write.
    if hdr.first() != Some(&1) || hdr.get(1) != Some(&0x1b) {
        return None;
    }
    let offset = i32::from_le_bytes(hdr.get(4..8)?.try_into().ok()?);
    let frame_at = (hdr_at + 4).checked_add_signed(offset as isize)?;
    let frame = module.bytes(frame_at, module.segment_end(frame_at)?.checked_sub(frame_at)?)?;
    Some(Module::new(
        String::new(),
        module.start as u64..module.end as u64,
        module.bias as u64,
        ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_hdr_svma: Some(hdr_at as u64..(hdr_at + hdr.len()) as u64),
            eh_frame_hdr: Some(keep(hdr)),
            eh_frame_svma: Some(frame_at as u64..(frame_at + frame.len()) as u64),
            eh_frame: Some(keep(frame)),
            ..ExplicitModuleSectionInfo::default()
        },
    ))
}
