//! The start: before the program's own code where the loader runs our constructor, else at the first hook.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicU64, Ordering};

use shmaudit_core::options::{Letters, Options, Target, expand};
use shmaudit_core::procfs;

use crate::audit::{self, Audit};
use crate::log::{self, Log};
use crate::recorder::Recorder;
use crate::{clock, elf, end, errno, fds, filter, modules, next, process, stack, sys};

/// What the loader gives a constructor (glibc; musl gives nothing).
#[derive(Clone, Copy)]
pub struct Given {
    envp: *const *const c_char,
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = constructor;

extern "C" fn constructor(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    // musl passes nothing, and the registers hold anything. The real thing proves itself: envp follows argv's NULL.
    let real = (1..1 << 20).contains(&argc)
        && !argv.is_null()
        && (argv as usize).is_multiple_of(8)
        && envp as usize == argv as usize + (argc as usize + 1) * 8;
    let kept = errno::Kept::new();
    audit::begin(if real { Some(Given { envp }) } else { None });
    drop(kept);
    wrong!(ErrnoAtStart => { errno::set(libc::ENOENT) });
}

/// Functions and variables of the C library that are not intercepted.
struct Libc {
    environ: usize,
    getauxval: usize,
    on_exit: usize,
    at_quick_exit: usize,
}

impl Libc {
    fn find() -> Libc {
        let names = [c"environ", c"getauxval", c"on_exit", c"__cxa_at_quick_exit", c"at_quick_exit"];
        let mut found = [0usize; 5];
        elf::definitions(&names, |index, address| {
            if let Some(place) = found.get_mut(index) {
                *place = address;
            }
        });
        // musl has the function itself; it ignores the second argument that glibc's inner one takes.
        let [environ, getauxval, on_exit, glibc, musl] = found;
        let at_quick_exit = if glibc != 0 { glibc } else { musl };
        Libc { environ, getauxval, on_exit, at_quick_exit }
    }

    /// What the kernel told the program at its start; 0 where it cannot be asked.
    fn auxiliary(&self, kind: u64) -> usize {
        if self.getauxval == 0 {
            return 0;
        }
        // SAFETY: getauxval(3)'s prototype.
        let getauxval: extern "C" fn(usize) -> usize = unsafe { core::mem::transmute(self.getauxval) };
        getauxval(kind as usize)
    }

    fn environment(&self) -> *const *const c_char {
        if self.environ == 0 {
            return core::ptr::null();
        }
        // SAFETY: `char **environ`.
        unsafe { *(self.environ as *const *const *const c_char) }
    }
}

/// The value of an environment variable.
fn variable(envp: *const *const c_char, name: &[u8]) -> Vec<u8> {
    let mut at = envp;
    while !at.is_null() {
        // SAFETY: the environment is an array of strings ended by NULL.
        let entry = unsafe { *at };
        if entry.is_null() {
            break;
        }
        // SAFETY: as above.
        let entry = unsafe { CStr::from_ptr(entry) }.to_bytes();
        if let Some(value) = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) {
            return value.to_vec();
        }
        // SAFETY: not the last entry.
        at = unsafe { at.add(1) };
    }
    Vec::new()
}

/// A whole small file, at most `most` bytes; empty where it cannot be read.
pub fn read_file(path: sys::CStr, most: usize) -> Vec<u8> {
    let Ok(fd) = sys::open(path, libc::O_RDONLY, 0) else { return Vec::new() };
    read_all(&fd, most)
}

/// All that `fd` gives, at most `most` bytes; what it gave until an error.
pub fn read_all(fd: &sys::Fd, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while matches!(read_on(fd, most, &mut bytes), Ok(true)) {}
    bytes
}

/// The same, or the errno where it gives an error instead: of a directory, `EISDIR`.
pub fn try_read_all(fd: &sys::Fd, most: usize) -> Result<Vec<u8>, i32> {
    let mut bytes = Vec::new();
    while read_on(fd, most, &mut bytes)? {}
    Ok(bytes)
}

/// Reads once more, at most until there are `most` bytes; whether there may be more.
fn read_on(fd: &sys::Fd, most: usize, bytes: &mut Vec<u8>) -> Result<bool, i32> {
    let had = bytes.len();
    if had >= most {
        return Ok(false);
    }
    bytes.resize((had + (had / 2).max(4096)).min(most), 0);
    let got = bytes.get_mut(had..).map_or(Ok(0), |room| sys::read(fd.0, room));
    bytes.truncate(had + *got.as_ref().unwrap_or(&0));
    got.map(|got| got > 0)
}

/// The path of the program's executable.
pub fn executable() -> Vec<u8> {
    let mut room = [0u8; 4096];
    // SAFETY: the kernel fills at most as many bytes as we say.
    let length = unsafe {
        sys::call(
            libc::SYS_readlinkat,
            libc::AT_FDCWD as usize,
            c"/proc/self/exe".as_ptr() as usize,
            room.as_mut_ptr() as usize,
            room.len(),
            0,
            0,
        )
    };
    room.get(..length.max(0) as usize).unwrap_or(&[]).to_vec()
}

/// The program's working directory; `None` where it has no path, or one that is not UTF-8.
fn working_directory() -> Option<String> {
    let mut room = [0u8; 4096];
    // SAFETY: the kernel fills at most as many bytes as we say, NUL among them.
    let length = unsafe { sys::call(libc::SYS_getcwd, room.as_mut_ptr() as usize, room.len(), 0, 0, 0, 0) };
    let path = room.get(..usize::try_from(length).ok()?.checked_sub(1)?)?;
    // One that is not below the root begins otherwise.
    core::str::from_utf8(path).ok().filter(|path| path.starts_with('/')).map(ToString::to_string)
}

