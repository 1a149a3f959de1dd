//! What is known already: suppressions that are written and read again, baselines, and what is wrong with either; growth.

use std::fs;
use std::path::Path;

use crate::build::{self, Variant};
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, machine, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for name in ["leak_both_many", "leak_ipc_private", "odd_sizes", "names_odd_bytes", "threads_leak", "sysv_shm"] {
        trials.add(format!("known::suppressions_of::{name}"), move || suppressions(name));
    }
    trials.add("known::baseline", baseline);
    trials.add("known::files_that_are_none", refusals);
    trials.add("known::pipes", pipes);
    trials.add("known::growth", growth);
    trials.add("known::growth_of_a_program_that_lives", growth_alive);
    trials.add("known::built_in_suppressions_are_documented", documented);
}

/// Runs a scenario's program under `script`, in which `$0` is the program and `$1` the library; `audit` runs it with a
/// journal, and `shmaudit` is the command.
fn scripted(name: &str, trial: &str, script: &str) -> Result<Ended, Stop> {
    let scenario = Scenario::named(name);
    let directory = place::directory(trial)?;
    let script = format!(
        "program=$0 library=$1\n\
         audit() {{ LD_PRELOAD=$library SHMAUDIT_OPTIONS=log=off:report=off:journal=$1 \"$program\" >/dev/null; }}\n\
         shmaudit() {{ {command} \"$@\"; echo \"= $?\"; }}\n{script}",
        command = env!("CARGO_BIN_EXE_shmaudit"),
    );
    let program = scenario.program(&Variant::plain())?;
    let run = Run::new("bash").arg("-c").arg(script).arg(program).arg(place::library());
    let (ended, _) = scenario.turn()?.run(run.within(&directory))?;
    Ok(ended)
}

/// Everything that is found is suppressed by what is written of it: in a second report, and in a second run.
fn suppressions(name: &str) -> Verdict {
    let trial = format!("known::suppressions_of-{name}");
    // What the program leaves is removed by the commands that the reports name.
    let script = "remove() { grep -o '\\(rm\\|ipcrm\\) -.*' \"$1\" >commands; . ./commands; }\n\
                  audit j\n\
                  shmaudit report j --write-suppressions s | tee found\n\
                  shmaudit report j --suppressions s\n\
                  shmaudit report j --suppressions s --write-suppressions s\n\
                  remove found\n\
                  LD_PRELOAD=$library SHMAUDIT_OPTIONS=log=off:suppressions=s:journal=k \"$program\" 2>&1 >/dev/null\n\
                  shmaudit report k >left\n\
                  remove left";
    let ended = scripted(name, &trial, script)?;
    let output = ended.output();
    let parts: Vec<&str> = output.split("= ").collect();
    let [first, second, third, last] = parts.as_slice() else {
        return Err(Stop::Fail(format!("said:{}\n{}", Shown(output.as_bytes()), ended.errors())));
    };
    check!(first.contains("ERROR") || first.contains("WARNING"), "the first report:{}", Shown(first.as_bytes()));
    for (which, part) in [("second", second), ("third", third), ("last", last)] {
        let quiet = !part.contains("ERROR:") && !part.contains("WARNING:") && !part.contains("note:");
        check!(quiet && part.contains(" suppressed ("), "the {which} report:{}", Shown(part.as_bytes()));
        check!(
            !part.contains("not used") && !part.contains("nothing was suppressed"),
            "{which}:{}",
            Shown(part.as_bytes())
        );
    }
    check!(
        second.starts_with("1\n") || !first.contains("ERROR:"),
        "no error by its status:{}",
        Shown(output.as_bytes())
    );
    check!(third.starts_with("0\n") && last.starts_with("0\n"), "an error by its status:{}", Shown(output.as_bytes()));
    let written = fs::read_to_string(place::directory(&trial)?.join("s"))?;
    let rules = written.lines().filter(|line| !line.starts_with('#')).count();
    check!(rules > 0 && rules * 2 == written.lines().count(), "written:{}", Shown(written.as_bytes()));
    Ok(())
}

