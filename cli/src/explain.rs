//! `shmaudit explain`: calls and their way into the kernel, errors and their causes, findings and their cure.
//!
//! The tables are below; this file looks words up and writes topics. An error's topic is made of the calls' tables.

mod calls;
mod kinds;
mod lives;
mod memory;
mod posix;
mod sysv;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use shmaudit_core::calls::HOOKS;
use shmaudit_core::findings::{KINDS, Kind};
use shmaudit_core::words;

use crate::formats::{Terminal, wrapped};
use calls::{ARM64_ENTRY, Call, KERNEL, Step, System, X86_64_ENTRY};
pub use kinds::Remedy;

const TITLE: Style = AnsiColor::Cyan.on_default().bold();
const NAME: Style = Style::new().bold();
const CODE: Style = AnsiColor::Green.on_default();
/// Columns where there is no terminal.
const WIDTH: usize = 80;
/// Lines longer than this are hard to read, however wide the terminal.
const WIDEST: usize = 100;

/// The story of the kind of this name.
pub fn remedy(kind: &str) -> Option<&'static Remedy> {
    kinds::REMEDIES.iter().find(|remedy| remedy.kind == kind)
}

/// What a word means.
enum Topic {
    Call(&'static Call),
    Errno(i32),
    Kind(Kind),
}

/// Tells about `word` on standard output.
pub fn run(word: Option<&str>) -> Result<u64, String> {
    let written = explain(word, &mut io::stdout().lock(), Terminal::of_stdout())?;
    crate::report::ended(written)
}

/// Tells about `word`, or which words there are. `Err`: there is nothing of that name; what to say then.
fn explain(word: Option<&str>, out: &mut dyn Write, terminal: Terminal) -> Result<io::Result<()>, String> {
    let mut page = Page { out, terminal };
    let Some(word) = word else { return Ok(page.topics()) };
    match topic(word) {
        Some(Topic::Call(call)) => Ok(page.call(call)),
        Some(Topic::Errno(errno)) => Ok(page.errno(errno)),
        Some(Topic::Kind(kind)) => Ok(page.kind(kind)),
        None => Err(unknown(word)),
    }
}

/// `shm_open`, `shm_open()`, `shm_open(3)`, `ENOENT`, `enoent`, `2`, `posix-leak`, `posix_leak`.
fn topic(word: &str) -> Option<Topic> {
    let word = word.trim();
    let bare = word.split('(').next().unwrap_or(word);
    // A symbol of the same call: open64 and __open_2 are open.
    let intercepted = HOOKS.iter().find(|(symbol, _)| *symbol == bare).map(|(_, call)| call.name());
    let is_named = |name: &str, call: &Call| call.name == name || call.also.contains(&name);
    let named = |name: &str| calls::calls().find(|call| is_named(name, call));
    if let Some(call) = named(bare).or_else(|| named(intercepted?)) {
        return Some(Topic::Call(call));
    }
    let upper = bare.to_ascii_uppercase();
    if let Some(errno) = errnos().find(|&(errno, name)| name == upper || errno.to_string() == bare) {
        return Some(Topic::Errno(errno.0));
    }
    let kind = bare.to_ascii_lowercase().replace('_', "-");
    Kind::from_name(kind.as_bytes()).map(Topic::Kind)
}

/// Every error number with a name.
fn errnos() -> impl Iterator<Item = (i32, &'static str)> {
    (1..200).filter_map(|errno| Some((errno, words::errno_name(errno)?)))
}

/// The calls that give an error, and why.
fn givers(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    calls::calls()
        .flat_map(|call| call.errnos.iter().map(|&(errno, cause)| (call.name, errno, cause)))
        .filter(move |&(_, errno, _)| errno == name)
        .map(|(call, _, cause)| (call, cause))
}

/// One line for a word that means nothing, with the nearest that do.
fn unknown(word: &str) -> String {
    let known = calls::calls().flat_map(|call| call.also.iter().copied().chain([call.name]));
    let known = known.chain(errnos().map(|(_, name)| name)).chain(KINDS.iter().map(|kind| kind.name()));
    let likeness = |name: &str| {
        let (name, word) = (name.to_ascii_lowercase(), word.to_ascii_lowercase());
        if word.len() > 2 && name.contains(&word) { 1.0 } else { strsim::jaro_winkler(&name, &word) }
    };
    let mut near: Vec<(f64, &str)> = known.map(|name| (likeness(name), name)).filter(|near| near.0 > 0.75).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names: Vec<&str> = near.iter().take(3).map(|&(_, name)| name).collect();
    let word = shmaudit_core::report::Text::from(word.as_bytes()).escaped();
    let hint = match names.as_slice() {
        [] => "`shmaudit explain` lists what there is".to_string(),
        names => format!("did you mean {}?", names.join(", ")),
    };
    format!("explain: nothing is known of \"{word}\"; {hint}")
}

/// A page being written.
struct Page<'a> {
    out: &'a mut dyn Write,
    terminal: Terminal,
}

