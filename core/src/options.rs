//! `SHMAUDIT_OPTIONS`: one table of keys, from which parsing, help and documentation come.

mod letters;
mod values;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::calls::Trace;
use crate::record::MAX_FRAMES;

pub use letters::{Letters, expand};
use values::*;

/// Where text goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Descriptor 2.
    Stderr,
    /// Nowhere.
    Off,
    /// A file; see [`expand`] for what a path may hold.
    Path(String),
}

/// How lines or reports are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// All options, at their defaults or as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where each call is logged.
    pub log: Target,
    /// How.
    pub log_format: Format,
    /// Families that are logged: bits of [`Trace`].
    pub trace: u8,
    /// Log the system call under each call.
    pub syscalls: bool,
    /// Where the report at exit goes.
    pub report: Target,
    /// How it is written.
    pub report_format: Format,
    /// Directory of journal files.
    pub journal: Option<String>,
    /// Recorder of the session to join.
    pub session: Option<String>,
    /// Frames kept per call.
    pub stacks: usize,
    /// Status of an otherwise successful exit when there are findings of severity error; 0 changes nothing.
    pub error_exitcode: u8,
    /// File of suppressions.
    pub suppressions: Option<String>,
    /// Audit what the program starts.
    pub follow: bool,
    /// Print the table.
    pub help: bool,
}

const ALL_TRACES: &[(&str, Trace)] = &[
    ("posix", Trace::Posix),
    ("sysv", Trace::Sysv),
    ("map", Trace::Map),
    ("fd", Trace::Fd),
    ("process", Trace::Process),
];

impl Default for Options {
    fn default() -> Self {
        Options {
            log: Target::Stderr,
            log_format: Format::Text,
            trace: ALL_TRACES.iter().fold(0, |bits, (_, trace)| bits | *trace as u8),
            syscalls: false,
            report: Target::Stderr,
            report_format: Format::Text,
            journal: None,
            session: None,
            stacks: 16,
            error_exitcode: 0,
            suppressions: None,
            follow: true,
            help: false,
        }
    }
}

/// One option.
pub struct Row {
    /// Its key.
    pub key: &'static str,
    /// What it takes, the default first.
    pub values: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Whether it names a file, and so is ignored in a set-user-ID program.
    pub names_file: bool,
    set: fn(&mut Options, &str) -> bool,
    show: fn(&Options) -> String,
}

