//! `shmaudit clean` on machines of one's own: what goes, what stays, and that nothing held ever goes.

use serde_json::Value;

use crate::build::{self, Variant};
use crate::machine::{json, machine, named, prepare, set_up};
use crate::machine_ls::SCENE;
use crate::run::Run;
use crate::trial::{Stop, Trials, Verdict, need, need_root};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("clean::dry_run_changes_nothing", dry_run);
    trials.add("clean::removes_orphans_and_nothing_else", orphans);
    trials.add("clean::what_is_made_to_stay_goes_only_by_name", included);
    trials.add("clean::creators_and_last_users_that_run", users_that_run);
    trials.add("clean::held_out_of_sight", out_of_sight);
    trials.add("clean::held_by_a_path_descriptor", path_descriptor);
    trials.add("clean::without_leases_all_processes_count", without_leases);
    trials.add("clean::without_leases_and_sight", without_sight);
    trials.add("clean::without_proc", without_proc);
    trials.add("clean::of_a_session_only", session);
    trials.add("clean::other_users", other_users);
    trials.add("clean::ages", ages);
    trials.add("clean::links", links);
    trials.add("clean::after_a_clean_that_was_killed", killed);
    trials.add("clean::storm", storm);
}

/// Everything that a removal or a look could change.
const TABLES: &str = r#"tables() {
    cat /proc/sysvipc/shm
    find /dev/shm -type f -printf '%p %i %s %n %m %u %A@ %C@ %T@\n' | sort
}
"#;

fn dry_run() -> Verdict {
    let script = format!(
        "{SCENE}{TABLES}
        tables > \"$WORK/before\"
        \"$SHMAUDIT\" clean --plan \"$WORK/plan\" --include semaphores,registries,files > \"$WORK/text\"; echo $?
        tables > \"$WORK/after\"
        cmp \"$WORK/before\" \"$WORK/after\" && echo same"
    );
    let (run, work) = prepare("clean::dry_run", &script)?;
    let ended = run.end()?.well()?;
    check!(ended.output() == "0\nsame\n", "{}{}", ended.output(), ended.errors());
    let text = std::fs::read_to_string(work.join("text"))?;
    for line in [
        "would remove segment 0x5a4d1001 (shmid 0), 8.6K of root",
        "    attached to nobody (nattch 0); its last user ",
        "    of this IPC namespace",
        "would remove /orphan, 12K of root",
        "would remove semaphore /lock, 32 of root",
        "    neither open nor mapped in the ",
        "    idle for ",
        "stays: /held, 68K of root: held by kinds[",
        "stays: segment 0x5a4d1004 (shmid 4), 4.0K of root: its creator kinds[",
        "Nothing was changed; --apply removes.",
    ] {
        check!(text.contains(line), "{line} is not in\n{text}");
    }
    check!(text.lines().any(|line| line.starts_with("    creator ") && line.ends_with(" is dead")), "{text}");
    Ok(())
}

/// Names and keys of what is there in the end.
fn after(trial: &str, script: &str) -> Result<Vec<String>, Stop> {
    let list = json(&machine(trial, &format!("{script}\n\"$SHMAUDIT\" ls --json --sort name"))?)?;
    let name = |object: &Value| object["name"].as_str().or(object["key"].as_str()).unwrap_or("-").to_string();
    Ok(list["objects"].as_array().into_iter().flatten().map(name).collect())
}

fn orphans() -> Verdict {
    let script = format!("{SCENE}\n\"$SHMAUDIT\" clean --apply > \"$WORK/text\" || exit 95");
    let mut left = after("clean::orphans", &script)?;
    left.sort();
    let wanted = [
        "-",
        "/dev/shm/dir/file",
        "/gone",
        "/held",
        "/jack-shm-registry",
        "/lock",
        "/open",
        "0x5a4d1003",
        "0x5a4d1004",
        "0x5a4d1006",
        "IPC_PRIVATE",
        "first",
        "second",
    ];
    check!(left == wanted, "{left:?}");
    let text = std::fs::read_to_string(place::directory("clean::orphans")?.join("text"))?;
    check!(text.contains("\nRemoved 5 objects, 4.0M; "), "{text}");
    Ok(())
}

