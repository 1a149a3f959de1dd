//! Suppressions: findings that somebody has looked at and wants no more of. LeakSanitizer's grammar.
//!
//! A line is `leak:GLOB` for leaks, or `KIND:GLOB`; `#` begins a comment line. GLOB is looked for anywhere in a text;
//! `*` stands for anything, `^` and `$` tie it to the text's beginning and end. It is matched with the object's name
//! and key, and with function, file and module of each frame of the call that the finding is about.

mod write;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::findings::Kind;

pub use write::written;

/// Objects that stay by design, or are open to everybody by design, and why.
pub const BUILT_IN: &[(&str, &str)] = &[
    (
        "leak:^/jack-shm-registry$",
        "JACK's servers and clients find each other by it: the first makes it for all later ones.",
    ),
    ("world-accessible:^/jack-shm-registry$", "JACK's servers and clients may be different users'."),
    (
        "map-beyond-end:^/jack_db-",
        "JACK's metadata are a Berkeley DB, which maps as much as a file may become and writes to the file before it goes on.",
    ),
    (
        "leak:^/lttng-ust-wait-",
        "Programs traced by LTTng-UST wait on it for a session daemon: the first makes it for all later ones.",
    ),
    ("world-accessible:^/lttng-ust-wait-", "Programs of every user wait on root's session daemon."),
    ("leak:^/libpod_lock$", "Podman's locks: the first command makes them for all later ones."),
    ("leak:^/libpod_rootless_lock_", "The same of a user's own Podman."),
    ("leak:ValveIPCSharedObj", "Steam and its games find each other by it: whoever comes first makes it."),
    ("no-exclusive-create:ValveIPCSharedObj", "The same: whoever comes later takes it."),
    (
        "leak:^/PostgreSQL.",
        "PostgreSQL leaves them only when its server is killed, and removes them at its next start.",
    ),
    (
        "leak:^InternalIpcMemoryCreate$",
        "PostgreSQL's segment: left only when its server is killed, and the next start looks for it.",
    ),
    ("leak:^PGSharedMemoryCreate$", "The same, where the compiler made one function of the two, as Debian's does."),
    (
        "use-after-remove:/torch_shm_manager$",
        "PyTorch's manager of shared files opens them to learn whether they are still there.",
    ),
    ("fd-at-exit:^/faketime_shm_", "libfaketime's start time, which it removes after everything else."),
    ("no-exclusive-create:^/faketime_shm_", "The same: the programs that a program starts take it over."),
    (
        "unattributed-leak:^/sem.",
        "Named semaphores are files beside the objects, made inside the C library, and stay until sem_unlink by their nature.",
    ),
];

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Leaks,
    Only(Kind),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    text: String,
    target: Target,
    glob: Vec<u8>,
    built_in: bool,
}

/// A line that is no suppression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// A set of rules. The default has the built-in ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressions {
    rules: Vec<Rule>,
}

impl Default for Suppressions {
    fn default() -> Self {
        let built_in =
            |(text, _): &(&str, &str)| rule(text.as_bytes()).ok().map(|rule| Rule { built_in: true, ..rule });
        Suppressions { rules: BUILT_IN.iter().filter_map(built_in).collect() }
    }
}

impl Suppressions {
    /// Without the built-in ones.
    pub fn none() -> Suppressions {
        Suppressions { rules: Vec::new() }
    }

    /// Adds the rules of a file. Lines that are none are left out and returned.
    pub fn add(&mut self, text: &[u8]) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match rule(line) {
                Ok(rule) => self.rules.push(rule),
                Err(message) => mistakes.push(Mistake { line: index + 1, message }),
            }
        }
        mistakes
    }

    /// The first rule for findings of `kind` that one of `texts` matches.
    pub fn matching<'t>(&self, kind: Kind, texts: impl Iterator<Item = &'t [u8]> + Clone) -> Option<usize> {
        self.rules.iter().position(|rule| {
            let meant = match rule.target {
                Target::Leaks => kind.is_leak(),
                Target::Only(only) => kind == only,
            };
            meant && texts.clone().any(|text| matches(&rule.glob, text))
        })
    }

    /// A rule as it was written.
    pub fn text(&self, index: usize) -> &str {
        self.rules.get(index).map_or("", |rule| &rule.text)
    }

    /// Rules of the user's that are not among `used`.
    pub fn unused(&self, used: impl Fn(usize) -> bool) -> Vec<String> {
        let mine = self.rules.iter().enumerate().filter(|(index, rule)| !rule.built_in && !used(*index));
        mine.map(|(_, rule)| rule.text.clone()).collect()
    }
}

