//! The C interface beside the six: what a program can ask of its own audit, and tell it.

use core::ffi::{CStr, c_char, c_int, c_void};

use libc::{key_t, mode_t, pid_t, size_t};
use shmaudit_core::calls::{CALLS, Call, Trace};
use shmaudit_core::layout::{ERRNOS, bare_name, hash_ignored, hash_name, hash_shmid};
use shmaudit_core::reader::Reader;
use shmaudit_core::record::{Family, ObjectId};

use crate::audit::{self, About, Audit};
use crate::{clock, conclude, errno, live, pause, process, sys};

/// `family` of a POSIX shared-memory object (shm_open).
pub const SHMAUDIT_POSIX: c_int = 1;
/// `family` of a System V segment (shmget).
pub const SHMAUDIT_SYSV: c_int = 2;

/// What the audit has counted, over all processes of the family: this one, those it was forked from, and their forks.
/// A later version adds fields at the end only.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Stats {
    /// Calls about shared memory.
    pub calls: u64,
    /// Those of them that failed.
    pub failed_calls: u64,
    /// Objects and segments that the family has made and that are there now.
    pub live_objects: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Records written: calls, and processes made and ended.
    pub events: u64,
    /// About how many of them later ones have overwritten: reports no longer tell of those calls, but still of every
    /// object.
    pub events_lost: u64,
}

/// An object or segment that the family has made and that is there now. A later version adds fields at the end only.
#[repr(C)]
pub struct Object {
    /// Bytes of this struct as the library has it: fields beyond are not there.
    pub struct_size: size_t,
    /// SHMAUDIT_POSIX or SHMAUDIT_SYSV.
    pub family: c_int,
    /// Id of a segment; -1 for an object.
    pub shmid: c_int,
    /// Key that a segment was made with, IPC_PRIVATE among them; 0 for an object.
    pub key: key_t,
    /// Permissions.
    pub mode: mode_t,
    /// Process that made it.
    pub pid: pid_t,
    /// Thread that made it.
    pub tid: pid_t,
    /// Name of an object, with one slash before it; NULL for a segment. Lives until the function returns.
    pub name: *const c_char,
    /// Bytes.
    pub size: u64,
    /// Device of an object; 0 for a segment.
    pub dev: u64,
    /// Inode of an object; 0 for a segment.
    pub ino: u64,
    /// Attachments of a segment, by whichever process; 0 for an object.
    pub attached: u64,
    /// When it was made, in nanoseconds since 1970, UTC.
    pub created: u64,
    /// Where its making stands in the order of all calls: after a checkpoint if it is greater.
    pub event: u64,
    /// Return addresses of the call that made it, innermost first, `frames` of them, as the process that made it had
    /// them. They live until the function returns.
    pub stack: *const u64,
    /// How many there are: at most as many as the option `stacks` says.
    pub frames: size_t,
    /// 1 where the program has told its audit to ignore it, else 0.
    pub ignored: c_int,
}

/// Called with each object. It may remove it. It must not throw.
#[expect(non_camel_case_types, reason = "its name in C")]
pub type shmaudit_object_fn = Option<unsafe extern "C" fn(object: *const Object, ctx: *mut c_void)>;

fn failed(errno: i32) -> c_int {
    errno::set(errno);
    -1
}

/// The audit, by the process that this is now. Starts it where nothing has.
fn current() -> Option<&'static Audit> {
    let kept = errno::Kept::new();
    let audit = audit::get();
    if let Some(audit) = audit {
        // A forked child's first call.
        process::me(&audit.recorder);
    }
    drop(kept);
    audit
}

/// The library's version, such as "0.1.0". The string is static and never freed.
///
/// Thread-safe and async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Reports now, to where the report at exit goes, also where it says that all is well. The report at exit still comes.
///
/// Returns the number of findings of severity error, or -1 with errno: ENOSYS where the audit does not work in this
/// process, EBUSY while another thread asks, EIO where no report could be made.
///
/// Thread-safe; not for use in a signal handler. Takes milliseconds, most of them for the names of functions.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_leak_check() -> c_int {
    report(None)
}

