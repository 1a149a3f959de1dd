//! /proc/PID/maps: the mappings of a process (the kernel's fs/proc/task_mmu.c, `show_map_vma`).

use super::{Escaped, Lines, cut_at, decimal, makedev, number};

/// A line of /proc/PID/maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// First address.
    pub start: u64,
    /// First address after it; greater than `start`.
    pub end: u64,
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub exec: bool,
    /// `MAP_SHARED`; otherwise private.
    pub shared: bool,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Device of the file, major and minor; (0, 0) without a file.
    pub dev: (u32, u32),
    /// Inode of the file; of a System V segment, its shmid.
    pub ino: u64,
    /// Path of the file, or `[heap]` and the like, or nothing. The kernel's ` (deleted)` is taken off.
    pub path: Escaped<'a>,
    /// Whether the file has been unlinked. (A living file whose name ends so looks the same.)
    pub deleted: bool,
}

impl Mapping<'_> {
    /// The device number as `stat` reports it.
    pub const fn st_dev(&self) -> u64 {
        makedev(self.dev.0, self.dev.1)
    }

    /// Bytes mapped.
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether nothing is mapped; never so for lines of a table.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key in the name of a System V attachment, `/SYSV<key in hex>`: the key that the segment was made with.
    ///
    /// Such a file is on a device of major 0: minor 1 as a rule, another for `SHM_HUGETLB` segments (00:11 on Linux
    /// 6.18) and on older kernels. Somebody may give a file in the root directory of a tmpfs that very name and unlink
    /// it: where it matters, look the [shmid](Mapping::sysv_shmid) up in /proc/sysvipc/shm.
    pub fn sysv_key(&self) -> Option<i32> {
        if !self.deleted || self.dev.0 != 0 {
            return None;
        }
        sysv_hex(self.path.raw().strip_prefix(b"/SYSV")?)
    }

    /// The shmid of a System V attachment: its inode. Nothing for mappings of other kinds.
    pub fn sysv_shmid(&self) -> Option<i32> {
        self.sysv_key()?;
        i32::try_from(self.ino).ok()
    }

    /// Whether this begins with a System V segment's first page; the others are pieces of an attachment, left by
    /// `munmap` or `mprotect`.
    pub fn is_sysv_base(&self) -> bool {
        self.offset == 0 && self.sysv_shmid().is_some()
    }
}

/// A key as `/SYSV` names hold it: eight digits in lower case.
pub(super) fn sysv_hex(digits: &[u8]) -> Option<i32> {
    if digits.len() != 8 || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    Some(number(digits, 16)? as u32 as i32)
}

/// The mappings of a table.
pub fn mappings(table: &[u8]) -> Mappings<'_> {
    Mappings(Lines::new(table))
}

/// Iterator over the mappings of a table: see [`mappings`].
#[derive(Clone, Debug)]
pub struct Mappings<'a>(Lines<'a>);

impl Mappings<'_> {
    /// How many lines so far were no mapping.
    pub fn skipped(&self) -> usize {
        self.0.skipped
    }
}

impl<'a> Iterator for Mappings<'a> {
    type Item = Mapping<'a>;

    fn next(&mut self) -> Option<Mapping<'a>> {
        self.0.parsed(mapping)
    }
}

/// `7f31c9968000-7f31c9969000 rw-s 00000000 00:01 12                         /SYSV00000011 (deleted)`
fn mapping(line: &[u8]) -> Option<Mapping<'_>> {
    let (start, rest) = cut_at(line, b'-')?;
    let (end, rest) = cut_at(rest, b' ')?;
    let (perms, rest) = cut_at(rest, b' ')?;
    let (offset, rest) = cut_at(rest, b' ')?;
    let (major, rest) = cut_at(rest, b':')?;
    let (minor, rest) = cut_at(rest, b' ')?;
    let (ino, path) = cut_at(rest, b' ').unwrap_or((rest, &[]));
    let &[r, w, x, s] = perms else { return None };
    let flag = |byte: u8, yes: u8, no: u8| (byte == yes || byte == no).then_some(byte == yes);
    let path = path.trim_ascii_start();
    let alive = path.strip_suffix(b" (deleted)");
    let mapping = Mapping {
        start: number(start, 16)?,
        end: number(end, 16)?,
        read: flag(r, b'r', b'-')?,
        write: flag(w, b'w', b'-')?,
        exec: flag(x, b'x', b'-')?,
        shared: flag(s, b's', b'p')?,
        offset: number(offset, 16)?,
        dev: (u32::try_from(number(major, 16)?).ok()?, u32::try_from(number(minor, 16)?).ok()?),
        ino: decimal(ino)?,
        path: Escaped::newline_only(alive.unwrap_or(path)),
        deleted: alive.is_some(),
    };
    (mapping.start < mapping.end).then_some(mapping)
}
