//! Families of processes: who reports, once, and what is left to later ones. Shells and Python under the preload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::report;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, fail, log, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("family::the_last_one_reports", last_reports);
    trials.add("family::the_last_one_cleans", last_cleans);
    trials.add("family::one_report_of_many_children", one_report);
    trials.add("family::a_killed_child_is_reported_by_its_parent", killed_child);
    trials.add("family::a_child_that_leaves_by_exec", leaves_by_exec);
    trials.add("family::an_executed_child_reports_itself", executed_child);
    trials.add("family::grandchildren", grandchildren);
    trials.add("family::each_way_to_fork", each_way);
    trials.add("family::a_vfork_childs_descriptors", vfork_descriptors);
    for (name, script) in SCRIPTS {
        trials.add(format!("family::shell::{name}"), move || shell(name, script));
    }
    for way in ["fork", "spawn", "forkserver"] {
        trials.add(format!("family::python_shared_memory::{way}"), move || python(way));
    }
    trials.add("family::python_without_shared_memory", python_quiet);
    trials.add("family::more_processes_than_places", many_workers);
    trials.add("family::more_processes_than_places_under_a_filter", many_workers_filtered);
}

/// The leaks that each process reports, by process id.
fn leaks(way: &str) -> Result<(u32, BTreeMap<u32, Vec<String>>), Stop> {
    let trial = format!("family-{way}");
    let directory = place::directory(&trial)?;
    let program = build::own("family", &Variant::plain())?;
    let run = Run::new(program).arg(way).within(&directory).preloaded(&report::into(&directory));
    let (ended, _) = Turn::take(&own_source("family"))?.run(run)?;
    let ended = ended.well()?;
    ended.is_quiet()?;
    Ok((ended.pid, by_process(&directory, "family.c")?))
}

fn by_process(directory: &Path, source: &str) -> Result<BTreeMap<u32, Vec<String>>, Stop> {
    let mut all = BTreeMap::new();
    for (path, reports) in report::read_all(directory)? {
        let pid = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let Some(pid) = pid else { fail!("whose report is {}?", path.display()) };
        let found = reports.iter().flat_map(|report| report.findings(source));
        let leaks = found.filter(|finding| finding.kind.ends_with("-leak")).map(|finding| finding.label);
        all.insert(pid, leaks.collect());
    }
    Ok(all)
}

/// The parent ends first and leaves the verdict to its child, which reports what both made.
fn last_reports() -> Verdict {
    let (parent, reports) = leaks("parent_first_leaks")?;
    let mut named: Vec<(&u32, &String)> =
        reports.iter().flat_map(|(pid, leaks)| leaks.iter().map(move |leak| (pid, leak))).collect();
    named.sort_by_key(|(_, leak)| leak.as_str());
    let labels: Vec<&str> = named.iter().map(|(_, leak)| leak.as_str()).collect();
    check!(
        labels == ["/shmaudit-family-child", "/shmaudit-family-parent"],
        "reported: {reports:?}, the parent is {parent}"
    );
    check!(named.iter().all(|(pid, _)| **pid != parent), "the parent, which is not the last, reports: {reports:?}");
    Ok(())
}

fn last_cleans() -> Verdict {
    let (parent, reports) = leaks("parent_first_cleans")?;
    check!(!reports.is_empty(), "no report");
    check!(reports.values().all(Vec::is_empty), "reported: {reports:?}, the parent is {parent}");
    Ok(())
}

/// Eight children leave an object each and end before their parent: one report, the parent's, names all.
fn one_report() -> Verdict {
    let (parent, reports) = leaks("many_children")?;
    let naming: Vec<(&u32, &Vec<String>)> = reports.iter().filter(|(_, leaks)| !leaks.is_empty()).collect();
    let [(pid, leaks)] = naming.as_slice() else { fail!("not one report: {reports:?}, the parent is {parent}") };
    check!(**pid == parent, "the report is {pid}'s, the parent is {parent}");
    let wanted: Vec<String> = (0..8).map(|n| format!("/shmaudit-family-{n}")).collect();
    let mut leaks = leaks.to_vec();
    leaks.sort();
    check!(leaks == wanted, "reported: {leaks:?}");
    // In text: one report too.
    let program = build::own("family", &Variant::plain())?;
    let (ended, _) =
        Turn::take(&own_source("family"))?.run(Run::new(program).arg("many_children").preloaded("log=off"))?;
    let said = ended.errors();
    for label in wanted {
        check!(said.contains(&label), "{label} is not named:{}", Shown(&ended.stderr));
    }
    Ok(())
}

fn killed_child() -> Verdict {
    let (parent, reports) = leaks("killed_child")?;
    check!(reports.get(&parent).is_some_and(|leaks| leaks == &["/shmaudit-family-child"]), "reported: {reports:?}");
    Ok(())
}

