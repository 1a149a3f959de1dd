//! `shmaudit explain`: topics as people ask for them; the pages themselves are compared with the tables in unit tests.

use crate::gallery::{command, ends};
use crate::run::Run;
use crate::trial::{Trials, Verdict, need};
use crate::{check, log};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("explain::topics", topics);
    trials.add("explain::unknown_words", unknown);
    trials.add("explain::colour_on_a_terminal_only", colour);
    trials.add("explain::code_compiles", code);
    trials.add("explain::examples_compile", examples);
}

fn topics() -> Verdict {
    for (word, told) in [
        ("shm_open", &["openat, number 257", "openat, number 56", "fs/open.c", "ENOENT", "O_EXCL"][..]),
        ("shm_unlink", &["unlink, number 87", "unlinkat, number 35", "fs/namei.c"]),
        ("ftruncate", &["fs/open.c", "SIGBUS", "ENOSPC instead"]),
        ("fstat", &["fs/stat.c"]),
        ("mmap", &["arch/x86/kernel/sys_x86_64.c", "arch/arm64/kernel/sys.c", "ksys_mmap_pgoff  mm/mmap.c"]),
        ("munmap", &["mm/mmap.c"]),
        ("ftok", &["newfstatat", "fs/stat.c"]),
        ("shmget", &["ipc/shm.c", "shmmni", "newseg"]),
        ("shmat", &["do_shmat  ipc/shm.c", "number 30", "number 196"]),
        ("shmdt", &["ksys_shmdt  ipc/shm.c"]),
        ("shmctl", &["ipc/shm.c", "do_shm_rmid"]),
        ("ENOSPC", &["No space left on device", "shmget", "kernel.shmall", "df /dev/shm"]),
        ("EINVAL", &["shmdt", "shmat", "ftruncate"]),
        ("posix-leak", &["Before", "After", "shm_unlink(\"/app\")", "posix-leak:GLOB"]),
    ] {
        let ended = command().args(["explain", word]).end()?;
        ends(&ended, "0")?;
        ended.is_quiet()?;
        log::is_tame(&ended.stdout)?;
        let page = ended.output();
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in told {
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            check!(page.contains(&words), "of {word} it does not say {words}:\n{page}");
        }
    }
    let ended = command().arg("explain").end()?;
    ends(&ended, "0")?;
    check!(ended.output().lines().all(|line| line.len() <= 80), "the list is too wide");
    Ok(())
}

fn unknown() -> Verdict {
    for (word, told) in [
        ("shm_opne", "did you mean shm_open"),
        ("ENOSPACE", "ENOSPC"),
        ("leak", "posix-leak"),
        ("\x1b[31mxyzzy", "\\33[31m"),
    ] {
        let ended = command().args(["explain", word]).end()?;
        ends(&ended, "2")?;
        let errors = ended.errors();
        check!(ended.stdout.is_empty() && errors.lines().count() == 1 && errors.contains(told), "of {word}: {errors}");
        log::is_tame(&ended.stderr)?;
    }
    Ok(())
}

fn colour() -> Verdict {
    let script = need("script")?;
    let shown = |setting: &str| {
        let shell = format!("stty cols 70 rows 24; {setting} {} explain mmap", env!("CARGO_BIN_EXE_shmaudit"));
        Run::new(&script).env("TERM", "xterm").args(["-qec", &shell, "/dev/null"]).end()
    };
    let (colour, plain) = (shown("")?.output(), shown("NO_COLOR=1")?.output());
    check!(colour.contains("\x1b[1m") && !plain.contains('\x1b'), "colour:\n{colour}\nwithout:\n{plain}");
    let prose = plain.lines().map(|line| line.trim_end_matches('\r')).filter(|line| !line.contains("void *"));
    check!(prose.clone().all(|line| line.len() <= 70), "wider than the terminal:\n{plain}");
    Ok(())
}

/// Every prototype is the C library's: declared once more beside its header.
fn code() -> Verdict {
    let cc = need("cc")?;
    let directory = crate::place::directory("explain::code")?;
    let calls = "shm_open shm_unlink rename memfd_create shmget shmat shmdt shmctl ftok ftruncate fallocate fstat mmap munmap mremap close dup fork execve exit";
    for call in calls.split(' ') {
        let page = command().args(["explain", call]).end()?.output();
        let prototype: Vec<&str> = page.lines().skip(1).take_while(|line| !line.is_empty()).collect();
        check!(prototype.iter().any(|line| line.contains(&format!("{call}("))), "no prototype of {call}:\n{page}");
        let defined = prototype.iter().any(|line| line.contains("_GNU_SOURCE")) || call == "fallocate";
        let source = format!(
            "{}{}\n",
            if defined { "#define _GNU_SOURCE\n" } else { "" },
            prototype.join("\n").replace("#define _GNU_SOURCE\n", "")
        );
        let source = source.replace("    #define _GNU_SOURCE\n", "");
        let file = directory.join(format!("{call}.c"));
        std::fs::write(&file, source)?;
        Run::new(&cc).args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]).arg(&file).end()?.well()?;
    }
    Ok(())
}

/// What the examples speak of and do not show.
const AROUND: &str = r#"#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define KEY 0x11
#define SIZE 4096
struct v2 { char bytes[64]; };
struct state { int number; };
extern int fd, id, prot;
extern size_t size;
extern char *p;
extern struct state *s;
extern struct stat st;
extern key_t key;
extern const char *name, *path, *program;
extern char **argv;
extern void run(), use(const void *), pass_to_children(int), tell_workers_to_stop(void), die(const char *, ...);
extern int work(int), not_ready(void), join_or_replace(const char *);
"#;

/// The C before and after of every kind of finding, each in a function, is C, and nobody warns of it.
fn examples() -> Verdict {
    let cc = need("cc")?;
    let directory = crate::place::directory("explain::examples")?;
    for kind in shmaudit_core::findings::KINDS {
        let page = command().args(["explain", kind.name()]).end()?.output();
        for title in ["Before", "After"] {
            let code = page.lines().skip_while(|line| *line != title).skip(1).take_while(|line| !line.is_empty());
            // Left out is what differs from program to program.
            let code: Vec<&str> = code.filter(|line| line.trim() != "...").collect();
            check!(!code.is_empty() && code.iter().all(|line| line.starts_with("    ")), "{}: {page}", kind.name());
            let code = code.join("\n");
            let whole = code.contains("(void) {\n");
            let body = if whole { code } else { format!("int example(void)\n{{\n{code}\n    return 0;\n}}") };
            let file = directory.join(format!("{}-{title}.c", kind.name()));
            std::fs::write(&file, format!("{AROUND}{body}\n"))?;
            let flags =
                ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-Wno-strict-prototypes", "-c", "-o"];
            let run = Run::new(&cc).args(flags).args(["/dev/null", "-O1"]).arg(&file);
            run.end()?.well()?;
        }
    }
    Ok(())
}
