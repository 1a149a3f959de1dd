//! `shmaudit top` in a terminal: it shows, follows keys and sizes, and gives the terminal back however it ends.

use std::path::Path;

use serde_json::Value;

use crate::check;
use crate::machine::{machine, prepare};
use crate::machine_ls::SCENE;
use crate::run::Run;
use crate::trial::{Shown, Stop, Trials, Verdict, need};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("top::shows_what_there_is", shows);
    trials.add("top::keys", keys);
    trials.add("top::terminal_is_given_back", || {
        for end in ["send:q", "send:\\x03", "signal:SIGTERM", "signal:SIGINT", "signal:SIGHUP", "signal:SIGQUIT"] {
            let seen = terminal(&format!("top::end-{}", end.len()), "", "80x24", &["wait:quit", end], "")?;
            check!(seen["status"] == 0 && seen["restored"] == true, "{end}: {seen}");
        }
        Ok(())
    });
    trials.add("top::terminal_that_goes_away", || {
        let seen = terminal("top::closed", "", "80x24", &["wait:quit", "close"], "")?;
        // By its own end or by SIGHUP, but not for ever, and without a word of panic.
        check!([0, 2, -1].map(Value::from).contains(&seen["status"]), "{seen}");
        Ok(())
    });
    trials.add("top::any_size", any_size);
    trials.add("top::no_colours", no_colours);
    trials.add("top::once", once);
    trials.add("top::calls_of_a_session", calls);
    trials.add("top::without_a_terminal", without);
    trials.add("top::dumb_terminal", dumb);
    trials.add("top::about_an_object", about);
    trials.add("top::help_fits", help_fits);
}

/// What `shmaudit top` shows after the steps, on a machine where the script has run.
fn terminal(trial: &str, script: &str, size: &str, steps: &[&str], arguments: &str) -> Result<Value, Stop> {
    need("python3")?;
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs/terminal.py");
    let quoted: Vec<String> = steps.iter().map(|step| format!("'{step}'")).collect();
    let last = format!("python3 \"$TERMINAL\" {size} {} -- \"$SHMAUDIT\" top {arguments}", quoted.join(" "));
    let (run, _) = prepare(trial, &format!("{script}\n{last}"))?;
    let ended = run.env("TERMINAL", program).env("TERM", "xterm").end()?;
    check!(ended.how() == "0", "ended {}:{}", ended.how(), Shown(&ended.stderr));
    Ok(serde_json::from_slice(&ended.stdout)?)
}

fn shown(seen: &Value) -> &str {
    seen["shown"].as_str().unwrap_or_default()
}

fn shows() -> Verdict {
    let seen = terminal("top::shows", SCENE, "80x16", &["wait:quit", "send:q"], "")?;
    for text in ["0x5a4d1003", "second", "first", "orphan", "held", "doomed", "1/18", "kinds["] {
        check!(shown(&seen).contains(text), "{text} is not shown: {seen}");
    }
    // The hostile name is escaped: no escape sequence of its.
    check!(!shown(&seen).contains("[31m"), "{seen}");
    Ok(())
}

fn keys() -> Verdict {
    let steps = [
        "wait:quit",
        "clear",
        "send:2",
        "wait:COMMAND",
        "clear",
        "send:3",
        "wait:--session",
        "clear",
        "send:1",
        "wait:0x5a4d1002",
        "clear",
        "send:o",
        "wait:orphans",
        "clear",
        "send:\\r",
        "wait:segment",
        "send:\\x1b",
        "sleep:0.3",
        "clear",
        "send:?",
        "wait:background",
        "send:qq",
    ];
    let seen = terminal("top::keys", SCENE, "80x24", &steps, "-d 60")?;
    check!(seen["status"] == 0 && seen["restored"] == true, "{seen}");
    Ok(())
}

fn any_size() -> Verdict {
    let steps = [
        "wait:quit",
        "resize:20x5",
        "sleep:0.3",
        "resize:1x1",
        "sleep:0.3",
        "resize:300x100",
        "sleep:0.3",
        "clear",
        "resize:80x24",
        "wait:quit",
        "send:q",
    ];
    let seen = terminal("top::any_size", SCENE, "40x8", &steps, "-d 0.2")?;
    check!(seen["status"] == 0 && seen["restored"] == true, "{seen}");
    let seen = terminal("top::any_size-names", SCENE, "40x24", &["wait:quit", "send:q"], "-d 60")?;
    for text in ["0x5a4d1003", "/jack-shm-regi"] {
        check!(shown(&seen).contains(text), "{text} is not shown on a small terminal: {seen}");
    }
    Ok(())
}

