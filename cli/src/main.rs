//! The `shmaudit` command.

mod clean;
mod diff;
mod elsewhere;
mod explain;
mod formats;
mod known;
mod log;
mod ls;
mod manual;
mod recording;
mod refused;
mod report;
mod run;
mod session;
mod sessions;
mod sys;
mod system;
mod top;
mod world;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use formats::Format;

/// A flight recorder for shared memory: who made it, where, and who never removed it.
///
/// The library does the recording: LD_PRELOAD=libshmaudit.so PROGRAM, or link with -lshmaudit.
/// SHMAUDIT_OPTIONS=help=1 lists its options.
#[derive(Parser)]
#[command(name = "shmaudit", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Report on sessions and journals, also of programs that were killed.
    ///
    /// Ends with 0, with 1 where there are findings of severity error, with 2 where something could not be read.
    Report {
        /// Sessions of `shmaudit run`; journal files, or directories of them (SHMAUDIT_OPTIONS=journal=DIRECTORY), which are
        /// read as one. Without any, the newest session.
        #[arg(value_name = "SESSION|JOURNAL")]
        journals: Vec<PathBuf>,
        /// How the report is written.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Where it goes instead of standard output.
        #[arg(short = 'O', value_name = "FILE")]
        output: Option<PathBuf>,
        /// Tell instead what was held over time, and from where: what grows will leak. As text or json.
        #[arg(long, conflicts_with_all = ["suppressions", "baseline", "write_suppressions", "no_built_in", "source_root"])]
        growth: bool,
        #[command(flatten)]
        known: known::Options,
        /// Where the sources are: SARIF names files relative to it [default: the working directory].
        #[arg(long, value_name = "DIR")]
        source_root: Option<PathBuf>,
        /// Print the JSON Schema of the reports in JSON instead.
        #[arg(long, conflicts_with_all = ["journals", "format"])]
        schema: bool,
    },
    /// Print the calls of sessions and journals, a line each.
    ///
    /// Ends with 0, with 1 where there are findings of severity error, with 2 where something could not be read.
    Log(log::Arguments),
    /// List the sessions that `shmaudit run` has left, and remove old ones.
    ///
    /// Ends with 0, or with 2 where something could not be read.
    Sessions(sessions::Arguments),
    /// Compare two recordings, or reports in JSON: what appeared, vanished or grew.
    ///
    /// Ends with 0, with 1 where findings of severity error appeared or grew, with 2 where something could not be read.
    Diff {
        /// A session, a journal, a directory of journals, or a report in JSON.
        before: PathBuf,
        /// What it is compared with.
        after: PathBuf,
        /// How the difference is written.
        #[arg(long, value_enum, default_value_t = diff::Format::Text)]
        format: diff::Format,
    },
    /// Tell about a call (shm_open), an error (ENOSPC) or a kind of finding (posix-leak); without a word, list them.
    Explain {
        /// What to tell about.
        #[arg(value_name = "CALL|ERRNO|FINDING")]
        word: Option<String>,
    },
    /// Run a program and all that it starts, audited, with one report at the end.
    ///
    /// Ends as PROGRAM does; standard output is PROGRAM's alone.
    Run(run::Arguments),
    /// List all shared memory: segments, POSIX objects, memfds, what is deleted and still held; who has it, whose it was.
    Ls(ls::Arguments),
    /// Remove what is provably nobody's; without --apply, say what that is and why it is safe.
    Clean(clean::Arguments),
    /// Watch shared memory: objects, processes, calls.
    Top(top::Arguments),
    /// Write a shell's completions to standard output.
    ///
    /// Where they go: bash: $XDG_DATA_HOME/bash-completion/completions/shmaudit; zsh: _shmaudit in a directory of $fpath;
    /// fish: ~/.config/fish/completions/shmaudit.fish.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory.
    Man {
        /// The directory; made where it is missing.
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    let told = match Arguments::parse().command {
        Command::Report { schema: true, output, .. } => report::schema(output.as_deref()),
        Command::Report { journals, format, output, growth: true, .. } => {
            report::growth(&journals, format, output.as_deref())
        }
        Command::Report { journals, format, output, known, source_root, .. } => {
            report::report(&journals, output.as_deref(), &report::Wanted { format, source_root }, &known)
        }
        Command::Run(arguments) => match run::run(&arguments) {
            Ok(exit) => return exit.end(),
            Err(message) => Err(message),
        },
        Command::Log(arguments) => log::log(&arguments),
        Command::Sessions(arguments) => sessions::sessions(&arguments).map(|()| 0),
        Command::Diff { before, after, format } => diff::diff(&before, &after, format),
        Command::Explain { word } => explain::run(word.as_deref()),
        Command::Ls(arguments) => ls::ls(&arguments).map(|()| 0),
        Command::Top(arguments) => top::top(&arguments).map(|()| 0),
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => manual::write(Arguments::command(), &directory).map(|()| 0),
        Command::Clean(arguments) => clean::clean(&arguments).map(|done| u64::from(!done)),
    };
    match told {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(message) => {
            say(&message);
            ExitCode::from(2)
        }
    }
}

/// One line on standard error.
fn say(message: &str) {
    // Not eprintln: where standard error is gone, that panics. The number of an error tells nobody more than its words.
    let message = formats::shown(message);
    let message = match message.rsplit_once(" (os error ") {
        Some((words, number)) if number.trim_end_matches(')').parse::<i32>().is_ok() => words,
        _ => &message,
    };
    let _ = writeln!(io::stderr(), "shmaudit: {message}");
}

fn completions(shell: clap_complete::Shell) -> Result<u64, String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "shmaudit", &mut text);
    report::ended(io::stdout().write_all(&text))
}
