//! Which library is loaded into the program, with which options and beside which others.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use shmaudit_core::options::Options;

use super::elf;

/// The library: `given`, else the one that is beside this command, installed or not.
pub fn library(given: Option<&Path>) -> Result<PathBuf, String> {
    let path = match given {
        Some(path) => path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?,
        None => beside()?,
    };
    let bytes = path.as_os_str().as_bytes();
    if bytes.iter().any(|byte| b": \t\n".contains(byte)) {
        return Err(format!(
            "{}: a path with a blank or colon cannot be preloaded; link it elsewhere and name that by --library",
            path.display()
        ));
    }
    Ok(path)
}

fn beside() -> Result<PathBuf, String> {
    let command =
        env::current_exe().and_then(|path| path.canonicalize()).map_err(|error| format!("own path: {error}"))?;
    let directory = command.parent().unwrap_or(Path::new("/"));
    let multiarch = format!("../lib/{}-linux-gnu", env::consts::ARCH);
    let places = [".", "../lib", &multiarch, "../lib64", "../release"];
    let found = places
        .iter()
        .flat_map(|place| ["libshmaudit.so.0", "libshmaudit.so"].map(|name| directory.join(place).join(name)));
    let found = found.filter_map(|path| path.canonicalize().ok()).find(|path| path.is_file());
    found.ok_or_else(|| {
        format!("no libshmaudit.so beside {} or in its lib directories; name it by --library", command.display())
    })
}

/// Most libraries that are put before ours, of any program.
const MOST_FIRST: usize = 8;
/// Longest name of one.
const LONGEST: usize = 255;

/// Libraries that refuse to start unless they come first. What cannot be one word of the list is none.
fn is_first(name: &[u8]) -> bool {
    if name.len() > LONGEST || name.iter().any(|byte| b": \t\n".contains(byte)) {
        return false;
    }
    let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    [&b"libasan.so"[..], b"libtsan.so", b"libhwasan.so", b"libclang_rt.asan", b"libclang_rt.tsan"]
        .iter()
        .any(|prefix| base.starts_with(prefix))
}

/// What LD_PRELOAD is to hold: what was there, in its order, and the library before it, but after what must be first.
pub fn list(library: &Path, program: Option<&Path>) -> OsString {
    let before = env::var_os("LD_PRELOAD").unwrap_or_default();
    let others: Vec<&[u8]> =
        before.as_bytes().split(|byte| b": ".contains(byte)).filter(|name| !name.is_empty()).collect();
    let needed = program.map(elf::needed).unwrap_or_default();
    let mut names: Vec<&[u8]> = Vec::new();
    for name in needed.iter().filter(|name| is_first(name)) {
        if names.len() < MOST_FIRST && !names.contains(&name.as_slice()) {
            names.push(name);
        }
    }
    names.extend(others.iter().filter(|name| is_first(name) && !names.contains(name)).copied().collect::<Vec<_>>());
    names.push(library.as_os_str().as_bytes());
    names.extend(others.into_iter().filter(|name| !is_first(name) && *name != library.as_os_str().as_bytes()));
    OsString::from_vec(names.join(&b':'))
}

/// `SHMAUDIT_OPTIONS` of the program: no log, then what was there, then what the command line and the session say, for the
/// last counts.
pub fn options(recorder: &Path, log: Option<&OsStr>, syscalls: bool, stacks: usize) -> Result<OsString, String> {
    let mut text = OsString::from("log=off:");
    let before = before();
    if !before.is_empty() {
        text.push(before);
        text.push(":");
    }
    text.push("session=");
    text.push(quoted(recorder.as_os_str())?);
    if let Some(log) = log {
        text.push(":log=");
        text.push(quoted(log)?);
    }
    text.push(format!(":stacks={stacks}:report=off:journal=off:error_exitcode=0"));
    if syscalls {
        text.push(":syscalls=1");
    }
    Ok(text)
}

fn before() -> OsString {
    env::var_os("SHMAUDIT_OPTIONS").unwrap_or_default()
}

/// The frames of a call stack that `SHMAUDIT_OPTIONS` asks for, or the default.
pub fn stacks() -> usize {
    Options::parse(before().as_bytes(), false).0.stacks
}

fn quoted(path: &OsStr) -> Result<OsString, String> {
    let has = |byte: u8| path.as_bytes().contains(&byte);
    let quote = match (has(b'\''), has(b'"')) {
        (false, _) => "'",
        (true, false) => "\"",
        (true, true) => {
            return Err(format!("{}: a path with both kinds of quotes cannot be an option", path.display()));
        }
    };
    if path.to_str().is_none() {
        return Err(format!("{}: a path that is not UTF-8 cannot be an option", path.display()));
    }
    let mut quoted = OsString::from(quote);
    quoted.push(path);
    quoted.push(quote);
    Ok(quoted)
}

/// The file that `execvp` would run.
pub fn program(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}
