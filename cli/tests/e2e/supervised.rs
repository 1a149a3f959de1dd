//! `shmaudit run`, `log`, `sessions`: programs and trees of them under a supervisor, on machines of their own.

use std::path::PathBuf;

use serde_json::Value;

use crate::build::{self, Variant};
use crate::machine::prepare;
use crate::run::Ended;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, fail};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::ends_as_the_program", ends);
    trials.add("run::output_is_the_programs", output);
    trials.add("run::tells_what_stays", stays);
    trials.add("run::killed_group", killed_group);
    trials.add("run::killed_supervisor", killed_supervisor);
    trials.add("run::passes_signals_on", passes_on);
    trials.add("run::gives_back_what_it_inherited", inherited);
    trials.add("run::sees_who_is_not_audited", outsiders);
    trials.add("run::slow_ends", slow_ends);
    trials.add("run::daemon_without_anything", daemon);
    trials.add("run::long_history", long_history);
    trials.add("run::many_processes", many_processes);
    trials.add("run::follows_the_log", follows);
    trials.add("run::status_for_findings", status_for_findings);
    trials.add("run::directories", directories);
    trials.add("run::full_disk", full_disk);
    trials.add("run::order_of_preloads", preloads);
    trials.add("run::what_became_of_leaks", became);
    trials.add("run::built_in_suppressions", built_in);
    trials.add("run::program_is_not_audited", program_outside);
    trials.add("run::sessions", sessions);
    trials.add("run::job_control", job_control);
    trials.add("run::without_a_session_to_join", not_joined);
}

/// Runs a script with `$LEAVES` and `$RAW` on a machine of its own; `run WORDS…` is `shmaudit run`, its report in JSON in
/// `report.json`, its session `session`.
fn script(trial: &str, text: &str) -> Result<(Ended, PathBuf), Stop> {
    let leaves = build::own("leaves", &Variant::plain())?;
    let raw = build::own("raw", &Variant::of("gcc", &["-static"]))?;
    let before = r#"
audited() { exec "$SHMAUDIT" run --library "$LIBRARY" -o session --format json --report report.json -- "$@"; }
run() { rm -rf session; (audited "$@"); }
"#;
    let (run, work) = prepare(trial, &format!("{before}{text}"))?;
    let source = build::own_source("raw");
    let ended = run
        .env("LEAVES", leaves)
        .env("RAW", raw)
        .env("RAW_SOURCE", source)
        .env("XDG_STATE_HOME", work.join("state"))
        .end()?;
    Ok((ended, work))
}

fn json(work: &std::path::Path, name: &str) -> Result<Value, Stop> {
    Ok(serde_json::from_slice(&std::fs::read(work.join(name))?)?)
}

/// Findings as `kind severity bytes function`, sorted; notes left out.
fn findings(report: &Value) -> Vec<String> {
    let all = report["findings"].as_array().cloned().unwrap_or_default();
    let told = all.iter().filter(|finding| finding["severity"] != "note");
    let mut told: Vec<String> = told
        .map(|finding| {
            let word = |value: &Value| value.as_str().unwrap_or("-").to_string();
            let function = word(&finding["event"]["stack"][0]["function"]);
            format!("{} {} {} {function}", word(&finding["kind"]), word(&finding["severity"]), finding["bytes"])
        })
        .collect();
    told.sort();
    told
}

const LEAKS: [&str; 2] = ["posix-leak error 1234 make", "sysv-leak error 4097 main"];

fn is_leaks(report: &Value) -> Verdict {
    check!(findings(report) == LEAKS, "found {:?}:\n{report:#}", findings(report));
    Ok(())
}

fn went(ended: &Ended, output: &str) -> Verdict {
    check!(
        ended.how() == "0" && ended.output() == output,
        "ended {}:{}{}",
        ended.how(),
        Shown(&ended.stdout),
        Shown(&ended.stderr)
    );
    Ok(())
}

/// Who has told of the end and is still being taken apart by the kernel is audited all the same.
fn slow_ends() -> Verdict {
    let slow = build::own("slow_exit", &Variant::plain())?;
    let (run, work) = prepare(
        "run::slow_ends",
        r#"exec "$SHMAUDIT" run --library "$LIBRARY" -o session --format json --report report.json -- "$SLOW""#,
    )?;
    went(&run.env("SLOW", slow).end()?, "")?;
    let report = json(&work, "report.json")?;
    check!(findings(&report).is_empty(), "found {:?}:\n{report:#}", findings(&report));
    Ok(())
}