fn included() -> Verdict {
    let script = format!(
        "{SCENE}\n\"$SHMAUDIT\" clean --apply --include semaphores,registries,files --kind posix,semaphore,file -q || exit 95"
    );
    let ended = machine("clean::included", &format!("{script}; ls -A /dev/shm /dev/shm/dir"))?.well()?;
    let text = ended.output();
    for line in ["removed semaphore /lock, 32 of root", "removed /jack-shm-registry, 33 of root"] {
        check!(text.contains(line), "{line} is not in\n{text}");
    }
    check!(text.ends_with("/dev/shm:\ndir\nheld\nopen\n\n/dev/shm/dir:\n"), "{text}");
    // Nor when they are included does what is held go.
    let script =
        "held sem:/lock posix:33:/jack-shm-registry\n\"$SHMAUDIT\" clean --apply --include semaphores,registries";
    let ended = machine("clean::included", &format!("{script}; ls -A /dev/shm"))?.well()?;
    check!(ended.output().ends_with("jack-shm-registry\nsem.lock\n"), "{}", ended.output());
    Ok(())
}

fn users_that_run() -> Verdict {
    let script = r#"
        "$KINDS" sysv:0x5a4d3001:4096
        held get:0x5a4d3001 attach detach
        held sysv:0x5a4d3002:4096
        rests
        "$SHMAUDIT" clean --apply
    "#;
    let ended = machine("clean::users_that_run", script)?.well()?;
    let text = ended.output();
    check!(text.contains("segment 0x5a4d3001 (shmid 0), 4.0K of root: its last user kinds["), "{text}");
    check!(text.contains("segment 0x5a4d3002 (shmid 1), 4.0K of root: its creator kinds["), "{text}");
    check!(text.contains("Removed 0 objects"), "{text}");
    Ok(())
}

/// A descriptor that is on its way through a socket is in no process's table.
fn out_of_sight() -> Verdict {
    let script = r#"
        held posix:4096:/flight inflight
        rests
        "$SHMAUDIT" clean --apply; echo $?
        ls /dev/shm
    "#;
    let ended = machine("clean::out_of_sight", script)?.well()?;
    let text = ended.output();
    check!(text.contains("left /flight, 4.0K of root: the kernel says that somebody has it open or mapped"), "{text}");
    check!(text.contains("\n1\nflight\n"), "{text}");
    Ok(())
}

/// No lease tells of a descriptor that was opened with O_PATH; the walk does.
fn path_descriptor() -> Verdict {
    let script = "\"$KINDS\" posix:4096:/path\nheld opath:/path\nrests\n\"$SHMAUDIT\" clean --apply";
    let ended = machine("clean::path_descriptor", script)?.well()?;
    check!(ended.output().contains("stays: /path, 4.0K of root: held by kinds["), "{}", ended.output());
    Ok(())
}

