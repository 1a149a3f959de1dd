//! What the README shows is what happens: its first screen against a run of the demo, its option table against the code's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use shmaudit_core::options::TABLE;

use crate::build::{self, Variant};
use crate::clean::Turn;
use crate::gallery::{FORMATS, ends};
use crate::run::Run;
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("readme::first_screen", first_screen);
    trials.add("readme::option_table", option_table);
    trials.add("readme::formats", formats);
    trials.add("readme::a_new_leak_fails_the_build", build_fails);
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

/// The lines of the README, run by a shell: first with a leak that is known, then with one more.
fn build_fails() -> Verdict {
    let text = readme()?;
    let block = text.lines().skip_while(|line| !line.ends_with("./tests")).take_while(|line| line.starts_with("    "));
    let script: Vec<&str> = block.map(str::trim).collect();
    check!(script.len() == 3, "not three lines: {script:?}");
    let script = script.join("\n").replace("libshmaudit.so", &place::library().display().to_string());
    let source = build::own_source("gallery");
    let program = build::own("gallery", &Variant::plain())?;
    let directory = place::directory("readme::build_fails")?;
    let commands = Path::new(env!("CARGO_BIN_EXE_shmaudit")).parent().unwrap_or(Path::new("/"));
    let path = format!("{}:{}", commands.display(), std::env::var("PATH").unwrap_or_default());
    let build = |left: &str| {
        let _turn = Turn::take(&source)?;
        let tests = directory.join("tests");
        fs::write(&tests, format!("#!/bin/sh\nexec {} 12 {left}\n", program.display()))?;
        fs::set_permissions(&tests, PermissionsExt::from_mode(0o755))?;
        let _ = fs::remove_dir_all(directory.join("journals"));
        let run = Run::new("sh").args(["-e", "-c", &script]).within(&directory).env("PATH", &path);
        run.end()
    };
    fs::write(directory.join("known.json"), "")?;
    build("3")?;
    fs::copy(directory.join("now.json"), directory.join("known.json"))?;
    ends(&build("3")?, "0")?;
    let ended = build("4")?;
    ends(&ended, "1")?;
    check!(ended.output().contains("grew      error: posix-leak"), "it says{}", Shown(&ended.stdout));
    drop(Turn::take(&source)?);
    Ok(())
}
