//! JUnit XML: a suite for each recording, in it a test for each kind of finding.
//!
//! A kind of which nothing was found is a test that passed. Findings of severity error are failures, a test for each place,
//! under a name that is the same in every run; warnings and notes pass and say in their output what they are, as they do not
//! change the command's exit status either.

use std::collections::HashSet;
use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event as Xml};
use shmaudit_core::findings::{KINDS, Severity};
use shmaudit_core::report::{Event, Finding, Report, pattern};

use super::Recording;
use super::groups::{Group, groups};
use super::shown::{self, base_name, shown};

/// Findings of a group that are told one by one.
const MOST_ALIKE: usize = 20;

/// A test.
struct Case {
    name: String,
    /// Why it failed: kind, the first message.
    failure: Option<(&'static str, String)>,
    /// What it says.
    text: Option<String>,
}

/// A recording's tests.
struct Suite {
    name: String,
    class: String,
    cases: Vec<Case>,
    summary: String,
}

impl Suite {
    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_some()).count()
    }
}

pub fn write(out: &mut dyn Write, recordings: &[Recording]) -> io::Result<()> {
    let suites: Vec<Suite> = super::told(recordings).into_iter().map(suite).collect();
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(Suite::failures).sum();
    let mut xml = Writer::new_with_indent(&mut *out, b' ', 2);
    xml.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all = xml.create_element("testsuites").with_attribute(("name", "shmaudit"));
    all.with_attributes(numbers(tests, failures).iter().map(|(name, number)| (*name, number.as_str())))
        .write_inner_content(|xml| suites.iter().try_for_each(|suite| write_suite(xml, suite)))?;
    writeln!(out)
}

fn numbers(tests: usize, failures: usize) -> [(&'static str, String); 3] {
    [("tests", tests.to_string()), ("failures", failures.to_string()), ("errors", "0".to_string())]
}

fn write_suite<W: Write>(xml: &mut Writer<W>, suite: &Suite) -> io::Result<()> {
    let numbers = numbers(suite.cases.len(), suite.failures());
    xml.create_element("testsuite")
        .with_attribute(("name", suite.name.as_str()))
        .with_attributes(numbers.iter().map(|(name, number)| (*name, number.as_str())))
        .write_inner_content(|xml| {
            suite.cases.iter().try_for_each(|case| write_case(xml, case, &suite.class))?;
            xml.create_element("system-out").write_text_content(BytesText::new(&suite.summary))?;
            Ok(())
        })?;
    Ok(())
}

fn write_case<W: Write>(xml: &mut Writer<W>, case: &Case, class: &str) -> io::Result<()> {
    let attributes = [("name", case.name.as_str()), ("classname", class), ("time", "0")];
    let element = xml.create_element("testcase").with_attributes(attributes);
    match (&case.failure, &case.text) {
        (None, None) => element.write_empty()?,
        (failure, text) => element.write_inner_content(|xml| {
            let inner = match failure {
                Some((kind, message)) => {
                    xml.create_element("failure").with_attributes([("message", message.as_str()), ("type", kind)])
                }
                None => xml.create_element("system-out"),
            };
            inner.write_text_content(BytesText::new(text.as_deref().unwrap_or_default()))?;
            Ok(())
        })?,
    };
    Ok(())
}

fn suite(report: &Report) -> Suite {
    let command: Vec<String> = report.command.iter().map(shown::text).collect();
    let program = report.command.first().map(shown::text).unwrap_or_default();
    let groups = groups(&report.findings);
    let mut names = HashSet::new();
    let mut cases = Vec::new();
    for kind in KINDS.iter().map(|kind| kind.name()) {
        let of_kind = |group: &&Group| group.first().is_some_and(|first| first.kind == kind);
        let before = cases.len();
        for group in groups.iter().filter(of_kind) {
            let Some(first) = group.first() else { continue };
            let mut name = name(first);
            if !names.insert(name.clone()) {
                // Another way to the same place.
                name.push_str(&format!(" ({})", group.fingerprint.get(..8).unwrap_or_default()));
            }
            let failure = Some((first.kind, first.said())).filter(|_| first.severity == Severity::Error);
            cases.push(Case { name, failure, text: Some(text(group)) });
        }
        if cases.len() == before {
            cases.push(Case { name: kind.to_string(), failure: None, text: None });
        }
    }
    Suite {
        name: format!("shmaudit {}", command.join(" ")),
        class: format!("shmaudit.{}", base_name(&program).replace('.', "_")),
        cases,
        summary: shmaudit_core::text::summary(report),
    }
}

/// `posix-leak: /app-# at make prog.c`: nothing of it changes between runs.
fn name(finding: &Finding) -> String {
    let object = finding.object.as_ref().map(|object| match &object.name {
        Some(name) => pattern(name.to_utf8().as_bytes()),
        None => format!("{} segment", object.family),
    });
    let frame = finding.event.as_ref().and_then(|event| event.stack.place());
    let place = frame.map(|frame| match (&frame.function, &frame.file) {
        (Some(function), Some(file)) => format!("{function} {}", base_name(file)),
        _ => shown::caller(frame),
    });
    let object = object.map_or_else(String::new, |object| format!(" {object}"));
    let place = place.map_or_else(String::new, |place| format!(" at {}", shown(&place)));
    format!("{}:{object}{place}", finding.kind)
}

fn text(group: &Group) -> String {
    let mut text = String::new();
    for finding in group.findings.iter().take(MOST_ALIKE) {
        text.push_str(&finding.said());
        text.push('\n');
    }
    if group.findings.len() > MOST_ALIKE {
        let more = group.findings.len() - MOST_ALIKE;
        text.push_str(&format!("and {more} more of the same from there, {} bytes in all.\n", group.bytes()));
    }
    let Some(first) = group.first() else { return text };
    if let Some(event) = &first.event {
        stack(&mut text, event);
    }
    for related in &first.related {
        text.push_str(&format!("{} by {} in process {}:\n", related.what, related.event.call, related.event.pid));
        stack(&mut text, &related.event);
    }
    text.push_str(&format!("{}\n", group.hint()));
    text
}

fn stack(text: &mut String, event: &Event) {
    for (number, frame) in shown::above_main(event.stack.frames()).iter().enumerate() {
        text.push_str(&format!("    #{number} {}\n", shown::caller(frame)));
    }
}