/// A forked child makes an object and becomes another program: its parent names the object.
fn leaves_by_exec() -> Verdict {
    let (parent, reports) = leaks("child_execs_true")?;
    check!(reports.get(&parent).is_some_and(|leaks| leaks == &["/shmaudit-family-child"]), "reported: {reports:?}");
    Ok(())
}

/// What an executed program leaves is in its own report and not in its parent's.
fn executed_child() -> Verdict {
    let (parent, reports) = leaks("child_execs_itself")?;
    let naming: Vec<(&u32, &Vec<String>)> = reports.iter().filter(|(_, leaks)| !leaks.is_empty()).collect();
    let [(pid, leaks)] = naming.as_slice() else { fail!("not one report: {reports:?}, the parent is {parent}") };
    check!(**pid != parent && **leaks == ["/shmaudit-family-child"], "reported: {reports:?}, the parent is {parent}");
    Ok(())
}

/// Parent, child and grandchild end in this order; each left an object, and the grandchild reports all three.
fn grandchildren() -> Verdict {
    let (parent, reports) = leaks("three_generations")?;
    let naming: Vec<(&u32, &Vec<String>)> = reports.iter().filter(|(_, leaks)| !leaks.is_empty()).collect();
    let [(pid, leaks)] = naming.as_slice() else { fail!("not one report: {reports:?}, the parent is {parent}") };
    let mut leaks = leaks.to_vec();
    leaks.sort();
    check!(**pid != parent && leaks.len() == 3, "reported: {reports:?}, the parent is {parent}");
    Ok(())
}

/// A child by each way there is: the reports name the process that made each object.
fn each_way() -> Verdict {
    let scenario = Scenario::named("fork_ways");
    let directory = place::directory("family::each_way_to_fork")?;
    let program = scenario.program(&Variant::plain())?;
    let run = Run::new(program).within(&directory).preloaded(&report::into(&directory));
    let (ended, _) = scenario.turn()?.run(run)?;
    let ended = ended.well()?;
    let mut makers = BTreeMap::new();
    for (_, reports) in report::read_all(&directory)? {
        for object in reports.iter().filter_map(|report| report.0["objects"].as_array()).flatten() {
            let name = object["name"].as_str().unwrap_or("").to_string();
            let created = &object["created"];
            check!(
                created["tid"] == created["pid"],
                "{name} by thread {} of process {}",
                created["tid"],
                created["pid"]
            );
            makers.insert(name, created["pid"].as_u64().unwrap_or(0));
        }
    }
    let pids: std::collections::BTreeSet<u64> = makers.values().copied().collect();
    check!(makers.len() == 7 && pids.len() == 7, "made by: {makers:?}");
    check!(!pids.contains(&u64::from(ended.pid)) && !pids.contains(&0), "{} made none: {makers:?}", ended.pid);
    Ok(())
}

/// What a `vfork` child closes is not closed here, and nothing says so.
fn vfork_descriptors() -> Verdict {
    let scenario = Scenario::named("vfork_close");
    let path = place::directory("family::a_vfork_childs_descriptors")?.join("log");
    let run = scenario.plain("family::vfork")?.preloaded(&format!("report=off:log={}", path.display()));
    scenario.turn()?.run(run)?.0.well()?;
    let lines = std::fs::read_to_string(&path)?;
    check!(lines.contains("shm_unlink("), "no log:\n{lines}");
    let closes = |line: &&str| ["close(", "dup2(", "closefrom("].iter().any(|call| line.contains(call));
    let wrong: Vec<&str> = lines.lines().filter(closes).collect();
    check!(wrong.is_empty(), "the child's are taken for the parent's:\n{}", wrong.join("\n"));
    Ok(())
}

const SCRIPTS: &[(&str, &str)] = &[
    ("nothing", ":"),
    ("pipes", "echo one | cat | tr o 0 | wc -c"),
    ("substitution", "x=$(echo $(echo deep)); echo \"$x\"; (exit 4)"),
    ("background", "sleep 0.05 & wait; echo done"),
    ("loop", "for i in 1 2 3 4 5; do /bin/echo $i; done | sort -r"),
    ("redirections", "exec 3>&1; echo three >&3; exec 3>&-; echo two 2>/dev/null >&1"),
    ("here_document", "cat <<E\nhere\nE\n"),
    ("not_found", "nonexistent-command 2>/dev/null; echo $?"),
    ("killed", "{ sh -c 'kill -9 $$'; } 2>/dev/null; echo $?"),
    ("find", "find /etc -maxdepth 1 -name passwd -exec echo {} \\;"),
    ("env_cleared", "env -i /bin/echo cleared"),
    ("make", "command -v make >/dev/null || { echo made; exit; }; printf 'all:\\n\\t@echo made\\n' | make -f - 2>&1"),
];

