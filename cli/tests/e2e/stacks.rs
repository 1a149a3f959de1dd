//! Call stacks: the right frames, whatever made them, and the right names for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::report;
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, fail, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for (build, compiler, options) in BUILDS {
        for way in WAYS {
            let name = format!("stacks::as_libgcc_walks::{way}::{build}");
            trials.add(name.clone(), move || walk(&name, way, &Variant::of(compiler, options)));
        }
    }
    for most in [0, 1, 2, 16, 63, 64] {
        trials.add(format!("stacks::as_many_as_asked_for::{most}"), move || as_many(most));
    }
    for (build, source, compiler, options) in NAMED {
        let name = format!("stacks::as_addr2line_names::{build}");
        trials.add(name.clone(), move || named(&name, source, &Variant::of(compiler, options)));
    }
    for (build, options) in [("pie", &["-O1", "-g"][..]), ("no_pie", &["-O1", "-g", "-no-pie"])] {
        let name = format!("stacks::stripped_as_its_twin::{build}");
        trials.add(name.clone(), move || stripped(&name, &Variant::of("gcc", options)));
    }
    for style in ["zlib", "zlib-gnu", "zstd"] {
        trials.add(format!("stacks::compressed_debug_information::{style}"), move || compressed(style));
    }
    trials.add("stacks::separate_debug_information", separate);
    for way in ["exceptions", "handlers", "threads", "interrupted"] {
        trials.add(format!("stacks::left_without_return::{way}"), move || unwinds(way));
    }
    for code in ["made", "bare"] {
        for stack in ["first", "thread", "smallest", "switched", "switched_in_thread"] {
            trials.add(format!("stacks::code_without_tables::{code}::{stack}"), move || nowhere(code, stack));
        }
    }
    trials.add("stacks::each_thread_its_own", crowd);
    trials.add("stacks::every_line_is_named_while_others_are", named_at_once);
    trials.add("stacks::plugin_is_named", plugin);
    trials.add("stacks::plugin_in_the_place_of_another", same_place);
    trials.add("stacks::plugin_loaded_thousands_of_times", || thousands(6000));
    trials.add("stacks::plugin_in_a_forked_child", forked_plugin);
    trials.add("stacks::plugin_with_damaged_tables", damaged_tables);
    for (name, named, steps) in FILES {
        trials.add(format!("stacks::files::{name}"), move || files(name, *named, steps));
    }
}

const BUILDS: &[(&str, &str, &[&str])] = &[
    ("O0", "gcc", &["-O0", "-pthread"]),
    ("O2_no_frame_pointer", "gcc", &["-O2", "-fomit-frame-pointer", "-pthread"]),
    ("O2_frame_pointer", "gcc", &["-O2", "-fno-omit-frame-pointer", "-pthread"]),
    ("O3_no_pie", "gcc", &["-O3", "-no-pie", "-pthread"]),
    ("clang_O2", "clang", &["-O2", "-pthread"]),
];

const WAYS: [&str; 12] = [
    "recursion",
    "alloca",
    "paths",
    "stale",
    "longjmp",
    "signals",
    "sigaltstack",
    "threads_in_turn",
    "threads_at_once",
    "callbacks",
    "coroutines",
    "realigned",
];

/// A program's run under the library, with all that was said of it.
struct Told {
    ended: Ended,
    log: Vec<Value>,
    reports: Vec<Value>,
}

/// Runs `program`, made of a source of ours, with everything told in JSON.
fn told(trial: &str, source: &str, run: Run, options: &str) -> Result<Told, Stop> {
    let directory = place::directory(trial)?;
    let all = format!("{}:log={}/calls.log:log_format=json:{options}", report::into(&directory), directory.display());
    let (ended, _) = Turn::take(&own_source(source))?.run(run.within(&directory).preloaded(&all))?;
    ended.is_quiet()?;
    let mut log = Vec::new();
    for line in fs::read_to_string(directory.join("calls.log")).unwrap_or_default().lines() {
        log.push(serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?);
    }
    let mut reports = Vec::new();
    for (_, found) in report::read_all(&directory)? {
        reports.extend(found.into_iter().map(|report| report.0));
    }
    Ok(Told { ended, log, reports })
}

/// The call's frames as `MODULE+OFFSET`, without those that are inlined; and whether that is all of them.
fn frames(call: &Value) -> (Vec<String>, bool) {
    let stack = call["stack"].as_array().into_iter().flatten().filter(|frame| frame["inlined"] != true);
    (stack.map(place_of).collect(), call["truncated"] != true)
}

