//! Findings that are the same but for numbers: a loop's thousand leaks are one thing to tell.

use std::cmp::Reverse;
use std::collections::HashMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use shmaudit_core::report::{self, Finding};

/// Objects that one command removes.
const MOST_REMOVED: usize = 20;

/// Findings with one fingerprint.
pub struct Group<'a> {
    /// The same in every run.
    pub fingerprint: String,
    /// They, at least one, in the order of the report.
    pub findings: Vec<&'a Finding>,
}

impl<'a> Group<'a> {
    /// The one that is shown.
    pub fn first(&self) -> Option<&'a Finding> {
        self.findings.first().copied()
    }

    /// How often they were found.
    pub fn count(&self) -> u64 {
        self.findings.iter().fold(0, |sum, finding| sum.saturating_add(finding.count))
    }

    /// The command that removes them, or as many of them as fit on a line.
    pub fn command(&self) -> Option<String> {
        let mut commands =
            self.findings.iter().filter_map(|finding| finding.hint.command.as_deref()).take(MOST_REMOVED);
        let mut command = commands.next()?.to_string();
        for other in commands {
            // All of one kind: `rm -f A B`, `ipcrm -m 1 -m 2`.
            command.push_str(other.strip_prefix("rm -f").or_else(|| other.strip_prefix("ipcrm"))?);
        }
        Some(command)
    }

    /// What to do, for the next time and now.
    pub fn hint(&self) -> String {
        let advice = self.first().map_or("", |first| first.hint.advice);
        match self.command() {
            Some(command) => format!("{advice} To remove {} now: {command}", self.those()),
            None => advice.to_string(),
        }
    }

    /// What [`Group::command`] removes.
    pub fn those(&self) -> &'static str {
        match self.findings.iter().filter(|finding| finding.hint.command.is_some()).count() {
            0 | 1 => "it",
            2..=MOST_REMOVED => "them",
            _ => "the first of them",
        }
    }

    /// The bytes that they concern.
    pub fn bytes(&self) -> u64 {
        self.findings.iter().fold(0, |sum, finding| sum.saturating_add(finding.bytes))
    }
}

/// The findings by fingerprint: the most severe first, then those of the most bytes together.
pub fn groups<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Group<'a>> {
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for finding in findings {
        let fingerprint = fingerprint(finding);
        let at = *known.entry(fingerprint.clone()).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.findings.push(finding),
            None => groups.push(Group { fingerprint, findings: vec![finding] }),
        }
    }
    groups.sort_by_key(|group| (group.first().map(|first| first.severity), Reverse(group.bytes())));
    groups
}

/// The core's fingerprint, as a document can hold it: 32 hexadecimal digits.
fn fingerprint(finding: &Finding) -> String {
    let digits = HEXLOWER.encode(&Sha256::digest(report::fingerprint(finding).as_bytes()));
    digits.get(..32).unwrap_or(&digits).to_string()
}

#[cfg(test)]
mod tests {
    use shmaudit_core::findings::{Hint, Kind, Severity};
    use shmaudit_core::report::Text;

    use super::*;

    fn leak(name: &str, bytes: u64, severity: Severity) -> Finding {
        let object = report::ObjectRef {
            family: "posix",
            name: Some(Text::from(name.as_bytes())),
            key: None,
            shmid: None,
            dev: 1,
            ino: bytes,
            size: bytes,
            mode: None,
        };
        Finding {
            kind: Kind::PosixLeak.name(),
            severity,
            message: String::new(),
            hint: Hint { advice: "", command: Some(format!("rm -f {name}")) },
            object: Some(object),
            count: 1,
            bytes,
            process: None,
            event: None,
            related: Vec::new(),
            now: None,
        }
    }

    #[test]
    fn the_worst_and_largest_lead() {
        let findings = [
            leak("/one", 5, Severity::Error),
            leak("/many-1", 4, Severity::Error),
            leak("/many-2", 3, Severity::Error),
            leak("/warning", 99, Severity::Warning),
        ];
        let groups = groups(&findings);
        let told: Vec<_> = groups.iter().map(|group| (group.bytes(), group.command().unwrap_or_default())).collect();
        let expected = [(7, "rm -f /many-1 /many-2"), (5, "rm -f /one"), (99, "rm -f /warning")];
        assert_eq!(told, expected.map(|(bytes, command)| (bytes, command.to_string())));
    }
}
