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
    let calls = "shm_open shm_unlink memfd_create shmget shmat shmdt shmctl ftok ftruncate fallocate fstat mmap munmap mremap close dup fork execve exit";
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
