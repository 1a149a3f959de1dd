//! The scenario programs of `c-tests/`: what they are made of and what they come to.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::build::{self, Variant};
use crate::clean::Turn;
use crate::expect::Expect;
use crate::place;
use crate::run::Run;
use crate::trial::Stop;

/// One program.
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Its source.
    pub source: PathBuf,
    /// What it comes to, or why that cannot be read.
    expect: Result<Expect, String>,
}

impl Scenario {
    /// The one of this name.
    pub fn named(name: &str) -> Scenario {
        let directory = place::workspace().join("c-tests");
        let expect = directory.join(format!("{name}.expect"));
        let expect = fs::read_to_string(&expect)
            .map_err(|error| error.to_string())
            .and_then(|text| Expect::parse(&text))
            .map_err(|error| format!("{}: {error}", expect.display()));
        Scenario { name: name.to_string(), source: directory.join(format!("{name}.c")), expect }
    }

    /// All of them, by name.
    pub fn all() -> Vec<Arc<Scenario>> {
        let entries = fs::read_dir(place::workspace().join("c-tests")).into_iter().flatten().flatten();
        let name = |path: PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".c")?.to_string());
        let mut names: Vec<String> = entries.filter_map(|entry| name(entry.path())).collect();
        names.sort();
        names.iter().map(|name| Arc::new(Scenario::named(name))).collect()
    }

    /// What it comes to.
    pub fn expect(&self) -> Result<&Expect, Stop> {
        self.expect.as_ref().map_err(|error| Stop::Fail(error.clone()))
    }

    /// Its program.
    pub fn program(&self, variant: &Variant) -> Result<PathBuf, Stop> {
        let libs: Vec<&str> = self.expect()?.libs.iter().map(String::as_str).collect();
        build::program(&self.source, &variant.clone().and(&libs))
    }

    /// Its program, built as the expectations want it, ready to be run in a directory of the trial's.
    pub fn plain(&self, trial: &str) -> Result<Run, Stop> {
        Ok(Run::new(self.program(&Variant::plain())?).within(&place::directory(trial)?))
    }

    /// The right to run it.
    pub fn turn(&self) -> Result<Turn, Stop> {
        Turn::take(&self.source)
    }
}
