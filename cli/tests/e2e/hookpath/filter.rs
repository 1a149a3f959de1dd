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
