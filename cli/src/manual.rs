//! The manual, written from the tables that the code itself uses: the command's own description of its arguments, the
//! library's options, kinds of findings and suppressions, and the header.

use std::fs;
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use shmaudit_core::calls::{HOOKS, INTERFACE};
use shmaudit_core::findings::KINDS;
use shmaudit_core::options::TABLE;
use shmaudit_core::suppress::BUILT_IN;

const HEADER: &str = include_str!("../../include/shmaudit.h");
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");
const VERSION: &str = concat!("shmaudit ", env!("CARGO_PKG_VERSION"));
/// The page that all calls of the C interface are on; the others' names lead to it.
const CALLS_PAGE: &str = "shmaudit_leak_check";

/// Writes every page into `directory`, which is made where it is missing: `shmaudit.1` and one for each subcommand,
/// `libshmaudit.7`, and those of section 3.
pub fn write(mut command: clap::Command, directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let put = |name: String, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    command = command.disable_help_subcommand(true);
    command.build();
    put("shmaudit.1".into(), of_command(&command))?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        put(format!("shmaudit-{}.1", subcommand.get_name()), of_command(subcommand))?;
    }
    put("libshmaudit.7".into(), of_library())?;
    put(format!("{CALLS_PAGE}.3"), of_calls())?;
    for name in INTERFACE.iter().filter(|&&name| name != CALLS_PAGE) {
        put(format!("{name}.3"), format!(".so man3/{CALLS_PAGE}.3\n"))?;
    }
    Ok(())
}

/// The day of the last release.
fn released() -> &'static str {
    let heading = CHANGELOG.lines().find_map(|line| line.strip_prefix("## ")).unwrap_or("");
    heading.split_once(" of ").map_or("", |(_, day)| day)
}

fn of_command(command: &clap::Command) -> String {
    let man = Man::new(command.clone()).date(released()).source(VERSION).manual("shmaudit");
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = man.render_title(&mut bytes);
    let _ = man.render_name_section(&mut bytes);
    bytes.extend(synopsis(command).bytes());
    let _ = man.render_description_section(&mut bytes);
    let _ = man.render_options_section(&mut bytes);
    if command.has_subcommands() {
        let _ = man.render_subcommands_section(&mut bytes);
    }
    // An empty line between the paragraphs of one option: what the crate writes for it, formatters warn of.
    let written = String::from_utf8_lossy(&bytes).replace(".br\n\n.br\n", ".sp\n");
    let mut page = Roff::new();
    let more = command.get_after_long_help().or(command.get_after_help());
    if let Some(more) = more {
        page.control("SH", ["NOTES"]);
        prose(&mut page, &more.to_string());
    }
    if !command.has_subcommands() {
        see_also(&mut page, &[("shmaudit", "1"), ("libshmaudit", "7")]);
    } else {
        page.control("SH", ["ENVIRONMENT"]);
        tagged(&mut page, [bold("SHMAUDIT_OPTIONS")], "The library's options: see libshmaudit(7).");
        see_also(&mut page, &[("libshmaudit", "7"), (CALLS_PAGE, "3"), ("shm_overview", "7"), ("sysvipc", "7")]);
    }
    written + &page.to_roff()
}

/// What may stand on the command line, values by their names.
fn synopsis(command: &clap::Command) -> String {
    let mut page = Roff::new();
    page.control("SH", ["SYNOPSIS"]);
    let mut line = vec![bold(command.get_display_name().unwrap_or(command.get_name()).replacen('-', " ", 1))];
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set() && !argument.is_positional()) {
        let short = argument.get_short().map(|short| format!("-{short}"));
        let long = argument.get_long().map(|long| format!("--{long}"));
        line.push(roman(" ["));
        line.push(bold(short.into_iter().chain(long).collect::<Vec<_>>().join("|")));
        for value in argument.get_value_names().filter(|_| argument.get_action().takes_values()).into_iter().flatten() {
            line.extend([roman(" "), italic(value.as_str())]);
        }
        line.push(roman("]"));
    }
    for argument in command.get_positionals().filter(|argument| !argument.is_hide_set()) {
        line.extend([roman(" "), italic(argument.to_string())]);
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("COMMAND")]);
    }
    page.text(line);
    page.to_roff()
}

