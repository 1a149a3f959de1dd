//! The list as a table, and what stands below it.

use std::fmt::Write;
use std::io;

use crate::system::{Inventory, Object, State, size};

use super::columns::{Column, Shown};

/// A value that is wider does not widen its column, but is known by its beginning.
const WIDEST: usize = 48;
const BEGINNING: usize = 20;
/// Between two columns.
const GAP: &str = "  ";

/// The table. Where there is a width, columns are left out (if they may be) and the last is cut until it fits.
pub fn table(columns: &[Column], objects: &[&Object], shown: &Shown, width: Option<usize>, may_drop: bool) -> String {
    let mut all: Vec<Filled> = columns.iter().map(|&column| Filled::new(column, objects, shown)).collect();
    if may_drop {
        // Nobody needs a column of dashes.
        all.retain(|filled| !matches!(filled.column, Column::Made | Column::Huge) || filled.says_something());
    }
    let left_out = match width.filter(|_| may_drop) {
        Some(width) => fit(&mut all, width),
        None => Vec::new(),
    };
    let mut text = String::new();
    let titles: Vec<&str> = all.iter().map(|filled| filled.column.title()).collect();
    line(&mut text, &titles, &all, width);
    for at in 0..objects.len() {
        let row: Vec<&str> = all.iter().map(|filled| filled.values.get(at).map_or("", String::as_str)).collect();
        line(&mut text, &row, &all, width);
    }
    if !left_out.is_empty() {
        let said = format!("(no room for {}; --wide has all)", left_out.join(" "));
        text.push_str(&width.map_or_else(|| said.clone(), |width| wrapped(&said, width)));
        text.push('\n');
    }
    text
}

/// A column with its values.
struct Filled {
    column: Column,
    values: Vec<String>,
    width: usize,
}

impl Filled {
    fn new(column: Column, objects: &[&Object], shown: &Shown) -> Filled {
        let values: Vec<String> = objects.iter().map(|object| column.value(object, shown)).collect();
        let width = width(column.title(), &values);
        Filled { column, values, width }
    }

    fn says_something(&self) -> bool {
        self.values.iter().any(|value| !matches!(value.as_str(), "-" | "?"))
    }

    /// The room that it needs: a reason is cut short rather than left out while some of it fits.
    fn least(&self) -> usize {
        const SOME: usize = 20;
        if self.column == Column::Why { self.width.min(SOME) } else { self.width }
    }
}

/// The room of a column with these values.
fn width(title: &str, values: &[String]) -> usize {
    let widths = values.iter().map(String::len).map(|len| if len <= WIDEST { len } else { BEGINNING });
    widths.chain([title.len()]).max().unwrap_or(0)
}

/// Leaves out columns until the rest fits, the most dispensable first, but none that would have fitted; their titles.
fn fit(all: &mut Vec<Filled>, width: usize) -> Vec<&'static str> {
    let needs = |filled: &Filled| filled.least() + GAP.len();
    let must = all.iter().filter(|filled| !Column::DISPENSABLE.contains(&filled.column)).map(needs).sum::<usize>();
    let mut room = (width + GAP.len()).saturating_sub(must);
    let mut left_out = Vec::new();
    for wanted in Column::DISPENSABLE.iter().rev() {
        let Some(filled) = all.iter().find(|filled| filled.column == *wanted) else { continue };
        match room.checked_sub(needs(filled)) {
            Some(rest) => room = rest,
            None => left_out.push(*wanted),
        }
    }
    all.retain(|filled| !left_out.contains(&filled.column));
    left_out.iter().rev().map(|column| column.title()).collect()
}

fn line(text: &mut String, row: &[&str], columns: &[Filled], width: Option<usize>) {
    let mut line = String::new();
    for (value, filled) in row.iter().zip(columns) {
        if !line.is_empty() {
            line.push_str(GAP);
        }
        let widest = filled.width;
        let value =
            if width.is_some() && filled.column != Column::Why { cut(value, widest) } else { value.to_string() };
        // Writing to a string cannot fail.
        let _ = match filled.column.is_number() {
            true => write!(line, "{value:>widest$}"),
            false => write!(line, "{value:<widest$}"),
        };
    }
    let line = line.trim_end();
    text.push_str(&width.map_or_else(|| line.to_string(), |width| cut(line, width)));
    text.push('\n');
}

/// Printable ASCII, cut to so many characters, with two dots where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.len() <= width {
        return text.to_string();
    }
    let kept: String = text.chars().take(width.saturating_sub(2)).collect();
    format!("{kept}..").chars().take(width).collect()
}

