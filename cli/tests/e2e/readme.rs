//! What the README shows is what happens: its first screen against a run of the demo, its option table against the code's.

use std::fs;

use shmaudit_core::options::TABLE;

use crate::build::Variant;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::trial::{Stop, Trials, Verdict};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("readme::first_screen", first_screen);
    trials.add("readme::option_table", option_table);
}

fn readme() -> Result<String, Stop> {
    Ok(fs::read_to_string(place::workspace().join("README.md"))?)
}

/// Lines without what differs from run to run: pids, times, durations, offsets. Sorted, for the program's own line and
/// the audit's go to different descriptors.
fn lasting<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<String>, Stop> {
    let changing = [
        (r"\[\d+(:\d+)?\]", "[PID]"),
        (r"\d\d:\d\d:\d\d\.\d+", "TIME"),
        (r"<[\d.]+[nmu]?s>", "<DURATION>"),
        (r"\+0x[0-9a-f]+", "+OFFSET"),
    ];
    let mut kept = Vec::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let mut line = line.to_string();
        for (pattern, word) in changing {
            line = regex_lite::Regex::new(pattern)?.replace_all(&line, word).into_owned();
        }
        kept.push(line);
    }
    kept.sort();
    Ok(kept)
}

fn first_screen() -> Verdict {
    let text = readme()?;
    let shown = text.lines().skip_while(|line| !line.contains("$ LD_PRELOAD=libshmaudit.so ./leak")).skip(1);
    let shown = lasting(shown.take_while(|line| line.is_empty() || line.starts_with("    ")))?;
    let scenario = Scenario::named("leak_posix");
    let directory = place::directory("readme::first_screen")?;
    let program = directory.join("leak");
    fs::copy(scenario.program(&Variant::plain())?, &program)?;
    let (ended, _) = scenario.turn()?.run(Run::new(&program).within(&directory).preloaded(""))?;
    let seen = lasting(ended.output().lines().chain(ended.errors().lines()))?;
    check!(seen == shown, "the README shows\n{}\nand it is\n{}", shown.join("\n"), seen.join("\n"));
    Ok(())
}

fn option_table() -> Verdict {
    let text = readme()?;
    for row in TABLE {
        let line = format!("| `{}` | {} | {} |", row.key, row.values, row.meaning);
        check!(text.contains(&line), "README.md does not have the line\n{line}");
    }
    Ok(())
}
