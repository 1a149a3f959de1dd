//! Where the log or the report cannot go, or may not: the program's result is what it always was.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::build::{self, Variant, own_source};
use crate::clean::Turn;
use crate::run::{Ended, Run};
use crate::scenario::Scenario;
use crate::trial::{Shown, Stop, Trials, Verdict, need, need_root};
use crate::{check, fail, log, place};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("hardship::log_in_no_directory", || {
        says_one_line("log=/proc/nonexistent/calls.log:report=off", "/proc/nonexistent")
    });
    trials.add("hardship::log_is_a_directory", || says_one_line("log=/:report=off", "log"));
    trials.add("hardship::report_in_no_directory", || {
        says_one_line("log=off:report=/proc/nonexistent/report", "/proc/nonexistent")
    });
    trials.add("hardship::report_is_a_directory", || says_one_line("log=off:report=/", "report"));
    trials.add("hardship::journal_in_no_directory", || runs_on("log=off:report=off:journal=/proc/nonexistent"));
    trials.add("hardship::log_on_full_device", || runs_on("log=/dev/full"));
    trials.add("hardship::lines_that_were_not_written", || {
        says_one_line("log=/dev/full:report=off", "shmaudit: /dev/full: 3 lines of the log could not be written\n")
    });
    trials.add("hardship::report_on_full_device", || runs_on("report=/dev/full"));
    trials.add("hardship::everything_on_full_device", || runs_on("log=/dev/full:report=/dev/full:syscalls=1"));
    trials.add("hardship::full_file_system", full_file_system);
    trials.add("hardship::file_size_limit", file_size_limit);
    trials.add("hardship::stderr_closed", stderr_closed);
    trials.add("hardship::stderr_number_taken_by_the_programs_file", stderr_taken);
    trials.add("hardship::stderr_closed_pipe", stderr_closed_pipe);
    trials.add("hardship::stderr_full_device", stderr_full_device);
    trials.add("hardship::stderr_read_only", stderr_read_only);
    trials.add("hardship::stderr_pipe_that_nobody_reads", stderr_unread);
    trials.add("hardship::stderr_is_stdout", stderr_is_stdout);
    trials.add("hardship::log_is_the_programs_own_number", own_number);
    trials.add("hardship::few_descriptors", few_descriptors);
    trials.add("hardship::little_address_space", little_address_space);
    trials.add("hardship::set_user_id", set_user_id);
    trials.add("hardship::unreadable_program", unreadable_program);
    trials.add("hardship::no_proc", no_proc);
    trials.add("hardship::log_follows_no_link", log_follows_no_link);
    trials.add("hardship::program_goes_to_another_directory", goes_elsewhere);
}

const SCENARIOS: [&str; 4] = ["posix_shm", "leak_both_many", "fork_child_leaks", "threads_churn"];

/// Runs a scenario plain and then as `change` has it, and compares all but standard error.
fn same(name: &str, trial: &str, change: impl FnOnce(Run) -> Run) -> Result<Ended, Stop> {
    let scenario = Scenario::named(name);
    let turn = scenario.turn()?;
    let (plain, plain_left) = turn.run(scenario.plain(trial)?)?;
    let (ended, left) = turn.run(change(scenario.plain(trial)?))?;
    ended.same_as(&plain)?;
    crate::compare::left(&left, &plain_left)?;
    log::is_tame(&ended.stderr)?;
    Ok(ended)
}

fn runs_on(options: &str) -> Verdict {
    for name in SCENARIOS {
        same(name, &format!("hardship-{name}"), |run| run.preloaded(options))?;
    }
    Ok(())
}

fn says_one_line(options: &str, word: &str) -> Verdict {
    let ended = same("leak_posix", "hardship-line", |run| run.preloaded(options))?;
    let said = ended.errors();
    check!(said.lines().count() == 1 && said.contains(word), "not one line naming {word}:{}", Shown(&ended.stderr));
    Ok(())
}

