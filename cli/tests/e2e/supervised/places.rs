//! Sessions' directories: whose they are, what is refused, what is listed and removed.

use super::{script, went};
use crate::check;
use crate::trial::{Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::directories", directories);
    trials.add("run::full_disk", full_disk);
    trials.add("run::the_environments_options_are_defaults", environment);
    trials.add("run::sessions", sessions);
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
                  audited\nran\nran\n700\n700\n700\n600\n600\nfull:\nfile\n\nopen:";
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

/// No log and 16 frames are what holds where neither the environment nor the command line says otherwise.
fn environment() -> Verdict {
    let (ended, _) = script(
        "run::the_environments_options_are_defaults",
        r#"
        frames() { sed 's/.*"event":{[^[]*\[//; s/\].*//' report.json | grep -o '"offset"' | wc -l; }
        leaves() {
            options=$1; shift; rm -rf session report.json
            SHMAUDIT_OPTIONS=$options "$SHMAUDIT" run --library "$LIBRARY" -o session --format json --report report.json \
                "$@" "$LEAVES" /x exit 0 2>&1 | grep -c 'shm_open("/x'
            rm -f /dev/shm/x; ipcrm -a
        }
        leaves ''; leaves log=stderr; leaves log=stderr --log=off
        leaves log=stderr --log=calls; grep -c 'shm_open("/x' calls
        leaves stacks=1; frames
        leaves stacks=1 --stacks 2; frames
        "#,
    )?;
    went(&ended, "0\n1\n0\n0\n1\n0\n1\n0\n2\n")
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
