//! Plans of `shmaudit clean`: kept to where all is as it was, and nowhere else.

use serde_json::Value;

use crate::machine::{machine, named, prepare};
use crate::run::Run;
use crate::trial::{Stop, Trials, Verdict};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("clean::an_id_used_again", id_used_again);
    trials.add("clean::a_plan_is_kept_to", plan);
    trials.add("clean::a_plan_of_other_times", other_times);
    trials.add("clean::plans_that_are_none", no_plans);
}

/// Between plan and removal the segment goes, and its id becomes another's.
fn id_used_again() -> Verdict {
    let script = r#"
        "$KINDS" sysv:0x5a4d3010:4096
        "$KINDS" posix:4096:/again
        "$SHMAUDIT" clean --plan "$WORK/plan" > /dev/null
        id=$(ipcs -m | awk '/0x5a4d3010/ { print $2 }')
        ipcrm -m $id; rm /dev/shm/again
        sleep 1.1
        echo $id > /proc/sys/kernel/shm_next_id || exit 97
        "$KINDS" sysv:0x5a4d3010:4096
        "$KINDS" posix:4096:/again
        [ "$(ipcs -m | awk '/0x5a4d3010/ { print $2 }')" = $id ] || exit 96
        rests
        "$SHMAUDIT" clean --apply --plan "$WORK/plan"; echo $?
        ipcs -m | grep -c 0x5a4d3010; ls /dev/shm
    "#;
    let ended = machine("clean::id_used_again", script)?;
    if ended.how() == "97" {
        return Err(Stop::Unfit("the kernel's shm_next_id".to_string()));
    }
    let text = ended.well()?.output();
    check!(text.contains("shmid 0 is another segment now, made by "), "{text}");
    check!(text.contains("stays: /again, 4.0K of root: is another file now, of inode "), "{text}");
    check!(!text.contains(".000000000Z"), "{text}");
    check!(text.ends_with("\n1\n1\nagain\n"), "{text}");
    Ok(())
}

/// What is not in it stays; what was used since stays, and that is status 1; what went is no failure.
fn plan() -> Verdict {
    let script = r#"
        "$KINDS" sysv:0x5a4d3020:4096 sysv:0x5a4d3021:4096 sysv:0x5a4d3022:4096 posix:4096:/a posix:4096:/b posix:4096:/c
        sleep 1.1
        "$SHMAUDIT" clean --plan "$WORK/plan" > /dev/null
        "$KINDS" get:0x5a4d3021 attach
        "$KINDS" open:/b map; truncate -s 8192 /dev/shm/b
        "$KINDS" sysv:0x5a4d3023:4096 posix:4096:/d
        rm /dev/shm/c; ipcrm -M 0x5a4d3022
        rests
        "$SHMAUDIT" clean --apply --plan "$WORK/plan"; echo $?
        "$SHMAUDIT" ls --json > "$WORK/list"
    "#;
    let (run, work) = prepare("clean::plan", script)?;
    let text = run.end()?.well()?.output();
    let list: Value = serde_json::from_slice(&std::fs::read(work.join("list"))?)?;
    for name in ["0x5a4d3021", "/b", "0x5a4d3023", "/d"] {
        named(&list, name)?;
    }
    check!(list["objects"].as_array().is_some_and(|all| all.len() == 4), "{list}");
    check!(text.contains("/b, 8.0K of root: it was used or changed since the plan was made"), "{text}");
    check!(text.contains("segment 0x5a4d3021 (shmid 1), 4.0K of root: it was used or changed since"), "{text}");
    check!(text.contains("Removed 2 objects, 8.0K; 4 stay.") && text.contains("\n1\n"), "{text}");
    Ok(())
}

/// Nothing else of a plan's may be changed without notice.
fn other_times() -> Verdict {
    let script = r#"
        "$KINDS" sysv:0x5a4d3030:4096 posix:4096:/a
        "$SHMAUDIT" clean --plan "$WORK/plan" > /dev/null
        for change in 's/"boot":"[^"]*"/"boot":""/' 's/"ipc":/"ipc":1/'; do
            sed "$change" "$WORK/plan" > "$WORK/other"
            "$SHMAUDIT" clean --apply --plan "$WORK/other" 2>> "$WORK/errors"; echo $?
        done
        for change in 's/"ctime":/"ctime":1/; s/"made":/"made":1/' 's/"cpid":/"cpid":1/; s/"changed":/"changed":1/'; do
            sed "$change" "$WORK/plan" > "$WORK/other"
            "$SHMAUDIT" clean --apply --plan "$WORK/other" > "$WORK/text"; echo $?
            grep -c '^stays' "$WORK/text"
        done
        ls /dev/shm
    "#;
    let text = machine("clean::other_times", script)?.well()?.output();
    check!(text == "2\n2\n1\n2\n1\n2\na\n", "{text}");
    Ok(())
}

fn no_plans() -> Verdict {
    let directory = place::directory("clean::no_plans")?;
    let file = directory.join("plan");
    let command = |arguments: &[&str]| Run::new(env!("CARGO_BIN_EXE_shmaudit")).args(arguments).arg(&file).end();
    let deep = "[".repeat(100_000);
    for content in ["", "x", "{}", "[]", "{\"schema\":\"\u{1b}[31m\"}", &deep, "{\"schema\":1}", "\u{0}"] {
        std::fs::write(&file, content)?;
        let ended = command(&["clean", "--apply", "--plan"])?;
        let errors = ended.errors();
        check!(ended.how() == "2" && errors.lines().count() == 1, "{content:.20}: {} {errors}", ended.how());
        check!(errors.contains("/plan: not a plan") && !ended.stderr.contains(&0x1b), "{content:.20}: {errors}");
    }
    std::fs::remove_file(&file)?;
    let ended = command(&["clean", "--apply", "--plan"])?;
    check!(ended.how() == "2" && ended.errors().contains("No such file"), "{}", ended.errors());
    let ended = command(&["clean"])?;
    check!(ended.how() == "2" && ended.errors().contains("No such file"), "{}", ended.errors());
    Ok(())
}
