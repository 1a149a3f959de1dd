//! Programs that allow themselves no system call but their own: the hooks make none that the C library would not make.

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::run::Run;
use crate::trial::{Stop, Trials, Verdict, need_root};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for whose in ["own", "root", "inherited"] {
        trials.add(format!("hookpath::filter::{whose}"), move || survives(whose));
    }
    trials.add("hookpath::filter::kills_who_asks", kills);
    trials.add("hookpath::filter::own_calls_only", || strict("calls", "log=off:report=off"));
    trials.add("hookpath::filter::with_log_and_report", || strict("calls", ""));
    trials.add("hookpath::filter::with_all_options", || {
        strict("calls", "syscalls=1:stacks=64:error_exitcode=3:log_format=json")
    });
    trials.add("hookpath::filter::vfork", || strict("vfork", "log=off:report=off"));
    trials.add("hookpath::filter::ends_at_once", || strict("_exit", ""));
    trials.add("hookpath::filter::forked", || strict("fork", ""));
}

fn run(whose: &str, preload: Option<&std::path::Path>) -> Result<String, Stop> {
    if whose == "root" {
        need_root()?;
    }
    let program = build::own("filtered", &Variant::plain())?;
    let mut run = Run::new(program).arg(whose);
    if let Some(library) = preload {
        run = run.env("LD_PRELOAD", library).options("log=off:report=off");
    }
    let (ended, _) = Turn::take(&own_source("filtered"))?.run(run)?;
    Ok(format!("{} {}{}", ended.how(), ended.output(), ended.errors()))
}

fn survives(whose: &str) -> Verdict {
    let plain = run(whose, None)?;
    if !plain.starts_with("0 ") {
        return Err(Stop::Unfit("filters of system calls".into()));
    }
    let audited = run(whose, Some(place::library()))?;
    check!(audited == plain, "with the library: {audited}; without: {plain}");
    Ok(())
}

/// The filter does what it says: a library that asks by `statx` does not survive.
fn kills() -> Verdict {
    let library = build::own("chatty", &Variant::of("gcc", &["-shared", "-fPIC"]))?;
    let audited = run("own", Some(&library))?;
    check!(audited.starts_with("signal SIGSYS"), "it ended {audited}");
    Ok(())
}

/// A filter that allows the program exactly its own calls, and kills for any other.
fn strict(how: &str, options: &str) -> Verdict {
    let program = build::own("strict", &Variant::plain())?;
    let turn = Turn::take(&own_source("strict"))?;
    let (plain, plain_left) = turn.run(Run::new(&program).arg(how))?;
    if plain.how() != "0" {
        return Err(Stop::Unfit("filters of system calls, and the C library that their list was made for".into()));
    }
    let (ended, left) = turn.run(Run::new(&program).arg(how).preloaded(options))?;
    ended.same_as(&plain)?;
    crate::compare::left(&left, &plain_left)
}
