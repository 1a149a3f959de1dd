//! Builds C programs, each variant once a run.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::run::Run;
use crate::trial::{Shown, Stop, need};
use crate::{check, place};

/// A way to make a program of a source.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    compiler: &'static str,
    before: Vec<String>,
    after: Vec<String>,
}

impl Variant {
    /// `cc -O0 -g`: what the expectations' lines and functions are true of.
    pub fn plain() -> Variant {
        Variant::of(compiler(), &["-O0", "-g"])
    }

    /// This compiler with these options, beside the language and the warnings.
    pub fn of(compiler: &'static str, options: &[&str]) -> Variant {
        Variant { compiler, before: options.iter().map(ToString::to_string).collect(), after: Vec::new() }
    }

    /// Linked with the library under test, which is found where it is without the environment's help.
    pub fn linked(mut self) -> Variant {
        let directory = place::library_directory();
        self.after.push(format!("-L{}", directory.display()));
        self.after.push(format!("-Wl,-rpath,{}", directory.display()));
        self.after.push("-lshmaudit".to_string());
        self
    }

    /// With more options after the source.
    pub fn and(mut self, options: &[&str]) -> Variant {
        self.after.extend(options.iter().map(ToString::to_string));
        self
    }
}

/// This machine's, or the one that `SHMAUDIT_CC` names: where the kernel runs another machine's programs too, by an emulator,
/// the library can be tried there.
fn compiler() -> &'static str {
    static NAMED: OnceLock<Option<String>> = OnceLock::new();
    NAMED.get_or_init(|| std::env::var("SHMAUDIT_CC").ok()).as_deref().unwrap_or("cc")
}

/// The same of musl, by `SHMAUDIT_MUSL_CC`.
pub fn musl_compiler() -> &'static str {
    static NAMED: OnceLock<Option<String>> = OnceLock::new();
    NAMED.get_or_init(|| std::env::var("SHMAUDIT_MUSL_CC").ok()).as_deref().unwrap_or("musl-gcc")
}

type Made = Arc<OnceLock<Result<PathBuf, String>>>;

static MADE: Mutex<Option<HashMap<(PathBuf, Variant), Made>>> = Mutex::new(None);

/// The program of `source`; the trial is skipped where there is no such compiler.
pub fn program(source: &Path, variant: &Variant) -> Result<PathBuf, Stop> {
    need(variant.compiler)?;
    let made = {
        let mut all = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = all.get_or_insert_default().entry((source.to_path_buf(), variant.clone()));
        Arc::clone(made.or_default())
    };
    made.get_or_init(|| compile(source, variant)).clone().map_err(Stop::Fail)
}

fn compile(source: &Path, variant: &Variant) -> Result<PathBuf, String> {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let directory = tempfile::Builder::new()
        .prefix("variant-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(place::directory("built").map_err(|_| "no directory for programs")?)
        .map_err(|error| error.to_string())?
        .keep();
    let program = directory.join(&stem);
    let run = Run::new(variant.compiler)
        .args(language(source))
        .args(&variant.before)
        .arg("-o")
        .arg(&program)
        .arg(source)
        .args(&variant.after);
    let ended = run.end().map_err(Stop::into_message)?;
    let built = || -> Result<(), Stop> {
        check!(ended.how() == "0", "{} {}:{}", variant.compiler, source.display(), Shown(&ended.stderr));
        Ok(())
    };
    built().map_err(Stop::into_message)?;
    Ok(program)
}

fn language(source: &Path) -> &'static [&'static str] {
    match source.extension().and_then(OsStr::to_str) {
        Some("cc") => &["-std=gnu++17", "-Wall", "-Wextra"],
        Some("rs") => &["--edition=2021"],
        _ => &["-std=gnu11", "-Wall", "-Wextra"],
    }
}

/// A program of this directory's `programs/`, written in C where the name has no ending.
pub fn own(name: &str, variant: &Variant) -> Result<PathBuf, Stop> {
    program(&own_source(name), variant)
}

/// Where that program's source is.
pub fn own_source(name: &str) -> PathBuf {
    let ending = if name.contains('.') { "" } else { ".c" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/e2e/programs/{name}{ending}"))
}
