//! What makes two findings of two runs the same: kind, call path, and the object's name without its numbers.
//!
//! Pids, addresses, shmids and lines change from run to run or from edit to edit and are no part of it, nor are a segment's
//! key (`ftok` makes it of an inode) where the call path is known, nor directories, which differ between checkouts.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use shmaudit_core::report::Frame;

/// A frame, from a report as a value or read from a file.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The function.
    pub function: Option<&'a str>,
    /// The source file.
    pub file: Option<&'a str>,
    /// The loaded file.
    pub module: Option<&'a str>,
    /// The address in it, in hexadecimal.
    pub offset: Cow<'a, str>,
}

impl<'a> From<&'a Frame> for Step<'a> {
    fn from(frame: &'a Frame) -> Step<'a> {
        Step {
            function: frame.function.as_deref(),
            file: frame.file.as_deref(),
            module: frame.module.as_deref(),
            offset: Cow::Owned(format!("{:#x}", frame.offset)),
        }
    }
}

/// An object, from a report as a value or read from a file.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// `posix`, `sysv`, `memfd` or `file`.
    pub family: &'a str,
    /// Its name.
    pub name: Option<&'a str>,
    /// Its key.
    pub key: Option<&'a str>,
}

/// The part of a path after its last slash.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A name without its numbers: `/app-4711.0` is `/app-#.#`.
pub fn pattern(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if !character.is_ascii_digit() {
            pattern.push(character);
        } else if !pattern.ends_with('#') {
            pattern.push('#');
        }
    }
    pattern
}

/// The way to a call, innermost first: `attach (prog.c)`. What is below `main`, and the C library's part, tell nothing.
pub fn path<'a>(frames: impl IntoIterator<Item = Step<'a>>) -> Vec<String> {
    let mut steps = Vec::new();
    for frame in frames {
        let module = base_name(frame.module.unwrap_or("?"));
        let place = base_name(frame.file.or(frame.module).unwrap_or("?"));
        let step = match frame.function {
            _ if is_libc(module) => continue,
            Some(function) => format!("{function} ({place})"),
            None if frame.module.is_some() => format!("{module}+{}", frame.offset),
            None => continue,
        };
        steps.push(step);
        if frame.function == Some("main") {
            break;
        }
    }
    steps
}

fn is_libc(module: &str) -> bool {
    ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libc.musl"].iter().any(|name| module.starts_with(name))
}

/// What stands for an object in two runs.
pub fn object(label: Label, path: &[String]) -> String {
    match (label.name, label.key) {
        (Some(name), _) => format!("{} {}", label.family, pattern(name)),
        (None, Some(key)) if path.is_empty() => format!("{} {key}", label.family),
        _ => label.family.to_string(),
    }
}

/// 32 hexadecimal digits for a finding.
pub fn fingerprint(kind: &str, label: Option<Label>, path: &[String]) -> String {
    let object = label.map(|label| object(label, path)).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [kind, &object].into_iter().chain(path.iter().map(String::as_str)) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digits = HEXLOWER.encode(&hash.finalize());
    digits.get(..32).unwrap_or(&digits).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(function: Option<&'static str>, file: Option<&'static str>, module: &'static str) -> Step<'static> {
        Step { function, file, module: Some(module), offset: Cow::Borrowed("0x12") }
    }

    #[test]
    fn paths_end_at_main() {
        let frames = [
            step(Some("make"), Some("/src/a/prog.c"), "/bin/prog"),
            step(None, None, "/lib/libx.so.1"),
            step(Some("main"), Some("/src/a/prog.c"), "/bin/prog"),
            step(Some("__libc_start_call_main"), None, "/lib/libc.so.6"),
        ];
        assert_eq!(path(frames), ["make (prog.c)", "libx.so.1+0x12", "main (prog.c)"]);
        assert_eq!(path([step(Some("start_thread"), None, "/lib/libc.so.6")]), [""; 0]);
    }

    #[test]
    fn numbers_do_not_count() {
        let label = |name| Some(Label { family: "posix", name: Some(name), key: None });
        let path = ["main (a.c)".to_string()];
        let one = fingerprint("posix-leak", label("/app-4711.1"), &path);
        assert_eq!(one, fingerprint("posix-leak", label("/app-9.22"), &path));
        assert_ne!(one, fingerprint("posix-leak", label("/other-9.22"), &path));
        assert_ne!(one, fingerprint("fd-at-exit", label("/app-4711.1"), &path));
        assert_ne!(one, fingerprint("posix-leak", label("/app-4711.1"), &["f (a.c)".to_string()]));
        assert_eq!(one.len(), 32);
        let segment = |key| Some(Label { family: "sysv", name: None, key: Some(key) });
        let by_key = |key, path: &[String]| fingerprint("sysv-leak", segment(key), path);
        assert_eq!(by_key("0x00000011", &path), by_key("0x00000012", &path));
        assert_ne!(by_key("0x00000011", &[]), by_key("0x00000012", &[]));
    }
}