/// The table.
pub const TABLE: &[Row] = &[
    Row {
        key: "log",
        values: "stderr, off, PATH",
        meaning: "one line per call; those that a file did not take are counted, and told at the end; PATH takes %p pid, %e program, %t unix time, %h host, %n counter, %%",
        names_file: true,
        set: |options, value| target(&mut options.log, value),
        show: |options| show_target(&options.log),
    },
    Row {
        key: "log_format",
        values: "text, json",
        meaning: "how the log is written; json is one object a line",
        names_file: false,
        set: |options, value| format_of(&mut options.log_format, value),
        show: |options| show_format(options.log_format),
    },
    Row {
        key: "trace",
        values: "all, or of posix,sysv,map,fd,process",
        meaning: "which calls are logged; what is recorded for the verdict does not change",
        names_file: false,
        set: |options, value| traces(&mut options.trace, value),
        show: |options| show_traces(options.trace),
    },
    Row {
        key: "syscalls",
        values: "0, 1",
        meaning: "under each logged call, the system call it becomes, in strace's words",
        names_file: false,
        set: |options, value| flag(&mut options.syscalls, value),
        show: |options| show_flag(options.syscalls),
    },
    Row {
        key: "report",
        values: "stderr, off, PATH",
        meaning: "the report at exit",
        names_file: true,
        set: |options, value| target(&mut options.report, value),
        show: |options| show_target(&options.report),
    },
    Row {
        key: "report_format",
        values: "text, json",
        meaning: "how the report is written",
        names_file: false,
        set: |options, value| format_of(&mut options.report_format, value),
        show: |options| show_format(options.report_format),
    },
    Row {
        key: "journal",
        values: "off, DIRECTORY",
        meaning: "keep the flight recorder in a file there, readable after any death",
        names_file: true,
        set: |options, value| path(&mut options.journal, value, "off"),
        show: |options| options.journal.clone().unwrap_or_else(|| "off".to_string()),
    },
    Row {
        key: "session",
        values: "none, FILE",
        meaning: "record into the recorder of a session: set by `shmaudit run`",
        names_file: true,
        set: |options, value| path(&mut options.session, value, "none"),
        show: |options| options.session.clone().unwrap_or_else(|| "none".to_string()),
    },
    Row {
        key: "stacks",
        values: "16, 0 to 64",
        meaning: "call-stack frames kept per call",
        names_file: false,
        set: |options, value| number(&mut options.stacks, value, MAX_FRAMES),
        show: |options| options.stacks.to_string(),
    },
    Row {
        key: "error_exitcode",
        values: "0, 1 to 255",
        meaning: "status of an otherwise successful exit when there are findings of severity error",
        names_file: false,
        set: |options, value| {
            let mut status = 0;
            let known = number(&mut status, value, 255);
            if known {
                options.error_exitcode = status as u8;
            }
            known
        },
        show: |options| options.error_exitcode.to_string(),
    },
    Row {
        key: "suppressions",
        values: "none, FILE",
        meaning: "findings not to report: lines of leak:GLOB or KIND:GLOB",
        names_file: true,
        set: |options, value| path(&mut options.suppressions, value, "none"),
        show: |options| options.suppressions.clone().unwrap_or_else(|| "none".to_string()),
    },
    Row {
        key: "follow",
        values: "1, 0",
        meaning: "audit child processes too",
        names_file: false,
        set: |options, value| flag(&mut options.follow, value),
        show: |options| show_flag(options.follow),
    },
    Row {
        key: "help",
        values: "0, 1",
        meaning: "print this table with the values in force, then run on",
        names_file: false,
        set: |options, value| flag(&mut options.help, value),
        show: |options| show_flag(options.help),
    },
];

/// Splits at colons that are not inside `'…'` or `"…"`.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, ':') => {
                parts.push(text.get(start..at).unwrap_or(""));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or(""));
    parts
}