impl Page<'_> {
    fn width(&self) -> usize {
        self.terminal.width.unwrap_or(WIDTH).clamp(40, WIDEST)
    }

    fn title(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "{}", self.terminal.paint(TITLE, title))
    }

    /// Prose, its lines as wide as the page, indented.
    fn prose(&mut self, text: &str, first: &str, rest: &str) -> io::Result<()> {
        wrapped(text, self.width(), first, rest).iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    /// A name in bold, and beside it or under it what it means.
    fn entry(&mut self, name: &str, column: usize, text: &str) -> io::Result<()> {
        let hanging = " ".repeat(column);
        let padding = " ".repeat(column.saturating_sub(name.len() + 2).max(1));
        for (number, line) in wrapped(text, self.width(), &hanging, &hanging).iter().enumerate() {
            match number {
                0 => writeln!(self.out, "  {}{padding}{}", self.terminal.paint(NAME, name), line.trim_start())?,
                _ => writeln!(self.out, "{line}")?,
            }
        }
        Ok(())
    }

    fn code(&mut self, lines: &str) -> io::Result<()> {
        lines.lines().try_for_each(|line| writeln!(self.out, "    {}", self.terminal.paint(CODE, line)))
    }

    fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    fn topics(&mut self) -> io::Result<()> {
        self.title("Calls")?;
        let names: Vec<&str> = calls::calls().map(|call| call.name).collect();
        self.prose(&names.join("  "), "  ", "  ")?;
        self.blank()?;
        self.title("Errors")?;
        let names: Vec<&str> = errnos().map(|(_, name)| name).filter(|name| givers(name).next().is_some()).collect();
        self.prose(&names.join("  "), "  ", "  ")?;
        self.blank()?;
        self.title("Findings")?;
        for kind in KINDS {
            let name = kind.name();
            let what = kind.why().split(". ").next().unwrap_or_default();
            self.entry(name, 24, &format!("{}: {}.", kind.severity().name(), what.trim_end_matches('.')))?;
        }
        self.blank()?;
        self.prose("shmaudit explain WORD tells more of each.", "", "")
    }

    fn call(&mut self, call: &Call) -> io::Result<()> {
        self.title(call.name)?;
        self.code(&call.prototype.join("\n"))?;
        self.blank()?;
        self.prose(call.what, "  ", "  ")?;
        self.blank()?;
        self.title("Its part in an object's life")?;
        for line in call.life {
            self.prose(line, "  - ", "    ")?;
        }
        self.blank()?;
        self.title(&format!("From user space into the kernel ({KERNEL})"))?;
        self.prose(&format!("C library: {}.", call.libc), "  ", "    ")?;
        self.machine("x86-64", &call.x86_64, "__x64_", X86_64_ENTRY)?;
        self.machine("arm64", &call.arm64, "__arm64_", ARM64_ENTRY)?;
        self.prose("then on both:", "  ", "    ")?;
        self.steps(call.kernel)?;
        if !call.errnos.is_empty() {
            self.blank()?;
            self.title("Errors")?;
            for (errno, cause) in call.errnos {
                self.entry(errno, 16, &format!("{cause}."))?;
            }
        }
        Ok(())
    }

    fn machine(&mut self, machine: &str, system: &System, prefix: &str, entry: &[Step]) -> io::Result<()> {
        let name = self.terminal.paint(NAME, machine);
        writeln!(self.out, "  {name}: system call {}, number {}", system.name, system.number)?;
        self.steps(entry)?;
        let function = format!("{prefix}{}", system.entry);
        self.step(&function, system.file, "the system call itself")
    }

    fn steps(&mut self, steps: &[Step]) -> io::Result<()> {
        steps.iter().try_for_each(|step| self.step(step.function, step.file, step.what))
    }

    /// `ksys_shmget  ipc/shm.c: names what it wants`
    fn step(&mut self, function: &str, file: &str, what: &str) -> io::Result<()> {
        let line = format!("{function}  {file}: {what}");
        for (number, line) in wrapped(&line, self.width(), "    ", "        ").iter().enumerate() {
            match line.strip_prefix("    ").and_then(|rest| rest.strip_prefix(function)) {
                Some(rest) if number == 0 => writeln!(self.out, "    {}{rest}", self.terminal.paint(NAME, function))?,
                _ => writeln!(self.out, "{line}")?,
            }
        }
        Ok(())
    }

    fn errno(&mut self, errno: i32) -> io::Result<()> {
        let name = words::errno_name(errno).unwrap_or_default();
        let message = words::errno_message(errno).unwrap_or_default();
        self.title(&format!("{name} ({errno}): {message}"))?;
        let mut any = false;
        for (call, cause) in givers(name) {
            any = true;
            self.entry(call, 16, &format!("{cause}."))?;
        }
        if !any {
            self.prose("No call that is told of here gives it.", "  ", "  ")?;
        }
        Ok(())
    }

    fn kind(&mut self, kind: Kind) -> io::Result<()> {
        self.title(&format!("{}: {}", kind.severity().name(), kind.name()))?;
        self.prose(kind.why(), "  ", "  ")?;
        if let Some(remedy) = remedy(kind.name()) {
            self.blank()?;
            self.title("How it comes about")?;
            self.prose(remedy.how, "  ", "  ")?;
            self.blank()?;
            self.title("Before")?;
            self.code(remedy.before)?;
            self.blank()?;
            self.title("After")?;
            self.code(remedy.after)?;
        }
        self.blank()?;
        self.title("What to do")?;
        self.prose(kind.hint(), "  ", "  ")?;
        let suppress = format!("Where it is meant to be so, a line {}:GLOB in a suppressions file.", kind.name());
        self.prose(&suppress, "  ", "  ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn told(word: Option<&str>) -> Result<String, String> {
        let mut out = Vec::new();
        explain(word, &mut out, Terminal::default()).map(|written| {
            written.expect("memory is written to");
            String::from_utf8(out).expect("text is written")
        })
    }

    #[test]
    fn everything_that_is_listed_is_told() {
        let list = told(None).unwrap();
        let words = list.split("Findings\n").next().unwrap().split_whitespace();
        for word in words.filter(|word| !["Calls", "Errors"].contains(word)) {
            assert!(told(Some(word)).unwrap().lines().count() > 1, "{word}");
        }
        for kind in KINDS {
            assert!(list.contains(kind.name()), "{}", kind.name());
            let page = told(Some(kind.name())).unwrap();
            assert!(page.contains("Before\n") && page.contains("After\n"), "{}", kind.name());
        }
    }

    #[test]
    fn every_intercepted_call_leads_somewhere() {
        // Not of an object's life: another name for it, and what is only watched, for the sake of stacks, filters or memory.
        let plain = ["link", "dlclose", "prctl", "mlockall", "fdopen"];
        for (symbol, call) in HOOKS {
            let known = topic(symbol).is_some() || plain.iter().any(|plain| call.name().starts_with(plain));
            assert!(known, "{symbol}");
        }
    }

    #[test]
    fn tables_are_sound() {
        let mut names = BTreeSet::new();
        for call in calls::calls() {
            for name in call.also.iter().chain([&call.name]) {
                assert!(names.insert(*name), "{name} twice");
            }
            let mut errors = BTreeSet::new();
            for (errno, _) in call.errnos {
                assert!(errnos().any(|(_, name)| name == *errno), "{}: {errno}", call.name);
                assert!(errors.insert(errno), "{}: {errno} twice", call.name);
            }
        }
        let kinds: BTreeSet<&str> = kinds::REMEDIES.iter().map(|remedy| remedy.kind).collect();
        assert_eq!(kinds.len(), kinds::REMEDIES.len());
        for remedy in kinds::REMEDIES {
            assert!(remedy.before.lines().chain(remedy.after.lines()).all(|line| line.len() <= 72), "{}", remedy.kind);
        }
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let words = calls::calls().map(|call| call.name).chain(errnos().map(|(_, name)| name));
        for word in words.chain(KINDS.iter().map(|kind| kind.name())) {
            for line in told(Some(word)).unwrap().lines() {
                assert!(line.len() <= 80 && line.is_ascii(), "{word}: {line}");
            }
        }
    }

    #[test]
    fn words_in_many_forms() {
        for (word, title) in [
            ("shm_open(3)", "shm_open\n"),
            ("mmap64", "mmap\n"),
            ("enospc", "ENOSPC (28): No space left on device\n"),
            ("28", "ENOSPC (28): No space left on device\n"),
            ("EDOM", "EDOM (33): Numerical argument out of domain\n  No call"),
            ("Posix_Leak", "error: posix-leak\n"),
        ] {
            let told = told(Some(word)).unwrap();
            assert!(told.starts_with(title), "{word}: {told}");
        }
        assert_eq!(
            told(Some("shmopen")).unwrap_err(),
            "explain: nothing is known of \"shmopen\"; did you mean shm_open, shmget?"
        );
        assert_eq!(
            told(Some("\x1b[31m")).unwrap_err(),
            "explain: nothing is known of \"\\33[31m\"; `shmaudit explain` lists what there is"
        );
    }
}
