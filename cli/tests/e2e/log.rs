//! The log: how its lines are made, in text and in JSON, where they go, and what `trace` selects.

use std::fs;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;
use shmaudit_core::calls::{CALLS, Call};

use crate::build::{self, Variant};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::shape;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, fail, place};

/// `shmaudit[PID:TID] HH:MM:SS.uuuuuu CALL(ARGS) = RESULT <TIME> FUNCTION FILE:LINE`
static CALL: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^shmaudit\[\d+:\d+\] \d\d:\d\d:\d\d\.\d{6} ([A-Za-z_0-9]+)\(.*\) +(= \?|= .+ <\d+(\.\d+)?(ns|us|ms|s)>)( .+)?$";
    Regex::new(pattern).expect("a pattern")
});
/// `shmaudit[PID:TID]   -> CALL(ARGS)`
static SYSTEM_CALL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^shmaudit\[\d+:\d+\]   -> [a-z_0-9]+\(.*\)$").expect("a pattern"));

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("log::reads_as_documented", reads_as_documented);
    trials.add("log::json", json);
    trials.add("log::json_has_the_arguments_of_the_prototypes", json_arguments);
    trials.add("log::path_letters", path_letters);
    trials.add("log::appends", appends);
    for (family, call) in
        [("posix", "shm_open"), ("sysv", "shmget"), ("map", "mmap"), ("fd", "close"), ("process", "exit")]
    {
        trials.add(format!("log::trace_{family}"), move || trace(family, call));
    }
    trials.add("log::trace_of_two", trace_of_two);
    trials.add("log::the_report_does_not_depend_on_trace", trace_and_report);
    trials.add("log::names_are_escaped", names_are_escaped);
    trials.add("log::mappings_of_others_are_not_logged", mappings_of_others);
}

/// Fails where a byte would drive a terminal.
pub fn is_tame(text: &[u8]) -> Verdict {
    let wild = text.iter().position(|&byte| byte != b'\n' && (byte < b' ' || byte == 0x7f));
    check!(
        wild.is_none(),
        "control bytes:{}",
        Shown(text.get(wild.unwrap_or(0).saturating_sub(200)..).unwrap_or(text))
    );
    check!(std::str::from_utf8(text).is_ok(), "not UTF-8:{}", Shown(text));
    Ok(())
}

/// Fails unless every line is a call or a system call under it, and all are whole.
pub fn is_well_made(text: &[u8]) -> Verdict {
    is_tame(text)?;
    check!(text.is_empty() || text.ends_with(b"\n"), "the last line has no end:{}", Shown(text));
    for line in String::from_utf8_lossy(text).lines() {
        check!(CALL.is_match(line) || SYSTEM_CALL.is_match(line), "not a line of the log: {line}");
    }
    Ok(())
}

/// The names of the logged calls.
fn calls(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| Some(CALL.captures(line)?.get(1)?.as_str())).collect()
}

/// Runs a scenario with its log in a file of the trial's directory and without a report.
fn logged(name: &str, trial: &str, options: &str) -> Result<(Ended, Vec<u8>), Stop> {
    let scenario = Scenario::named(name);
    let path = place::directory(trial)?.join("calls.log");
    let options = format!("report=off:log={}:{options}", path.display());
    let (ended, _) = scenario.turn()?.run(scenario.plain(trial)?.preloaded(&options))?;
    ended.is_quiet()?;
    Ok((ended, fs::read(path).unwrap_or_default()))
}

/// The lines of both examples, word for word but for what differs from run to run.
fn reads_as_documented() -> Verdict {
    let posix = [
        r#"shm_open("shmtest", O_RDWR|O_CREAT, 0777) = 3</dev/shm/shmtest>"#,
        r#"ftruncate(3, 4096) = 0"#,
        r#"fstat(3, {st_mode=S_IFREG|MODE, st_size=4096, ...}) = 0"#,
        r#"mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = ADDRESS"#,
        r#"munmap(ADDRESS, 4096) = 0"#,
        r#"close(3) = 0"#,
        r#"shm_unlink("shmtest") = 0"#,
    ];
    says("posix_shm", &posix)?;
    let sysv = [
        r#"ftok("filename", 0) = -1 ENOENT (No such file or directory)"#,
        r#"shmget(0xffffffff, 4096, IPC_CREAT|0777) = SHMID"#,
        r#"shmat(SHMID, NULL, 0) = ADDRESS"#,
        r#"shmdt(ADDRESS) = 0"#,
        r#"shmctl(SHMID, IPC_RMID, NULL) = 0"#,
    ];
    says("sysv_shm", &sysv)
}

