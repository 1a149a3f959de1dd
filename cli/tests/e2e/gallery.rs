//! `programs/gallery.c` under a journal, and the command's reports on it in every format, made while its objects exist.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

use crate::build::{self, Variant};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Verdict};
use crate::{check, place};

/// Every format and what its file is called.
pub const FORMATS: [&str; 7] = ["text", "json", "sarif", "junit", "html", "perfetto", "folded"];

/// A run and its reports.
#[derive(Clone)]
pub struct Gallery {
    directory: PathBuf,
}

/// The command.
pub fn command() -> Run {
    Run::new(env!("CARGO_BIN_EXE_shmaudit"))
}

static DONE: Mutex<Vec<(String, Result<Gallery, String>)>> = Mutex::new(Vec::new());

impl Gallery {
    /// The run with these arguments, one for all trials that ask for it.
    pub fn of(arguments: &[&str]) -> Result<Gallery, Stop> {
        let key = arguments.join("-");
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, gallery)) = done.iter().find(|(known, _)| *known == key) {
            return gallery.clone().map_err(Stop::Fail);
        }
        let made = Gallery::make(&format!("gallery-{key}"), arguments);
        if let Err(stop @ (Stop::Needs(_) | Stop::Unfit(_))) = made {
            return Err(stop);
        }
        let made = made.map_err(Stop::into_message);
        done.push((key, made.clone()));
        made.map_err(Stop::Fail)
    }

    /// One more run.
    pub fn make(name: &str, arguments: &[&str]) -> Result<Gallery, Stop> {
        let program = build::own("gallery", &Variant::plain())?;
        Gallery::of_program(&program, name, arguments, |_| Ok(()))
    }

    /// One of a program that does the same, looked at while what it left is there.
    pub fn of_program(
        program: &Path,
        name: &str,
        arguments: &[&str],
        look: impl FnOnce(&Gallery) -> Verdict,
    ) -> Result<Gallery, Stop> {
        let source = build::own_source("gallery");
        let gallery = Gallery { directory: place::directory(name)? };
        let turn = Turn::take(&source)?;
        let made = gallery.fill(program, arguments).and_then(|()| look(&gallery));
        drop(turn);
        // Taking it removes what was left.
        drop(Turn::take(&source)?);
        made.map(|()| gallery)
    }

    fn fill(&self, program: &Path, arguments: &[&str]) -> Result<(), Stop> {
        let options = format!("log=off:report=off:journal={}", self.journal().display());
        let ended = Run::new(program).args(arguments).preloaded(&options).end()?;
        check!(ended.how() == "0", "ended {}:{}", ended.how(), Shown(&ended.stderr));
        for format in FORMATS {
            let ended = self.report(&["--format", format, "-O"]).arg(self.file(format)).end()?;
            check!(ended.how() == "1", "--format {format} ended {}:{}", ended.how(), Shown(&ended.stderr));
            ended.is_quiet()?;
        }
        Ok(())
    }

    /// Its journals.
    pub fn journal(&self) -> PathBuf {
        self.directory.join("journal")
    }

    /// The command that reports on it.
    pub fn report(&self, arguments: &[&str]) -> Run {
        command().arg("report").arg(self.journal()).args(["--source-root", env!("CARGO_MANIFEST_DIR")]).args(arguments)
    }

    /// Its report in a format.
    pub fn file(&self, format: &str) -> PathBuf {
        self.directory.join(format!("report.{format}"))
    }

    /// Its report in a format.
    pub fn bytes(&self, format: &str) -> Result<Vec<u8>, Stop> {
        Ok(std::fs::read(self.file(format))?)
    }

    /// Its report in a format that is JSON.
    pub fn json(&self, format: &str) -> Result<Value, Stop> {
        Ok(serde_json::from_slice(&self.bytes(format)?)?)
    }
}

/// As [`Ended::how`], with what it said.
pub fn ends(ended: &Ended, how: &str) -> Result<(), Stop> {
    check!(ended.how() == how, "ended {} and not {how}:{}", ended.how(), Shown(&ended.stderr));
    Ok(())
}

/// A JSON Schema, compiled once.
pub type Compiled = OnceLock<Result<jsonschema::Validator, String>>;

/// Fails with the first difference between a document and its schema.
pub fn conforms(document: &Value, schema: &Compiled, text: impl FnOnce() -> Result<Value, String>) -> Result<(), Stop> {
    let compile = || jsonschema::validator_for(&text()?).map_err(|error| error.to_string());
    let validator = schema.get_or_init(compile).as_ref().map_err(|error| Stop::Fail(error.clone()))?;
    let first = validator.iter_errors(document).next();
    first.map_or(Ok(()), |error| Err(Stop::Fail(format!("at {}: {error}", error.instance_path()))))
}
