//! The system call that a call becomes, as strace 6.1 prints it of a program without the audit.
//!
//! These are those of glibc since 2.34, seen on 2.36: what it refuses before the kernel is asked gives no line, and where
//! it asks differently on aarch64 (which lacks the older system calls) so does this. What a record does not hold (the
//! buffer of a failed `fstat`, argument vectors) stands as `...`.

use crate::calls::Call;
use crate::layout::bare_name;
use crate::line::Line;
use crate::record::Event;
use crate::words;

use super::arguments::{self, Style};
use super::{ELLIPSIS, SHORT, cut_line, is_whole, name, prefix};

/// Where system calls differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

const NATIVE: Machine = if cfg!(target_arch = "aarch64") { Machine::Aarch64 } else { Machine::X86_64 };

/// Where glibc puts the objects of `shm_open`.
const MOUNT: &str = "/dev/shm/";
/// What glibc adds to the caller's flags there.
const SHM_OPEN_FLAGS: i32 = libc::O_NOFOLLOW | libc::O_CLOEXEC;
/// The longest name it has room for; what is longer than a file's name may be, the kernel refuses.
const SHM_NAME_ROOM: usize = 259;
/// strace shows as many bytes of a string that is no path.
const STRING: usize = 32;

/// Writes, where the call becomes a system call, one line with it:
///
/// `shmaudit[7:7]   -> openat(AT_FDCWD, "/dev/shm/shmtest", O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0777)`
///
/// What does not fit is cut as in [`text`](super::text). What was in `line` before stays.
pub fn syscalls(line: &mut Line, event: &Event) {
    on_machine(line, event, NATIVE);
}

pub(super) fn on_machine(line: &mut Line, event: &Event, machine: Machine) {
    let start = line.len();
    for limit in [usize::MAX, SHORT] {
        line.truncate(start);
        prefix(line, event);
        line.str("   -> ");
        if !system_call(line, event, machine, limit) {
            return line.truncate(start);
        }
        line.str(")\n");
        if is_whole(line, start) {
            return;
        }
    }
    cut_line(line, start);
}

/// Writes all but the closing parenthesis; false where there is none.
fn system_call(line: &mut Line, event: &Event, machine: Machine, limit: usize) -> bool {
    let call = event.call;
    let old = machine == Machine::X86_64;
    let int = |index| event.arg(index) as u32 as i32;
    let style = Style { object_path: None, limit };
    let own = |line: &mut Line, name: &str| {
        line.str(name);
        arguments::list(line, event, style, usize::MAX);
    };
    match call {
        Call::ShmOpen | Call::ShmUnlink => return shm_name(line, event, old, limit),
        Call::Ftok => {
            own_name(line, event, "newfstatat(AT_FDCWD, ", limit);
            line.str(", ..., 0");
        }
        Call::Ftruncate => {
            line.str("ftruncate(");
            line.int(i64::from(int(0)));
            line.str(", ");
            line.dec(event.arg(1));
        }
        Call::PosixFallocate => {
            line.str("fallocate(");
            line.int(i64::from(int(0)));
            line.str(", 0, ");
            line.int(event.arg(1) as i64);
            line.str(", ");
            line.int(event.arg(2) as i64);
        }
        Call::Fstat => {
            if int(0) < 0 {
                return false;
            }
            line.str("newfstatat(");
            line.int(i64::from(int(0)));
            line.str(", \"\", ");
            match arguments::stat(event) {
                Some((mode, size)) => words::stat_short(line, mode, size),
                None => line.str(ELLIPSIS),
            }
            line.str(", AT_EMPTY_PATH");
        }
        Call::Mmap if event.arg(5) & 4095 != 0 => return false,
        Call::Dup2 if !old && int(0) == int(1) => {
            line.str("fcntl(");
            line.int(i64::from(int(0)));
            line.str(", F_GETFL");
        }
        Call::Dup2 if !old => {
            own(line, "dup3(");
            line.str(", 0");
        }
        Call::Fcntl => {
            line.str("fcntl(");
            arguments::list(line, event, style, 2);
            if arguments::arguments(event).count() > 2 {
                line.str(", ");
                line.int(event.arg(2) as i64);
            }
        }
        Call::Closefrom => {
            line.str("close_range(");
            line.int(i64::from(int(0).max(0)));
            line.str(", 4294967295, 0");
        }
        Call::Open => own(line, "openat(AT_FDCWD, "),
        Call::Creat if !old => {
            own_name(line, event, "openat(AT_FDCWD, ", limit);
            line.str(", O_WRONLY|O_CREAT|O_TRUNC, ");
            words::mode(line, event.arg(0) as u32);
        }
        Call::Unlink if !old => {
            own(line, "unlinkat(AT_FDCWD, ");
            line.str(", 0");
        }
        Call::Rename if !old => {
            own_name(line, event, "renameat(AT_FDCWD, ", limit);
            line.str(", AT_FDCWD, ");
            arguments::quoted(line, name(event, true), limit);
        }
        Call::Link if !old => {
            own_name(line, event, "linkat(AT_FDCWD, ", limit);
            line.str(", AT_FDCWD, ");
            arguments::quoted(line, name(event, true), limit);
            line.str(", 0");
        }
        Call::Renameat2 if event.arg(2) as u32 == 0 => {
            line.str("renameat(");
            arguments::list(line, event, style, 4);
        }
        Call::MemfdCreate => {
            line.str("memfd_create(");
            arguments::list(line, event, Style { limit: limit.min(STRING), ..style }, usize::MAX);
        }
        Call::Fork | Call::Clone | Call::PosixSpawn | Call::PosixSpawnp => return new_process(line, event, old),
        Call::Execve | Call::Execv | Call::Execvp | Call::Execvpe | Call::Execveat | Call::Fexecve => {
            return new_image(line, event, limit);
        }
        Call::Exit | Call::UnderscoreExit | Call::CapitalExit | Call::QuickExit => own(line, "exit_group("),
        Call::Dlclose | Call::Prctl | Call::Mlockall | Call::IgnoreName | Call::IgnoreId | Call::Checkpoint => {
            return false;
        }
        Call::Shmget
        | Call::Shmat
        | Call::Shmdt
        | Call::Shmctl
        | Call::Fallocate
        | Call::Mmap
        | Call::Munmap
        | Call::Mremap
        | Call::Close
        | Call::Dup
        | Call::Dup2
        | Call::Dup3
        | Call::CloseRange
        | Call::Openat
        | Call::Creat
        | Call::Unlink
        | Call::Unlinkat
        | Call::Rename
        | Call::Renameat
        | Call::Renameat2
        | Call::Link
        | Call::Linkat => {
            line.str(call.name());
            own(line, "(");
        }
    }
    true
}

