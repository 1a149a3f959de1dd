//! Proof that the trials would find what they are there to find: each known way to break a program is tried on them.
//!
//! `make wrong` builds the library with deliberately wrong ways (`src/wrong.rs`), of which the environment puts one in
//! force. A trial of this suite, run by itself against that library, must fail where the way is wrong for it, and pass where
//! none is in force. What is wrong with being loaded has libraries of its own (`programs/naive.c`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::build::{self, Variant};
use crate::run::Run;
use crate::trial::{Shown, Stop, Trials, Verdict};
use crate::{check, place};

/// A known way to break a program, the trial that would find it, and the wrong way to do it that proves so.
struct Harm {
    /// What naive libraries do to programs.
    harm: &'static str,
    /// The trial.
    trial: &'static str,
    /// The wrong way.
    wrong: &'static str,
}

const fn harm(harm: &'static str, trial: &'static str, wrong: &'static str) -> Harm {
    Harm { harm, trial, wrong }
}

const HARMS: &[Harm] = &[
    // Loading.
    harm("a library bound to its own C library", "surroundings::musl_program", "naive.c"),
    harm("a library bound to its own C library", "elf::dynamic_section", "naive.c"),
    harm(
        "a strong reference that old C libraries lack",
        "elf::undefined_are_in_every_libc",
        "naive.c -DSTRONG -nostdlib",
    ),
    harm(
        "dlclose takes live code away",
        "elf::dynamic_section",
        "naive.c -DBARE -nostdlib -Wl,-soname,libshmaudit.so.0",
    ),
    harm("thread-local memory in the smallest threads", "surroundings::smallest_threads", "naive.c -DTLS"),
    harm("thread-local memory", "elf::no_thread_local_storage", "naive.c -DTLS"),
    harm("a name that is not ours is exported", "surroundings::cxx_program", "naive.c -DUNWIND"),
    harm("a name that is not ours is exported", "elf::exports_are_the_list", "naive.c -DUNWIND"),
    harm("options of a set-user-ID program's caller", "hardship::set_user_id", "trusts-caller"),
    harm("the constructor leaves errno", "scenarios::errno_at_start::preloaded", "errno-at-start"),
    // Order.
    harm("hooks run before the constructor", "scenarios::constructor_early::preloaded", "needs-constructor"),
    harm("hooks run before any constructor", "scenarios::preinit_call::preloaded", "needs-constructor"),
    harm("hooks run after the destructor", "scenarios::stdio_at_exit::preloaded", "unmap-at-end"),
    harm("dlsym eats the program's dlerror", "scenarios::dlerror_kept::preloaded", "dlsym-in-hook"),
    harm("the next definition is our own", "scenarios::posix_shm::preloaded", "next-is-own"),
    harm("whoever is next is passed by", "chains::counter::behind_us", "last-is-next"),
    harm("mmap64, open64, __open_2 are what programs call", "scenarios::other_names::preloaded", "first-names"),
    harm("an inner call is counted beside its caller", "chains::old_librt", "counts-twice"),
    // Concurrency.
    harm("a signal handler calls what it interrupted", "scenarios::signal_in_hook::preloaded", "lock-in-hook"),
    harm("siglongjmp out of a hook", "scenarios::siglongjmp_out::preloaded", "lock-in-hook"),
    harm("fork with threads", "scenarios::fork_threads::preloaded", "lock-in-hook"),
    harm("pthread_cancel in a call of ours", "scenarios::cancel_pending::preloaded", "cancel-in-hook"),
    harm("forks that pass the handlers by", "family::each_way_to_fork", "blind-to-fork"),
    harm("a vfork child in its parent's memory", "scenarios::vfork_exec::preloaded", "blind-to-vfork"),
    harm("vfork comes back twice", "surroundings::vfork_program", "naive.c -DVFORK"),
    harm("a vfork child's descriptors", "family::a_vfork_childs_descriptors", "blind-to-vfork"),
    harm("re-use between a release and its note", "scenarios::reuse_race::preloaded", "notes-after"),
    harm("a hook of mmap that allocates", "scenarios::own_malloc::preloaded", "malloc-in-hook"),
    harm("16 KiB threads", "scenarios::small_stack::preloaded", "stack-in-hook"),
    harm("signal stacks", "scenarios::sigaltstack_call::preloaded", "stack-in-hook"),
    harm("another errno after a call", "scenarios::errno_kept::preloaded", "errno-in-hook"),
    harm("a stack that begins as another did", "stacks::as_libgcc_walks::again::O2_no_frame_pointer", "believes-paths"),
    harm(
        "frames as large together as others were",
        "stacks::as_libgcc_walks::shared_rooms::O2_no_frame_pointer",
        "forgets-pointers",
    ),
    // The environment.
    harm("the log's number is the program's file", "scenarios::closes_all_fds::all_on_stderr", "trusts-number"),
    harm("the log's number is the program's file", "hardship::log_is_the_programs_own_number", "trusts-number"),
    harm("a descriptor is held", "scenarios::descriptor_numbers::preloaded", "holds-descriptor"),
    harm("the log takes a low number", "scenarios::descriptor_numbers::log_in_file", "low-log"),
    harm("the log keeps the number that F_DUPFD wants", "scenarios::descriptor_numbers::log_in_file", "keeps-place"),
    harm("files are opened in the program's table", "surroundings::descriptors_seen", "opens-in-table"),
    harm("seccomp: getpid", "hookpath::filter::own_calls_only", "getpid-in-hook"),
    harm("seccomp: statx", "hookpath::filter::own", "ignores-filter"),
    harm("seccomp: the report", "hookpath::filter::with_log_and_report", "ignores-filter"),
    harm("seccomp: getpid in a vfork child", "hookpath::filter::vfork", "ignores-filter"),
    harm("a sparse journal on a full disk", "surroundings::journal_on_full_file_system", "sparse-journal"),
    harm("RLIMIT_FSIZE", "hardship::file_size_limit", "plain-write"),
    harm("RLIMIT_AS", "surroundings::address_space_is_the_programs", "large-recorder"),
    harm("RLIMIT_MEMLOCK and mlockall", "surroundings::memory_lock_is_the_programs", "locks-all"),
    harm("RLIMIT_NOFILE", "hardship::few_descriptors", "holds-descriptor"),
    harm("the log cannot be opened", "hardship::log_in_no_directory", "needs-log"),
    harm("the log cannot be opened after chroot", "surroundings::log_lost_by_chroot", "needs-log"),
    harm("stderr is closed", "hardship::stderr_closed", "needs-log"),
    harm("stderr is a full device", "hardship::stderr_full_device", "needs-log"),
    harm("the log's file system is full", "hardship::full_file_system", "needs-log"),
    harm("stderr is a closed pipe", "hardship::stderr_closed_pipe", "plain-write"),
    harm("stderr is a pipe that nobody reads", "hardship::stderr_pipe_that_nobody_reads", "plain-write"),
    harm("stderr is somebody else's file", "hardship::stderr_number_taken_by_the_programs_file", "trusts-number"),
    harm("names with escape bytes", "scenarios::names_odd_bytes::all_on_stderr", "raw-names"),
    harm("pointers that cannot be read", "scenarios::fault_pointers::preloaded", "reads-early"),
    harm("no child for the report: clone refused", "surroundings::clone_refused", "needs-child"),
    harm("no child for the report: unshare(CLONE_NEWPID)", "surroundings::new_pid_namespace", "needs-child"),
    // Semantics: what is not seen is reported wrongly.
    harm("shmdt ends an attachment", "scenarios::double_detach::preloaded", "forgets-shmdt"),
    harm("IPC_RMID ends a segment", "scenarios::use_after_unlink::preloaded", "forgets-shmctl"),
    harm("shm_unlink ends a name", "scenarios::use_after_unlink::preloaded", "forgets-shm_unlink"),
    harm("rename moves an object", "scenarios::rename_object::preloaded", "forgets-rename"),
    harm("a link is another name", "scenarios::link_leak::preloaded", "forgets-link"),
    harm("a link leaves the first name", "scenarios::link_leak::preloaded", "links-rename"),
    harm("each name of a link goes by itself", "scenarios::link_clean::preloaded", "forgets-shm_unlink"),
    harm("relative paths: what they make", "scenarios::relative_leak::preloaded", "paths-as-spelled"),
    harm("relative paths: what they remove", "scenarios::relative_clean::preloaded", "paths-as-spelled"),
    harm("an object is opened again by its name", "scenarios::shared_create::preloaded", "forgets-close"),
    harm("an object is cut short below a mapping", "scenarios::map_beyond_end::preloaded", "forgets-ftruncate"),
    harm(
        "a child detaches what its parent attached",
        "scenarios::detach_by_child::preloaded",
        "forgets-shmdt,trusts-records",
    ),
    harm("munmap of a part, or of all", "scenarios::partial_munmap::preloaded", "forgets-munmap,trusts-records"),
    harm("mremap moves a mapping", "scenarios::mremap_move::preloaded", "forgets-munmap,trusts-records"),
    harm("SHM_REMAP over an attachment", "scenarios::shm_remap_over::preloaded", "forgets-shmdt,trusts-records"),
    harm("descriptors end without close: fclose", "scenarios::fclose_inner::preloaded", "trusts-records"),
    harm(
        "descriptors end without close: closefrom",
        "scenarios::dup_family::preloaded",
        "forgets-closefrom,trusts-records",
    ),
    harm(
        "descriptors end without close: close_range",
        "scenarios::dup_family::preloaded",
        "forgets-close_range,trusts-records",
    ),
    harm("descriptors end without close: dup2", "scenarios::dup_family::preloaded", "forgets-dup2,trusts-records"),
    harm("descriptors end without close: dup3", "scenarios::dup_family::preloaded", "forgets-dup3,trusts-records"),
    harm("MAP_FIXED over a mapping", "scenarios::map_fixed_over::preloaded", "blind-to-fixed,trusts-records"),
    harm("shmids are equal across namespaces", "run::ipc_namespaces", "one-namespace"),
    harm("somebody else removed it", "scenarios::vanished::preloaded", "trusts-makers"),
    harm("exec ends what was held", "identity::exec_ends_what_was_held", "blind-to-exec"),
    harm("a pid comes again", "identity::a_pid_comes_again", "trusts-pid"),
    harm("names that the C library refuses", "scenarios::names_bad::preloaded", "no-librt,any-name"),
    harm("a shmid comes again", "identity::a_shmid_comes_again", "trusts-ids"),
    harm("a name comes again", "journal::names_that_change_hands", "trusts-names"),
    harm(
        "shm_rmid_forced: the kernel removes orphans",
        "surroundings::orphans_removed_by_the_kernel",
        "blind-to-settings",
    ),
    harm("IPC_RMID while attached", "scenarios::removed_while_attached::preloaded", "forgets-shmctl"),
    harm("SHM_STAT takes an index, returns an id", "scenarios::shm_stat_info::preloaded", "forgets-shmctl"),
    harm("nattch counts mappings", "scenarios::attach_split::preloaded", "forgets-shmdt,trusts-records"),
    harm("sem_open by link", "scenarios::semaphore_by_link::preloaded", "semaphores-are-objects"),
    harm("a descriptor by SCM_RIGHTS, unlinked", "scenarios::fd_passed::preloaded", "trusts-table"),
    harm("a memfd has no name", "scenarios::own_malloc::preloaded", "forgets-memfd_create"),
    harm("who makes what another removed", "scenarios::fork_child_leaks::preloaded", "forgets-close"),
];

