//! `shmaudit sessions`: which sessions there are, and what of them is kept.

use std::io;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use shmaudit_core::report::{Text, Time};

use crate::formats;
use crate::session::{self, Found, Limits, Told};
use crate::system::{parse_size, parse_span, size, span};

/// Options of `sessions`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Remove what is older than --older-than, and then the oldest until all are smaller than --larger-than.
    ///
    /// `shmaudit run` does the same with the defaults. The newest session stays, and those that run.
    #[arg(long)]
    prune: bool,
    /// Age from which a session is removed [default: 30d].
    #[arg(long, value_name = "AGE", value_parser = parse_span, requires = "prune")]
    older_than: Option<u64>,
    /// Size of all sessions from which the oldest are removed [default: 4G].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "prune")]
    larger_than: Option<u64>,
    /// Print JSON, an object a line.
    #[arg(long)]
    json: bool,
}

/// A session in JSON.
#[derive(Serialize)]
struct Row {
    path: Text,
    started: Option<Time>,
    command: Vec<Text>,
    /// `running`, `ended`, `killed` (its supervisor is no more) or `removed`.
    state: &'static str,
    bytes: u64,
}

/// Lists them, and removes what is to go.
pub fn sessions(arguments: &Arguments) -> Result<(), String> {
    let removed = match arguments.prune {
        true => {
            let standard = Limits::default();
            session::prune(Limits {
                age: arguments.older_than.map_or(standard.age, Duration::from_nanos),
                bytes: arguments.larger_than.unwrap_or(standard.bytes),
                ..standard
            })
        }
        false => Vec::new(),
    };
    let mut rows: Vec<Row> = removed.iter().map(|found| row(found, None)).collect();
    let all = session::all()?;
    rows.extend(all.found.iter().map(|found| row(found, Told::read(&found.path).ok())));
    let terminal = formats::Terminal::of_stdout();
    let mut out = io::stdout().lock();
    let written = rows.iter().try_for_each(|row| match arguments.json {
        true => formats::json(&mut out, row),
        false => formats::lines(&mut out, &line(row), terminal),
    });
    crate::report::ended(written)?;
    match all.refused.as_slice() {
        [(_, why)] => return Err(why.clone()),
        // Those of one user, most often.
        [.., (_, why)] => return Err(format!("{why}; and so {} more", all.refused.len() - 1)),
        [] if rows.is_empty() && !arguments.json => crate::say(&format!("no session in {}", session::home().display())),
        [] => {}
    }
    Ok(())
}

fn row(found: &Found, told: Option<Told>) -> Row {
    use std::os::unix::ffi::OsStrExt;
    let state = match &told {
        _ if !found.path.exists() => "removed",
        Some(told) if session::is_live(told) => "running",
        Some(told) if told.end.is_some() => "ended",
        _ => "killed",
    };
    Row {
        path: Text::from(found.path.as_os_str().as_bytes()),
        started: told.as_ref().map(|told| Time(told.started)),
        command: told.iter().flat_map(|told| &told.command).map(|word| Text::from(word.bytes())).collect(),
        state,
        bytes: found.bytes,
    }
}

/// `/home/a/.local/state/shmaudit/20260131T120102.345-77-make  ended    3.1 MiB  2 days ago  make test`
fn line(row: &Row) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let age = row.started.map(|started| (now.as_nanos() as u64).saturating_sub(started.0));
    let age = age.map_or_else(String::new, span);
    let command: Vec<String> = row.command.iter().map(Text::escaped).collect();
    format!("{}  {:<7}  {:>8}  {age:>5}  {}\n", row.path.escaped(), row.state, size(row.bytes), command.join(" "))
}
