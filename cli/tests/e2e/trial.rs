//! A trial: a name and a function that passes, fails with a reason, or cannot run here.

use std::fmt::{self, Display};
use std::path::PathBuf;

use libtest_mimic::{Completion, Failed, Trial};

/// Why a trial did not pass.
#[derive(Debug)]
pub enum Stop {
    /// What came out is wrong.
    Fail(String),
    /// A tool that the trial needs is not installed.
    Needs(String),
    /// This machine cannot do it, whatever is installed.
    Unfit(String),
}

/// What a trial gives.
pub type Verdict = Result<(), Stop>;

impl Stop {
    /// The reason alone.
    pub fn into_message(self) -> String {
        match self {
            Stop::Fail(message) => message,
            Stop::Needs(what) | Stop::Unfit(what) => format!("needs {what}"),
        }
    }
}

impl<E: Display> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Fail(error.to_string())
    }
}

/// Ends the trial as failed, with a formatted reason.
#[macro_export]
macro_rules! fail {
    ($($word:tt)*) => { return Err($crate::trial::Stop::Fail(format!($($word)*))) };
}

/// Ends the trial as failed unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($word:tt)*) => { if !$condition { $crate::fail!($($word)*) } };
}

/// All trials of a run.
pub struct Trials(Vec<Trial>);

impl Trials {
    /// None yet.
    pub fn new() -> Trials {
        Trials(Vec::new())
    }

    /// Adds one.
    pub fn add(&mut self, name: impl Into<String>, test: impl FnOnce() -> Verdict + Send + 'static) {
        self.0.push(Trial::ignorable_test(name, || match test() {
            Ok(()) => Ok(Completion::Completed),
            Err(Stop::Fail(message)) => Err(Failed::from(message)),
            Err(Stop::Needs(what)) if requires_all() => Err(Failed::from(format!("needs {what}"))),
            Err(Stop::Needs(what) | Stop::Unfit(what)) => {
                Ok(Completion::ignored_with(format!("skipped: needs {what}")))
            }
        }));
    }

    /// As the test harness takes them.
    pub fn into_inner(self) -> Vec<Trial> {
        self.0
    }
}

fn requires_all() -> bool {
    std::env::var_os("SHMAUDIT_REQUIRE_ALL").is_some_and(|value| value == "1")
}

/// The path of a program, or the trial is skipped.
pub fn need(program: &str) -> Result<PathBuf, Stop> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| Stop::Needs(program.to_string()))
}

/// Skips the trial unless root runs it, who can become other users.
pub fn need_root() -> Verdict {
    use std::os::unix::fs::MetadataExt;
    let others = std::fs::read_to_string("/proc/self/uid_map")?;
    let others = others.split_whitespace().nth(2).and_then(|count| count.parse().ok()).unwrap_or(0);
    let root = std::fs::metadata("/proc/self")?.uid() == 0 && others > 65534u64;
    if root { Ok(()) } else { Err(Stop::Unfit("root".to_string())) }
}

/// Bytes as a failed trial shows them.
pub struct Shown<'a>(pub &'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 4000;
        let cut = self.0.get(..MOST).unwrap_or(self.0);
        for line in cut.split_inclusive(|&byte| byte == b'\n') {
            write!(out, "\n    | {}", line.strip_suffix(b"\n").unwrap_or(line).escape_ascii())?;
        }
        if self.0.is_empty() {
            write!(out, " (nothing)")?;
        }
        if self.0.len() > MOST {
            write!(out, "\n    | ({} bytes more)", self.0.len() - MOST)?;
        }
        Ok(())
    }
}
