//! The end-to-end tests: C programs, built here, run plain and under the library, and what comes out compared.
//!
//! `cargo build --release` first (`make test` does). One trial a case, so `cargo test -p shmaudit-cli --test e2e -- leak`
//! runs what has `leak` in its name. `SHMAUDIT_LIB` names another library to test. A trial whose tool is missing is
//! ignored and says so; with `SHMAUDIT_REQUIRE_ALL=1` it fails.

mod browser;
mod build;
mod clean;
mod compare;
mod expect;
mod gallery;
mod log;
mod machine;
mod place;
mod report;
mod run;
mod scenario;
mod shape;
mod sys;
mod trial;

mod chains;
mod diff;
mod elf;
mod endings;
mod explain;
mod family;
mod formats;
mod grove;
mod hardship;
mod harm;
mod header;
mod hookpath;
mod hostile;
mod hostile_programs;
mod html;
mod identity;
mod install;
mod interface;
mod journal;
mod known;
mod libcs;
mod limits;
mod machine_clean;
mod machine_ls;
mod machine_plan;
mod machine_top;
mod options;
mod readme;
mod real;
mod reports;
mod scenarios;
mod stacks;
mod supervised;
mod surroundings;
mod syscalls;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::trial::Trials;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    sys::usual_umask();
    let temporary = match place::prepare() {
        Ok(temporary) => temporary,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(101);
        }
    };
    let mut trials = Trials::new();
    scenarios::add(&mut trials);
    elf::add(&mut trials);
    libcs::add(&mut trials);
    limits::add(&mut trials);
    header::add(&mut trials);
    interface::add(&mut trials);
    install::add(&mut trials);
    hookpath::add(&mut trials);
    syscalls::add(&mut trials);
    options::add(&mut trials);
    log::add(&mut trials);
    reports::add(&mut trials);
    endings::add(&mut trials);
    hardship::add(&mut trials);
    family::add(&mut trials);
    identity::add(&mut trials);
    stacks::add(&mut trials);
    readme::add(&mut trials);
    journal::add(&mut trials);
    known::add(&mut trials);
    machine_ls::add(&mut trials);
    machine_clean::add(&mut trials);
    machine_plan::add(&mut trials);
    machine_top::add(&mut trials);
    supervised::add(&mut trials);
    grove::add(&mut trials);
    formats::add(&mut trials);
    html::add(&mut trials);
    diff::add(&mut trials);
    explain::add(&mut trials);
    surroundings::add(&mut trials);
    chains::add(&mut trials);
    harm::add(&mut trials);
    hostile::add(&mut trials);
    hostile_programs::add(&mut trials);
    real::add(&mut trials);
    let conclusion = libtest_mimic::run(&arguments, trials.into_inner());
    drop(temporary);
    // The last words of a run that failed are why.
    if !conclusion.has_failed() {
        harm::print_table();
        real::print_table();
    }
    conclusion.exit_code()
}
