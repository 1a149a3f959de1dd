//! Runs a command to its end, and to the end of all that holds its output: with a time limit, everything captured.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use shmaudit_core::words::signal_name;

use crate::trial::{Shown, Stop};
use crate::{check, place, sys};

/// More than any program takes, on a slow machine too.
const LIMIT: Duration = Duration::from_secs(120);

/// The same, where the environment says how many seconds it is.
fn limit() -> Duration {
    let seconds = std::env::var("SHMAUDIT_TRIAL_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(LIMIT, Duration::from_secs)
}

/// A command about to be run.
pub struct Run {
    command: Command,
    stderr: Option<Stdio>,
}

/// What came of it.
pub struct Ended {
    /// Its process id, which was also its process group.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// All of its and its children's standard output.
    pub stdout: Vec<u8>,
    /// All of standard error; nothing where it was given elsewhere.
    pub stderr: Vec<u8>,
}

/// What a machine may say to all its programs, and no trial is to depend on: each says itself what it tries.
const SURROUNDINGS: [&str; 9] = [
    "LD_PRELOAD",
    "SHMAUDIT_OPTIONS",
    "XDG_STATE_HOME",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "CI",
    "COLUMNS",
    "LINES",
];

impl Run {
    /// `program` as it is, in the C locale, with nothing of ours in its environment.
    pub fn new(program: impl AsRef<OsStr>) -> Run {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env("LC_ALL", "C");
        for name in SURROUNDINGS {
            command.env_remove(name);
        }
        command.process_group(0);
        Run { command, stderr: None }
    }

    /// Under the library, preloaded, with these options.
    pub fn preloaded(self, options: &str) -> Run {
        self.env("LD_PRELOAD", place::library()).options(options)
    }

    /// With these options; the library is linked in, or a wrapper preloads it.
    pub fn options(self, options: &str) -> Run {
        self.env("SHMAUDIT_OPTIONS", options)
    }

    /// With one more environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Run {
        self.command.arg(argument);
        self
    }

    /// With more arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.command.args(arguments);
        self
    }

    /// In this directory.
    pub fn within(mut self, directory: &Path) -> Run {
        self.command.current_dir(directory);
        self
    }

    /// With standard error elsewhere.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Run {
        self.stderr = Some(stderr.into());
        self
    }

    /// As another user.
    pub fn user(mut self, uid: u32) -> Run {
        self.command.uid(uid).gid(uid);
        self
    }

    /// The same, through `sh -c 'exec "$0" "$@" REDIRECTION'`. The shell itself is not audited.
    pub fn redirected(self, redirection: &str) -> Run {
        let mut inner: Vec<OsString> = vec!["env".into()];
        let mut outer = Run::new("sh").arg("-c").arg(format!("exec \"$0\" \"$@\" {redirection}"));
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                let mut pair = name.to_os_string();
                pair.push("=");
                pair.push(value);
                inner.push(pair);
            }
        }
        inner.push(self.command.get_program().into());
        inner.extend(self.command.get_args().map(OsStr::to_os_string));
        if let Some(directory) = self.command.get_current_dir() {
            outer = outer.within(directory);
        }
        outer.args(inner)
    }

    /// Runs it.
    pub fn end(self) -> Result<Ended, Stop> {
        self.end_of(&mut 0)
    }

    /// Runs it, with its process id in `pid` also where it has to be killed.
    pub fn end_of(mut self, pid: &mut u32) -> Result<Ended, Stop> {
        let name = self.command.get_program().to_string_lossy().into_owned();
        self.command.stdout(Stdio::piped()).stderr(self.stderr.take().unwrap_or_else(Stdio::piped));
        let mut child = self.command.spawn().map_err(|error| format!("{name}: {error}"))?;
        // It holds the other ends of what it was given.
        drop(self.command);
        let deadline = Instant::now() + limit();
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        *pid = child.id();
        let pid = *pid;
        let ended = (|| {
            let status = wait(&mut child, deadline)?;
            Some(Ended { pid, status, stdout: collect(stdout, deadline)?, stderr: collect(stderr, deadline)? })
        })();
        if ended.is_none() {
            sys::kill_group(pid);
            let _ = child.wait();
        }
        ended.ok_or_else(|| Stop::Fail(format!("{name}: not ended after {} s: killed", limit().as_secs())))
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

fn collect(pipe: Option<Receiver<Vec<u8>>>, deadline: Instant) -> Option<Vec<u8>> {
    let Some(pipe) = pipe else { return Some(Vec::new()) };
    pipe.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    let mut pause = Duration::from_micros(500);
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    None
}

impl Ended {
    /// How it ended, as `.expect` files write it: `3`, `signal SIGABRT`.
    pub fn how(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => code.to_string(),
            (None, signal) => format!("signal {}", signal.and_then(signal_name).unwrap_or("?")),
        }
    }

    /// Standard error as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as text.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Fails unless standard output and the end are the same as those of `plain`.
    pub fn same_as(&self, plain: &Ended) -> Result<(), Stop> {
        check!(
            self.how() == plain.how(),
            "ended {} instead of {}; standard error:{}",
            self.how(),
            plain.how(),
            Shown(&self.stderr)
        );
        check!(
            self.stdout == plain.stdout,
            "standard output differs; audited:{}\nplain:{}\nstandard error:{}",
            Shown(&self.stdout),
            Shown(&plain.stdout),
            Shown(&self.stderr)
        );
        Ok(())
    }

    /// Fails unless nothing came on standard error.
    pub fn is_quiet(&self) -> Result<(), Stop> {
        check!(self.stderr.is_empty(), "something on standard error:{}", Shown(&self.stderr));
        Ok(())
    }

    /// Fails unless it ended with status 0.
    pub fn well(self) -> Result<Ended, Stop> {
        check!(self.how() == "0", "ended {}; standard error:{}", self.how(), Shown(&self.stderr));
        Ok(self)
    }
}
