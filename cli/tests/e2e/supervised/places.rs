//! Sessions' directories: whose they are, what is refused, what is listed and removed.

use super::{script, went};
use crate::check;
use crate::trial::{Shown, Trials, Verdict, need};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::directories", directories);
    trials.add("run::full_disk", full_disk);
    trials.add("run::the_environments_options_are_defaults", environment);
    trials.add("run::sessions", sessions);
    trials.add("run::sessions_that_may_not_be_read", refused);
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

/// Where sessions, or one of them, are another user's or closed, that is said, with whose they are and what to do: not that
/// there are none, and no older one is taken for the newest.
fn refused() -> Verdict {
    need("setpriv")?;
    let (ended, _) = script(
        "run::sessions_refused",
        r#"
        run true
        cp "$SHMAUDIT" command; chmod 755 . command
        new() { mkdir -p $1; rm -rf $1/$2; cp -r session $1/$2; [ $3 = root ] || chown -R $3:$3 $1/$2; chmod $4 $1/$2; }
        # What it says, without the rows of a list.
        as() {
            uid=$1 home=$2; shift 2
            setpriv --reuid $uid --regid $uid --clear-groups env "XDG_STATE_HOME=$PWD/$home" ./command "$@" > out 2> err
            echo "$1: $? $(wc -l < out) $(sed "s#$PWD/##g" err)"
        }
        new a/shmaudit 1 root 700; chmod 700 a/shmaudit
        for words in sessions report log 'report --growth'; do as 65534 a $words; done
        new b/shmaudit 1 65534 700; new b/shmaudit 2 root 700
        as 65534 b sessions; as 65534 b report; as 65534 b log
        new b/shmaudit 3 root 700; as 65534 b sessions --prune
        new b/shmaudit 4 65534 700; as 65534 b log > /dev/null; cat err
        for words in 'report' 'log' 'top --once --session' 'ls --session' 'diff session'; do
            as 65534 b $words "$PWD/b/shmaudit/2"
        done
        new c/shmaudit 1 65534 0; as 65534 c sessions; as 65534 c report
        new d/shmaudit 1 root 755; as 65534 d sessions; as 65534 d log
        : > e; as 65534 e sessions
        "#,
    )?;
    let theirs = "is user root's, mode 0700; ask as that user or as root";
    let one = |path: &str| format!("{path}: may not be read: it {theirs}");
    let mut wanted = Vec::new();
    let mut say = |command: &str, how: &str, said: &str| wanted.push(format!("{command}: {how} shmaudit: {said}"));
    for command in ["sessions", "report", "log", "report"] {
        say(command, "2 0", &one("a/shmaudit"));
    }
    say("sessions", "2 1", &one("b/shmaudit/2"));
    say("report", "2 0", &one("b/shmaudit/2"));
    say("log", "2 0", &one("b/shmaudit/2"));
    say("sessions", "2 1", &(one("b/shmaudit/3") + "; and so 1 more"));
    for command in ["report", "log", "top", "ls"] {
        say(command, "2 0", &one("b/shmaudit/2"));
    }
    say("diff", "2 0", &one("session"));
    for command in ["sessions", "report"] {
        say(command, "2 0", "c/shmaudit/1: may not be read: it is yours, mode 0000; allow it by chmod u+rwX");
    }
    let file = "it is user root's, mode 0600; ask as that user or as root";
    say("sessions", "2 0", &format!("d/shmaudit/1/session.json: may not be read: {file}"));
    say("log", "2 0", &format!("d/shmaudit/1/session.json: may not be read: {file}"));
    say("sessions", "2 0", "e/shmaudit: Not a directory");
    check!(
        ended.output().lines().eq(wanted.iter().map(String::as_str)),
        "wanted:\n{}\nsaid:{}{}",
        wanted.join("\n"),
        Shown(&ended.stdout),
        Shown(&ended.stderr)
    );
    Ok(())
}
