//! Process groups: the supervisor leaves the group that it was started in and the program stays, so that what is sent to
//! the group (^C, ^Z, `kill(0, …)`, `killpg`) reaches the program and not its supervisor, and pipelines stay whole.
//!
//! A shell continues a stopped job by a signal to its group, which then reaches everybody but the supervisor. So a helper
//! stays in the group, the doorbell, and passes it on. It lives until the program has ended, or its supervisor has.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_parent_process_death_signal, setpgid, waitpid,
};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::signals::{self, Set};

/// Where the program belongs.
#[derive(Debug)]
pub struct Group {
    /// The group that the program stays in, or that it gets of its own.
    of_program: Home,
    terminal: Option<File>,
    doorbell: Option<Pid>,
}

/// The program's group.
#[derive(Clone, Copy, Debug)]
enum Home {
    /// The one that the supervisor has left.
    Left(Pid),
    /// A new one: the supervisor leads a session and cannot leave.
    New {
        /// Whether it is the terminal's.
        foreground: bool,
    },
}

impl Group {
    /// Leaves the group. To be called before there are threads.
    pub fn leave() -> Group {
        let terminal = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/tty").ok();
        let group = own_group();
        // SAFETY: 0 stands for this process, and no memory is passed.
        let leads = unsafe { libc::getsid(0) } == getpid().as_raw_pid();
        let foreground = terminal.as_ref().is_some_and(|terminal| tcgetpgrp(terminal).ok() == group);
        let mut place = Group { of_program: Home::New { foreground }, terminal, doorbell: None };
        if let Some(group) = group.filter(|_| !leads)
            && let Ok(doorbell) = fork(ring)
        {
            place.doorbell = Some(doorbell);
            match join_new_group() {
                Ok(()) => place.of_program = Home::Left(group),
                Err(_) => place.dismiss(),
            }
        }
        place
    }

    /// What is to be done in the program's process before its exec. The terminal must be open until then.
    pub fn settle(&self) -> impl Fn() -> io::Result<()> + Send + Sync + 'static {
        let (home, terminal) = (self.of_program, self.terminal.as_ref().map(AsRawFd::as_raw_fd));
        move || {
            let foreground = match home {
                Home::Left(group) if setpgid(None, Some(group)).is_ok() => return Ok(()),
                Home::Left(_) => false,
                Home::New { foreground } => foreground,
            };
            setpgid(None, None)?;
            if let Some(terminal) = terminal.filter(|_| foreground) {
                // SAFETY: a number and a process; SIGTTOU is blocked here as in the supervisor.
                unsafe { libc::tcsetpgrp(terminal, libc::getpid()) };
            }
            Ok(())
        }
    }

    /// The program was stopped by `signal`: whoever started the supervisor sees it stopped too.
    pub fn stop(&self, signal: i32, program: u32) {
        let by_terminal = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
        match (self.of_program, self.doorbell) {
            // Nobody could continue it: plain, the kernel would not have stopped it.
            (Home::New { .. }, _) if by_terminal => signals::send(program, libc::SIGCONT),
            (Home::Left(_), Some(doorbell)) if by_terminal => {
                signals::send_value(doorbell.as_raw_pid() as u32, libc::SIGUSR1, program);
                signals::stop_by(signal);
            }
            _ => {}
        }
    }

    /// Whether `pid` is the helper.
    pub fn is_doorbell(&self, pid: u32) -> bool {
        self.doorbell.is_some_and(|doorbell| doorbell.as_raw_pid() as u32 == pid)
    }

    /// The program has ended: no helper any more, and the terminal is given back.
    pub fn dismiss(&mut self) {
        if let Some(doorbell) = self.doorbell.take() {
            let _ = kill_process(doorbell, Signal::KILL);
            let _ = waitpid(Some(doorbell), WaitOptions::empty());
        }
        if let (Home::New { foreground: true }, Some(terminal)) = (self.of_program, &self.terminal) {
            if let Some(group) = own_group() {
                let _ = tcsetpgrp(terminal.as_fd(), group);
            }
        }
    }

    /// The program runs: without a terminal nobody stops or continues jobs, and the helper has held the group long enough.
    pub fn started(&mut self) {
        if self.terminal.is_none() {
            self.dismiss();
        }
    }
}

/// The group of this process; `None` where its leader is outside of the pid namespace, so that it has no number here.
fn own_group() -> Option<Pid> {
    // SAFETY: no arguments, and it cannot fail.
    Pid::from_raw(unsafe { libc::getpgrp() })
}

/// Puts this process into a group of another number than any that it was started in.
fn join_new_group() -> io::Result<()> {
    // A leader keeps its number: another process makes the group.
    let maker = fork(|| {
        loop {
            Set::of(&[libc::SIGTERM]).wait(None);
        }
    })?;
    let joined = setpgid(Some(maker), Some(maker)).and_then(|()| setpgid(None, Some(maker)));
    let _ = kill_process(maker, Signal::KILL);
    let _ = waitpid(Some(maker), WaitOptions::empty());
    joined.map_err(io::Error::from)
}

/// A child that does `work` until it is killed, and ends with this process. It holds none of its descriptors.
fn fork(work: impl FnOnce()) -> io::Result<Pid> {
    let parent = getpid();
    // SAFETY: this process has one thread, so its copy may go on with everything.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if let Some(child) = Pid::from_raw(child) {
        return Ok(child);
    }
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() == Some(parent) {
        // SAFETY: nothing of this copy uses a descriptor afterwards.
        unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
        work();
    }
    // SAFETY: ends the copy without its exit handlers, which are this process's.
    unsafe { libc::_exit(0) }
}

/// What the doorbell does: passes SIGCONT on; and while the supervisor is stopped, looks whether the program has been
/// continued alone. A group that is continued and at once stopped again (it reads from the terminal) never sees SIGCONT,
/// for stop signals take it out of every queue: a stop signal that comes to a stopped group says the same.
fn ring() {
    let stops = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    let waits = Set::of(&[&stops[..], &[libc::SIGCONT, libc::SIGUSR1]].concat());
    let stops = Set::of(&stops);
    let Some(supervisor) = getppid().map(|pid| pid.as_raw_pid() as u32) else { return };
    let mut watched = None;
    loop {
        match waits.wait(watched.map(|_| Duration::from_millis(200))) {
            Some(came) if came.signal == libc::SIGUSR1 => {
                // What stopped the group this time is in the queue too.
                while stops.wait(Some(Duration::ZERO)).is_some() {}
                watched = Some(came.value);
            }
            Some(came) if came.signal != libc::SIGCONT && watched.is_none() => {}
            None if !watched.is_some_and(|program| !is_stopped(program)) => {}
            Some(_) | None => {
                watched = None;
                signals::send(supervisor, libc::SIGCONT);
            }
        }
    }
}

fn is_stopped(pid: u32) -> bool {
    let text = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    shmaudit_core::procfs::proc_stat(&text).is_some_and(|stat| matches!(stat.state, b'T' | b't'))
}
