//! /proc/PID/stat, status, cmdline and environ: who a process is (the kernel's fs/proc/array.c and base.c).

use super::{Lines, decimal, fields, number};

/// What is needed of /proc/PID/stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcStat<'a> {
    /// Process id.
    pub pid: u32,
    /// Name of the program or thread, at most 15 bytes of any kind, unescaped.
    pub comm: &'a [u8],
    /// State: `R`, `S`, `D`, `Z` (dead, not waited for), `T`, …
    pub state: u8,
    /// Parent's process id; 0 if there is none in this pid namespace.
    pub ppid: u32,
    /// Process group.
    pub pgrp: u32,
    /// Session.
    pub session: u32,
    /// The kernel's flags of the task (`PF_*`).
    pub flags: u64,
    /// Minor faults of its children that it has waited for: without any, it had none.
    pub children_faults: u64,
    /// Threads, the first included. It may be dead (`Z`) while others run on.
    pub threads: u32,
    /// When it started, in clock ticks (`sysconf(_SC_CLK_TCK)`) since boot. With the pid it names a process for good.
    pub starttime: u64,
}

/// Clock ticks a second in /proc (`USER_HZ`), on every architecture of today.
const USER_HZ: u64 = 100;
/// How far a process's start by the kernel may lie after the moment that it was first seen: clocks are set.
const SLACK_NS: u64 = 1_000_000_000;
/// Bit of [`ProcStat::flags`]: a thread of the kernel's own (include/linux/sched.h).
const PF_KTHREAD: u64 = 0x0020_0000;

impl ProcStat<'_> {
    /// Whether it is a thread of the kernel's own, without memory and files.
    pub const fn is_kernel(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether all of the process has ended; it only waits for its parent.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, b'X' | b'Z') && self.threads <= 1
    }

    /// Whether it runs and is the process that was seen before: with this start time (clock ticks since boot, 0: not
    /// known), and running at `seen` (nanoseconds since 1970, 0: not known). `now` and `boot` are what the wall clock and
    /// the clock since boot say at one moment, in nanoseconds.
    pub fn is(&self, starttime: u64, seen: u64, now: u64, boot: u64) -> bool {
        let known = starttime != 0 && self.starttime != 0;
        let started = self.starttime.saturating_mul(1_000_000_000 / USER_HZ);
        let started = now.saturating_sub(boot.saturating_sub(started));
        let younger = seen != 0 && started > seen.saturating_add(SLACK_NS);
        !matches!(self.state, b'Z' | b'X') && (!known || self.starttime == starttime) && !younger
    }
}

/// Reads /proc/PID/stat. The name may hold blanks, parentheses and newlines, so it ends at the last parenthesis.
pub fn proc_stat(text: &[u8]) -> Option<ProcStat<'_>> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let (pid, comm) = (text.get(..open)?, text.get(open.checked_add(1)?..close)?);
    let mut rest = fields(text.get(close.checked_add(1)?..)?);
    let &[state] = rest.next()? else { return None };
    let stat = ProcStat {
        pid: decimal(pid.trim_ascii())?,
        comm,
        state,
        ppid: decimal(rest.next()?)?,
        pgrp: decimal(rest.next()?)?,
        session: decimal(rest.next()?)?,
        // Field 9; the session is field 6.
        flags: number(rest.nth(2)?, 10)?,
        // Field 11.
        children_faults: decimal(rest.nth(1)?)?,
        // Field 20.
        threads: decimal(rest.nth(8)?)?,
        // Field 22.
        starttime: decimal(rest.nth(1)?)?,
    };
    // More fields follow: without them the start time may be cut.
    rest.next().map(|_| stat)
}

/// What is needed of /proc/PID/status; each part is there if its line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcStatus {
    /// Users: real, effective, saved, of the file system.
    pub uid: Option<[u32; 4]>,
    /// 0 none, 1 strict, 2 filter.
    pub seccomp: Option<u32>,
    /// Whether `execve` cannot gain privileges.
    pub no_new_privs: Option<bool>,
    /// The process id in the innermost pid namespace that it is in.
    pub ns_pid: Option<u32>,
    /// How many pid namespaces, from the reader's inwards, know it: 1 for a process of the reader's own.
    pub ns_depth: u32,
}

/// Reads /proc/PID/status. (The kernel escapes newlines in its `Name` line, so no name can pose as another line.)
pub fn proc_status(text: &[u8]) -> ProcStatus {
    let mut status = ProcStatus::default();
    let mut lines = Lines::new(text);
    while let Some(line) = lines.line() {
        if let Some(text) = line.strip_prefix(b"Uid:") {
            status.uid = status.uid.or_else(|| uids(text));
        } else if let Some(text) = line.strip_prefix(b"Seccomp:") {
            status.seccomp = status.seccomp.or_else(|| decimal(text.trim_ascii()));
        } else if let Some(text) = line.strip_prefix(b"NoNewPrivs:") {
            status.no_new_privs = status.no_new_privs.or_else(|| decimal(text.trim_ascii()).map(|set: u32| set != 0));
        } else if let Some(text) = line.strip_prefix(b"NSpid:")
            && status.ns_pid.is_none()
        {
            status.ns_pid = fields(text).last().and_then(decimal);
            if status.ns_pid.is_some() {
                status.ns_depth = fields(text).count() as u32;
            }
        }
    }
    status
}

fn uids(text: &[u8]) -> Option<[u32; 4]> {
    let mut ids = fields(text);
    let mut next = || decimal(ids.next()?);
    Some([next()?, next()?, next()?, next()?])
}

/// The soft limit in /proc/PID/limits that stands under `name` (`Max open files`); `u64::MAX` for `unlimited`.
pub fn soft_limit(text: &[u8], name: &[u8]) -> Option<u64> {
    let mut lines = Lines::new(text);
    while let Some(line) = lines.line() {
        if let Some(rest) = line.strip_prefix(name)
            && rest.starts_with(b" ")
        {
            let soft = fields(rest).next()?;
            return if soft == b"unlimited" { Some(u64::MAX) } else { decimal(soft) };
        }
    }
    None
}

/// The arguments in /proc/PID/cmdline, empty ones included; none for kernel threads and zombies.
pub fn cmdline(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let args = text.strip_suffix(b"\0").unwrap_or(text);
    // Splitting nothing would give one empty argument.
    args.split(|&byte| byte == 0).take(if text.is_empty() { 0 } else { usize::MAX })
}

/// The value of a variable in /proc/PID/environ (the environment that the process was started with); the first counts,
/// as for `getenv`.
pub fn environ<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() || name.contains(&b'=') {
        return None;
    }
    text.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
}
