//! `shmaudit report`: recordings to reports, in every format.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use shmaudit_core::report::{JSON_SCHEMA, Report, Settings};
use shmaudit_core::text;

use crate::formats::{self, Format, Terminal, Wishes};
use crate::known;
use crate::recording::Opened;

/// How a report is to be written, and where.
pub struct Wanted {
    /// The form.
    pub format: Format,
    /// Where the sources are; else the working directory.
    pub source_root: Option<PathBuf>,
}

/// Where a report goes, as what, and the name of that in errors: standard output, maybe a terminal, or a file.
type Sink = (Box<dyn Write>, Terminal, String);

fn sink(output: Option<&Path>) -> Result<Sink, String> {
    Ok(match output {
        None => (Box::new(BufWriter::new(io::stdout().lock())), Terminal::of_stdout(), STDOUT.to_string()),
        Some(path) => {
            let name = path.display().to_string();
            let file = File::create(path).map_err(|error| format!("{name}: {error}"))?;
            (Box::new(BufWriter::new(file)), Terminal::default(), name)
        }
    })
}

/// Prints the schema of the reports in JSON.
pub fn schema(output: Option<&Path>) -> Result<u64, String> {
    let (mut out, _, name) = sink(output)?;
    ended_in(&name, out.write_all(JSON_SCHEMA.as_bytes()).and_then(|()| out.flush()))
}

/// What errors call standard output.
const STDOUT: &str = "standard output";

/// Moments at which `--growth` looks.
const MOMENTS: usize = 12;

/// Reports on what the paths name; the number of findings of severity error that are not known.
pub fn report(
    paths: &[PathBuf],
    output: Option<&Path>,
    wanted: &Wanted,
    known: &known::Options,
) -> Result<u64, String> {
    let known = known.read()?;
    let settings = Settings { suppressions: known.suppressions.clone(), ..wanted.format.settings() };
    let recordings = recordings(paths, &settings)?;
    write(recordings, || sink(output), wanted, known)
}

/// Reports on a session at its very end, on standard error or into a file.
pub fn at_end(path: &Path, output: Option<&Path>, wanted: &Wanted, mut known: known::Known) -> Result<u64, String> {
    known.look_again()?;
    let settings = Settings { suppressions: known.suppressions.clone(), ..wanted.format.settings() };
    let recording = Opened::session(path)?;
    let report = recording.conclude_now(&settings);
    let to_stderr = || {
        let out = Box::new(BufWriter::new(io::stderr())) as Box<dyn Write>;
        Ok((out, Terminal::of_stderr(), "standard error".to_string()))
    };
    let sink = || output.map_or_else(to_stderr, |path| sink(Some(path)));
    if report.is_silent() && output.is_none() && wanted.format == Format::Text {
        return Ok(0);
    }
    write(vec![formats::Recording { report, calls: Box::new(recording) }], sink, wanted, known)
}

fn write(
    mut recordings: Vec<formats::Recording>,
    sink: impl Fn() -> Result<Sink, String>,
    wanted: &Wanted,
    mut known: known::Known,
) -> Result<u64, String> {
    let last = recordings.len();
    for (number, recording) in recordings.iter_mut().enumerate() {
        known.apply(&mut recording.report, number + 1 == last);
    }
    let source_root = wanted.source_root.as_deref().unwrap_or(Path::new("."));
    let source_root = std::path::absolute(source_root).map_err(|error| format!("--source-root: {error}"))?;
    let (mut out, terminal, name) = sink()?;
    let wishes = Wishes { source_root, terminal };
    ended_in(&name, formats::write(&mut *out, wanted.format, &recordings, &wishes).and_then(|()| out.flush()))?;
    known.write()?;
    Ok(recordings.iter().map(|recording| recording.report.summary.errors).sum())
}

/// The recordings that the paths name, concluded.
pub fn recordings(paths: &[PathBuf], settings: &Settings) -> Result<Vec<formats::Recording>, String> {
    let concluded =
        |recording: Opened| formats::Recording { report: recording.conclude(settings), calls: Box::new(recording) };
    Ok(Opened::open(paths)?.into_iter().map(concluded).collect())
}

/// The reports on what the paths name.
pub fn reports(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Report)>, String> {
    let concluded = |recording: Opened| (recording.path.clone(), recording.conclude(&Settings::default()));
    Ok(Opened::open(paths)?.into_iter().map(concluded).collect())
}

/// A reader that has seen enough, as `head` has, is no failure.
pub fn ended(written: io::Result<()>) -> Result<u64, String> {
    ended_in(STDOUT, written)
}

/// The same, of what was written to `name`.
fn ended_in(name: &str, written: io::Result<()>) -> Result<u64, String> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("{name}: {error}")),
        _ => Ok(0),
    }
}

/// Tells of what the paths name what grew.
pub fn growth(paths: &[PathBuf], format: Format, output: Option<&Path>) -> Result<u64, String> {
    if !matches!(format, Format::Text | Format::Json) {
        return Err("--growth is written as text or json".to_string());
    }
    let grown: Vec<_> = Opened::open(paths)?.iter().map(|recording| recording.growth(MOMENTS)).collect();
    let (mut out, terminal, name) = sink(output)?;
    let written = grown.iter().try_for_each(|growth| match format {
        Format::Json => formats::json(&mut out, growth),
        _ => formats::lines(&mut *out, &text::growth(growth), terminal),
    });
    ended_in(&name, written.and_then(|()| out.flush()))
}
