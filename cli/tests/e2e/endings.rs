//! `error_exitcode`: a leak turns an otherwise successful end into a failure, whatever way the program ends, and nothing
//! else does.

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, place};

const WAYS: [&str; 5] = ["return", "exit", "_exit", "_Exit", "quick_exit"];

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for way in WAYS {
        trials.add(format!("endings::success_and_leak::{way}"), move || ends(way, "0", "leak", "99"));
        trials.add(format!("endings::failure_and_leak::{way}"), move || ends(way, "3", "leak", "3"));
        trials.add(format!("endings::success_without_leak::{way}"), move || ends(way, "0", "clean", "0"));
    }
    trials.add("endings::signal", || scenario("abort_leak", "signal SIGABRT"));
    trials.add("endings::only_a_warning", || scenario("double_detach", "0"));
    trials.add("endings::only_a_note", || scenario("fd_at_exit", "0"));
    trials.add("endings::leak_by_a_child", || scenario("fork_child_leaks", "99"));
    trials.add("endings::without_a_report", without_report);
    trials.add("endings::output_is_flushed", flushed);
    trials.add("endings::exit_in_a_handler", || ends("exit_in_handler", "0", "leak", "99"));
}

fn run(way: &str, status: &str, what: &str, options: &str) -> Result<Ended, Stop> {
    let program = build::own("ends", &Variant::plain())?;
    let trial = format!("endings-{way}-{status}-{what}");
    let run = Run::new(program).args([way, status, what]).within(&place::directory(&trial)?).preloaded(options);
    Ok(Turn::take(&own_source("ends"))?.run(run)?.0)
}

fn ends(way: &str, status: &str, what: &str, wanted: &str) -> Verdict {
    let ended = run(way, status, what, "log=off:error_exitcode=99")?;
    check!(ended.how() == wanted, "ended {} instead of {wanted}:{}", ended.how(), Shown(&ended.stderr));
    check!(ended.stdout == b"made\n", "standard output:{}", Shown(&ended.stdout));
    let ended = run(way, status, what, "log=off")?;
    check!(ended.how() == status, "without error_exitcode: ended {} instead of {status}", ended.how());
    Ok(())
}

fn scenario(name: &str, wanted: &str) -> Verdict {
    let scenario = Scenario::named(name);
    let run = scenario.plain(&format!("endings-{name}"))?.preloaded("log=off:error_exitcode=99");
    let (ended, _) = scenario.turn()?.run(run)?;
    check!(ended.how() == wanted, "ended {} instead of {wanted}:{}", ended.how(), Shown(&ended.stderr));
    Ok(())
}

fn without_report() -> Verdict {
    let ended = run("return", "0", "leak", "log=off:report=off:error_exitcode=99")?;
    check!(ended.how() == "99", "ended {}", ended.how());
    ended.is_quiet()
}

/// What stdio holds back reaches a pipe although the status is changed.
fn flushed() -> Verdict {
    let ended = run("return_unflushed", "0", "leak", "log=off:report=off:error_exitcode=99")?;
    check!(ended.how() == "99", "ended {}", ended.how());
    check!(ended.stdout == b"made\nheld back\n", "standard output:{}", Shown(&ended.stdout));
    Ok(())
}
