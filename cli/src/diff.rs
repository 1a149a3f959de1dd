//! `shmaudit diff`: what of one recording is new, gone or more in another.
//!
//! Things are the same in both by their [fingerprints](fingerprint_of): numbers in names, pids, lines do not count. Both sides are
//! read as reports in JSON; of a recording, the report is made first.

mod input;
mod written;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use shmaudit_core::report::{fingerprint_of, pattern, way};

use crate::formats::Terminal;
use input::{Event, Finding, Missing, Object, Side};
pub use written::Format;

/// What has become of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    /// It was not there before.
    Appeared,
    /// There is more of it.
    Grew,
    /// It is not there any more.
    Vanished,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Amount {
    /// How many, or how often.
    count: u64,
    /// Their bytes.
    bytes: u64,
    /// Of objects: how many still exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
}

/// One thing that is in either side.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    change: Change,
    /// Of findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    /// Of findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Name or place.
    what: String,
    before: Amount,
    after: Amount,
}

/// What has changed.
#[derive(Debug, Serialize)]
struct Difference {
    schema: &'static str,
    findings: Vec<Entry>,
    objects: Vec<Entry>,
    call_sites: Vec<Entry>,
    missing: Missings,
}

/// What neither side tells.
#[derive(Clone, Copy, Debug, Serialize)]
struct Missings {
    before: Missing,
    after: Missing,
}

/// Compares two recordings or reports; the number of findings of severity error that are new or more.
pub fn diff(before: &Path, after: &Path, format: Format) -> Result<u64, String> {
    let difference = Difference::of(&input::read(before)?, &input::read(after)?);
    let mut out = std::io::stdout().lock();
    crate::report::ended(written::write(&mut out, &difference, format, Terminal::of_stdout()))?;
    Ok(difference.new_errors())
}

impl Difference {
    fn of(before: &Side, after: &Side) -> Difference {
        let mut tables: [Table; 3] = Default::default();
        for (side, of) in [(before, Which::Before), (after, Which::After)] {
            let [findings, objects, sites] = &mut tables;
            side.findings().for_each(|finding| findings.add_finding(finding, of));
            side.objects().for_each(|object| {
                objects.add_object(object, of);
                sites.add_site(object, of);
            });
        }
        let [findings, objects, call_sites] = tables.map(Table::entries);
        let missing = Missings { before: before.missing(), after: after.missing() };
        Difference { schema: "shmaudit-diff/1", findings, objects, call_sites, missing }
    }

    fn new_errors(&self) -> u64 {
        let new = |entry: &&Entry| entry.change != Change::Vanished && entry.severity.as_deref() == Some("error");
        self.findings.iter().filter(new).count() as u64
    }
}

#[derive(Clone, Copy)]
enum Which {
    Before = 0,
    After = 1,
}

/// Things by what they are.
#[derive(Default)]
struct Table(BTreeMap<Vec<String>, Row>);

/// One thing.
struct Row {
    severity: Option<String>,
    kind: Option<String>,
    name: String,
    place: String,
    amounts: [Amount; 2],
}

impl Table {
    fn add_finding(&mut self, finding: &Finding, which: Which) {
        let way = way_to(finding.event.as_ref());
        let label = finding.object.as_ref().map(Object::label);
        let key = vec![fingerprint_of(&finding.kind, label, &way)];
        let object = finding.object.as_ref().map(Object::shown).unwrap_or_default();
        let place = finding.event.as_ref().map(|event| format!("{} at {}", event.call, event.place()));
        let comma = if object.is_empty() || place.is_none() { "" } else { ", " };
        let row = self.row(key, object, format!("{comma}{}", place.unwrap_or_default()));
        row.severity = Some(finding.severity.clone());
        row.kind = Some(finding.kind.clone());
        row.add(which, Amount { count: finding.count, bytes: finding.bytes, left: None });
    }

    fn add_object(&mut self, object: &Object, which: Which) {
        let way = way_to(object.created.as_ref());
        let named = object.name.is_some() || object.key.as_deref().is_some_and(|key| key != "IPC_PRIVATE");
        // What has no name of its own is known by the place that made it.
        let key = match named {
            true => vec![object.label().lasting(&[])],
            false => [vec![object.family.clone()], way].concat(),
        };
        let place = object.created.as_ref().filter(|_| !named).map(|event| format!(" of {}", event.place()));
        let amount = Amount { count: 1, bytes: object.size, left: Some(u64::from(object.exists)) };
        self.row(key, object.shown(), place.unwrap_or_default()).add(which, amount);
    }

    fn add_site(&mut self, object: &Object, which: Which) {
        let Some(created) = &object.created else { return };
        let way = way_to(Some(created));
        let callers: Vec<&str> = way.iter().skip(1).filter_map(|step| Some(step.rsplit_once(" (")?.0)).collect();
        let by = if callers.is_empty() { String::new() } else { format!(", by {}", callers.join(" < ")) };
        let what = format!("{} at {}{by}", created.call, created.place());
        let key = [vec![created.call.clone()], way].concat();
        let amount = Amount { count: 1, bytes: object.size, left: Some(u64::from(object.exists)) };
        self.row(key, String::new(), what).add(which, amount);
    }

    fn row(&mut self, key: Vec<String>, name: String, place: String) -> &mut Row {
        let new = || Row {
            severity: None,
            kind: None,
            name: name.clone(),
            place: String::new(),
            amounts: Default::default(),
        };
        let row = self.0.entry(key).or_insert_with(new);
        if row.name != name {
            // Several that differ in numbers only.
            row.name = pattern(row.name.as_bytes());
        }
        // Of two versions of a source, the later one's line.
        row.place = place;
        row
    }

    /// What has changed, findings by severity, then what is new first.
    fn entries(self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.0.into_values().filter_map(Row::entry).collect();
        let severity = |entry: &Entry| ["error", "warning"].iter().position(|of| entry.severity.as_deref() == Some(of));
        entries.sort_by_key(|entry| {
            (severity(entry).unwrap_or(2), entry.change, std::cmp::Reverse(entry.after.bytes), entry.what.clone())
        });
        entries
    }
}

impl Row {
    fn add(&mut self, which: Which, more: Amount) {
        let Some(amount) = self.amounts.get_mut(which as usize) else { return };
        amount.count = amount.count.saturating_add(more.count);
        amount.bytes = amount.bytes.saturating_add(more.bytes);
        amount.left = more.left.map(|left| amount.left.unwrap_or(0).saturating_add(left));
    }

    fn entry(self) -> Option<Entry> {
        let [mut before, mut after] = self.amounts;
        let grown = after.count > before.count || after.bytes > before.bytes || after.left > before.left;
        let change = match (before.count, after.count) {
            (0, _) => Change::Appeared,
            (_, 0) => Change::Vanished,
            _ if grown => Change::Grew,
            _ => return None,
        };
        if before.left.is_some() || after.left.is_some() {
            before.left = before.left.or(Some(0));
            after.left = after.left.or(Some(0));
        }
        Some(Entry {
            change,
            severity: self.severity,
            kind: self.kind,
            what: format!("{}{}", self.name, self.place),
            before,
            after,
        })
    }
}

fn way_to(event: Option<&Event>) -> Vec<String> {
    way(event.iter().flat_map(|event| event.places()))
}

#[cfg(test)]
mod tests;
