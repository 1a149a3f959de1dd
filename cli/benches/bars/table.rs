//! Markdown, and numbers as people read them.

use crate::figures::Spread;

/// A table.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these column heads.
    pub fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Table {
        Table { rows: vec![heads.into_iter().map(Into::into).collect()] }
    }

    /// One more row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// As markdown.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = self.rows.iter().map(|row| format!("| {} |", row.join(" | "))).collect();
        let columns = self.rows.first().map_or(0, Vec::len);
        lines.insert(1.min(lines.len()), format!("|{}", "---|".repeat(columns)));
        lines.join("\n")
    }
}

/// Nanoseconds.
pub fn time(nanoseconds: f64) -> String {
    let size = nanoseconds.abs();
    match size {
        _ if size < 99.95 => format!("{nanoseconds:.1} ns"),
        _ if size < 9_999.5 => format!("{} ns", grouped(nanoseconds)),
        _ if size < 999_500.0 => format!("{:.1} us", nanoseconds / 1e3),
        _ if size < 9.995e8 => format!("{:.2} ms", nanoseconds / 1e6),
        _ => format!("{:.2} s", nanoseconds / 1e9),
    }
}

/// With a sign.
pub fn signed(text: String) -> String {
    if text.starts_with('-') { text.replace('-', "−") } else { format!("+{text}") }
}

/// Digits in groups of three.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

/// What something costs: the median, the quartiles, how many times the bare program.
pub fn over(over: Spread, ratio: Spread) -> String {
    let times = if ratio.median < 9.95 { format!("{:.2}", ratio.median) } else { grouped(ratio.median) };
    format!("{} ×{times}", spread(over))
}

/// The median and the quartiles.
pub fn spread(over: Spread) -> String {
    let [low, median, high] = [over.low, over.median, over.high].map(|value| signed(time(value)));
    // One unit is enough where all have the same.
    let unit = median.rsplit(' ').next().unwrap_or("");
    let bare = |text: &str| text.strip_suffix(unit).unwrap_or(text).trim().to_string();
    if low == high { median } else { format!("{median} ({} … {})", bare(&low), bare(&high)) }
}
