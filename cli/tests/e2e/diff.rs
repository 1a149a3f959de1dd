//! `shmaudit diff`: a new leak is seen, a known one is not, whatever the pids; and what cannot be read is said.

use std::fs;

use serde_json::Value;

use crate::gallery::{Gallery, command, ends};
use crate::run::Ended;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, log, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("diff::a_new_leak", new_leak);
    trials.add("diff::the_same_again", the_same);
    trials.add("diff::journals", journals);
    trials.add("diff::refuses", refusals);
}

fn diff(before: impl AsRef<std::path::Path>, after: impl AsRef<std::path::Path>, more: &[&str]) -> Result<Ended, Stop> {
    command().arg("diff").arg(before.as_ref()).arg(after.as_ref()).args(more).end()
}

fn new_leak() -> Verdict {
    let known = Gallery::of(&[])?;
    let more = Gallery::make("diff::more", &["12", "5"])?;
    let ended = diff(known.file("json"), more.file("json"), &[])?;
    ends(&ended, "1")?;
    log::is_tame(&ended.stdout)?;
    let text = ended.output();
    for words in [
        "grew      error: posix-leak: /shmaudit-gallery-left-*, shm_open at make gallery.c:",
        ": 3 of 12606 bytes -> 5 of 21015 bytes",
        "grew      shm_open at make gallery.c:",
        "SUMMARY: shmaudit: findings: 1 grew; objects: 1 grew; call sites: 1 grew",
    ] {
        check!(text.contains(words), "it does not say {words}:{}", Shown(&ended.stdout));
    }
    let ended = diff(more.file("json"), known.file("json"), &["--format", "json"])?;
    ends(&ended, "0")?;
    let difference: Value = serde_json::from_slice(&ended.stdout)?;
    check!(difference["schema"] == "shmaudit-diff/1", "{difference}");
    let ended = diff(known.file("json"), more.file("json"), &["--format", "json"])?;
    ends(&ended, "1")?;
    let difference: Value = serde_json::from_slice(&ended.stdout)?;
    let finding = &difference["findings"][0];
    let told = (finding["change"].as_str(), finding["kind"].as_str(), finding["severity"].as_str());
    check!(told == (Some("grew"), Some("posix-leak"), Some("error")), "{finding}");
    check!(finding["before"]["count"] == 3 && finding["after"]["count"] == 5, "{finding}");
    Ok(())
}

fn the_same() -> Verdict {
    let again = Gallery::make("diff::again", &[])?;
    let ended = diff(Gallery::of(&[])?.file("json"), again.file("json"), &[])?;
    ends(&ended, "0")?;
    let text = ended.output();
    check!(text == "SUMMARY: shmaudit: nothing appeared, vanished or grew\n", "two equal runs differ:\n{text}");
    Ok(())
}

/// Journals are reported on now: what was left is gone, and then nothing is said to leak.
fn journals() -> Verdict {
    let gallery = Gallery::of(&[])?;
    let ended = diff(gallery.file("json"), gallery.journal(), &[])?;
    ends(&ended, "0")?;
    let text = ended.output();
    check!(text.contains("vanished  error: posix-leak: /shmaudit-gallery-left-*"), "{text}");
    ends(&diff(gallery.journal(), gallery.file("json"), &[])?, "1")
}

fn refusals() -> Verdict {
    let gallery = Gallery::of(&[])?;
    let directory = place::directory("diff::refuses")?;
    let file = directory.join("other");
    for (content, words) in [
        ("", "empty"),
        ("some text", "not a report in JSON: expected value at line 1 column 1"),
        ("{\"schema\":\"shmaudit-report/2\"}", "missing field"),
        ("SHMAUDIT and no more", "too short"),
    ] {
        fs::write(&file, content)?;
        let ended = diff(gallery.file("json"), &file, &[])?;
        ends(&ended, "2")?;
        let errors = ended.errors();
        check!(errors.lines().count() == 1 && errors.contains("/other: ") && errors.contains(words), "said {errors}");
        check!(ended.stdout.is_empty(), "wrote{}", Shown(&ended.stdout));
    }
    let ended = diff(gallery.file("json"), directory.join("missing\x1b[31m"), &[])?;
    ends(&ended, "2")?;
    check!(ended.errors().contains("missing\\33[31m: No such file"), "said {}", ended.errors());
    Ok(())
}
