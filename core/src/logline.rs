//! The log's lines: one call as text, as JSON, and as the system call it becomes.
//!
//! Everything here appends to a caller's [`Line`] and can run in a hook: it never panics, never allocates, and needs a few
//! hundred bytes of stack. Words are strace's (see [`words`]); what a call's arguments are comes from
//! [`calls`](crate::calls). No byte of a name reaches the line unescaped, so that the only control byte is the `\n` at the
//! end of a line. Where lines go, and the clock, are others' work.

mod arguments;
mod json;
mod syscalls;

pub use json::{Frame, Resolve, json, unresolved};
pub use syscalls::syscalls;

use arguments::Style;

use crate::calls::{Call, Ret};
use crate::line::Line;
use crate::record::{Event, FLAG_CUT, MAX_DATA, State};
use crate::symbols;
use crate::words;

/// What a line says beyond its record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra<'a> {
    /// Wall-clock time of the end of the call, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// The object behind the descriptor that the call uses or returns, as the link in `/proc/self/fd` has it:
    /// `/dev/shm/shmtest`, `/dev/shm/shmtest (deleted)`, `/memfd:name (deleted)`.
    pub object_path: Option<&'a [u8]>,
    /// Who called: `main posix_shm.c:16`, `main+0x1d (prog)`; empty where that is not known.
    pub caller: &'a [u8],
}

/// Bytes kept of each name in a line that would not fit otherwise.
const SHORT: usize = 64;

/// Stands for what the record does not hold or the line has no room for.
const ELLIPSIS: &str = "...";

/// Writes the whole line of a call, `\n` at its end:
///
/// `shmaudit[7:7] 12:34:56.123456 shm_open("shmtest", O_RDWR|O_CREAT, 0777) = 3</dev/shm/shmtest> <13.1us> main a.c:16`
///
/// Where it does not fit, long names are cut first; if that does not help, the line is, and ends in `...\n`. What was in
/// `line` before stays.
pub fn text(line: &mut Line, event: &Event, extra: &Extra) {
    let start = line.len();
    for limit in [usize::MAX, SHORT] {
        line.truncate(start);
        text_line(line, event, extra, limit);
        if is_whole(line, start) {
            return;
        }
    }
    cut_line(line, start);
}

fn text_line(line: &mut Line, event: &Event, extra: &Extra, limit: usize) {
    let style = Style { object_path: extra.object_path, limit };
    prefix(line, event);
    clock(line, extra.unix_ns);
    call_and_result(line, event, style);
    after_result(line, event, extra, limit);
    line.byte(b'\n');
}

/// Writes the call alone: `shm_open("shmtest", O_RDWR|O_CREAT, 0777) = 3`. Of each name at most `limit` bytes are shown.
pub fn call(line: &mut Line, event: &Event, limit: usize) {
    call_and_result(line, event, Style { object_path: None, limit });
}

fn call_and_result(line: &mut Line, event: &Event, style: Style) {
    line.str(event.call.name());
    line.byte(b'(');
    arguments::list(line, event, style, usize::MAX);
    line.str(") = ");
    result(line, event, style);
}

// Pieces that write numbers are not inlined: their digits would lie on the stack below everything else that is called.

#[inline(never)]
fn clock(line: &mut Line, unix_ns: u64) {
    line.byte(b' ');
    words::clock_time(line, unix_ns);
    line.byte(b' ');
}

#[inline(never)]
fn after_result(line: &mut Line, event: &Event, extra: &Extra, limit: usize) {
    if has_result(event) {
        line.str(" <");
        words::duration(line, extra.took_ns);
        line.byte(b'>');
    }
    if !extra.caller.is_empty() {
        line.byte(b' ');
        let shown = head(extra.caller, limit);
        printable(line, shown);
        if shown.len() < extra.caller.len() {
            line.str(ELLIPSIS);
        }
    }
}

/// Writes who called, for [`Extra::caller`]: `main posix_shm.c:16`, or `main (posix_shm+0x1139)` where the line is not known.
pub fn caller(line: &mut Line, frame: &symbols::Frame) {
    fn base(path: &str) -> &[u8] {
        path.rsplit('/').next().unwrap_or(path).as_bytes()
    }
    // Not as in angle brackets: a C++ name has its own, and nothing that is enclosed in them follows.
    if let Some(function) = &frame.function {
        printable(line, function.as_bytes());
        line.byte(b' ');
    }
    match (&frame.file, frame.line) {
        (Some(file), Some(number)) => {
            printable(line, base(file));
            line.byte(b':');
            line.dec(u64::from(number));
        }
        _ => {
            line.byte(b'(');
            printable(line, base(frame.module.as_deref().unwrap_or("?")));
            line.byte(b'+');
            line.hex(frame.offset);
            line.byte(b')');
        }
    }
}

