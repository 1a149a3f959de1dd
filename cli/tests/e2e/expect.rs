//! `.expect` files: what a scenario program comes to.
//!
//! | line | says |
//! |---|---|
//! | `status: 3`, `status: signal SIGABRT` | how the program ends; 0 if not said |
//! | `libs: -lrt` | what it is linked with |
//! | `needs: glibc` | musl has not what it uses |
//! | `no-report` | it ends in a way that leaves no time for a report |
//! | `KIND SEVERITY LABEL bytes=N count=N FUNCTION FILE:LINE` | a finding |
//! | `# …` | nothing |

use std::collections::BTreeSet;

/// What an `.expect` file says.
#[derive(Debug)]
pub struct Expect {
    /// How the program ends.
    pub status: String,
    /// What it is linked with.
    pub libs: Vec<String>,
    /// Whether only glibc has what it uses.
    pub glibc: bool,
    /// Whether there is a report.
    pub report: bool,
    /// The findings, one line each.
    pub findings: BTreeSet<String>,
}

impl Expect {
    /// Reads the text of a file; a line that is none of the above is an error.
    pub fn parse(text: &str) -> Result<Expect, String> {
        let mut expect =
            Expect { status: "0".to_string(), libs: Vec::new(), glibc: false, report: true, findings: BTreeSet::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(status) = line.strip_prefix("status: ") {
                expect.status = status.to_string();
            } else if let Some(libs) = line.strip_prefix("libs: ") {
                expect.libs = libs.split_whitespace().map(ToString::to_string).collect();
            } else if line == "needs: glibc" {
                expect.glibc = true;
            } else if line == "no-report" {
                expect.report = false;
            } else if is_finding(line) {
                expect.findings.insert(line.to_string());
            } else {
                return Err(format!("what is this line? {line}"));
            }
        }
        Ok(expect)
    }

    /// Label and bytes of each leak.
    pub fn leaks(&self) -> BTreeSet<(String, u64)> {
        let leak = |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            let bytes = words.get(3)?.strip_prefix("bytes=")?.parse().ok()?;
            words.first()?.ends_with("-leak").then(|| (words.get(2).unwrap_or(&"").to_string(), bytes))
        };
        self.findings.iter().filter_map(leak).collect()
    }
}

fn is_finding(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, severity, _, bytes, count, _, place] = words.as_slice() else { return false };
    matches!(*severity, "error" | "warning" | "note")
        && bytes.strip_prefix("bytes=").is_some_and(|number| number.parse::<u64>().is_ok())
        && count.strip_prefix("count=").is_some_and(|number| number.parse::<u64>().is_ok())
        && place.split_once(':').is_some_and(|(_, line)| line.parse::<u32>().is_ok())
}
