//! Whether what a run reported is what its scenario comes to.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clean::Left;
use crate::expect::Expect;
use crate::report::{self, Finding};
use crate::run::Ended;
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Verdict};
use crate::{check, fail};

/// How exactly call sites are compared: not every build of a program can tell them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sites {
    /// Function, file and line.
    Lines,
    /// Neither.
    Unknown,
}

/// Compares the reports in `directory` with what the scenario comes to.
pub fn reports(scenario: &Scenario, directory: &Path, ended: &Ended, sites: Sites) -> Verdict {
    let expect = scenario.expect()?;
    let source = format!("{}.c", scenario.name);
    let reports = report::read_all(directory)?;
    let count: usize = reports.iter().map(|(_, reports)| reports.len()).sum();
    if !expect.report {
        check!(count == 0, "{count} reports where none can be");
        return Ok(());
    }
    check!(count > 0, "no report was written; standard error:{}", Shown(&ended.stderr));
    let mut found = Vec::new();
    for (_, reports) in &reports {
        for report in reports {
            found.extend(report.findings(&source));
        }
    }
    findings(expect, found, sites)
}

fn findings(expect: &Expect, found: Vec<Finding>, sites: Sites) -> Verdict {
    let cut = |line: &str| match sites {
        Sites::Lines => line.to_string(),
        Sites::Unknown => line.rsplitn(3, ' ').last().unwrap_or(line).to_string(),
    };
    // A finding that two reports name is two findings.
    let mut found: Vec<String> = found.iter().map(|finding| cut(&finding.to_string())).collect();
    found.sort();
    let mut wanted: Vec<String> = expect.findings.iter().map(|line| cut(line)).collect();
    wanted.sort();
    if found != wanted {
        let lines = |lines: &[String], others: &[String]| {
            let marked = |line: &String| format!("\n  {} {line}", if others.contains(line) { ' ' } else { '!' });
            if lines.is_empty() { " nothing".to_string() } else { lines.iter().map(marked).collect() }
        };
        fail!("found:{}\nexpected:{}", lines(&found, &wanted), lines(&wanted, &found));
    }
    Ok(())
}

/// Compares what was left behind with what the plain program left.
pub fn left(audited: &BTreeSet<Left>, plain: &BTreeSet<Left>) -> Result<(), Stop> {
    check!(audited == plain, "left behind: {audited:?}\nthe plain program leaves: {plain:?}");
    Ok(())
}
