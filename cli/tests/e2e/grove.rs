//! A property: whatever random trees of processes do with shared memory, and whoever of them is killed, what `shmaudit run`
//! says is leaked is what the kernel says is there.
//!
//! `SHMAUDIT_GROVE_SEEDS=FIRST..LAST` runs others than the usual seeds. A seed that fails is made smaller by itself: fewer
//! trees, processes and operations, no kills, as long as it still fails.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::build::{self, Variant};
use crate::machine::prepare;
use crate::trial::{Stop, Trials, Verdict};
use crate::{check, fail};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for part in 0..PARTS {
        trials.add(format!("run::random_trees_{part}"), move || random_trees(part));
    }
}

/// Trials that the seeds are dealt to, so that they run side by side.
const PARTS: u64 = 4;
/// Seeds of a usual run; each grows as many trees as a [`Case`] of it says.
const SEEDS: std::ops::Range<u64> = 1..41;

/// What a run of programs/grove.c is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    seed: u64,
    trees: u64,
    processes: u64,
    operations: u64,
    kills: u64,
}

impl Case {
    fn of(seed: u64) -> Case {
        // One in five is not killed: then nobody may be missed either.
        Case {
            seed,
            trees: 50,
            processes: 3 + seed % 8,
            operations: 20 + seed % 31,
            kills: u64::from(!seed.is_multiple_of(5)),
        }
    }

    /// Smaller ones, the smallest first.
    fn smaller(self) -> Vec<Case> {
        let halves = [
            Case { trees: self.trees / 2, ..self },
            Case { processes: self.processes / 2, ..self },
            Case { operations: self.operations / 2, ..self },
            Case { kills: 0, ..self },
            Case { trees: self.trees - 1, ..self },
        ];
        halves.into_iter().filter(|case| *case != self && case.trees * case.processes * case.operations > 0).collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { seed, trees, processes, operations, kills } = self;
        write!(out, "grove {seed} {trees} {processes} {operations} {kills}")
    }
}

/// What came of a case.
struct Outcome {
    leaks: usize,
    processes: usize,
    events: u64,
    /// What is wrong; nothing where all is well.
    wrong: Option<String>,
}

fn seeds() -> Result<std::ops::Range<u64>, Stop> {
    let Ok(text) = std::env::var("SHMAUDIT_GROVE_SEEDS") else { return Ok(SEEDS) };
    let range = text.split_once("..").and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    range.ok_or_else(|| Stop::Fail(format!("SHMAUDIT_GROVE_SEEDS={text}: not FIRST..LAST")))
}

fn random_trees(part: u64) -> Verdict {
    let (mut trees, mut leaks, mut processes, mut events) = (0, 0, 0, 0);
    for seed in seeds()?.filter(|seed| seed % PARTS == part) {
        let case = Case::of(seed);
        let outcome = run(case)?;
        if let Some(wrong) = outcome.wrong {
            let (case, wrong) = shrunk(case, wrong)?;
            fail!("seed {seed}; as small as it gets: {case}\n{wrong}");
        }
        trees += case.trees;
        leaks += outcome.leaks;
        processes += outcome.processes;
        events += outcome.events;
    }
    println!(
        "random trees: {trees} trees, {processes} processes, {events} calls, {leaks} leaks, all as the kernel has them"
    );
    Ok(())
}

/// Tries smaller cases as long as one of them fails too. Times differ from run to run, so each gets a few chances.
fn shrunk(mut case: Case, mut wrong: String) -> Result<(Case, String), Stop> {
    const CHANCES: usize = 3;
    'smaller: loop {
        for smaller in case.smaller() {
            for _ in 0..CHANCES {
                if let Some(still) = run(smaller)?.wrong {
                    (case, wrong) = (smaller, still);
                    continue 'smaller;
                }
            }
        }
        return Ok((case, wrong));
    }
}

/// A leak: segment or file, its id or name, its bytes.
pub type Leak = (String, u64);

fn run(case: Case) -> Result<Outcome, Stop> {
    let program = build::own("grove", &Variant::plain())?;
    let (run, work) = prepare(
        &format!("run::grove-{}", case.seed),
        &format!(
            "rm -rf session; \"$SHMAUDIT\" run --library \"$LIBRARY\" -o session --format json --report report.json -- \
             \"$GROVE\" {} {} {} {} {}; echo status $?; awk 'NR > 1 {{ print \"segment\", $2, $4, $3 }}' \
             /proc/sysvipc/shm; find /dev/shm -type f -printf 'file /%f %s 0\\n'",
            case.seed, case.trees, case.processes, case.operations, case.kills
        ),
    )?;
    let ended = run.env("GROVE", program).end()?;
    let output = ended.output();
    check!(output.starts_with("status 0\n"), "{case} ended otherwise: {output}{}", ended.errors());
    let truth: BTreeSet<Leak> = output.lines().skip(1).filter_map(kernels).collect();
    let report: Value = serde_json::from_slice(&std::fs::read(work.join("report.json"))?)?;
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let of = |kinds: &[&str]| -> Vec<&Value> {
        findings.iter().filter(|finding| kinds.iter().any(|kind| finding["kind"] == *kind)).collect()
    };
    let leaks = of(&["posix-leak", "sysv-leak", "unattributed-leak"]);
    let told: BTreeSet<Leak> = leaks.iter().map(|finding| told(finding)).collect();
    let mut wrong = Vec::new();
    if told != truth {
        let missed: Vec<&Leak> = truth.difference(&told).collect();
        let invented: Vec<&Leak> = told.difference(&truth).collect();
        wrong.push(format!("missed {missed:?}, invented {invented:?}"));
    }
    // A process that is killed as it begins leaves no record, and nothing else either.
    let never: &[&str] = if case.kills == 0 { &["unaudited-process", "vanished"] } else { &["vanished"] };
    wrong.extend(of(never).iter().map(|finding| finding["message"].to_string()));
    // Of two that make and remove one name at the same moment, it can stay open who has made what is there.
    let attributed = leaks.iter().filter(|finding| finding["kind"] != "unattributed-leak");
    let open = leaks.len() - attributed.clone().count();
    if open > leaks.len() / 100 {
        wrong.push(format!("{open} of {} leaks without a maker", leaks.len()));
    }
    let without = attributed.filter(|finding| finding["event"]["stack"][0]["line"].is_null());
    wrong.extend(without.map(|finding| format!("without a line: {}", finding["message"])));
    Ok(Outcome {
        leaks: truth.len(),
        processes: report["processes"].as_array().map_or(0, Vec::len),
        events: report["summary"]["events"].as_u64().unwrap_or(0),
        wrong: if wrong.is_empty() { None } else { Some(wrong.join("\n")) },
    })
}

/// A line of what is there; nothing for a segment that is marked for removal.
pub fn kernels(line: &str) -> Option<Leak> {
    const SHM_DEST: u32 = 0o1000;
    let mut words = line.split(' ');
    let (kind, name, size) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    let doomed = u32::from_str_radix(words.next()?, 8).is_ok_and(|mode| kind == "segment" && mode & SHM_DEST != 0);
    if doomed { None } else { Some((format!("{kind} {name}"), size)) }
}

/// A finding's object.
pub fn told(finding: &Value) -> Leak {
    let object = &finding["object"];
    let name = match object["name"].as_str() {
        Some(name) => format!("file {name}"),
        None => format!("segment {}", object["shmid"]),
    };
    (name, object["size"].as_u64().unwrap_or(0))
}