/// `before`, then the record's name.
fn own_name(line: &mut Line, event: &Event, before: &str, limit: usize) {
    line.str(before);
    arguments::quoted(line, name(event, false), limit);
}

/// `shm_open` and `shm_unlink`: the object's name becomes a path, unless glibc refuses it.
fn shm_name(line: &mut Line, event: &Event, old: bool, limit: usize) -> bool {
    let bare = bare_name(event.data);
    if bare.is_empty() || bare.len() > SHM_NAME_ROOM || bare.contains(&b'/') {
        return false;
    }
    let unlink = event.call == Call::ShmUnlink;
    line.str(match (unlink, old) {
        (true, true) => "unlink(\"",
        (true, false) => "unlinkat(AT_FDCWD, \"",
        _ => "openat(AT_FDCWD, \"",
    });
    line.str(MOUNT);
    let shown = super::head(bare, limit);
    inside_quotes(line, shown);
    line.byte(b'"');
    if shown.len() < bare.len() {
        line.str(ELLIPSIS);
    }
    if !unlink {
        let oflag = event.arg(0) as i32 | SHM_OPEN_FLAGS;
        line.str(", ");
        words::open_flags(line, oflag);
        if words::open_takes_mode(oflag) {
            line.str(", ");
            words::mode(line, event.arg(1) as u32);
        }
    } else if !old {
        line.str(", 0");
    }
    true
}

/// Escaped text without its quotes. The writer of escaped text escapes angle brackets too, which strace does not there.
fn inside_quotes(line: &mut Line, mut text: &[u8]) {
    while let Some(at) = text.iter().position(|byte| matches!(byte, b'<' | b'>')) {
        let Some((before, [bracket, after @ ..])) = text.split_at_checked(at) else { return };
        words::escaped(line, before);
        line.byte(*bracket);
        text = after;
    }
    words::escaped(line, text);
}

/// Calls that make a process.
fn new_process(line: &mut Line, event: &Event, old: bool) -> bool {
    match event.call {
        Call::Fork => {
            line.str("clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=...");
        }
        Call::Clone => {
            let (flags, stack) = (event.arg(0) as u32, event.arg(1));
            if stack == 0 {
                return false;
            }
            // glibc aligns the stack, and on x86-64 puts the function and its argument there.
            line.str("clone(child_stack=");
            words::pointer(line, (stack & !15).wrapping_sub(if old { 16 } else { 0 }));
            line.str(", flags=");
            words::clone_flags(line, u64::from(flags));
            const PIDFD: u32 = 0x1000;
            let asks = |bits: i32| flags & bits as u32 != 0;
            if asks(libc::CLONE_PARENT_SETTID | PIDFD as i32) {
                line.str(", parent_tid=...");
            }
            if asks(libc::CLONE_SETTLS) {
                line.str(", tls=...");
            }
            if asks(libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID) {
                line.str(", child_tidptr=...");
            }
        }
        _ => line.str("clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=..., stack_size=...}, 88"),
    }
    true
}

/// Calls that replace the program; argument vectors are not recorded.
fn new_image(line: &mut Line, event: &Event, limit: usize) -> bool {
    match event.call {
        Call::Execveat => {
            line.str("execveat(");
            words::dirfd(line, event.arg(0) as i32);
            line.str(", ");
        }
        Call::Fexecve => {
            if (event.arg(0) as i32) < 0 {
                return false;
            }
            line.str("execveat(");
            line.int(i64::from(event.arg(0) as i32));
            line.str(", \"\", ..., AT_EMPTY_PATH");
            return true;
        }
        // Without a slash, each directory of PATH is tried: which, the record does not know.
        Call::Execvp | Call::Execvpe if !event.data.contains(&b'/') => return false,
        _ => line.str("execve("),
    }
    arguments::quoted(line, name(event, false), limit);
    line.str(", ...");
    true
}
