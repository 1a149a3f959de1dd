//! Flags, commands, modes, keys, descriptors and addresses of the calls that are logged.
//!
//! Values that differ between architectures come from the libc crate; the rest is the same wherever the kernel runs
//! (include/uapi/asm-generic/fcntl.h, mman-common.h, linux/{shm,memfd,falloc,fs,close_range,sched}.h).

use super::{Names, bits, huge_shift, one_of};
use crate::line::Line;

/// Where huge page sizes sit in the flags of `mmap`, `shmget` and `memfd_create`, and how wide they are.
const HUGE_SHIFT: u32 = 26;
const HUGE_MASK: u64 = 0x3f << HUGE_SHIFT;

/// The libc crate has 0 for it where `off_t` is 64 bits wide, yet programs do pass it (`O_LARGEFILE` of the kernel).
const O_LARGEFILE: u64 = if cfg!(any(target_arch = "aarch64", target_arch = "arm")) { 0o400000 } else { 0o100000 };
/// `O_TMPFILE` without the `O_DIRECTORY` in it.
const O_TMPFILE_BIT: u64 = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
/// `O_SYNC` without the `O_DSYNC` in it.
const O_SYNC_BIT: u64 = (libc::O_SYNC & !libc::O_DSYNC) as u64;

const OPEN_ACCESS: &[&str] = &["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"];
const OPEN: &Names = &[
    (libc::O_CREAT as u64, "O_CREAT"),
    (libc::O_EXCL as u64, "O_EXCL"),
    (libc::O_NOCTTY as u64, "O_NOCTTY"),
    (libc::O_TRUNC as u64, "O_TRUNC"),
    (libc::O_APPEND as u64, "O_APPEND"),
    (libc::O_NONBLOCK as u64, "O_NONBLOCK"),
    (libc::O_SYNC as u64, "O_SYNC"),
    (O_SYNC_BIT, "__O_SYNC"),
    (libc::O_DSYNC as u64, "O_DSYNC"),
    (libc::O_DIRECT as u64, "O_DIRECT"),
    (O_LARGEFILE, "O_LARGEFILE"),
    (libc::O_NOFOLLOW as u64, "O_NOFOLLOW"),
    (libc::O_NOATIME as u64, "O_NOATIME"),
    (libc::O_CLOEXEC as u64, "O_CLOEXEC"),
    (libc::O_PATH as u64, "O_PATH"),
    (libc::O_TMPFILE as u64, "O_TMPFILE"),
    (O_TMPFILE_BIT, "__O_TMPFILE"),
    (libc::O_DIRECTORY as u64, "O_DIRECTORY"),
    (libc::O_ASYNC as u64, "FASYNC"),
];

/// `open` and `shm_open` flags: `O_RDWR|O_CREAT`.
pub fn open_flags(line: &mut Line, oflag: i32) {
    let oflag = u64::from(oflag as u32);
    line.str(OPEN_ACCESS.get((oflag & 3) as usize).unwrap_or(&""));
    if oflag & !3 != 0 {
        line.byte(b'|');
        bits(line, oflag & !3, OPEN, "");
    }
}

/// Whether `open` with these flags reads its mode argument.
pub fn open_takes_mode(oflag: i32) -> bool {
    u64::from(oflag as u32) & (libc::O_CREAT as u64 | O_TMPFILE_BIT) != 0
}

/// `dup3` flags: `O_CLOEXEC`, `0`.
pub fn dup3_flags(line: &mut Line, flags: i32) {
    bits(line, u64::from(flags as u32), OPEN, "O_???");
}

/// Permission bits in octal, at least three digits: `0777`, `007`, `000`. As the kernel, looks at the low 16 bits.
pub fn mode(line: &mut Line, mode: u32) {
    octal(line, u64::from(mode & 0xffff));
}

/// The same, all bits.
pub(super) fn octal(line: &mut Line, mode: u64) {
    line.byte(b'0');
    line.digits::<8>(mode, 2);
}

const PROT: &Names = &[
    (0, "PROT_NONE"),
    (libc::PROT_READ as u64, "PROT_READ"),
    (libc::PROT_WRITE as u64, "PROT_WRITE"),
    (libc::PROT_EXEC as u64, "PROT_EXEC"),
    (0x8, "PROT_SEM"),
    #[cfg(target_arch = "aarch64")]
    (0x10, "PROT_BTI"),
    #[cfg(target_arch = "aarch64")]
    (0x20, "PROT_MTE"),
    (libc::PROT_GROWSDOWN as u64, "PROT_GROWSDOWN"),
    (libc::PROT_GROWSUP as u64, "PROT_GROWSUP"),
];

