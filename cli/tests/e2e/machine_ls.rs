//! `shmaudit ls` on machines of one's own.

use std::os::unix::fs::FileTypeExt;

use serde_json::Value;

use crate::machine::{json, machine, named, prepare};
use crate::run::Run;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, fail};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("ls::every_kind", every_kind);
    trials.add("ls::a_pid_used_again_is_not_the_creator", used_again);
    trials.add("ls::first_thread_has_ended", first_thread);
    trials.add("ls::other_namespaces_are_said", other_namespaces);
    trials.add("ls::without_rights", without_rights);
    trials.add("ls::totals", totals);
    trials.add("ls::select_sort_columns", select);
    trials.add("ls::text_is_printable", printable);
    trials.add("ls::openmetrics", openmetrics);
    trials.add("ls::only_files_are_replaced", replaced);
    trials.add("ls::sessions_know", sessions);
    trials.add("ls::refusals", refusals);
}

/// One of each, held and left.
pub const SCENE: &str = r#"
"$KINDS" sysv:0x5a4d1001:8893 attach fill
"$KINDS" sysvhuge:0x5a4d1002:4194304
"$KINDS" sysv:0:5001
"$KINDS" posix:12345:/orphan map fill
"$KINDS" "posix:4097:/$(printf 'evil\n\033[31m\377"\\')"
"$KINDS" sem:/lock
"$KINDS" posix:33:/jack-shm-registry
mkdir /dev/shm/dir && echo hello > /dev/shm/dir/file
held sysv:0x5a4d1003:100001 attach fill
held sysv:0x5a4d1004:4099
held sysv:0x5a4d1005:4101 attach rmid
held sysvhuge:0x5a4d1006:2097152 attach
held posix:70001:/held map fill close
held posix:70003:/open
held posix:70005:/gone map fill unlink close
held memfd:100003:first map fill close
held memfdhuge:2097152:second
held anon:1000001 fill
"#;

fn list(trial: &str, script: &str, arguments: &str) -> Result<Value, Stop> {
    json(&machine(trial, &format!("{script}\n\"$SHMAUDIT\" ls --json {arguments}"))?)
}

