//! `shmaudit.h`: compiles everywhere, declares what libc declares, and is the one that the source makes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{self, Variant};
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, fail, place};

/// Standards, each by its name and by the one it had before it was out, which older compilers know it by.
type Standards = &'static [[&'static str; 2]];
const C: Standards = &[
    ["c89", "c90"],
    ["gnu89", "gnu90"],
    ["iso9899:199409", "iso9899:199409"],
    ["c99", "c9x"],
    ["gnu99", "gnu9x"],
    ["c11", "c1x"],
    ["c17", "c18"],
    ["gnu17", "gnu18"],
    ["c23", "c2x"],
];
const CXX: Standards = &[
    ["c++98", "c++03"],
    ["gnu++98", "gnu++03"],
    ["c++11", "c++0x"],
    ["c++14", "c++1y"],
    ["c++17", "c++1z"],
    ["gnu++17", "gnu++1z"],
    ["c++20", "c++2a"],
    ["c++23", "c++2b"],
];
const SYSTEM: &str = "#include <sys/mman.h>\n#include <sys/shm.h>\n";
const OURS: &str = "#include <shmaudit.h>\n";

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for (compilers, standards, extension) in [(["gcc", "clang"], C, "c"), (["g++", "clang++"], CXX, "cc")] {
        for compiler in compilers {
            for standard in standards {
                trials.add(format!("header::compiles::{compiler}::{}", standard[0]), move || {
                    compiles(compiler, standard, extension)
                });
            }
        }
    }
    trials.add("header::compiles::musl-gcc::gnu11", || compiles("musl-gcc", &["gnu11", "gnu11"], "c"));
    trials.add("header::has_the_prototypes_of_libc", || prototypes("gcc"));
    trials.add("header::declares_the_six_itself", declares);
    trials.add("header::weak_without_the_library", weak);
    trials.add("header::works_with_the_library", works);
    trials.add("header::works_from_cxx", works_from_cxx);
    trials.add("header::is_current", is_current);
}

fn include() -> PathBuf {
    place::workspace().join("include")
}

/// Compiles text with all warnings as errors.
fn compile(
    compiler: &str,
    standard: &str,
    directory: &Path,
    file: &str,
    text: &str,
    more: &[&str],
) -> Result<Ended, Stop> {
    let path = directory.join(file);
    fs::write(&path, text)?;
    Run::new(need(compiler)?)
        .arg(format!("-std={standard}"))
        .args(
            ["-pedantic", "-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes", "-fsyntax-only"]
                .iter()
                .filter(|option| !compiler.ends_with("++") || **option != "-Wstrict-prototypes"),
        )
        .args(more)
        .arg("-I")
        .arg(include())
        .arg(path)
        .end()
}

fn compiles(compiler: &str, standards: &[&str; 2], extension: &str) -> Verdict {
    let directory = place::directory(&format!("header-{compiler}-{}", standards[0]))?;
    let mut known = None;
    for standard in standards {
        let empty = compile(compiler, standard, &directory, &format!("empty.{extension}"), "int empty;\n", &[])?;
        if empty.how() == "0" {
            known = Some(standard);
            break;
        }
    }
    let Some(standard) = known else { return Err(Stop::Unfit(format!("a {compiler} that knows {}", standards[0]))) };
    let user = include_str!("programs/declared.inc");
    let includes = [
        ("alone", OURS.to_string()),
        ("before", format!("{OURS}{SYSTEM}")),
        ("after", format!("{SYSTEM}{OURS}")),
        ("twice", format!("{OURS}{OURS}")),
    ];
    for (order, includes) in includes {
        for define in [&[][..], &["-D_GNU_SOURCE"], &["-D_XOPEN_SOURCE=700"], &["-D_FILE_OFFSET_BITS=64"]] {
            let file = format!("{order}.{extension}");
            let ended = compile(compiler, standard, &directory, &file, &format!("{includes}{user}"), define)?;
            check!(ended.how() == "0", "{order} {define:?}:{}", Shown(&ended.stderr));
        }
    }
    Ok(())
}

/// A redeclaration as POSIX has it compiles; one with any difference does not.
const DECLARATIONS: [(&str, &str); 6] = [
    ("int shm_open(const char *, int, mode_t);", "int shm_open(const char *, int, ...);"),
    ("int shm_unlink(const char *);", "int shm_unlink(char *);"),
    ("int shmget(key_t, size_t, int);", "int shmget(key_t, int, int);"),
    ("void *shmat(int, const void *, int);", "void *shmat(int, void *, int);"),
    ("int shmdt(const void *);", "int shmdt(void *);"),
    ("int shmctl(int, int, struct shmid_ds *);", "int shmctl(int, int, void *);"),
];

