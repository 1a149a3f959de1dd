//! Frames have the names that addr2line finds, wherever these stand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Told, told};
use crate::build::{self, Variant, own_source};
use crate::run::Run;
use crate::trial::{Stop, Trials, Verdict, need};
use crate::{check, place};

pub(super) fn add(trials: &mut Trials) {
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

pub(super) fn named_frame(frame: &Value) -> Named {
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
pub(super) fn innermost(told: &Told, most: usize) -> Vec<Named> {
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
