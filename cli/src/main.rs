//! The `shmaudit` command.

use clap::Parser;

/// A flight recorder for shared memory: who made it, where, and who never removed it.
///
/// The library does the work: LD_PRELOAD=libshmaudit.so PROGRAM, or link with -lshmaudit.
/// SHMAUDIT_OPTIONS=help=1 lists its options.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {}

fn main() {
    Cli::parse();
}
