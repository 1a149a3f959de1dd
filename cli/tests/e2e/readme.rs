//! What the README shows is what happens: its first screen against a run of the demo, its option table against the code's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use shmaudit_core::options::TABLE;

use crate::build::{self, Variant};
use crate::clean::Turn;
use crate::gallery::{FORMATS, ends};
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("readme::first_screen", first_screen);
    trials.add("readme::option_table", option_table);
    trials.add("readme::formats", formats);
    trials.add("readme::a_new_leak_fails_the_build", build_fails);
    trials.add("readme::a_new_leak_fails_the_build_under_run", run_fails);
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

fn formats() -> Verdict {
    let text = readme()?;
    for format in FORMATS {
        check!(text.contains(&format!("| `{format}` | ")), "README.md has no line for {format}");
    }
    Ok(())
}

/// The lines of the README that begin with this one.
fn lines(first: &str) -> Result<Vec<String>, Stop> {
    let text = readme()?;
    let block = text.lines().skip_while(|line| *line != format!("    {first}"));
    let lines: Vec<String> =
        block.take_while(|line| line.starts_with("    ")).map(|line| line.trim().to_string()).collect();
    check!(!lines.is_empty(), "the README does not have the line {first}");
    Ok(lines)
}

/// A build whose tests leave so many objects, as a shell runs these lines in a directory.
fn build(directory: &Path, left: &str, lines: &[String]) -> Result<Ended, Stop> {
    let library = place::library().display().to_string();
    let script = lines.join("\n").replace("libshmaudit.so", &library);
    let script = script.replace("shmaudit run ", &format!("shmaudit run --library {library} "));
    let program = build::own("gallery", &Variant::plain())?;
    let commands = Path::new(env!("CARGO_BIN_EXE_shmaudit")).parent().unwrap_or(Path::new("/"));
    let path = format!("{}:{}", commands.display(), std::env::var("PATH").unwrap_or_default());
    let _turn = Turn::take(&build::own_source("gallery"))?;
    let tests = directory.join("tests");
    fs::write(&tests, format!("#!/bin/sh\nexec {} 12 {left}\n", program.display()))?;
    fs::set_permissions(&tests, PermissionsExt::from_mode(0o755))?;
    let _ = fs::remove_dir_all(directory.join("journals"));
    let run = Run::new("sh").args(["-e", "-c", &script]).within(directory).env("PATH", path);
    run.env("XDG_STATE_HOME", directory.join("state")).end()
}

/// The lines of the README, run by a shell: first with a leak that is known, then with one more.
fn build_fails() -> Verdict {
    let directory = place::directory("readme::build_fails")?;
    let lines = lines("SHMAUDIT_OPTIONS=journal=journals:log=off:report=off LD_PRELOAD=libshmaudit.so ./tests")?;
    check!(lines.len() == 3, "not three lines: {lines:?}");
    fs::write(directory.join("known.json"), "")?;
    build(&directory, "3", &lines)?;
    fs::copy(directory.join("now.json"), directory.join("known.json"))?;
    ends(&build(&directory, "3", &lines)?, "0")?;
    let ended = build(&directory, "4", &lines)?;
    ends(&ended, "1")?;
    check!(ended.output().contains("grew      error: posix-leak"), "it says{}", Shown(&ended.stdout));
    drop(Turn::take(&build::own_source("gallery"))?);
    Ok(())
}

/// The same with `run` and a baseline; what is told afterwards holds what is known too.
fn run_fails() -> Verdict {
    let directory = place::directory("readme::run_fails")?;
    let known = lines("shmaudit run --format json --report known.json ./tests")?;
    let lines = lines("shmaudit run --error-exitcode 1 --baseline known.json ./tests")?;
    let (step, after) = lines.split_at(1);
    let ended = build(&directory, "3", step)?;
    ends(&ended, "2")?;
    check!(ended.errors().contains("known.json: No such file"), "without a baseline:{}", Shown(&ended.stderr));
    ends(&build(&directory, "3", &known)?, "0")?;
    let ended = build(&directory, "3", step)?;
    ends(&ended, "0")?;
    check!(ended.errors().contains("SUMMARY: shmaudit: nothing leaked; "), "of what is known:{}", Shown(&ended.stderr));
    let ended = build(&directory, "4", step)?;
    ends(&ended, "1")?;
    let told = ended.errors().contains("posix-leak: POSIX object /shmaudit-gallery-left-0");
    check!(told && ended.errors().contains("1 object leaked"), "of what is new:{}", Shown(&ended.stderr));
    ends(&build(&directory, "4", after)?, "0")?;
    let sarif = fs::read_to_string(directory.join("shmaudit.sarif"))?;
    check!(sarif.contains("posix-leak") && sarif.contains("gallery-left-"), "it is not in the SARIF file");
    drop(Turn::take(&build::own_source("gallery"))?);
    Ok(())
}
