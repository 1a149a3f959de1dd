//! The structs that `shmctl` and `fstat` fill.
//!
//! Layouts are those of the 64-bit kernel interface, which glibc and musl pass on as they are: `struct shmid64_ds`,
//! `shminfo64` and `shm_info` of include/uapi/asm-generic/shmbuf.h and linux/shm.h, the same on x86-64 and aarch64.

use super::{Names, octal};
use crate::line::Line;

/// `struct shmid_ds`, as `IPC_STAT` fills it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShmidDs {
    /// Key; 0 is `IPC_PRIVATE`, also once the segment is marked for removal.
    pub key: i32,
    /// Owner's user.
    pub uid: u32,
    /// Owner's group.
    pub gid: u32,
    /// Creator's user.
    pub cuid: u32,
    /// Creator's group.
    pub cgid: u32,
    /// Permissions, with `SHM_DEST` (01000) and `SHM_LOCKED` (02000).
    pub mode: u32,
    /// Size that was asked for, in bytes.
    pub segsz: u64,
    /// Last attach, in seconds since 1970; 0 for never.
    pub atime: i64,
    /// Last detach, in seconds since 1970; 0 for never.
    pub dtime: i64,
    /// Creation or last change by `IPC_SET`, in seconds since 1970.
    pub ctime: i64,
    /// Creator's process id.
    pub cpid: u32,
    /// Process id of the last attach or detach.
    pub lpid: u32,
    /// Attachments: mappings of the segment.
    pub nattch: u64,
}

impl ShmidDs {
    /// Size of `struct shmid_ds` in bytes.
    pub const SIZE: usize = 112;

    /// Reads the struct from memory that `shmctl` filled; `None` if that is shorter than the struct.
    pub fn from_bytes(bytes: &[u8]) -> Option<ShmidDs> {
        let bytes = bytes.get(..ShmidDs::SIZE)?;
        Some(ShmidDs {
            key: word(bytes, 0)? as i32,
            uid: word(bytes, 4)?,
            gid: word(bytes, 8)?,
            cuid: word(bytes, 12)?,
            cgid: word(bytes, 16)?,
            mode: word(bytes, 20)?,
            segsz: long(bytes, 48)?,
            atime: long(bytes, 56)? as i64,
            dtime: long(bytes, 64)? as i64,
            ctime: long(bytes, 72)? as i64,
            cpid: word(bytes, 80)?,
            lpid: word(bytes, 84)?,
            nattch: long(bytes, 88)?,
        })
    }
}

/// `struct shminfo`, as `IPC_INFO` fills it: the system's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShmInfoLimits {
    /// Largest segment, in bytes.
    pub shmmax: u64,
    /// Smallest segment, in bytes.
    pub shmmin: u64,
    /// Most segments.
    pub shmmni: u64,
    /// Most segments of a process; not enforced.
    pub shmseg: u64,
    /// Most memory in segments, in pages.
    pub shmall: u64,
}

impl ShmInfoLimits {
    /// Reads the struct from memory that `shmctl` filled; `None` if that is too short.
    pub fn from_bytes(bytes: &[u8]) -> Option<ShmInfoLimits> {
        Some(ShmInfoLimits {
            shmmax: long(bytes, 0)?,
            shmmin: long(bytes, 8)?,
            shmmni: long(bytes, 16)?,
            shmseg: long(bytes, 24)?,
            shmall: long(bytes, 32)?,
        })
    }
}

/// `struct shm_info`, as `SHM_INFO` fills it: what segments use now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShmInfoUsage {
    /// Segments that exist.
    pub used_ids: i32,
    /// Their size, in pages.
    pub shm_tot: u64,
    /// Resident pages.
    pub shm_rss: u64,
    /// Swapped pages.
    pub shm_swp: u64,
    /// Unused since Linux 2.4.
    pub swap_attempts: u64,
    /// Unused since Linux 2.4.
    pub swap_successes: u64,
}

