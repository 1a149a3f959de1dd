//! `shmaudit top`: the same inventory as `ls`, again and again, in a terminal.

mod calls;
mod keys;
mod lines;
mod sample;
mod screen;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::formats::Terminal;
use crate::ls;
use crate::system::parse_span;
use calls::{Calls, Journals, Nobody};
use sample::Sampler;

/// What `shmaudit top` takes.
#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub struct Arguments {
    /// Time between two looks: 1, 0.5s, 10s.
    #[arg(short, long, value_name = "SPAN", default_value = "2", value_parser = parse_span)]
    delay: u64,
    /// What objects are ordered by at first.
    #[arg(long, value_enum, default_value_t = Sort::Size, value_name = "KEY")]
    sort: Sort,
    /// Only what is nobody's: states orphan and unclear.
    #[arg(long)]
    orphans: bool,
    /// Print it once and end: for scripts, pipes and mails.
    #[arg(long)]
    once: bool,
    /// With --once: most lines of each list.
    #[arg(short = 'n', long, default_value_t = 10)]
    lines: usize,
    /// Audited sessions whose calls are shown: journals, or directories of them.
    #[arg(long, value_name = "PATH")]
    session: Vec<PathBuf>,
}

const LONG_HELP: &str = "\
Views (Tab, or 1 to 3):
  1 objects    what there is; RATE is by how much the memory of it grows or shrinks a second
  2 processes  who has most of it; an object counts whole for each process that has it
  3 calls      the last calls of audited sessions (--session)

Keys:
  q, ^C        quit                     s, S           next, previous order
  arrows, j k  one line                 o              orphans only, or all
  PgUp, PgDn   a page                   Enter          all about the object
  Home, End    first, last              Space          look again now
  Tab, 1 2 3   view                     ? h            these keys
  ^Z           into the background

It needs 40 columns and 8 lines, and no colours. Nothing is changed by looking.

Exit status: 0; 2 where the arguments are wrong, or there is no terminal or a dumb one (then --once prints the same).";

/// What objects are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Size.
    Size,
    /// Bytes in memory.
    Rss,
    /// Growth or shrinking a second.
    Rate,
    /// Time since anything happened.
    Idle,
    /// How many hold it.
    Holders,
    /// State, orphans first.
    State,
    /// Name or key.
    Name,
}

/// The shortest time between two looks, in nanoseconds.
const SHORTEST: u64 = 100_000_000;

/// Shows until the user has seen enough.
pub fn top(arguments: &Arguments) -> Result<(), String> {
    let sessions = ls::sessions(&arguments.session)?;
    let mut sampler = Sampler::new(sessions.as_ref());
    let mut calls: Box<dyn Calls> = match arguments.session.as_slice() {
        [] => Box::new(Nobody),
        paths => Box::new(Journals::new(paths)?),
    };
    let delay = Duration::from_nanos(arguments.delay.max(SHORTEST));
    let state = keys::State::new(arguments.sort, arguments.orphans);
    if arguments.once {
        let mut sample = sampler.take();
        if arguments.sort == Sort::Rate {
            // A rate takes two looks.
            std::thread::sleep(delay);
            sample = sampler.take();
        }
        let calls = calls.recent(arguments.lines);
        let text = lines::once(&state, &sample, &calls, arguments.lines, Terminal::of_stdout().width);
        return ls::print(text.as_bytes());
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err("top needs a terminal on standard input and output; --once prints the same without one".to_string());
    }
    if std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
        return Err(
            "top needs a terminal that can move its cursor, and TERM=dumb cannot; --once prints the same".to_string()
        );
    }
    screen::run(state, &mut sampler, calls.as_mut(), delay)
}