fn place_of(frame: &Value) -> String {
    let module = frame["module"].as_str().unwrap_or("?");
    format!("{}+{}", module.rsplit('/').next().unwrap_or(module), frame["offset"].as_str().unwrap_or("?"))
}

/// Every stack in the log is the one that the program prints.
fn walk(trial: &str, way: &str, variant: &Variant) -> Verdict {
    let program = build::own("walks", variant)?;
    let told = told(trial, "walks", Run::new(program).arg(way), "stacks=64")?;
    let told = Told { ended: told.ended.well()?, ..told };
    let mut found = BTreeMap::new();
    for call in told.log.iter().filter(|call| call["args"]["key"] == "0x5a4d0701") {
        found.insert(call["args"]["size"].as_u64().unwrap_or(0), frames(call));
    }
    let output = told.ended.output();
    let mut wrong = Vec::new();
    for line in output.lines() {
        let mut words = line.split(' ');
        let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let wanted: Vec<&str> = words.collect();
        let Some((found, all)) = found.get(&number) else { fail!("call {number} is not in the log") };
        if !agree(found, &wanted, *all, way) {
            wrong.push(format!("  {}\n  {}\n", found.join(" "), wanted.join(" ")));
        }
    }
    check!(output.lines().count() > 10, "only {} stacks", output.lines().count());
    check!(
        wrong.is_empty(),
        "{} stacks are not those of libgcc, as:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(4)].join("\n")
    );
    Ok(())
}

/// The first is the same function, all others the very same places. Stacks that are not a thread's own may end early.
fn agree(found: &[String], wanted: &[&str], all: bool, way: &str) -> bool {
    const MOST: usize = 64;
    let same = found.len() <= wanted.len() && found.iter().zip(wanted).skip(1).all(|(found, wanted)| found == wanted);
    let enough = match way {
        "coroutines" => !found.is_empty(),
        _ => found.len() == wanted.len().min(MOST) || !all && found.len() > 10,
    };
    same && enough
}

/// Deeper than any stack that is kept.
const DEPTH: usize = 100;

fn as_many(most: usize) -> Verdict {
    let program = build::own("deep", &Variant::of("gcc", &["-O0", "-g"]))?;
    let run = Run::new(program).arg(DEPTH.to_string());
    let told = told(&format!("stacks-as_many-{most}"), "deep", run, &format!("stacks={most}"))?;
    let finding = &told.reports.first().ok_or("no report")?["findings"][0];
    let stack = finding["event"]["stack"].as_array().cloned().unwrap_or_default();
    check!(finding["kind"] == "sysv-leak" && finding["bytes"] == 7201, "the finding is {finding}");
    check!(stack.len() == most, "{} frames instead of {most}", stack.len());
    check!(stack.iter().all(|frame| frame["function"] == "descend"), "other functions: {stack:?}");
    Ok(())
}

const NAMED: &[(&str, &str, &str, &[&str])] = &[
    ("c_O0", "deep", "gcc", &["-O0", "-g"]),
    ("c_O2", "deep", "gcc", &["-O2", "-g"]),
    ("cxx_O0", "inlined.cc", "g++", &["-O0", "-g"]),
    ("cxx_O2", "inlined.cc", "g++", &["-O2", "-g"]),
    ("cxx_O3_no_pie", "inlined.cc", "g++", &["-O3", "-g", "-no-pie"]),
    ("cxx_dwarf_4", "inlined.cc", "g++", &["-O2", "-gdwarf-4"]),
    ("cxx_no_lines", "inlined.cc", "g++", &["-O1", "-g0"]),
    ("cxx_clang_O0", "inlined.cc", "clang++", &["-O0", "-gdwarf-4"]),
    ("cxx_clang_O2", "inlined.cc", "clang++", &["-O2", "-g"]),
    ("rust_O0", "rusty.rs", "rustc", &["-g"]),
    ("rust_O2", "rusty.rs", "rustc", &["-g", "-Copt-level=2"]),
    ("rust_v0", "rusty.rs", "rustc", &["-g", "-Copt-level=1", "-Csymbol-mangling-version=v0"]),
];

/// A frame by its names: function and line.
type Named = (String, String);