fn unquoted(value: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// Text from outside as one line that no terminal minds, cut to a bearable length.
fn tame(text: &str) -> String {
    let mut tame: String = text.chars().take(60).flat_map(char::escape_default).collect();
    if text.chars().nth(60).is_some() {
        tame.push('…');
    }
    tame
}

impl Options {
    /// Reads `key=value:key=value`. What is not understood gives a warning and leaves the default; `secure` (a set-user-ID
    /// program) ignores options that name files.
    pub fn parse(text: &[u8], secure: bool) -> (Options, Vec<String>) {
        let mut options = Options::default();
        let mut warnings = Vec::new();
        let Ok(text) = core::str::from_utf8(text) else {
            warnings.push("SHMAUDIT_OPTIONS is not UTF-8: ignored".to_string());
            return (options, warnings);
        };
        for part in split(text) {
            if part.trim().is_empty() {
                continue;
            }
            let Some((key, value)) = part.split_once('=') else {
                warnings.push(format!(
                    "SHMAUDIT_OPTIONS: '{}' has no value: write key=value (help=1 lists the keys)",
                    tame(part)
                ));
                continue;
            };
            let (key, value) = (key.trim(), unquoted(value.trim()));
            let Some(row) = TABLE.iter().find(|row| row.key == key) else {
                warnings.push(format!("SHMAUDIT_OPTIONS: unknown key '{}' (help=1 lists the keys)", tame(key)));
                continue;
            };
            if secure && row.names_file && !matches!(value, "off" | "stderr" | "none") {
                warnings.push(format!("SHMAUDIT_OPTIONS: {key} names a file: ignored in a set-user-ID program"));
                continue;
            }
            if !(row.set)(&mut options, value) {
                let default = (row.show)(&Options::default());
                warnings.push(format!(
                    "SHMAUDIT_OPTIONS: bad value '{}' for {key} (takes {}): {default} stays",
                    tame(value),
                    row.values
                ));
            }
        }
        (options, warnings)
    }

    /// Whether there are paths for [`count_from`](Options::count_from).
    pub fn has_relative(&self) -> bool {
        let targets = [&self.log, &self.report].into_iter().filter_map(|target| match target {
            Target::Path(path) => Some(path),
            _ => None,
        });
        targets.chain(&self.suppressions).any(|path| !path.starts_with('/'))
    }

    /// Paths that are relative are of `directory` from now on, wherever the program goes. The journal's and the session's are
    /// opened at the start.
    pub fn count_from(&mut self, directory: &str) {
        let directory = directory.trim_end_matches('/');
        let place = |path: &mut String, directory: &str| {
            if !path.starts_with('/') {
                *path = format!("{directory}/{path}");
            }
        };
        // A directory's own percent signs are no letters.
        let literal = directory.replace('%', "%%");
        for target in [&mut self.log, &mut self.report] {
            if let Target::Path(path) = target {
                place(path, &literal);
            }
        }
        if let Some(path) = &mut self.suppressions {
            place(path, directory);
        }
    }

    /// Whether calls of this family are logged.
    pub fn traces(&self, trace: Trace) -> bool {
        self.trace & trace as u8 != 0
    }

    /// The table with the values in force, for `help=1`.
    pub fn help(&self) -> String {
        let mut text = "shmaudit: SHMAUDIT_OPTIONS=key=value:key=value\n".to_string();
        for row in TABLE {
            text += &format!("  {}={}\n      {} ({})\n", row.key, tame(&(row.show)(self)), row.meaning, row.values);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_key_takes_what_its_help_says() {
        let text = b"log=/tmp/x.%p:log_format=json:trace=posix,sysv:syscalls=1:report=off:report_format=json:\
                     journal='/tmp/a:b':session=/s:stacks=64:error_exitcode=9:suppressions=s.txt:follow=0:help=1";
        let (options, warnings) = Options::parse(text, false);
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(options.log, Target::Path("/tmp/x.%p".into()));
        assert_eq!(options.journal.as_deref(), Some("/tmp/a:b"));
        assert_eq!(options.session.as_deref(), Some("/s"));
        assert_eq!((options.stacks, options.error_exitcode, options.trace), (64, 9, 3));
        assert!(options.syscalls && options.help && !options.follow);
        assert_eq!(TABLE.len(), 13);
    }

    #[test]
    fn what_is_not_understood_is_named_and_changes_nothing() {
        let (options, warnings) =
            Options::parse(b"nope=1:stacks=65:log_format=xml:trace=all,x:verbose:stacks=+3:log=", false);
        assert_eq!(options, Options::default());
        assert_eq!(warnings.len(), 7);
        assert!(warnings[0].contains("unknown key 'nope'"));
        assert!(warnings[1].contains("bad value '65' for stacks"));
    }

    #[test]
    fn relative_paths_stay_where_they_were_given() {
        let (mut options, _) = Options::parse(b"log=a.%p:report=/b:suppressions=./c", false);
        assert!(options.has_relative());
        options.count_from("/x %p/");
        assert!(!options.has_relative());
        assert_eq!(options.log, Target::Path("/x %%p/a.%p".into()));
        assert_eq!(options.report, Target::Path("/b".into()));
        assert_eq!(options.suppressions.as_deref(), Some("/x %p/./c"));
        let mut none = Options::default();
        none.count_from("/");
        assert_eq!(none, Options::default());
    }

    #[test]
    fn a_set_user_id_program_writes_no_file_for_us() {
        let (options, warnings) =
            Options::parse(b"log=/etc/x:report=/etc/y:journal=/etc:suppressions=/etc/z:stacks=3", true);
        assert_eq!(options, Options { stacks: 3, ..Options::default() });
        assert_eq!(warnings.len(), 4);
        assert!(Options::parse(b"log=off:report=stderr", true).1.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_no_control_byte_comes_back(bytes: Vec<u8>) {
            let (options, warnings) = Options::parse(&bytes, false);
            for warning in &warnings {
                prop_assert!(!warning.chars().any(char::is_control));
            }
            prop_assert!(options.help().lines().count() > 12);
        }
    }
}
