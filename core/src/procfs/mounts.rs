//! /proc/PID/mountinfo: which file system holds the POSIX objects (the kernel's fs/proc_namespace.c, `show_mountinfo`).

use super::{Escaped, Lines, cut_at, decimal, makedev};

/// A line of /proc/PID/mountinfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The mount's number.
    pub id: u32,
    /// The number of the mount that it is mounted on.
    pub parent: u32,
    /// Device of its files, major and minor.
    pub dev: (u32, u32),
    /// Directory of the file system that is the mount's root.
    pub root: Escaped<'a>,
    /// Where it is mounted, seen from the process's root.
    pub mount_point: Escaped<'a>,
    /// Options of the mount: `rw,nosuid,nodev`.
    pub options: &'a [u8],
    /// Type of the file system: `tmpfs`.
    pub fstype: &'a [u8],
    /// What was mounted, by its own name.
    pub source: Escaped<'a>,
    /// Options of the file system: `rw,size=65536k`.
    pub super_options: &'a [u8],
}

impl<'a> Mount<'a> {
    /// The device number as `stat` reports it for its files.
    pub const fn st_dev(&self) -> u64 {
        makedev(self.dev.0, self.dev.1)
    }

    /// Whether its files live in memory.
    pub fn is_memory(&self) -> bool {
        matches!(self.fstype, b"tmpfs" | b"ramfs" | b"devtmpfs" | b"shm" | b"hugetlbfs")
    }

    /// The value of an option of the mount or of its file system, empty for one without a value: `option(b"size")`.
    pub fn option(&self, name: &[u8]) -> Option<&'a [u8]> {
        let all = self.options.split(|&byte| byte == b',').chain(self.super_options.split(|&byte| byte == b','));
        all.filter(|option| !option.is_empty()).find_map(|option| {
            let (key, value) = cut_at(option, b'=').unwrap_or((option, &[]));
            (key == name).then_some(value)
        })
    }
}

/// The mounts of a table.
pub fn mounts(table: &[u8]) -> Mounts<'_> {
    Mounts(Lines::new(table))
}

/// Iterator over the mounts of a table: see [`mounts`].
#[derive(Clone, Debug)]
pub struct Mounts<'a>(Lines<'a>);

impl Mounts<'_> {
    /// How many lines so far were no mount.
    pub fn skipped(&self) -> usize {
        self.0.skipped
    }
}

impl<'a> Iterator for Mounts<'a> {
    type Item = Mount<'a>;

    fn next(&mut self) -> Option<Mount<'a>> {
        self.0.parsed(mount)
    }
}

/// `30 25 0:27 / /dev/shm rw,relatime shared:7 - tmpfs tmpfs rw,size=24682416k`
fn mount(line: &[u8]) -> Option<Mount<'_>> {
    // Empty fields count: a source may be empty.
    let mut parts = line.split(|&byte| byte == b' ');
    let id = decimal(parts.next()?)?;
    let parent = decimal(parts.next()?)?;
    let (major, minor) = cut_at(parts.next()?, b':')?;
    let root = Escaped::new(parts.next()?);
    let mount_point = Escaped::new(parts.next()?);
    let options = parts.next()?;
    parts.find(|part| *part == b"-")?;
    Some(Mount {
        id,
        parent,
        dev: (decimal(major)?, decimal(minor)?),
        root,
        mount_point,
        options,
        fstype: parts.next()?,
        source: Escaped::new(parts.next()?),
        super_options: parts.next()?,
    })
}

/// Whether `path` is `point` or below it.
fn holds(point: Escaped, path: &[u8]) -> bool {
    let mut rest = path.iter().copied();
    let mut last = 0;
    for byte in point.bytes() {
        if rest.next() != Some(byte) {
            return false;
        }
        last = byte;
    }
    last == b'/' || matches!(rest.next(), None | Some(b'/'))
}

/// Steps into nested mounts before a table is taken for a circle.
const DEEPEST: usize = 64;

/// The mount that an absolute path (without symbolic links) is on, as a process with this table sees it.
///
/// Walks down from the root mount: of mounts stacked on one place the last is seen, and what lies below a place that
/// was mounted over later is not.
pub fn mount_of<'a>(table: &'a [u8], path: &[u8]) -> Option<Mount<'a>> {
    let mut seen: Option<Mount<'a>> = None;
    for _ in 0..DEEPEST {
        let next = match seen {
            None => mounts(table).find(|mount| mount.mount_point.is(b"/")),
            Some(on) => mounts(table)
                .filter(|mount| mount.parent == on.id && mount.id != on.id && holds(mount.mount_point, path))
                .min_by_key(|mount| mount.mount_point.raw().len()),
        };
        match next {
            Some(mount) => seen = Some(mount),
            // After chroot to a plain directory the root's mount may not be listed.
            None if seen.is_none() => {
                return mounts(table)
                    .filter(|mount| holds(mount.mount_point, path))
                    .max_by_key(|mount| mount.mount_point.raw().len());
            }
            None => break,
        }
    }
    seen
}

/// The mount that holds the POSIX objects: what is at /dev/shm, where glibc and musl put them.
///
/// Where that is no file system in memory but /run/shm is one (to which /dev/shm was a link on older Debian), that.
/// glibc before 2.34 took the first tmpfs of the table when /dev/shm was none; this does not.
pub fn shm_mount(table: &[u8]) -> Option<Mount<'_>> {
    let usual = mount_of(table, b"/dev/shm");
    if usual.is_some_and(|mount| mount.mount_point.is(b"/dev/shm")) {
        return usual;
    }
    let older = mount_of(table, b"/run/shm").filter(|mount| mount.is_memory() && mount.mount_point.is(b"/run/shm"));
    older.or(usual)
}
