//! Suppressions made of a report: for each finding a rule that takes it away next time, as narrow as the grammar allows.

use alloc::format;
use alloc::string::String;

use super::Suppressions;
use crate::findings::{Kind, pattern::pattern};
use crate::report::{Finding, Frame, Report, Text};

/// Letters and digits that a pattern of a name must have: with fewer it would take too much.
const FEWEST: usize = 3;

/// A file of suppressions for everything that `report` tells and `known` does not take. Each rule stands under the sentence
/// that it is made of.
pub fn written(report: &Report, known: &Suppressions) -> String {
    let mut text = String::new();
    let mut made = Suppressions::none();
    for finding in &report.findings {
        if takes(&made, finding) || takes(known, finding) {
            continue;
        }
        let rule = rule(finding);
        made.add(rule.as_bytes());
        text.push_str(&format!("# {}\n{rule}\n", finding.message));
    }
    text
}

fn takes(rules: &Suppressions, finding: &Finding) -> bool {
    let kind = Kind::from_name(finding.kind.as_bytes());
    kind.is_some_and(|kind| rules.matching(kind, finding.texts()).is_some())
}

/// The narrowest rule for a finding.
fn rule(finding: &Finding) -> String {
    let takes = |rule: &String| {
        let mut rules = Suppressions::none();
        rules.add(rule.as_bytes()).is_empty() && takes(&rules, finding)
    };
    let globs = globs(finding);
    let mut rules = globs.into_iter().flatten().map(|glob| format!("{}:{glob}", finding.kind));
    rules.find(takes).unwrap_or_else(|| format!("{}:*", finding.kind))
}

/// What could be matched, from the best on. What many objects from one place have in common is the place.
fn globs(finding: &Finding) -> [Option<String>; 7] {
    let object = finding.object.as_ref();
    let frames = finding.event.as_ref().map_or(&[][..], |event| event.stack.frames());
    let name = object.and_then(|object| object.name.as_ref()).and_then(of_name);
    let key = object.and_then(|object| object.key.as_deref());
    let private = key.filter(|key| !key.starts_with("0x"));
    let place = frames.iter().find(|frame| frame.file.is_some()).or(frames.first());
    let function = place.and_then(|frame| frame.function.as_deref());
    let within = function.filter(|function| *function != "main");
    let module = place.and_then(of_module);
    let many = finding.count > 1;
    [
        if many { within.map(whole) } else { None },
        name,
        key.filter(|_| private.is_none()).map(whole),
        within.map(whole),
        private.map(whole),
        function.map(whole),
        module,
    ]
}

fn of_name(name: &Text) -> Option<String> {
    let glob = pattern(name.bytes());
    let letters = glob.bytes().filter(u8::is_ascii_alphanumeric).count();
    if letters < FEWEST { None } else { Some(format!("^{glob}$")) }
}

fn of_module(frame: &Frame) -> Option<String> {
    let module = frame.module.as_deref()?;
    Some(format!("{}$", tame(module.rsplit('/').next().unwrap_or(module))))
}

/// This text and no other.
fn whole(text: &str) -> String {
    format!("^{}$", tame(text))
}

/// What the grammar reads as signs stands open, and so do bytes that a line cannot have.
fn tame(text: &str) -> String {
    let open = |c: char| matches!(c, '*' | '^' | '$') || c.is_control();
    text.replace(open, "*")
}

#[cfg(test)]
mod tests;