/// Totals against limits, and what was not seen; broken between words where there is a width.
pub fn below(inventory: &Inventory, objects: &[&Object], width: Option<usize>) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&width.map_or_else(|| line.clone(), |width| wrapped(&line, width)));
        text.push('\n');
    };
    say(String::new());
    totals(inventory).into_iter().for_each(&mut say);
    let orphans: Vec<_> = inventory.objects.iter().filter(|object| object.state == State::Orphan).collect();
    if !orphans.is_empty() {
        let bytes = orphans.iter().fold(0u64, |sum, object| sum.saturating_add(object.size));
        let many = if orphans.len() == 1 { "1 object" } else { &format!("{} objects", orphans.len()) };
        say(format!("Orphans: {many}, {}. What may go, and why it is safe: shmaudit clean", size(bytes)));
    }
    if objects.len() < inventory.objects.len() {
        say(format!("Listed: {} of {} objects.", objects.len(), inventory.objects.len()));
    }
    for sentence in &inventory.sight.unseen {
        say(format!("Not seen: {sentence}"));
    }
    text
}

/// A text's lines, broken between words where they go to a terminal on standard output.
pub fn folded(text: &str) -> String {
    match rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col)) {
        Ok(width) if width > 0 => text.lines().map(|line| wrapped(line, width) + "\n").collect(),
        _ => text.to_string(),
    }
}

/// A line broken between words, later lines indented.
fn wrapped(text: &str, width: usize) -> String {
    let indent = " ".repeat(text.len() - text.trim_start().len() + 2);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{indent}{word}")),
            None => lines.push(word.to_string()),
        }
    }
    lines.join("\n")
}

/// Totals against limits, a line each.
pub fn totals(inventory: &Inventory) -> Vec<String> {
    let totals = &inventory.totals;
    let mut lines = Vec::new();
    if let Some(segments) = &totals.segments {
        let forced = if segments.rmid_forced { "; shm_rmid_forced removes what nobody attaches" } else { "" };
        lines.push(format!(
            "Segments: {} of {} (shmmni), {} of {} (shmall), the largest may have {} (shmmax); {} in memory, {} in swap{forced}.",
            segments.count,
            segments.shmmni.map_or_else(|| "?".to_string(), |limit| limit.to_string()),
            size(segments.pages.saturating_mul(page())),
            limit(segments.shmall.map(|pages| pages.saturating_mul(page()))),
            limit(segments.shmmax),
            size(segments.resident),
            size(segments.swap),
        ));
    }
    if let Some(mount) = &totals.mount {
        let of = match mount.size {
            0 => String::new(),
            all => format!(" of {} ({}%)", size(all), percent(mount.used, all)),
        };
        lines.push(format!(
            "{}: {}{of} used: {} in files, {} in files without a name; inodes: {} of {}.",
            mount.path,
            size(mount.used),
            size(mount.listed),
            size(mount.unlinked),
            mount.inodes_used,
            if mount.inodes == 0 { "any number".to_string() } else { mount.inodes.to_string() },
        ));
    }
    for huge in totals.huge.iter().filter(|huge| huge.total > 0) {
        let used = huge.total.saturating_sub(huge.free);
        lines.push(format!(
            "Huge pages of {}: {used} of {} used, {} more promised.",
            size(huge.page),
            huge.total,
            huge.reserved
        ));
    }
    if let Some(shmem) = totals.shmem {
        lines.push(format!("Shared memory and tmpfs of the whole machine: {} in memory.", size(shmem)));
    }
    lines
}

fn page() -> u64 {
    rustix::param::page_size() as u64
}

fn percent(part: u64, all: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(all.max(1))).unwrap_or(u64::MAX)
}

/// The kernel's own limits are so large that none is ever met.
fn limit(value: Option<u64>) -> String {
    const NEVER: u64 = 1 << 60;
    match value {
        Some(NEVER..) => "any size".to_string(),
        Some(value) => size(value),
        None => "?".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One very long name does not take all the room, nor leaves it so little that nobody knows it.
    #[test]
    fn long_values_are_known_by_their_beginning() {
        let room = |lengths: &[usize]| width("NAME", &lengths.iter().map(|&len| "x".repeat(len)).collect::<Vec<_>>());
        assert_eq!((room(&[]), room(&[3, 9]), room(&[WIDEST])), (4, 9, WIDEST));
        assert_eq!((room(&[3, 255]), room(&[30, 255])), (BEGINNING, 30));
    }

    #[test]
    fn words_are_kept_whole() {
        assert_eq!(wrapped("one two three", 7), "one two\n  three");
        assert_eq!(wrapped("one longer-than-that x y", 7), "one\n  longer-than-that\n  x y");
        assert_eq!(wrapped("", 7), "");
        assert_eq!(wrapped("    one two", 10), "    one\n      two");
        assert_eq!((cut("abcdef", 4), cut("abc", 3), cut("abc", 1)), ("ab..".into(), "abc".into(), ".".into()));
    }
}