fn prototypes(compiler: &str) -> Verdict {
    let directory = place::directory("header::prototypes")?;
    for (same, _) in DECLARATIONS {
        let text = format!("{OURS}{same}\n");
        let ended = compile(compiler, "gnu11", &directory, "same.c", &text, &[])?;
        check!(ended.how() == "0", "{same}:{}", Shown(&ended.stderr));
    }
    Ok(())
}

/// Without the system's headers to say it: the declarations are ours, and a mismatch does not compile.
fn declares() -> Verdict {
    let directory = place::directory("header::declares")?;
    let header = fs::read_to_string(include().join("shmaudit.h"))?;
    let own: Vec<&str> = header.lines().filter(|line| !line.starts_with("#include <sys/")).collect();
    let types = "#include <sys/types.h>\nstruct shmid_ds;\n";
    let own = format!("{types}{}\n", own.join("\n"));
    for (same, other) in DECLARATIONS {
        let ended = compile("gcc", "gnu11", &directory, "same.c", &format!("{own}{same}\n"), &[])?;
        check!(ended.how() == "0", "{same}:{}", Shown(&ended.stderr));
        let ended = compile("gcc", "gnu11", &directory, "other.c", &format!("{own}{other}\n"), &[])?;
        check!(ended.how() != "0", "compiles, and should not: {other}");
        check!(ended.errors().contains("conflicting types"), "fails for another reason:{}", Shown(&ended.stderr));
    }
    Ok(())
}

fn with_header(options: &[&str]) -> Vec<String> {
    let mut all = vec![format!("-I{}", include().display())];
    all.extend(options.iter().map(ToString::to_string));
    all
}

fn interface(variant: impl FnOnce(&[&str]) -> Variant) -> Result<PathBuf, Stop> {
    let options = with_header(&["-O0", "-g"]);
    build::own("interface", &variant(&options.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// A program that asks its audit runs unchanged where there is none, and under the preload.
fn weak() -> Verdict {
    let program = interface(|options| Variant::of("gcc", options))?;
    let turn = crate::clean::Turn::take(&build::own_source("interface"))?;
    let (ended, _) = turn.run(Run::new(&program))?;
    check!(ended.output() == "no audit\n", "without the library:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    let (ended, _) = turn.run(Run::new(&program).preloaded("log=off:report=off"))?;
    answers(&ended)
}

fn answers(ended: &Ended) -> Verdict {
    let wanted = format!("version {}\nbefore 0\nwith one left 1\nafter 0\n", env!("CARGO_PKG_VERSION"));
    check!(ended.output() == wanted, "it says:{}{}", Shown(&ended.stdout), Shown(&ended.stderr));
    Ok(())
}

fn works() -> Verdict {
    let program = interface(|options| Variant::of("gcc", options).linked())?;
    let turn = crate::clean::Turn::take(&build::own_source("interface"))?;
    let (ended, _) = turn.run(Run::new(&program).options("log=off:report=off"))?;
    answers(&ended)?;
    // Each call of shmaudit_leak_check reports, and the report at exit still comes.
    let path = place::directory("header::works")?.join("all.report");
    let options = format!("log=off:report={}:report_format=json", path.display());
    let (ended, _) = turn.run(Run::new(&program).options(&options))?;
    answers(&ended)?;
    let reports = crate::report::read(&path)?;
    let Some(last) = reports.last() else { fail!("no report") };
    check!(last.findings("interface.c").is_empty(), "the last report has findings: {}", last.0);
    Ok(())
}

fn works_from_cxx() -> Verdict {
    need("g++")?;
    let directory = place::directory("header::works_from_cxx")?;
    let program = directory.join("interface");
    let compiled = Run::new("g++")
        .args(["-Wall", "-Wextra", "-x", "c++", "-I"])
        .arg(include())
        .arg(build::own_source("interface"))
        .args(["-x", "none"])
        .arg(format!("-L{}", place::library_directory().display()))
        .arg(format!("-Wl,-rpath,{}", place::library_directory().display()))
        .args(["-lshmaudit", "-o"])
        .arg(&program)
        .end()?;
    check!(compiled.how() == "0", "g++:{}", Shown(&compiled.stderr));
    let turn = crate::clean::Turn::take(&build::own_source("interface"))?;
    let (ended, _) = turn.run(Run::new(&program).options("log=off:report=off"))?;
    answers(&ended)
}

/// Building writes the header anew; it must then be the one that git has.
fn is_current() -> Verdict {
    let git = need("git")?;
    let run = |args: &[&str]| Run::new(&git).arg("-C").arg(place::workspace()).args(args).end();
    let known = run(&["ls-files", "--error-unmatch", "include/shmaudit.h"])?;
    if known.how() != "0" {
        return Err(Stop::Unfit("a git work tree of this user's".to_string()));
    }
    let ended = run(&["diff", "--exit-code", "--", "include/shmaudit.h"])?;
    check!(ended.how() == "0", "commit what the build made:{}", Shown(&ended.stdout));
    Ok(())
}
