//! The bars, and whether they are met.

use serde_json::{Value, json};

use crate::calls::Calls;
use crate::figures::Spread;
use crate::million::Million;
use crate::processes::Processes;
use crate::scale::Scaled;
use crate::table::{self, Table};
use crate::tools::{Contender, LOG, STACKS_0, STACKS_16};
use crate::works::work;

/// What is measured against a bar.
#[derive(Clone, Copy)]
enum Unit {
    /// Nanoseconds over the bare program.
    Over,
    /// Times the bare program.
    Ratio,
    /// Nanoseconds.
    Time,
    /// Bytes.
    Bytes,
}

/// A bar and what was measured.
pub struct Bar {
    work: String,
    unit: Unit,
    bar: f64,
    found: Result<Spread, String>,
}

const MIB: f64 = 1_048_576.0;

/// All bars.
pub fn judge(calls: &Calls, live: &[Scaled], processes: &Processes, million: &Million) -> Vec<Bar> {
    let over = |name: &str, with: &str, contender: &'static Contender, bar: f64| {
        let found = calls.pair(name, contender).ok_or("not measured".to_string());
        let found = found.and_then(|(series, bare)| series.over(bare).ok_or("no figures".into()));
        Bar { work: format!("{}{with}", work(name).title), unit: Unit::Over, bar, found }
    };
    let ratio = |name: &str, with: &str, contender: &'static Contender, bar: f64| {
        let found = calls.pair(name, contender).ok_or("not measured".to_string());
        let found = found.and_then(|(series, bare)| series.ratio(bare).ok_or("no figures".into()));
        Bar { work: format!("{}{with}", work(name).title), unit: Unit::Ratio, bar, found }
    };
    let mut bars = vec![
        over("get", ", stacks=0", STACKS_0, 60.0),
        over("deep", ", stacks=16", STACKS_16, 220.0),
        over("varied", ", stacks=16", STACKS_16, 220.0),
        ratio("sysv", ", stacks=16", STACKS_16, 1.08),
        ratio("posix", ", stacks=16", STACKS_16, 1.12),
        ratio("anonymous", "", STACKS_16, 1.01),
        over("dup", "", STACKS_16, 5.0),
        over("deep", ", a text line each to a file", LOG, 2_000.0),
    ];
    let start = processes.start.over(&processes.start_bare).ok_or("no figures".to_string());
    bars.push(Bar { work: "start-up of `true`".into(), unit: Unit::Over, bar: 1.5e6, found: start });
    for name in ["posix", "mapping", "sysv"] {
        let of = |scaled: &&Scaled| scaled.name == name;
        let (Some(few), Some(many)) = (live.iter().find(of), live.iter().rfind(of)) else { continue };
        bars.push(Bar {
            work: format!(
                "{} beside {} {}, against beside {}",
                work(name).title,
                table::grouped(many.size as f64),
                many.of,
                few.size
            ),
            unit: Unit::Ratio,
            bar: 1.2,
            found: grown(few, many).ok_or("no figures".into()),
        });
    }
    let exact = |value: f64| Spread { low: value, median: value, high: value };
    bars.extend([
        Bar {
            work: "report over 1,000,000 records".into(),
            unit: Unit::Time,
            bar: 1e9,
            found: million.took().map(exact),
        },
        Bar {
            work: "its memory, the records not counted".into(),
            unit: Unit::Bytes,
            bar: 200.0 * MIB,
            found: million.memory().map(exact),
        },
        Bar {
            work: "the library, stripped".into(),
            unit: Unit::Bytes,
            bar: 1.5 * MIB,
            found: processes.size.clone().map(exact),
        },
    ]);
    bars
}

/// How the cost of a call has grown, what the kernel's own has grown by taken out.
fn grown(few: &Scaled, many: &Scaled) -> Option<Spread> {
    let (few_ratio, many_ratio) = (few.audited.ratio(&few.bare)?, many.audited.ratio(&many.bare)?);
    let against = few_ratio.median;
    Some(Spread { low: many_ratio.low / against, median: many_ratio.median / against, high: many_ratio.high / against })
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Unit::Over => table::signed(table::time(value)),
            Unit::Ratio => format!("×{value:.3}"),
            Unit::Time => table::time(value),
            Unit::Bytes => format!("{:.2} MiB", value / MIB),
        }
    }
}

impl Bar {
    fn verdict(&self) -> String {
        let Ok(found) = &self.found else { return "–".into() };
        if found.median <= self.bar {
            return "met".into();
        }
        let noise = if found.low <= self.bar { ", within the spread" } else { "" };
        let by = match self.unit {
            Unit::Over => table::time(found.median - self.bar),
            Unit::Ratio => format!("{:.3}", found.median - self.bar),
            unit => unit.text(found.median - self.bar),
        };
        format!("missed by {by}{noise}")
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let unit = match self.unit {
            Unit::Over => "ns over bare",
            Unit::Ratio => "ratio",
            Unit::Time => "ns",
            Unit::Bytes => "bytes",
        };
        match &self.found {
            Ok(found) => json!({
                "work": self.work, "unit": unit, "bar": self.bar, "found": found.json(), "met": found.median <= self.bar,
            }),
            Err(why) => json!({ "work": self.work, "unit": unit, "bar": self.bar, "skipped": why }),
        }
    }
}

/// A row a bar.
pub fn table(bars: &[Bar]) -> String {
    let mut table = Table::new(["work", "bar", "measured", "spread", ""]);
    for bar in bars {
        let (measured, spread) = match &bar.found {
            Ok(found) if found.low == found.high => (bar.unit.text(found.median), String::new()),
            Ok(found) => {
                let [low, high] = [found.low, found.high].map(|value| bar.unit.text(value));
                (bar.unit.text(found.median), format!("{low} … {high}"))
            }
            Err(why) => (format!("skipped: {why}"), String::new()),
        };
        table.row([bar.work.clone(), bar.unit.text(bar.bar), measured, spread, bar.verdict()]);
    }
    table.text()
}
