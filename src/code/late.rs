//! Files loaded after the start, learned when a stack first shows them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::Ordering;

use shmaudit_core::procfs;

use super::{BUSY, CURRENT, FIRST, File, Loaded, MAPS_BYTES, UNKNOWN, UNLOADED, current};
use crate::recorder::Recorder;
use crate::start::read_file;
use crate::{contain, elf, errno, filter, modules, process, sys};

/// What an address that is in no known file turned out to be.
#[derive(Clone, Copy)]
pub enum Learned {
    /// In a file, which this list has.
    File(&'static Loaded),
    /// Code, but of no file.
    Code,
    /// No code: what was taken for an address was none.
    Data,
}

/// Looks up the file that `address` is in, by the kernel's table of mappings. The loader's own list would need its lock,
/// which the program may hold. Once a file, and once a page without one.
#[cold]
pub fn learn(recorder: &Recorder, address: usize) -> Learned {
    let page = address >> 12;
    let Some(place) = UNKNOWN.get(page % UNKNOWN.len()) else { return Learned::Code };
    match place.load(Ordering::Relaxed) {
        known if known == page << 1 | 1 => return Learned::Code,
        known if known == page << 1 && page != 0 => return Learned::Data,
        _ => {}
    }
    if !filter::is_none() {
        // It takes system calls that the program may not make.
        return Learned::Code;
    }
    let unloads = super::unloads();
    let Some(now) = current() else { return Learned::Code };
    if BUSY.swap(true, Ordering::Acquire) {
        return Learned::Code;
    }
    let kept = errno::Kept::new();
    let text = table_of_mappings();
    let at = procfs::mappings(&text).find(|mapping| (mapping.start..mapping.end).contains(&(address as u64)));
    let grown =
        at.as_ref().filter(|at| at.exec && at.ino != 0).and_then(|at| look_up(recorder, now, address, at, &text));
    let learned = match (grown, at) {
        (Some(grown), _) => {
            if !super::is_closing() {
                CURRENT.store(core::ptr::from_ref(grown).cast_mut(), Ordering::Release);
            }
            if super::unloads() != unloads {
                // It may hold what was unloaded meanwhile.
                CURRENT.store(FIRST.load(Ordering::Acquire), Ordering::Release);
            }
            Learned::File(grown)
        }
        (None, Some(at)) if at.exec => Learned::Code,
        _ => Learned::Data,
    };
    match learned {
        Learned::File(_) => {}
        Learned::Code => place.store(page << 1 | 1, Ordering::Relaxed),
        Learned::Data => place.store(page << 1, Ordering::Relaxed),
    }
    BUSY.store(false, Ordering::Release);
    drop(kept);
    learned
}

/// The kernel's table of mappings. It is read by a child that shares the memory and has descriptors of its own: in the
/// program's table the file would take, for a moment, a number that the program counts on. Empty where there is no child.
fn table_of_mappings() -> Vec<u8> {
    fn read(text: *mut c_void) {
        // SAFETY: the caller's own, who waits.
        unsafe { *text.cast::<Vec<u8>>() = read_file(c"/proc/self/maps", MAPS_BYTES) };
    }
    wrong!(OpensInTable => { return read_file(c"/proc/self/maps", MAPS_BYTES) });
    let mut text = Vec::new();
    contain::run(read, (&raw mut text).cast());
    text
}

fn look_up(
    recorder: &Recorder,
    now: &Loaded,
    address: usize,
    at: &procfs::Mapping,
    text: &[u8],
) -> Option<&'static Loaded> {
    // The file's first mapping below the address begins with its header.
    let same = |mapping: &procfs::Mapping| mapping.dev == at.dev && mapping.ino == at.ino && mapping.start <= at.start;
    let base = procfs::mappings(text).filter(|mapping| same(mapping) && mapping.offset == 0 && mapping.read).last()?;
    // What is mapped need not be there: files are cut and overwritten. So nothing is read in place.
    let head = sys::copy(base.start as *const u8, HEAD_BYTES);
    let head: Vec<u64> = head.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_ne_bytes)).collect();
    let module = elf::Module::at(base.start as usize, &head)?;
    if !module.holds(address) {
        return None;
    }
    let notes = module.notes().map(|notes| sys::copy(notes.as_ptr(), notes.len().min(HEAD_BYTES)));
    let build_id = notes.filter_map(|notes| elf::build_id(&notes).map(<[u8]>::to_vec)).next().unwrap_or_default();
    // SAFETY: `BUSY` is ours.
    let kept = unsafe { &mut *KEPT.0.get() };
    let record = Recorded { start: module.start, end: module.end, path: at.path.to_vec(), build_id };
    let before = kept.recorded.iter().rev().find(|other| other.start < record.end && record.start < other.end);
    if before != Some(&record) {
        let since = UNLOADED.load(Ordering::Relaxed);
        modules::record_one(recorder, process::me(recorder), &module, &record.path, &record.build_id, since);
        kept.recorded.push(record);
    }
    let file = File::of(&module, |bytes| kept.copy(bytes));
    let file = kept.file(file);
    if let Some(same) = kept.lists.iter().find(|list| list.is(now, file)) {
        return Some(same);
    }
    let list: &'static Loaded = Box::leak(Box::new(now.with(file)));
    kept.lists.push(list);
    Some(list)
}

/// Enough for a file's program headers, and for its notes.
const HEAD_BYTES: usize = 4096;
/// No file's tables are larger.
const TABLES_BYTES: usize = 64 << 20;

/// What is kept for good of files loaded late: one that is loaded again has it already.
struct Late {
    tables: Vec<&'static [u8]>,
    /// Those that have a record, in the order of the records.
    recorded: Vec<Recorded>,
    files: Vec<&'static File>,
    lists: Vec<&'static Loaded>,
}

#[derive(PartialEq, Eq)]
struct Recorded {
    start: usize,
    end: usize,
    path: Vec<u8>,
    build_id: Vec<u8>,
}

impl Late {
    fn file(&mut self, file: File) -> &'static File {
        if let Some(same) = self.files.iter().find(|same| same.is(&file)) {
            return same;
        }
        let file: &'static File = Box::leak(Box::new(file));
        self.files.push(file);
        file
    }

    fn copy(&mut self, bytes: &'static [u8]) -> &'static [u8] {
        let copy = sys::copy(bytes.as_ptr(), bytes.len().min(TABLES_BYTES));
        if let Some(same) = self.tables.iter().find(|same| ***same == *copy) {
            return same;
        }
        let copy = Vec::leak(copy);
        self.tables.push(copy);
        copy
    }
}

struct Kept(UnsafeCell<Late>);

// SAFETY: only reached by the holder of `BUSY`.
unsafe impl Sync for Kept {}

static KEPT: Kept =
    Kept(UnsafeCell::new(Late { tables: Vec::new(), recorded: Vec::new(), files: Vec::new(), lists: Vec::new() }));
