//! What makes two findings the same from run to run: kind, object and way to the call, without pids, ids, addresses and
//! lines. Baselines, fingerprints in documents for other tools, and comparisons all ask here.
//!
//! What is left out is what changes although the mistake is the same: numbers and random parts of names, a segment's key
//! (ftok makes it of an inode) where the way to the call is known, directories, which differ between checkouts, source files
//! but for functions that only their file knows, as symbols tell it with and without debug information, and the C library's
//! own frames, which its versions have others of.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Finding, Frame, Text};
pub use crate::findings::pattern::pattern;

/// Frames that tell places apart; what is further out is the callers' matter, and is cut off by `stacks`.
const MOST_FRAMES: usize = 8;

/// A frame as far as it stays the same, from a report as a value or read from a file.
#[derive(Clone, Debug, Default)]
pub struct Place<'a> {
    /// Function.
    pub function: Option<&'a str>,
    /// Its source file, where no other knows it.
    pub unit: Option<&'a str>,
    /// Path of the module.
    pub module: Option<&'a str>,
    /// Address in the module, `0x1139`: counts where there is no function.
    pub offset: Cow<'a, str>,
}

impl<'a> From<&'a Frame> for Place<'a> {
    fn from(frame: &'a Frame) -> Place<'a> {
        Place {
            function: frame.function.as_deref(),
            unit: frame.unit.as_deref(),
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
    /// Its name, as JSON has it.
    pub name: Option<&'a str>,
    /// Its key.
    pub key: Option<&'a str>,
}

impl Label<'_> {
    /// What it is in every run: a name as a pattern. A key counts where nothing else tells segments apart; that there is none
    /// always does.
    pub fn lasting(&self, way: &[String]) -> String {
        match (self.name, self.key) {
            (Some(name), _) => format!("{} {}", self.family, pattern(name.as_bytes())),
            (None, Some(key)) if way.is_empty() || key == "IPC_PRIVATE" => format!("{} {key}", self.family),
            _ => self.family.to_string(),
        }
    }
}

/// The way to a call, innermost first: `attach (libx.so.*)`, `init a.c (prog)` for a static one. It ends at `main`: below it is the C library's own start.
pub fn way<'a>(places: impl IntoIterator<Item = Place<'a>>) -> Vec<String> {
    let mut steps = Vec::new();
    for place in places {
        let module = place.module.map(|module| module.rsplit('/').next().unwrap_or(module));
        // Written over while it ran.
        let module = module.map(|module| module.strip_suffix(" (deleted)").unwrap_or(module));
        let open = pattern(module.unwrap_or("?").as_bytes());
        let step = match place.function {
            _ if module.is_some_and(is_libc) => continue,
            Some(function) => match place.unit {
                Some(unit) => format!("{function} {unit} ({open})"),
                None => format!("{function} ({open})"),
            },
            None if module.is_some() => format!("{open}+{}", place.offset),
            None => continue,
        };
        steps.push(step);
        if place.function == Some("main") || steps.len() == MOST_FRAMES {
            break;
        }
    }
    steps
}

/// Whether a loaded file is the C library's, by its path.
pub fn is_libc(module: &str) -> bool {
    let module = module.rsplit('/').next().unwrap_or(module);
    ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libc.musl"].iter().any(|name| module.starts_with(name))
}

/// The fingerprint of a finding: a text that is the same for the same mistake of another run, another build and, as a rule,
/// another machine.
pub fn fingerprint(finding: &Finding) -> String {
    let way = way(finding.event.iter().flat_map(|event| event.stack.frames()).map(Place::from));
    labelled(finding, &way)
}

fn labelled(finding: &Finding, way: &[String]) -> String {
    let name = finding.object.as_ref().and_then(|object| object.name.as_ref()).map(Text::to_utf8);
    let label = finding.object.as_ref().map(|object| Label {
        family: object.family,
        name: name.as_deref(),
        key: object.key.as_deref(),
    });
    fingerprint_of(finding.kind, label, way)
}

