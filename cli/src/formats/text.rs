//! The core's text, and on a terminal colour and lines that break where it ends. Elsewhere it is byte for byte the same.

use std::io::{self, Write};
use std::os::fd::AsFd;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use shmaudit_core::report::Report;

/// What a text is written to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// Whether colour is welcome.
    pub colour: bool,
    /// Columns, where it is a terminal.
    pub width: Option<usize>,
}

/// Narrower than this, breaking lines makes nothing readable.
const NARROWEST: usize = 40;

impl Terminal {
    /// Standard error, in the same way.
    pub fn of_stderr() -> Terminal {
        Terminal::of(&io::stderr())
    }

    /// Standard output: colour by `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`, and only on a terminal.
    pub fn of_stdout() -> Terminal {
        Terminal::of(&io::stdout())
    }

    fn of<S: RawStream + AsFd>(stream: &S) -> Terminal {
        let width = match stream.is_terminal() {
            true => terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0)),
            false => None,
        };
        Terminal { colour: AutoStream::choice(stream) != ColorChoice::Never, width }
    }

    /// `text` in this style, if there is colour.
    pub fn paint(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// A line's pieces, those after the first indented, where it is longer than the terminal is wide.
    pub fn wrap(self, line: &str, indent: usize) -> Vec<String> {
        match self.width {
            Some(width) if width >= NARROWEST && line.len() > width => {
                // Leading blanks are the line's own indent, which wrapping would take away.
                let body = line.trim_start();
                let lead = " ".repeat(line.len() - body.len());
                wrapped(body, width, &lead, &" ".repeat(indent))
            }
            _ => vec![line.to_string()],
        }
    }
}

/// Text in lines of at most `width` columns, broken between words only: names and paths stay whole.
pub fn wrapped(text: &str, width: usize, first: &str, rest: &str) -> Vec<String> {
    let options = textwrap::Options::new(width).initial_indent(first).subsequent_indent(rest).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Into::into).collect()
}

/// Bright and bold for what must be seen first.
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const BLUE: Style = AnsiColor::Blue.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

pub fn write(out: &mut dyn Write, report: &Report, terminal: Terminal) -> io::Result<()> {
    lines(out, &shmaudit_core::text::text(report), terminal)
}

/// A text's lines, as the terminal has room for them.
pub fn lines(out: &mut dyn Write, text: &str, terminal: Terminal) -> io::Result<()> {
    if !terminal.colour && terminal.width.is_none() {
        return out.write_all(text.as_bytes());
    }
    text.lines().try_for_each(|line| write_line(out, line, terminal))
}

/// What begins a line, up to which word it is painted, and how.
const BEGINNINGS: [(&str, Style); 5] = [
    ("shmaudit: ERROR: ", RED),
    ("shmaudit: WARNING: ", YELLOW),
    ("shmaudit: warning: ", YELLOW),
    ("shmaudit: note: ", BLUE),
    ("shmaudit: pending: ", BLUE),
];

fn write_line(out: &mut dyn Write, line: &str, terminal: Terminal) -> io::Result<()> {
    // A command is there to be copied: it stays in one piece.
    if line.starts_with("  to remove ")
        && let Some((words, command)) = line.split_once(": ")
    {
        return writeln!(out, "{words}: {}", terminal.paint(GREEN, command));
    }
    let inner = line.starts_with("    ") || line.trim_start().starts_with('#');
    let pieces = terminal.wrap(line, if inner { 8 } else { 4 });
    for (number, piece) in pieces.iter().enumerate() {
        let painted = match number {
            0 => painted(piece, terminal),
            _ => piece.clone(),
        };
        writeln!(out, "{painted}")?;
    }
    Ok(())
}

fn painted(line: &str, terminal: Terminal) -> String {
    for (beginning, style) in BEGINNINGS {
        if let Some(rest) = line.strip_prefix(beginning) {
            // `shmaudit: ERROR: posix-leak:` is one thing to see.
            let kind = rest.find(": ").filter(|&end| !rest.get(..end).unwrap_or(" ").contains(' '));
            let (head, rest) = line.split_at(beginning.len() + kind.map_or(0, |end| end + 1));
            return format!("{}{rest}", terminal.paint(style, head));
        }
    }
    if let Some(rest) = line.strip_prefix("SUMMARY: ") {
        return format!("{}{rest}", terminal.paint(BOLD, "SUMMARY: "));
    }
    let body = line.trim_start();
    match (body.starts_with('#'), line.rfind(" (")) {
        (true, Some(module)) => {
            let (place, module) = line.split_at(module);
            format!("{place}{}", terminal.paint(DIM, module))
        }
        _ => line.to_string(),
    }
}