/// Log and report on a file system of which not a byte is free.
fn full_file_system() -> Verdict {
    need_root()?;
    let (unshare, mount) = (need("unshare")?, need("mount")?);
    let trial = "hardship::full_file_system";
    let directory = place::directory(trial)?;
    let disk = directory.join("disk");
    fs::create_dir_all(&disk)?;
    let script = format!(
        "{mount} -t tmpfs -o size=4k tmpfs {disk} && head -c 4096 /dev/zero >{disk}/fill && exec env LD_PRELOAD={library} \
         SHMAUDIT_OPTIONS=log={disk}/log:report={disk}/report \"$0\"",
        mount = mount.display(),
        disk = disk.display(),
        library = place::library().display()
    );
    let probe = Run::new(&unshare).args(["--mount", "true"]).end()?;
    if probe.how() != "0" {
        return Err(Stop::Unfit("the right to unshare mounts".to_string()));
    }
    for name in SCENARIOS {
        let scenario = Scenario::named(name);
        let turn = scenario.turn()?;
        let (plain, _) = turn.run(scenario.plain(trial)?)?;
        let run = Run::new(&unshare).args(["--mount", "sh", "-c", &script]).arg(scenario.program(&Variant::plain())?);
        let (ended, _) = turn.run(run.within(&directory))?;
        ended.same_as(&plain)?;
    }
    Ok(())
}

/// Growing a file beyond RLIMIT_FSIZE raises SIGXFSZ.
fn file_size_limit() -> Verdict {
    let trial = "hardship::file_size_limit";
    let directory = place::directory(trial)?;
    let limit = "ulimit -f 1; exec \"$0\"";
    let options = format!("log={0}/log:report={0}/report:syscalls=1", directory.display());
    // The limit is on shared memory too: the plain program under the same limit is what counts.
    let scenario = Scenario::named("sysv_shm");
    let turn = scenario.turn()?;
    let program = scenario.program(&Variant::plain())?;
    let run = |options: Option<&str>| {
        let run = Run::new("sh").args(["-c", limit]).arg(&program).within(&directory);
        turn.run(match options {
            Some(options) => run.preloaded(options),
            None => run,
        })
    };
    fs::write(directory.join("log"), vec![b'\n'; 1023])?;
    let (plain, _) = run(None)?;
    let (ended, _) = run(Some(&options))?;
    ended.same_as(&plain)
}

fn stderr_closed() -> Verdict {
    for name in SCENARIOS {
        same(name, &format!("hardship-closed-{name}"), |run| run.preloaded("syscalls=1").redirected("2>&-"))?;
    }
    Ok(())
}

/// Number 2 is a file of the program's own: neither log nor report go there, even after its end.
fn stderr_taken() -> Verdict {
    let directory = place::directory("hardship::stderr_taken")?;
    let program = build::own("takes_stderr", &Variant::plain())?;
    let run = Run::new(program).within(&directory).preloaded("syscalls=1").redirected("2>&-");
    let (ended, _) = Turn::take(&own_source("takes_stderr"))?.run(run)?;
    check!(ended.output() == "number 2, 5 bytes\n", "it says:{}", Shown(&ended.stdout));
    let text = fs::read(directory.join("own.txt"))?;
    check!(text == b"mine\n", "its file holds:{}", Shown(&text));
    Ok(())
}

/// SIGPIPE neither kills the program nor stays pending in it.
fn stderr_closed_pipe() -> Verdict {
    for name in SCENARIOS {
        let (reader, writer) = io::pipe()?;
        drop(reader);
        same(name, &format!("hardship-pipe-{name}"), |run| run.preloaded("syscalls=1").stderr(writer))?;
    }
    Ok(())
}

fn stderr_full_device() -> Verdict {
    for name in SCENARIOS {
        let full = File::options().write(true).open("/dev/full")?;
        same(name, &format!("hardship-full-{name}"), |run| run.preloaded("").stderr(full))?;
    }
    Ok(())
}

fn stderr_read_only() -> Verdict {
    let null = File::open("/dev/null")?;
    same("leak_posix", "hardship-read-only", |run| run.preloaded("").stderr(null))?;
    Ok(())
}

/// A reader that does not read: the program must come to its end nevertheless.
fn stderr_unread() -> Verdict {
    let (reader, writer) = io::pipe()?;
    let ended = same("threads_churn", "hardship-unread", |run| run.preloaded("syscalls=1").stderr(writer));
    drop(reader);
    ended?;
    Ok(())
}

/// `2>&1` mixes the log in, line by line: what the program itself says is still whole, and in its order.
fn stderr_is_stdout() -> Verdict {
    let scenario = Scenario::named("leak_posix");
    let turn = scenario.turn()?;
    let (plain, _) = turn.run(scenario.plain("hardship-mixed")?)?;
    let (ended, _) = turn.run(scenario.plain("hardship-mixed")?.preloaded("report=off").redirected("2>&1"))?;
    let output = ended.output();
    let own: Vec<&str> = output.lines().filter(|line| !line.starts_with("shmaudit[")).collect();
    check!(own.join("\n") + "\n" == plain.output(), "the program's own lines:{}", Shown(&ended.stdout));
    check!(output.contains("shm_open("), "no log:{}", Shown(&ended.stdout));
    Ok(())
}