/// Trials and wrong ways that make their program wait for ever: only there a program that does not end in time is found out.
const HANGS: &[(&str, &str)] = &[
    ("scenarios::signal_in_hook::preloaded", "lock-in-hook"),
    ("scenarios::siglongjmp_out::preloaded", "lock-in-hook"),
    ("scenarios::fork_threads::preloaded", "lock-in-hook"),
    ("scenarios::own_malloc::preloaded", "malloc-in-hook"),
    ("hardship::stderr_pipe_that_nobody_reads", "plain-write"),
];

/// To be survived: what goes wrong while the report is made is the report's end, not the program's; where there is no next
/// definition, we do what it would.
const SURVIVED: &[(&str, &str, &str)] = &[
    ("a fault while the report is made", "surroundings::report_goes_wrong", "fault-at-end"),
    ("a panic while the report is made", "surroundings::report_goes_wrong", "panic-at-end"),
    ("shm_open is in a library that is not loaded", "scenarios::posix_shm::preloaded", "no-librt"),
    ("shm_open is in a library that is not loaded", "scenarios::names_dots::preloaded", "no-librt"),
    ("shm_open is in a library that is not loaded", "scenarios::shared_create::preloaded", "no-librt"),
    ("shm_open is in a library that is not loaded", "scenarios::errno_kept::preloaded", "no-librt"),
];

