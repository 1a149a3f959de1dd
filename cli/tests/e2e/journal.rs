//! Journals: readable after any death, refused where they are none, never a reason for a panic.

use std::fs;
use std::path::{Path, PathBuf};

use shmaudit_core::layout::{Region, header};
use shmaudit_core::procfs;
use shmaudit_core::record::UNIT_WORDS;

use crate::build::{self, Variant};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::trial::{Stop, Trials, Verdict};
use crate::{check, fail, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("journal::tells_of_a_killed_group", killed_group);
    trials.add("journal::survives_damage", damage);
    trials.add("journal::what_is_left_of_a_cut_one_is_read", cut);
    trials.add("journal::lost_records_are_counted", counted);
    trials.add("journal::log_ends_as_report_does", log_ends);
    trials.add("journal::records_that_were_written_over_are_counted", written_over);
    trials.add("journal::refuses_what_is_none", refusals);
    trials.add("journal::without_a_directory_memory_will_do", no_directory);
    trials.add("journal::a_name_made_again_and_again", made_again);
    trials.add("journal::names_that_change_hands", change_hands);
}

const KEYS: [i32; 3] = [0x5a4d_0f00, 0x5a4d_0f01, 0x5a4d_0f02];

/// Removes what the killed group leaves, now and at the end.
struct Clean;

impl Clean {
    fn now() -> Clean {
        remove_left();
        Clean
    }
}

impl Drop for Clean {
    fn drop(&mut self) {
        remove_left();
    }
}

fn remove_left() {
    for which in 0..3 {
        let _ = fs::remove_file(format!("/dev/shm/shmaudit-killed_group-{which}"));
    }
    let table = fs::read("/proc/sysvipc/shm").unwrap_or_default();
    for segment in procfs::segments(&table).filter(|segment| KEYS.contains(&segment.key)) {
        let _ = std::process::Command::new("ipcrm").arg("-m").arg(segment.shmid.to_string()).status();
    }
}

fn command(journal: &Path, arguments: &[&str]) -> Result<Ended, Stop> {
    Run::new(env!("CARGO_BIN_EXE_shmaudit")).arg("report").arg(journal).args(arguments).end()
}

fn log(journal: &Path) -> Result<Ended, Stop> {
    Run::new(env!("CARGO_BIN_EXE_shmaudit")).arg("log").arg(journal).end()
}

/// Runs the group under a journal; its file.
fn journal(trial: &str) -> Result<PathBuf, Stop> {
    let directory = place::directory(trial)?.join("journal");
    let options = format!("log=off:journal={}", directory.display());
    let ended = Run::new(build::own("killed_group", &Variant::plain())?).preloaded(&options).end()?;
    check!(ended.how() == "signal SIGKILL", "ended {}", ended.how());
    only_file(&directory)
}

fn only_file(directory: &Path) -> Result<PathBuf, Stop> {
    let files: Vec<PathBuf> = fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    match files.as_slice() {
        [file] => Ok(file.clone()),
        files => Err(Stop::Fail(format!("not one journal but {files:?}"))),
    }
}

fn killed_group() -> Verdict {
    let _turn = place::turn(&build::own_source("killed_group"))?;
    let _clean = Clean::now();
    let journal = journal("journal::tells_of_a_killed_group")?;
    let ended = command(&journal, &["--format", "json"])?;
    check!(ended.how() == "1", "the command ended {}: {}", ended.how(), ended.errors());
    all_leaks(&serde_json::from_slice(&ended.stdout)?)
}

/// The six objects that the group leaves, each with its maker.
fn all_leaks(report: &serde_json::Value) -> Verdict {
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let mut leaks: Vec<String> = findings
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| {
            let frame = &finding["event"]["stack"][0];
            format!("{} {} {}", finding["kind"], finding["bytes"], frame["function"])
        })
        .collect();
    leaks.sort();
    let mut wanted: Vec<String> = [8101, 8103, 8105].map(|bytes| format!("\"posix-leak\" {bytes} \"leave\"")).to_vec();
    wanted.extend([9101, 9103, 9105].map(|bytes| format!("\"sysv-leak\" {bytes} \"leave\"")));
    check!(leaks == wanted, "found\n{}\nand not\n{}", leaks.join("\n"), wanted.join("\n"));
    Ok(())
}

/// Bytes are changed all over, and the file is cut: there is a report or a clear refusal, each time.
fn damage() -> Verdict {
    let _turn = place::turn(&build::own_source("killed_group"))?;
    let _clean = Clean::now();
    let whole = fs::read(journal("journal::survives_damage")?)?;
    let file = place::directory("journal::survives_damage")?.join("damaged.shmaudit");
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for round in 0..40 {
        let mut bytes = whole.clone();
        if round % 4 == 0 {
            bytes.truncate(next() % whole.len());
        }
        let used = if round % 2 == 0 { 1024.min(bytes.len()) } else { bytes.len() };
        for _ in 0..if used == 0 { 0 } else { 400 } {
            bytes[next() % used] = next() as u8;
        }
        fs::write(&file, &bytes)?;
        let ended = command(&file, &[])?;
        check!(["0", "1", "2"].contains(&ended.how().as_str()), "round {round}: {}: {}", ended.how(), ended.errors());
    }
    Ok(())
}

