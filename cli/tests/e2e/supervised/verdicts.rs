//! The verdict: at the end, once more afterwards, and with what is left on purpose.

use serde_json::Value;

use super::{LEAKS, findings, is_leaks, json, script, went};
use crate::check;
use crate::trial::{Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::tells_what_stays", stays);
    trials.add("run::what_became_of_leaks", became);
    trials.add("run::built_in_suppressions", built_in);
}

fn stays() -> Verdict {
    let (ended, work) = script(
        "run::stays",
        r#"
        run "$LEAVES" /x exit 3; echo $?
        "$SHMAUDIT" report session --format json > later.json; echo $?
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
