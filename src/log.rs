//! The text log: one line a call, one write a line, never into a file that is not ours.
//!
//! Before each write the descriptor is compared with the file it was at start, a file of our own by a mark on it. One that
//! the program closed is opened again by its path; standard error that is no longer what it was is left alone.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use alloc::ffi::CString;
use alloc::string::{String, ToString};

use shmaudit_core::line::Line;
use shmaudit_core::logline::{self, Extra};
use shmaudit_core::options::Format;
use shmaudit_core::record::{Event, Family};

use crate::audit::{About, Audit};
use crate::{callers, clock, errno, filter, sys};

/// A descriptor and the file that it was when we looked: nothing is written to another.
struct Sink {
    fd: AtomicI32,
    dev: AtomicU64,
    ino: AtomicU64,
    kind: AtomicU32,
    /// It carries our [`MARK`].
    marked: AtomicBool,
    clogged: AtomicBool,
}

/// Marks an open file as ours: the signal that it would send if it were told to send any, which it is not (fcntl(2),
/// `F_SETSIG`). No program asks for this one, which glibc and musl both keep for themselves. It is read in a third of the
/// time that the file's identity takes.
const MARK: usize = 33;
/// fcntl commands of asm-generic/fcntl.h that the libc crate does not have.
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;

impl Sink {
    const fn none() -> Sink {
        Sink {
            fd: AtomicI32::new(-1),
            dev: AtomicU64::new(0),
            ino: AtomicU64::new(0),
            kind: AtomicU32::new(0),
            marked: AtomicBool::new(false),
            clogged: AtomicBool::new(false),
        }
    }

    fn look_at(&self, fd: i32) -> bool {
        let Ok(file) = sys::identity(fd) else { return false };
        self.dev.store(file.dev, Ordering::Relaxed);
        self.ino.store(file.ino, Ordering::Relaxed);
        self.kind.store(file.mode & libc::S_IFMT, Ordering::Relaxed);
        self.fd.store(fd, Ordering::Release);
        true
    }

    /// Whether the descriptor still is what it was.
    fn is_same(&self) -> bool {
        let fd = self.fd.load(Ordering::Acquire);
        wrong!(TrustsNumber => { return fd >= 0 });
        if self.marked.load(Ordering::Relaxed) && filter::is_none() {
            return fcntl(fd, F_GETSIG, 0) == MARK as isize;
        }
        fd >= 0
            && sys::identity(fd).is_ok_and(|file| {
                file.dev == self.dev.load(Ordering::Relaxed) && file.ino == self.ino.load(Ordering::Relaxed)
            })
    }

    /// Marks the descriptor, which is of a file that we opened, where no filter forbids to ask for the mark.
    fn mark(&self) {
        let fd = self.fd.load(Ordering::Relaxed);
        self.marked.store(filter::is_none() && fcntl(fd, F_SETSIG, MARK) == 0, Ordering::Relaxed);
    }

    /// Writes at once: no signal, no endless wait.
    fn put(&self, bytes: &[u8]) -> bool {
        put(self.fd.load(Ordering::Acquire), self.kind.load(Ordering::Relaxed), &self.clogged, bytes)
    }
}

/// Standard error as the program got it.
static STDERR: Sink = Sink::none();

/// Looks at standard error, at start.
pub fn look_at_stderr() {
    STDERR.look_at(2);
}

/// The program has put another file in standard error's place, on purpose: `dup2`. Looked at when the next line is
/// written: it may have been a `vfork` child, in our memory but with descriptors of its own.
pub fn stderr_replaced() {
    STDERR_REPLACED.store(true, Ordering::Release);
}

static STDERR_REPLACED: AtomicBool = AtomicBool::new(false);

fn stderr_is_same() -> bool {
    wrong!(TrustsNumber => {
        STDERR.fd.store(2, Ordering::Relaxed);
        return true;
    });
    STDERR.is_same() || STDERR_REPLACED.swap(false, Ordering::AcqRel) && STDERR.look_at(2)
}

/// Writes to standard error if it still is what the program got. A pipe takes up to 4096 bytes without a wait where it
/// has room at all.
pub fn to_stderr(bytes: &[u8]) -> bool {
    stderr_is_same() && bytes.chunks(4096).all(|piece| STDERR.put(piece))
}