/// `mmap` protection: `PROT_READ|PROT_WRITE`, `PROT_NONE`.
pub fn mmap_prot(line: &mut Line, prot: i32) {
    bits(line, u64::from(prot as u32), PROT, "PROT_???");
}

const MAP_TYPES: &Names = &[
    (0, "MAP_FILE"),
    (libc::MAP_SHARED as u64, "MAP_SHARED"),
    (libc::MAP_PRIVATE as u64, "MAP_PRIVATE"),
    (libc::MAP_SHARED_VALIDATE as u64, "MAP_SHARED_VALIDATE"),
    (0x8, "MAP_DROPPABLE"),
];
const MAP: &Names = &[
    (libc::MAP_FIXED as u64, "MAP_FIXED"),
    (libc::MAP_ANONYMOUS as u64, "MAP_ANONYMOUS"),
    #[cfg(target_arch = "x86_64")]
    (libc::MAP_32BIT as u64, "MAP_32BIT"),
    (libc::MAP_NORESERVE as u64, "MAP_NORESERVE"),
    (libc::MAP_POPULATE as u64, "MAP_POPULATE"),
    (libc::MAP_NONBLOCK as u64, "MAP_NONBLOCK"),
    (libc::MAP_GROWSDOWN as u64, "MAP_GROWSDOWN"),
    (libc::MAP_DENYWRITE as u64, "MAP_DENYWRITE"),
    (libc::MAP_EXECUTABLE as u64, "MAP_EXECUTABLE"),
    (libc::MAP_LOCKED as u64, "MAP_LOCKED"),
    (libc::MAP_STACK as u64, "MAP_STACK"),
    (libc::MAP_HUGETLB as u64, "MAP_HUGETLB"),
    (libc::MAP_SYNC as u64, "MAP_SYNC"),
    (libc::MAP_FIXED_NOREPLACE as u64, "MAP_FIXED_NOREPLACE"),
];

/// `mmap` flags: `MAP_SHARED|MAP_ANONYMOUS`, `MAP_PRIVATE|MAP_HUGETLB|21<<MAP_HUGE_SHIFT`.
pub fn mmap_flags(line: &mut Line, flags: i32) {
    let flags = u64::from(flags as u32);
    one_of(line, flags & 0xf, MAP_TYPES, "MAP_???");
    if flags & !0xf & !HUGE_MASK != 0 {
        line.byte(b'|');
        bits(line, flags & !0xf & !HUGE_MASK, MAP, "");
    }
    if flags & HUGE_MASK != 0 {
        line.byte(b'|');
        huge_shift(line, (flags & HUGE_MASK) >> HUGE_SHIFT, "MAP_HUGE_SHIFT");
    }
}

const MREMAP: &Names = &[
    (libc::MREMAP_MAYMOVE as u64, "MREMAP_MAYMOVE"),
    (libc::MREMAP_FIXED as u64, "MREMAP_FIXED"),
    (4, "MREMAP_DONTUNMAP"),
];

/// `mremap` flags: `MREMAP_MAYMOVE|MREMAP_FIXED`, `0`.
pub fn mremap_flags(line: &mut Line, flags: i32) {
    bits(line, u64::from(flags as u32), MREMAP, "MREMAP_???");
}

const SHMGET: &Names = &[
    (libc::IPC_CREAT as u64, "IPC_CREAT"),
    (libc::IPC_EXCL as u64, "IPC_EXCL"),
    (libc::SHM_HUGETLB as u64, "SHM_HUGETLB"),
    (libc::SHM_NORESERVE as u64, "SHM_NORESERVE"),
];

/// `shmget` flags, the permissions last: `IPC_CREAT|IPC_EXCL|0666`, `000`.
pub fn shmget_flags(line: &mut Line, shmflg: i32) {
    let shmflg = u64::from(shmflg as u32);
    let named = shmflg & !0o777 & !HUGE_MASK;
    if named != 0 {
        bits(line, named, SHMGET, "");
        line.byte(b'|');
    }
    if shmflg & HUGE_MASK != 0 {
        huge_shift(line, (shmflg & HUGE_MASK) >> HUGE_SHIFT, "SHM_HUGE_SHIFT");
        line.byte(b'|');
    }
    octal(line, shmflg & 0o777);
}

const SHMAT: &Names = &[
    (libc::SHM_RDONLY as u64, "SHM_RDONLY"),
    (libc::SHM_RND as u64, "SHM_RND"),
    (libc::SHM_REMAP as u64, "SHM_REMAP"),
    (libc::SHM_EXEC as u64, "SHM_EXEC"),
];

