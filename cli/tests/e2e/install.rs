//! What `make install` puts where, that it works from there, and that the manual and completions are whole.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shmaudit_core::calls::INTERFACE;
use shmaudit_core::options::TABLE;

use crate::build;
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("install::layout", layout);
    trials.add("install::works_by_pkg_config", by_pkg_config);
    trials.add("install::directories_by_their_standard_names", standard_names);
    trials.add("install::manual_is_well_formed", manual);
    trials.add("install::manual_tells_all", manual_tells_all);
    for (shell, file) in [
        ("bash", "share/bash-completion/completions/shmaudit"),
        ("zsh", "share/zsh/vendor-completions/_shmaudit"),
        ("fish", "share/fish/vendor_completions.d/shmaudit.fish"),
    ] {
        trials.add(format!("install::completions::{shell}"), move || completions(shell, file));
    }
    trials.add("install::changelog_has_the_version", changelog);
}

const COMMAND: &str = env!("CARGO_BIN_EXE_shmaudit");

fn make(arguments: &[String]) -> Result<Ended, Stop> {
    Run::new(need("make")?)
        .arg("-s")
        .arg("-C")
        .arg(place::workspace())
        .arg(format!("LIBRARY={}", place::library().display()))
        .arg(format!("COMMAND={COMMAND}"))
        .args(arguments)
        .end()?
        .well()
}

fn installed(trial: &str, options: &[&str]) -> Result<PathBuf, Stop> {
    let directory = place::directory(trial)?.join("a place");
    let mut arguments = vec!["install".to_string(), format!("DESTDIR={}", directory.display())];
    arguments.extend(options.iter().map(ToString::to_string));
    make(&arguments)?;
    Ok(directory)
}

/// Every file and link below, with its mode or where it leads.
fn files(directory: &Path, below: &Path, found: &mut Vec<String>) -> Result<(), Stop> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let facts = fs::symlink_metadata(&path)?;
        let name = path.strip_prefix(below).unwrap_or(&path).display().to_string();
        if facts.is_dir() {
            files(&path, below, found)?;
        } else if facts.is_symlink() {
            found.push(format!("{name} -> {}", fs::read_link(&path)?.display()));
        } else {
            found.push(format!("{name} {:o}", facts.permissions().mode() & 0o7777));
        }
    }
    found.sort();
    Ok(())
}

fn layout() -> Verdict {
    let version = env!("CARGO_PKG_VERSION");
    let options = ["PREFIX=/usr", "MULTIARCH=some-linux-gnu"];
    let directory = installed("install::layout", &options)?;
    let mut found = Vec::new();
    files(&directory, &directory, &mut found)?;
    let library = "usr/lib/some-linux-gnu/libshmaudit.so";
    let wanted = [
        "usr/bin/shmaudit 755".to_string(),
        "usr/include/shmaudit.h 644".to_string(),
        format!("{library} -> libshmaudit.so.0"),
        format!("{library}.0 -> libshmaudit.so.{version}"),
        format!("{library}.{version} 644"),
        "usr/lib/some-linux-gnu/pkgconfig/shmaudit.pc 644".to_string(),
        "usr/share/bash-completion/completions/shmaudit 644".to_string(),
        "usr/share/fish/vendor_completions.d/shmaudit.fish 644".to_string(),
        "usr/share/zsh/vendor-completions/_shmaudit 644".to_string(),
        "usr/share/man/man1/shmaudit.1 644".to_string(),
        "usr/share/man/man1/shmaudit-ls.1 644".to_string(),
        "usr/share/man/man3/shmaudit_pause.3 644".to_string(),
        "usr/share/man/man7/libshmaudit.7 644".to_string(),
    ];
    for file in &wanted {
        check!(found.contains(file), "{file} is not among\n{}", found.join("\n"));
    }
    let manual = found.iter().filter(|file| file.starts_with("usr/share/man/")).count();
    check!(found.len() == wanted.len() - 4 + manual, "more than there should be:\n{}", found.join("\n"));
    let mut arguments = vec!["uninstall".to_string(), format!("DESTDIR={}", directory.display())];
    arguments.extend(options.iter().map(ToString::to_string));
    make(&arguments)?;
    let mut left = Vec::new();
    files(&directory, &directory, &mut left)?;
    check!(left.is_empty(), "uninstall leaves\n{}", left.join("\n"));
    Ok(())
}

/// As packagers pass them, who know the GNU standards' names.
fn standard_names() -> Verdict {
    let options = ["prefix=/opt/x", "libdir=/opt/x/lib64", "mandir=/opt/x/man"];
    let directory = installed("install::directories_by_their_standard_names", &options)?;
    let mut found = Vec::new();
    files(&directory, &directory, &mut found)?;
    for file in
        ["opt/x/lib64/libshmaudit.so -> libshmaudit.so.0", "opt/x/bin/shmaudit 755", "opt/x/man/man1/shmaudit.1 644"]
    {
        check!(found.iter().any(|found| found == file), "{file} is not among\n{}", found.join("\n"));
    }
    check!(found.iter().all(|file| file.starts_with("opt/x/")), "elsewhere:\n{}", found.join("\n"));
    let mut arguments = vec!["uninstall".to_string(), format!("DESTDIR={}", directory.display())];
    arguments.extend(options.iter().map(ToString::to_string));
    make(&arguments)?;
    let mut left = Vec::new();
    files(&directory, &directory, &mut left)?;
    check!(left.is_empty(), "uninstall leaves\n{}", left.join("\n"));
    Ok(())
}

