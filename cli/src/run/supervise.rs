//! While the program runs: signals are passed on, ends are seen, the ring is stored in time.

use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::group::Group;
use super::signals::{self, Set};
use super::slots;
use super::tree::Tree;
use crate::session::{Recorder, Store};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    fn of(status: WaitStatus) -> Option<Ended> {
        let exit = status.exit_status().map(Ended::Exit);
        exit.or_else(|| status.terminating_signal().map(Ended::Signal))
    }
}

/// What there is to do with.
pub struct Supervision<'a> {
    /// The session's recorder.
    pub recorder: &'a Recorder,
    /// What it has no room for goes here.
    pub store: Store,
    /// The program's process group.
    pub group: Group,
    /// The program.
    pub program: u32,
    /// Its tree.
    pub tree: Tree,
}

/// Intervals between two visits to the ring.
const VISIT: [Duration; 3] = [Duration::from_millis(2), Duration::from_millis(20), Duration::from_millis(100)];
/// How long only daemons have to be there before they are left alone.
const GRACE: Duration = Duration::from_millis(300);
/// Signals that end a wait for what the program has left behind.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Tells what is new: at once, but never for more than a twentieth of the time.
#[derive(Default)]
struct News {
    untold: bool,
    /// When something was told last, and how long that took.
    last: Option<(Instant, Duration)>,
}

impl News {
    fn tell(&mut self, found: bool, tell: impl FnOnce()) {
        self.untold |= found;
        let rests = self.last.is_some_and(|(told, took)| told.elapsed() < took * 20);
        if self.untold && !rests {
            let begun = Instant::now();
            tell();
            self.last = Some((Instant::now(), begun.elapsed()));
            self.untold = false;
        }
    }
}

impl Supervision<'_> {
    /// Until the tree has ended, or only daemons stay: how the program ended, and who stays. All signals are blocked.
    /// `seen` is called when processes were found that cannot be audited, now and then.
    pub fn supervise(&mut self, mut seen: impl FnMut(&Tree)) -> (Ended, Vec<u32>) {
        let all = Set::all();
        let mut ended = None;
        let (mut visited, mut idle, mut alone) = (Instant::now(), 0u32, None::<Instant>);
        let mut visit = VISIT[0];
        let mut news = News::default();
        loop {
            if let Some(came) = all.wait(Some(visit.saturating_sub(visited.elapsed()))) {
                match came.signal {
                    libc::SIGCHLD | libc::SIGCONT if came.from == 0 || self.group.is_doorbell(came.from) => {}
                    libc::SIGCHLD | libc::SIGTTOU | libc::SIGTTIN | libc::SIGPIPE | libc::SIGWINCH => {}
                    signal if ended.is_none() => signals::send(self.program, signal),
                    signal if ENDING.contains(&signal) => return (ended.unwrap_or(Ended::Exit(0)), self.tree.pids()),
                    _ => {}
                }
            }
            let nobody = self.reap(&mut ended);
            if nobody {
                return (ended.unwrap_or(Ended::Exit(0)), Vec::new());
            }
            if visited.elapsed() < visit {
                continue;
            }
            visited = Instant::now();
            let full = self.store.tick(self.recorder);
            self.recorder.read_clocks();
            slots::settle(self.recorder);
            idle = if full > 0 || idle > 200 { idle.saturating_add(1) } else { idle + 1 };
            visit = match full {
                97.. => VISIT[0],
                _ if self.tree.is_young() => VISIT[0],
                65.. => VISIT[1],
                _ => VISIT[2].min(VISIT[1] * (1 + idle / 50)),
            };
            let group = &self.group;
            let found = self.tree.look(self.recorder, |pid| group.is_doorbell(pid));
            news.tell(found, || seen(&self.tree));
            let Some(ended) = ended else { continue };
            let daemons = self.tree.daemons();
            if daemons.is_empty() {
                alone = None;
            } else if alone.get_or_insert_with(Instant::now).elapsed() >= GRACE {
                return (ended, daemons);
            }
        }
    }

    /// Waits for whoever has ended or was stopped; whether there is nobody left.
    fn reap(&mut self, ended: &mut Option<Ended>) -> bool {
        loop {
            let (pid, status) = match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((pid, status))) => (pid, status),
                Ok(None) => return false,
                Err(_) => return true,
            };
            let number = Pid::as_raw_pid(pid) as u32;
            match Ended::of(status) {
                Some(how) => {
                    slots::ended(self.recorder, number, how);
                    if number == self.program {
                        *ended = Some(how);
                        self.group.dismiss();
                    }
                }
                None if number == self.program => {
                    if let Some(signal) = status.stopping_signal() {
                        self.group.stop(signal, number);
                    }
                }
                None => {}
            }
        }
    }
}