/// `shmat` flags: `SHM_RDONLY|SHM_RND`, `0`.
pub fn shmat_flags(line: &mut Line, shmflg: i32) {
    bits(line, u64::from(shmflg as u32), SHMAT, "SHM_???");
}

const SHMCTL: &Names = &[
    (libc::IPC_RMID as u64, "IPC_RMID"),
    (libc::IPC_SET as u64, "IPC_SET"),
    (libc::IPC_STAT as u64, "IPC_STAT"),
    (libc::IPC_INFO as u64, "IPC_INFO"),
    (libc::SHM_LOCK as u64, "SHM_LOCK"),
    (libc::SHM_UNLOCK as u64, "SHM_UNLOCK"),
    (13, "SHM_STAT"),
    (14, "SHM_INFO"),
    (15, "SHM_STAT_ANY"),
];
/// Asks a 32-bit kernel interface for the newer layout; the C library adds it where it must.
const IPC_64: u64 = 0x100;

/// A `shmctl` command: `IPC_RMID`, `IPC_64|IPC_STAT`.
pub fn shmctl_cmd(line: &mut Line, cmd: i32) {
    let mut cmd = u64::from(cmd as u32);
    if cmd & IPC_64 != 0 {
        line.str("IPC_64|");
        cmd &= !IPC_64;
    }
    one_of(line, cmd, SHMCTL, "SHM_???");
}

/// A System V key: `IPC_PRIVATE`, `0x11`.
pub fn key(line: &mut Line, key: i32) {
    if key == libc::IPC_PRIVATE {
        line.str("IPC_PRIVATE");
    } else {
        line.hex(u64::from(key as u32));
    }
}

const MEMFD: &Names = &[
    (0x1, "MFD_CLOEXEC"),
    (0x2, "MFD_ALLOW_SEALING"),
    (0x4, "MFD_HUGETLB"),
    (0x8, "MFD_NOEXEC_SEAL"),
    (0x10, "MFD_EXEC"),
];

/// `memfd_create` flags: `MFD_CLOEXEC|MFD_ALLOW_SEALING`, `MFD_HUGETLB|21<<MFD_HUGE_SHIFT`, `0`.
pub fn memfd_flags(line: &mut Line, flags: u32) {
    let flags = u64::from(flags);
    let (named, huge) = (flags & !HUGE_MASK, flags & HUGE_MASK);
    if named != 0 || huge == 0 {
        bits(line, named, MEMFD, "MFD_???");
    }
    if huge != 0 {
        if named != 0 {
            line.byte(b'|');
        }
        huge_shift(line, huge >> HUGE_SHIFT, "MFD_HUGE_SHIFT");
    }
}

