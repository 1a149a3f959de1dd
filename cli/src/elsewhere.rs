//! The segments of other IPC namespaces: read by a thread that enters the namespace, where it is found and that is allowed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use shmaudit_core::kernel::Elsewhere;
use shmaudit_core::procfs;

/// Whoever keeps a namespace.
struct Keeper {
    /// A file that leads to it.
    path: PathBuf,
    /// A process that is in it; 0 for a mount.
    process: u32,
}

/// The segments of the IPC namespace of this inode number.
pub fn segments(number: u32) -> Elsewhere {
    let Some(keeper) = keeper(number) else { return Elsewhere::Gone };
    let inside = move || {
        let file = File::open(&keeper.path).ok()?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::InterProcessCommunication)).ok()?;
        // Another may have been given the number since.
        let own = fs::metadata("/proc/thread-self/ns/ipc").ok()?;
        if own.ino() != u64::from(number) {
            return None;
        }
        // The table is that of the thread that opens it.
        Some(procfs::segments(&fs::read("/proc/sysvipc/shm").ok()?).collect())
    };
    let process = keeper.process;
    match thread::spawn(inside).join() {
        Ok(Some(segments)) => Elsewhere::Open { segments, process },
        _ => Elsewhere::Closed,
    }
}

fn is(path: &Path, number: u32) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.ino() == u64::from(number))
}

/// A process in it, as far as we may ask, or a mount that keeps it (`unshare --ipc=FILE`).
fn keeper(number: u32) -> Option<Keeper> {
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut processes = pids.map(|pid| Keeper { path: format!("/proc/{pid}/ns/ipc").into(), process: pid });
    processes.find(|keeper| is(&keeper.path, number)).or_else(|| {
        let table = fs::read("/proc/self/mountinfo").ok()?;
        let root = format!("ipc:[{number}]");
        let mut mounts = procfs::mounts(&table).filter(|mount| mount.root.raw() == root.as_bytes());
        let mount = mounts.next()?;
        Some(Keeper { path: OsString::from_vec(mount.mount_point.to_vec()).into(), process: 0 })
    })
}
