//! `shmaudit run`: a program and everything it starts, audited in one session, with one verdict at the end.
//!
//! The path: a session's directory with an allocated recorder ([`crate::session`]); the group is left ([`group`]); the
//! program is started with the library in it ([`preload`]); signals, ends and the ring are minded until the tree has ended
//! ([`supervise`]); the kernel's tables are read again, and the report is made of all that.

pub mod clock;
mod elf;
mod group;
mod preload;
mod signals;
mod slots;
mod supervise;
mod tree;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::process::set_child_subreaper;
use shmaudit_core::layout::header;
use shmaudit_core::procfs::proc_stat;
use shmaudit_core::report::Text;

use crate::formats::Format;
use crate::known::{self, Known};
use crate::recording::Opened;
use crate::session::{self, Bytes, End, Limits, Recorder, Store, Supervisor, Tables, Told};
use crate::system::parse_size;
use crate::{report, say};
use group::Group;
use signals::Set;
use supervise::{Ended, Supervision};
use tree::Tree;

/// Options of `run`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The session's directory [default: a new one below $XDG_STATE_HOME/shmaudit].
    #[arg(short = 'o', value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Log every call, to FILE or to standard error [default: what SHMAUDIT_OPTIONS says, else off].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "stderr")]
    log: Option<PathBuf>,
    /// Under each logged call, the system call it becomes; without --log, the log goes to standard error.
    #[arg(long)]
    syscalls: bool,
    /// Call-stack frames kept per call [default: what SHMAUDIT_OPTIONS says, else 16].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64))]
    stacks: Option<u32>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where the report goes instead of standard error.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The status to end with where PROGRAM ended with 0 and there are findings of severity error; 0 changes nothing.
    #[arg(long, value_name = "N", default_value_t = 0)]
    error_exitcode: u8,
    /// Where the sources are: SARIF names files relative to it [default: the working directory].
    #[arg(long, value_name = "DIR")]
    source_root: Option<PathBuf>,
    /// The library to load [default: the one beside this command].
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Most bytes of calls, processes and files that the session stores beside its recorder; beyond, the oldest go
    /// [default: 512M].
    ///
    /// What still exists at the end is known with its maker and its stack all the same; how many calls are lost is said.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    session_size: Option<u64>,
    #[command(flatten)]
    known: known::Options,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM", value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// How `run` ends.
pub enum Exit {
    /// With a status.
    Status(u8),
    /// By the signal that ended the program.
    Signal(i32),
}

impl Exit {
    /// Ends this process that way.
    pub fn end(self) -> ExitCode {
        match self {
            Exit::Status(status) => ExitCode::from(status),
            Exit::Signal(signal) => signals::end_by(signal),
        }
    }
}

/// Runs the program. An error is a mistake in the command line; whatever else goes wrong costs the audit and not the
/// program.
pub fn run(arguments: &Arguments) -> Result<Exit, String> {
    // What cannot be read is told before the program runs for hours; and a pipe can be read but once.
    let known = arguments.known.read()?;
    let prepared = match Prepared::new(arguments) {
        Ok(prepared) => prepared,
        Err(message) => {
            say(&format!("{message}: the program is not audited"));
            return Ok(unaudited(&arguments.command));
        }
    };
    prepared.run(arguments, known)
}

/// Becomes the program, unaudited.
fn unaudited(command: &[OsString]) -> Exit {
    let mut program = Command::new(&command[0]);
    program.args(&command[1..]);
    // SAFETY: between exec's preparations and exec itself; it calls what may be called there.
    unsafe { program.pre_exec(|| signals::give_back(&Set::of(&[]))) };
    cannot_run(&command[0], &program.exec())
}

