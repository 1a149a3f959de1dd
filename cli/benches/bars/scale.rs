//! What the cost does when there is more of everything: threads, living objects, living mappings.

use std::fs;

use serde_json::{Value, json};

use crate::figures::{Series, Turn, rounds, sample};
use crate::lttng::Lttng;
use crate::place::Place;
use crate::table::{self, Table};
use crate::tools::{BARE, Contender, STACKS_16};
use crate::works::{Shape, work};

/// One work in one size, bare and with the library.
pub struct Scaled {
    /// The work's name.
    pub name: &'static str,
    /// What there is more of.
    pub of: &'static str,
    /// How many.
    pub size: usize,
    /// The bare program.
    pub bare: Series,
    /// The library.
    pub audited: Series,
}

/// One and two threads.
pub fn threads(place: &Place, quick: bool, step: &dyn Fn(&str)) -> Vec<Scaled> {
    step("threads");
    let mut all = Vec::new();
    for name in ["deep", "fstat", "posix"] {
        for threads in [1, 2] {
            let shape = |contender: &Contender| Shape { threads, ..contender.shape(work(name), 15, 2.0) };
            let (bare, audited) = pair(place, name, shape, if quick { 3 } else { 9 });
            all.push(Scaled { name, of: "threads", size: threads, bare, audited });
        }
    }
    all
}

/// Ten to a hundred thousand of what can live.
pub fn live(place: &Place, quick: bool, step: &dyn Fn(&str)) -> Vec<Scaled> {
    let segments = fs::read_to_string("/proc/sys/kernel/shmmni").ok().and_then(|text| text.trim().parse().ok());
    // Some are left for everybody else.
    let segments = segments.map_or(4000usize, |most: usize| (most * 15 / 16).min(100_000));
    let mut all = Vec::new();
    let kinds = [
        ("posix", "living POSIX objects", 100_000),
        ("mapping", "living mappings of an object", 100_000),
        ("sysv", "living segments", segments),
    ];
    for (name, of, most) in kinds {
        step(of);
        for live in [10, 1000, most] {
            let shape = |contender: &Contender| Shape { live, ..contender.shape(work(name), 15, 2.0) };
            let (bare, audited) = pair(place, name, shape, if quick { 1 } else { 5 });
            all.push(Scaled { name, of, size: live, bare, audited });
        }
    }
    all
}

fn pair(place: &Place, name: &str, shape: impl Fn(&Contender) -> Shape, count: usize) -> (Series, Series) {
    let lttng = Lttng::default();
    let turn = |contender: &'static Contender| {
        let ready = contender.ready(place, work(name), &lttng);
        let shape = shape(contender);
        let once = move || sample(&ready.as_ref().map_err(Clone::clone)?.output(shape)?);
        Turn { every: 1, once: Box::new(once) }
    };
    let mut series = rounds(count, vec![turn(BARE), turn(STACKS_16)]).into_iter();
    (series.next().unwrap_or_default(), series.next().unwrap_or_default())
}

impl Scaled {
    fn cells(&self) -> [String; 2] {
        if let Some(why) = self.bare.skipped.as_ref().or(self.audited.skipped.as_ref()) {
            return [format!("skipped: {why}"), String::new()];
        }
        let bare = self.bare.spread().map_or("–".into(), |spread| table::time(spread.median));
        let over = self.audited.over(&self.bare).zip(self.audited.ratio(&self.bare));
        [bare, over.map_or("–".into(), |(over, ratio)| table::over(over, ratio))]
    }
}

/// A row a work and number of threads.
pub fn threads_table(all: &[Scaled]) -> String {
    let mut table = Table::new(["a call in each thread", "threads", "bare", STACKS_16.name]);
    for scaled in all {
        let start = [work(scaled.name).title.to_string(), scaled.size.to_string()];
        table.row(start.into_iter().chain(scaled.cells()));
    }
    table.text()
}

/// A row a work and number of objects.
pub fn live_table(all: &[Scaled]) -> String {
    let mut table = Table::new(["a call or cycle", "beside", "bare", STACKS_16.name]);
    for scaled in all {
        let beside = format!("{} {}", table::grouped(scaled.size as f64), scaled.of);
        table.row([work(scaled.name).title.to_string(), beside].into_iter().chain(scaled.cells()));
    }
    table.text()
}

/// As JSON.
pub fn json(all: &[Scaled]) -> Value {
    let rows = all.iter().map(|scaled| {
        json!({
            "work": work(scaled.name).title,
            "of": scaled.of,
            "size": scaled.size,
            "unit": "ns",
            "bare": scaled.bare.json(&scaled.bare),
            "audited": scaled.audited.json(&scaled.bare),
        })
    });
    rows.collect()
}
