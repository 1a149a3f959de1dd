//! `syscalls=1` beside the real strace: under each call, the system call that it becomes, in strace's words.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex_lite::Regex;

use crate::build::Variant;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict, need};
use crate::{check, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for scenario in [
        "posix_shm",
        "sysv_shm",
        "leak_both_many",
        "errno_kept",
        "names_odd_bytes",
        "removed_while_attached",
        "partial_munmap",
        "mremap_move",
        "memfd_basic",
        "direct_open",
        "rename_object",
    ] {
        let name = format!("syscalls::as_strace_has_them::{scenario}");
        trials.add(name.clone(), move || compare(scenario, &name, false));
    }
    trials.add("syscalls::as_strace_has_them::sysv_shm_with_its_file", || {
        compare("sysv_shm", "syscalls-sysv_shm_with_its_file", true)
    });
    trials.add("syscalls::the_kernel_sees_no_more", no_more);
}

/// A line of strace or of ours, taken apart.
#[derive(Debug)]
struct Line {
    call: String,
    args: String,
    result: String,
}

impl Line {
    /// `call(args) = result`, or without a result.
    fn parse(text: &str) -> Option<Line> {
        let (call, rest) = text.split_once('(')?;
        let (args, result) = match rest.rfind(") ") {
            Some(at) if rest.get(at + 1..)?.trim_start().starts_with("= ") => {
                (rest.get(..at)?, rest.get(at + 1..)?.trim_start().trim_start_matches("= "))
            }
            _ => (rest.strip_suffix(')')?, ""),
        };
        let known = !call.is_empty() && call.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        known.then(|| Line { call: call.to_string(), args: args.to_string(), result: result.to_string() })
    }

    fn first(&self) -> &str {
        self.args.split(", ").next().unwrap_or("")
    }
}

/// Those lines of strace's that are about shared memory: by the functions' own names, by paths under the shm mount, and
/// by the descriptors and addresses that come of them.
fn about_shared_memory(lines: Vec<Line>) -> Vec<Line> {
    let (mut fds, mut mapped) = (BTreeSet::new(), BTreeSet::new());
    let mut of_interest = |line: &Line| {
        let first = line.first().to_string();
        match line.call.as_str() {
            "shmget" | "shmat" | "shmdt" | "shmctl" => true,
            "open" | "openat" | "memfd_create" if line.args.contains("/dev/shm/") || line.call == "memfd_create" => {
                fds.insert(line.result.clone());
                true
            }
            "mmap" => {
                let ours = fds.contains(line.args.split(", ").nth(4).unwrap_or(""));
                if ours {
                    mapped.extend(pages(&line.result, line.args.split(", ").nth(1)));
                }
                ours
            }
            "mremap" if pages(&first, Some("1")).any(|page| mapped.contains(&page)) => {
                mapped.extend(pages(&line.result, line.args.split(", ").nth(2)));
                true
            }
            "munmap" => pages(&first, line.args.split(", ").nth(1)).any(|page| mapped.contains(&page)),
            "access" => false,
            "close" => fds.remove(&first),
            "ftruncate" | "fallocate" | "fstat" => fds.contains(&first),
            "newfstatat" => fds.contains(&first) || line.args.contains("\"filename\""),
            "stat" => line.args.contains("\"filename\""),
            _ => line.args.contains("\"/dev/shm/"),
        }
    };
    lines.into_iter().filter(|line| of_interest(line)).collect()
}

/// The pages from an address on, as strace writes address and length.
fn pages(address: &str, length: Option<&str>) -> std::ops::Range<u64> {
    let address = address.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    let length: u64 = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    address / 4096..(address + length).div_ceil(4096)
}