/// Makes the audit. `None`: it cannot work here; one line said so, and the program runs on.
pub fn start(given: Option<Given>) -> Option<Audit> {
    next::resolve();
    filter::start();
    log::look_at_stderr();
    let libc = Libc::find();
    sys::set_page_size(libc.auxiliary(libc::AT_PAGESZ));
    let envp = given.map_or_else(|| libc.environment(), |given| given.envp);
    let value = match envp.is_null() {
        // Before the C library's own start, in .preinit_array: the kernel still knows.
        true => {
            procfs::environ(&read_file(c"/proc/self/environ", 1 << 20), b"SHMAUDIT_OPTIONS").unwrap_or(&[]).to_vec()
        }
        false => variable(envp, b"SHMAUDIT_OPTIONS"),
    };
    let secure = libc.auxiliary(libc::AT_SECURE) != 0;
    #[cfg(feature = "wrong")]
    let secure = secure && !crate::wrong::is(crate::wrong::Wrong::TrustsCaller);
    let (mut options, warnings) = Options::parse(&value, secure);
    for warning in &warnings {
        log::say(&[warning]);
    }
    if !options.follow && is_parent_audited() {
        return None;
    }
    let recorder = make_recorder(&options)?;
    if let Ok(stat) = sys::stat_at(libc::AT_FDCWD, c"/dev/shm", 0) {
        fds::set_shm_dev(stat.st_dev);
        recorder.set(shmaudit_core::layout::header::SHM_DEV, stat.st_dev);
    }
    let exe = executable();
    let namespaces = namespace(c"/proc/self/ns/pid") | namespace(c"/proc/self/ns/ipc") << 32;
    if !recorder.is_session() {
        recorder.set(shmaudit_core::layout::header::NAMESPACES, namespaces);
    }
    // By the first thread's entry, which says the same: in the other, qemu's user mode writes a time of its own.
    let stat = CString::new(format!("/proc/self/task/{}/stat", sys::getpid())).unwrap_or_default();
    let stat = read_file(&stat, 4096);
    let starttime = procfs::proc_stat(&stat).map_or(0, |stat| stat.starttime);
    process::start(&recorder, &exe, &read_file(c"/proc/self/cmdline", 4096), starttime, namespaces, options.follow);
    modules::record(&recorder, process::me(&recorder), &exe);
    if options.stacks > 0 {
        // The kernel puts the program's name at the top of the first stack, above every frame.
        stack::start(libc.auxiliary(libc::AT_EXECFN));
    }
    if options.help {
        help(&options);
    }
    if options.has_relative()
        && let Some(directory) = working_directory()
    {
        options.count_from(&directory);
    }
    let log = open_log(&options, &exe);
    end::register(libc.on_exit, libc.at_quick_exit);
    Some(Audit { recorder, options, log })
}

/// The inode number of a namespace; 0 where it is not known.
pub fn namespace(path: sys::CStr) -> u64 {
    wrong!(OneNamespace => { return 1 });
    sys::stat_at(libc::AT_FDCWD, path, 0).map_or(0, |stat| u64::from(stat.st_ino as u32))
}

/// In a file where the options want one, else, and where that cannot be, in memory. `None` where nothing can be.
fn make_recorder(options: &Options) -> Option<Recorder> {
    if let Some(path) = &options.session {
        // Who cannot join is not audited, and the supervisor, which sees it, says so: the program's stderr is its own.
        return Recorder::join(path, options.stacks).ok();
    }
    if let Some(directory) = &options.journal {
        match Recorder::journal(directory, sys::getpid() as u32, options.stacks) {
            Ok(recorder) => return Some(recorder),
            Err(errno) => log::say(&["journal ", directory, ": ", errno_name(errno), ": recording in memory instead"]),
        }
    }
    match Recorder::anonymous(options.stacks) {
        Ok(recorder) => Some(recorder),
        Err(errno) => {
            log::say(&["no memory for the recorder (", errno_name(errno), "): this program is not audited"]);
            None
        }
    }
}

fn errno_name(errno: i32) -> &'static str {
    shmaudit_core::words::errno_name(errno).unwrap_or("?")
}

/// Whether the process that started this one has the library loaded: with `follow=0` the audit ends there.
fn is_parent_audited() -> bool {
    let path = CString::new(format!("/proc/{}/maps", sys::getppid())).unwrap_or_default();
    read_file(&path, 8 << 20).windows(b"libshmaudit.so".len()).any(|window| window == b"libshmaudit.so")
}

fn help(options: &Options) {
    log::to_stderr(options.help().as_bytes());
}

fn open_log(options: &Options, exe: &[u8]) -> Option<Log> {
    match &options.log {
        Target::Off => None,
        Target::Stderr => Some(Log::stderr()),
        Target::Path(path) => {
            let path = expand_path(path, exe, sys::getpid() as u32);
            match Log::file(&path) {
                Ok(log) => Some(log),
                Err(errno) => {
                    wrong!(NeedsLog => { crate::wrong::fault() });
                    log::say(&["log ", &path, ": ", errno_name(errno), ": no log"]);
                    None
                }
            }
        }
    }
}

/// Puts in what the `%` letters of a path stand for.
pub fn expand_path(path: &str, exe: &[u8], pid: u32) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let base = exe.rsplit(|&byte| byte == b'/').next().unwrap_or(exe);
    let program = String::from_utf8_lossy(base).to_string();
    let host = String::from_utf8_lossy(&read_file(c"/proc/sys/kernel/hostname", 256)).trim().to_string();
    let letters = Letters {
        pid,
        program: &program,
        unix: clock::realtime() / 1_000_000_000,
        host: &host,
        counter: COUNTER.fetch_add(1, Ordering::Relaxed),
    };
    expand(path, &letters)
}