fn of_library() -> String {
    let mut page = begun("libshmaudit", "7", "libshmaudit \\- a flight recorder for shared memory");
    page.control("SH", ["SYNOPSIS"]);
    let options = [roman("[SHMAUDIT_OPTIONS="), italic("KEY"), roman("="), italic("VALUE"), roman(":…] ")];
    page.text([&options[..], &[bold("LD_PRELOAD=libshmaudit.so"), roman(" "), italic("PROGRAM")]].concat());
    page.control("PP", []);
    page.text([bold("cc"), roman(" "), italic("PROGRAM.c"), roman(" "), bold("-lshmaudit")]);
    page.control("SH", ["DESCRIPTION"]);
    prose(&mut page, DESCRIPTION);
    page.control("SH", ["OPTIONS"]);
    prose(&mut page, OPTIONS);
    for row in TABLE {
        let values = row.values.replace(", ", " | ");
        tagged(&mut page, [bold(row.key), roman("="), roman(values)], &format!("{}.", capital(row.meaning)));
    }
    page.control("SH", ["FINDINGS"]);
    prose(
        &mut page,
        "The report at exit, and those of shmaudit(1), tell of these kinds. They are errors, warnings or notes.",
    );
    for kind in KINDS {
        let tag = [bold(kind.name()), roman(format!(" ({})", kind.severity().name()))];
        tagged(&mut page, tag, &format!("{} {}", kind.why(), kind.hint()));
    }
    page.control("SH", ["SUPPRESSIONS"]);
    prose(&mut page, SUPPRESSIONS);
    for (rule, why) in BUILT_IN {
        tagged(&mut page, [bold(*rule)], why);
    }
    page.control("SH", ["INTERCEPTED FUNCTIONS"]);
    let names: Vec<&str> = HOOKS.iter().map(|(name, _)| *name).collect();
    prose(&mut page, &format!("{}. {INTERCEPTED}", names.join(", ")));
    page.control("SH", ["NOTES"]);
    prose(&mut page, NOTES);
    see_also(
        &mut page,
        &[("shmaudit", "1"), (CALLS_PAGE, "3"), ("ld.so", "8"), ("shm_overview", "7"), ("sysvipc", "7")],
    );
    page.to_roff()
}

const DESCRIPTION: &str = "\
The library stands in for shm_open, shm_unlink, shmget, shmat, shmdt and shmctl exactly as the C library has them, and
follows what happens to the objects: sizes, mappings, descriptors, forks, exits. It records each call with its stack, logs
it where it is asked to, and reports at the program's end who made each object that stays, and where. The program's
results, errno, signals, output and exit status stay its own.

One file serves every C library. It is preloaded, or linked: the same, without the variable.";

const OPTIONS: &str = "\
SHMAUDIT_OPTIONS holds KEY=VALUE, more of them after a colon. A value with a colon stands in quotes: journal='/a:b'. What is
not understood gets one line on standard error, the default stays, and the program runs on. In a set-user-ID program,
options that name files are ignored. Of the values, the default is the first.";

const SUPPRESSIONS: &str = "\
A file of suppressions has one rule a line: leak:GLOB for leaks, or KIND:GLOB for any kind of finding; # begins a comment.
GLOB is looked for in the object's name or key, and in the functions, source files and modules of the call's stack; * stands
for anything, ^ and $ tie it to the ends. The report counts what each rule took away.

Objects that stay by design are suppressed without being told:";

const INTERCEPTED: &str = "Of those that are not about shared memory by their name, only calls about an object of shared memory \
are recorded.";

const NOTES: &str = "\
Not audited are static programs, set-user-ID programs, programs of another ELF class, and those whose parent cleared the
environment. System calls that are made without the C library leave no record; what they leave behind is in the kernel's
tables, and is found there.

A process that is killed writes no report. Its relatives' report covers what it made; where all are killed, a journal does:
option journal, then shmaudit-report(1).";

