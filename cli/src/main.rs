//! The `shmaudit` command.

mod known;
mod report;
mod sys;
mod world;

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
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: schema shmaudit-report/1, one document a journal.
    Json,
}

fn main() -> ExitCode {
    let Command::Report { journals, format, output, growth, known } = Arguments::parse().command;
    let told = match growth {
        true => report::growth(&journals, format, output.as_deref()).map(|()| 0),
        false => report::report(&journals, format, output.as_deref(), &known),
    };
    match told {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(message) => {
            eprintln!("shmaudit: {message}");
            ExitCode::from(2)
        }
    }
}
