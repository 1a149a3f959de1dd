//! /proc/sysvipc/shm: the segments of this IPC namespace (the kernel's ipc/shm.c, `sysvipc_shm_proc_show`).

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Lines, decimal, fields, mappings, number, signed};

/// Bit of [`Segment::perms`]: marked for removal, gone with its last attachment.
pub const SHM_DEST: u32 = 0o1000;
/// Bit of [`Segment::perms`]: locked in memory.
pub const SHM_LOCKED: u32 = 0o2000;

/// A line of /proc/sysvipc/shm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Key; 0 is `IPC_PRIVATE`, also once the segment is marked for removal.
    pub key: i32,
    /// Identifier.
    pub shmid: i32,
    /// Permissions, with [`SHM_DEST`] and [`SHM_LOCKED`].
    pub perms: u32,
    /// Size that was asked for, in bytes.
    pub size: u64,
    /// Creator's process id; 0 if it is of another pid namespace.
    pub cpid: u32,
    /// Process id of the last attach or detach; 0 for none or of another pid namespace.
    pub lpid: u32,
    /// Attachments: mappings of the segment.
    pub nattch: u64,
    /// Owner's user.
    pub uid: u32,
    /// Owner's group.
    pub gid: u32,
    /// Creator's user.
    pub cuid: u32,
    /// Creator's group.
    pub cgid: u32,
    /// Last attach, in seconds since 1970; 0 for never.
    pub atime: u64,
    /// Last detach, in seconds since 1970; 0 for never.
    pub dtime: u64,
    /// Creation or last change, in seconds since 1970.
    pub ctime: u64,
    /// Bytes in memory; 0 where the kernel does not tell (before 2.6.34).
    pub rss: u64,
    /// Bytes in swap; 0 where the kernel does not tell.
    pub swap: u64,
}

impl Segment {
    /// Whether it is marked for removal and only attachments keep it.
    pub const fn is_dest(&self) -> bool {
        self.perms & SHM_DEST != 0
    }

    /// Whether `SHM_LOCK` holds it in memory.
    pub const fn is_locked(&self) -> bool {
        self.perms & SHM_LOCKED != 0
    }

    /// The permission bits alone, as `shmget` takes them.
    pub const fn mode(&self) -> u32 {
        self.perms & 0o777
    }

    fn set(&mut self, column: usize, text: &[u8]) -> Option<()> {
        match column {
            0 => self.key = signed(text)?,
            1 => self.shmid = signed(text)?,
            2 => self.perms = u32::try_from(number(text, 8)?).ok()?,
            3 => self.size = decimal(text)?,
            4 => self.cpid = decimal(text)?,
            5 => self.lpid = decimal(text)?,
            6 => self.nattch = decimal(text)?,
            7 => self.uid = decimal(text)?,
            8 => self.gid = decimal(text)?,
            9 => self.cuid = decimal(text)?,
            10 => self.cgid = decimal(text)?,
            11 => self.atime = decimal(text)?,
            12 => self.dtime = decimal(text)?,
            13 => self.ctime = decimal(text)?,
            14 => self.rss = decimal(text)?,
            15 => self.swap = decimal(text)?,
            _ => {}
        }
        Some(())
    }
}

/// The columns in the order of [`Segment::set`]; the first [`NEEDED`] every kernel has.
const COLUMNS: [&[u8]; 16] = [
    b"key", b"shmid", b"perms", b"size", b"cpid", b"lpid", b"nattch", b"uid", b"gid", b"cuid", b"cgid", b"atime",
    b"dtime", b"ctime", b"rss", b"swap",
];
const NEEDED: u32 = (1 << 14) - 1;
/// A column that is not ours.
const OTHER: u8 = u8::MAX;

/// The segments of the table; without a header line the columns are taken in the order that kernels write them.
pub fn segments(table: &[u8]) -> Segments<'_> {
    let mut order = [OTHER; 32];
    let mut lines = Lines::new(table);
    let mut after_header = lines.clone();
    let header = after_header.line().unwrap_or(&[]);
    if header.iter().any(u8::is_ascii_alphabetic) {
        let mut known = 0u32;
        for (place, name) in order.iter_mut().zip(fields(header)) {
            if let Some(column) = COLUMNS.iter().position(|column| *column == name) {
                // A name that comes twice is the first time ours.
                if known & (1 << column) == 0 {
                    known |= 1 << column;
                    *place = column as u8;
                }
            }
        }
        lines = after_header;
    } else {
        for (column, place) in order.iter_mut().take(COLUMNS.len()).enumerate() {
            *place = column as u8;
        }
    }
    Segments { lines, order }
}

/// Iterator over the segments of a table: see [`segments`].
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    lines: Lines<'a>,
    order: [u8; 32],
}

impl Segments<'_> {
    /// How many lines so far were no segment.
    pub fn skipped(&self) -> usize {
        self.lines.skipped
    }
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let order = self.order;
        self.lines.parsed(|line| {
            let (mut segment, mut seen) = (Segment::default(), 0u32);
            for (&column, text) in order.iter().zip(fields(line)) {
                if column != OTHER {
                    segment.set(usize::from(column), text)?;
                    seen |= 1u32.checked_shl(u32::from(column))?;
                }
            }
            (seen & NEEDED == NEEDED).then_some(segment)
        })
    }
}

/// Takes from the counts of attachments those that a table of mappings has: its process's own.
pub fn without(segments: &mut [Segment], maps: &[u8]) {
    let mut own = BTreeMap::new();
    for shmid in mappings(maps).filter_map(|mapping| mapping.sysv_shmid()) {
        *own.entry(shmid).or_insert(0) += 1;
    }
    for segment in segments {
        segment.nattch = segment.nattch.saturating_sub(own.get(&segment.shmid).copied().unwrap_or(0));
    }
}