/// The frames that addr2line finds at an address of a file, innermost first.
fn addr2line(program: &Path, offset: &str) -> Result<Vec<Named>, Stop> {
    let run = Run::new(need("addr2line")?).args(["-f", "-i", "-C", "-e"]).arg(program).arg(offset);
    let output = run.end()?.well()?.output();
    let lines: Vec<&str> = output.lines().collect();
    Ok(lines.chunks_exact(2).map(|pair| normal(pair[0], pair[1])).collect())
}

/// Without what differs in how demanglers write: spaces, hashes, and in C++ return types, arguments and those of templates.
fn normal(function: &str, place: &str) -> Named {
    let hash = function.rfind("::h").filter(|at| function.len() - at == 19);
    let function = hash.map_or(function, |at| &function[..at]);
    let function = function.split(" [clone").next().unwrap_or(function);
    let function = function.replace("(anonymous namespace)", "{anonymous}").replace("operator()", "operator{}");
    let mut depth = 0;
    let mut bare = String::new();
    for letter in function.trim_end_matches(" const").chars() {
        depth += i32::from("(<".contains(letter));
        if depth == 0 {
            bare.push(letter);
        }
        depth -= i32::from(")>".contains(letter));
    }
    let bare = if function.starts_with('<') { function.replace(' ', "") } else { bare };
    let place = place.split(" (").next().unwrap_or(place);
    let place = place.rsplit('/').next().unwrap_or(place);
    let known = !place.ends_with(":?") && !place.ends_with(":0");
    (bare.rsplit(' ').next().unwrap_or("").to_string(), if known { place.to_string() } else { String::new() })
}

/// Of a function that only its file knows, addr2line tells the last part of the name alone.
fn alike(found: &[Named], wanted: &[Named]) -> bool {
    let function = |found: &str, wanted: &str| found == wanted || found.ends_with(&format!("::{wanted}"));
    found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| function(&f.0, &w.0) && f.1 == w.1)
}

fn named_frame(frame: &Value) -> Named {
    let place = match (frame["file"].as_str(), frame["line"].as_u64()) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        _ => "??:?".to_string(),
    };
    normal(frame["function"].as_str().unwrap_or("??"), &place)
}

/// The stacks of all findings.
fn stacks(told: &Told) -> Vec<Vec<Value>> {
    let findings = told.reports.iter().flat_map(|report| report["findings"].as_array().into_iter().flatten());
    findings.map(|finding| finding["event"]["stack"].as_array().cloned().unwrap_or_default()).collect()
}

/// Each frame in the program has the names that addr2line finds for it.
fn named(trial: &str, source: &str, variant: &Variant) -> Verdict {
    let program = build::own(source, variant)?;
    let told = told(trial, source, Run::new(&program).arg("3"), "")?;
    let told = Told { ended: told.ended.well()?, ..told };
    let stacks = stacks(&told);
    check!(!stacks.is_empty(), "nothing leaked");
    let mut compared = 0;
    for stack in stacks {
        let mut frames = Vec::new();
        for frame in &stack {
            frames.push(named_frame(frame));
            if frame["inlined"] == true {
                continue;
            }
            let frames = std::mem::take(&mut frames);
            if frame["module"].as_str().map(Path::new) == Some(&*program) {
                let wanted = addr2line(&program, frame["offset"].as_str().unwrap_or(""))?;
                check!(alike(&frames, &wanted), "{}: found {frames:#?}\naddr2line has {wanted:#?}", frame["offset"]);
                compared += 1;
            }
        }
    }
    check!(compared >= 3, "only {compared} frames");
    Ok(())
}

/// A copy of the program that a tool has worked on.
fn worked_on(trial: &str, program: &Path, tool: &str, arguments: &[&str]) -> Result<PathBuf, Stop> {
    let copy = place::directory(trial)?.join(program.file_name().unwrap_or_default());
    let made = Run::new(need(tool)?).args(arguments).arg(program).arg(&copy).end()?;
    if made.how() != "0" {
        return Err(Stop::Needs(format!("{tool} that knows {}", arguments.join(" "))));
    }
    Ok(copy)
}

/// A stripped program's frames are the unstripped one's by module and offset, and addr2line names them by that.
fn stripped(trial: &str, variant: &Variant) -> Verdict {
    let program = build::own("deep", variant)?;
    let bare = worked_on(trial, &program, "objcopy", &["--strip-all"])?;
    let told = told(trial, "deep", Run::new(&bare).arg("3"), "")?;
    let stacks = stacks(&told);
    let frames: Vec<&Value> =
        stacks.iter().flatten().filter(|frame| frame["module"].as_str().map(Path::new) == Some(&*bare)).collect();
    check!(frames.len() >= 5, "only {} frames of the program", frames.len());
    check!(frames.iter().all(|frame| frame["function"].is_null()), "names without symbols: {frames:?}");
    let mut names = Vec::new();
    for frame in frames {
        let found = addr2line(&program, frame["offset"].as_str().unwrap_or(""))?;
        names.push(found.last().cloned().unwrap_or_default().0);
    }
    let wanted = ["descend", "descend", "descend", "descend", "main"];
    check!(names.starts_with(&wanted.map(String::from)), "the offsets are those of {names:?}");
    Ok(())
}