impl ShmInfoUsage {
    /// Reads the struct from memory that `shmctl` filled; `None` if that is too short.
    pub fn from_bytes(bytes: &[u8]) -> Option<ShmInfoUsage> {
        Some(ShmInfoUsage {
            used_ids: word(bytes, 0)? as i32,
            shm_tot: long(bytes, 8)?,
            shm_rss: long(bytes, 16)?,
            shm_swp: long(bytes, 24)?,
            swap_attempts: long(bytes, 32)?,
            swap_successes: long(bytes, 40)?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn field(line: &mut Line, name: &str, value: u64) {
    line.str(name);
    line.dec(value);
}

/// A user or group: a number, or `-1` for "leave it".
fn id(line: &mut Line, name: &str, id: u32) {
    line.str(name);
    line.int(if id == u32::MAX { -1 } else { i64::from(id) });
}

fn owner(line: &mut Line, ds: &ShmidDs) {
    id(line, "{shm_perm={uid=", ds.uid);
    id(line, ", gid=", ds.gid);
    line.str(", mode=");
    octal(line, u64::from(ds.mode));
}

/// What `IPC_STAT`, `SHM_STAT` and `SHM_STAT_ANY` filled:
/// `{shm_perm={uid=0, gid=0, mode=0600, key=17, cuid=0, cgid=0}, shm_segsz=4096, …}`. The key is in decimal, as in strace.
pub fn shmid_ds(line: &mut Line, ds: &ShmidDs) {
    owner(line, ds);
    field(line, ", key=", u64::from(ds.key as u32));
    id(line, ", cuid=", ds.cuid);
    id(line, ", cgid=", ds.cgid);
    field(line, "}, shm_segsz=", ds.segsz);
    line.str(", shm_cpid=");
    line.int(i64::from(ds.cpid as i32));
    line.str(", shm_lpid=");
    line.int(i64::from(ds.lpid as i32));
    field(line, ", shm_nattch=", ds.nattch);
    field(line, ", shm_atime=", ds.atime as u64);
    field(line, ", shm_dtime=", ds.dtime as u64);
    field(line, ", shm_ctime=", ds.ctime as u64);
    line.byte(b'}');
}

/// What `IPC_SET` reads of the struct: `{shm_perm={uid=0, gid=0, mode=0600}}`.
pub fn shmid_ds_set(line: &mut Line, ds: &ShmidDs) {
    owner(line, ds);
    line.str("}}");
}

/// What `IPC_INFO` filled: `{shmmax=18446744073692774399, shmmin=1, shmmni=4096, shmseg=4096, shmall=…}`.
pub fn shminfo(line: &mut Line, info: &ShmInfoLimits) {
    field(line, "{shmmax=", info.shmmax);
    field(line, ", shmmin=", info.shmmin);
    field(line, ", shmmni=", info.shmmni);
    field(line, ", shmseg=", info.shmseg);
    field(line, ", shmall=", info.shmall);
    line.byte(b'}');
}

/// What `SHM_INFO` filled: `{used_ids=2, shm_tot=2, shm_rss=0, shm_swp=0, swap_attempts=0, swap_successes=0}`.
pub fn shm_info(line: &mut Line, info: &ShmInfoUsage) {
    line.str("{used_ids=");
    line.int(i64::from(info.used_ids));
    field(line, ", shm_tot=", info.shm_tot);
    field(line, ", shm_rss=", info.shm_rss);
    field(line, ", shm_swp=", info.shm_swp);
    field(line, ", swap_attempts=", info.swap_attempts);
    field(line, ", swap_successes=", info.swap_successes);
    line.byte(b'}');
}

const FILE_TYPES: &Names = &[
    (0o010000, "S_IFIFO"),
    (0o020000, "S_IFCHR"),
    (0o040000, "S_IFDIR"),
    (0o060000, "S_IFBLK"),
    (0o100000, "S_IFREG"),
    (0o120000, "S_IFLNK"),
    (0o140000, "S_IFSOCK"),
];
const FILE_BITS: &Names = &[(0o4000, "S_ISUID|"), (0o2000, "S_ISGID|"), (0o1000, "S_ISVTX|")];

/// A file's type and permissions: `S_IFREG|0600`, `S_IFDIR|S_ISVTX|0777`; of an unknown type, the number.
pub fn file_mode(line: &mut Line, mode: u32) {
    let mode = u64::from(mode & 0xffff);
    let kind = mode & 0o170000;
    match FILE_TYPES.iter().find(|&&(value, _)| value == kind) {
        Some(&(_, name)) => {
            line.str(name);
            line.byte(b'|');
        }
        None if kind == 0 => {}
        None => return octal(line, mode),
    }
    for &(bit, name) in FILE_BITS {
        if mode & bit != 0 {
            line.str(name);
        }
    }
    octal(line, mode & 0o777);
}

/// `struct stat` in its short form: `{st_mode=S_IFREG|0777, st_size=4096, ...}`; `size` is in bytes.
///
/// (Of devices strace shows the number instead of the size; shared-memory objects are none.)
pub fn stat_short(line: &mut Line, mode: u32, size: u64) {
    line.str("{st_mode=");
    file_mode(line, mode);
    field(line, ", st_size=", size);
    line.str(", ...}");
}
