//! A recorder of a few places, and what the library has around it.

use std::sync::Mutex;

use shmaudit_core::calls::Call;
use shmaudit_core::layout::{self, Clocks, Sizes, header};
use shmaudit_core::record::{Event, Family, ObjectId, State};

use crate::recorder::Recorder;

/// Bytes of an entry: room for a record of two units.
const ENTRY_BYTES: usize = (layout::entry::RECORD + 2 * shmaudit_core::record::UNIT_PAYLOAD) * 8;

/// A new recorder with as many units and entries, in which the ring has come to `head`. Its memory is given back with
/// [`give_back`].
pub fn recorder(units: usize, entries: usize, head: u64) -> Recorder {
    let sizes = Sizes { processes: 1, modules: 1, entries, entry_bytes: ENTRY_BYTES, units };
    let mut words = MEMORY.lock().unwrap().pop().unwrap_or_default();
    words.clear();
    words.resize(sizes.regions().1 / 8, 0);
    layout::write_header(&sizes, 0, 4096, Clocks { clock: layout::CLOCK_NS, ticks: 1, unix: 1 }, |word, value| {
        words[word] = value
    });
    words[header::MAGIC] = layout::MAGIC;
    words[header::SESSION] = 1;
    words[header::HEAD] = head;
    HANDED.set(Some(words));
    Recorder::join("", 0).unwrap()
}

/// Memory that is used again.
static MEMORY: Mutex<Vec<Vec<u64>>> = Mutex::new(Vec::new());

thread_local! {
    static HANDED: std::cell::Cell<Option<Vec<u64>>> = const { std::cell::Cell::new(None) };
}

/// Nobody uses it any more.
pub fn give_back(recorder: &Recorder) {
    let (at, length) = recorder.place();
    // SAFETY: a vector of that length and capacity, taken apart in `map_shared`; the caller is the last who has it.
    let words = unsafe { Vec::from_raw_parts(std::ptr::with_exposed_provenance_mut(at), length / 8, length / 8) };
    MEMORY.lock().unwrap().push(words);
}

/// A call that can be told from any other: all that it says follows from its number.
pub fn event(number: u64, data: &[u8]) -> Event<'_> {
    let object = ObjectId { family: Family::Posix, dev: 9, ino: number };
    Event {
        call: Call::ShmOpen,
        state: State::Done,
        flags: 0,
        ticks: number,
        took: number as u32,
        errno: 0,
        process: 0,
        pid: number as u32,
        tid: number as u32,
        ret: number as i64,
        order: 0,
        args: &[],
        object,
        data,
        frames: &[],
    }
}

/// What the recorder asks of `src/sys.rs`: its mapping is the memory that was made for it.
pub mod sys {
    pub struct Fd(pub i32);

    pub unsafe fn call(_: libc::c_long, _: usize, _: usize, _: usize, _: usize, _: usize, _: usize) -> isize {
        0
    }

    pub fn page_size() -> usize {
        4096
    }

    pub fn limit(_: u32) -> u64 {
        u64::MAX
    }

    pub fn open(_: &core::ffi::CStr, _: i32, _: i32) -> Result<Fd, i32> {
        Ok(Fd(0))
    }

    pub fn fstat(_: i32) -> Result<libc::stat, i32> {
        // SAFETY: a valid struct stat.
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        let words = super::HANDED.take().unwrap();
        stat.st_mode = libc::S_IFREG;
        stat.st_nlink = 1;
        stat.st_size = (words.len() * 8) as i64;
        super::HANDED.set(Some(words));
        Ok(stat)
    }

    pub fn map_shared(_: &Fd, _: usize) -> Result<*mut u8, i32> {
        let mut words = super::HANDED.take().unwrap();
        words.shrink_to_fit();
        let at = words.as_mut_ptr();
        core::mem::forget(words);
        at.expose_provenance();
        Ok(at.cast())
    }

    pub fn map_anonymous(_: usize, _: i32) -> Result<*mut u8, i32> {
        Err(libc::ENOMEM)
    }

    pub unsafe fn unmap(_: *mut u8, _: usize) {}
}

/// A clock that stands.
pub mod clock {
    pub fn start() -> u64 {
        shmaudit_core::layout::CLOCK_NS
    }

    pub fn start_as(_: u64) -> bool {
        true
    }

    pub fn now() -> u64 {
        1
    }

    pub fn realtime() -> u64 {
        1
    }
}

/// No journals.
pub mod journal {
    pub struct JournalFile;

    impl JournalFile {
        pub fn make(_: &str, _: u32) -> Result<JournalFile, i32> {
            Err(libc::ENOENT)
        }

        pub fn map(&self, _: usize) -> Result<*mut u8, i32> {
            Err(libc::ENOENT)
        }

        pub fn remove(self) {}
    }
}
