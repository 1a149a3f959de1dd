//! Code that is loaded late, unloaded, replaced or damaged while it runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::names::named_frame;
use super::{Told, told};
use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, fail, place, report};

pub(super) fn add(trials: &mut Trials) {
    trials.add("stacks::plugin_is_named", plugin);
    trials.add("stacks::plugin_in_the_place_of_another", same_place);
    trials.add("stacks::plugin_in_the_place_of_one_being_closed", being_closed);
    trials.add("stacks::plugin_loaded_thousands_of_times", || thousands(6000));
    trials.add("stacks::plugins_by_the_hundreds", || hundreds(500));
    trials.add("stacks::plugin_in_a_forked_child", forked_plugin);
    trials.add("stacks::plugin_with_damaged_tables", damaged_tables);
    for (name, named, steps) in FILES {
        trials.add(format!("stacks::files::{name}"), move || files(name, *named, steps));
    }
}

/// A plugin whose functions are named after `name`.
fn plugin_of(name: &str) -> Result<PathBuf, Stop> {
    let names = [format!("-DMAKER=maker_{name}"), format!("-DINNER=inner_{name}")];
    build::own("plugin", &Variant::of("cc", &["-O1", "-g", "-shared", "-fPIC", &names[0], &names[1]]))
}

fn host() -> Result<PathBuf, Stop> {
    build::own("host", &Variant::of("cc", &["-O1", "-g", "-pthread"]))
}

fn functions<'a>(frames: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    frames.into_iter().map(|frame| named_frame(frame).0).collect()
}

/// The functions of each leak's stack, by its size.
fn leaks(told: &Told) -> BTreeMap<u64, Vec<String>> {
    let findings = told.reports.iter().flat_map(|report| report["findings"].as_array().into_iter().flatten());
    let leak = |finding: &Value| {
        let stack = finding["event"]["stack"].as_array().cloned().unwrap_or_default();
        (finding["bytes"].as_u64().unwrap_or(0), functions(&stack))
    };
    findings.map(leak).collect()
}

/// The functions of each `shmget` in the log, by its size.
fn logged(told: &Told) -> BTreeMap<u64, Vec<String>> {
    let calls = told.log.iter().filter(|call| call["call"] == "shmget");
    let logged = |call: &Value| {
        let stack = call["stack"].as_array().cloned().unwrap_or_default();
        (call["args"]["size"].as_u64().unwrap_or(0), functions(&stack))
    };
    calls.map(logged).collect()
}

/// Fails unless log and report name the makers of these segments.
fn made_by(told: &Told, wanted: &[(u64, &str)]) -> Verdict {
    for (what, found) in [("log", logged(told)), ("report", leaks(told))] {
        for (size, name) in wanted {
            let wanted = [format!("inner_{name}"), format!("maker_{name}"), "make".into(), "from_plugin".into()];
            let found = found.get(size).cloned().unwrap_or_default();
            check!(found.starts_with(&wanted), "{size} bytes in the {what}: {found:?}, not {wanted:?}");
        }
    }
    Ok(())
}

fn hosted(trial: &str, arguments: &[&str]) -> Result<Told, Stop> {
    let told = told(trial, "host", Run::new(host()?).args(arguments), "")?;
    Ok(Told { ended: told.ended.well()?, ..told })
}

fn plugin() -> Verdict {
    let one = plugin_of("one")?;
    let one = one.display().to_string();
    let told = hosted("stacks-plugin", &["load", &one, "make", "7401", "unload", "load", &one, "make", "7403"])?;
    made_by(&told, &[(7401, "one"), (7403, "one")])
}

/// Where a second plugin takes the first one's addresses, each call has the names of the one that made it.
fn same_place() -> Verdict {
    let (one, two) = (plugin_of("one")?.display().to_string(), plugin_of("two")?.display().to_string());
    let told = hosted(
        "stacks-same_place",
        &[
            "load", &one, "make", "7405", "unload", "load", &two, "make", "7407", "where", "unload", "load", &one,
            "make", "7409",
        ],
    )?;
    if told.ended.output() != "same place\n" {
        return Err(Stop::Unfit("a kernel that uses addresses again".to_string()));
    }
    made_by(&told, &[(7405, "one"), (7407, "two"), (7409, "one")])
}