/// The descriptor that a log's file was opened at last, -1 for none.
#[unsafe(link_section = ".data.hot")]
static FILE_AT: AtomicI32 = AtomicI32::new(-1);

/// Whether the log's own descriptor may have this number.
#[inline(always)]
pub fn may_be_at(fd: i32) -> bool {
    FILE_AT.load(Ordering::Relaxed) == fd
}

/// Whether its number is `first` or above it.
#[inline(always)]
pub fn is_from(first: usize) -> bool {
    let fd = FILE_AT.load(Ordering::Relaxed);
    fd >= 0 && fd as usize >= first
}

/// Whether a copy of a descriptor that wanted the first free number from `first` on, and got `got` (-1: none), would have
/// got the log's own number.
pub fn stood_in_the_way(first: usize, got: i32) -> bool {
    wrong!(KeepsPlace => { return false });
    is_from(first) && (got == -1 && errno::get() == libc::EMFILE || got > FILE_AT.load(Ordering::Relaxed))
}

/// Where lines go.
pub struct Log {
    /// `None`: standard error.
    file: Option<(Sink, CString)>,
}

/// Lines that this process could not write.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Our own descriptor stands above what programs count on, and below what makes the kernel's table large.
const FIRST_FD: usize = 211;
const LINE_BYTES: usize = 4096;
const PATH_BYTES: usize = 320;
/// How long a reader that does not read is waited for, once.
const PATIENCE_MS: usize = 1000;

impl Log {
    /// Logs to standard error.
    pub fn stderr() -> Log {
        Log { file: None }
    }

    /// Logs to a file: made if missing, appended to.
    pub fn file(path: &str) -> Result<Log, i32> {
        let path = CString::new(String::from(path)).map_err(|_| libc::EINVAL)?;
        let sink = Sink::none();
        if let Err(errno) = open(&sink, &path)
            && !matches!(errno, libc::EINVAL | libc::EMFILE)
        {
            return Err(errno);
        }
        Ok(Log { file: Some((sink, path)) })
    }

    /// The program closes or replaces the descriptors `first` to `last`.
    pub fn give_way(&self, first: i32, last: i32) {
        let Some((sink, _)) = &self.file else { return };
        let fd = sink.fd.load(Ordering::Relaxed);
        if (first..=last).contains(&fd) && sink.is_same() {
            // Not forgotten: a `vfork` child's close is not ours, and ours shows when the next line is written.
            drop(sys::Fd(fd));
        }
    }