/// What a shell ends with.
fn cannot_run(program: &OsStr, error: &io::Error) -> Exit {
    say(&format!("{}: {error}", Path::new(program).display()));
    Exit::Status(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

/// A session that is about to begin.
struct Prepared {
    directory: PathBuf,
    library: PathBuf,
    recorder: Recorder,
    told: Told,
    environment: [(&'static str, OsString); 2],
}

impl Prepared {
    fn new(arguments: &Arguments) -> Result<Prepared, String> {
        let library = preload::library(arguments.library.as_deref())?;
        let program = preload::program(&arguments.command[0]);
        let started = clock::unix();
        let directory = match &arguments.directory {
            Some(directory) => directory.clone(),
            None => {
                session::prune(Limits::default());
                session::home().join(session::name(started, Path::new(&arguments.command[0])))
            }
        };
        session::make(&directory)?;
        let directory = directory.canonicalize().map_err(|error| format!("{}: {error}", directory.display()))?;
        let made = || {
            let path = directory.join(session::RECORDER);
            let stacks = arguments.stacks.map_or_else(preload::stacks, |stacks| stacks as usize);
            let recorder = Recorder::make(&path, stacks);
            let recorder = recorder.map_err(|error| format!("{}: {error}", path.display()))?;
            // Who wants to see the system calls wants to see the calls that they stand under.
            let log = arguments.log.as_deref().or(arguments.syscalls.then_some(Path::new("stderr")));
            let log = log.map(|log| match log.as_os_str().as_bytes() {
                b"stderr" | b"off" => Ok(log.to_path_buf()),
                _ => std::path::absolute(log).map_err(|error| format!("{}: {error}", log.display())),
            });
            let log = log.transpose()?;
            let options = preload::options(&path, log.as_ref().map(|log| log.as_os_str()), arguments.syscalls, stacks)?;
            let told = told(arguments, started);
            let pids = crate::system::namespace_of_self("pid").unwrap_or(0);
            recorder.set(header::NAMESPACES, told.ipc_namespace << 32 | pids);
            told.write(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
            let preload = preload::list(&library, program.as_deref());
            Ok((recorder, told, [("LD_PRELOAD", preload), ("SHMAUDIT_OPTIONS", options)]))
        };
        match made() {
            Ok((recorder, told, environment)) => Ok(Prepared { directory, library, recorder, told, environment }),
            Err(message) => {
                session::remove(&directory);
                Err(message)
            }
        }
    }

    fn run(mut self, arguments: &Arguments, known: Known) -> Result<Exit, String> {
        let inherited = Set::all().block();
        let mut group = Group::leave();
        let _ = set_child_subreaper(Some(rustix::process::getpid()));
        let mut command = Command::new(&arguments.command[0]);
        command.args(&arguments.command[1..]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let settle = group.settle();
        // SAFETY: between fork and exec of a process with one thread; it makes system calls only.
        unsafe { command.pre_exec(move || settle().and_then(|()| signals::give_back(&inherited))) };
        let program = match command.spawn() {
            Ok(child) => child.id(),
            Err(error) => {
                group.dismiss();
                session::remove(&self.directory);
                return Ok(cannot_run(&arguments.command[0], &error));
            }
        };
        group.started();
        let _ = signals::leave_standard_files();
        let most = arguments.session_size.unwrap_or(Limits::default().session);
        let store = Store::new(&self.directory, most, &self.recorder);
        let tree = Tree::new(&self.library);
        let mut supervision = Supervision { recorder: &self.recorder, store, group, program, tree };
        let (directory, told) = (&self.directory, &mut self.told);
        let (ended, daemons) = supervision.supervise(|tree| {
            told.outsiders = tree.outsiders().to_vec();
            let _ = told.write(directory);
        });
        if !slots::had(&self.recorder, program)
            && let Some(exe) = preload::program(&arguments.command[0])
        {
            supervision.tree.program_is_outside(program, &told.command, &exe);
        }
        supervision.tree.settle(&self.recorder);
        told.outsiders = supervision.tree.outsiders().to_vec();
        if let Some(error) = supervision.store.refusal() {
            say(&format!("{}: {error}: calls were lost", self.directory.display()));
        }
        self.conclude(arguments, known, ended, daemons)
    }

    /// The verdict: the tree has ended, or said that it stays.
    fn conclude(
        mut self,
        arguments: &Arguments,
        known: Known,
        ended: Ended,
        daemons: Vec<u32>,
    ) -> Result<Exit, String> {
        slots::settle(&self.recorder);
        if daemons.is_empty() {
            slots::all_over(&self.recorder);
        }
        self.recorder.read_clocks();
        let (status, signal) = match ended {
            Ended::Exit(status) => (Some(status), None),
            Ended::Signal(signal) => (None, Some(signal)),
        };
        let namespaces = Opened::session(&self.directory).map(|opened| opened.namespaces()).unwrap_or_default();
        let tables = Tables::now().with(namespaces);
        let foreign = tree::foreign(&self.told.before, &tables, &daemons);
        let stay = daemons.clone();
        self.told.end = Some(End { time: clock::unix(), status, signal, daemons: stay, foreign, tables });
        if let Err(error) = self.told.write(&self.directory) {
            say(&format!("{}: {error}", self.directory.display()));
        }
        let wanted = report::Wanted { format: arguments.format, source_root: arguments.source_root.clone() };
        let errors = report::at_end(&self.directory, arguments.report.as_deref(), &wanted, known);
        let errors = errors.unwrap_or_else(|message| {
            say(&message);
            0
        });
        if !daemons.is_empty() {
            say(&staying(&daemons, &self.directory));
        }
        if !slots::any(&self.recorder) {
            session::compact(&self.directory, &self.recorder);
        }
        Ok(match ended {
            Ended::Signal(signal) => Exit::Signal(signal),
            Ended::Exit(0) if errors > 0 => Exit::Status(arguments.error_exitcode),
            Ended::Exit(status) => Exit::Status(status as u8),
        })
    }
}

/// Who stays, and what that means.
fn staying(daemons: &[u32], directory: &Path) -> String {
    const MOST: usize = 8;
    let name = |pid: &u32| {
        let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{}[{pid}]", Text::from(name.trim_ascii_end()).escaped())
    };
    let named: Vec<String> = daemons.iter().take(MOST).map(name).collect();
    let more = daemons.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let verb = if daemons.len() == 1 { "stays as a daemon" } else { "stay as daemons" };
    format!(
        "{}{more} {verb}; later, `shmaudit report {}` tells what became of what they hold",
        named.join(", "),
        directory.display()
    )
}

fn told(arguments: &Arguments, started: u64) -> Told {
    let pid = std::process::id();
    let stat = std::fs::read("/proc/self/stat").unwrap_or_default();
    Told {
        schema: session::SCHEMA.to_string(),
        command: arguments.command.iter().map(|word| Bytes::from(word.as_bytes())).collect(),
        directory: Bytes::from(std::env::current_dir().unwrap_or_default().as_os_str().as_bytes()),
        started,
        boot: Told::boot(),
        uid: rustix::process::geteuid().as_raw(),
        ipc_namespace: crate::system::namespace_of_self("ipc").unwrap_or(0),
        supervisor: Supervisor { pid, starttime: proc_stat(&stat).map_or(0, |stat| stat.starttime) },
        before: Tables::now(),
        outsiders: Vec::new(),
        end: None,
    }
}
