//! The report itself: its text, its JSON, where it goes, and that the same run gives the same verdict.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::report::{self, Report};
use crate::run::Ended;
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, fail, log, place, shape};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for name in [
        "leak_posix",
        "leak_sysv",
        "leak_ipc_private",
        "leak_both_many",
        "names_odd_bytes",
        "double_detach",
        "many_attach_at_exit",
        "errno_kept",
        "fork_child_leaks",
        "exec_keeps_nothing",
        "memfd_basic",
        "direct_open_leak",
        "posix_shm",
    ] {
        trials.add(format!("reports::json_is_as_documented::{name}"), move || json(name));
    }
    trials.add("reports::json_tells_the_story", story);
    trials.add("reports::json_on_stderr", json_on_stderr);
    trials.add("reports::text_leads_with_what_leaked", text);
    trials.add("reports::text_names_the_way_to_remove", remedy);
    trials.add("reports::text_in_file", text_in_file);
    trials.add("reports::path_letters", path_letters);
    trials.add("reports::off", off);
    trials.add("reports::names_drive_no_terminal", odd_bytes);
    trials.add("reports::nothing_without_a_call", nothing_without_a_call);
    trials.add("reports::the_same_twice", the_same_twice);
    trials.add("reports::the_remedy_works", remedy_works);
}

fn audited(name: &str, trial: &str, options: &str) -> Result<Ended, Stop> {
    let scenario = Scenario::named(name);
    let run = scenario.plain(trial)?.preloaded(options);
    Ok(scenario.turn()?.run(run)?.0)
}

fn reports_of(name: &str, trial: &str) -> Result<Vec<Report>, Stop> {
    let directory = place::directory(trial)?;
    audited(name, trial, &report::into(&directory))?.is_quiet()?;
    let reports: Vec<Report> = report::read_all(&directory)?.into_iter().flat_map(|(_, reports)| reports).collect();
    check!(!reports.is_empty(), "no report");
    Ok(reports)
}

fn one_report_of(name: &str, trial: &str) -> Result<Value, Stop> {
    let mut reports = reports_of(name, trial)?;
    let (Some(report), true) = (reports.pop(), reports.is_empty()) else { fail!("not one report") };
    Ok(report.0)
}

fn json(name: &str) -> Verdict {
    for report in reports_of(name, &format!("reports::json-{name}"))? {
        shape::check(&report.0, shape::REPORT)?;
        adds_up(&report.0)?;
    }
    Ok(())
}

/// The summary is that of the findings.
fn adds_up(report: &Value) -> Verdict {
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let of = |severity: &str| findings.iter().filter(|finding| finding["severity"] == severity).count() as u64;
    let summary = &report["summary"];
    for (name, severity) in [("errors", "error"), ("warnings", "warning"), ("notes", "note")] {
        check!(summary[name] == of(severity), "{name} is {}, the findings are {}", summary[name], of(severity));
    }
    let leaks = findings.iter().filter(|finding| finding["kind"].as_str().is_some_and(|kind| kind.ends_with("-leak")));
    let bytes: u64 = leaks.clone().filter_map(|finding| finding["bytes"].as_u64()).sum();
    check!(summary["leaked_objects"] == leaks.count() as u64, "leaked_objects is {}", summary["leaked_objects"]);
    check!(summary["leaked_bytes"] == bytes, "leaked_bytes is {}, the findings' {bytes}", summary["leaked_bytes"]);
    check!(summary["events_lost"] == 0, "events_lost is {}", summary["events_lost"]);
    Ok(())
}