    /// Writes one line, or counts it as lost.
    pub fn write(&self, line: &[u8]) {
        let written = match &self.file {
            None => stderr_is_same() && STDERR.put(line),
            Some((sink, path)) if sink.is_same() || open(sink, path).is_ok() => sink.put(line),
            Some((_, path)) => put_once(path, line),
        };
        wrong!(NeedsLog => { if !written { crate::wrong::fault() } });
        if !written {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says, once, how many lines are not in the file. Standard error's are not told of: it would be there.
    pub fn tell_lost(&self) {
        let Some((_, path)) = &self.file else { return };
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let lines = if lost == 1 { " line of the log" } else { " lines of the log" };
            say(&[&path.to_string_lossy(), ": ", &lost.to_string(), lines, " could not be written"]);
        }
    }

    /// Logs one call.
    pub fn call(&self, audit: &'static Audit, event: &Event, about: &About) {
        let Some(scratch) = Scratch::take() else {
            LOST.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // SAFETY: taken, so ours until it is given back.
        let room = unsafe { &mut *scratch.0.room.get() };
        let mut path = Line::new(&mut room.path);
        object_path(&mut path, event, about);
        let now = clock::realtime();
        let extra = Extra {
            unix_ns: now,
            took_ns: clock::nanoseconds(&audit.recorder, u64::from(event.took), now),
            object_path: if path.is_empty() { None } else { Some(path.as_bytes()) },
            caller: event.frames.first().map_or(&[], |&address| callers::caller(audit, address)),
        };
        let mut line = Line::new(&mut room.line);
        match audit.options.log_format {
            Format::Text => logline::text(&mut line, event, &extra),
            Format::Json => logline::json(&mut line, event, &extra, &|address, each| resolved(audit, address, each)),
        }
        if audit.options.syscalls && audit.options.log_format == Format::Text {
            logline::syscalls(&mut line, event);
        }
        wrong!(RawNames => { line.bytes(event.data) });
        self.write(line.as_bytes());
    }
}

const FLAGS: i32 =
    libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK;

/// Opens, writes and closes.
fn put_once(path: &CStr, bytes: &[u8]) -> bool {
    let sink = Sink::none();
    let Ok(file) = sys::open(path, FLAGS, 0o600) else { return false };
    sink.look_at(file.0) && sink.put(bytes)
}

fn open(sink: &Sink, path: &CStr) -> Result<(), i32> {
    let low = sys::open(path, FLAGS, 0o600)?;
    wrong!(LowLog => {
        sink.look_at(low.0);
        core::mem::forget(low);
        return Ok(());
    });
    let high = fcntl(low.0, libc::F_DUPFD_CLOEXEC, FIRST_FD);
    if high < 0 {
        // Few descriptors are allowed here, and all are the program's: each line opens the file for itself.
        return Err(-high as i32);
    }
    FILE_AT.store(high as i32, Ordering::Relaxed);
    if !sink.look_at(high as i32) {
        return Err(libc::EBADF);
    }
    sink.mark();
    Ok(())
}

/// `fcntl` of a descriptor of ours with a number; -errno where it fails.
fn fcntl(fd: i32, command: i32, argument: usize) -> isize {
    // SAFETY: no pointer is passed, and a copy of a descriptor or a mark on it is all that the commands here make.
    unsafe { sys::call(libc::SYS_fcntl, fd as usize, command as usize, argument, 0, 0, 0) }
}

/// Room for one line: a signal stack may be smaller than the line.
struct Room {
    line: [u8; LINE_BYTES],
    path: [u8; PATH_BYTES],
}

struct Shelf {
    /// The thread that has taken it, 0 for none, and where its stack was.
    taken: AtomicUsize,
    stack: AtomicUsize,
    room: UnsafeCell<Room>,
}

// SAFETY: a room is only used by who took it.
unsafe impl Sync for Shelf {}

/// As many threads can be writing lines at once.
static SHELVES: [Shelf; 64] = [const {
    Shelf {
        taken: AtomicUsize::new(0),
        stack: AtomicUsize::new(0),
        room: UnsafeCell::new(Room { line: [0; LINE_BYTES], path: [0; PATH_BYTES] }),
    }
}; 64];

/// In a forked child: the lines that other threads were writing are the parent's, and those that were lost.
pub fn forked() {
    LOST.store(0, Ordering::Relaxed);
    for shelf in &SHELVES {
        shelf.taken.store(0, Ordering::Relaxed);
    }
}

struct Scratch(&'static Shelf);

impl Scratch {
    fn take() -> Option<Scratch> {
        let me = sys::thread_pointer();
        let here = 0u8;
        let here = (&raw const here).addr();
        let free = |shelf: &&Shelf| shelf.taken.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Handlers that jump out of a line leave it taken: by this thread, and deeper in its stack than it is now.
        let left =
            |shelf: &&Shelf| shelf.taken.load(Ordering::Relaxed) == me && shelf.stack.load(Ordering::Relaxed) < here;
        let shelf = SHELVES.iter().find(free).or_else(|| SHELVES.iter().find(left))?;
        shelf.stack.store(here, Ordering::Relaxed);
        Some(Scratch(shelf))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.0.taken.store(0, Ordering::Release);
    }
}

/// Names for one address of a JSON line's stack.
fn resolved(audit: &'static Audit, address: u64, each: &mut dyn FnMut(&logline::Frame)) {
    let frames = callers::frames(audit, address);
    if frames.is_empty() {
        return logline::unresolved(address, each);
    }
    for frame in frames {
        each(&logline::Frame {
            function: frame.function.as_deref().map(str::as_bytes),
            file: frame.file.as_deref().map(str::as_bytes),
            line: frame.line,
            module: frame.module.as_deref().map(str::as_bytes),
            offset: frame.offset,
            inlined: frame.inlined,
        });
    }
}

/// The path of the object that a call returned a descriptor of, as /proc/self/fd would show it.
fn object_path(path: &mut Line, event: &Event, about: &About) {
    match event.object.family {
        Family::Posix if !about.label.is_empty() => {
            path.str("/dev/shm/");
            path.bytes(about.label);
        }
        Family::Memfd if !event.data.is_empty() => {
            path.str("/memfd:");
            path.bytes(event.data);
            path.str(" (deleted)");
        }
        _ => {}
    }
}

/// Writes `bytes` to `fd` at once: no signal, no endless wait. Regular files and devices simply take it; a pipe, socket or
/// terminal must have room.
fn put(fd: i32, kind: u32, clogged: &AtomicBool, bytes: &[u8]) -> bool {
    wrong!(PlainWrite => { return sys::write(fd, bytes) == Ok(bytes.len()) });
    if kind == libc::S_IFREG || kind == libc::S_IFBLK {
        let write = || sys::write(fd, bytes) == Ok(bytes.len());
        return if sys::limit(libc::RLIMIT_FSIZE) == u64::MAX { write() } else { without(libc::SIGXFSZ, write) };
    }
    let mut wanted = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    let patience = if clogged.load(Ordering::Relaxed) { 0 } else { PATIENCE_MS };
    let mut time = libc::timespec { tv_sec: (patience / 1000) as i64, tv_nsec: (patience % 1000 * 1_000_000) as i64 };
    // SAFETY: one pollfd and one timespec, both ours.
    unsafe { sys::call(libc::SYS_ppoll, &raw mut wanted as usize, 1, &raw mut time as usize, 0, 8, 0) };
    let room = wanted.revents & libc::POLLOUT != 0 && wanted.revents & (libc::POLLERR | libc::POLLNVAL) == 0;
    clogged.store(!room, Ordering::Relaxed);
    if !room {
        return false;
    }
    if kind == libc::S_IFSOCK {
        // SAFETY: the kernel only reads the bytes.
        let sent = unsafe {
            let flags = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as usize;
            sys::call(libc::SYS_sendto, fd as usize, bytes.as_ptr() as usize, bytes.len(), flags, 0, 0)
        };
        return sent == bytes.len() as isize;
    }
    if kind != libc::S_IFIFO {
        return sys::write(fd, bytes) == Ok(bytes.len());
    }
    without(libc::SIGPIPE, || sys::write(fd, bytes) == Ok(bytes.len()))
}

/// Runs `write` so that a pipe whose reader has gone, or a file at its limit, gives an error and no signal.
fn without(signal: i32, write: impl FnOnce() -> bool) -> bool {
    let pipe: u64 = 1 << (signal - 1);
    // A handler that jumped out in between would leave the mask as it is.
    let everything = u64::MAX;
    let (mut before, mut pending) = (0u64, 0u64);
    // SAFETY: signal sets of 8 bytes, all ours; the mask is put back below.
    unsafe {
        sys::call(libc::SYS_rt_sigpending, &raw mut pending as usize, 8, 0, 0, 0, 0);
        let block = libc::SIG_BLOCK as usize;
        sys::call(libc::SYS_rt_sigprocmask, block, &raw const everything as usize, &raw mut before as usize, 8, 0, 0);
    }
    let written = write();
    // SAFETY: as above. A signal that was pending before stays for the program.
    unsafe {
        if !written && pending & pipe == 0 {
            let mut none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            sys::call(libc::SYS_rt_sigtimedwait, &raw const pipe as usize, 0, &raw mut none as usize, 8, 0, 0);
        }
        sys::call(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK as usize, &raw const before as usize, 0, 8, 0, 0);
    }
    written
}

/// One line of ours on standard error; for what cannot be said elsewhere.
pub fn say(parts: &[&str]) {
    const ROOM: usize = 512;
    let mut room = [0u8; ROOM];
    let mut line = Line::new(&mut room);
    line.str("shmaudit: ");
    for char in parts.iter().flat_map(|part| part.chars()) {
        // Paths are whatever somebody wrote: no escape sequence of theirs reaches a terminal.
        if char.is_control() {
            line.byte(b'\\');
            line.digits::<8>(u64::from(char), 0);
        } else {
            line.str(char.encode_utf8(&mut [0; 4]));
        }
    }
    // Longer ones are cut, and end all the same.
    line.truncate(ROOM - 1);
    line.byte(b'\n');
    to_stderr(line.as_bytes());
}