fn of_calls() -> String {
    let name = format!("{} \\- what a program asks of its own audit", INTERFACE.join(", "));
    let mut page = begun(CALLS_PAGE, "3", &name);
    page.control("SH", ["SYNOPSIS"]);
    page.control("nf", []);
    page.text([bold("#include <shmaudit.h>")]);
    page.text([roman("")]);
    let calls: Vec<Declared> = declared().collect();
    for call in calls.iter().filter(|call| call.name().is_some()) {
        page.text([bold(call.one_line())]);
    }
    page.control("fi", []);
    page.control("PP", []);
    page.text([roman("Link with "), italic("-lshmaudit"), roman(", or preload the library.")]);
    page.control("SH", ["DESCRIPTION"]);
    prose(&mut page, WEAK);
    for call in &calls {
        match call.name() {
            Some(name) => {
                page.control("SS", [name]);
                prose(&mut page, &call.comment);
            }
            None if call.code.starts_with("#define") => {}
            None => {
                // A type: its name is the last word of a struct, and the first in parentheses of a function's.
                let name = call.code.rsplit("} ").next().unwrap_or(&call.code).trim_end_matches(';');
                page.control("SS", [name.split_whitespace().collect::<Vec<_>>().join(" ")].iter().map(String::as_str));
                prose(&mut page, &call.comment);
                for (field, meaning) in fields(&call.code) {
                    tagged(&mut page, [bold(field)], &meaning);
                }
            }
        }
    }
    page.control("SH", ["ERRORS"]);
    prose(&mut page, "Calls that return int return -1 where they fail and set errno; all others leave errno alone.");
    see_also(&mut page, &[("libshmaudit", "7"), ("shmaudit", "1"), ("signal-safety", "7")]);
    page.to_roff()
}

const WEAK: &str = "\
The functions are declared weak: in a program that runs without the library their addresses are null, and the program runs
as ever. Test an address before the call:

  if (shmaudit_checkpoint)
      before = shmaudit_checkpoint();";

/// A declaration of the header and what stands before it.
struct Declared {
    comment: String,
    code: String,
}

impl Declared {
    /// A function's name.
    fn name(&self) -> Option<&'static str> {
        INTERFACE.iter().copied().find(|name| self.code.contains(&format!("{name}(")))
    }

    fn one_line(&self) -> String {
        let words: Vec<&str> = self.code.split_whitespace().filter(|&word| word != "SHMAUDIT_WEAK").collect();
        words.join(" ")
    }
}

/// The declarations of the C interface, in the header's order. A comment of theirs begins and ends at a line's beginning;
/// a declaration ends at an empty line.
fn declared() -> impl Iterator<Item = Declared> {
    let from = HEADER.split("extern \"C\" {\n#endif\n").nth(1).unwrap_or("");
    let own = from.split("\n#ifdef __cplusplus").next().unwrap_or("");
    own.split("\n/*\n").filter_map(|item| {
        let (comment, code) = item.split_once("\n */\n")?;
        let comment: Vec<&str> = comment.lines().map(str::trim).collect();
        Some(Declared { comment: comment.join("\n"), code: code.trim_end().to_string() })
    })
}

/// The fields of a struct: what is declared and what is said of it.
fn fields(code: &str) -> Vec<(String, String)> {
    let inside = code.split_once("{\n").and_then(|(_, rest)| rest.split_once("\n}")).map_or("", |(inside, _)| inside);
    let field = |item: &str| {
        let (comment, code) = item.split_once("*/")?;
        let words: Vec<&str> = comment.split_whitespace().collect();
        Some((code.trim().trim_end_matches(';').to_string(), words.join(" ")))
    };
    inside.split("/*").filter_map(field).collect()
}

fn begun(name: &str, section: &str, line: &str) -> Roff {
    let mut page = Roff::new();
    page.control("TH", [name, section, released(), VERSION, "shmaudit"]);
    page.control("SH", ["NAME"]);
    // The dash is roff's own.
    let (names, what) = line.split_once(" \\- ").unwrap_or((line, ""));
    page.text([roman(format!("{names} - {what}"))]);
    page
}

fn tagged(page: &mut Roff, tag: impl Into<Vec<Inline>>, text: &str) {
    page.control("TP", []);
    page.text(tag.into());
    page.text(words(text));
}

fn see_also(page: &mut Roff, pages: &[(&str, &str)]) {
    page.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (index, (name, section)) in pages.iter().enumerate() {
        if index > 0 {
            line.push(roman(", "));
        }
        line.extend([bold(*name), roman(format!("({section})"))]);
    }
    page.text(line);
}

/// Paragraphs, with `code` in bold; lines that begin with a space stay as they are.
fn prose(page: &mut Roff, text: &str) {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with(' ') {
            let mut kept = vec![line];
            while let Some(next) = lines.next_if(|next| next.starts_with(' ')) {
                kept.push(next);
            }
            code(page, &kept.join("\n"));
        } else if line.trim().is_empty() {
            page.control("PP", []);
        } else {
            page.text(words(line));
        }
    }
}

/// A line with `code` in bold.
fn words(line: &str) -> Vec<Inline> {
    let pieces = line.split('`').enumerate();
    pieces.map(|(index, piece)| if index % 2 == 1 { bold(piece) } else { roman(piece) }).collect()
}

fn code(page: &mut Roff, text: &str) {
    page.control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