/// Nothing but bold and reverse is asked of the terminal.
fn no_colours() -> Verdict {
    let seen = terminal("top::no_colours", SCENE, "80x24", &["wait:quit", "send:2", "sleep:0.3", "send:q"], "")?;
    let colours = regex_lite::Regex::new("\x1b\\[([0-9;]*)m")?;
    let mut modes: Vec<&str> =
        colours.captures_iter(shown(&seen)).filter_map(|found| Some(found.get(1)?.as_str())).collect();
    modes.sort_unstable();
    modes.dedup();
    // 0: none; 1 and 22: bold and not; 7 and 27: reverse and not; 39, 49, 59: the terminal's own colours.
    let plain = ["", "0", "1", "22", "27", "39", "39;49", "49", "59", "7"];
    check!(modes.iter().all(|mode| plain.contains(mode)), "{modes:?}");
    Ok(())
}

fn once() -> Verdict {
    let ended = machine("top::once", &format!("{SCENE}\n\"$SHMAUDIT\" top --once -n 3 --orphans"))?.well()?;
    let text = ended.output();
    for line in ["objects 18, held 7, orphans 5 4.0M", "KIND       SIZE", "(2 more)", "    PID COMMAND"] {
        check!(text.contains(line), "{line} is not in\n{text}");
    }
    check!(!text.contains("/held"), "{text}");
    check!(text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{text}");
    // A rate takes two looks: a file that grows meanwhile has one.
    let script = "held posix:90000:/grows\n\
                  (for i in $(seq 50); do sleep 0.2; head -c 400000 /dev/zero >> /dev/shm/grows; done) &\n\
                  \"$SHMAUDIT\" top --once --sort rate -d 2";
    let text = machine("top::once", script)?.well()?.output();
    check!(text.lines().any(|line| line.ends_with("/grows") && line.contains('+')), "{text}");
    Ok(())
}

fn calls() -> Verdict {
    let script = r#"
        export SHMAUDIT_OPTIONS="log=off:report=off:journal=$WORK/journal"
        LD_PRELOAD="$LIBRARY" held sysv:0x5a4d4001:4099 posix:4097:/known map
        unset SHMAUDIT_OPTIONS
    "#;
    let steps = ["wait:quit", "send:3", "wait:ftruncate(3,", "send:q"];
    let seen = terminal("top::calls", script, "120x24", &steps, "--session \"$WORK/journal\"")?;
    check!(shown(&seen).contains("shmget(0x5a4d4001,"), "{seen}");
    Ok(())
}

fn without() -> Verdict {
    let ended = Run::new(env!("CARGO_BIN_EXE_shmaudit")).arg("top").end()?;
    check!(ended.how() == "2" && ended.errors().contains("--once"), "{} {}", ended.how(), ended.errors());
    check!(ended.errors().lines().count() == 1 && ended.stdout.is_empty(), "{}", ended.errors());
    Ok(())
}

/// Where the cursor cannot be moved, it would only spill escape sequences.
fn dumb() -> Verdict {
    let seen = terminal("top::dumb", "export TERM=dumb", "80x24", &[], "")?;
    check!(seen["status"] == 2 && shown(&seen).contains("--once"), "{seen}");
    check!(!shown(&seen).contains('\x1b'), "{seen}");
    Ok(())
}

fn about() -> Verdict {
    let script = "held posix:70001:/held map fill close";
    let steps = ["wait:quit", "send:\\r", "wait:mapping", "send:qq"];
    let seen = terminal("top::about_an_object", script, "80x24", &steps, "-d 60")?;
    check!(seen["status"] == 0 && !shown(&seen).contains("mappings"), "{seen}");
    Ok(())
}

/// Help is as wide as the terminal, and breaks between words.
fn help_fits() -> Verdict {
    let seen = terminal("top::help_fits", "", "60x24", &[], "-h")?;
    let bare = regex_lite::Regex::new("\x1b\\[[0-9;]*m")?.replace_all(shown(&seen), "").into_owned();
    let lines: Vec<&str> = bare.lines().collect();
    check!(lines.len() > 10, "{seen}");
    for line in lines {
        check!(line.chars().count() <= 60, "{line}");
    }
    Ok(())
}