/// Processes, objects and calls of a simple program, in full.
fn story() -> Verdict {
    let report = one_report_of("leak_both_many", "reports::story")?;
    let process = &report["processes"][0];
    let exe = process["exe"].as_str().unwrap_or("");
    check!(exe.ends_with("/leak_both_many"), "the process is {process}");
    check!(
        report["command"][0].as_str().is_some_and(|word| word.ends_with("/leak_both_many")),
        "{}",
        report["command"]
    );
    let calls = &report["summary"]["calls"];
    for (call, times) in [("shm_open", 3), ("ftruncate", 3), ("shmget", 3), ("shm_unlink", 1), ("shmctl", 1)] {
        check!(calls[call] == times, "{call}: {} instead of {times}", calls[call]);
    }
    let objects = report["objects"].as_array().cloned().unwrap_or_default();
    let find = |label: &str| objects.iter().find(|object| report::label(object) == label);
    let (Some(kept), Some(removed)) = (find("/shmaudit-leak_both_many-a"), find("/shmaudit-leak_both_many-b")) else {
        fail!("objects: {objects:?}")
    };
    check!(kept["exists"] == true && kept["removed"].is_null(), "{kept}");
    check!(removed["exists"] == false && removed["removed"]["call"] == "shm_unlink", "{removed}");
    check!(kept["created"]["call"] == "shm_open" && kept["size"] == 4257 && kept["mode"] == "0600", "{kept}");
    let Some(segment) = find("0x5a4d0051") else { fail!("objects: {objects:?}") };
    check!(segment["created"]["call"] == "shmget" && segment["size"] == 4263 && segment["exists"] == true, "{segment}");

    let report = one_report_of("double_detach", "reports::story-double_detach")?;
    let bad = report["findings"].as_array().into_iter().flatten().find(|finding| finding["kind"] == "bad-detach");
    let related: BTreeSet<&str> = bad
        .and_then(|bad| bad["related"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|event| event["what"].as_str())
        .collect();
    check!(related.contains("attached") && related.contains("detached"), "related: {related:?} of {bad:?}");
    let report = one_report_of("errno_kept", "reports::story-errno_kept")?;
    let failed = &report["summary"]["failed_calls"];
    check!(failed["shmget"] == serde_json::json!({"EEXIST": 1, "EINVAL": 1, "ENOENT": 1}), "failed calls: {failed}");
    Ok(())
}

fn json_on_stderr() -> Verdict {
    let ended = audited("leak_posix", "reports::json_on_stderr", "log=off:report_format=json")?;
    let report: Value = serde_json::from_slice(&ended.stderr)?;
    shape::check(&report, shape::REPORT)
}

/// Before anything else: what, how much, who, where.
fn text() -> Verdict {
    let ended = audited("leak_both_many", "reports::text", "log=off")?;
    log::is_tame(&ended.stderr)?;
    let said = ended.errors();
    for word in [
        "/shmaudit-leak_both_many-a",
        "/shmaudit-leak_both_many-c",
        "0x5a4d0051",
        "0x5a4d0053",
        "4257",
        "4261",
        "4263",
        "4267",
        "make_object",
        "make_segment",
        "leak_both_many.c:29",
        "leak_both_many.c:37",
        &ended.pid.to_string(),
    ] {
        check!(said.contains(word), "the report does not say {word}:{}", Shown(&ended.stderr));
    }
    check!(!said.contains("leak_both_many-b"), "the report names what is removed:{}", Shown(&ended.stderr));
    let start: String = said.lines().take(3).collect();
    check!(start.contains("leak"), "the first lines do not say that something leaked:{}", Shown(&ended.stderr));
    Ok(())
}

fn remedy() -> Verdict {
    let ended = audited("leak_both_many", "reports::remedy", "log=off")?;
    let said = ended.errors();
    check!(said.contains("rm ") && said.contains("ipcrm -m "), "no command that removes:{}", Shown(&ended.stderr));
    let ended = audited("posix_shm", "reports::remedy-none", "log=off")?;
    check!(!ended.errors().contains("rm "), "a command to remove nothing:{}", Shown(&ended.stderr));
    Ok(())
}

/// The commands that the report names, given to a shell, remove all that leaked: names with odd bytes too.
fn remedy_works() -> Verdict {
    for name in ["leak_both_many", "leak_ipc_private", "names_odd_bytes", "direct_open_leak"] {
        let scenario = Scenario::named(name);
        let trial = format!("reports::remedy_works-{name}");
        let program = scenario.program(&crate::build::Variant::plain())?;
        // The commands stand on lines of their own, or after a word and a colon.
        let script = "LD_PRELOAD=$1 SHMAUDIT_OPTIONS=log=off \"$0\" 2>report >/dev/null; \
                      grep -o '\\(rm\\|ipcrm\\) -.*' report >commands; . ./commands";
        let run = crate::run::Run::new("bash").arg("-c").arg(script).arg(program).arg(place::library());
        let (ended, left) = scenario.turn()?.run(run.within(&place::directory(&trial)?))?;
        let commands = fs::read(place::directory(&trial)?.join("commands"))?;
        check!(left.is_empty(), "{name}: left: {left:?}; commands:{}\n{}", Shown(&commands), ended.errors());
    }
    Ok(())
}

fn text_in_file() -> Verdict {
    let path = place::directory("reports::text_in_file")?.join("report.txt");
    let ended = audited("leak_posix", "reports::text_in_file", &format!("log=off:report={}", path.display()))?;
    ended.is_quiet()?;
    let text = fs::read(path)?;
    log::is_tame(&text)?;
    check!(String::from_utf8_lossy(&text).contains("/shmaudit-leak_posix"), "the report says:{}", Shown(&text));
    Ok(())
}

fn path_letters() -> Verdict {
    let directory = place::directory("reports::path_letters")?;
    let options = format!("log=off:report={}/%e-%p-%%", directory.display());
    let ended = audited("leak_posix", "reports::path_letters", &options)?;
    let path = directory.join(format!("leak_posix-{}-%", ended.pid));
    check!(path.is_file(), "{} is not there; standard error:{}", path.display(), Shown(&ended.stderr));
    Ok(())
}

fn off() -> Verdict {
    audited("leak_posix", "reports::off", "log=off:report=off")?.is_quiet()
}

fn odd_bytes() -> Verdict {
    let ended = audited("names_odd_bytes", "reports::odd_bytes", "")?;
    log::is_tame(&ended.stderr)?;
    check!(ended.errors().contains("names_odd_bytes-\\n\\33[31m\\377"), "no such name:{}", Shown(&ended.stderr));
    let ended = audited("names_odd_bytes", "reports::odd_bytes", "log_format=json:report_format=json")?;
    log::is_tame(&ended.stderr)
}

fn nothing_without_a_call() -> Verdict {
    for program in ["/bin/true", "/bin/ls", "/bin/cat"] {
        crate::run::Run::new(program).preloaded("").end()?.well()?.is_quiet()?;
    }
    let directory = place::directory("reports::nothing_without_a_call")?;
    crate::run::Run::new("/bin/true").preloaded(&report::into(&directory)).end()?.well()?.is_quiet()?;
    check!(report::read_all(&directory)?.is_empty(), "a report of nothing");
    Ok(())
}

fn the_same_twice() -> Verdict {
    let findings = |round: u32| -> Result<Vec<String>, Stop> {
        let report = one_report_of("odd_sizes", &format!("reports::the_same_twice-{round}"))?;
        let told = |finding: &Value| {
            let stack = finding["event"]["stack"].as_array().cloned().unwrap_or_default();
            let frames: Vec<&Value> = stack.iter().flat_map(|frame| [&frame["function"], &frame["line"]]).collect();
            let words = ["kind", "severity", "bytes", "count", "hint"].map(|name| finding[name].to_string());
            let hint_has_ids = words.join(" ").replace(|c: char| c.is_ascii_digit(), "9");
            format!("{} {hint_has_ids} {frames:?}", report::label(&finding["object"]))
        };
        Ok(report["findings"].as_array().into_iter().flatten().map(told).collect())
    };
    let (first, second) = (findings(1)?, findings(2)?);
    check!(first.len() >= 6, "only {} findings", first.len());
    check!(first == second, "first:\n{}\nsecond:\n{}", first.join("\n"), second.join("\n"));
    Ok(())
}
