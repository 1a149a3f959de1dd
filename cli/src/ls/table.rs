//! The list as a table, and what stands below it.

use std::fmt::Write;

use crate::system::{Inventory, Object, State, size};

use super::columns::{Column, Shown};

/// A value that is wider does not widen its column.
const WIDEST: usize = 48;

/// The table. Where there is a width, columns are left out (if they may be) and the last is cut until it fits.
pub fn table(columns: &[Column], objects: &[&Object], shown: &Shown, width: Option<usize>, may_drop: bool) -> String {
    let mut columns: Vec<Column> = columns.to_vec();
    // Nobody needs a column of dashes.
    if may_drop && objects.iter().all(|object| object.made.is_none()) {
        columns.retain(|&column| column != Column::Made);
    }
    if may_drop && objects.iter().all(|object| object.huge != Some(true)) {
        columns.retain(|&column| column != Column::Huge);
    }
    let left_out = match width.filter(|_| may_drop) {
        Some(width) => fit(&mut columns, objects, shown, width),
        None => Vec::new(),
    };
    let rows: Vec<Vec<String>> =
        objects.iter().map(|object| columns.iter().map(|column| column.value(object, shown)).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let values = rows.iter().filter_map(|row| row.get(at)).map(String::len).filter(|&len| len <= WIDEST);
            values.chain([column.title().len()]).max().unwrap_or(0)
        })
        .collect();
    let titles = columns.iter().map(|column| column.title().to_string()).collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(&rows) {
        line(&mut text, row, &columns, &widths, width);
    }
    if !left_out.is_empty() {
        let titles: Vec<&str> = left_out.iter().map(|column| column.title()).collect();
        text.push_str(&format!("(no room for {}; --wide has all)\n", titles.join(" ")));
    }
    text
}

/// Leaves out columns until the rest fits, the most dispensable first, but none that would have fitted; which.
fn fit(columns: &mut Vec<Column>, objects: &[&Object], shown: &Shown, width: usize) -> Vec<Column> {
    let all = columns.clone();
    columns.retain(|column| !Column::DISPENSABLE.contains(column));
    for wanted in Column::DISPENSABLE.iter().rev().filter(|column| all.contains(column)) {
        let with: Vec<Column> =
            all.iter().copied().filter(|column| columns.contains(column) || column == wanted).collect();
        if least(&with, objects, shown) <= width {
            *columns = with;
        }
    }
    all.into_iter().filter(|column| !columns.contains(column)).collect()
}

/// The room that the columns need; the reason is cut short rather than left out while some of it fits.
fn least(columns: &[Column], objects: &[&Object], shown: &Shown) -> usize {
    const SOME: usize = 20;
    let width = |column: Column| {
        let values = objects.iter().map(|object| column.value(object, shown).len());
        let widest = values.chain([column.title().len()]).max().unwrap_or(0).min(WIDEST);
        if column == Column::Why { widest.min(SOME) } else { widest }
    };
    columns.iter().map(|&column| width(column) + 2).sum::<usize>().saturating_sub(2)
}

fn line(text: &mut String, row: &[String], columns: &[Column], widths: &[usize], width: Option<usize>) {
    let mut line = String::new();
    for ((value, column), &widest) in row.iter().zip(columns).zip(widths) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let value = if width.is_some() && *column != Column::Why { cut(value, widest) } else { value.clone() };
        // Writing to a string cannot fail.
        let _ = match column.is_number() {
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

/// Text broken between words, later lines indented.
fn wrapped(text: &str, width: usize) -> String {
    const INDENT: &str = "  ";
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let first = lines.len() == 1;
        if let Some(line) = lines.last_mut() {
            if line.trim().is_empty() || line.len() + 1 + word.len() <= width {
                let gap = if line.is_empty() || line == INDENT && !first { "" } else { " " };
                line.push_str(gap);
                line.push_str(word);
                continue;
            }
        }
        lines.push(format!("{INDENT}{word}"));
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
            "{}: {}{of} used: {} in files, {} in files without a name; {} inodes of {}.",
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

    #[test]
    fn words_are_kept_whole() {
        assert_eq!(wrapped("one two three", 7), "one two\n  three");
        assert_eq!(wrapped("one longer-than-that x y", 7), "one\n  longer-than-that\n  x y");
        assert_eq!(wrapped("", 7), "");
        assert_eq!((cut("abcdef", 4), cut("abc", 3), cut("abc", 1)), ("ab..".into(), "abc".into(), ".".into()));
    }
}