/// A build that leaks as it did passes; one that leaks more does not.
fn baseline() -> Verdict {
    let script = "audit known\n\
                  shmaudit report known --format json -O base.json\n\
                  rm -f /dev/shm/shmaudit-leak_both_many-*; ipcs -m | awk '$1 ~ /^0x5a4d005/ {print $2}' | xargs -r -n1 ipcrm -m\n\
                  audit again\n\
                  shmaudit report again --baseline base.json\n\
                  sed -i 's/leak_both_many-a/leak_both_many_another/g' base.json\n\
                  shmaudit report again --baseline base.json";
    let ended = scripted("leak_both_many", "known::baseline", script)?;
    let output = ended.output();
    let parts: Vec<&str> = output.split("= ").collect();
    let [first, second, third, end] = parts.as_slice() else {
        return Err(Stop::Fail(format!("said:{}\n{}", Shown(output.as_bytes()), ended.errors())));
    };
    check!(first.is_empty() && second.starts_with("1\n"), "said:{}", Shown(output.as_bytes()));
    let known = second.lines().any(|line| line.starts_with("SUMMARY: shmaudit: nothing leaked; 4 known ("));
    check!(known && third.starts_with("0\n"), "of what is known:{}", Shown(output.as_bytes()));
    let new = third.contains("/shmaudit-leak_both_many-a") && third.contains("1 object leaked");
    check!(
        new && third.contains("3 known, 1 gone") && end.starts_with('1'),
        "of what is new:{}",
        Shown(output.as_bytes())
    );
    Ok(())
}

fn report(directory: &Path, words: &[&str]) -> Result<Ended, Stop> {
    Run::new(env!("CARGO_BIN_EXE_shmaudit")).arg("report").arg("nothing").args(words).within(directory).end()
}

fn refusals() -> Verdict {
    let directory = place::directory("known::files_that_are_none")?;
    fs::write(directory.join("rules"), "# ours\nleak:x\nleek:\x1b[31m\n")?;
    fs::write(directory.join("text"), "some text")?;
    fs::write(directory.join("other"), "{\"schema\":\"other/1\",\"findings\":[]}")?;
    for (words, said) in [
        (&["--suppressions", "rules"][..], "rules:3: no finding is called \"leek\""),
        (&["--suppressions", "missing"], "missing: No such file"),
        (&["--suppressions", "."], ".: a directory"),
        (&["--write-suppressions", "rules"], "rules:3: no finding"),
        (&["--baseline", "text"], "text: not a report in JSON: expected value at line 1 column 1"),
        (&["--baseline", "other"], "other: a report of schema \"other/1\"; this shmaudit reads shmaudit-report/1"),
    ] {
        let ended = report(&directory, words)?;
        let errors = ended.errors();
        let named = errors.contains(said) && errors.lines().count() == 1 && !errors.contains('\x1b');
        check!(ended.how() == "2" && named, "{words:?}: {} {errors}", ended.how());
    }
    // One that has no end, with memory that has.
    let script = "ulimit -v 4194304; exec \"$0\" report nothing --suppressions /dev/zero";
    let ended = Run::new("sh").args(["-c", script]).arg(env!("CARGO_BIN_EXE_shmaudit")).within(&directory).end()?;
    let errors = ended.errors();
    check!(ended.how() == "2" && errors.contains("/dev/zero: larger than 16 MiB"), "{} {errors}", ended.how());
    Ok(())
}

/// A pipe that has a name is not waited for, by nobody who reads what the user names; one of the shell's is read, and by `run`
/// once, although it reports at the end.
fn pipes() -> Verdict {
    let directory = place::directory("known::pipes")?;
    let script = r#"
    mkfifo pipe
    audit j
    shmaudit report j --format json -O base.json > /dev/null
    within() { timeout -s KILL 20 "$SHMAUDIT" "$@" 2>&1 > /dev/null; echo "= $?"; }
    runs() { within run --library "$library" "$@" -- true; }
    for what in --suppressions --baseline --write-suppressions; do
        within report j $what pipe
        runs $what pipe
    done
    within clean --apply --plan pipe
    within diff pipe base.json
    echo "shell's"
    within report j --suppressions <(echo 'leak:*leak_both_many*'; echo 'leak:0x5a4d')
    within report j --baseline <(cat base.json)
    within diff <(cat base.json) base.json
    within run --library "$library" --format json --report run.json --suppressions <(echo 'leak:never') -- true
    grep -c '"unused_suppressions":."leak:never"' run.json
    rm -f /dev/shm/shmaudit-leak_both_many-*; ipcs -m | awk '$1 ~ /^0x5a4d005/ {print $2}' | xargs -r -n1 ipcrm -m
    "#;
    let script = format!("SHMAUDIT='{}'; export XDG_STATE_HOME=$PWD/state\n{script}", env!("CARGO_BIN_EXE_shmaudit"));
    let ended = scripted("leak_both_many", "known::pipes", &script)?;
    let output = ended.output();
    let refused = "shmaudit: pipe: a pipe, which is not waited for; name a file\n= 2\n".repeat(8);
    let wanted = format!("{refused}shell's\n= 0\n= 0\n= 0\n= 0\n1\n");
    check!(output == wanted, "in {}:{}\n{}", directory.display(), Shown(output.as_bytes()), ended.errors());
    Ok(())
}

