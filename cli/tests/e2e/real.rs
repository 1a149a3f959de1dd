//! Real programs that share memory, as Debian has them: each does its work plain, under the preloaded library and under
//! `shmaudit run`, and does and leaves the same; what the audit finds is known. With `SHMAUDIT_REAL=1` (`make real`) they
//! work longer, and those that are slow to install are run too.
//!
//! A program's script is in `real/`; it starts what is audited with `$AUDIT` before it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::check;
use crate::machine::set_up;
use crate::run::{Ended, Run};
use crate::trial::{Shown, Stop, Trials, Verdict, need, need_root};

/// A program, and what is known of it.
struct Program {
    name: &'static str,
    /// What it is asked to do, for the table.
    does: &'static str,
    script: &'static str,
    /// Prints its version.
    version: &'static str,
    /// Commands, files and `import MODULE` of Python that it needs.
    needs: &'static [&'static str],
    /// Kinds of findings of severity error or warning: under `run`, and preloaded, where the processes of each exec are
    /// strangers to the others.
    run: &'static [&'static str],
    preloaded: &'static [&'static str],
    /// Those that chance decides.
    perhaps: &'static [&'static str],
    /// What more holds of its directory after `run`.
    more: fn(&Path) -> Verdict,
    /// Only where there is time.
    slow: bool,
}

macro_rules! script {
    ($($name:literal),+) => {
        concat!($(include_str!(concat!("real/", $name, ".sh"))),+)
    };
}

/// What most programs have in common.
const PROGRAM: Program = Program {
    name: "",
    does: "",
    script: "",
    version: "",
    needs: &[],
    run: &[],
    preloaded: &[],
    perhaps: &[],
    more: |_| Ok(()),
    slow: false,
};