/// The log of a scenario is these lines, each called from where the source has the call, beside those of the end.
fn says(name: &str, wanted: &[&str]) -> Verdict {
    let source = fs::read_to_string(Scenario::named(name).source)?;
    let wanted: Vec<String> = wanted
        .iter()
        .map(|line| {
            let call = line.split_inclusive('(').next().unwrap_or(line);
            let at = source.lines().position(|text| !text.starts_with(" *") && text.contains(&format!(" {call}")));
            let at = at.or_else(|| source.lines().position(|text| text.contains(&format!("({call}"))));
            format!("{line} <TIME> main {name}.c:{}", at.map_or(0, |at| at + 1))
        })
        .collect();
    let (ended, text) = logged(name, &format!("log::reads_as_documented-{name}"), "")?;
    is_well_made(&text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let start = format!("shmaudit[{0}:{0}] ", ended.pid);
    for line in text.lines() {
        check!(line.starts_with(&start), "whose line is this? {line}");
    }
    let mut found = normal(&text);
    found.retain(|line| !line.starts_with("exit"));
    check!(found == wanted, "the log says:\n{}\ninstead of:\n{}", found.join("\n"), wanted.join("\n"));
    Ok(())
}

/// Lines without what differs from run to run.
fn normal(text: &str) -> Vec<String> {
    let rules = [
        (r"^shmaudit\[\d+:\d+\] \S+ ", ""),
        (r"<\d+(\.\d+)?(ns|us|ms|s)>", "<TIME>"),
        (r"0x[0-9a-f]{9,}", "ADDRESS"),
        (r"S_IFREG\|0[0-7]+", "S_IFREG|MODE"),
        (r"^(shmat|shmctl)\(\d+", "$1(SHMID"),
        (r"^(shmget\(.*\)) = \d+", "$1 = SHMID"),
    ];
    let rules = rules.map(|(pattern, put)| (Regex::new(pattern).expect("a pattern"), put));
    let normal = |line: &str| {
        rules.iter().fold(line.to_string(), |line, (pattern, put)| pattern.replace_all(&line, *put).into_owned())
    };
    text.lines().map(normal).collect()
}

/// The lines of a log in JSON.
fn objects(text: &[u8]) -> Result<Vec<Value>, Stop> {
    let text = std::str::from_utf8(text)?;
    let object = |line: &str| serde_json::from_str(line).map_err(|error| Stop::Fail(format!("{error}: {line}")));
    text.lines().map(object).collect()
}

fn json() -> Verdict {
    for (scenario, least) in [("leak_both_many", 13), ("names_odd_bytes", 7), ("double_detach", 5), ("errno_kept", 18)]
    {
        let (_, text) = logged(scenario, &format!("log::json-{scenario}"), "log_format=json")?;
        let lines = objects(&text)?;
        check!(lines.len() >= least, "{scenario}: {} lines:{}", lines.len(), Shown(&text));
        for line in &lines {
            shape::check(line, shape::LOG_LINE)?;
        }
    }
    let (_, text) = logged("errno_kept", "log::json-errno_kept-again", "log_format=json")?;
    let failed = objects(&text)?.into_iter().find(|line| line["call"] == "shmget" && line["errno"] == "ENOENT");
    check!(failed.as_ref().is_some_and(|line| line["ret"] == -1), "no failed shmget with its errno:{}", Shown(&text));
    Ok(())
}

fn json_arguments() -> Verdict {
    let (_, text) = logged("posix_shm", "log::json_arguments-posix", "log_format=json")?;
    let mut lines = objects(&text)?;
    let (_, text) = logged("sysv_shm", "log::json_arguments-sysv", "log_format=json")?;
    lines.extend(objects(&text)?);
    for call in [Call::ShmOpen, Call::Ftruncate, Call::Mmap, Call::ShmUnlink, Call::Shmget, Call::Shmat, Call::Shmctl] {
        let Some(line) = lines.iter().find(|line| line["call"] == call.name()) else {
            fail!("no line of {}", call.name());
        };
        let named: Vec<&str> = line["args"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        for (name, _) in call.args() {
            check!(named.contains(name), "{} has no argument {name}: {line}", call.name());
        }
    }
    Ok(())
}

fn path_letters() -> Verdict {
    let scenario = Scenario::named("leak_posix");
    let directory = place::directory("log::path_letters")?;
    let options = format!("report=off:log={}/%e.%p.%h.%n.%%.%t", directory.display());
    let (ended, _) = scenario.turn()?.run(scenario.plain("log::path_letters")?.preloaded(&options))?;
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let start = format!("leak_posix.{}.{}.", ended.pid, host.trim());
    let names: Vec<String> =
        fs::read_dir(&directory)?.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_string())).collect();
    let [name] = names.as_slice() else { fail!("not one file but {names:?}") };
    let rest: Vec<&str> = name.strip_prefix(&start).unwrap_or("").split('.').collect();
    let [counter, "%", time] = rest.as_slice() else { fail!("the file is called {name}") };
    check!(counter.parse::<u64>().is_ok(), "no counter in {name}");
    check!(time.parse::<u64>().is_ok_and(|time| time > 1_700_000_000), "no time in {name}");
    Ok(())
}