fn rule(line: &[u8]) -> Result<Rule, String> {
    let mut parts = line.splitn(2, |&byte| byte == b':');
    let (word, glob) = (parts.next().unwrap_or(&[]), parts.next());
    let Some(glob) = glob else { return Err(format!("\"{}\" has no colon", line.escape_ascii())) };
    let target = match Kind::from_name(word) {
        Some(kind) => Target::Only(kind),
        None if word == b"leak" => Target::Leaks,
        None => return Err(format!("no finding is called \"{}\"", word.escape_ascii())),
    };
    if glob.is_empty() {
        return Err("there is nothing after the colon".to_string());
    }
    // As in LeakSanitizer, what follows a `$` does not count.
    let end = glob.iter().position(|&byte| byte == b'$').map_or(glob.len(), |at| at + 1);
    let glob = glob.get(..end).unwrap_or(glob).to_vec();
    Ok(Rule { text: line.escape_ascii().to_string(), target, glob, built_in: false })
}

/// Whether `glob` is somewhere in `text`: `*` stands for anything, `^` and `$` tie it to the text's ends.
pub fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (glob, at_end) = match glob.strip_suffix(b"$") {
        Some(glob) => (glob, true),
        None => (glob, false),
    };
    let (glob, at_start) = match glob.strip_prefix(b"^") {
        Some(glob) => (glob, true),
        None => (glob, false),
    };
    let mut rest = text;
    let mut pieces = glob.split(|&byte| byte == b'*').enumerate().peekable();
    while let Some((index, piece)) = pieces.next() {
        let last = pieces.peek().is_none();
        if at_end && last {
            // The last piece is the end; before it there may be anything, except where it is the only one and tied.
            return if index == 0 && at_start { rest == piece } else { rest.ends_with(piece) };
        }
        if index == 0 && at_start {
            let Some(after) = rest.strip_prefix(piece) else { return false };
            rest = after;
            continue;
        }
        let Some(at) = find(rest, piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or(&[]);
    }
    true
}

/// Where `piece` begins in `text` first.
fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    if piece.is_empty() {
        return Some(0);
    }
    text.windows(piece.len()).position(|window| window == piece)
}

#[cfg(test)]
mod tests {
    use std::{format, vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("bc", "abcd", true),
            ("^bc", "abcd", false),
            ("^ab", "abcd", true),
            ("cd$", "abcd", true),
            ("bc$", "abcd", false),
            ("a*d", "abcd", true),
            ("^a*c$", "abcd", false),
            ("^*d$", "abcd", true),
            ("foo$", "foofoo", true),
            ("a*b*c", "abcabc", true),
            ("a*c*b", "abcac", false),
            ("^abcd$", "abcd", true),
            ("^abcd$", "abcdabcd", false),
            ("*", "", true),
            ("x", "", false),
        ] {
            assert_eq!(matches(glob.as_bytes(), text.as_bytes()), expected, "{glob} in {text}");
        }
    }

    #[test]
    fn a_file() {
        let mut rules = Suppressions::default();
        let mistakes = rules.add(b"# ours\n\n  leak:^/cache-*  \r\nbad-detach:libfoo.so\nleek:x\nleak\nleak:\n\xff:x");
        let lines: Vec<_> = mistakes.iter().map(|mistake| format!("{}: {}", mistake.line, mistake.message)).collect();
        assert_eq!(
            lines,
            [
                "5: no finding is called \"leek\"",
                "6: \"leak\" has no colon",
                "7: there is nothing after the colon",
                "8: no finding is called \"\\xff\"",
            ]
        );
        let find = |kind, text: &'static [u8]| rules.matching(kind, [text].into_iter()).map(|index| rules.text(index));
        assert_eq!(find(Kind::PosixLeak, b"/cache-1"), Some("leak:^/cache-*"));
        assert_eq!(find(Kind::BadDetach, b"/cache-1"), None);
        assert_eq!(find(Kind::BadDetach, b"/usr/lib/libfoo.so.1"), Some("bad-detach:libfoo.so"));
        assert_eq!(find(Kind::PosixLeak, b"/jack-shm-registry"), Some("leak:^/jack-shm-registry$"));
        assert_eq!(find(Kind::PosixLeak, b"/jack-shm-registry2"), None);
        assert_eq!(find(Kind::PosixLeak, b"/lttng-ust-wait-8-1000"), Some("leak:^/lttng-ust-wait-"));
        assert_eq!(rules.unused(|index| rules.text(index).contains("cache")), vec!["bad-detach:libfoo.so"]);
    }

    #[test]
    fn every_built_in_rule_is_one() {
        assert_eq!(Suppressions::default().rules.len(), BUILT_IN.len());
    }

    proptest! {
        #[test]
        fn any_file_is_survived(text: Vec<u8>, name: Vec<u8>) {
            let mut rules = Suppressions::default();
            rules.add(&text);
            rules.matching(Kind::SysvLeak, [&name[..]].into_iter());
        }

        #[test]
        fn a_text_matches_itself(text in "[a-z/.]{1,12}", before in "[a-z]{0,4}", after in "[a-z]{0,4}") {
            let whole = format!("{before}{text}{after}");
            prop_assert!(matches(text.as_bytes(), whole.as_bytes()));
            let tied = format!("^{before}*{after}$");
            prop_assert!(matches(tied.as_bytes(), whole.as_bytes()));
        }
    }
}