/// The same before the first one's `dlclose` has come back: nobody walks through the second by what was known of the first.
fn being_closed() -> Verdict {
    let own = |flags: &[&str]| build::own("closes", &Variant::of("cc", &[&["-O1", "-g", "-fPIC"], flags].concat()));
    let plugin = |frame| own(&["-shared", "-fno-stack-clash-protection", "-fno-stack-protector", frame]);
    let (large, small) = (plugin("-DFRAME=1048576")?, plugin("-DFRAME=1024")?);
    let (slow, program) = (own(&["-shared", "-DSLOW"])?, own(&["-pthread"])?);
    let directory = place::directory("stacks-being_closed")?;
    let options = format!("log={}/calls.log:log_format=json:report=off", directory.display());
    let run = Run::new(program).args([&large, &small]).within(&directory).options(&options);
    let us = place::library().display();
    let (ended, _) =
        Turn::take(&own_source("closes"))?.run(run.env("LD_PRELOAD", format!("{us}:{}", slow.display())))?;
    let ended = ended.well()?;
    if ended.output() != "same place\n" {
        return Err(Stop::Unfit("a kernel that uses addresses again".to_string()));
    }
    let log = fs::read_to_string(directory.join("calls.log"))?;
    let mut calls = BTreeMap::new();
    for line in log.lines() {
        let call: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let stack = functions(call["stack"].as_array().into_iter().flatten());
        *calls.entry((call["args"]["size"].as_u64(), stack.get(..4).unwrap_or(&stack).join(" "))).or_insert(0) += 1;
    }
    let wanted =
        [(1, "first"), (2, "second")].map(|(size, name)| ((Some(size), format!("call enter through {name}")), 3));
    check!(calls == BTreeMap::from(wanted), "{calls:?}");
    Ok(())
}

/// Reloading a plugin wears nothing out: neither the names of later ones nor memory.
fn thousands(times: usize) -> Verdict {
    let (one, two) = (plugin_of("one")?.display().to_string(), plugin_of("two")?.display().to_string());
    let directory = place::directory("stacks-thousands")?;
    let times = times.to_string();
    let steps = ["again", &times, "4096", &one, "memory", "load", &two, "make", "7411"];
    let turn = Turn::take(&own_source("host"))?;
    let run = || Ok::<_, Stop>(Run::new(host()?).args(steps).within(&directory));
    let memory = |ended: &Ended| ended.output().trim().parse::<u64>().map_err(|error| format!("{error}"));
    let plain = memory(&turn.run(run()?)?.0.well()?)?;
    let ended = turn.run(run()?.preloaded(&report::into(&directory)))?.0.well()?;
    let reports = report::read_all(&directory)?.into_iter().flat_map(|(_, reports)| reports);
    let told = Told { log: Vec::new(), reports: reports.map(|report| report.0).collect(), ended };
    let found = leaks(&told).get(&7411).cloned().unwrap_or_default();
    check!(found.first().is_some_and(|name| name == "inner_two"), "the last plugin's call: {found:?}");
    let more = memory(&told.ended)?.saturating_sub(plain);
    check!(more < 16 << 10, "{more} KiB more than the plain program after {times} times");
    Ok(())
}

/// As many files, each loaded beside the others and called from at once: a later one costs no more memory than an earlier.
fn hundreds(files: usize) -> Verdict {
    let one = plugin_of("one")?;
    let directory = place::directory("stacks-hundreds")?;
    let mut steps = Vec::new();
    for number in 0..files {
        let copy = directory.join(format!("plugin{number}"));
        fs::copy(&one, &copy)?;
        steps.extend(["load".into(), copy.display().to_string(), "make".into(), "7419".into(), "remove".into()]);
        if number == 99 || number + 1 == files {
            steps.push("memory".into());
        }
    }
    let memory = |ended: Ended| -> Result<u64, Stop> {
        let marks: Vec<u64> = ended.output().lines().filter_map(|line| line.parse().ok()).collect();
        match marks[..] {
            [first, last] => Ok(last.saturating_sub(first)),
            _ => fail!("no two marks: {}", ended.output()),
        }
    };
    let plain = memory(Run::new(host()?).args(&steps).within(&directory).end()?.well()?)?;
    let audited = Run::new(host()?).args(&steps).within(&directory).preloaded("log=off:report=off");
    let audited = memory(audited.end()?.well()?)?;
    let each = audited.saturating_sub(plain) / (files as u64 - 100);
    check!(each <= 16, "{each} KiB more for each file ({audited} KiB, the plain program {plain} KiB)");
    Ok(())
}

fn forked_plugin() -> Verdict {
    let (one, two) = (plugin_of("one")?.display().to_string(), plugin_of("two")?.display().to_string());
    let steps = ["load", &one, "make", "7413", "fork", "make", "7415", "unload", "load", &two, "make", "7417"];
    let told = hosted("stacks-forked_plugin", &steps)?;
    made_by(&told, &[(7413, "one"), (7415, "one"), (7417, "two")])
}