/// The log's descriptor is closed by the program and its number taken by the program's file.
fn own_number() -> Verdict {
    let trial = "hardship-own-number";
    let path = place::directory(trial)?.join("calls.log");
    let ended = same("closes_all_fds", trial, |run| run.preloaded(&format!("log={}:report=off", path.display())))?;
    check!(ended.output().contains("the file is clean"), "{}", ended.output());
    // The second image's log goes on where it can be opened again.
    let text = fs::read_to_string(&path)?;
    check!(text.contains("shm_open(\"/shmaudit-closes_all_fds\""), "the log is lost:\n{text}");
    Ok(())
}

fn few_descriptors() -> Verdict {
    let trial = "hardship-few";
    let directory = place::directory(trial)?;
    let options = format!("log={0}/log:report={0}/report", directory.display());
    for few in ["4", "5", "8"] {
        let scenario = Scenario::named("leak_posix");
        let turn = scenario.turn()?;
        let program = scenario.program(&Variant::plain())?;
        let script = format!("ulimit -n {few}; exec \"$0\"");
        let run = || Run::new("sh").args(["-c", &script]).arg(&program).within(&directory);
        let (plain, _) = turn.run(run())?;
        check!(plain.how() == "0", "with {few} descriptors the plain program ends {}", plain.how());
        let (ended, _) = turn.run(run().preloaded(&options))?;
        ended.same_as(&plain)?;
    }
    Ok(())
}

/// RLIMIT_AS leaves the library no room: one line says so, and the program runs.
fn little_address_space() -> Verdict {
    let trial = "hardship-address-space";
    let scenario = Scenario::named("leak_posix");
    let turn = scenario.turn()?;
    let program = scenario.program(&Variant::plain())?;
    let (plain, _) = turn.run(scenario.plain(trial)?)?;
    for kilobytes in ["8000", "16000", "64000", "256000"] {
        let script = format!("ulimit -v {kilobytes}; exec env LD_PRELOAD={} \"$0\"", place::library().display());
        let (ended, _) = turn.run(Run::new("sh").args(["-c", &script]).arg(&program))?;
        ended.same_as(&plain)?;
        check!(!ended.stderr.is_empty(), "with {kilobytes} KiB: neither an audit nor a word about it");
    }
    Ok(())
}

/// Another user runs a set-user-ID program that is linked with the library: no file is written for that user.
fn set_user_id() -> Verdict {
    need_root()?;
    let trial = "hardship::set_user_id";
    let directory = place::directory(trial)?;
    let program = build::own("secure", &Variant::plain().linked())?;
    let copy = directory.join("secure");
    fs::copy(program, &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o4755))?;
    let files = directory.join("files");
    fs::create_dir_all(&files)?;
    let paths = ["log", "report", "suppressions"].map(|key| format!("{key}={}/{key}", files.display())).join(":");
    let options = format!("{paths}:journal={}:stacks=3:help=1", files.display());
    let turn = Turn::take(&own_source("secure"))?;
    let (ended, _) = turn.run(Run::new(&copy).user(65534).options(&options))?;
    let output = ended.output();
    check!(ended.how() == "0", "ended {}:{}", ended.how(), Shown(&ended.stderr));
    if !output.contains("secure 1") {
        return Err(Stop::Unfit("a temporary directory that honours set-user-ID".to_string()));
    }
    let made: Vec<_> = fs::read_dir(&files)?.flatten().map(|entry| entry.file_name()).collect();
    check!(made.is_empty(), "files were made: {made:?}");
    let said = ended.errors();
    for key in ["log", "report", "suppressions", "journal"] {
        let named = said.lines().any(|line| line.starts_with("shmaudit: ") && line.contains(&format!("{key} ")));
        check!(named, "no word that {key} is ignored:{}", Shown(&ended.stderr));
    }
    check!(said.contains("stacks=3"), "options that name no file are ignored too:{}", Shown(&ended.stderr));
    Ok(())
}