/// Marks a point in the history of the family's calls. What is made later is made after it, by whichever process.
///
/// Returns a number for shmaudit_leak_check_since, good in this process and those it forks, not in a program that they
/// become by exec; 0 where the audit does not work.
///
/// Thread-safe and async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_checkpoint() -> u64 {
    let Some(audit) = current() else { return 0 };
    let kept = errno::Kept::new();
    let (order, _) = audit.note_told(Call::Checkpoint, &About::args(&[]), None);
    drop(kept);
    order
}

/// Reports the leaks of what was made after `checkpoint` (0: from the start), to where the report at exit goes, and
/// nothing where there are none: objects that are still there, and that nobody who still runs may remove.
///
/// Returns their number, or -1 with errno: EINVAL where `checkpoint` cannot have been given out (an even number, or one that
/// the calls have not come to yet; others are points too, that of the call before), and as shmaudit_leak_check.
///
/// Thread-safe; not for use in a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_leak_check_since(checkpoint: u64) -> c_int {
    report(Some(checkpoint))
}

fn report(since: Option<u64>) -> c_int {
    let Some(audit) = current() else { return failed(libc::ENOSYS) };
    // Records stand at odd numbers, each once.
    if since.is_some_and(|since| since != 0 && (since.is_multiple_of(2) || since / 2 >= audit.recorder.head())) {
        return failed(libc::EINVAL);
    }
    let kept = errno::Kept::new();
    let told = conclude::report(audit, false, since);
    drop(kept);
    told.unwrap_or_else(failed)
}

/// Fills the first `size` bytes of `out`; pass sizeof(shmaudit_stats). What this library does not know is 0.
///
/// Returns 0, or -1 with errno: EINVAL where `out` is NULL or `size` is 0, ENOSYS where the audit does not work.
///
/// Thread-safe and async-signal-safe. Asks the kernel about each live object: a microsecond each.
///
/// # Safety
/// `out` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmaudit_stats_get(out: *mut Stats, size: size_t) -> c_int {
    if out.is_null() || size == 0 {
        return failed(libc::EINVAL);
    }
    let Some(audit) = current() else { return failed(libc::ENOSYS) };
    let kept = errno::Kept::new();
    let stats = stats(audit);
    let known = size_of::<Stats>();
    // SAFETY: the caller has room for `size` bytes; as many as both have are copied, the rest is filled.
    unsafe {
        out.cast::<u8>().copy_from_nonoverlapping((&raw const stats).cast(), size.min(known));
        out.cast::<u8>().wrapping_add(size.min(known)).write_bytes(0, size.saturating_sub(known));
    }
    drop(kept);
    0
}

fn stats(audit: &Audit) -> Stats {
    let mut stats = Stats::default();
    stats.live_objects = live::each(audit, |live| stats.live_bytes = stats.live_bytes.saturating_add(live.size));
    let Ok(reader) = Reader::new(&audit.recorder) else { return stats };
    for &call in CALLS.iter().filter(|call| call.trace() != Trace::Process) {
        stats.calls = stats.calls.saturating_add(reader.calls(call));
        let failures = (1..ERRNOS).map(|errno| reader.failures(call, errno));
        stats.failed_calls = failures.fold(stats.failed_calls, u64::saturating_add);
    }
    stats.events = reader.all_calls();
    stats.events_lost = reader.overwritten(stats.events);
    stats
}

