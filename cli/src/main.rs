//! The `shmaudit` command.

mod diff;
mod explain;
mod formats;
mod identity;
mod report;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use formats::Format;

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
        #[arg(required_unless_present = "schema")]
        journals: Vec<PathBuf>,
        /// How the report is written.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Where it goes instead of standard output.
        #[arg(short = 'O', value_name = "FILE")]
        output: Option<PathBuf>,
        /// Where the sources are: SARIF names files relative to it [default: the working directory].
        #[arg(long, value_name = "DIR")]
        source_root: Option<PathBuf>,
        /// Print the JSON Schema of the reports in JSON instead.
        #[arg(long, conflicts_with_all = ["journals", "format"])]
        schema: bool,
    },
    /// Compare two recordings, or reports in JSON: what appeared, vanished or grew.
    ///
    /// Ends with 0, with 1 where findings of severity error appeared or grew, with 2 where something could not be read.
    Diff {
        /// A journal, a directory of them, or a report in JSON.
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
}

fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Report { schema: true, output, .. } => report::schema(output.as_deref()),
        Command::Report { journals, format, output, source_root, .. } => {
            report::report(&journals, format, output.as_deref(), source_root)
        }
        Command::Diff { before, after, format } => diff::diff(&before, &after, format),
        Command::Explain { word } => explain::run(word.as_deref()),
    };
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(message) => {
            eprintln!("shmaudit: {}", formats::shown(&message));
            ExitCode::from(2)
        }
    }
}
