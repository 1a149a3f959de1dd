//! The kernel's tables, read with raw system calls: what the core asks when it concludes.

use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;

use shmaudit_core::kernel::{FdFacts, FileFacts, Kernel, Lookup, Resource, SHM_MOUNT, Setting, Space};
use shmaudit_core::procfs::{self, Segment};

use crate::start::{namespace, read_all, read_file};
use crate::{clock, contain, fds, sys};

/// Most bytes of a table that are read: some hundred thousand lines.
const TABLE_BYTES: usize = 64 << 20;

/// The world as the process `pid` (the one that concludes) sees it.
pub struct World {
    /// The concluding process.
    pub pid: u32,
}

impl World {
    /// Whether the shm mount that the objects were made on is the one to be seen here.
    fn sees_the_mount(&self) -> bool {
        sys::stat_at(libc::AT_FDCWD, c"/dev/shm", 0).is_ok_and(|mount| mount.st_dev == fds::shm_dev())
    }

    /// A path under this process's directory in /proc.
    fn proc(&self, pid: u32, rest: &str) -> CString {
        let path = if pid == self.pid { format!("/proc/self/{rest}") } else { format!("/proc/{pid}/{rest}") };
        CString::new(path).unwrap_or_default()
    }
}

fn facts(stat: &libc::stat, born: Option<u64>) -> FileFacts {
    let changed = (stat.st_ctime as u64).saturating_mul(1_000_000_000).saturating_add(stat.st_ctime_nsec as u64);
    FileFacts {
        dev: stat.st_dev,
        ino: stat.st_ino,
        size: stat.st_size as u64,
        mode: stat.st_mode,
        uid: stat.st_uid,
        born: born.unwrap_or(changed),
    }
}

impl Kernel for World {
    fn segments(&mut self) -> Option<Vec<Segment>> {
        wrong!(TrustsMakers => { return None });
        let table = sys::open(c"/proc/sysvipc/shm", libc::O_RDONLY, 0).ok()?;
        let text = read_all(&table, TABLE_BYTES);
        if text.is_empty() {
            return None;
        }
        let mut segments: Vec<Segment> = procfs::segments(&text).collect();
        wrong!(TrustsIds => { segments.iter_mut().for_each(|segment| segment.cpid = 0) });
        if contain::is_copy() {
            // The program that waits has each of these attachments too.
            procfs::without(&mut segments, &read_file(c"/proc/self/maps", TABLE_BYTES));
        }
        Some(segments)
    }

    fn ipc_namespace(&mut self) -> u32 {
        namespace(c"/proc/self/ns/ipc") as u32
    }

    fn pid_namespace(&mut self) -> u32 {
        namespace(c"/proc/self/ns/pid") as u32
    }