/// Without what differs legitimately: addresses, ids, what a struct holds, and which of two equal calls this release of
/// the C library makes (`fstat` or `newfstatat` of an empty path; `stat` or `newfstatat`; `unlink` or `unlinkat`, as musl).
fn normal(line: &Line) -> String {
    let rules = [
        (r"\{.*\}", "{}"),
        (r"0x[0-9a-f]{9,}", "ADDRESS"),
        (r"^(shmat|shmctl)\(\d+", "$1(SHMID"),
        (r#"^newfstatat\((\d+), "", (\{\}|ADDRESS), AT_EMPTY_PATH\)"#, "fstat($1, $2)"),
        (r#"^(newfstatat\(AT_FDCWD, |stat\()(".*"), (\{\}|ADDRESS|\.\.\.)(, 0)?\)"#, "stat($2)"),
    ];
    let mut text = format!("{}({})", line.call, line.args);
    for (pattern, put) in rules {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, put).into_owned();
    }
    text
}

/// The program under strace, which must be allowed to trace.
fn strace(program: &Path, directory: &Path, file: &Path, audited: Option<&str>) -> Result<Run, Stop> {
    let strace = need("strace")?;
    let probe = Run::new(&strace).args(["-o", "/dev/null", "true"]).end()?;
    if probe.how() != "0" {
        return Err(Stop::Unfit("a strace that may trace".to_string()));
    }
    let run = Run::new(strace).args(["-f", "-s", "300", "-o"]).arg(file);
    let run = match audited {
        Some(options) => run
            .arg("-E")
            .arg(format!("LD_PRELOAD={}", place::library().display()))
            .arg("-E")
            .arg(format!("SHMAUDIT_OPTIONS={options}")),
        None => run,
    };
    Ok(run.arg(program).within(directory))
}

fn traced(text: &str) -> Vec<Line> {
    text.lines().filter_map(|line| Line::parse(line.split_once(' ')?.1.trim_start())).collect()
}

fn compare(name: &str, trial: &str, with_file: bool) -> Verdict {
    let scenario = Scenario::named(name);
    let directory = place::directory(trial)?;
    if with_file {
        fs::write(directory.join("filename"), "")?;
    }
    let program = scenario.program(&Variant::plain())?;
    let turn = scenario.turn()?;
    let file = directory.join("strace.out");
    turn.run(strace(&program, &directory, &file, None)?)?;
    let wanted = about_shared_memory(traced(&fs::read_to_string(&file)?));
    let wanted: Vec<String> = wanted.iter().map(normal).collect();

    let log = directory.join("calls.log");
    let options = format!("report=off:syscalls=1:trace=posix,sysv,map,fd:log={}", log.display());
    turn.run(Run::new(&program).within(&directory).preloaded(&options))?;
    let text = fs::read_to_string(&log)?;
    let under = |line: &str| line.split_once("]   -> ").map(|(_, call)| call.to_string());
    let found: Vec<String> =
        text.lines().filter_map(under).filter_map(|line| Line::parse(&line)).map(|line| normal(&line)).collect();
    check!(!wanted.is_empty(), "strace shows nothing of shared memory");
    check!(found == wanted, "the log has:\n{}\nstrace has:\n{}\nthe log:\n{text}", found.join("\n"), wanted.join("\n"));
    Ok(())
}

/// Under strace, the audited program makes the plain one's shared-memory calls in the same order. What the audit adds is
/// what tells who made an object: `O_EXCL` or `IPC_EXCL` on a call that can create, and an `fstat` after it.
fn no_more() -> Verdict {
    let trial = "syscalls::the_kernel_sees_no_more";
    let directory = place::directory(trial)?;
    for name in ["posix_shm", "sysv_shm", "leak_both_many"] {
        let scenario = Scenario::named(name);
        let program = scenario.program(&Variant::plain())?;
        let turn = scenario.turn()?;
        let file = directory.join("strace.out");
        let mut seen = Vec::new();
        for audited in [None, Some("log=off:report=off")] {
            turn.run(strace(&program, &directory, &file, audited)?)?;
            let lines = about_shared_memory(traced(&fs::read_to_string(&file)?));
            let own = |line: &&Line| line.call != "fstat" && line.call != "newfstatat";
            seen.push(
                lines
                    .iter()
                    .filter(own)
                    .map(normal)
                    .collect::<Vec<_>>()
                    .join("\n")
                    .replace("|O_EXCL", "")
                    .replace("|IPC_EXCL", ""),
            );
        }
        let [plain, audited] = seen.as_slice() else { return Ok(()) };
        check!(plain == audited, "plain:\n{plain}\naudited:{}", Shown(audited.as_bytes()));
    }
    Ok(())
}