const PROGRAMS: &[Program] = &[
    Program {
        name: "PostgreSQL",
        does: "server; pgbench with 4 clients, parallel queries; stopped",
        script: script!("postgresql_server", "postgresql"),
        version: "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/postgres --version | cut -d ' ' -f 1-3",
        needs: &["setpriv", "/usr/lib/postgresql"],
        ..PROGRAM
    },
    Program {
        name: "PostgreSQL, killed",
        does: "postmaster killed by SIGKILL, started again: what it leaves is in the report, suppressed, and removed or made anew by the next start",
        script: script!("postgresql_server", "postgresql_killed"),
        version: "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/postgres --version | cut -d ' ' -f 1-3",
        needs: &["setpriv", "pgrep", "/usr/lib/postgresql"],
        more: killed,
        ..PROGRAM
    },
    Program {
        name: "CPython",
        does: "multiprocessing: SharedMemory by fork, spawn, forkserver; SharedMemoryManager, Array",
        script: script!("python"),
        version: "/usr/bin/python3 --version",
        needs: &["/usr/bin/python3"],
        ..PROGRAM
    },
    Program {
        name: "CPython's own tests",
        does: "test_multiprocessing, those of shared memory",
        script: script!("python_tests"),
        version: "/usr/bin/python3 --version",
        needs: &["/usr/bin/python3", "import test._test_multiprocessing"],
        run: &["use-after-remove"],
        preloaded: &["use-after-remove"],
        ..PROGRAM
    },
    Program {
        name: "SQLite",
        does: "write-ahead log and its index under /dev/shm, four processes",
        script: script!("sqlite"),
        version: "/usr/bin/python3 -c 'import sqlite3; print(\"SQLite\", sqlite3.sqlite_version)'",
        needs: &["/usr/bin/python3", "import sqlite3"],
        ..PROGRAM
    },
    Program {
        name: "Apache",
        does: "mpm_event, a balancer in mod_slotmem_shm, scoreboard in a file; two requests",
        script: script!("apache"),
        version: "/usr/sbin/apache2 -v | sed -n 's/.*: //p;q'",
        needs: &["/usr/sbin/apache2", "/usr/bin/python3", "ip"],
        run: &["use-after-remove"],
        preloaded: &["use-after-remove"],
        ..PROGRAM
    },
    Program {
        name: "nginx",
        does: "two workers, zones for limits and a cache; three requests",
        script: script!("nginx"),
        version: "/usr/sbin/nginx -v 2>&1 | sed 's/.*: //'",
        needs: &["/usr/sbin/nginx", "/usr/bin/python3", "ip"],
        ..PROGRAM
    },
    Program {
        name: "Xvfb and a client",
        does: "frame buffer in a segment; an image through MIT-SHM, read back",
        script: script!("xvfb"),
        version: "dpkg-query -W -f '${Package} ${Version}' xvfb",
        needs: &["Xvfb", "gcc", "/usr/include/X11/extensions/XShm.h"],
        run: &["sysv-leak", "world-accessible"],
        preloaded: &["sysv-leak", "world-accessible"],
        ..PROGRAM
    },
    Program {
        name: "Chromium",
        does: "headless, a local page with a script, its document dumped",
        script: script!("chromium"),
        version: "chromium --version 2> /dev/null | cut -d ' ' -f 1-2",
        needs: &["chromium"],
        // Its zygotes may be over before anybody can look.
        perhaps: &["unaudited-process"],
        ..PROGRAM
    },
    Program {
        name: "stress-ng",
        does: "--shm 2 --shm-sysv 2 --mremap 2 --verify",
        script: script!("stress_ng"),
        version: "stress-ng --version | sed 's/,//; s/ (.*//'",
        needs: &["stress-ng"],
        perhaps: &["bad-detach", "limit-hit", "size-mismatch", "use-after-remove"],
        ..PROGRAM
    },
    Program {
        name: "Open MPI",
        does: "two ranks, allreduce and a shared window, over the back ends sysv, posix and mmap",
        script: script!("openmpi"),
        version: "mpirun --version | head -n 1",
        needs: &["mpirun", "mpicc", "gcc"],
        ..PROGRAM
    },
    Program {
        name: "perl",
        does: "shmget, shmread, IPC::SharedMem; one segment left",
        script: script!("perl"),
        version: "perl -e 'print \"perl $^V\"'",
        needs: &["perl"],
        run: &["sysv-leak"],
        preloaded: &["sysv-leak"],
        ..PROGRAM
    },
    // Its module is loaded so that it finds libc before everybody else: only what it leaves is seen, under `run`.
    Program {
        name: "PHP",
        does: "sysvshm, loaded with RTLD_DEEPBIND; one segment left",
        script: script!("php"),
        version: "php -r 'echo \"PHP \", PHP_VERSION;'",
        needs: &["php"],
        run: &["unattributed-leak"],
        ..PROGRAM
    },
    Program {
        name: "Ruby",
        does: "the calls through Fiddle; one segment left",
        script: script!("ruby"),
        version: "ruby --version | cut -d ' ' -f 1-2",
        needs: &["ruby"],
        run: &["sysv-leak"],
        preloaded: &["sysv-leak"],
        ..PROGRAM
    },
    Program {
        name: "GStreamer",
        does: "shmsink and shmsrc, 30 frames",
        script: script!("gstreamer"),
        version: "gst-launch-1.0 --version | head -n 1",
        needs: &["gst-launch-1.0"],
        slow: true,
        ..PROGRAM
    },
];

/// What every script begins with.
const BEFORE: &str = r#"
soon() {
    count=0
    until "$@"; do count=$((count + 1)); [ $count -lt 200 ] || exit 97; sleep 0.1; done
}
get() {
    /usr/bin/python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode().strip())' "$1" \
        2> /dev/null
}
# Also for somebody who cannot look into the directory it is in.
: > "$WORK/shmaudit"
mount --bind "$SHMAUDIT" "$WORK/shmaudit" || exit 99
case $WAY in
plain) AUDIT=env; AUDIT_AGAIN=env ;;
preloaded)
    AUDIT="env LD_PRELOAD=$LIBRARY SHMAUDIT_OPTIONS=log=off:report_format=json:report=$WORK/report.%p"
    AUDIT_AGAIN=$AUDIT ;;
