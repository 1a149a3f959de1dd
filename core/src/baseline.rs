//! Baselines: a former report, so that only what is new counts.
//!
//! Findings are matched by [`fingerprint`](crate::report::fingerprint()). Of leaks so many are known as the former report
//! had: one more of the same is new. How often anything else happened differs from run to run, and does not count.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;

use crate::findings::Kind;
use crate::report::{self, Finding, Known, Label, Place, Report, SCHEMA, fingerprint, fingerprint_of, way};

/// What a former report told.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    known: BTreeMap<String, Former>,
    /// Fingerprints by what they are where no function's own file is told: stripped builds do not tell it.
    bare: BTreeMap<String, BTreeSet<String>>,
}

/// Findings of one fingerprint.
#[derive(Clone, Copy, Debug)]
struct Former {
    /// How many there were.
    number: u64,
    /// How many of them have not been met again.
    left: u64,
    /// Whether that many are all that is known.
    counted: bool,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    findings: Vec<FormerFinding>,
}

#[derive(Deserialize)]
struct FormerFinding {
    kind: String,
    object: Option<FormerObject>,
    event: Option<FormerEvent>,
}

#[derive(Deserialize)]
struct FormerObject {
    family: String,
    name: Option<String>,
    key: Option<String>,
}

#[derive(Deserialize)]
struct FormerEvent {
    stack: Vec<FormerFrame>,
}

#[derive(Deserialize)]
struct FormerFrame {
    function: Option<String>,
    unit: Option<String>,
    module: Option<String>,
    offset: Option<String>,
}

impl Baseline {
    /// Reads a report in JSON, or several one after the other. An error says where it is none, and why.
    pub fn parse(text: &[u8]) -> Result<Baseline, String> {
        let mut baseline = Baseline::default();
        let mut documents = 0;
        for document in serde_json::Deserializer::from_slice(text).into_iter::<Document>() {
            let document = document.map_err(|error| format!("not a report in JSON: {error}"))?;
            if document.schema != SCHEMA {
                let schema: String = document.schema.escape_debug().take(80).collect();
                return Err(format!("a report of schema \"{schema}\"; this shmaudit reads {SCHEMA}"));
            }
            documents += 1;
            document.findings.iter().for_each(|finding| baseline.add(finding));
        }
        if documents == 0 { Err("empty, not a report in JSON".to_string()) } else { Ok(baseline) }
    }

    fn add(&mut self, finding: &FormerFinding) {
        let frames = finding.event.iter().flat_map(|event| &event.stack);
        let places: Vec<Place> = frames
            .map(|frame| Place {
                function: frame.function.as_deref(),
                unit: frame.unit.as_deref(),
                module: frame.module.as_deref(),
                offset: Cow::Borrowed(frame.offset.as_deref().unwrap_or("")),
            })
            .collect();
        let object = finding.object.as_ref();
        let object = object.map(|object| Label {
            family: &object.family,
            name: object.name.as_deref(),
            key: object.key.as_deref(),
        });
        let leak = Kind::from_name(finding.kind.as_bytes()).is_some_and(Kind::is_leak);
        let bare = way(places.iter().map(|place| Place { unit: None, ..place.clone() }));
        let bare = fingerprint_of(&finding.kind, object, &bare);
        let print = fingerprint_of(&finding.kind, object, &way(places));
        self.bare.entry(bare).or_default().insert(print.clone());
        let former = self.known.entry(print).or_insert(Former { number: 0, left: 0, counted: leak });
        former.number += 1;
        former.left += 1;
    }

    /// Leaves out of `report` what is known and was not met in another report before. The last one tells what is gone.
    pub fn apply(&mut self, report: &mut Report, last: bool) {
        let mut known = Known::default();
        report.leave_out(|finding| {
            let is_known = self.takes(finding);
            known.known += u64::from(is_known);
            is_known
        });
        if last {
            // Of what is not counted, one is as good as many.
            let gone = self.known.values().filter(|former| former.counted || former.left == former.number);
            known.gone = gone.fold(0, |sum, former| sum.saturating_add(former.left));
        }
        report.baseline = Some(known);
    }

    /// Whether the finding is one of the known ones, which is then used up.
    fn takes(&mut self, finding: &Finding) -> bool {
        let print = fingerprint(finding);
        let mut take = |print: &String| match self.known.get_mut(print) {
            Some(Former { left: 0, counted: true, .. }) | None => false,
            Some(former) => {
                former.left = former.left.saturating_sub(1);
                true
            }
        };
        if take(&print) {
            return true;
        }
        // One of the two tells of files, and the other does not.
        let bare = report::bare(finding);
        let others = self.bare.get(&bare).into_iter().flatten();
        others.filter(|&other| *other != print && (print == bare || *other == bare)).any(take)
    }
}

#[cfg(test)]
mod tests;