/// What was tried: harm, trial, wrong way, outcome.
static TRIED: Mutex<BTreeSet<(String, String, String, &'static str)>> = Mutex::new(BTreeSet::new());

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    for harm in HARMS {
        trials.add(format!("harm::{}::finds::{}", harm.trial, harm.wrong), || is_found(harm));
    }
    let known: BTreeSet<&str> = HARMS.iter().map(|harm| harm.trial).collect();
    for trial in known {
        trials.add(format!("harm::{trial}::passes"), move || passes(trial, "none"));
    }
    for (harm, trial, wrong) in SURVIVED {
        trials.add(format!("harm::{trial}::survives::{wrong}"), move || {
            let verdict = passes(trial, wrong);
            note(harm, trial, wrong, if verdict.is_ok() { "survived" } else { "NOT SURVIVED" });
            verdict
        });
    }
    trials.add("harm::a_release_has_no_wrong_ways", no_wrong_ways);
}

/// The library with the wrong ways.
fn library() -> Result<PathBuf, Stop> {
    let path = match std::env::var_os("SHMAUDIT_WRONG_LIB") {
        Some(path) => PathBuf::from(path),
        None => place::workspace().join("target/wrong/libshmaudit.so"),
    };
    if path.is_file() { Ok(path) } else { Err(Stop::Needs("the library with wrong ways (make wrong)".to_string())) }
}