/// `shmaudit[PID:TID]`
#[inline(never)]
fn prefix(line: &mut Line, event: &Event) {
    line.str("shmaudit[");
    line.dec(u64::from(event.pid));
    line.byte(b':');
    line.dec(u64::from(event.tid));
    line.byte(b']');
}

/// Whether the call has come back, and its result and duration are known.
fn has_result(event: &Event) -> bool {
    event.state == State::Done && event.call.ret() != Ret::Never
}

/// How this call's result is written; `fcntl` returns a descriptor only where it copies one.
fn ret_kind(event: &Event) -> Ret {
    match event.call {
        Call::Fcntl if !matches!(event.arg(1) as i32, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) => Ret::Int,
        call => call.ret(),
    }
}

#[inline(never)]
fn result(line: &mut Line, event: &Event, style: Style) {
    if event.call.ret() == Ret::Never {
        return line.byte(b'?');
    }
    if event.state == State::Begun {
        return line.str("? (unfinished)");
    }
    let kind = ret_kind(event);
    if event.failed() && kind != Ret::Errno {
        return words::result_errno(line, event.errno);
    }
    match kind {
        Ret::Fd => arguments::fd(line, event.ret as i32, style),
        Ret::Ptr => words::pointer(line, event.ret as u64),
        Ret::Key => words::key(line, event.ret as i32),
        Ret::Errno => {
            line.int(i64::from(event.errno));
            if let (Some(name), Some(message)) = (words::errno_name(event.errno), words::errno_message(event.errno)) {
                line.byte(b' ');
                line.str(name);
                line.str(" (");
                line.str(message);
                line.byte(b')');
            }
        }
        Ret::Int | Ret::Never => line.int(event.ret),
    }
}

/// A name or path of a record's text.
#[derive(Clone, Copy)]
struct Name<'a> {
    bytes: &'a [u8],
    /// The record holds only its beginning.
    cut: bool,
}

/// The record's name or path, or the second path of a rename; `None` where the hook could not read it.
fn name<'a>(event: &Event<'a>, second: bool) -> Option<Name<'a>> {
    let cut = event.flags & FLAG_CUT != 0;
    if matches!(event.call, Call::Rename | Call::Renameat | Call::Renameat2) {
        let mut paths = event.data.splitn(2, |&byte| byte == 0);
        let bytes = paths.nth(usize::from(second))?;
        return Some(Name { bytes, cut: cut && bytes.len() >= MAX_DATA / 2 - 1 });
    }
    let spawn = matches!(event.call, Call::PosixSpawn | Call::PosixSpawnp);
    // A call that never came back, as an exec does not, had nothing read before it.
    let unread = event.state == State::Begun || event.errno == libc::EFAULT || spawn && event.failed();
    let unread = unread && event.data.is_empty();
    if unread { None } else { Some(Name { bytes: event.data, cut }) }
}

/// The first bytes of `bytes`, at most `limit`.
fn head(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}

/// Text with everything outside printable ASCII as three octal digits.
fn printable(line: &mut Line, bytes: &[u8]) {
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') {
            line.byte(byte);
        } else {
            line.byte(b'\\');
            line.digits::<8>(u64::from(byte), 3);
        }
    }
}

/// Whether what was written from `start` on is a whole line. Only its last byte can be a newline, and nothing is appended
/// after something that did not fit.
fn is_whole(line: &Line, start: usize) -> bool {
    line.len() > start && line.as_bytes().last() == Some(&b'\n')
}

/// Ends a line that did not fit, and so has filled the buffer, with `...\n`; where even that has no room, it goes.
fn cut_line(line: &mut Line, start: usize) {
    let end = line.len().saturating_sub(ELLIPSIS.len() + 1);
    line.truncate(end.max(start));
    line.str(ELLIPSIS);
    line.byte(b'\n');
    if !is_whole(line, start) {
        line.truncate(start);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