/// In the machine's own pid namespace, where everybody is seen, and without the right to leases of others' files.
fn without_leases() -> Verdict {
    let (setpriv, unshare) = (need("setpriv")?, need("unshare")?);
    if std::fs::read_link("/proc/self/ns/pid")?.to_str() != Some("pid:[4026531836]") {
        return Err(Stop::Unfit("the machine's first pid namespace".to_string()));
    }
    let script = r#"
        "$KINDS" posix:4096:/orphan posix:4096:/held posix:4096:/mapped
        chown 65534 /dev/shm/*
        held open:/held; one=$held
        held open:/mapped map close; two=$held
        rests
        "$SETPRIV" --bounding-set -lease --inh-caps -lease "$SHMAUDIT" clean --apply --kind posix
        ls /dev/shm
        kill $one $two
    "#;
    need_root()?;
    let run = Run::new(unshare).args(["--ipc", "--mount"]);
    let (run, _) = set_up("clean::without_leases", run, script)?;
    let ended = run.env("SETPRIV", setpriv).end()?.well()?;
    let text = ended.output();
    if text.contains("not every process can be looked into") {
        return Err(Stop::Unfit("the right to look into every process".to_string()));
    }
    check!(text.contains("removed /orphan, 4.0K of nobody"), "{text}{}", ended.errors());
    check!(text.ends_with("\nheld\nmapped\n"), "{text}");
    Ok(())
}

fn without_sight() -> Verdict {
    let setpriv = need("setpriv")?;
    let script = r#"
        "$KINDS" posix:4096:/orphan
        chown 65534 /dev/shm/orphan
        rests
        "$SETPRIV" --bounding-set -lease --inh-caps -lease "$SHMAUDIT" clean --apply; echo $?
        ls /dev/shm
    "#;
    let (run, _) = prepare("clean::without_sight", script)?;
    let ended = run.env("SETPRIV", setpriv).end()?.well()?;
    let text = ended.output();
    check!(text.contains("left /orphan, 4.0K of nobody: not every process can be looked into"), "{text}");
    check!(text.contains("\n1\norphan\n"), "{text}");
    Ok(())
}

/// Where /proc is missing, the kernel's own answers are left: the lease, the count of attachments, kill(2).
fn without_proc() -> Verdict {
    let script = r#"
        "$KINDS" posix:4096:/orphan
        held posix:4096:/held
        rests
        mkdir "$WORK/empty" && mount --bind "$WORK/empty" /proc || exit 99
        "$SHMAUDIT" ls; "$SHMAUDIT" clean --apply; echo $?
        umount /proc
        ls /dev/shm
    "#;
    let text = machine("clean::without_proc", script)?.well()?.output();
    for words in
        ["/proc cannot be read", "/proc/sysvipc/shm cannot be read: no segment is seen", "removed /orphan, 4.0K"]
    {
        check!(text.contains(words), "{words} is not in\n{text}");
    }
    check!(text.contains("left /held, 4.0K of root: the kernel says that somebody has it open"), "{text}");
    check!(text.ends_with("\n1\nheld\n"), "{text}");
    Ok(())
}

fn session() -> Verdict {
    let script = r#"
        export SHMAUDIT_OPTIONS="log=off:report=off:journal=$WORK/journal"
        LD_PRELOAD="$LIBRARY" "$KINDS" sysv:0x5a4d3040:4096 posix:4097:/known
        LD_PRELOAD="$LIBRARY" held posix:4098:/maker close
        "$KINDS" sysv:0x5a4d3041:4096 posix:4099:/stranger
        rests
        "$SHMAUDIT" clean "$WORK/journal" > "$WORK/dry"
        "$SHMAUDIT" clean "$WORK/journal" --apply
    "#;
    let (run, work) = prepare("clean::session", &format!("{script}\n\"$SHMAUDIT\" ls --json > \"$WORK/list\""))?;
    let text = run.end()?.well()?.output();
    let list: Value = serde_json::from_slice(&std::fs::read(work.join("list"))?)?;
    check!(list["objects"].as_array().is_some_and(|all| all.len() == 3), "{list}");
    for name in ["0x5a4d3041", "/stranger", "/maker"] {
        named(&list, name)?;
    }
    let dry = std::fs::read_to_string(work.join("dry"))?;
    check!(dry.contains(": shm_open act kinds.c:") && dry.contains("    maker "), "{dry}");
    check!(!dry.contains("/stranger") && !dry.contains("0x5a4d3041"), "{dry}");
    check!(text.contains("stays: /maker, 4.0K of root: its maker kinds["), "{text}");
    Ok(())
}

/// Nobody removes what is another user's; nor does a user need rights to see that.
fn other_users() -> Verdict {
    let script = r#"
        chmod 1777 /dev/shm
        umask 0
        "$KINDS" posix:4096:/theirs sysv:0x5a4d3050:4096
        as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
        as "$KINDS" posix:4097:/mine sysv:0x5a4d3051:4096
        as "$KINDS" posix:4098:/shared
        chmod 666 /dev/shm/shared
        held open:/shared
        rests
        as "$SHMAUDIT" clean --apply; echo $?
        ls /dev/shm; ipcs -m | grep -c 0x5a4d305
    "#;
    need("setpriv")?;
    let text = machine("clean::other_users", script)?.well()?.output();
    check!(text.contains("stays: /theirs, 4.0K of root: only its owner and root may remove it"), "{text}");
    check!(text.contains("segment 0x5a4d3050 (shmid 0), 4.0K of root: only its owner and root"), "{text}");
    check!(text.contains("removed /mine, 4.0K of nobody"), "{text}");
    // Held by root, whom nobody may look into: the kernel says so all the same.
    check!(text.contains("left /shared, 4.0K of nobody: the kernel says that somebody has it open"), "{text}");
    check!(text.ends_with("\n1\nshared\ntheirs\n1\n"), "{text}");
    Ok(())
}

fn ages() -> Verdict {
    let script = r#"
        "$KINDS" posix:4096:/young sysv:0x5a4d3060:4096
        "$SHMAUDIT" clean --apply --min-age 1m
        "$SHMAUDIT" clean --min-age 1d -q
        start=$(date +%s%N)
        "$SHMAUDIT" clean --apply -q
        echo $((($(date +%s%N) - start) / 1000000))
        touch -d '+1 hour' /dev/shm/future
        "$SHMAUDIT" clean --apply
    "#;
    let text = machine("clean::ages", script)?.output();
    check!(text.contains("stays: /young, 4.0K of root: idle for "), "{text}");
    check!(text.contains("Nothing to remove; 2 stay."), "{text}");
    check!(text.contains("Removed 2 objects, 8.0K; 0 stay."), "{text}");
    // It has waited until nothing had happened for two seconds, and not longer.
    let waited = text.lines().find_map(|line| line.parse::<u64>().ok()).unwrap_or(0);
    check!((500..6000).contains(&waited), "waited {waited} ms\n{text}");
    check!(text.contains("stays: /future, 0 of root: something happened to it just now"), "{text}");
    Ok(())
}

/// A link in an object's place is not followed, another name keeps it.
fn links() -> Verdict {
    let script = r#"
        echo precious > "$WORK/precious"
        ln -s "$WORK/precious" /dev/shm/link
        "$KINDS" posix:4096:/two
        ln /dev/shm/two /dev/shm/twin
        mkfifo /dev/shm/fifo
        rests
        "$SHMAUDIT" clean --apply; echo $?
        ls /dev/shm; cat "$WORK/precious"
    "#;
    let text = machine("clean::links", script)?.well()?.output();
    for name in ["/two", "/twin"] {
        check!(text.contains(&format!("stays: {name}, 4.0K of root: it has 2 names")), "{text}");
    }
    check!(text.ends_with("\n0\nfifo\nlink\ntwin\ntwo\nprecious\n"), "{text}");
    Ok(())
}

/// A name that a killed clean has taken away is told for what it is, and goes with the next.
fn killed() -> Verdict {
    let script = r#"
        "$KINDS" posix:4096:/.shmaudit-removing-77-2
        "$SHMAUDIT" ls --orphans --wide
        "$SHMAUDIT" clean --apply
    "#;
    let text = machine("clean::killed", script)?.well()?.output();
    check!(text.contains("an interrupted `shmaudit clean` took it aside"), "{text}");
    check!(text.contains("removed /.shmaudit-removing-77-2"), "{text}");
    Ok(())
}

/// Programs that attach, open and map all the time, and four that clean all the time: what is held never goes.
fn storm() -> Verdict {
    let storm = build::own("storm", &Variant::plain().and(&["-lrt"]))?;
    let script = r#"
        "$STORM" 10 10 & storm=$!
        for one in 1 2 3 4; do
            while kill -0 $storm 2> /dev/null; do "$SHMAUDIT" clean --apply -q; done > "$WORK/clean.$one" 2>&1 &
        done
        wait $storm; echo $?
        # What is being removed has another name for a moment.
        wait
        cat "$WORK"/clean.* | grep -c '^removed /storm'
        cat "$WORK"/clean.* | grep -c '^removed segment'
        cat "$WORK"/clean.* | grep '^shmaudit: '
        ls -A /dev/shm | grep -v '^storm-'
        true
    "#;
    let (run, _) = prepare("clean::storm", script)?;
    let ended = run.env("STORM", storm).end()?.well()?;
    let text = ended.output();
    let lines: Vec<&str> = text.lines().collect();
    let [counts, status, objects, segments] = lines.as_slice() else {
        return Err(Stop::Fail(format!("not four lines but\n{text}{}", ended.errors())));
    };
    check!(*status == "0" && counts.ends_with("segments-gone 0 objects-gone 0"), "{text}");
    // It was a storm, and there was something to remove in it.
    let used = counts.split_whitespace().nth(1).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
    check!(used > 1000 && *objects != "0" && *segments != "0", "{text}");
    Ok(())
}
