//! `shmaudit ls`: all shared memory in one table, for people, for programs and for monitoring.

mod columns;
mod json;
mod openmetrics;
mod select;
mod table;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::system::{Inventory, Journals, Kind, Nobody, Object, Sessions, State, parse_size, parse_span, take};
use columns::Column;
use select::{Select, Sort};

pub use columns::{holders, owner};
pub use json::{ascii, object};
pub use select::user;
pub use table::{cut, folded, totals};

/// What `shmaudit ls` takes.
#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub struct Arguments {
    /// How the list is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Only what is nobody's: states orphan and unclear.
    #[arg(long)]
    orphans: bool,
    /// Only objects of these kinds.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,…")]
    kind: Vec<Kind>,
    /// Only objects in these states.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATE,…")]
    state: Vec<State>,
    /// Only objects with GLOB in their name or key: `*` stands for anything, `^` and `$` for the ends.
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Only objects of this owner, by name or number.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only objects that this process made, used last or holds.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Only objects of at least this size: 4096, 64K, 16M, 1.5G.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    min_size: Option<u64>,
    /// Only objects with which nothing happened for this long: 90s, 10m, 2h, 1d.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    min_age: Option<u64>,
    /// The order: sizes and ages the largest first, the others upwards.
    #[arg(long, value_enum, default_value_t = Sort::Size, value_name = "KEY")]
    sort: Sort,
    /// The order turned round.
    #[arg(short, long)]
    reverse: bool,
    /// The columns of the text, in this order.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COLUMN,…")]
    columns: Vec<Column>,
    /// Sizes in bytes.
    #[arg(long)]
    bytes: bool,
    /// Every column in full, however narrow the terminal is.
    #[arg(short, long)]
    wide: bool,
    /// With --format openmetrics: one more value for each object, with its name. Names come and go; so will the series.
    #[arg(long)]
    per_object: bool,
    /// Audited sessions to ask who made an object and where: journals, or directories of them.
    #[arg(long, value_name = "PATH")]
    session: Vec<PathBuf>,
    /// Where the list goes instead of standard output. The file is replaced in one step, as collectors need it.
    #[arg(short = 'O', value_name = "FILE")]
    output: Option<PathBuf>,
}

const LONG_HELP: &str = "\
The kernel names a segment's creator by its pid alone. Where a process that began after the segment was made has \
that pid now, it is not the creator. Who made a POSIX object the kernel does not keep; an audited session knows \
(--session). What cannot be seen (other users' processes, other namespaces) is said below the table, and in `unseen` \
of the JSON.

RSS and SWAP are the object's own, whoever uses it. IDLE is the time since the last thing that the kernel noted: \
attach, detach, creation, change, write. Writes through a mapping are not noted.

Exit status: 0, or 2 where the arguments are wrong or the output cannot be written.

Examples:
  shmaudit ls --orphans                          what nobody has any more
  shmaudit ls --sort idle --kind sysv,posix      what nobody touched for longest
  shmaudit ls --pid 812                          what process 812 has to do with
  shmaudit ls --format openmetrics -O /var/lib/node_exporter/shmaudit.prom";

/// How a list is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: schema shmaudit-ls/1.
    Json,
    /// For monitoring: OpenMetrics, gauges only, which node_exporter's textfile collector reads too.
    Openmetrics,
}

/// Lists.
pub fn ls(arguments: &Arguments) -> Result<(), String> {
    let select = Select {
        orphans: arguments.orphans,
        kinds: arguments.kind.clone(),
        states: arguments.state.clone(),
        name: arguments.name.clone(),
        user: arguments.user.as_deref().map(user).transpose()?,
        pid: arguments.pid,
        min_size: arguments.min_size.unwrap_or(0),
        min_age: arguments.min_age.unwrap_or(0),
        sort: arguments.sort,
        reverse: arguments.reverse,
    };
    let inventory = take(sessions(&arguments.session)?.as_ref());
    let objects = select.select(&inventory);
    let format = if arguments.json { Format::Json } else { arguments.format };
    let text = match format {
        Format::Text => text(arguments, &inventory, &objects),
        Format::Json => json::json(&inventory, &objects),
        Format::Openmetrics => openmetrics::openmetrics(&inventory, &objects, arguments.per_object),
    };
    match &arguments.output {
        Some(path) => replace(path, text.as_bytes()),
        None => print(text.as_bytes()),
    }
}

/// Whom to ask about objects.
pub fn sessions(paths: &[PathBuf]) -> Result<Box<dyn Sessions>, String> {
    match paths {
        [] => Ok(Box::new(Nobody)),
        paths => Ok(Box::new(Journals::open(paths)?)),
    }
}

fn text(arguments: &Arguments, inventory: &Inventory, objects: &[&Object]) -> String {
    let columns = if arguments.columns.is_empty() { Column::USUAL } else { &arguments.columns };
    let to_terminal = arguments.output.is_none() && io::stdout().is_terminal();
    let fits = to_terminal && !arguments.wide;
    let width = fits.then(|| rustix::termios::tcgetwinsize(io::stdout()).ok()).flatten();
    let width = width.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0);
    // What the user asked for is not left out.
    let may_drop = arguments.columns.is_empty();
    let shown = columns::Shown { clocks: &inventory.clocks, bytes: arguments.bytes };
    table::table(columns, objects, &shown, width, may_drop) + &table::below(inventory, objects, width)
}

/// Writes to standard output; that nobody reads on is no error.
pub fn print(text: &[u8]) -> Result<(), String> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// Puts a file in the place of another, or nothing where that fails. A symbolic link stays, and its file is replaced; what
/// is there and no file (`/dev/null`, a pipe) is written to.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display().to_string().escape_debug());
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        return File::options().write(true).open(path).and_then(|mut there| there.write_all(content)).map_err(failed);
    }
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut aside = target.as_os_str().to_os_string();
    aside.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let write = || {
        let mut file = File::create_new(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&aside, &target)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&aside);
        failed(error)
    })
}