/// Attachments that nobody undoes, seen to grow from the call that makes them.
fn growth() -> Verdict {
    let script = "audit j\nshmaudit report j --growth\nshmaudit report j --growth --format json";
    let ended = scripted("many_attach_at_exit", "known::growth", script)?;
    let output = ended.output();
    let (text, json) = output.split_once("= 0\n").unwrap_or_default();
    let row = text.lines().find(|line| line.trim_start().starts_with("attachment")).unwrap_or("");
    let counts: Vec<u64> = row.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    let grows = counts.len() == 12 && counts.is_sorted() && counts.first() < counts.last() && counts.last() == Some(&9);
    check!(
        grows && row.contains("main many_attach_at_exit.c:29"),
        "said:{}\n{}",
        Shown(output.as_bytes()),
        ended.errors()
    );
    let json: serde_json::Value = serde_json::from_str(json.trim_end_matches("= 0\n"))?;
    check!(json["schema"] == "shmaudit-growth/1" && json["sites"][0]["what"] == "attachment", "{json}");
    Ok(())
}

/// A session that goes on is asked twice: the same three places have grown, and what is undone each time has not.
fn growth_alive() -> Verdict {
    let grows = build::own("grows", &Variant::plain().and(&["-lrt"]))?;
    let (run, _) = machine::prepare(
        "known::growth_alive",
        r#"
        mkfifo in out
        "$SHMAUDIT" run --library "$LIBRARY" -o session "$GROWS" < in > out 2> told & supervisor=$!
        exec 4> in 5< out
        rounds() { for round in $1; do echo >&4 || exit 97; sleep 0.1; done; }
        # One character a round, one answer.
        answers() { for round in $1; do read -r number <&5; done; echo "$number rounds"; }
        rounds "1 2 3"; answers "1 2 3"
        "$SHMAUDIT" report session --growth
        rounds "1 2 3 4 5"; answers "1 2 3 4 5"
        "$SHMAUDIT" report session --growth
        "$SHMAUDIT" report session --growth --format html; echo $?
        exec 4>&-; wait $supervisor; echo $?
        cat told
        "#,
    )?;
    let ended = run.env("GROWS", grows).end()?;
    let output = ended.output();
    let said = || format!("{output}{}", ended.errors());
    let of = |text: &str, what: &str| {
        let row = text.lines().find(|line| line.trim_start().starts_with(what)).unwrap_or_default().to_string();
        let counts: Vec<u64> = row.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
        (counts.is_sorted() && counts.len() == 12, counts.last().copied().unwrap_or(0), row)
    };
    let (first, second) = output.split_once("8 rounds\n").unwrap_or_default();
    for (text, count) in [(first, 3), (second, 8)] {
        for (what, place) in [
            ("object", "by shm_open: leak grows.c:14"),
            ("descriptor", "by shm_open: leak grows.c:14"),
            ("attachment", "by shmat: attach grows.c:20"),
        ] {
            let (sorted, last, row) = of(text, what);
            check!(sorted && last == count && row.contains(place), "{what}: {row}\n{}", said());
        }
        check!(text.contains("growth at ") && !text.contains("clean grows.c"), "{}", said());
    }
    check!(ended.errors().contains("--growth is written as text or json"), "{}", said());
    check!(second.contains("\n2\n0\n"), "{}", said());
    Ok(())
}

/// The README lists every built-in suppression with its reason.
fn documented() -> Verdict {
    let readme = fs::read_to_string(place::workspace().join("README.md"))?;
    for (rule, why) in shmaudit_core::suppress::BUILT_IN {
        check!(readme.contains(&format!("| `{rule}` | {why} |")), "README.md does not have | `{rule}` | {why} |");
    }
    // What the rule takes for a limit (core/src/findings/limits.rs).
    let row = readme.lines().find(|line| line.starts_with("| `limit-hit` |")).unwrap_or_default();
    for error in ["ENOSPC", "ENOMEM", "EMFILE", "ENFILE", "EFBIG", "EINVAL", "shmmax", "SIGBUS"] {
        check!(row.contains(&format!("`{error}`")), "README.md's row on limit-hit does not have {error}: {row}");
    }
    for kind in shmaudit_core::findings::KINDS {
        check!(readme.contains(&format!("`{}`", kind.name())), "README.md does not have `{}`", kind.name());
    }
    Ok(())
}
