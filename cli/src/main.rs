//! The `shmaudit` command.

mod clean;
mod known;
mod ls;
mod report;
mod run;
mod session;
mod sys;
mod system;
mod top;
mod world;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// A flight recorder for shared memory: who made it, where, and who never removed it.
///
/// The library does the recording: LD_PRELOAD=libshmaudit.so PROGRAM, or link with -lshmaudit.
/// SHMAUDIT_OPTIONS=help=1 lists its options.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Report on journals, also of programs that were killed.
    ///
    /// Ends with 0, with 1 where there are findings of severity error, with 2 where nothing could be read.
    Report {
        /// Journal files, or directories of them (SHMAUDIT_OPTIONS=journal=DIRECTORY).
        #[arg(required = true)]
        journals: Vec<PathBuf>,
        /// How the report is written.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Where it goes instead of standard output.
        #[arg(short = 'O', value_name = "FILE")]
        output: Option<PathBuf>,
        /// Tell instead what was held over time, and from where: what grows will leak.
        #[arg(long)]
        growth: bool,
        #[command(flatten)]
        known: known::Options,
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
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: schema shmaudit-report/1, one document a journal.
    Json,
}

fn main() -> ExitCode {
    let told = match Arguments::parse().command {
        Command::Report { journals, format, output, growth: true, .. } => {
            report::growth(&journals, format, output.as_deref()).map(|()| 0)
        }
        Command::Report { journals, format, output, known, .. } => {
            report::report(&journals, format, output.as_deref(), &known)
        }
        Command::Run(arguments) => match run::run(&arguments) {
            Ok(exit) => return exit.end(),
            Err(message) => Err(message),
        },
        Command::Ls(arguments) => ls::ls(&arguments).map(|()| 0),
        Command::Top(arguments) => top::top(&arguments).map(|()| 0),
        Command::Clean(arguments) => clean::clean(&arguments).map(|done| u64::from(!done)),
    };
    match told {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(message) => {
            // Not eprintln: where standard error is gone, that panics.
            let _ = writeln!(io::stderr(), "shmaudit: {message}");
            ExitCode::from(2)
        }
    }
}