/// The innermost frames of the one leak, by function and line.
fn innermost(told: &Told, most: usize) -> Vec<Named> {
    stacks(told).first().into_iter().flatten().take(most).map(named_frame).collect()
}

/// The leak of `deep` in C, as it is to be named.
fn deep_named() -> Result<Vec<Named>, Stop> {
    let source = fs::read_to_string(own_source("deep"))?;
    let line = |text: &str| source.lines().position(|line| line.contains(text)).map_or(0, |at| at + 1);
    let (call, main) = (line("shmget("), line("descend(atoi"));
    Ok([("descend", call), ("descend", call), ("main", main)]
        .map(|(function, line)| normal(function, &format!("deep.c:{line}")))
        .to_vec())
}

fn compressed(style: &str) -> Verdict {
    let trial = format!("stacks-compressed-{style}");
    let program = build::own("deep", &Variant::of("gcc", &["-O0", "-g"]))?;
    let copy = worked_on(&trial, &program, "objcopy", &[&format!("--compress-debug-sections={style}")])?;
    let told = told(&trial, "deep", Run::new(copy).arg("1"), "")?;
    let (found, wanted) = (innermost(&told, 3), deep_named()?);
    check!(found == wanted, "{found:?} instead of {wanted:?}");
    Ok(())
}

/// Debug information in a file beside the program, which is stripped and names it.
fn separate() -> Verdict {
    let trial = "stacks-separate";
    let program = build::own("deep", &Variant::of("gcc", &["-O0", "-g"]))?;
    let debug = worked_on(trial, &program, "objcopy", &["--only-keep-debug"])?;
    let kept = debug.with_extension("debug");
    fs::rename(&debug, &kept)?;
    let link = format!("--add-gnu-debuglink={}", kept.display());
    let bare = worked_on(trial, &program, "objcopy", &["--strip-all", &link])?;
    let told = told(trial, "deep", Run::new(bare).arg("1"), "")?;
    let (found, wanted) = (innermost(&told, 3), deep_named()?);
    check!(found == wanted, "{found:?} instead of {wanted:?}");
    Ok(())
}

/// Frames that end without a return do to the audit what they do to the program: nothing. Afterwards a call still has its
/// stack.
fn unwinds(way: &str) -> Verdict {
    let trial = format!("stacks-unwinds-{way}");
    let program = build::own("unwinds.cc", &Variant::of("g++", &["-O1", "-g", "-fnon-call-exceptions", "-pthread"]))?;
    let (plain, _) = Turn::take(&own_source("unwinds.cc"))?.run(Run::new(&program).arg(way))?;
    let told = told(&trial, "unwinds.cc", Run::new(&program).arg(way), "log=off")?;
    told.ended.same_as(&plain)?;
    check!(told.ended.how() == "0", "ended {}:{}", told.ended.how(), told.ended.output());
    let functions: Vec<String> = innermost(&told, 2).into_iter().map(|(function, _)| function).collect();
    check!(functions == ["left_behind", "main"], "the last call's stack: {functions:?}");
    Ok(())
}

fn nowhere(code: &str, stack: &str) -> Verdict {
    let trial = format!("stacks-nowhere-{code}-{stack}");
    let program = build::own("nowhere", &Variant::of("gcc", &["-O2", "-g", "-pthread"]))?;
    let run = || Run::new(&program).args([code, stack]);
    let (plain, _) = Turn::take(&own_source("nowhere"))?.run(run())?;
    check!(plain.how() == "0", "the plain program ended {}:{}", plain.how(), Shown(&plain.stdout));
    let told = told(&trial, "nowhere", run(), "stacks=64")?;
    told.ended.same_as(&plain)?;
    let calls: Vec<&Value> = told.log.iter().filter(|call| call["args"]["key"] == "0x5a4d0711").collect();
    check!(calls.len() >= 30, "only {} calls in the log", calls.len());
    for call in calls {
        let (frames, _) = frames(call);
        let known = frames.iter().filter(|frame| frame.starts_with("nowhere+")).count();
        check!(!frames.is_empty(), "not even the caller: {call}");
        // Made code is in no file, and what called it cannot be known.
        check!(code == "bare" && known > 0 || frames.len() == 1 && known == 0, "frames: {frames:?}");
        check!(frames.iter().skip(1).all(|frame| !frame.starts_with("?+")), "data for a frame: {frames:?}");
    }
    Ok(())
}