/// Of a finding whose functions' own files are not told, as a stripped build does not: its fingerprint.
pub(crate) fn bare(finding: &Finding) -> String {
    let frames = finding.event.iter().flat_map(|event| event.stack.frames());
    let way = way(frames.map(|frame| Place { unit: None, ..Place::from(frame) }));
    labelled(finding, &way)
}

/// The same of a finding's parts: its kind, its object, and the [`way`] to the call.
pub fn fingerprint_of(kind: &str, object: Option<Label>, way: &[String]) -> String {
    let mut text = format!("{kind} {}", object.map_or_else(|| "-".to_string(), |object| object.lasting(way)));
    for step in way {
        text.push_str(" < ");
        text.push_str(step);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(function: Option<&'static str>, module: &'static str) -> Place<'static> {
        Place { function, unit: None, module: Some(module), offset: Cow::Borrowed("0x12") }
    }

    #[test]
    fn ways_end_at_main_and_leave_out_the_c_library() {
        let places = [
            place(Some("make"), "/bin/prog"),
            place(Some("qsort_r"), "/lib/x86_64-linux-gnu/libc.so.6"),
            place(Some("qsort"), "/lib/libc-2.31.so"),
            place(None, "/lib/libx.so.1"),
            place(Some("main"), "/bin/prog (deleted)"),
            place(Some("_start"), "/bin/prog"),
        ];
        assert_eq!(way(places), ["make (prog)", "libx.so.*+0x12", "main (prog)"]);
        let of = |unit| way([Place { unit: Some(unit), ..place(Some("init"), "/bin/prog") }]);
        assert_eq!(
            (of("a.c"), of("b.c")),
            (["init a.c (prog)".to_string()].into(), ["init b.c (prog)".to_string()].into())
        );
        assert_eq!(way([place(Some("start_thread"), "/lib/ld-musl-x86_64.so.1")]), [""; 0]);
        assert_eq!(way([Place::default()]), [""; 0]);
        assert_eq!(way(core::iter::repeat_n(place(Some("f"), "a"), 64)).len(), MOST_FRAMES);
    }

    #[test]
    fn what_changes_from_run_to_run_does_not_count() {
        let named = |name| Some(Label { family: "posix", name: Some(name), key: None });
        let in_main = way([place(Some("main"), "/a/prog")]);
        let one = fingerprint_of("posix-leak", named("/app-4711.aBxQyZ"), &in_main);
        assert_eq!(one, "posix-leak posix /app-*.* < main (prog)");
        assert_eq!(one, fingerprint_of("posix-leak", named("/app-9.kLmNoP"), &in_main));
        for (kind, name, way) in [
            ("fd-at-exit", "/app-9.kLmNoP", &in_main),
            ("posix-leak", "/other-9.kLmNoP", &in_main),
            ("posix-leak", "/app-9.kLmNoP", &way([place(Some("f"), "/a/prog")])),
            // The same function of another program.
            ("posix-leak", "/app-9.kLmNoP", &way([place(Some("main"), "/a/tests")])),
        ] {
            assert_ne!(one, fingerprint_of(kind, named(name), way), "{kind} {name} {way:?}");
        }
    }

    #[test]
    fn keys_count_where_nothing_else_does() {
        let segment = |key, way: &[String]| {
            fingerprint_of("sysv-leak", Some(Label { family: "sysv", name: None, key: Some(key) }), way)
        };
        let in_main = way([place(Some("main"), "/a/prog")]);
        assert_eq!(segment("0x00000011", &in_main), segment("0x00000012", &in_main));
        assert_ne!(segment("0x00000011", &in_main), segment("IPC_PRIVATE", &in_main));
        assert_ne!(segment("0x00000011", &[]), segment("0x00000012", &[]));
        assert_eq!(segment("0x00000011", &[]), "sysv-leak sysv 0x00000011");
        assert_eq!(fingerprint_of("unaudited-process", None, &[]), "unaudited-process -");
    }
}