fn by_pkg_config() -> Verdict {
    let pkg_config = need("pkg-config")?;
    let prefix = place::directory("install::works_by_pkg_config")?.join("usr");
    make(&["install".to_string(), format!("PREFIX={}", prefix.display())])?;
    let ask = |what: &[&str]| -> Result<String, Stop> {
        let run = Run::new(&pkg_config).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        Ok(run.args(what).arg("shmaudit").end()?.well()?.output().trim().to_string())
    };
    check!(ask(&["--modversion"])? == env!("CARGO_PKG_VERSION"), "pkg-config knows another version");
    let flags = ask(&["--cflags", "--libs"])?;
    let program = prefix.join("asks");
    let source = build::own_source("asks");
    let script =
        format!("{} -pthread -o '{}' '{}' {flags}", need("gcc")?.display(), program.display(), source.display());
    Run::new("sh").args(["-c", &script]).end()?.well()?;
    let run = Run::new(&program).arg("stats").options("log=off:report=off").env("LD_LIBRARY_PATH", prefix.join("lib"));
    let (ended, _) = Turn::take(&source)?.run(run)?;
    check!(ended.output().contains("live 2 bytes 8403"), "it says:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    Ok(())
}

fn pages(trial: &str) -> Result<Vec<PathBuf>, Stop> {
    let directory = place::directory(trial)?;
    Run::new(COMMAND).arg("man").arg(&directory).end()?.well()?;
    let mut pages: Vec<PathBuf> = fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    pages.sort();
    check!(pages.len() > 10, "pages: {pages:?}");
    Ok(pages)
}

fn manual() -> Verdict {
    let mandoc = need("mandoc")?;
    for page in pages("install::manual_is_well_formed")? {
        let text = fs::read_to_string(&page)?;
        if text.starts_with(".so ") {
            continue;
        }
        let ended = Run::new(&mandoc).args(["-T", "lint", "-W", "warning"]).arg(&page).end()?;
        check!(ended.how() == "0", "{}:{}", page.display(), Shown(&ended.stdout));
        // What `apropos` looks for: one line, names and what they are.
        let name = text.split(".SH NAME\n").nth(1).and_then(|text| text.lines().next()).unwrap_or("");
        check!(name.contains(" \\- ") || name.contains(" - "), "{}: NAME is {name}", page.display());
    }
    Ok(())
}

/// Each subcommand, each option of the library, each call of the C interface.
fn manual_tells_all() -> Verdict {
    let pages = pages("install::manual_tells_all")?;
    let all: String = pages.iter().filter_map(|page| fs::read_to_string(page).ok()).collect();
    let help = Run::new(COMMAND).arg("--help").end()?.well()?.output();
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|&name| name != "help")
        .collect();
    check!(commands.len() >= 6, "commands: {commands:?}");
    let has = |name: &str| pages.iter().any(|page| page.ends_with(name));
    for command in commands {
        check!(has(&format!("shmaudit-{command}.1")), "no page of shmaudit {command}");
    }
    for call in INTERFACE {
        check!(has(&format!("{call}.3")), "no page of {call}");
        check!(all.contains(&format!(".SS {call}\n")), "nothing is said of {call}");
        check!(all.contains(&format!("{call}(")), "{call} is not in the synopsis");
    }
    // Every option with its value, whatever they are.
    let page = pages.iter().find(|page| page.ends_with("shmaudit-report.1"));
    let page = fs::read_to_string(page.ok_or("no page of shmaudit report")?)?.replace("\\-", "-").replace("\\fR", "");
    for words in ["[\\fB--format \\fIFORMAT]", "[\\fB-O \\fIFILE]", "[\\fB--growth]", "\\fI[SESSION|JOURNAL]..."] {
        check!(page.contains(words), "shmaudit-report(1) does not say {words}:\n{page}");
    }
    for row in TABLE {
        check!(all.contains(&format!("\\fB{}\\fR=", row.key.replace('-', "\\-"))), "nothing is said of {}", row.key);
    }
    Ok(())
}

fn completions(shell: &str, file: &str) -> Verdict {
    let path = need(shell)?;
    let directory = installed(&format!("install::completions::{shell}"), &["PREFIX=/"])?;
    let ended = Run::new(path).arg("-n").arg(directory.join(file)).end()?;
    check!(ended.how() == "0" && ended.stderr.is_empty(), "{shell} -n:{}", Shown(&ended.stderr));
    let text = fs::read_to_string(directory.join(file))?;
    for word in ["clean", "openmetrics", "completions"] {
        check!(text.contains(word), "{word} is not completed");
    }
    Ok(())
}

/// The manual and the package have their date and changes from it.
fn changelog() -> Verdict {
    let text = fs::read_to_string(place::workspace().join("CHANGELOG.md"))?;
    let heading = text.lines().find_map(|line| line.strip_prefix("## ")).unwrap_or("");
    let (version, day) = heading.split_once(" of ").unwrap_or((heading, ""));
    check!(version == env!("CARGO_PKG_VERSION"), "CHANGELOG.md begins with {heading}");
    let digits = day
        .bytes()
        .enumerate()
        .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    check!(day.len() == 10 && digits, "CHANGELOG.md gives {day:?} as the day");
    Ok(())
}