fn every_kind() -> Verdict {
    let list = list("ls::every_kind", SCENE, "")?;
    check!(list["schema"] == "shmaudit-ls/1", "{list}");
    // Name or key, family, state, size, how many hold it.
    let wanted = [
        ("0x5a4d1001", "sysv", "orphan", 8893, 0),
        ("0x5a4d1002", "sysv", "orphan", 4194304, 0),
        ("/orphan", "posix", "orphan", 12345, 0),
        ("/evil\n\u{1b}[31m\\xff\"\\", "posix", "orphan", 4097, 0),
        ("/lock", "semaphore", "kept", 32, 0),
        ("/jack-shm-registry", "posix", "kept", 33, 0),
        ("/dev/shm/dir/file", "file", "kept", 6, 0),
        ("0x5a4d1003", "sysv", "held", 100001, 1),
        ("0x5a4d1004", "sysv", "idle", 4099, 0),
        ("0x5a4d1006", "sysv", "held", 2097152, 1),
        ("/held", "posix", "held", 70001, 1),
        ("/open", "posix", "held", 70003, 1),
        ("/gone", "posix", "doomed", 70005, 1),
        ("first", "memfd", "held", 100003, 1),
        ("second", "memfd", "held", 2097152, 1),
    ];
    for (name, family, state, size, holders) in wanted {
        let object = named(&list, name)?;
        let seen = (object["family"].as_str(), object["state"].as_str(), object["size"].as_u64());
        check!(seen == (Some(family), Some(state), Some(size)), "{name}: {object}");
        check!(object["holders"].as_array().is_some_and(|all| all.len() == holders), "{name}: {object}");
        check!(object["orphan"] == (state == "orphan"), "{name}: {object}");
        check!(object["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{name}: {object}");
    }
    // A key of 0 has the one without a key, and the one that is marked for removal.
    let private = list["objects"].as_array().into_iter().flatten().filter(|object| object["key"] == "IPC_PRIVATE");
    let mut states: Vec<_> = private.map(|object| (object["state"].as_str(), object["size"].as_u64())).collect();
    states.sort();
    check!(states == [(Some("doomed"), Some(4101)), (Some("orphan"), Some(5001))], "{states:?}");
    let anonymous = list["objects"].as_array().into_iter().flatten().find(|object| object["family"] == "anonymous");
    // The kernel rounds it to pages.
    check!(anonymous.is_some_and(|object| object["size"] == 1_003_520 && object["resident"] == 1_003_520), "{list}");

    let segment = named(&list, "0x5a4d1003")?;
    check!(segment["creator"]["alive"] == true && segment["creator"]["command"] == "kinds", "{segment}");
    check!(
        segment["holders"][0]["mappings"] == 1 && segment["attached"] == 1 && segment["mode"] == "0600",
        "{segment}"
    );
    check!(segment["resident"] == 102_400 && segment["swap"] == 0 && segment["huge"] == false, "{segment}");
    check!(segment["last_attach"].is_string() && segment["last_change"].is_string(), "{segment}");
    check!(named(&list, "0x5a4d1001")?["creator"]["alive"] == false, "{list}");
    // Not attached, so nobody can tell.
    check!(named(&list, "0x5a4d1002")?["huge"].is_null(), "{list}");
    check!(named(&list, "0x5a4d1006")?["huge"] == true && named(&list, "second")?["huge"] == true, "{list}");
    let held = named(&list, "/held")?;
    check!(held["holders"][0]["fds"].as_array().is_some_and(Vec::is_empty), "{held}");
    check!(held["holders"][0]["mappings"] == 1 && held["resident"] == 73_728, "{held}");
    check!(named(&list, "/open")?["holders"][0]["fds"] == serde_json::json!([3]), "{list}");
    check!(named(&list, "/gone")?["unlinked"] == true && named(&list, "/gone")?["resident"] == 73_728, "{list}");
    Ok(())
}

/// The segment's creator is dead; a process that began later gets its pid.
fn used_again() -> Verdict {
    let script = r#"
        "$KINDS" sysv:0x5a4d1010:4096 & maker=$!
        wait $maker
        held sysv:0x5a4d1011:4096
        sleep 1.2
        echo $((maker - 1)) > /proc/sys/kernel/ns_last_pid || exit 97
        held anon:4096
        [ $held = $maker ] || exit 96
    "#;
    let list = match list("ls::used_again", script, "") {
        Err(Stop::Fail(message)) if message.contains("ended 97") => {
            return Err(Stop::Unfit("the kernel's ns_last_pid".to_string()));
        }
        list => list?,
    };
    let orphan = named(&list, "0x5a4d1010")?;
    check!(orphan["state"] == "orphan" && orphan["creator"]["alive"] == false, "{orphan}");
    check!(orphan["creator"]["reused_by"]["command"] == "kinds", "{orphan}");
    let reason = orphan["reason"].as_str().unwrap_or_default();
    check!(reason.contains("its pid now that of the younger kinds["), "{reason}");
    let living = named(&list, "0x5a4d1011")?;
    check!(living["state"] == "idle" && living["creator"]["alive"] == true, "{living}");
    Ok(())
}

/// A process whose first thread has ended holds what its other threads hold.
fn first_thread() -> Verdict {
    let script = "held posix:4096:/threads map leaderless close\nheld sysv:0x5a4d1020:4096 leaderless";
    let list = list("ls::first_thread", script, "")?;
    let object = named(&list, "/threads")?;
    check!(object["state"] == "held" && object["holders"][0]["mappings"] == 1, "{object}");
    let segment = named(&list, "0x5a4d1020")?;
    check!(segment["state"] == "idle" && segment["creator"]["alive"] == true, "{segment}");
    Ok(())
}

fn other_namespaces() -> Verdict {
    let script = r#"
        unshare --ipc "$KINDS" sysv:0x5a4d1030:123457 attach hold > "$WORK/one" &
        unshare --mount sh -c 'mount -t tmpfs tmpfs /dev/shm; exec "$KINDS" posix:5555:/inner hold' > "$WORK/two" &
        until [ -s "$WORK/one" ] && [ -s "$WORK/two" ]; do sleep 0.02; done
    "#;
    let list = list("ls::other_namespaces", script, "")?;
    for name in ["0x5a4d1030", "/inner"] {
        let object = named(&list, name)?;
        check!(object["state"] == "held" && object["namespace"].is_u64(), "{object}");
    }
    // Where the list itself is that of another, its own ids mean nothing.
    check!(list["totals"]["segments"]["count"] == 0, "{list}");
    let unseen = list["unseen"].to_string();
    for words in ["first pid namespace", "1 process of another IPC namespace", "1 process with another /dev/shm"] {
        check!(unseen.contains(words), "{words} is not said: {unseen}");
    }
    check!(list["complete"] == false, "{list}");
    Ok(())
}

fn without_rights() -> Verdict {
    let script = r#"
        chmod 1777 /dev/shm
        held posix:4096:/held sysv:0x5a4d1040:4096 attach
        held posix:4098:/mapped map close
        exec setpriv --reuid 65534 --regid 65534 --clear-groups
    "#;
    need("setpriv")?;
    let (run, _) = prepare("ls::without_rights", &format!("{} \"$SHMAUDIT\" ls --json", script.trim_end()))?;
    let list = json(&run.end()?)?;
    let segment = named(&list, "0x5a4d1040")?;
    let reason = segment["reason"].as_str().unwrap_or_default();
    check!(segment["state"] == "held" && reason.contains("processes that cannot be seen"), "{segment}");
    // Nothing can be known of it, and that is said.
    let unseen = list["unseen"].to_string();
    check!(unseen.contains("processes (of users 0) may not be looked into: root sees"), "{unseen}");
    check!(unseen.contains("1 attachment is of processes that cannot be seen"), "{unseen}");
    Ok(())
}

fn totals() -> Verdict {
    let script = format!(
        "{SCENE}
        ln /dev/shm/held /dev/shm/twin
        echo 5 > /proc/sys/kernel/shmmni
        head -c 100000 /dev/zero > /dev/shm/filled"
    );
    let list = list("ls::totals", &script, "")?;
    let segments = &list["totals"]["segments"];
    check!(segments["count"] == 7 && segments["shmmni"] == 5 && segments["attached"] == 3, "{segments}");
    let bytes = 8893 + 4_194_304 + 5001 + 100_001 + 4099 + 4101 + 2_097_152;
    check!(segments["bytes"] == bytes, "{segments}");
    // Two names of one file are held by the same, and count once.
    check!(named(&list, "/twin")?["state"] == "held" && named(&list, "/held")?["state"] == "held", "{list}");
    let mount = &list["totals"]["mount"];
    // /orphan, /held, /gone, the semaphore, the plain files, each in whole pages.
    check!(mount["unlinked"] == 73_728 && mount["unseen"] == 0, "{mount}");
    check!(mount["listed"] == 16_384 + 73_728 + 4096 + 4096 + 102_400, "{mount}");
    check!(mount["used"].as_u64() == Some(mount["listed"].as_u64().unwrap_or(0) + 73_728), "{mount}");
    Ok(())
}

fn select() -> Verdict {
    let names = |arguments: &str| -> Result<Vec<String>, Stop> {
        let list = list("ls::select", SCENE, arguments)?;
        let all = list["objects"].as_array().cloned().unwrap_or_default();
        let name = |object: &Value| object["name"].as_str().or(object["key"].as_str()).unwrap_or("-").to_string();
        Ok(all.iter().map(name).collect())
    };
    let is = |arguments: &str, wanted: &[&str]| -> Verdict {
        let found = names(arguments)?;
        check!(found == wanted, "{arguments}: {found:?}");
        Ok(())
    };
    let evil = "/evil\n\u{1b}[31m\\xff\"\\";
    is("--orphans", &["0x5a4d1002", "/orphan", "0x5a4d1001", "IPC_PRIVATE", evil])?;
    is("--orphans --kind posix --sort name -r", &["/orphan", evil])?;
    is("--name '^/h*d$'", &["/held"])?;
    is("--name 0x5a4d1003", &["0x5a4d1003"])?;
    is("--state doomed,kept --min-size 33 --sort size", &["/gone", "IPC_PRIVATE", "/jack-shm-registry"])?;
    is("--user nobody", &[])?;
    is("--user root --kind file", &["/dev/shm/dir/file"])?;
    is("--min-age 1h", &[])?;
    is("--kind memfd --sort name", &["first", "second"])?;
    let ended = machine(
        "ls::select",
        &format!("{SCENE}\n\"$SHMAUDIT\" ls --orphans --bytes --columns id,size,name,why --kind sysv"),
    )?;
    let text = ended.output();
    let lines: Vec<&str> = text.lines().take(3).map(str::trim_end).collect();
    let first = lines[0].split_whitespace().collect::<Vec<_>>();
    check!(first == ["ID", "SIZE", "NAME", "WHY"] && lines[1].contains(" 4194304 "), "{text}");
    check!(text.contains("Listed: 3 of 18 objects."), "{text}");
    Ok(())
}

/// Hostile names come from everywhere: objects, memfds, processes.
fn printable() -> Verdict {
    let script = r#"
        evil=$(printf 'e\033[2J\n\302\233\377\tx')
        cp "$KINDS" "$WORK/$evil"; KINDS="$WORK/$evil"
        "$KINDS" "posix:4096:/$evil"
        held "memfd:4096:$evil"
        held "posix:4096:/held$evil"
        held "posix:4096:/gone$evil" unlink
        "$SHMAUDIT" ls; "$SHMAUDIT" ls --format openmetrics --per-object; "$SHMAUDIT" ls --json; "$SHMAUDIT" clean
        "$SHMAUDIT" top --once
    "#;
    let ended = machine("ls::printable", script)?.well()?;
    let strange = ended.stdout.iter().find(|byte| !matches!(byte, b'\n' | b' '..=b'~'));
    check!(strange.is_none(), "{strange:?} in{}", Shown(&ended.stdout));
    check!(ended.output().contains(r"/e\33[2J\n\302\233\377\tx"), "{}", ended.output());
    Ok(())
}

/// A device in the place of its file, root's `-O /dev/null` would leave a machine without it: here a pipe stands for it. What a
/// symbolic link leads to is replaced, the link is not.
fn replaced() -> Verdict {
    let script = r#"
        cd "$WORK" && mkfifo pipe && echo old > file && ln -s file link
        timeout 20 cat pipe > got &
        "$SHMAUDIT" ls -O pipe
        wait
        "$SHMAUDIT" ls -O link
        "$SHMAUDIT" ls -O .
        echo $?
    "#;
    let (run, work) = prepare("ls::only_files_are_replaced", script)?;
    let ended = run.end()?.well()?;
    check!(work.join("pipe").symlink_metadata()?.file_type().is_fifo(), "the pipe was replaced");
    check!(work.join("link").symlink_metadata()?.is_symlink(), "the link was replaced");
    for list in ["got", "file"] {
        let text = std::fs::read_to_string(work.join(list))?;
        check!(text.starts_with("KIND "), "{list}: {text:?}");
    }
    check!(ended.stdout == b"2\n" && ended.errors() == "shmaudit: .: Is a directory\n", "{}", ended.output());
    Ok(())
}

/// Both the new and the old form are read by those who define them.
fn openmetrics() -> Verdict {
    let script = format!("{SCENE}\n\"$SHMAUDIT\" ls --format openmetrics --per-object -O \"$WORK/metrics\"");
    let (run, work) = prepare("ls::openmetrics", &script)?;
    let ended = run.end()?.well()?;
    check!(ended.stdout.is_empty(), "{}", ended.output());
    let text = std::fs::read_to_string(work.join("metrics"))?;
    for line in [
        "shmaudit_objects{kind=\"posix\",state=\"orphan\"} 2",
        "shmaudit_objects{kind=\"sysv\",state=\"orphan\"} 3",
        "shmaudit_object_size_bytes{kind=\"posix\",state=\"held\"} 140004",
        "shmaudit_segments 7",
    ] {
        check!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let parse = "import sys\nfrom prometheus_client.openmetrics import parser\n\
                 families = list(parser.text_string_to_metric_families(open(sys.argv[1]).read()))\n\
                 print(sum(len(family.samples) for family in families))";
    let file = work.join("metrics");
    let python = |program: &str| Run::new(program).args(["-c", parse]).arg(&file).end().ok();
    let missing = |ended: &crate::run::Ended| ended.errors().contains("ModuleNotFoundError");
    let python = ["python3", "/usr/bin/python3"].into_iter().filter_map(python).find(|ended| !missing(ended));
    let promtool = need("promtool").ok();
    if let Some(ended) = &python {
        check!(ended.how() == "0", "the OpenMetrics parser says:{}", Shown(&ended.stderr));
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        check!(ended.output().trim() == samples.to_string(), "it finds {} of {samples} values", ended.output());
    }
    if let Some(promtool) = &promtool {
        let ended = Run::new("sh").args(["-c", "exec \"$0\" check metrics < \"$1\""]).arg(promtool).arg(&file).end()?;
        check!(ended.how() == "0", "promtool says:{}{}", Shown(&ended.stderr), Shown(&ended.stdout));
    }
    if python.is_none() && promtool.is_none() {
        return Err(Stop::Needs("python3-prometheus-client or promtool".to_string()));
    }
    Ok(())
}

/// Journals tell who made an object, and where; a name that is used again is nobody's of theirs.
fn sessions() -> Verdict {
    let script = r#"
        export SHMAUDIT_OPTIONS="log=off:report=off:journal=$WORK/journal"
        LD_PRELOAD="$LIBRARY" "$KINDS" sysv:0x5a4d1050:4096 posix:4097:/known
        LD_PRELOAD="$LIBRARY" "$KINDS" posix:4098:/again
        rm /dev/shm/again
        sleep 2.1
        "$KINDS" posix:4099:/again
        "$KINDS" posix:4100:/stranger
    "#;
    let list = list("ls::sessions", script, "--session \"$WORK/journal\"")?;
    for (name, call) in [("0x5a4d1050", "shmget"), ("/known", "shm_open")] {
        let object = named(&list, name)?;
        let place = object["session"]["place"].as_str().unwrap_or_default();
        check!(place.starts_with(&format!("{call} act kinds.c:")), "{object}");
        check!(object["creator"]["alive"] == false && object["session"]["program"] == "kinds", "{object}");
        check!(object["reason"].as_str().is_some_and(|reason| reason.ends_with("is dead")), "{object}");
    }
    for name in ["/again", "/stranger"] {
        check!(named(&list, name)?["session"].is_null(), "{}", named(&list, name)?);
    }
    Ok(())
}

fn refusals() -> Verdict {
    let refused = [
        (&["ls", "--user", "no\u{1b}such"][..], "no such user"),
        (&["ls", "--session", "/no/such/journal"], "/no/such/journal: No such file"),
        (&["ls", "-O", "/no/such/directory/file"], "/no/such/directory/file: No such file"),
        (&["ls", "--min-size", "1Q"], "not a size"),
        (&["ls", "--sort", "x"], "invalid value 'x'"),
        (&["ls", "--json", "--format", "text"], "cannot be used with"),
    ];
    for (arguments, words) in refused {
        let ended = Run::new(env!("CARGO_BIN_EXE_shmaudit")).args(arguments).end()?;
        check!(ended.how() == "2" && ended.stdout.is_empty(), "{arguments:?} ended {}", ended.how());
        check!(ended.errors().contains(words), "{arguments:?}: {}", ended.errors());
        if ended.stderr.contains(&0x1b) {
            fail!("an escape in{}", Shown(&ended.stderr));
        }
    }
    // Nobody reads on: no error.
    let script = "\"$0\" ls --wide | head -c 1 > /dev/null; \"$0\" ls > /dev/full 2>/dev/null; echo $?";
    let ended = Run::new("bash").args(["-c", script]).arg(env!("CARGO_BIN_EXE_shmaudit")).end()?;
    check!(ended.stderr.is_empty() && ended.output() == "2\n", "{}{}", ended.output(), ended.errors());
    Ok(())
}
