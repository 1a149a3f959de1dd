//! The next definition of every intercepted function: another interposer's, or the C library's.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};

use libc::{FILE, key_t, mode_t, pid_t, shmid_ds, size_t, stat};

use crate::{elf, inside};

/// The place of one next definition.
pub struct Slot<F>(AtomicUsize, PhantomData<F>);

impl<F: Copy> Slot<F> {
    const fn empty() -> Slot<F> {
        Slot(AtomicUsize::new(0), PhantomData)
    }

    /// The function, `None` where nobody defines it or nothing is resolved yet.
    #[inline(always)]
    pub fn get(&self) -> Option<F> {
        let address = self.0.load(Ordering::Relaxed);
        if address == 0 {
            return None;
        }
        // SAFETY: `F` is a function pointer type (only `next_table` makes slots), and the address is that of a function
        // whose declaration `signatures` compares with libc's.
        Some(unsafe { core::mem::transmute_copy(&address) })
    }

    /// As `get`, looked up now where a hook runs before the library's start.
    #[inline(always)]
    pub fn late(&self) -> Option<F> {
        match self.get() {
            Some(function) => Some(function),
            None => {
                resolve_late();
                self.get()
            }
        }
    }
}

macro_rules! next_table {
    ($($symbol:ident => $call:ident: fn($($type:ty),*) $(-> $ret:ty)?;)*) => {
        /// One slot a symbol.
        #[allow(non_snake_case, reason = "the fields are the symbols' own names: _Fork, _Exit")]
        pub struct Next {
            $(pub $symbol: Slot<unsafe extern "C" fn($($type),*) $(-> $ret)?>,)*
        }

        /// All next definitions.
        #[unsafe(link_section = ".data.hot")]
        pub static NEXT: Next = Next { $($symbol: Slot::empty(),)* };

        const NAMES: &[&CStr] = &[$(
            match CStr::from_bytes_with_nul(concat!(stringify!($symbol), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!(),
            },
        )*];

        fn places() -> [&'static AtomicUsize; NAMES.len()] {
            [$(&NEXT.$symbol.0,)*]
        }
    };
}
shmaudit_core::hooks!(next_table);

const _: () = assert!(NAMES.len() <= 128, "elf::next_definitions has room for 128 names");

/// Fills the table. Takes no lock of ours, and may run twice: it finds the same.
pub fn resolve() {
    let places = places();
    elf::next_definitions(NAMES, |index, address| {
        if let Some(place) = places.get(index) {
            place.store(address, Ordering::Release);
        }
    });
    if is_libc(&[&NEXT.shm_open.0, &NEXT.shm_unlink.0, &NEXT.remove.0]) {
        inside::nothing_comes_back();
    }
}

/// Whether all of these are the C library's own: what it calls within itself, it does not call by name.
fn is_libc(functions: &[&AtomicUsize]) -> bool {
    let mut start = 0;
    elf::definitions(&[c"__libc_start_main"], |_, address| start = address);
    let mut own = false;
    elf::modules(|module| {
        let found = start != 0 && module.holds(start);
        own |= found && functions.iter().all(|function| module.holds(function.load(Ordering::Relaxed)));
        !found
    });
    own
}

/// Fills the table on the first call of a hook that runs before the library's start, or finds a name undefined.
#[cold]
fn resolve_late() {
    static TRIED: AtomicUsize = AtomicUsize::new(0);
    if TRIED.swap(1, Ordering::Relaxed) == 0 {
        resolve();
    }
}

/// A hook whose signature differs from libc's declaration does not compile.
mod signatures {
    use super::*;

    const _: unsafe extern "C" fn(*const c_char, c_int, mode_t) -> c_int = libc::shm_open;
    const _: unsafe extern "C" fn(*const c_char) -> c_int = libc::shm_unlink;
    const _: unsafe extern "C" fn(key_t, size_t, c_int) -> c_int = libc::shmget;
    const _: unsafe extern "C" fn(c_int, *const c_void, c_int) -> *mut c_void = libc::shmat;
    const _: unsafe extern "C" fn(*const c_void) -> c_int = libc::shmdt;
    const _: unsafe extern "C" fn(c_int, c_int, *mut shmid_ds) -> c_int = libc::shmctl;
    const _: unsafe extern "C" fn(*const c_char, c_int) -> key_t = libc::ftok;
    const _: unsafe extern "C" fn(c_int, i64) -> c_int = libc::ftruncate;
    const _: unsafe extern "C" fn(*mut c_void, size_t, c_int, c_int, c_int, i64) -> *mut c_void = libc::mmap;
    const _: unsafe extern "C" fn(*mut c_void, size_t) -> c_int = libc::munmap;
    const _: unsafe extern "C" fn(c_int) -> c_int = libc::close;
    const _: unsafe extern "C" fn(c_int, *const c_char) -> *mut FILE = libc::fdopen;
    const _: unsafe extern "C" fn(c_int, c_int, c_int) -> c_int = libc::dup3;
    const _: unsafe extern "C" fn(*const c_char, mode_t) -> c_int = libc::creat;
    const _: unsafe extern "C" fn(*const c_char) -> c_int = libc::remove;
    const _: unsafe extern "C" fn(*const c_char, *const c_char) -> c_int = libc::rename;
    const _: unsafe extern "C" fn(*const c_char, *const c_char) -> c_int = libc::link;
    const _: unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, c_int) -> c_int = libc::linkat;
    const _: unsafe extern "C" fn(*const c_char, c_uint) -> c_int = libc::memfd_create;
    const _: unsafe extern "C" fn(c_int) -> c_int = libc::mlockall;
    const _: unsafe extern "C" fn() -> pid_t = libc::fork;
    #[expect(deprecated, reason = "what is passed on is the program's own")]
    const _: unsafe extern "C" fn() -> pid_t = libc::vfork;
}
