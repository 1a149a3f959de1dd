//! `shmaudit log`: the calls of recordings, a line each, as the library's own log writes them.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::ValueEnum;
use shmaudit_core::ledger::{Ledger, Object, ObjectIndex};
use shmaudit_core::line::Line;
use shmaudit_core::logline::{self, Extra};
use shmaudit_core::record::{Event, Family};
use shmaudit_core::report::{Frame, Named, Settings, Symbolize};

use crate::formats::{self, Terminal};
use crate::recording::{Maps, Opened};

/// Options of `log`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Sessions of `shmaudit run`, journals, or directories of them; without any, the newest session.
    #[arg(value_name = "SESSION|JOURNAL")]
    paths: Vec<PathBuf>,
    /// How lines are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Under each call, the system call that it became (text).
    #[arg(long)]
    syscalls: bool,
    /// Go on with what is recorded from now on, until the session ends.
    #[arg(long, short)]
    follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Most bytes of a line; the longest stack with the longest names needs less.
const LINE: usize = 1 << 16;
/// Pause between two looks at a recording that is followed.
const PAUSE: Duration = Duration::from_millis(200);

/// Prints the calls; the number of findings of severity error.
pub fn log(arguments: &Arguments) -> Result<u64, String> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut recordings = Opened::open(&arguments.paths)?;
    // The newest session stays the one that is followed.
    let paths: Vec<PathBuf> = match arguments.paths.as_slice() {
        [] => recordings.iter().map(|recording| recording.path.clone()).collect(),
        paths => paths.to_vec(),
    };
    let mut seen: Vec<(u64, u64)> = Vec::new();
    loop {
        let first = seen.is_empty();
        // Asked before the records are read: what is written until the end is seen in any case.
        let over = !arguments.follow || !recordings.iter().any(Opened::is_live);
        let mut now = Vec::new();
        for recording in &mut recordings {
            // What was printed before is not lost where it is left out.
            let mut gone = false;
            for recorder in recording.recorders_mut() {
                if let Some(&then) = seen.get(now.len()) {
                    gone |= recorder.begin_at(then);
                }
                now.push(recorder.now());
            }
            let printed = print(&mut out, recording, arguments).and_then(|lost| out.flush().map(|()| lost));
            let lost = match printed {
                Ok((lost, _)) if first => lost,
                // The counters know of all calls, not of those since.
                Ok((_, torn)) => torn.max(u64::from(gone)),
                Err(error) => return crate::report::ended(Err(error)),
            };
            if lost > 0 {
                let (least, records) =
                    (if first { "" } else { "at least " }, if lost == 1 { "record is" } else { "records are" });
                crate::say(&format!("{}: {least}{lost} {records} lost", recording.path.display()));
            }
        }
        if over {
            let whole = if first { recordings } else { Opened::open(&paths)? };
            return Ok(whole.iter().map(|recording| recording.conclude(&Settings::default()).summary.errors).sum());
        }
        seen = now;
        sleep(PAUSE);
        recordings = Opened::open(&paths)?;
    }
}

/// How many records are lost: of all that there ever were, and of those that were to be printed.
fn print(out: &mut dyn Write, recording: &Opened, arguments: &Arguments) -> io::Result<(u64, u64)> {
    let sources = recording.sources();
    let names = RefCell::new(Named::new(&sources, Maps));
    // On a terminal a line is as wide as that; anywhere else it is one, whatever its length.
    let terminal = match arguments.format {
        Format::Text => Terminal::of_stdout(),
        Format::Json => Terminal::default(),
    };
    let mut written = Ok(());
    let ledger = Ledger::walk(&sources, |ledger, event, object| {
        if written.is_ok() {
            let line = line(ledger, event, object, &names, arguments);
            written = match terminal.width {
                None => out.write_all(&line),
                Some(_) => formats::lines(out, &String::from_utf8_lossy(&line), terminal),
            };
        }
    });
    written?;
    Ok((ledger.lost_of(&sources), ledger.lost()))
}

fn line(
    ledger: &Ledger,
    event: &Event,
    object: Option<ObjectIndex>,
    names: &RefCell<Named<Maps>>,
    arguments: &Arguments,
) -> Vec<u8> {
    let frames = |address: u64| {
        let mut frames = Vec::new();
        names.borrow_mut().frames((event.process, event.pid), event.ticks, address, &mut frames);
        frames
    };
    let path = object.and_then(|object| path(ledger.object(object)?)).unwrap_or_default();
    let caller = event.frames.first().and_then(|&address| frames(address).first().map(caller)).unwrap_or_default();
    let extra = Extra {
        unix_ns: event.ended(),
        took_ns: u64::from(event.took),
        object_path: if path.is_empty() { None } else { Some(&path) },
        caller: &caller,
    };
    let mut room = vec![0; LINE];
    let mut line = Line::new(&mut room);
    match arguments.format {
        Format::Text => logline::text(&mut line, event, &extra),
        Format::Json => logline::json(&mut line, event, &extra, &|address, each| {
            let frames = frames(address);
            if frames.is_empty() {
                return logline::unresolved(address, each);
            }
            frames.iter().for_each(|frame| each(&shown(frame)));
        }),
    }
    if arguments.syscalls && arguments.format == Format::Text {
        logline::syscalls(&mut line, event);
    }
    line.as_bytes().to_vec()
}

/// The object as a descriptor's link in /proc has it.
fn path(object: &Object) -> Option<Vec<u8>> {
    let name = object.name.as_deref()?;
    match object.id.family {
        Family::Posix => Some([b"/dev/shm/", name].concat()),
        Family::Memfd => Some([b"/memfd:", name, b" (deleted)"].concat()),
        _ => None,
    }
}

fn shown(frame: &Frame) -> logline::Frame<'_> {
    logline::Frame {
        function: frame.function.as_deref().map(str::as_bytes),
        file: frame.file.as_deref().map(str::as_bytes),
        line: frame.line,
        module: frame.module.as_deref().map(str::as_bytes),
        offset: frame.offset,
        inlined: frame.inlined,
    }
}

fn caller(frame: &Frame) -> Vec<u8> {
    let mut room = [0; 1024];
    let mut line = Line::new(&mut room);
    logline::caller(&mut line, frame);
    line.as_bytes().to_vec()
}