/// A copy that did not come to its end: objects are read as far as they are there, and what is missing is said.
fn cut() -> Verdict {
    let _turn = place::turn(&build::own_source("killed_group"))?;
    let _clean = Clean::now();
    let whole = fs::read(journal("journal::cut")?)?;
    let file = place::directory("journal::cut")?.join("cut.shmaudit");
    for kept in [whole.len() - 4096, whole.len() / 2] {
        fs::write(&file, whole.get(..kept).unwrap_or_default())?;
        let ended = command(&file, &["--format", "json"])?;
        check!(ended.how() == "1", "{kept}: ended {}: {}", ended.how(), ended.errors());
        let said = format!("cut.shmaudit: cut short: {kept} of {} bytes are there; the rest is lost\n", whole.len());
        check!(ended.errors().ends_with(&said) && ended.errors().lines().count() == 1, "{}", ended.errors());
        let report: serde_json::Value = serde_json::from_slice(&ended.stdout)?;
        check!(report["summary"]["events_lost"].as_u64() > Some(0), "{:#}", report["summary"]);
        check!(report["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()), "{:#}", report["warnings"]);
        all_leaks(&report)?;
    }
    Ok(())
}

/// Records are wiped out in the middle: as many as are not read are said to be lost, by the report and by the log.
fn counted() -> Verdict {
    let turn = Turn::take(&build::own_source("remakes"))?;
    let directory = place::directory("journal::counted")?;
    let options = format!("log=off:report=off:journal={}", directory.join("journal").display());
    let run = Run::new(build::own("remakes", &Variant::plain().and(&["-lrt"]))?).args(["500", "500"]);
    let (ended, _) = turn.run(run.preloaded(&options))?;
    check!(ended.how() == "0", "ended {}: {}", ended.how(), ended.errors());
    let journal = only_file(&directory.join("journal"))?;
    let number = |report: &Ended, of: &str| -> Result<u64, Stop> {
        let report: serde_json::Value = serde_json::from_slice(&report.stdout)?;
        Ok(report["summary"][of].as_u64().unwrap_or(0))
    };
    let whole = number(&command(&journal, &["--format", "json"])?, "events")?;
    let mut bytes = fs::read(&journal)?;
    let word = 8 * (header::REGIONS + 2 * Region::Ring as usize);
    let ring = usize::from_le_bytes(bytes[word..word + 8].try_into().unwrap_or_default());
    bytes[ring + 5 * 4096..ring + 8 * 4096].fill(0);
    fs::write(&journal, &bytes)?;
    let damaged = command(&journal, &["--format", "json"])?;
    let (read, lost) = (number(&damaged, "events")?, number(&damaged, "events_lost")?);
    check!(lost > 10 && read + lost == whole, "{read} of {whole} are read, {lost} lost");
    let said = log(&journal)?.errors();
    check!(said.contains(&format!(": {lost} records are lost")), "the log says {said}");
    Ok(())
}

/// With 1 where something leaked, with 0 where not, with 2 where it cannot be read.
fn log_ends() -> Verdict {
    let _turn = place::turn(&build::own_source("killed_group"))?;
    let _clean = Clean::now();
    let ended = log(&journal("journal::log_ends")?)?;
    check!(ended.how() == "1" && ended.output().contains("shm_open("), "{}: {}", ended.how(), ended.output());
    let directory = place::directory("journal::log_ends-clean")?.join("journal");
    let scenario = crate::scenario::Scenario::named("memfd_basic");
    let options = format!("log=off:report=off:journal={}", directory.display());
    scenario.turn()?.run(scenario.plain("journal::log_ends-clean")?.preloaded(&options))?;
    let ended = log(&directory)?;
    check!(ended.how() == "0" && ended.output().contains("memfd_create("), "{}: {}", ended.how(), ended.output());
    let ended = log(&directory.join("missing"))?;
    check!(ended.how() == "2", "{}: {}", ended.how(), ended.errors());
    Ok(())
}

/// Where somebody has written over a stretch of the ring, the records in it are lost, each.
fn written_over() -> Verdict {
    let _turn = place::turn(&build::own_source("killed_group"))?;
    let _clean = Clean::now();
    let mut bytes = fs::read(journal("journal::written_over")?)?;
    let file = place::directory("journal::written_over")?.join("over.shmaudit");
    let counts = |bytes: &[u8]| -> Result<[u64; 3], Stop> {
        fs::write(&file, bytes)?;
        let report: serde_json::Value = serde_json::from_slice(&command(&file, &["--format", "json"])?.stdout)?;
        let summary = &report["summary"];
        let calls = summary["calls"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
        let number = |name: &str| summary[name].as_u64().unwrap_or(u64::MAX);
        Ok([calls, number("events"), number("events_lost")])
    };
    let [calls, events, lost] = counts(&bytes)?;
    check!(calls == events && lost == 0 && calls > 10, "whole: {calls} calls, {events} records, {lost} lost");
    let word =
        |at: usize| bytes.get(at * 8..at * 8 + 8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    let ring = word(header::REGIONS + 2 * Region::Ring as usize).unwrap_or(0) as usize;
    let used = word(header::HEAD).unwrap_or(0) as usize * 8 * UNIT_WORDS;
    for byte in bytes.iter_mut().skip(ring + used / 4).take(used / 2) {
        *byte ^= 0x5a;
    }
    let [_, events, lost] = counts(&bytes)?;
    check!(lost > 1 && events > 0 && events + lost == calls, "{calls} calls, {events} records, {lost} lost");
    Ok(())
}

fn refusals() -> Verdict {
    let directory = place::directory("journal::refuses_what_is_none")?;
    let file = directory.join("file");
    for (content, words) in
        [("", "not a journal"), ("some text", "not a journal"), (&"x".repeat(9000), "not a journal")]
    {
        fs::write(&file, content)?;
        let ended = command(&file, &[])?;
        check!(ended.how() == "2", "ended {}", ended.how());
        let errors = ended.errors();
        let named = errors.contains(words) && errors.contains("/file:") && errors.lines().count() == 1;
        check!(named, "said {errors}");
    }
    let ended = command(&directory.join("missing"), &[])?;
    check!(ended.how() == "2" && ended.errors().contains("No such file"), "said {}", ended.errors());
    fs::remove_file(&file)?;
    let ended = command(&directory, &[])?;
    check!(ended.how() == "2" && ended.errors().contains("no journal in it"), "said {}", ended.errors());
    Ok(())
}

/// Where no journal can be, one line says so, and the audit goes on in memory.
fn no_directory() -> Verdict {
    let scenario = crate::scenario::Scenario::named("leak_posix");
    let directory = place::directory("journal::no_directory")?;
    fs::write(directory.join("file"), "")?;
    std::os::unix::fs::symlink("/tmp", directory.join("link"))?;
    for place in ["file", "link", "missing/below"] {
        let options = format!("log=off:journal={}", directory.join(place).display());
        let (ended, _) = scenario.turn()?.run(scenario.plain("journal::no_directory")?.preloaded(&options))?;
        let errors = ended.errors();
        if !errors.contains("recording in memory instead") || !errors.contains("posix-leak") {
            fail!("journal={place}: {errors}");
        }
    }
    Ok(())
}

/// Objects of one name, removed where no hook sees it, more of them than the registry has entries: what is made after them is
/// told all the same, also when the ring has turned.
fn made_again() -> Verdict {
    let turn = Turn::take(&build::own_source("remakes"))?;
    let directory = place::directory("journal::made_again")?.join("journal");
    let options = format!("log=off:stacks=1:journal={}", directory.display());
    // A journal has 16,384 entries and 32,768 units.
    let run = Run::new(build::own("remakes", &Variant::plain().and(&["-lrt"]))?).args(["20000", "20000"]);
    let (ended, _) = turn.run(run.preloaded(&options))?;
    check!(ended.how() == "0", "ended {}: {}", ended.how(), ended.errors());
    let errors = ended.errors();
    check!(errors.contains("POSIX object /shmaudit-remakes-stays of 7417 bytes"), "not told: {errors}");
    check!(errors.contains("1 object leaked") && !errors.contains("found no room"), "it says: {errors}");
    Ok(())
}

/// What somebody makes of a name while its removal comes back is not taken for what was removed; of two names that are
/// exchanged none is gone, nor is what is renamed to its own name.
fn change_hands() -> Verdict {
    let turn = Turn::take(&build::own_source("renews"))?;
    let directory = place::directory("journal::change_hands")?.join("journal");
    let behind = build::own("renews_behind", &Variant::of("gcc", &["-shared", "-fPIC", "-O1"]))?;
    let list = format!("{}:{}", place::library().display(), behind.display());
    let run = Run::new(build::own("renews", &Variant::plain().and(&["-lrt"]))?).arg("20000");
    let options = format!("log=off:stacks=1:journal={}", directory.display());
    let (ended, _) = turn.run(run.env("LD_PRELOAD", list).options(&options))?;
    check!(ended.how() == "0", "ended {}: {}", ended.how(), ended.errors());
    let errors = ended.errors();
    let told = |name: &str, size: u32| errors.contains(&format!("{name} of {size} bytes"));
    check!(told("/shmaudit-renews-again", 7433), "what was made meanwhile is not told: {errors}");
    check!(told("/shmaudit-renews-one", 7451) && told("/shmaudit-renews-other", 7457), "not told: {errors}");
    check!(errors.contains("3 objects leaked") && errors.contains("lost:"), "it says: {errors}");
    Ok(())
}