fn ends() -> Verdict {
    let (ended, _) = script(
        "run::ends",
        r#"
        ends() { "$@" > /dev/null 2>&1; echo $?; }
        for words in 'exit 0' 'exit 7' 'exit 255' 'signal 15' 'signal 9' 'signal 6'; do
            for how in "" run; do ends $how "$LEAVES" /x $words; done
        done
        for program in ./nosuch nosuch ./report.json /; do ends run $program; done
        ends "$SHMAUDIT" run; ends "$SHMAUDIT" run --nosuch true; ends "$SHMAUDIT" run --suppressions nosuch true
        "#,
    )?;
    let wanted = "0\n0\n7\n7\n255\n255\n143\n143\n137\n137\n134\n134\n127\n127\n126\n126\n2\n2\n2\n";
    went(&ended, wanted)
}

/// Standard output and input are the program's alone, and end when it lets go of them.
fn output() -> Verdict {
    let (ended, _) = script(
        "run::output",
        r#"
        printf 'a\0b\n' | run cat | od -An -c
        run sh -c 'echo out; echo err >&2; exec >&- 2>&-; sleep 60' | { cat; kill $(cat pid 2>/dev/null) 2>/dev/null; echo eof; pkill sleep; }
        "#,
    )?;
    check!(ended.output().contains("a  \\0   b  \\n"), "{}", ended.output());
    check!(ended.output().ends_with("out\neof\n"), "{}{}", ended.output(), ended.errors());
    check!(ended.errors().starts_with("err\n"), "{}", ended.errors());
    Ok(())
}

fn stays() -> Verdict {
    let (ended, work) = script(
        "run::stays",
        r#"
        run "$LEAVES" /x exit 3; echo $?
        "$SHMAUDIT" report session --format json > later.json; echo $?
        XDG_STATE_HOME=state; export XDG_STATE_HOME
        "$SHMAUDIT" run --library "$LIBRARY" "$LEAVES" /y exit 0 2> text; echo $?
        "$SHMAUDIT" report | tail -1
        tail -1 text
        "#,
    )?;
    let summary = "SUMMARY: shmaudit: 2 objects leaked, 5331 bytes (4 calls)\n";
    went(&ended, &format!("made\n3\n1\nmade\n0\n{summary}{summary}"))?;
    let report = json(&work, "report.json")?;
    is_leaks(&report)?;
    check!(report["command"][2] == "exit" && report["settled"] == true, "{report:#}");
    check!(report["processes"][0]["end"] == "exit" && report["processes"][0]["status"] == 3, "{report:#}");
    let later = json(&work, "later.json")?;
    is_leaks(&later)?;
    check!(later["findings"][0]["now"] == "there", "{later:#}");
    Ok(())
}

fn killed_group() -> Verdict {
    let (ended, work) = script("run::killed_group", "run \"$LEAVES\" /x killpg; echo $?")?;
    went(&ended, "made\n137\n")?;
    let report = json(&work, "report.json")?;
    is_leaks(&report)?;
    let processes = report["processes"].as_array().cloned().unwrap_or_default();
    let killed = processes.iter().all(|process| process["end"] == "signal" && process["status"] == 9);
    check!(processes.len() == 4 && killed, "{report:#}");
    Ok(())
}

fn killed_supervisor() -> Verdict {
    let (ended, work) = script(
        "run::killed_supervisor",
        r#"
        "$SHMAUDIT" run --library "$LIBRARY" -o session "$LEAVES" /x wait > out & supervisor=$!
        until grep -q waits out; do sleep 0.02; done
        program=$(cat /proc/$supervisor/task/$supervisor/children)
        kill -9 $supervisor; wait $supervisor; echo $?
        "$SHMAUDIT" report session --format json > during.json; echo $?
        for pid in $program; do kill -9 $pid 2> /dev/null; done
        sleep 0.2
        "$SHMAUDIT" report session --format json > report.json; echo $?
        "#,
    )?;
    went(&ended, "137\n0\n1\n")?;
    let during = json(&work, "during.json")?;
    check!(during["settled"] == false && during["pending"].as_array().map(Vec::len) == Some(2), "{during:#}");
    is_leaks(&json(&work, "report.json")?)
}