/// Execute permission without read permission: no symbols, but the leak.
fn unreadable_program() -> Verdict {
    need_root()?;
    let trial = "hardship::unreadable_program";
    let directory = place::directory(trial)?;
    let scenario = Scenario::named("leak_posix");
    let copy = directory.join("leak_posix");
    fs::copy(scenario.program(&Variant::plain())?, &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o711))?;
    let turn = scenario.turn()?;
    let (plain, _) = turn.run(scenario.plain(trial)?)?;
    let (ended, _) = turn.run(Run::new(&copy).user(65534).preloaded("log=off"))?;
    ended.same_as(&plain)?;
    check!(ended.errors().contains("/shmaudit-leak_posix"), "the leak is not named:{}", Shown(&ended.stderr));
    Ok(())
}

/// A root directory without /proc: the kernel's tables cannot be asked.
fn no_proc() -> Verdict {
    need_root()?;
    let trial = "hardship::no_proc";
    let root = place::directory(trial)?.join("root");
    let scenario = Scenario::named("leak_posix");
    let (_, gcc) = (need("chroot")?, need("musl-gcc")?);
    drop(gcc);
    let program = scenario.program(&Variant::of("musl-gcc", &["-O0", "-g"]))?;
    let loader = fs::read_dir("/lib")?.flatten().map(|entry| entry.path()).find(|path| is_musl_loader(path));
    let Some(loader) = loader else { fail!("musl's loader is not in /lib") };
    fs::create_dir_all(root.join("lib"))?;
    fs::create_dir_all(root.join("dev/shm"))?;
    fs::copy(&loader, root.join("lib").join(loader.file_name().unwrap_or_default()))?;
    fs::copy(&program, root.join("leak_posix"))?;
    fs::copy(place::library(), root.join("libshmaudit.so"))?;
    let run = |preload: Option<&str>| {
        // Inside, a plain directory stands for the shm mount.
        let _ = fs::remove_file(root.join("dev/shm/shmaudit-leak_posix"));
        let script = format!("{} exec chroot \"$0\" /leak_posix", preload.unwrap_or(""));
        Run::new("sh").args(["-c", &script]).arg(&root).end()
    };
    let plain = run(None)?;
    check!(plain.how() == "0", "the plain program ended {}:{}", plain.how(), Shown(&plain.stderr));
    let ended = run(Some("LD_PRELOAD=/libshmaudit.so"))?;
    ended.same_as(&plain)?;
    check!(ended.errors().contains("shm_open(\"/shmaudit-leak_posix\""), "no log:{}", Shown(&ended.stderr));
    Ok(())
}

fn is_musl_loader(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("ld-musl-"))
}

/// A symbolic link in the log's place is not followed: what it leads to stays as it was.
fn log_follows_no_link() -> Verdict {
    let trial = "hardship::log_follows_no_link";
    let directory = place::directory(trial)?;
    let target = directory.join("precious");
    fs::write(&target, "precious")?;
    std::os::unix::fs::symlink(&target, directory.join("link"))?;
    for key in ["log", "report"] {
        let other = if key == "log" { "report=off" } else { "log=off" };
        let options = format!("{other}:{key}={}/link", directory.display());
        let ended = same("leak_posix", trial, |run| run.preloaded(&options))?;
        check!(ended.errors().contains("/link"), "not a word that the link is not followed:{}", Shown(&ended.stderr));
        check!(fs::metadata(&target)?.size() == 8, "{key} followed the link");
    }
    Ok(())
}

/// Relative paths are those of the directory that the program was started in: one log, the report beside it, and the
/// suppressions found.
fn goes_elsewhere() -> Verdict {
    let directory = place::directory("hardship::goes_elsewhere")?;
    let other = directory.join("other");
    fs::create_dir(&other)?;
    fs::write(directory.join("known"), "leak:wanders-before\n")?;
    let program = build::own("wanders", &Variant::plain().and(&["-lrt"]))?;
    let run = Run::new(program).arg(&other).within(&directory);
    let run = run.preloaded("log=calls.log:report=report.txt:suppressions=known:trace=posix");
    let (ended, _) = Turn::take(&own_source("wanders"))?.run(run)?;
    ended.well()?.is_quiet()?;
    let read = |name: &str| fs::read_to_string(directory.join(name)).map_err(|error| format!("{name}: {error}"));
    let (log, report) = (read("calls.log")?, read("report.txt")?);
    check!(log.lines().count() == 2 && log.contains("wanders-after"), "the log:\n{log}");
    let left_out = report.contains("1 finding by leak:wanders-before") && !report.contains("/shmaudit-wanders-before");
    check!(left_out && report.contains("/shmaudit-wanders-after"), "the report:\n{report}");
    check!(fs::read_dir(&other)?.next().is_none(), "something is written to where the program went");
    Ok(())
}