/// The shells and tools of every day: the same result, and not a word from us.
fn shell(name: &str, script: &str) -> Verdict {
    let directory = place::directory(&format!("family-shell-{name}"))?;
    for shell in ["sh", "bash"] {
        if shell == "bash" && need("bash").is_err() {
            continue;
        }
        let run = || Run::new(shell).args(["-c", script]).within(&directory);
        let plain = run().end()?;
        let ended = run().preloaded("").end()?;
        ended.same_as(&plain)?;
        ended.is_quiet()?;
    }
    Ok(())
}

/// The interpreter itself, not a script that finds it.
fn interpreter() -> Result<String, Stop> {
    let python = need("python3")?;
    let ended = Run::new(python).args(["-c", "import sys; print(sys.executable)"]).end()?.well()?;
    Ok(ended.output().trim().to_string())
}

/// `multiprocessing.shared_memory`: one block is used by a child and unlinked, one is deliberately not.
fn python(way: &str) -> Verdict {
    let python = interpreter()?;
    let script = own_source("blocks").with_extension("py");
    let directory = place::directory(&format!("family-python-{way}"))?;
    let turn = Turn::take(&script)?;
    let run = || Run::new(&python).arg(&script).arg(way).within(&directory);
    let (plain, plain_left) = turn.run(run())?;
    check!(plain.how() == "0", "the plain program ended {}:{}", plain.how(), Shown(&plain.stderr));
    let (ended, left) = turn.run(run().preloaded(&report::into(&directory)))?;
    ended.same_as(&plain)?;
    crate::compare::left(&left, &plain_left)?;
    check!(ended.stderr == plain.stderr, "standard error differs:{}", Shown(&ended.stderr));
    let reports = by_process(&directory, "blocks.py")?;
    let named: Vec<&str> = reports.values().flatten().map(String::as_str).collect();
    check!(named == ["/shmaudit-blocks-kept"], "reported: {reports:?}, the program is {}", ended.pid);
    check!(reports.get(&ended.pid).is_some_and(|leaks| leaks.len() == 1), "reported by another: {reports:?}");

    let (ended, _) = turn.run(run().preloaded("trace=posix"))?;
    ended.same_as(&plain)?;
    log::is_tame(&ended.stderr)?;
    check!(ended.errors().contains("shm_open(\"/shmaudit-blocks-kept\""), "not in the log:{}", Shown(&ended.stderr));
    Ok(())
}

fn python_quiet() -> Verdict {
    let python = interpreter()?;
    let script = "import subprocess, threading, mmap\n\
                  m = mmap.mmap(-1, 4096); m[0] = 1\n\
                  t = threading.Thread(target=lambda: None); t.start(); t.join()\n\
                  print(subprocess.run(['echo', 'child'], capture_output=True).stdout)\n";
    let plain = Run::new(&python).args(["-c", script]).end()?;
    let ended = Run::new(&python).args(["-c", script]).preloaded("").end()?;
    ended.same_as(&plain)?;
    let said = ended.errors();
    // mmap(-1) is a memfd in no release, anonymous memory in all: nothing is shared by name.
    check!(!said.contains("leak") && !said.contains("shm_open"), "noise:{}", Shown(&ended.stderr));
    Ok(())
}

/// Runs programs/workers.c with more children than a journal has places for, 256, and returns what it says and the report.
fn workers(trial: &str, words: &[&str]) -> Result<(String, PathBuf), Stop> {
    let directory = place::directory(trial)?;
    let report = directory.join("report.json");
    let options = format!(
        "log=off:report_format=json:report={}:journal={}",
        report.display(),
        directory.join("journal").display()
    );
    let program = build::own("workers", &Variant::plain().and(&["-lrt"]))?;
    let turn = Turn::take(&own_source("workers"))?;
    let (plain, _) = turn.run(Run::new(&program).args(words))?;
    if plain.how() != "0" {
        return Err(Stop::Unfit("filters of system calls".into()));
    }
    let (ended, _) = turn.run(Run::new(&program).args(words).preloaded(&options))?;
    check!(ended.how() == "0", "ended {}:{}", ended.how(), Shown(&ended.stderr));
    Ok((ended.output(), report))
}

/// Those that have ended, with a word or without, make room for those that come.
fn many_workers() -> Verdict {
    let (said, report) = workers("family::more_processes_than_places", &["1100"])?;
    let report: Value = serde_json::from_slice(&std::fs::read(report)?)?;
    check!(report["summary"]["unaudited_processes"] == 0, "{}", report["summary"]);
    let leaks: Vec<&Value> = report["findings"].as_array().into_iter().flatten().collect();
    let [leak] = leaks[..] else { fail!("{} findings: {report:#}", leaks.len()) };
    check!(said == format!("last {}\n", leak["process"]["pid"]), "it says {said}, and the report {leak:#}");
    Ok(())
}

/// Nothing is asked of the kernel for that, where the program forbids it.
fn many_workers_filtered() -> Verdict {
    let (said, _) = workers("family::more_processes_than_places_under_a_filter", &["600", "filter"])?;
    check!(said.starts_with("last "), "it says {said}");
    Ok(())
}