/// Calls `fn` with each object and segment that the family has made and that is there now, and with `ctx`.
///
/// Those made or removed meanwhile are met or not. An object that was renamed since it was made is not met.
///
/// Returns their number, or -1 with errno: EINVAL where `fn` is NULL, ENOSYS where the audit does not work.
///
/// Thread-safe and async-signal-safe, as far as `fn` is. Takes 6 KiB of stack. Asks the kernel about each object.
///
/// # Safety
/// `fn` is a function of this type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmaudit_for_each_object(r#fn: shmaudit_object_fn, ctx: *mut c_void) -> c_int {
    let Some(call) = r#fn else { return failed(libc::EINVAL) };
    let Some(audit) = current() else { return failed(libc::ENOSYS) };
    let kept = errno::Kept::new();
    let (now, unix) = (clock::now(), clock::realtime());
    let count = live::each(audit, |live| {
        let event = live.event;
        let sysv = event.object.family == Family::Sysv;
        let object = Object {
            struct_size: size_of::<Object>(),
            family: if sysv { SHMAUDIT_SYSV } else { SHMAUDIT_POSIX },
            shmid: if sysv { event.object.shmid() } else { -1 },
            key: if sysv { event.arg(0) as u32 as key_t } else { 0 },
            mode: live.mode as mode_t,
            pid: event.pid as pid_t,
            tid: event.tid as pid_t,
            name: live.name.map_or(core::ptr::null(), CStr::as_ptr),
            size: live.size,
            dev: if sysv { 0 } else { event.object.dev },
            ino: if sysv { 0 } else { event.object.ino },
            attached: live.attached,
            created: unix.saturating_sub(clock::nanoseconds(&audit.recorder, now.wrapping_sub(event.ticks), unix)),
            event: event.order,
            stack: event.frames.as_ptr(),
            frames: event.frames.len(),
            ignored: c_int::from(live.ignored),
        };
        // SAFETY: the caller vouches for the function; the object lives until it returns.
        unsafe { call(&raw const object, ctx) };
    });
    drop(kept);
    count.min(c_int::MAX as u64) as c_int
}

/// From now on no object of this name counts as a leak, made before or later, by whichever process of the family: reports
/// count it as suppressed, "ignored by the program". The name is as for shm_open, with or without its slash, and copied.
/// It cannot be taken back.
///
/// Returns 0, or -1 with errno: EINVAL where `name` is NULL, empty, has a slash inside or more than 255 bytes, ENOMEM where
/// the audit has no room, ENOSYS where it does not work.
///
/// Thread-safe and async-signal-safe.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmaudit_ignore_name(name: *const c_char) -> c_int {
    if name.is_null() {
        return failed(libc::EINVAL);
    }
    // SAFETY: the caller vouches.
    let text = unsafe { CStr::from_ptr(name) }.to_bytes();
    let bare = bare_name(text);
    if bare.is_empty() || bare.len() > 255 || bare.contains(&b'/') {
        return failed(libc::EINVAL);
    }
    ignore(Call::IgnoreName, &About::args(&[]).data(bare), hash_name(bare))
}

/// From now on the segment that has the id `shmid` at this moment does not count as a leak, whoever of the family made it:
/// reports count it as suppressed, "ignored by the program". A later segment that is given the same id is another. It
/// cannot be taken back.
///
/// Returns 0, or -1 with errno: EINVAL where there is no such segment, ENOMEM where the audit has no room, ENOSYS where it
/// does not work.
///
/// Thread-safe and async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_ignore_id(shmid: c_int) -> c_int {
    let mut ds = core::mem::MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: the kernel fills one struct shmid_ds.
    let asked = unsafe {
        sys::call(libc::SYS_shmctl, shmid as usize, libc::IPC_STAT as usize, ds.as_mut_ptr() as usize, 0, 0, 0)
    };
    if asked < 0 && asked != -(libc::EACCES as isize) {
        return failed(libc::EINVAL);
    }
    let args = [shmid as u32 as u64];
    ignore(Call::IgnoreId, &About::args(&args).object(ObjectId::sysv(shmid)), hash_shmid(shmid))
}

fn ignore(call: Call, about: &About, hash: u64) -> c_int {
    let Some(audit) = current() else { return failed(libc::ENOSYS) };
    let kept = errno::Kept::new();
    let (_, is_kept) = audit.note_told(call, about, Some(hash_ignored(hash)));
    drop(kept);
    if is_kept { 0 } else { failed(libc::ENOMEM) }
}

/// From now on the calls of this thread are not logged, and nothing that comes of them is reported: objects made meanwhile
/// do not count as leaks, but as suppressed, "paused by the program". They are recorded all the same, so that what is
/// said of other calls stays right. Pauses nest: as many shmaudit_resume end them. A child that the thread forks begins
/// paused; a thread that it creates does not.
///
/// At most 256 threads can be paused at once; in further ones it does nothing. Thread-safe and async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_pause() {
    current();
    let kept = errno::Kept::new();
    pause::pause();
    drop(kept);
}

/// Ends one shmaudit_pause of this thread; without one it does nothing. Thread-safe and async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn shmaudit_resume() {
    current();
    let kept = errno::Kept::new();
    pause::resume();
    drop(kept);
}