run)
    AUDIT="$WORK/shmaudit run --library $LIBRARY -o $WORK/session --format json --report $WORK/report --"
    AUDIT_AGAIN="$WORK/shmaudit run --library $LIBRARY -o $WORK/again --format json --report $WORK/report.again --" ;;
esac
cd "$WORK"
"#;

/// What every script ends with: the sizes of what is left, and how it is called but for what differs each time.
const AFTER: &str = r#"
echo left:
awk 'NR > 1 { print "segment", $4 }' /proc/sysvipc/shm | sort
stat -c '%s %n' /dev/shm/* 2> /dev/null | sed 's/[0-9a-fA-F]\{6,\}/N/g' | sort
"#;

const NAMESPACES: [&str; 6] = ["--ipc", "--mount", "--pid", "--net", "--fork", "--mount-proc"];

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    let all = is_long();
    for program in PROGRAMS.iter().filter(|program| all || !program.slow) {
        let name: String = program.name.chars().filter(|letter| !matches!(letter, ',' | '\'')).collect();
        trials.add(format!("real::{}", name.replace(' ', "_").to_lowercase()), || trial(program));
    }
}

fn is_long() -> bool {
    std::env::var_os("SHMAUDIT_REAL").is_some_and(|value| value == "1")
}

fn trial(program: &'static Program) -> Verdict {
    need_root()?;
    for needed in program.needs {
        let is_there = match needed.split_once(' ') {
            Some(_) => Run::new("/usr/bin/python3").args(["-c", needed]).end()?.how() == "0",
            None if needed.starts_with('/') => Path::new(needed).exists(),
            None => need(needed).is_ok(),
        };
        if !is_there {
            return Err(Stop::Needs((*needed).to_string()));
        }
    }
    let version = Run::new("sh").args(["-c", program.version]).end()?.well()?.output().trim().to_string();
    let result = compare(program);
    let outcome = match &result {
        Ok(()) => found(program),
        Err(_) => "FAILED".to_string(),
    };
    TABLE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push([program.name, &version, program.does, &outcome].map(String::from));
    result
}

/// What is in the table of a program with which all is well.
fn found(program: &Program) -> String {
    let kinds = |kinds: &[&str]| if kinds.is_empty() { "nothing".to_string() } else { kinds.join(", ") };
    if !program.perhaps.is_empty() {
        return format!("as plain; found, as chance has it: {}", program.perhaps.join(", "));
    }
    let under_run = kinds(program.run);
    let preloaded = match program.preloaded == program.run {
        true => String::new(),
        false => format!("; preloaded: {}", kinds(program.preloaded)),
    };
    format!("as plain; found: {under_run}{preloaded}")
}

fn compare(program: &Program) -> Verdict {
    let (plain, _) = run(program, "plain")?;
    check!(plain.how() == "0", "plain ended {}:{}{}", plain.how(), Shown(&plain.stdout), Shown(&plain.stderr));
    for (way, expected) in [("preloaded", program.preloaded), ("run", program.run)] {
        let at = |stop| match stop {
            Stop::Fail(message) => Stop::Fail(format!("{way}: {message}")),
            other => other,
        };
        let (ended, work) = run(program, way).map_err(at)?;
        ended.same_as(&plain).map_err(at)?;
        let mut kinds = kinds(&work).map_err(at)?;
        kinds.retain(|kind| !program.perhaps.contains(&kind.as_str()));
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        check!(kinds == expected, "{way}: found {kinds:?} instead of {expected:?}");
        if way == "run" {
            (program.more)(&work)?;
        }
    }
    Ok(())
}

fn run(program: &Program, way: &str) -> Result<(Ended, std::path::PathBuf), Stop> {
    let script = format!("{BEFORE}{}{AFTER}", program.script);
    let trial = format!("real::{}-{way}", program.name.replace(|letter: char| !letter.is_alphanumeric(), "_"));
    let run = Run::new(need("unshare")?).args(NAMESPACES);
    let (run, work) = set_up(&trial, run, &script)?;
    let run = run.env("WAY", way).env("HOME", &work);
    let run = if is_long() { run.env("LONG", "1") } else { run };
    Ok((run.end()?, work))
}

/// The kinds of all findings that are more than notes, of all reports in `work`.
fn kinds(work: &Path) -> Result<BTreeSet<String>, Stop> {
    let mut kinds = BTreeSet::new();
    for entry in std::fs::read_dir(work)? {
        let path = entry?.path();
        if path.file_name().is_none_or(|name| !name.to_string_lossy().starts_with("report")) {
            continue;
        }
        let text = std::fs::read(&path)?;
        let report: Value =
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}:{}", path.display(), Shown(&text)))?;
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let told = findings.iter().filter(|finding| finding["severity"] != "note");
        kinds.extend(told.filter_map(|finding| finding["kind"].as_str()).map(String::from));
    }
    Ok(kinds)
}

/// The report of a killed server knows the segment and both objects that the kernel has; the audit of the next start knows
/// that it removes them.
fn killed(work: &Path) -> Verdict {
    let report: Value = serde_json::from_slice(&std::fs::read(work.join("report"))?)?;
    let objects = report["objects"].as_array().cloned().unwrap_or_default();
    let mut sizes: Vec<u64> =
        objects.iter().filter(|object| object["exists"] == true).filter_map(|object| object["size"].as_u64()).collect();
    sizes.sort_unstable();
    let left = std::fs::read_to_string(work.join("left"))?;
    let left: Vec<u64> = left.lines().filter_map(|line| line.trim().parse().ok()).collect();
    check!(sizes == left && left.len() == 3, "the report has {sizes:?}, the kernel {left:?}:\n{report:#}");
    let suppressed: u64 =
        report["suppressed"].as_array().into_iter().flatten().filter_map(|rule| rule["count"].as_u64()).sum();
    check!(suppressed == 3, "{suppressed} suppressed instead of 3:\n{report:#}");
    for (name, states) in [("left", &["there"][..]), ("restarted", &["renewed", "gone"]), ("stopped", &["gone"])] {
        let report: Value = serde_json::from_slice(&std::fs::read(work.join(format!("told.{name}")))?)?;
        let leaks = report["findings"].as_array().into_iter().flatten();
        let leaks = leaks.filter(|finding| finding["kind"].as_str().is_some_and(|kind| kind.ends_with("-leak")));
        let mut told: Vec<(&Value, u64)> = Vec::new();
        for leak in leaks {
            check!(states.iter().any(|state| leak["now"] == *state), "{name}: {leak:#}");
            check!(leak["event"]["stack"].as_array().is_some_and(|stack| stack.len() > 3), "{name}: {leak:#}");
            told.push((&leak["kind"], leak["bytes"].as_u64().unwrap_or(0)));
        }
        told.sort_by_key(|&(_, bytes)| bytes);
        let segments = told.iter().filter(|(kind, _)| **kind == "sysv-leak").count();
        let sizes: Vec<u64> = told.iter().map(|&(_, bytes)| bytes).collect();
        check!(segments == 1 && sizes == left, "{name}: {told:?} instead of one segment and two objects of {left:?}");
    }
    // What the next start did with them.
    let log = std::fs::read_to_string(work.join("again.log"))?;
    for object in &objects {
        let call = match object["name"].as_str() {
            Some(name) => format!("shm_unlink(\"{name}\") = 0"),
            None => format!("shmctl({}, IPC_RMID, NULL) = 0", object["shmid"]),
        };
        check!(log.contains(&call), "the next start did not call {call}:\n{log}");
    }
    Ok(())
}

static TABLE: Mutex<Vec<[String; 4]>> = Mutex::new(Vec::new());

/// Prints what ran, as the documentation has it.
pub fn print_table() {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if table.is_empty() {
        return;
    }
    let place = |name: &str| PROGRAMS.iter().position(|program| program.name == name);
    table.sort_by_key(|row| place(&row[0]));
    println!("| program | version | what it did, plain, preloaded and under `run` | result |\n|---|---|---|---|");
    for [name, version, does, outcome] in table.iter() {
        println!("| {name} | {version} | {does} | {outcome} |");
    }
    println!();
}
