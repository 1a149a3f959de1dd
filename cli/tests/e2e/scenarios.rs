//! Every program of `c-tests/`, plain, preloaded and linked: the same output, the same end, the same left behind, and a
//! report that says exactly what its `.expect` file does.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, OnceLock};

use crate::build::Variant;
use crate::clean::Left;
use crate::compare::{self, Sites};
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, log, place, report};

type Plain = OnceLock<Result<(Ended, BTreeSet<Left>), String>>;

/// A program with what its plain run gave.
pub struct Case {
    scenario: Arc<Scenario>,
    plain: Plain,
}

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    type Mode = fn(&Case, &str) -> Verdict;
    let modes: [(&str, Mode); 5] = [
        ("plain", plain),
        ("preloaded", preloaded),
        ("linked", linked),
        ("all_on_stderr", all_on_stderr),
        ("log_in_file", log_in_file),
    ];
    for scenario in Scenario::all() {
        let case = Arc::new(Case { scenario, plain: OnceLock::new() });
        for (mode, test) in modes {
            let case = Arc::clone(&case);
            let name = format!("scenarios::{}::{mode}", case.scenario.name);
            trials.add(name.clone(), move || test(&case, &name));
        }
    }
}

impl Case {
    /// What the plain program gives.
    fn plain(&self) -> Result<&(Ended, BTreeSet<Left>), Stop> {
        let run = || {
            let run = self.scenario.plain(&format!("scenarios::{}::plain", self.scenario.name))?;
            self.scenario.turn()?.run(run)
        };
        self.plain
            .get_or_init(|| run().map_err(Stop::into_message))
            .as_ref()
            .map_err(|message| Stop::Fail(message.clone()))
    }

    /// Runs it, and compares with the plain run all but standard error.
    fn same(&self, run: Run) -> Result<Ended, Stop> {
        let (plain, plain_left) = self.plain()?;
        let (ended, left) = self.scenario.turn()?.run(run)?;
        ended.same_as(plain)?;
        compare::left(&left, plain_left)?;
        Ok(ended)
    }
}

/// The program does what its expectation says of it, and what it leaves is what is expected to be reported.
fn plain(case: &Case, _: &str) -> Verdict {
    let expect = case.scenario.expect()?;
    let (ended, left) = case.plain()?;
    check!(ended.how() == expect.status, "ended {} instead of {}:{}", ended.how(), expect.status, Shown(&ended.stderr));
    ended.is_quiet()?;
    let left: BTreeSet<(String, u64)> = left.iter().map(|left| (left.label.clone(), left.size)).collect();
    check!(!expect.report || left == expect.leaks(), "left behind: {left:?}\nexpected leaks: {:?}", expect.leaks());
    Ok(())
}

fn preloaded(case: &Case, name: &str) -> Verdict {
    let directory = place::directory(name)?;
    let ended = case.same(case.scenario.plain(name)?.preloaded(&report::into(&directory)))?;
    ended.is_quiet()?;
    compare::reports(&case.scenario, &directory, &ended, Sites::Lines)
}

fn linked(case: &Case, name: &str) -> Verdict {
    let directory = place::directory(name)?;
    let program = case.scenario.program(&Variant::plain().linked())?;
    let ended = case.same(Run::new(program).within(&directory).options(&report::into(&directory)))?;
    ended.is_quiet()?;
    compare::reports(&case.scenario, &directory, &ended, Sites::Lines)
}

/// Everything that can be on, on standard error.
fn all_on_stderr(case: &Case, name: &str) -> Verdict {
    let ended = case.same(case.scenario.plain(name)?.preloaded("syscalls=1:stacks=64"))?;
    // What happens where standard error is no more is not told.
    let told = ended.errors().contains("shmaudit") || case.scenario.name == "closes_all_fds";
    check!(told, "nothing is said:{}", Shown(&ended.stderr));
    log::is_tame(&ended.stderr)
}

/// The defaults, but the log in a file: its lines are all well made, and the report on standard error names each finding.
fn log_in_file(case: &Case, name: &str) -> Verdict {
    let expect = case.scenario.expect()?;
    let directory = place::directory(name)?;
    let run = case.scenario.plain(name)?.preloaded(&format!("log={}/calls.log", directory.display()));
    let ended = case.same(run)?;
    let text = fs::read(directory.join("calls.log"))?;
    check!(!text.is_empty(), "the log is empty");
    log::is_well_made(&text)?;
    log::is_tame(&ended.stderr)?;
    let said = ended.errors();
    for line in &expect.findings {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, _, label, _, _, function, place] = words.as_slice() else { continue };
        for word in [label, function, place] {
            check!(*word == "-" || said.contains(word), "the report does not say {word}:{}", Shown(&ended.stderr));
        }
    }
    Ok(())
}
