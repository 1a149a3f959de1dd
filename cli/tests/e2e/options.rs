//! `SHMAUDIT_OPTIONS`: what is understood, what is not, and that neither changes the program's result.

use shmaudit_core::options::TABLE;

use crate::report::{self, Report};
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, fail, log, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("options::unknown_key", || warns("nonsense=1", &["nonsense"]));
    trials.add("options::no_value", || warns("verbose", &["verbose"]));
    for (key, values) in BAD {
        for value in *values {
            trials.add(format!("options::bad_value::{key}={value}"), move || {
                warns(&format!("{key}={value}"), &[key, value])
            });
        }
    }
    trials.add("options::empty", || quiet(""));
    trials.add("options::only_colons", || quiet(":::"));
    for (key, values) in GOOD {
        for value in *values {
            trials.add(format!("options::good_value::{key}={value}"), move || quiet(&format!("{key}={value}")));
        }
    }
    trials.add("options::every_key_is_tried", every_key);
    trials.add("options::raw_bytes_are_not_echoed", raw_bytes);
    trials.add("options::not_utf8", not_utf8);
    trials.add("options::very_long", very_long);
    trials.add("options::help", help);
    trials.add("options::help_without_a_call", help_without_a_call);
    trials.add("options::stacks_0", || stacks(0));
    trials.add("options::stacks_1", || stacks(1));
    trials.add("options::stacks_64", || stacks(64));
    trials.add("options::suppressions", suppressions);
    trials.add("options::suppressions_by_function_file_module_key", suppressions_by_other_words);
    trials.add("options::suppressions_unreadable", suppressions_unreadable);
    trials.add("options::paths_are_said_printable", printable);
    trials.add("options::follow_0", follow);
}

/// What each key takes. Paths lead into the trial's directory, which is the program's working directory.
const GOOD: &[(&str, &[&str])] = &[
    ("log", &["off", "./calls.log", "'./with:colon.log'"]),
    ("log_format", &["text", "json"]),
    ("trace", &["all", "posix", "posix,sysv", "map,fd,process", "all,posix"]),
    ("syscalls", &["0", "1"]),
    ("report", &["off", "./out.txt"]),
    ("report_format", &["text", "json"]),
    ("journal", &["off"]),
    ("session", &["none"]),
    ("stacks", &["0", "1", "16", "64"]),
    ("error_exitcode", &["0", "1", "255"]),
    ("suppressions", &["none"]),
    ("follow", &["0", "1"]),
    ("help", &["0"]),
];

const BAD: &[(&str, &[&str])] = &[
    ("log", &[""]),
    ("log_format", &["xml", "JSON"]),
    ("trace", &["", "posix,", "sysv,nonsense"]),
    ("syscalls", &["2", "yes"]),
    ("report", &[""]),
    ("report_format", &["html"]),
    ("journal", &[""]),
    ("session", &[""]),
    ("stacks", &["65", "-1", "+1", "many", "99999999999999999999"]),
    ("error_exitcode", &["256", "-1"]),
    ("suppressions", &[""]),
    ("follow", &["maybe"]),
    ("help", &["2"]),
];

