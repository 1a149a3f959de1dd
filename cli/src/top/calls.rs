//! Where the calls of audited sessions come from.

use std::path::PathBuf;

use shmaudit_core::line::Line;
use shmaudit_core::logline::{self, Extra};
use shmaudit_core::reader::Reader;
use shmaudit_core::record::Decoded;
use shmaudit_core::sources::Clock;

use crate::recording::Opened;

/// A source of calls.
pub trait Calls {
    /// The last calls, the newest last, as the log writes them: printable ASCII, without the newline.
    fn recent(&mut self, most: usize) -> Vec<String>;
}

/// No session at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Calls for Nobody {
    fn recent(&mut self, _: usize) -> Vec<String> {
        Vec::new()
    }
}

/// Recordings, which programs may still be writing to.
pub struct Journals(Vec<Opened>);

impl Journals {
    /// Of files, and directories of them.
    pub fn new(paths: &[PathBuf]) -> Result<Journals, String> {
        Opened::open(paths).map(Journals)
    }
}

/// More of a line than a terminal shows.
const LINE: usize = 1024;

impl Calls for Journals {
    fn recent(&mut self, most: usize) -> Vec<String> {
        let mut lines: Vec<(u64, u64, String)> = Vec::new();
        for journal in self.0.iter().flat_map(Opened::recorders) {
            let Ok(reader) = Reader::new(journal) else { continue };
            let clock = Clock::of(&reader);
            let records = reader.order().records;
            let mut decoded = Decoded::default();
            for &(order, position) in records.iter().skip(records.len().saturating_sub(most)) {
                let Some(event) = reader.record(position, &mut decoded) else { continue };
                let unix_ns = clock.unix(event.ticks);
                let took_ns = clock.duration(event.took.into());
                let mut room = [0; LINE];
                let mut line = Line::new(&mut room);
                logline::text(&mut line, &event, &Extra { unix_ns, took_ns, ..Extra::default() });
                lines.push((unix_ns, order, String::from_utf8_lossy(line.as_bytes().trim_ascii_end()).into_owned()));
            }
        }
        lines.sort();
        let lines = lines.into_iter().map(|(_, _, line)| line);
        let beyond = lines.len().saturating_sub(most);
        lines.skip(beyond).collect()
    }
}
