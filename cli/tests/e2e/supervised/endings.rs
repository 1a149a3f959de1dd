//! How `run` ends and what the program has of it: status, signals, output, what it inherited.

use super::{is_leaks, json, script, went};
use crate::check;
use crate::trial::{Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::ends_as_the_program", ends);
    trials.add("run::passes_signals_on", passes_on);
    trials.add("run::status_for_findings", status_for_findings);
    trials.add("run::output_is_the_programs", output);
    trials.add("run::system_calls", system_calls);
    trials.add("run::gives_back_what_it_inherited", inherited);
    trials.add("run::order_of_preloads", preloads);
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

/// Who asks for the system calls sees them, also without asking for the log; but where the log is off they are not logged.
fn system_calls() -> Verdict {
    let (ended, _) = script(
        "run::system_calls",
        r#"
        with() {
            rm -rf session
            "$SHMAUDIT" run --library "$LIBRARY" -o session --report /dev/null "$@" -- "$LEAVES" /x exit 0 2>&1 > out
        }
        with --syscalls | grep -A1 shm_open | sed 's/^[^ ]* *[0-9:.]* *//; s/(.*//'
        with --syscalls --log=file; grep -c ' -> openat(' file
        with --syscalls --log=off
        with
        "#,
    )?;
    went(&ended, "shm_open\n-> openat\n1\n")
}