fn passes_on() -> Verdict {
    let (ended, work) = script(
        "run::passes_on",
        r#"
        audited "$LEAVES" /x wait > out & supervisor=$!
        until grep -q waits out; do sleep 0.02; done
        kill -TERM $supervisor; wait $supervisor; echo $?
        "#,
    )?;
    went(&ended, "9\n")?;
    is_leaks(&json(&work, "report.json")?)
}

fn inherited() -> Verdict {
    let (ended, _) = script(
        "run::inherited",
        r#"
        for how in "" run; do
            $how "$LEAVES" /x closed < /dev/null; echo $?
            $how "$LEAVES" /x closed <&- ; echo $?
            $how "$LEAVES" /x closed >&- ; echo $?
            $how "$LEAVES" /x closed <&- 2>&- ; echo $?
            (trap '' PIPE; $how "$LEAVES" /x closed); echo $?
        done
        "#,
    )?;
    went(&ended, "7\n6\n5\n2\n15\n7\n6\n5\n2\n15\n")
}

fn outsiders() -> Verdict {
    let (ended, work) = script(
        "run::outsiders",
        r#"
        run sh -c '"$RAW" 500; :' ; echo $?; cp report.json static.json
        ipcrm --all=shm; rm -f /dev/shm/*
        run sh -c 'env -i "$LEAVES" /x exit 0; :' ; echo $?; cp report.json cleared.json
        "#,
    )?;
    went(&ended, "0\nmade\n0\n")?;
    let report = json(&work, "static.json")?;
    let wanted = ["unattributed-leak error 55 -", "unattributed-leak error 777 -", "unaudited-process warning 0 -"];
    check!(findings(&report) == wanted, "found {:?}:\n{report:#}", findings(&report));
    let finding = &report["findings"][2]["message"];
    check!(finding.as_str().is_some_and(|text| text.ends_with("it is statically linked.")), "{finding}");
    let outsider =
        report["processes"].as_array().and_then(|all| all.iter().find(|process| process["audited"] == false));
    check!(outsider.is_some_and(|process| process["why_not"] == "it is statically linked"), "{report:#}");
    check!(report["summary"]["unaudited_processes"] == 1, "{report:#}");
    let cleared = json(&work, "cleared.json")?;
    let kinds = findings(&cleared);
    check!(kinds.iter().any(|kind| kind.starts_with("unattributed-leak")), "{kinds:?}");
    check!(kinds.iter().any(|kind| kind.starts_with("unaudited-process")), "{kinds:?}");
    Ok(())
}

fn daemon() -> Verdict {
    let (ended, work) = script(
        "run::daemon",
        r#"
        run "$LEAVES" /x daemon "$PWD/pid"; echo $?
        "$SHMAUDIT" report session --format json > during.json
        kill -TERM $(cat pid); while kill -0 $(cat pid) 2> /dev/null; do sleep 0.05; done
        "$SHMAUDIT" report session --format json > after.json
        ls /dev/shm
        "#,
    )?;
    went(&ended, "made\n0\nx\n")?;
    check!(ended.errors().contains("] stays as a daemon; "), "{}", ended.errors());
    for name in ["report.json", "during.json"] {
        let report = json(&work, name)?;
        let pending = report["pending"].as_array().cloned().unwrap_or_default();
        let names: Vec<&Value> = pending.iter().map(|object| &object["name"]).collect();
        check!(report["settled"] == false && names.contains(&&Value::from("/x-daemon")), "{name}: {report:#}");
    }
    is_leaks(&json(&work, "after.json")?)
}

/// More calls than the ring holds: all are kept, in order.
fn long_history() -> Verdict {
    const CALLS: u64 = 400_000;
    let (ended, work) = script(
        "run::long_history",
        &format!(
            r#"
        run "$LEAVES" /x busy {CALLS}; echo $?
        "$SHMAUDIT" log session | grep -c ENOENT
        ls session
        "#
        ),
    )?;
    let report = json(&work, "report.json")?;
    let lost = report["summary"]["events_lost"].as_u64().unwrap_or(u64::MAX);
    let lines: Vec<String> = ended.output().lines().map(str::to_string).collect();
    check!(lines.iter().any(|line| line == "units"), "nothing was stored: {lines:?}");
    let logged: u64 = lines.get(2).and_then(|line| line.parse().ok()).unwrap_or(0);
    // A machine may be too busy for the supervisor to come in time; then it says so.
    check!(logged + lost >= CALLS && logged <= CALLS, "{logged} logged, {lost} lost");
    check!(report["summary"]["failed_calls"]["shmget"]["ENOENT"] == CALLS, "{:#}", report["summary"]);
    is_leaks(&report)
}

/// More processes than the table holds.
fn many_processes() -> Verdict {
    const PROCESSES: usize = 5000;
    let (ended, work) = script(
        "run::many_processes",
        &format!("run \"$LEAVES\" /x many {PROCESSES}; echo $?; \"$SHMAUDIT\" report session > /dev/null; echo $?"),
    )?;
    went(&ended, "made\n0\n1\n")?;
    let report = json(&work, "report.json")?;
    is_leaks(&report)?;
    let processes = report["processes"].as_array().map_or(0, Vec::len);
    let lost = report["summary"]["unaudited_processes"].as_u64().unwrap_or(0) as usize;
    check!(processes + lost == PROCESSES + 1, "{processes} processes, {lost} lost");
    check!(report["summary"]["calls"]["shm_unlink"] == PROCESSES, "{:#}", report["summary"]);
    Ok(())
}

fn follows() -> Verdict {
    let (ended, _) = script(
        "run::follows",
        r#"
        audited "$LEAVES" /x wait > out & supervisor=$!
        until grep -q waits out; do sleep 0.02; done
        "$SHMAUDIT" log session --follow > log & follower=$!
        until grep -q shm_open log; do sleep 0.02; done
        kill -TERM $supervisor; wait $supervisor; wait $follower; echo $?
        sed 's/.*\] [0-9:.]* //; s/ <.*> / /' log
        timeless() { sed 's/ [0-9:.]* / /; s/<[0-9].*>//' "$1"; }
        "$SHMAUDIT" log session > whole; timeless log > one; timeless whole > other; cmp one other; echo $?
        "$SHMAUDIT" log session --format json | head -1 | cut -c1-10
        "#,
    )?;
    let output = ended.output();
    check!(output.contains("shmget(IPC_PRIVATE, 4097, IPC_CREAT|0600) = "), "{output}{}", ended.errors());
    check!(output.contains("ftruncate(3</dev/shm/x>, 1234) = 0 make leaves.c:"), "{output}");
    check!(output.ends_with("\n0\n{\"time\":\"2\n"), "{output}");
    Ok(())
}

fn status_for_findings() -> Verdict {
    let (ended, _) = script(
        "run::status",
        r#"
        coded() { "$SHMAUDIT" run --library "$LIBRARY" --error-exitcode 77 "$@" > /dev/null 2>&1; echo $?; }
        coded "$LEAVES" /x exit 0
        coded "$LEAVES" /x exit 5
        coded true
        "$SHMAUDIT" run --library "$LIBRARY" --format json --report base.json "$LEAVES" /x exit 0 > /dev/null; echo $?
        coded --baseline base.json "$LEAVES" /x exit 0
        echo 'leak:*' > rules; coded --suppressions rules "$LEAVES" /x exit 0
        SHMAUDIT_OPTIONS=error_exitcode=9 "$SHMAUDIT" run --library "$LIBRARY" "$LEAVES" /x exit 0 > /dev/null 2>&1; echo $?
        "#,
    )?;
    went(&ended, "77\n5\n0\n0\n0\n0\n0\n")
}

/// Only an own, new or empty directory becomes a session's; nothing is followed or written over.
fn directories() -> Verdict {
    let (ended, _) = script(
        "run::directories",
        r#"
        at() { "$SHMAUDIT" run --library "$LIBRARY" -o "$1" echo ran 2>&1 | sed "s#$PWD/##g"; }
        mkdir full theirs open empty; touch full/file; chown 65534 theirs; chmod 777 open; ln -s empty link; touch file
        for where in full theirs open link file; do at $where; done
        at empty; at empty; at a/b/c
        stat -c %a empty a a/b/c empty/session.json empty/recorder.shmaudit; ls full open
        "#,
    )?;
    let output = ended.output();
    let lines: Vec<&str> = output.lines().collect();
    let wanted = [
        ("full: is not empty", true),
        ("theirs: belongs to another user", true),
        ("open: others may write to it", true),
        ("link: is there and no directory", true),
        ("file: is there and no directory", true),
    ];
    for (number, (text, _)) in wanted.iter().enumerate() {
        let line = lines.get(2 * number).copied().unwrap_or_default();
        check!(line.contains(text) && line.ends_with("the program is not audited"), "{line}: not {text}\n{output}");
        check!(lines.get(2 * number + 1) == Some(&"ran"), "{output}");
    }
    let rest = lines.get(10..).unwrap_or_default().join("\n");
    let wanted = "ran\nshmaudit: empty: holds a session already; remove it or name another directory: the program is not \
                  audited\nran\nran\n755\n700\n700\n600\n600\nfull:\nfile\n\nopen:";
    check!(rest == wanted, "{rest}");
    Ok(())
}

fn full_disk() -> Verdict {
    let (ended, _) = script(
        "run::full_disk",
        r#"
        mkdir small; mount -t tmpfs -o size=1m tmpfs small
        "$SHMAUDIT" run --library "$LIBRARY" -o small/session "$LEAVES" /x exit 4 2> errors; echo $?
        wc -l < errors; ls small
        "#,
    )?;
    went(&ended, "made\n4\n1\n")
}

/// Others' preloads keep their order behind the library, and what must be first comes first.
fn preloads() -> Verdict {
    let (ended, _) = script(
        "run::preloads",
        r#"
        shown() { "$SHMAUDIT" run --library "$LIBRARY" "$@" sh -c 'echo "$LD_PRELOAD"' 2> /dev/null; }
        LD_PRELOAD="libm.so.6 libdl.so.2" shown | sed "s#$LIBRARY#OURS#"
        printf 'int main(void) { return 0; }' > a.c && gcc -fsanitize=address -o a a.c && { run ./a; echo $?; }
        "#,
    )?;
    went(&ended, "OURS:libm.so.6:libdl.so.2\n0\n")
}

/// A leak that somebody has removed or made anew since is told as such.
fn became() -> Verdict {
    let (ended, work) = script(
        "run::became",
        r#"
        run "$LEAVES" /x exit 0
        ipcrm --all=shm; rm /dev/shm/x; echo new > /dev/shm/x
        "$SHMAUDIT" report session --format json > later.json
        "$SHMAUDIT" report session | grep -c 'by now'
        "#,
    )?;
    went(&ended, "made\n2\n")?;
    let later = json(&work, "later.json")?;
    is_leaks(&later)?;
    let now: Vec<&Value> = later["findings"].as_array().into_iter().flatten().map(|finding| &finding["now"]).collect();
    check!(now.contains(&&Value::from("gone")) && now.contains(&&Value::from("renewed")), "{later:#}");
    Ok(())
}

/// What is left on purpose is told to who asks for it.
fn built_in() -> Verdict {
    let (ended, work) = script(
        "run::built_in",
        r#"
        run "$LEAVES" /jack-shm-registry exit 0
        "$SHMAUDIT" report session --no-built-in --format json > all.json || :
        "#,
    )?;
    went(&ended, "made\n")?;
    check!(findings(&json(&work, "report.json")?) == [LEAKS[1]], "{:#}", json(&work, "report.json")?);
    is_leaks(&json(&work, "all.json")?)
}

/// Static programs that are run directly, and direct system calls of one that is audited.
fn program_outside() -> Verdict {
    let (ended, work) = script(
        "run::program_outside",
        r#"
        run "$RAW"; echo $?; cp report.json static.json
        ipcrm --all=shm; rm -f /dev/shm/*
        gcc -o raw-dynamic "$RAW_SOURCE" && run ./raw-dynamic; echo $?
        "#,
    )?;
    went(&ended, "0\n0\n")?;
    let report = json(&work, "static.json")?;
    let told = findings(&report);
    check!(told.contains(&"unattributed-leak error 777 -".to_string()), "{told:?}");
    check!(told.iter().any(|finding| finding.starts_with("unattributed-leak") && finding.contains(" 55 ")), "{told:?}");
    let why = &report["processes"][0]["why_not"];
    check!(why == "it is statically linked", "{report:#}");
    let told = findings(&json(&work, "report.json")?);
    let wanted = ["unattributed-leak error 777 -", "unattributed-leak warning 55 -"];
    check!(told == wanted, "{told:?}");
    Ok(())
}

fn sessions() -> Verdict {
    let (ended, _) = script(
        "run::sessions",
        r#"
        quietly() { "$SHMAUDIT" run --library "$LIBRARY" "$@" > /dev/null 2>&1; }
        "$SHMAUDIT" sessions 2>&1 | grep -c 'no session'
        "$SHMAUDIT" report 2>&1 | grep -c 'no session'
        quietly true; quietly sh -c :; quietly echo 'a b'
        "$SHMAUDIT" sessions | awk '{ print $2, $5, $6, $7 }'
        "$SHMAUDIT" sessions --prune --older-than 0s > /dev/null
        "$SHMAUDIT" sessions --json | wc -l
        quietly "$LEAVES" /x wait & until "$SHMAUDIT" sessions | grep -q running; do sleep 0.05; done
        quietly true
        "$SHMAUDIT" sessions --prune --older-than 0s | grep -c running; pkill -TERM leaves; wait
        "#,
    )?;
    went(&ended, "1\n1\nended true  \nended sh -c :\nended echo a b\n1\n1\n")
}

/// A shell stops, continues and interrupts what runs under a supervisor, and a shell runs under one.
fn job_control() -> Verdict {
    need("python3")?;
    need("bash")?;
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs/terminal.py");
    let start = r#"send:"$SHMAUDIT" run --library "$LIBRARY" cat\n"#;
    let shell = r#"send:"$SHMAUDIT" run --library "$LIBRARY" bash --norc\n"#;
    let steps: [&[&str]; 6] = [
        &["wait:ready$", start, "sleep:0.6", "send:one\\n", "wait:one\\r\\none"],
        &[
            "clear",
            "send:\\x1a",
            "wait:Stopped",
            "wait:ready$",
            "send:fg\\n",
            "wait:cat",
            "sleep:0.5",
            "send:two\\n",
            "wait:two\\r\\ntwo",
        ],
        // In the background it wants to read from the terminal, and is stopped for it.
        &["clear", "send:\\x1a", "wait:Stopped", "clear", "send:bg\\n", "sleep:0.6", "send:\\n", "wait:Stopped"],
        &[
            "clear",
            "send:fg\\n",
            "wait:cat",
            "sleep:0.5",
            "send:three\\n",
            "wait:three\\r\\nthree",
            "clear",
            "send:\\x03",
            "wait:ready$",
            "sleep:0.5",
        ],
        &["clear", "send:echo st=$?\\n", "wait:st=130", "clear", shell, "wait:ready$", "send:sleep 60\\n", "sleep:0.3"],
        &[
            "send:\\x1a",
            "wait:Stopped",
            "send:kill -9 %1\\n",
            "sleep:0.3",
            "send:\\n",
            "wait:Killed",
            "send:exit 3\\n",
            "wait:exit 3",
            "clear",
            "wait:ready$",
            "send:exit $?\\n",
        ],
    ];
    let steps = steps.concat();
    let quoted: Vec<String> = steps.iter().map(|step| format!("'{step}'")).collect();
    let leaves = build::own("leaves", &Variant::plain())?;
    let (run, work) = prepare(
        "run::job_control",
        &format!("python3 \"$TERMINAL\" 80x24 {} -- env 'PS1=ready$ ' bash --norc", quoted.join(" ")),
    )?;
    let run =
        run.env("TERMINAL", program).env("TERM", "xterm").env("LEAVES", leaves).env("XDG_STATE_HOME", work.join("s"));
    let ended = run.end()?;
    check!(ended.how() == "0", "ended {}:{}{}", ended.how(), Shown(&ended.stdout), Shown(&ended.stderr));
    let seen: Value = serde_json::from_slice(&ended.stdout)?;
    check!(seen["status"] == 3, "{seen}");
    Ok(())
}

/// A process that cannot join the session runs on as it would, without a word, and is named.
fn not_joined() -> Verdict {
    let (ended, work) = script(
        "run::not_joined",
        r#"
        chmod 755 . ; cp "$LEAVES" /tmp/leaves-copy; chmod 755 /tmp/leaves-copy
        run sh -c 'setpriv --reuid 65534 --clear-groups /tmp/leaves-copy /x wait & sleep 0.6; kill $!; wait $!; echo $?' 2> errors
        cat errors; rm /tmp/leaves-copy
        "#,
    )?;
    if ended.errors().contains("setpriv") {
        fail!("setpriv: {}", ended.errors());
    }
    check!(ended.output() == "made\nwaits\n9\n", "{}{}", ended.output(), ended.errors());
    let report = json(&work, "report.json")?;
    let named = report["findings"].as_array().into_iter().flatten().any(|finding| {
        finding["kind"] == "unaudited-process"
            && finding["message"].as_str().is_some_and(|text| text.contains("could not join the session"))
    });
    check!(named, "{report:#}");
    Ok(())
}