/// What happens to a file while a plugin of it is loaded: (name, whether the plugin's names are still found, steps). `P` is
/// the plugin's file, `Q` another name beside it, `TWO` another plugin, `DEBUG` where the part of the file that is not
/// loaded begins.
const FILES: &[(&str, bool, &str)] = &[
    ("untouched", true, "load P make 7421"),
    ("unlinked", false, "load P make 7421 unlink P"),
    ("unlinked_before_the_call", false, "load P unlink P make 7421"),
    ("replaced_by_another", false, "load P make 7421 unlink P copy TWO P"),
    ("replaced_by_its_equal", true, "load P make 7421 copy P Q move Q P"),
    ("replaced_by_no_elf_file", false, "load P make 7421 unlink P copy /proc/self/maps P"),
    ("replaced_by_an_empty_file", false, "load P make 7421 unlink P copy /dev/null P"),
    ("replaced_by_half_of_itself", false, "load P make 7421 copy P Q move Q P truncate P HALF"),
    ("cut_to_nothing", false, "load P make 7421 truncate P 0 leave"),
    ("cut_after_what_is_loaded", false, "load P make 7421 truncate P DEBUG"),
    ("debug_information_overwritten", false, "load P make 7421 spoil P DEBUG 0"),
    ("header_overwritten", false, "load P make 7421 spoil P 0 4096 leave"),
    ("header_overwritten_before_the_call", false, "load P spoil P 0 4096 make 7421 leave"),
    ("header_claims_more_than_there_is", false, "load P poke P 216 0x10000000 make 7421 leave"),
    ("tables_claim_more_than_there_is", false, "load P poke P 440 0x10000000 make 7421 leave"),
    ("tables_overwritten_before_the_call", false, "load P spoil P 8192 8600 make 7421 leave"),
    ("cut_and_restored_all_the_time", false, "load P make 7421 copy P Q move Q P flicker P"),
];

/// The program ends as it does without the library, and the leak is reported: with its names or without them, never with
/// another file's.
fn files(name: &str, named: bool, steps: &str) -> Verdict {
    let trial = format!("stacks-files-{name}");
    let directory = place::directory(&trial)?;
    let (one, two) = (plugin_of("one")?, plugin_of("two")?);
    let path = |name: &str| directory.join(name).display().to_string();
    let length = fs::metadata(&one)?.len();
    let words: Vec<String> = steps
        .split(' ')
        .map(|word| match word {
            "P" | "Q" => path(word),
            "TWO" => two.display().to_string(),
            "HALF" => (length / 2).to_string(),
            "DEBUG" => (4 * 4096 - 4080).to_string(),
            word => word.to_string(),
        })
        .collect();
    fs::copy(&one, path("P"))?;
    let (plain, _) = Turn::take(&own_source("host"))?.run(Run::new(host()?).args(&words))?;
    check!(plain.how() == "0", "the plain program ended {}:{}", plain.how(), Shown(&plain.stdout));
    let _ = fs::remove_file(path("P"));
    fs::copy(&one, path("P"))?;
    let told = told(&trial, "host", Run::new(host()?).args(&words), "log=off")?;
    told.ended.same_as(&plain)?;
    let leaks = leaks(&told);
    let Some(found) = leaks.get(&7421) else { fail!("the leak is not reported: {:?}", told.reports) };
    check!(!found.iter().any(|function| function.ends_with("_two")), "another file's names: {found:?}");
    check!(!named || found.starts_with(&["inner_one".to_string()]), "no names: {found:?}");
    Ok(())
}

/// Whatever stands where the tables should, a walk comes to its end and the call to its own.
fn damaged_tables() -> Verdict {
    let trial = "stacks-damaged_tables";
    let directory = place::directory(trial)?;
    let one = plugin_of("one")?;
    let whole = fs::read(&one)?;
    let tables = section(&one, ".eh_frame_hdr")?.start..section(&one, ".eh_frame")?.end;
    let notes = 0x40..0x260;
    let mut state = 12345u32;
    let mut chance = |most: usize| {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 8) as usize % most
    };
    let mut steps = Vec::new();
    for round in 0..150 {
        let mut bytes = whole.clone();
        for _ in 0..1 + chance(4) {
            // Program headers are the loader's too: only those that it does not read.
            let at = tables.start + chance(tables.len());
            bytes[at] = [0, 0xff, 0x7f, 0x80, chance(256) as u8][chance(5)];
        }
        if round % 10 == 0 {
            let at = notes.start + 6 * 56 + 8 * (2 + chance(4));
            bytes[at..at + 8].copy_from_slice(&(chance(1 << 24) as u64 * 4097).to_le_bytes());
        }
        let path = directory.join(format!("plugin{round}"));
        fs::write(&path, bytes)?;
        steps.extend([
            "load".to_string(),
            path.display().to_string(),
            "make".into(),
            "7431".into(),
            "remove".into(),
            "unload".into(),
        ]);
    }
    let (plain, _) = Turn::take(&own_source("host"))?.run(Run::new(host()?).args(&steps))?;
    check!(plain.how() == "0", "the plain program ended {}:{}", plain.how(), Shown(&plain.stdout));
    let told = told(trial, "host", Run::new(host()?).args(&steps), "stacks=64")?;
    told.ended.same_as(&plain)
}

/// Where a section stands in a file.
fn section(path: &Path, name: &str) -> Result<std::ops::Range<usize>, Stop> {
    use object::{Object, ObjectSection};
    let bytes = fs::read(path)?;
    let file = object::File::parse(&*bytes)?;
    let section = file.section_by_name(name).ok_or_else(|| format!("no {name}"))?;
    let (start, size) = section.file_range().unwrap_or((0, 0));
    Ok(start as usize..(start + size) as usize)
}
