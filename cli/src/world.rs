//! The kernel's tables, read with the standard library: what the core asks when it concludes.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use shmaudit_core::kernel::{Elsewhere, FdFacts, FileFacts, Kernel, Lookup, Resource, SHM_MOUNT, Setting, Space};
use shmaudit_core::procfs::{self, Segment};

/// The world as it is now.
pub struct World;

/// When a file was made, or, where that is not kept, changed last: nanoseconds since 1970.
fn born(file: &fs::Metadata) -> u64 {
    let made = file.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let changed = Duration::new(file.ctime().max(0) as u64, file.ctime_nsec().clamp(0, 999_999_999) as u32);
    made.unwrap_or(changed).as_nanos().try_into().unwrap_or(u64::MAX)
}

impl Kernel for World {
    fn segments(&mut self) -> Option<Vec<Segment>> {
        Some(procfs::segments(&fs::read("/proc/sysvipc/shm").ok()?).collect())
    }

    fn ipc_namespace(&mut self) -> u32 {
        crate::system::namespace_of_self("ipc").map_or(0, |number| number as u32)
    }

    fn pid_namespace(&mut self) -> u32 {
        crate::system::namespace_of_self("pid").map_or(0, |number| number as u32)
    }

    fn segments_of(&mut self, namespace: u32) -> Elsewhere {
        crate::elsewhere::segments(namespace)
    }

    fn shm_file(&mut self, name: &[u8]) -> Lookup<FileFacts> {
        match fs::symlink_metadata(Path::new(OsStr::from_bytes(SHM_MOUNT)).join(OsStr::from_bytes(name))) {
            Ok(file) => Lookup::Found(FileFacts {
                dev: file.dev(),
                ino: file.ino(),
                size: file.size(),
                mode: file.mode(),
                uid: file.uid(),
                born: born(&file),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Lookup::Missing,
            Err(_) => Lookup::Unreadable,
        }
    }

    fn shm_files(&mut self) -> Option<Vec<(Vec<u8>, FileFacts)>> {
        let entries = fs::read_dir(OsStr::from_bytes(SHM_MOUNT)).ok()?;
        let fact = |entry: std::io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            match self.shm_file(name.as_bytes()) {
                Lookup::Found(facts) if facts.mode & libc::S_IFMT == libc::S_IFREG => {
                    Some((name.as_bytes().to_vec(), facts))
                }
                _ => None,
            }
        };
        Some(entries.filter_map(fact).collect())
    }

    fn maps(&mut self, pid: u32) -> Option<Vec<u8>> {
        fs::read(format!("/proc/{pid}/maps")).ok()
    }

    fn fds(&mut self, pid: u32) -> Option<Vec<FdFacts>> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let facts = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            let fd = entry.file_name().to_str()?.parse().ok()?;
            let file = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file)?;
            Some(FdFacts { fd, dev: file.dev(), ino: file.ino(), size: file.size() })
        };
        Some(entries.filter_map(facts).collect())
    }

    fn alive(&mut self, pid: u32, starttime: u64, seen: u64) -> bool {
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let clock = |clock| crate::sys::clock(clock);
        procfs::proc_stat(&stat)
            .is_some_and(|stat| stat.is(starttime, seen, clock(libc::CLOCK_REALTIME), clock(libc::CLOCK_BOOTTIME)))
    }

    fn setting(&mut self, setting: Setting) -> Option<u64> {
        procfs::parse_u64(&fs::read(setting.path()).ok()?)
    }

    fn space(&mut self) -> Option<Space> {
        let dev = fs::metadata("/dev/shm").ok()?.dev();
        let mut facts = MaybeUninit::<libc::statvfs>::zeroed();
        // SAFETY: fills one struct statvfs, of which zeroed is a valid one.
        let facts = unsafe {
            if libc::statvfs(c"/dev/shm".as_ptr(), facts.as_mut_ptr()) != 0 {
                return None;
            }
            facts.assume_init()
        };
        Some(Space {
            dev,
            bytes: facts.f_blocks.saturating_mul(facts.f_frsize),
            free: facts.f_bavail.saturating_mul(facts.f_frsize),
            files: facts.f_files,
            free_files: facts.f_ffree,
        })
    }

    fn limit(&mut self, pid: u32, resource: Resource) -> Option<u64> {
        procfs::soft_limit(&fs::read(format!("/proc/{pid}/limits")).ok()?, resource.line().as_bytes())
    }

    fn program(&mut self, pid: u32) -> Option<Vec<u8>> {
        let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
        name.strip_suffix(b"\n").map(<[u8]>::to_vec)
    }

    fn had_children(&mut self, pid: u32) -> Option<bool> {
        procfs::proc_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?).map(|stat| stat.children_faults > 0)
    }
}
