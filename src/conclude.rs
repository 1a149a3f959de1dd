//! The verdict: records and kernel tables to the core, its report to where the options say. Runs contained.

use alloc::ffi::CString;
use alloc::string::{String, ToString};
use core::ffi::c_void;
use core::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use shmaudit_core::findings::{Concluding, living};
use shmaudit_core::options::{Format, Options, Target};
use shmaudit_core::reader::Reader;
use shmaudit_core::report::{self, Named, Report, Settings};
use shmaudit_core::sources::Sources;
use shmaudit_core::suppress::Suppressions;
use shmaudit_core::{json, text};

use crate::audit::Audit;
use crate::start::{executable, expand_path, try_read_all};
use crate::symbols::{Maps, NoFiles};
use crate::world::World;
use crate::{contain, filter, log, process, sys};

/// Most bytes of a suppression file.
const SUPPRESSIONS_BYTES: usize = 1 << 20;

/// One at a time; stays spoilt when one went wrong, for what it left is not to be trusted.
static STAGE: AtomicU8 = AtomicU8::new(FREE);
const FREE: u8 = 0;
const BUSY: u8 = 1;
const SPOILT: u8 = 2;

/// In a forked child: who concludes is not there, and the heap that it used is made anew.
pub fn forked() {
    let _ = STAGE.compare_exchange(BUSY, FREE, Ordering::AcqRel, Ordering::Relaxed);
}

/// How often the last word waits for another to be spoken, and how long each time: two seconds.
const NAPS: usize = 10_000;
const NAP_NS: i64 = 200_000;

struct Task {
    audit: &'static Audit,
    ending: bool,
    /// Only leaks of what was made after this order.
    since: Option<u64>,
    /// Whether addresses are to be named, by the files that were loaded.
    names: bool,
    errors: AtomicI32,
}

/// Concludes and reports. `ending`: this process speaks its last word, and only if nobody else will speak it. `since`: only
/// leaks of what was made after this order, and nothing where there are none. Returns the number of findings of severity
/// error; `EBUSY` where somebody else is at it, `EIO` where it could not be finished.
pub fn report(audit: &'static Audit, ending: bool, since: Option<u64>) -> Result<i32, i32> {
    if filter::is_own() {
        // The program's own filter may kill it for any call of ours.
        return Err(libc::EIO);
    }
    // The last word is not lost to a thread that happens to ask at that moment.
    let mut naps = if ending { NAPS } else { 0 };
    while let Err(stage) = STAGE.compare_exchange(FREE, BUSY, Ordering::AcqRel, Ordering::Relaxed) {
        if stage == SPOILT || naps == 0 {
            return Err(if stage == BUSY { libc::EBUSY } else { libc::EIO });
        }
        naps -= 1;
        sys::nap(NAP_NS);
    }
    audit.recorder.read_clocks();
    let mut task = Task { audit, ending, since, names: true, errors: AtomicI32::new(-1) };
    let mut done = contain::run_apart(work, (&raw const task).cast_mut().cast(), &task.errors);
    if !done {
        // Files are what may change or lie.
        task.names = false;
        done = contain::run_apart(work, (&raw const task).cast_mut().cast(), &task.errors);
    }
    if !done {
        STAGE.store(SPOILT, Ordering::Release);
        log::say(&["the report could not be finished; the program is not concerned"]);
        return Err(libc::EIO);
    }
    STAGE.store(FREE, Ordering::Release);
    match task.errors.load(Ordering::Acquire) {
        -1 => Err(libc::EIO),
        errors => Ok(errors),
    }
}

fn work(task: *mut c_void) {
    // SAFETY: `report` passes its task and waits.
    let task = unsafe { &*task.cast::<Task>() };
    wrong!(FaultAtEnd => { crate::wrong::fault() });
    wrong!(PanicAtEnd => { panic!() });
    let audit = task.audit;
    let me = process::me(&audit.recorder);
    let mut world = World { pid: me.pid };
    let Ok(reader) = Reader::new(&audit.recorder) else { return };
    let sources = Sources::from(reader);
    let concluding = Concluding { pid: me.pid, slot: me.slot, exiting: task.ending };
    // The last one reports for all, the first in any case.
    if task.ending && !process::is_root() && !living(&sources.processes(), &mut world, Some(concluding)).is_empty() {
        task.errors.store(0, Ordering::Release);
        return;
    }
    let settings = Settings {
        concluding: Some(concluding),
        suppressions: suppressions(&audit.options),
        since: task.since,
        ..Settings::default()
    };
    let report = match task.names {
        true => report::conclude(&sources, &mut world, &mut Named::new(&sources, Maps), &settings),
        false => report::conclude(&sources, &mut world, &mut Named::new(&sources, NoFiles), &settings),
    };
    let nothing = if task.since.is_some() { report.findings.is_empty() } else { report.is_silent() };
    if !nothing {
        write(&audit.options, &report, me.pid);
    }
    task.errors.store(report.summary.errors.min(i32::MAX as u64) as i32, Ordering::Release);
}

fn suppressions(options: &Options) -> Suppressions {
    let mut suppressions = Suppressions::default();
    let Some(path) = &options.suppressions else { return suppressions };
    let Ok(file) = CString::new(path.clone()) else { return suppressions };
    // Without a wait: a pipe that nobody writes to is empty.
    let text =
        sys::open(&file, libc::O_RDONLY | libc::O_NONBLOCK, 0).and_then(|fd| try_read_all(&fd, SUPPRESSIONS_BYTES));
    let text = match text {
        Ok(text) => text,
        Err(errno) => {
            let name = shmaudit_core::words::errno_name(errno).unwrap_or("?");
            log::say(&["suppressions ", path, ": ", name, ": none in force"]);
            return suppressions;
        }
    };
    if text.len() == SUPPRESSIONS_BYTES {
        log::say(&["suppressions ", path, ": larger than 1 MiB: the rest is not in force"]);
    }
    for mistake in suppressions.add(&text) {
        log::say(&["suppressions ", path, " line ", &mistake.line.to_string(), ": ", &mistake.message]);
    }
    suppressions
}

fn write(options: &Options, report: &Report, pid: u32) {
    let text = match options.report_format {
        Format::Text => text::text(report),
        Format::Json => json::json(report),
    };
    match &options.report {
        Target::Off => {}
        Target::Stderr => {
            log::to_stderr(text.as_bytes());
        }
        Target::Path(path) => {
            let path = expand_path(path, &executable(), pid);
            if let Err(errno) = write_file(&path, &text, options.report_format) {
                let name = shmaudit_core::words::errno_name(errno).unwrap_or("?");
                log::say(&["report ", &path, ": ", name]);
            }
        }
    }
}

/// Reports in text follow each other in one file; JSON is one document.
fn write_file(path: &str, text: &str, format: Format) -> Result<(), i32> {
    let path = CString::new(String::from(path)).map_err(|_| libc::EINVAL)?;
    let how = if format == Format::Json { libc::O_TRUNC } else { libc::O_APPEND };
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK | how;
    let file = sys::open(&path, flags, 0o600)?;
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        let written = sys::write(file.0, bytes)?;
        bytes = bytes.get(written..).unwrap_or(&[]);
    }
    Ok(())
}