    fn shm_file(&mut self, name: &[u8]) -> Lookup<FileFacts> {
        wrong!(TrustsMakers => { return Lookup::Unreadable });
        let mut path = SHM_MOUNT.to_vec();
        path.extend_from_slice(name);
        let Ok(path) = CString::new(path) else { return Lookup::Missing };
        match sys::stat_at(libc::AT_FDCWD, &path, libc::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let born = sys::birth_at(libc::AT_FDCWD, &path, libc::AT_SYMLINK_NOFOLLOW);
                Lookup::Found(facts(&stat, born))
            }
            // After a chroot or with another mount there, it is not known.
            Err(libc::ENOENT) if self.sees_the_mount() => Lookup::Missing,
            Err(_) => Lookup::Unreadable,
        }
    }

    fn maps(&mut self, pid: u32) -> Option<Vec<u8>> {
        wrong!(TrustsRecords => { return None });
        let text = read_file(&self.proc(pid, "maps"), TABLE_BYTES);
        if text.is_empty() { None } else { Some(text) }
    }

    fn fds(&mut self, pid: u32) -> Option<Vec<FdFacts>> {
        wrong!(TrustsRecords => { return None });
        let directory = sys::open(&self.proc(pid, "fd"), libc::O_RDONLY | libc::O_DIRECTORY, 0).ok()?;
        let mut found = Vec::new();
        let mut room = [0u8; 8192];
        loop {
            // SAFETY: the kernel fills at most as many bytes as we say.
            let got = unsafe {
                sys::call(libc::SYS_getdents64, directory.0 as usize, room.as_mut_ptr() as usize, room.len(), 0, 0, 0)
            };
            if got <= 0 {
                return Some(found);
            }
            let mut entries = room.get(..got as usize).unwrap_or(&[]);
            // struct linux_dirent64: inode and offset of 8 bytes each, 2 bytes of length, 1 of type, the name.
            while let Some(&[low, high]) = entries.get(16..18) {
                let length = usize::from(u16::from_le_bytes([low, high]));
                let name = entries.get(19..length).unwrap_or(&[]);
                let name = name.split(|&byte| byte == 0).next().unwrap_or(&[]);
                if let Some(fd) = core::str::from_utf8(name).ok().and_then(|name| name.parse::<i32>().ok())
                    && fd != directory.0
                {
                    found.extend(regular(&directory, fd));
                }
                entries = entries.get(length.max(19)..).unwrap_or(&[]);
            }
        }
    }

    fn alive(&mut self, pid: u32, starttime: u64, seen: u64) -> bool {
        let text = read_file(&self.proc(pid, "stat"), 4096);
        wrong!(TrustsPid => { return procfs::proc_stat(&text).is_some() });
        match procfs::proc_stat(&text) {
            Some(stat) => stat.is(starttime, seen, clock::realtime(), clock::boottime()),
            // No /proc: a signal can at least ask.
            None => sys::stat_at(libc::AT_FDCWD, c"/proc/self/stat", 0).is_err() && sys::exists(pid),
        }
    }

    fn setting(&mut self, setting: Setting) -> Option<u64> {
        wrong!(BlindToSettings => { return None });
        procfs::parse_u64(&read_file(&CString::new(setting.path()).ok()?, 64))
    }

    fn space(&mut self) -> Option<Space> {
        let mount = sys::stat_at(libc::AT_FDCWD, c"/dev/shm", 0).ok()?;
        let facts = sys::file_system(c"/dev/shm")?;
        let block = facts.f_frsize as u64;
        Some(Space {
            dev: mount.st_dev,
            bytes: facts.f_blocks.saturating_mul(block),
            free: facts.f_bavail.saturating_mul(block),
            files: facts.f_files,
            free_files: facts.f_ffree,
        })
    }

    fn limit(&mut self, pid: u32, resource: Resource) -> Option<u64> {
        procfs::soft_limit(&World::numbered(pid, "limits"), resource.line().as_bytes())
    }

    fn program(&mut self, pid: u32) -> Option<Vec<u8>> {
        let name = World::numbered(pid, "comm");
        name.strip_suffix(b"\n").map(<[u8]>::to_vec)
    }

    fn had_children(&mut self, pid: u32) -> Option<bool> {
        // Between asking for its faults and its end, a child of ours may have had a few more; any other has more by far.
        const FEW: u64 = 16;
        let stat = World::numbered(pid, "stat");
        procfs::proc_stat(&stat).map(|stat| stat.children_faults > contain::faults() + FEW)
    }
}

impl World {
    /// A file under the numbered directory of a process: the child that concludes has other limits and no children.
    fn numbered(pid: u32, rest: &str) -> Vec<u8> {
        read_file(&CString::new(format!("/proc/{pid}/{rest}")).unwrap_or_default(), 4096)
    }
}

/// What the descriptor `fd` of the process whose `fd` directory this is refers to, if that is a regular file.
fn regular(directory: &sys::Fd, fd: i32) -> Option<FdFacts> {
    let name = CString::new(format!("{fd}")).ok()?;
    let stat = sys::stat_at(directory.0, &name, 0).ok()?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    Some(FdFacts { fd, dev: stat.st_dev, ino: stat.st_ino, size: stat.st_size as u64 })
}