/// A program that leaks nothing, with these options beside `log=off:report=off`, plain and audited.
fn audited(options: &str) -> Result<Ended, Stop> {
    let scenario = Scenario::named("posix_shm");
    let trial = format!("options-{}", options.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
    let trial = trial.get(..100).unwrap_or(&trial);
    let turn = scenario.turn()?;
    let (plain, _) = turn.run(scenario.plain(trial)?)?;
    let (ended, _) = turn.run(scenario.plain(trial)?.preloaded(&format!("log=off:report=off:{options}")))?;
    ended.same_as(&plain)?;
    log::is_tame(&ended.stderr)?;
    Ok(ended)
}

/// One line names each of the words, and nothing else happens.
fn warns(options: &str, words: &[&str]) -> Verdict {
    let said = audited(options)?.errors();
    check!(said.lines().count() == 1, "not one line:{}", Shown(said.as_bytes()));
    check!(said.starts_with("shmaudit: "), "whose line is this? {said}");
    for word in words {
        check!(said.contains(word), "the line does not name {word}: {said}");
    }
    Ok(())
}

fn quiet(options: &str) -> Verdict {
    audited(options)?.is_quiet()
}

/// The lists above cover the table.
fn every_key() -> Verdict {
    for row in TABLE {
        check!(GOOD.iter().any(|(key, _)| *key == row.key), "no good value of {} is tried", row.key);
        check!(BAD.iter().any(|(key, _)| *key == row.key), "no bad value of {} is tried", row.key);
    }
    Ok(())
}

fn raw_bytes() -> Verdict {
    let said = audited("\x1b[31mred\n\x07=1:stacks=\x1b]0;title\x07")?.errors();
    check!(said.lines().count() == 2, "not two lines:{}", Shown(said.as_bytes()));
    Ok(())
}

fn not_utf8() -> Verdict {
    use std::os::unix::ffi::OsStrExt;
    let scenario = Scenario::named("posix_shm");
    let run = scenario.plain("options-not_utf8")?.preloaded("");
    let run = run.env("SHMAUDIT_OPTIONS", std::ffi::OsStr::from_bytes(b"log=off:report=off:\xff\xfe=1"));
    let (ended, _) = scenario.turn()?.run(run)?;
    check!(ended.how() == "0", "ended {}:{}", ended.how(), Shown(&ended.stderr));
    log::is_tame(&ended.stderr)?;
    check!(!ended.stderr.is_empty(), "no word of what is not understood");
    Ok(())
}

fn very_long() -> Verdict {
    let said = audited(&format!("stacks={}", "9".repeat(50_000)))?.errors();
    check!(said.lines().count() == 1 && said.len() < 1000, "not one bearable line: {} bytes", said.len());
    Ok(())
}

fn help() -> Verdict {
    let said = audited("help=1:stacks=7")?.errors();
    for row in TABLE {
        check!(said.contains(&format!("{}=", row.key)), "help does not list {}:{}", row.key, Shown(said.as_bytes()));
        check!(said.contains(row.meaning), "help does not say what {} means", row.key);
    }
    check!(said.contains("stacks=7"), "help does not show the value in force:{}", Shown(said.as_bytes()));
    Ok(())
}

fn help_without_a_call() -> Verdict {
    let ended = Run::new("/bin/true").preloaded("help=1").end()?.well()?;
    check!(ended.errors().contains("stacks=16"), "no help:{}", Shown(&ended.stderr));
    Ok(())
}

/// Runs a scenario for its reports in JSON, with more options.
fn reported(name: &str, trial: &str, options: &str) -> Result<Vec<Report>, Stop> {
    let scenario = Scenario::named(name);
    let directory = place::directory(trial)?;
    let run = scenario.plain(trial)?.preloaded(&format!("{}:{options}", report::into(&directory)));
    let (ended, _) = scenario.turn()?.run(run)?;
    ended.is_quiet()?;
    let reports = report::read_all(&directory)?.into_iter().flat_map(|(_, reports)| reports).collect::<Vec<_>>();
    check!(!reports.is_empty(), "no report");
    Ok(reports)
}

/// As many frames as are asked for, and the leak is found without any.
fn stacks(most: usize) -> Verdict {
    let reports = reported("leak_both_many", &format!("options::stacks_{most}"), &format!("stacks={most}"))?;
    for report in &reports {
        let leaks: Vec<_> =
            report.findings("leak_both_many.c").into_iter().filter(|f| f.kind.ends_with("-leak")).collect();
        check!(leaks.len() == 4, "{} leaks are found instead of 4", leaks.len());
        for finding in report.0["findings"].as_array().into_iter().flatten() {
            let frames = finding["event"]["stack"].as_array();
            let real = frames.into_iter().flatten().filter(|frame| frame["inlined"] != true).count();
            check!(real <= most, "{real} frames with stacks={most}: {finding}");
            check!(real >= most.min(2), "only {real} frames with stacks={most}: {finding}");
        }
    }
    Ok(())
}

fn suppressions_in(name: &str, trial: &str, rules: &str) -> Result<Report, Stop> {
    let path = place::directory(trial)?.join("suppressions.txt");
    std::fs::write(&path, rules)?;
    let mut reports = reported(name, trial, &format!("suppressions={}", path.display()))?;
    let (Some(report), true) = (reports.pop(), reports.is_empty()) else { fail!("not one report") };
    Ok(report)
}

fn suppressions() -> Verdict {
    let rules = "# a comment\n\nleak:*leak_both_many-a\nsysv-leak:0x5a4d005*\nposix-leak:/nothing-like-that*\n";
    let report = suppressions_in("leak_both_many", "options::suppressions", rules)?;
    let left: Vec<String> = report.findings("leak_both_many.c").iter().map(|finding| finding.label.clone()).collect();
    check!(left == ["/shmaudit-leak_both_many-c"], "left to report: {left:?}");
    let suppressed = report.0["suppressed"].as_array().cloned().unwrap_or_default();
    let count = |rule: &str| suppressed.iter().find(|row| row["rule"] == rule).map(|row| row["count"].as_u64());
    check!(count("leak:*leak_both_many-a") == Some(Some(1)), "suppressed: {suppressed:?}");
    check!(count("sysv-leak:0x5a4d005*") == Some(Some(2)), "suppressed: {suppressed:?}");
    let unused = &report.0["unused_suppressions"];
    check!(*unused == serde_json::json!(["posix-leak:/nothing-like-that*"]), "unused: {unused}");
    check!(report.0["summary"]["errors"] == 1, "the summary counts what is suppressed: {}", report.0["summary"]);
    Ok(())
}

fn suppressions_by_other_words() -> Verdict {
    for (rule, left) in
        [("leak:make_object", 2), ("leak:*leak_both_many.c", 0), ("leak:*/leak_both_many", 0), ("leak:make_seg*", 2)]
    {
        let trial = format!("options::suppressions-{}", rule.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        let report = suppressions_in("leak_both_many", &trial, rule)?;
        let found = report.findings("leak_both_many.c").len();
        check!(found == left, "{rule} leaves {found} findings instead of {left}");
    }
    Ok(())
}

/// One line each, which ends as lines do; and no wait for who might write into a pipe.
fn suppressions_unreadable() -> Verdict {
    let scenario = Scenario::named("leak_posix");
    let trial = "options::suppressions_unreadable";
    let directory = place::directory(trial)?;
    let inputs = place::directory(&format!("{trial}-inputs"))?;
    std::fs::write(inputs.join("long.txt"), "x".repeat(3000))?;
    std::fs::write(inputs.join("large.txt"), "#\n".repeat(1 << 20))?;
    std::fs::create_dir(inputs.join("directory"))?;
    Run::new("mkfifo").arg(inputs.join("pipe")).end()?.well()?;
    let cases = [
        ("missing.txt", "ENOENT: none in force\n"),
        ("directory", "EISDIR: none in force\n"),
        ("long.txt", "xxx\n"),
        ("large.txt", "larger than 1 MiB: the rest is not in force\n"),
        ("pipe", ""),
    ];
    for (file, wanted) in cases {
        let options = format!("{}:suppressions={}", report::into(&directory), inputs.join(file).display());
        let (ended, _) = scenario.turn()?.run(scenario.plain(trial)?.preloaded(&options))?;
        check!(ended.how() == "0", "{file}: ended {}", ended.how());
        let said = ended.errors();
        let lines = usize::from(!wanted.is_empty());
        let named = wanted.is_empty() || said.contains(file);
        check!(
            said.lines().count() == lines && named && said.ends_with(wanted),
            "{file}: not {lines} lines naming the file:{}",
            Shown(&ended.stderr)
        );
    }
    Ok(())
}

/// What is wrong with a path is said in one line, without what the path would tell a terminal.
fn printable() -> Verdict {
    let scenario = Scenario::named("leak_posix");
    let trial = "options::paths_are_said_printable";
    let directory = place::directory(trial)?;
    for key in ["log", "report", "journal", "suppressions"] {
        let options = format!("log=off:report={}/r.%p:{key}=/missing/\x1b[31m\n\u{9b}é/x", directory.display());
        let (ended, _) = scenario.turn()?.run(scenario.plain(trial)?.preloaded(&options))?;
        let said = ended.errors();
        let shown = format!("shmaudit: {key} /missing/\\33[31m\\12\\233é/x: ENOENT");
        check!(said.lines().count() == 1 && said.starts_with(&shown), "{key}:{}", Shown(&ended.stderr));
    }
    Ok(())
}

/// A child is not audited: what it leaves is not found, and what the parent does still is.
fn follow() -> Verdict {
    let reports = reported("posix_spawn_child", "options::follow_0", "follow=0")?;
    let found: Vec<String> =
        reports.iter().flat_map(|report| report.findings("posix_spawn_child.c")).map(|finding| finding.label).collect();
    check!(found == ["/shmaudit-posix_spawn_child"], "found: {found:?}");
    let scenario = Scenario::named("fork_child_leaks");
    let trial = "options::follow_0-fork";
    let directory = place::directory(trial)?;
    let run = scenario.plain(trial)?.preloaded(&format!("{}:follow=0", report::into(&directory)));
    let (ended, _) = scenario.turn()?.run(run)?;
    ended.is_quiet()?;
    let reports = report::read_all(&directory)?;
    let found =
        reports.iter().flat_map(|(_, reports)| reports).flat_map(|report| report.findings("fork_child_leaks.c"));
    let found: Vec<String> = found.map(|finding| finding.label).collect();
    check!(found.is_empty(), "a forked child that is not to be audited is in the report: {found:?}");

    // An executed child does not even log.
    let program = crate::build::own("family", &crate::build::Variant::plain())?;
    let run = Run::new(program).arg("child_execs_itself").preloaded("follow=0");
    let (ended, _) = crate::clean::Turn::take(&crate::build::own_source("family"))?.run(run)?;
    check!(!ended.errors().contains("shm_open"), "an executed child is audited:{}", Shown(&ended.stderr));
    Ok(())
}