const FCNTL: &Names = &[
    (0, "F_DUPFD"),
    (1, "F_GETFD"),
    (2, "F_SETFD"),
    (3, "F_GETFL"),
    (4, "F_SETFL"),
    (5, "F_GETLK"),
    (6, "F_SETLK"),
    (7, "F_SETLKW"),
    (8, "F_SETOWN"),
    (9, "F_GETOWN"),
    (10, "F_SETSIG"),
    (11, "F_GETSIG"),
    (12, "F_GETLK64"),
    (13, "F_SETLK64"),
    (14, "F_SETLKW64"),
    (15, "F_SETOWN_EX"),
    (16, "F_GETOWN_EX"),
    (17, "F_GETOWNER_UIDS"),
    (36, "F_OFD_GETLK"),
    (37, "F_OFD_SETLK"),
    (38, "F_OFD_SETLKW"),
    (1024, "F_SETLEASE"),
    (1025, "F_GETLEASE"),
    (1026, "F_NOTIFY"),
    (1027, "F_DUPFD_QUERY"),
    (1028, "F_CREATED_QUERY"),
    (1029, "F_CANCELLK"),
    (1030, "F_DUPFD_CLOEXEC"),
    (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"),
    (1033, "F_ADD_SEALS"),
    (1034, "F_GET_SEALS"),
];

/// An `fcntl` command: `F_DUPFD_CLOEXEC`.
pub fn fcntl_cmd(line: &mut Line, cmd: i32) {
    one_of(line, u64::from(cmd as u32), FCNTL, "F_???");
}

const CLOSE_RANGE: &Names = &[(2, "CLOSE_RANGE_UNSHARE"), (4, "CLOSE_RANGE_CLOEXEC")];

/// `close_range` flags: `CLOSE_RANGE_CLOEXEC`, `0`.
pub fn close_range_flags(line: &mut Line, flags: i32) {
    bits(line, u64::from(flags as u32), CLOSE_RANGE, "CLOSE_RANGE_???");
}

const FALLOC: &Names = &[
    (0x01, "FALLOC_FL_KEEP_SIZE"),
    (0x02, "FALLOC_FL_PUNCH_HOLE"),
    (0x04, "FALLOC_FL_NO_HIDE_STALE"),
    (0x08, "FALLOC_FL_COLLAPSE_RANGE"),
    (0x10, "FALLOC_FL_ZERO_RANGE"),
    (0x20, "FALLOC_FL_INSERT_RANGE"),
    (0x40, "FALLOC_FL_UNSHARE_RANGE"),
    (0x80, "FALLOC_FL_WRITE_ZEROES"),
];

/// `fallocate` mode: `FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE`, `0`.
pub fn fallocate_mode(line: &mut Line, mode: i32) {
    bits(line, u64::from(mode as u32), FALLOC, "FALLOC_FL_???");
}

const CLONE: &Names = &[
    (libc::CLONE_VM as u32 as u64, "CLONE_VM"),
    (libc::CLONE_FS as u32 as u64, "CLONE_FS"),
    (libc::CLONE_FILES as u32 as u64, "CLONE_FILES"),
    (libc::CLONE_SIGHAND as u32 as u64, "CLONE_SIGHAND"),
    (0x1000, "CLONE_PIDFD"),
    (libc::CLONE_PTRACE as u32 as u64, "CLONE_PTRACE"),
    (libc::CLONE_VFORK as u32 as u64, "CLONE_VFORK"),
    (libc::CLONE_PARENT as u32 as u64, "CLONE_PARENT"),
    (libc::CLONE_THREAD as u32 as u64, "CLONE_THREAD"),
    (libc::CLONE_NEWNS as u32 as u64, "CLONE_NEWNS"),
    (libc::CLONE_SYSVSEM as u32 as u64, "CLONE_SYSVSEM"),
    (libc::CLONE_SETTLS as u32 as u64, "CLONE_SETTLS"),
    (libc::CLONE_PARENT_SETTID as u32 as u64, "CLONE_PARENT_SETTID"),
    (libc::CLONE_CHILD_CLEARTID as u32 as u64, "CLONE_CHILD_CLEARTID"),
    (libc::CLONE_UNTRACED as u32 as u64, "CLONE_UNTRACED"),
    (libc::CLONE_CHILD_SETTID as u32 as u64, "CLONE_CHILD_SETTID"),
    (libc::CLONE_NEWCGROUP as u32 as u64, "CLONE_NEWCGROUP"),
    (libc::CLONE_NEWUTS as u32 as u64, "CLONE_NEWUTS"),
    (libc::CLONE_NEWIPC as u32 as u64, "CLONE_NEWIPC"),
    (libc::CLONE_NEWUSER as u32 as u64, "CLONE_NEWUSER"),
    (libc::CLONE_NEWPID as u32 as u64, "CLONE_NEWPID"),
    (libc::CLONE_NEWNET as u32 as u64, "CLONE_NEWNET"),
    (libc::CLONE_IO as u32 as u64, "CLONE_IO"),
];

/// `clone` flags with the signal in their low byte: `CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD`, `0`.
pub fn clone_flags(line: &mut Line, flags: u64) {
    let sig = (flags & 0xff) as i32;
    if flags & !0xff != 0 {
        bits(line, flags & !0xff, CLONE, "CLONE_???");
        if sig == 0 {
            return;
        }
        line.byte(b'|');
    }
    super::signal(line, sig);
}

/// A directory descriptor: `AT_FDCWD`, `5`.
pub fn dirfd(line: &mut Line, dirfd: i32) {
    if dirfd == libc::AT_FDCWD {
        line.str("AT_FDCWD");
    } else {
        line.int(i64::from(dirfd));
    }
}

const AT: &Names = &[
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x200, "AT_REMOVEDIR"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"),
    (0x8000, "AT_RECURSIVE"),
];

/// `unlinkat` and `linkat` flags: `AT_REMOVEDIR`, `0`.
pub fn at_flags(line: &mut Line, flags: i32) {
    bits(line, u64::from(flags as u32), AT, "AT_???");
}

const RENAME: &Names = &[(1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT")];

/// `renameat2` flags: `RENAME_NOREPLACE`, `0`. (strace has two question marks for unknown ones, so has this.)
pub fn renameat2_flags(line: &mut Line, flags: u32) {
    bits(line, u64::from(flags), RENAME, "RENAME_??");
}

/// An address: `0x7f3a12345000`, `NULL`.
pub fn pointer(line: &mut Line, address: u64) {
    if address == 0 {
        line.str("NULL");
    } else {
        line.hex(address);
    }
}
