//! Signals and wait statuses.

use super::{Names, one_of};
use crate::line::Line;

/// Signals 1 to 31; the same numbers on x86-64 and aarch64 (include/uapi/asm-generic/signal.h).
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of a signal that is not a real-time one.
pub fn signal_name(sig: i32) -> Option<&'static str> {
    let place = usize::try_from(sig).ok()?.checked_sub(1)?;
    SIGNALS.get(place).copied()
}

/// A signal: `SIGKILL`; real-time ones count from the kernel's first, 32: `SIGRTMIN`, `SIGRT_2`; others are numbers.
pub fn signal(line: &mut Line, sig: i32) {
    match (signal_name(sig), sig) {
        (Some(name), _) => line.str(name),
        (None, 32) => line.str("SIGRTMIN"),
        (None, 33..=64) => {
            line.str("SIGRT_");
            line.int(i64::from(sig) - 32);
        }
        _ => line.int(i64::from(sig)),
    }
}

const PTRACE_EVENTS: &Names = &[
    (1, "PTRACE_EVENT_FORK"),
    (2, "PTRACE_EVENT_VFORK"),
    (3, "PTRACE_EVENT_CLONE"),
    (4, "PTRACE_EVENT_EXEC"),
    (5, "PTRACE_EVENT_VFORK_DONE"),
    (6, "PTRACE_EVENT_EXIT"),
    (7, "PTRACE_EVENT_SECCOMP"),
    (128, "PTRACE_EVENT_STOP"),
];

/// What `wait` stored, in the brackets of a value pointed to: `[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]`.
pub fn wait_status(line: &mut Line, status: i32) {
    let status = status as u32;
    let sig = (status & 0x7f) as i32;
    let code = (status >> 8) & 0xff;
    line.byte(b'[');
    let named = if status & 0xff == 0x7f {
        line.str("{WIFSTOPPED(s) && WSTOPSIG(s) == ");
        signal(line, (code & 0x7f) as i32);
        if code & 0x80 != 0 {
            line.str(" | 0x80");
        }
        line.byte(b'}');
        0xffff
    } else if sig == 0 {
        line.str("{WIFEXITED(s) && WEXITSTATUS(s) == ");
        line.dec(u64::from(code));
        line.byte(b'}');
        0xff00
    } else if sig != 0x7f {
        line.str("{WIFSIGNALED(s) && WTERMSIG(s) == ");
        signal(line, sig);
        if status & 0x80 != 0 {
            line.str(" && WCOREDUMP(s)");
        }
        line.byte(b'}');
        0xff
    } else if status == 0xffff {
        line.str("{WIFCONTINUED(s)}");
        0xffff
    } else {
        line.hex(u64::from(status));
        line.byte(b']');
        return;
    };
    let rest = status & !named;
    if rest >> 16 != 0 {
        line.byte(b'|');
        one_of(line, u64::from(rest >> 16), PTRACE_EVENTS, "PTRACE_EVENT_???");
        line.str("<<16");
    }
    if rest & 0xffff != 0 {
        line.byte(b'|');
        line.hex(u64::from(rest & 0xffff));
    }
    line.byte(b']');
}