/// Each leak is attributed to the thread that made it, by a function that only this thread runs.
fn crowd() -> Verdict {
    let program = build::own("crowd", &Variant::of("gcc", &["-O2", "-g", "-pthread"]))?;
    let directory = place::directory("stacks-crowd")?;
    let run = Run::new(program).within(&directory).preloaded(&report::into(&directory));
    let (ended, _) = Turn::take(&own_source("crowd"))?.run(run)?;
    check!(ended.output() == "0\n", "it says:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    let mut found = BTreeMap::new();
    for (_, reports) in report::read_all(&directory)? {
        for finding in reports.iter().flat_map(|report| report.0["findings"].as_array().into_iter().flatten()) {
            let size = finding["bytes"].as_u64().unwrap_or(0);
            let stack = finding["event"]["stack"].as_array().cloned().unwrap_or_default();
            let functions: Vec<String> = stack.iter().map(|frame| named_frame(frame).0).collect();
            check!(found.insert(size, functions).is_none(), "two findings of {size} bytes");
        }
    }
    for size in (0..2u64).flat_map(|child| (0..8 * 12).map(move |at| 8000 + 1000 * child + 100 * (at / 12) + at % 12)) {
        let (thread, round) = (size / 100 % 10, size % 100);
        let Some(functions) = found.get(&size) else { fail!("no finding of {size} bytes") };
        let depth = ((round + thread) % 4) as usize;
        let mut wanted = vec!["make".to_string()];
        wanted.extend(vec![format!("inner_{thread}"); depth + 1]);
        wanted.push(format!("thread_{thread}"));
        check!(functions.starts_with(&wanted), "{size} bytes: {functions:?} instead of {wanted:?}");
    }
    Ok(())
}

/// While one thread's call gets its names, those of others wait for theirs.
fn named_at_once() -> Verdict {
    let program = build::own("crowd", &Variant::of("gcc", &["-O0", "-g", "-pthread"]))?;
    for round in 0..3 {
        let told = told(&format!("stacks-named_at_once-{round}"), "crowd", Run::new(&program), "stacks=16")?;
        let calls: Vec<&Value> = told.log.iter().filter(|call| call["call"] == "shmget").collect();
        check!(calls.len() == 2 * 8 * 12, "{} calls in the log", calls.len());
        for call in calls {
            let functions: Vec<&str> =
                call["stack"].as_array().into_iter().flatten().map(|f| f["function"].as_str().unwrap_or("?")).collect();
            check!(functions.first() == Some(&"make") && !functions.contains(&"?"), "a call without names: {call}");
        }
    }
    Ok(())
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

/// Reloading a plugin wears nothing out: neither the names of later ones nor memory.
fn thousands(times: usize) -> Verdict {
    let (one, two) = (plugin_of("one")?.display().to_string(), plugin_of("two")?.display().to_string());
    let directory = place::directory("stacks-thousands")?;
    let times = times.to_string();
    let steps = ["again", &times, "4096", &one, "memory", "load", &two, "make", "7411"];
    let run = || Run::new(host()?).args(steps).within(&directory).end()?.well();
    let memory = |ended: &Ended| ended.output().trim().parse::<u64>().map_err(|error| format!("{error}"));
    let plain = memory(&run()?)?;
    let audited = Run::new(host()?).args(steps).within(&directory).preloaded(&report::into(&directory));
    let (ended, _) = Turn::take(&own_source("host"))?.run(audited)?;
    let ended = ended.well()?;
    let reports = report::read_all(&directory)?.into_iter().flat_map(|(_, reports)| reports);
    let told = Told { log: Vec::new(), reports: reports.map(|report| report.0).collect(), ended };
    let found = leaks(&told).get(&7411).cloned().unwrap_or_default();
    check!(found.first().is_some_and(|name| name == "inner_two"), "the last plugin's call: {found:?}");
    let more = memory(&told.ended)?.saturating_sub(plain);
    check!(more < 16 << 10, "{more} KiB more than the plain program after {times} times");
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
