//! Job control: a shell over a supervisor, and a shell under one.

use serde_json::Value;

use super::script;
use crate::build::{self, Variant};
use crate::check;
use crate::machine::prepare;
use crate::trial::{Shown, Trials, Verdict, need};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::job_control", job_control);
    trials.add("run::narrow_terminals", narrow);
}

/// A shell stops, continues and interrupts what runs under a supervisor, and a shell runs under one.
fn job_control() -> Verdict {
    need("python3")?;
    need("bash")?;
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs/terminal.py");
    let start = r#"send:"$SHMAUDIT" run --library "$LIBRARY" cat\n"#;
    let shell = r#"send:"$SHMAUDIT" run --library "$LIBRARY" bash --norc\n"#;
    let steps: [&[&str]; 6] = [
        &["wait:ready$", start, "sleep:0.6", "send:one\\n", "wait:one\\r\\none"],
        &[
            "clear",
            "send:\\x1a",
            "wait:Stopped",
            "wait:ready$",
            "send:fg\\n",
            "wait:cat",
            "sleep:0.5",
            "send:two\\n",
            "wait:two\\r\\ntwo",
        ],
        // In the background it wants to read from the terminal, and is stopped for it.
        &["clear", "send:\\x1a", "wait:Stopped", "clear", "send:bg\\n", "sleep:0.6", "send:\\n", "wait:Stopped"],
        &[
            "clear",
            "send:fg\\n",
            "wait:cat",
            "sleep:0.5",
            "send:three\\n",
            "wait:three\\r\\nthree",
            "clear",
            "send:\\x03",
            "wait:ready$",
            "sleep:0.5",
        ],
        &["clear", "send:echo st=$?\\n", "wait:st=130", "clear", shell, "wait:ready$", "send:sleep 60\\n", "sleep:0.3"],
        &[
            "send:\\x1a",
            "wait:Stopped",
            "send:kill -9 %1\\n",
            "sleep:0.3",
            "send:\\n",
            "wait:Killed",
            "send:exit 3\\n",
            "wait:exit 3",
            "clear",
            "wait:ready$",
            "send:exit $?\\n",
        ],
    ];
    let steps = steps.concat();
    let quoted: Vec<String> = steps.iter().map(|step| format!("'{step}'")).collect();
    let leaves = build::own("leaves", &Variant::plain())?;
    let (run, work) = prepare(
        "run::job_control",
        &format!("python3 \"$TERMINAL\" 80x24 {} -- env 'PS1=ready$ ' bash --norc", quoted.join(" ")),
    )?;
    let run =
        run.env("TERMINAL", program).env("TERM", "xterm").env("LEAVES", leaves).env("XDG_STATE_HOME", work.join("s"));
    let ended = run.end()?;
    check!(ended.how() == "0", "ended {}:{}{}", ended.how(), Shown(&ended.stdout), Shown(&ended.stderr));
    let seen: Value = serde_json::from_slice(&ended.stdout)?;
    check!(seen["status"] == 3, "{seen}");
    Ok(())
}

/// On a terminal lines break between words, and have the words that they have elsewhere: those of `top` are cut instead, never in
/// a number.
fn narrow() -> Verdict {
    need("python3")?;
    let (ended, _) = script(
        "run::narrow_terminals",
        r#"
        terminal() { python3 "$PROGRAMS/terminal.py" "$@"; }
        export NO_COLOR=1
        "$SHMAUDIT" run --library "$LIBRARY" "$LEAVES" /a-name-of-some-length many 3 > /dev/null 2>&1
        for command in 'log --syscalls' 'report --growth' 'sessions' 'top --once'; do
            for columns in 40 60 80; do
                echo "= $columns $command"
                terminal ${columns}x24 -- "$SHMAUDIT" $command
                "$SHMAUDIT" $command
            done
        done
        "#,
    )?;
    check!(ended.how() == "0", "ended {}:{}{}", ended.how(), Shown(&ended.stdout), Shown(&ended.stderr));
    let output = ended.output();
    for part in output.split("\n= ") {
        let (title, rest) = part.trim_start_matches("= ").split_once('\n').unwrap_or_default();
        let (seen, elsewhere) = rest.split_once('\n').unwrap_or_default();
        let seen: Value = serde_json::from_str(seen)?;
        let shown = seen["shown"].as_str().unwrap_or_default().replace('\r', "");
        let columns: usize = title.split(' ').next().unwrap_or_default().parse()?;
        // The log's end tells that something leaked.
        let status = if title.ends_with("log --syscalls") { 1 } else { 0 };
        check!(seen["status"] == status && shown.lines().count() > 1, "{title}: {seen}");
        for line in shown.lines() {
            check!(line.len() <= columns || line.split_whitespace().count() == 1, "{title}: {line}\n{shown}");
        }
        if title.contains("log") || title.contains("growth") {
            let same = shown.split_whitespace().eq(elsewhere.split_whitespace());
            check!(same, "{title}: other words:\n{shown}\n{elsewhere}");
        }
    }
    Ok(())
}
