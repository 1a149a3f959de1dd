//! Deliberately wrong ways to do what the library does: one each of the ways that interposers are known to break programs.
//!
//! Only the tests' own build has them (the feature `wrong`, `make wrong`), and one is in force only where the environment
//! names it (`SHMAUDIT_WRONG=lock-in-hook`; several with commas). The trials `harm::` prove with them that each scenario would find its breakage.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use shmaudit_core::calls::{CALLS, Call};
use shmaudit_core::procfs;

use crate::start::read_file;
use crate::{elf, sys};

/// `wrong!(Name => { … })`: the block, where this way is in force.
macro_rules! wrong {
    ($name:ident => $body:block) => {
        if crate::wrong::is(crate::wrong::Wrong::$name) $body
    };
}

macro_rules! ways {
    ($($(#[$doc:meta])* $way:ident $name:literal;)*) => {
        /// The wrong ways.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Wrong {
            $($(#[$doc])* $way,)*
        }

        const WAYS: &[(&[u8], Wrong)] = &[$(($name, Wrong::$way),)*];
    };
}

ways! {
    /// A lock is held while a call is recorded.
    LockInHook b"lock-in-hook";
    /// Every hook asks for the process id.
    GetpidInHook b"getpid-in-hook";
    /// Every hook asks the C library's malloc for memory.
    MallocInHook b"malloc-in-hook";
    /// Every hook looks an optional symbol up by dlsym.
    DlsymInHook b"dlsym-in-hook";
    /// Every hook is a cancellation point.
    CancelInHook b"cancel-in-hook";
    /// Every hook has a large frame.
    StackInHook b"stack-in-hook";
    /// Every hook leaves another errno.
    ErrnoInHook b"errno-in-hook";
    /// The constructor leaves errno as its last failure did.
    ErrnoAtStart b"errno-at-start";
    /// Hooks count on the constructor having run.
    NeedsConstructor b"needs-constructor";
    /// The recorder is taken down with the verdict; hooks that come later meet no mapping.
    UnmapAtEnd b"unmap-at-end";
    /// A descriptor is held from the start on.
    HoldsDescriptor b"holds-descriptor";
    /// The log writes to its number, whoever has it now.
    TrustsNumber b"trusts-number";
    /// The log's descriptor is the lowest number there was.
    LowLog b"low-log";
    /// The log writes as if nothing could go wrong.
    PlainWrite b"plain-write";
    /// Where the log cannot be opened, the program ends.
    NeedsLog b"needs-log";
    /// The log has names as they are.
    RawNames b"raw-names";
    /// Paths are read before the kernel has accepted them.
    ReadsEarly b"reads-early";
    /// Only paths that begin as the shm mount's do are taken to lead there.
    PathsAsSpelled b"paths-as-spelled";
    /// Functions that have a second name for large files or for checked flags are known by their first only.
    FirstNames b"first-names";
    /// What is mapped is known by the table of descriptors alone.
    TrustsTable b"trusts-table";
    /// What is mapped over an object by MAP_FIXED ends nothing.
    BlindToFixed b"blind-to-fixed";
    /// A named semaphore, made under another name, is an object that stays.
    SemaphoresAreObjects b"semaphores-are-objects";
    /// The next definition may be our own.
    NextIsOwn b"next-is-own";
    /// A unit's tag says that it is written before it is.
    CommitsEarly b"commits-early";
    /// An entry of the registry is free before it is out of the index.
    FreesEarly b"frees-early";
    /// The list of free entries has no count of its changes.
    CountsNoChange b"counts-no-change";
    /// A stack that was walked before is taken for the same because it begins at the same place.
    BelievesPaths b"believes-paths";
    /// What frame pointers led a walk there is not asked for when it is taken for the same as before.
    ForgetsPointers b"forgets-pointers";
    /// A release is noted when it is over.
    NotesAfter b"notes-after";
    /// An open that a call of the C library's makes is noted beside that call.
    CountsTwice b"counts-twice";
    /// Only forks that a hook sees are noticed.
    BlindToFork b"blind-to-fork";
    /// A vfork child is taken for its parent.
    BlindToVfork b"blind-to-vfork";
    /// The journal's blocks are not allocated.
    SparseJournal b"sparse-journal";
    /// The recorder is as large as ever, whatever the limits.
    LargeRecorder b"large-recorder";
    /// What is asked of a file is asked by the call that is best for us, whatever filter there is.
    IgnoresFilter b"ignores-filter";
    /// Files of /proc are read in the program's own table of descriptors.
    OpensInTable b"opens-in-table";
    /// The place in the program's own table that the log takes is never given back.
    KeepsPlace b"keeps-place";
    /// A report needs a child.
    NeedsChild b"needs-child";
    /// All that is mapped is locked, ours too.
    LocksAll b"locks-all";
    /// What is mapped, attached and open at the end is taken from the records alone.
    TrustsRecords b"trusts-records";
    /// What the kernel does by itself, where its settings say so, is not reckoned with.
    BlindToSettings b"blind-to-settings";
    /// Who is replaced by exec tells nobody.
    BlindToExec b"blind-to-exec";
    /// Whoever has a process's pid is that process.
    TrustsPid b"trusts-pid";
    /// A segment is whichever has its shmid, whoever made it.
    TrustsIds b"trusts-ids";
    /// All objects of a mount are the same but for their names.
    TrustsNames b"trusts-names";
    /// A link is a renaming.
    LinksRename b"links-rename";
    /// What the tree has not removed is there, whatever the kernel says.
    TrustsMakers b"trusts-makers";
    /// There is one IPC namespace.
    OneNamespace b"one-namespace";
    /// Options are anybody's, also those of a set-user-ID program.
    TrustsCaller b"trusts-caller";
    /// The C library's definition is the next, whoever stands between.
    LastIsNext b"last-is-next";
    /// No next shm_open and shm_unlink are to be had, as where librt has them and is not loaded. To be survived.
    NoLibrt b"no-librt";
    /// Where there is no next definition, a name is as good as any other.
    AnyName b"any-name";
    /// Every hook counts in a word that is any thread's, and not atomic.
    RacesInHook b"races-in-hook";
    /// Every hook reads past the end of what it has on its stack.
    ReadsBeyond b"reads-beyond";
    /// Making the report faults. To be survived.
    FaultAtEnd b"fault-at-end";
    /// Making the report panics. To be survived.
    PanicAtEnd b"panic-at-end";
}

/// Those in force, a bit each.
static CHOSEN: AtomicU64 = AtomicU64::new(0);
/// The number of the call that is not recorded, plus 1.
static FORGOTTEN: AtomicU8 = AtomicU8::new(0);

/// Learns what is in force, before anything else.
pub fn start() {
    let environ = read_file(c"/proc/self/environ", 1 << 20);
    let Some(names) = procfs::environ(&environ, b"SHMAUDIT_WRONG") else { return };
    for name in names.split(|&byte| byte == b',') {
        for (_, way) in WAYS.iter().filter(|(way, _)| *way == name) {
            CHOSEN.fetch_or(1 << *way as u8, Ordering::Relaxed);
        }
        if let Some(call) = name.strip_prefix(b"forgets-") {
            let number = CALLS.iter().position(|other| other.name().as_bytes() == call).map_or(0, |number| number + 1);
            FORGOTTEN.store(number as u8, Ordering::Relaxed);
        }
    }
    wrong!(HoldsDescriptor => { core::mem::forget(sys::open(c"/dev/null", libc::O_RDONLY, 0)); });
}

/// Whether this way is in force.
pub fn is(way: Wrong) -> bool {
    CHOSEN.load(Ordering::Relaxed) & 1 << way as u8 != 0
}

/// What a call is taken for.
pub fn taken_for(call: Call) -> Call {
    match call {
        Call::Link if is(Wrong::LinksRename) => Call::Rename,
        Call::Linkat if is(Wrong::LinksRename) => Call::Renameat,
        _ => call,
    }
}

/// Whether calls of this number are not recorded.
pub fn forgets(number: u8) -> bool {
    FORGOTTEN.load(Ordering::Relaxed) == number + 1
}

/// What every hook does.
pub fn in_hook() {
    wrong!(GetpidInHook => { sys::getpid(); });
    wrong!(MallocInHook => {
        // SAFETY: malloc's and free's prototypes, and what the one gave.
        unsafe {
            let malloc: Option<extern "C" fn(usize) -> *mut c_void> = function(c"malloc");
            let free: Option<extern "C" fn(*mut c_void)> = function(c"free");
            if let (Some(malloc), Some(free)) = (malloc, free) {
                free(malloc(100));
            }
        }
    });
    wrong!(DlsymInHook => {
        // SAFETY: dlsym's prototype; RTLD_NEXT.
        unsafe {
            if let Some(dlsym) = function::<extern "C" fn(usize, *const c_char) -> *mut c_void>(c"dlsym") {
                dlsym(usize::MAX, c"optional_function_of_another_libc".as_ptr());
            }
        }
    });
    wrong!(CancelInHook => {
        // SAFETY: pthread_testcancel's prototype.
        unsafe {
            if let Some(test) = function::<extern "C" fn()>(c"pthread_testcancel") {
                test();
            }
        }
    });
    wrong!(StackInHook => { take_stack() });
    // SAFETY: none: that is the point.
    wrong!(RacesInHook => { unsafe { *CALLS_MADE.0.get() += 1 } });
    wrong!(ReadsBeyond => { read_beyond() });
}

/// A word that threads share, and that is not atomic.
struct Unshared(UnsafeCell<u64>);

// SAFETY: none: that is the point.
unsafe impl Sync for Unshared {}

static CALLS_MADE: Unshared = Unshared(UnsafeCell::new(0));

/// Reads the byte after the last.
#[inline(never)]
fn read_beyond() {
    let bytes = core::hint::black_box([1u8; 40]);
    // SAFETY: none: that is the point.
    core::hint::black_box(unsafe { bytes.as_ptr().add(core::hint::black_box(40)).read() });
}

/// Has a large frame, and uses it.
#[inline(never)]
fn take_stack() {
    let mut frame = [1u8; 48 << 10];
    core::hint::black_box(&mut frame);
}

/// # Safety
/// `F` is the type of a pointer to the function `name`.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    let mut found = 0usize;
    elf::definitions(&[name], |_, address| found = address);
    // SAFETY: the caller vouches.
    if found == 0 { None } else { Some(unsafe { core::mem::transmute_copy(&found) }) }
}

static LOCK: AtomicBool = AtomicBool::new(false);

/// The lock that is held while a call is recorded, which takes a while.
pub struct Held(bool);

impl Held {
    /// Waits for it, where that is in force.
    pub fn new() -> Held {
        let wanted = is(Wrong::LockInHook);
        if wanted {
            while LOCK.swap(true, Ordering::Acquire) {
                core::hint::spin_loop();
            }
            let start = crate::clock::realtime();
            while crate::clock::realtime() < start + 20_000 {}
        }
        Held(wanted)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0 {
            LOCK.store(false, Ordering::Release);
        }
    }
}

/// A fault.
pub fn fault() {
    // SAFETY: none: that is the point.
    unsafe { core::ptr::write_volatile(core::ptr::without_provenance_mut::<c_int>(8), 1) };
}