/// The library that is wrong in this way: `naive.c` with options is one of its own (`programs/naive.c`).
fn library_for(wrong: &str) -> Result<PathBuf, Stop> {
    let mut words = wrong.split(' ');
    if words.next() != Some("naive.c") {
        return library();
    }
    let options: Vec<&str> = ["-shared", "-fPIC", "-O1"].into_iter().chain(words).collect();
    build::own("naive", &Variant::of("gcc", &options))
}

/// Runs one trial by itself against that library, with `wrong` in force. Whether it passed, and what was said.
fn alone(trial: &str, wrong: &str, seconds: &str) -> Result<(bool, String), Stop> {
    let run = Run::new(std::env::current_exe()?)
        .args(["--exact", trial, "--test-threads=1"])
        .env("SHMAUDIT_LIB", library_for(wrong)?)
        .env("SHMAUDIT_WRONG", wrong)
        .env("SHMAUDIT_TRIAL_SECONDS", seconds);
    let ended = run.end()?;
    let said = ended.output();
    if said.contains("skipped: ") || said.contains("1 ignored") {
        return Err(Stop::Needs(format!("what {trial} needs")));
    }
    check!(said.contains("running 1 test"), "there is no trial {trial}:{}", Shown(&ended.stdout));
    Ok((ended.how() == "0", said))
}

fn passes(trial: &str, wrong: &str) -> Verdict {
    let (passed, said) = alone(trial, wrong, "60")?;
    check!(passed, "it fails:{}", Shown(said.as_bytes()));
    Ok(())
}

fn is_found(harm: &Harm) -> Verdict {
    let hangs = HANGS.contains(&(harm.trial, harm.wrong));
    let (passed, said) = alone(harm.trial, harm.wrong, if hangs { "10" } else { "90" })?;
    let late = said.contains("not ended after");
    check!(hangs || !late, "{} is not known to hang, and its program did not end in time", harm.wrong);
    note(harm.harm, harm.trial, harm.wrong, if passed { "NOT CAUGHT" } else { "caught" });
    check!(!passed, "{} is not found:{}", harm.wrong, Shown(said.as_bytes()));
    Ok(())
}

/// The library that is shipped reads no such variable.
fn no_wrong_ways() -> Verdict {
    let has = |path: &std::path::Path| -> Result<bool, Stop> {
        let bytes = std::fs::read(path)?;
        Ok(bytes.windows(b"SHMAUDIT_WRONG".len()).any(|window| window == b"SHMAUDIT_WRONG"))
    };
    check!(has(&library()?)?, "the library for tests has none either: this trial proves nothing");
    check!(!has(place::library())?, "the library under test has wrong ways in it");
    Ok(())
}

fn note(harm: &str, trial: &str, wrong: &str, outcome: &'static str) {
    let row = (harm.to_string(), trial.to_string(), wrong.to_string(), outcome);
    TRIED.lock().unwrap_or_else(PoisonError::into_inner).insert(row);
}

/// Prints what was tried, at the end of a run.
pub fn print_table() {
    let tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    if tried.is_empty() {
        return;
    }
    println!("{:<50}  {:<56}  {:<18}  outcome", "known way to break a program", "trial", "tried with");
    for (harm, trial, wrong, outcome) in tried.iter() {
        println!("{harm:<50}  {trial:<56}  {wrong:<18}  {outcome}");
    }
    println!();
}
