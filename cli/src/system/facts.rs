//! What statx(2) tells of a file.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, statx};
use rustix::path::Arg;
use shmaudit_core::procfs::makedev;

use super::object::Times;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Device, as `st_dev`.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Bytes in memory and in swap.
    pub used: u64,
    /// Names.
    pub links: u32,
    /// Type and permissions.
    pub mode: u32,
    /// Owner's user.
    pub uid: u32,
    /// Owner's group.
    pub gid: u32,
    /// When it was made, changed and written.
    pub times: Times,
}

impl Facts {
    /// Of the file that `path` leads to; a link in its last place is not followed unless `follow`.
    pub fn of(directory: impl AsFd, path: impl Arg, follow: bool) -> io::Result<Facts> {
        // What the kernel has in memory will do: a file on a dead server must not stop us.
        let mut flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        if !follow {
            flags |= AtFlags::SYMLINK_NOFOLLOW;
        }
        let stat = statx(directory, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok(Facts::from(&stat))
    }

    /// Of an open file.
    pub fn of_open(file: impl AsFd) -> io::Result<Facts> {
        let stat = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok(Facts::from(&stat))
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::RegularFile
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::Directory
    }

    /// Whether both are about the same file.
    pub const fn same_file(&self, other: &Facts) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }
}

impl From<&Statx> for Facts {
    fn from(stat: &Statx) -> Facts {
        let made = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        Facts {
            dev: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            size: stat.stx_size,
            used: stat.stx_blocks.saturating_mul(512),
            links: stat.stx_nlink,
            mode: u32::from(stat.stx_mode),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            times: Times {
                made: made.then(|| nanoseconds(stat.stx_btime)),
                attached: None,
                detached: None,
                changed: Some(nanoseconds(stat.stx_ctime)),
                modified: Some(nanoseconds(stat.stx_mtime)),
            },
        }
    }
}

fn nanoseconds(time: StatxTimestamp) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(super::SECOND).saturating_add(u64::from(time.tv_nsec))
}