fn appends() -> Verdict {
    let (_, once) = logged("leak_posix", "log::appends", "trace=posix")?;
    let (_, twice) = logged("leak_posix", "log::appends", "trace=posix")?;
    check!(twice.starts_with(&once) && twice.len() > once.len(), "the second run did not append:{}", Shown(&twice));
    Ok(())
}

/// What is mapped where shared memory was before is nobody's of ours.
fn mappings_of_others() -> Verdict {
    let directory = place::directory("log::mappings_of_others")?;
    let path = directory.join("calls.log");
    let options = format!("report=off:trace=map,sysv:log={}", path.display());
    let program = build::own("strangers", &Variant::plain())?;
    let (ended, _) = Turn::take(&build::own_source("strangers"))?.run(Run::new(program).preloaded(&options))?;
    check!(ended.output() == "there\nrefused -1\nrefused -1\nthere\n", "it says:{}", Shown(&ended.stdout));
    let text = fs::read(&path)?;
    is_well_made(&text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let wanted = ["shmget", "shmat", "shmat", "shmdt", "munmap", "shmdt", "shmctl"];
    let wanted: Vec<&str> = wanted.into_iter().chain(["ftruncate", "mmap", "munmap", "munmap", "munmap"]).collect();
    let mut found = calls(&text);
    found.retain(|call| *call != "memfd_create");
    check!(found == wanted, "the log says:\n{text}");
    Ok(())
}

/// Only calls of this family are logged, and `call` is among them.
fn trace(family: &str, call: &str) -> Verdict {
    let (_, text) = logged("exec_keeps_nothing", &format!("log::trace_{family}"), &format!("trace={family}"))?;
    is_well_made(&text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    check!(calls(&text).contains(&call) || family == "process", "no {call} in the log:\n{text}");
    check!(!calls(&text).is_empty(), "nothing is logged");
    for name in calls(&text) {
        let known = CALLS.iter().find(|known| known.name() == name);
        let of = known.map(|known| format!("{:?}", known.trace()).to_lowercase());
        check!(of.as_deref() == Some(family), "{name} is not of {family}");
    }
    Ok(())
}

fn trace_of_two() -> Verdict {
    let (_, text) = logged("exec_keeps_nothing", "log::trace_of_two", "trace=sysv,fd")?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let calls = calls(&text);
    check!(calls.contains(&"shmget") && calls.contains(&"close"), "not both families:\n{text}");
    check!(!calls.contains(&"shm_open") && !calls.contains(&"mmap"), "other families too:\n{text}");
    Ok(())
}

fn trace_and_report() -> Verdict {
    let scenario = Scenario::named("leak_both_many");
    let trial = "log::trace_and_report";
    let directory = place::directory(trial)?;
    let options = format!("{}:trace=process:log={}/calls.log", crate::report::into(&directory), directory.display());
    let (ended, _) = scenario.turn()?.run(scenario.plain(trial)?.preloaded(&options))?;
    crate::compare::reports(&scenario, &directory, &ended, crate::compare::Sites::Lines)
}

fn names_are_escaped() -> Verdict {
    let (_, text) = logged("names_odd_bytes", "log::names_are_escaped", "")?;
    is_well_made(&text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let wanted = r#"shm_open("/shmaudit-names_odd_bytes-\n\33[31m\377", O_RDWR|O_CREAT|O_EXCL, 0600) = "#;
    check!(text.contains(wanted), "no line has {wanted}\n{text}");
    let wanted = r#"shm_unlink("/shmaudit-names_odd_bytes-removed\n\33]0;x\7\302\200\377\\\"") = 0"#;
    check!(text.contains(wanted), "no line has {wanted}\n{text}");
    Ok(())
}
