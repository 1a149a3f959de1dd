//! Signals: blocked while the supervisor supervises, waited for one by one, and given back to the program as they were.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A set of signals.
#[derive(Clone, Copy)]
pub struct Set(libc::sigset_t);

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Which.
    pub signal: i32,
    /// Who sent it; 0 for the kernel.
    pub from: u32,
    /// What was sent with it.
    pub value: u32,
}

impl Set {
    /// Of these.
    pub fn of(signals: &[i32]) -> Set {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: sigemptyset fills the set, of which zeroed is a valid one; sigaddset refuses what is no signal.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for &signal in signals {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            Set(set.assume_init())
        }
    }

    /// Every signal that a process can wait for: not those that tell of its own mistakes.
    pub fn all() -> Set {
        let mistakes = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];
        let waited: Vec<i32> = (1..=libc::SIGRTMAX()).filter(|signal| !mistakes.contains(signal)).collect();
        Set::of(&waited)
    }

    /// Blocks exactly these. Returns what was blocked.
    pub fn block(&self) -> Set {
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: reads one set and fills another.
        unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, before.as_mut_ptr());
            Set(before.assume_init())
        }
    }

    /// Waits for one of these, at most so long; without a limit, for as long as it takes.
    pub fn wait(&self, most: Option<Duration>) -> Option<Came> {
        // SAFETY: plain numbers, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { zeroed() };
        let most = most
            .map(|most| libc::timespec { tv_sec: most.as_secs() as i64, tv_nsec: most.subsec_nanos() as libc::c_long });
        let most = most.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: reads one set and at most one timespec, fills one siginfo.
        let signal = unsafe { libc::sigtimedwait(&raw const self.0, &raw mut info, most) };
        if signal <= 0 {
            return None;
        }
        // SAFETY: for signals that processes send these are filled; for others they are numbers without meaning.
        let (pid, value) = unsafe { (info.si_pid(), info.si_value().sival_ptr as usize as u32) };
        // Codes above 0 are the kernel's own.
        Some(Came { signal, from: if info.si_code > 0 { 0 } else { pid as u32 }, value })
    }
}

/// Sends a signal to a process. A process that has gone gets none.
pub fn send(pid: u32, signal: i32) {
    if pid > 0 {
        // SAFETY: no memory is passed; a pid is never 0 or negative here, which would be a group.
        unsafe { libc::kill(pid as libc::pid_t, signal) };
    }
}

/// Sends a signal with a number.
pub fn send_value(pid: u32, signal: i32, value: u32) {
    let value = libc::sigval { sival_ptr: value as usize as *mut libc::c_void };
    // SAFETY: the value is a number to the receiver.
    unsafe { libc::sigqueue(pid as libc::pid_t, signal, value) };
}

/// Stops this process by `signal`, whose action is the default one, until it is continued.
pub fn stop_by(signal: i32) {
    let only = Set::of(&[signal]);
    // SAFETY: as `block`, and the signal's default action runs no code of ours.
    unsafe {
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::raise(signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only.0, before.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
}

/// Ends this process by `signal`, as the program was ended; with its exit status for one that does not end it. No core is
/// written over the program's.
pub fn end_by(signal: i32) -> ! {
    // SAFETY: reads one rlimit; the default action runs no code of ours.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        libc::signal(signal, libc::SIG_DFL);
        Set::of(&[]).block();
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}

/// What Rust's start changes of what this process inherited: bits 0 to 2 for descriptors that were closed, bit 3 where
/// SIGPIPE was ignored.
static INHERITED: AtomicU32 = AtomicU32::new(0);
const IGNORES_PIPE: u32 = 8;

#[used]
#[unsafe(link_section = ".init_array")]
static EARLY: extern "C" fn() = look;

/// Before Rust's start opens /dev/null for closed descriptors and ignores SIGPIPE.
extern "C" fn look() {
    let mut found = 0;
    // SAFETY: asks about three descriptors and one signal; fills one sigaction.
    unsafe {
        for fd in 0..3 {
            if libc::fcntl(fd, libc::F_GETFD) == -1 {
                found |= 1 << fd;
            }
        }
        let mut action: libc::sigaction = zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action);
        if action.sa_sigaction == libc::SIG_IGN {
            found |= IGNORES_PIPE;
        }
    }
    INHERITED.store(found, Ordering::Relaxed);
}

/// In a child before its exec: signals and descriptors as this process inherited them.
pub fn give_back(mask: &Set) -> io::Result<()> {
    let inherited = INHERITED.load(Ordering::Relaxed);
    // SAFETY: closes descriptors that were not there, sets a default or ignoring action.
    unsafe {
        for fd in (0..3).filter(|fd| inherited & 1 << fd != 0) {
            libc::close(fd);
        }
        let action = if inherited & IGNORES_PIPE != 0 { libc::SIG_IGN } else { libc::SIG_DFL };
        libc::signal(libc::SIGPIPE, action);
    }
    mask.block();
    Ok(())
}

/// Lets go of standard input and output, which are the program's: whoever reads its output sees it end when it does.
pub fn leave_standard_files() -> rustix::io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    let nothing = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)
}
