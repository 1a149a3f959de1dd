//! IPC and mount namespaces of a tree's own: the same ids and names in each, and what goes with them.

use super::{LEAKS, findings, json, script, went};
use crate::check;
use crate::trial::{Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::ipc_namespaces", ipc);
    trials.add("run::ipc_namespace_that_lives", ipc_lives);
    trials.add("run::mount_namespaces", mounts);
    trials.add("run::pid_namespaces", pids);
}

/// Each child makes a segment of the shmid that its parent's has; both children's namespaces go, and may have had one number.
fn ipc() -> Verdict {
    let (ended, work) = script(
        "run::ipc_namespaces",
        r#"
        run sh -c '"$LEAVES" /x exit 0; unshare -i "$LEAVES" /y exit 0; unshare -i "$LEAVES" /z killpg' ; echo $?
        "$SHMAUDIT" report session --format json > later.json
        awk 'NR > 1 { print $2 }' /proc/sysvipc/shm
        "#,
    )?;
    check!(ended.output() == "made\nmade\nmade\n137\n0\n", "{}{}", ended.output(), ended.errors());
    for name in ["report.json", "later.json"] {
        let report = json(&work, name)?;
        let wanted = ["posix-leak error 1234 make", "posix-leak error 1234 make", "posix-leak error 1234 make"];
        let wanted: Vec<&str> = wanted.into_iter().chain(["sysv-leak error 4097 main"]).collect();
        check!(findings(&report) == wanted, "{name}: {:?}:\n{report:#}", findings(&report));
        let segments = report["objects"].as_array().into_iter().flatten().filter(|object| object["family"] == "sysv");
        let segments: Vec<_> = segments.collect();
        check!(segments.len() == 3 && segments.iter().all(|segment| segment["shmid"] == 0), "{segments:#?}");
        check!(segments.iter().filter(|segment| segment["exists"] == true).count() == 1, "{segments:#?}");
    }
    Ok(())
}

/// A namespace that somebody else keeps keeps its segments, and they are told of with the way to remove them.
fn ipc_lives() -> Verdict {
    let (ended, work) = script(
        "run::ipc_lives",
        r#"
        touch kept; mkfifo pipe; mount --make-rprivate /
        unshare --ipc="$PWD/kept" true
        nsenter --ipc="$PWD/kept" sh -c 'read line < pipe' & keeper=$!
        run nsenter --ipc="$PWD/kept" "$LEAVES" /x exit 0
        "$SHMAUDIT" report session --format json > there.json
        sh -c "$("$SHMAUDIT" report session | sed -n 's/.*to remove it: \(nsenter.*\)/\1/p')"
        "$SHMAUDIT" report session --format json > removed.json
        echo > pipe; wait $keeper; umount kept
        "$SHMAUDIT" report session --format json > gone.json; echo $?
        "#,
    )?;
    went(&ended, "made\n1\n")?;
    for (name, now) in [("there.json", "there"), ("removed.json", "gone"), ("gone.json", "gone")] {
        let report = json(&work, name)?;
        check!(findings(&report).contains(&"sysv-leak error 4097 main".to_string()), "{name}: {report:#}");
        let all = report["findings"].as_array().into_iter().flatten();
        let leak = all.clone().find(|finding| finding["kind"] == "sysv-leak").cloned().unwrap_or_default();
        check!(leak["now"] == now, "{name}: {leak:#}");
        check!(leak["message"].as_str().is_some_and(|text| text.contains(" of IPC namespace ")), "{leak:#}");
    }
    Ok(())
}

/// The same name on another /dev/shm is another object: one removed, the other left.
fn mounts() -> Verdict {
    let (ended, work) = script(
        "run::mount_namespaces",
        r#"
        run sh -c '"$LEAVES" /x exit 0; unshare -m sh -c "mount -t tmpfs tmpfs /dev/shm && exec \"\$LEAVES\" /x daemon \"\$PWD/pid\""'
        kill -TERM $(cat pid); while kill -0 $(cat pid) 2> /dev/null; do sleep 0.05; done
        "$SHMAUDIT" report session --format json > report.json; ls /dev/shm
        "#,
    )?;
    went(&ended, "made\nmade\nx\n")?;
    let report = json(&work, "report.json")?;
    let told = findings(&report);
    let wanted = ["posix-leak error 1234 make", "sysv-leak error 4097 main", "sysv-leak error 4097 main"];
    // mount is a set-user-ID program.
    let told: Vec<&String> = told.iter().filter(|told| !told.starts_with("unaudited-process")).collect();
    check!(told == wanted, "{told:?}:\n{report:#}");
    Ok(())
}

/// Processes that the supervisor knows by other numbers: their segments are theirs, and they are over when the tree is.
fn pids() -> Verdict {
    let (ended, work) = script(
        "run::pid_namespaces",
        r#"
        run unshare -p -f "$LEAVES" /x killpg; echo $?
        "$SHMAUDIT" report session --format json > later.json
        "#,
    )?;
    check!(ended.output().starts_with("made\n"), "{}{}", ended.output(), ended.errors());
    for name in ["report.json", "later.json"] {
        let report = json(&work, name)?;
        check!(findings(&report) == LEAKS && report["settled"] == true, "{name}: {report:#}");
    }
    Ok(())
}
