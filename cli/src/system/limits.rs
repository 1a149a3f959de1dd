//! How much there is in all, and how much there may be.

use std::collections::BTreeSet;
use std::fs;

use rustix::fs::statvfs;
use shmaudit_core::procfs::{Segment, meminfo, parse_u64};

use super::object::{Identity, Kind, Object};
use super::places::{Places, page_sizes};

/// All segments of this IPC namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// How many there are.
    pub count: u64,
    /// Their sizes in bytes.
    pub bytes: u64,
    /// Their sizes in pages.
    pub pages: u64,
    /// Bytes in memory.
    pub resident: u64,
    /// Bytes in swap.
    pub swap: u64,
    /// Attachments.
    pub attached: u64,
    /// Most segments (kernel.shmmni).
    pub shmmni: Option<u64>,
    /// Largest segment in bytes (kernel.shmmax).
    pub shmmax: Option<u64>,
    /// Most pages (kernel.shmall).
    pub shmall: Option<u64>,
    /// Whether segments go with their last user (kernel.shm_rmid_forced).
    pub rmid_forced: bool,
}

/// The shm mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Where it is.
    pub path: String,
    /// Bytes that it may hold; 0 for no limit of its own.
    pub size: u64,
    /// Bytes that it holds.
    pub used: u64,
    /// Files that it may hold; 0 for no limit.
    pub inodes: u64,
    /// Files that it holds, directories too.
    pub inodes_used: u64,
    /// Bytes of the files that have a name.
    pub listed: u64,
    /// Bytes of the files that have none any more and can be seen to be held.
    pub unlinked: u64,
}

impl Mount {
    /// Bytes of what could not be seen: files without a name, held by who knows whom.
    pub fn unseen(&self) -> u64 {
        self.used.saturating_sub(self.listed.saturating_add(self.unlinked))
    }
}

/// Huge pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugePages {
    /// Bytes of a page.
    pub page: u64,
    /// Pages there are.
    pub total: u64,
    /// Pages that nobody uses.
    pub free: u64,
    /// Of those, pages that are promised.
    pub reserved: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Segments; nothing where /proc/sysvipc/shm cannot be read.
    pub segments: Option<Segments>,
    /// The shm mount.
    pub mount: Option<Mount>,
    /// Huge pages, by size.
    pub huge: Vec<HugePages>,
    /// Bytes of shared memory and of every tmpfs in memory (`Shmem` of /proc/meminfo).
    pub shmem: Option<u64>,
    /// Bytes in use of the machine's swap.
    pub swapped: Option<u64>,
}

fn limit(name: &str) -> Option<u64> {
    parse_u64(&fs::read(format!("/proc/sys/kernel/{name}")).ok()?)
}

/// Adds up the segments of the table.
pub fn segments(table: &[Segment]) -> Segments {
    let page = rustix::param::page_size().max(1) as u64;
    let mut sum = Segments {
        count: table.len() as u64,
        shmmni: limit("shmmni"),
        shmmax: limit("shmmax"),
        shmall: limit("shmall"),
        rmid_forced: limit("shm_rmid_forced").is_some_and(|value| value != 0),
        ..Segments::default()
    };
    for segment in table {
        sum.bytes = sum.bytes.saturating_add(segment.size);
        sum.pages = sum.pages.saturating_add(segment.size.div_ceil(page));
        sum.resident = sum.resident.saturating_add(segment.rss);
        sum.swap = sum.swap.saturating_add(segment.swap);
        sum.attached = sum.attached.saturating_add(segment.nattch);
    }
    sum
}

/// The shm mount, with what the inventory has of it.
pub fn mount(places: &Places, objects: &[Object]) -> Option<Mount> {
    let place = places.shm.as_ref()?;
    let stat = statvfs(place.path.as_slice()).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let mut mount = Mount {
        path: String::from_utf8_lossy(&place.path).into_owned(),
        size: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        inodes: stat.f_files,
        inodes_used: stat.f_files.saturating_sub(stat.f_ffree),
        ..Mount::default()
    };
    // Where it is a directory of another file system, that is full of other things.
    if place.fstype != b"tmpfs" {
        (mount.size, mount.used) = (0, 0);
    }
    let mut seen = BTreeSet::new();
    for object in objects {
        let here = matches!(object.identity, Identity::File { dev, .. } if dev == place.dev);
        // Another name of the same file costs nothing.
        let here = here && seen.insert(object.identity);
        if here && object.kind != Kind::Hugetlbfs {
            let used = object.resident.unwrap_or(0).saturating_add(object.swap.unwrap_or(0));
            let sum = if object.unlinked { &mut mount.unlinked } else { &mut mount.listed };
            *sum = sum.saturating_add(used);
        }
    }
    Some(mount)
}

/// Huge pages of every size.
pub fn huge_pages() -> Vec<HugePages> {
    let read = |page: u64| {
        let value = |name: &str| {
            let path = format!("/sys/kernel/mm/hugepages/hugepages-{}kB/{name}", page / 1024);
            fs::read(path).ok().and_then(|text| parse_u64(&text)).unwrap_or(0)
        };
        let (total, free, reserved) = (value("nr_hugepages"), value("free_hugepages"), value("resv_hugepages"));
        HugePages { page, total, free, reserved }
    };
    page_sizes().into_iter().map(read).collect()
}

/// `Shmem`, and how much of the swap is in use.
pub fn memory() -> (Option<u64>, Option<u64>) {
    let table = fs::read("/proc/meminfo").unwrap_or_default();
    let value = |name: &[u8]| meminfo(&table, name);
    let swapped = value(b"SwapTotal").zip(value(b"SwapFree")).map(|(total, free)| total.saturating_sub(free));
    (value(b"Shmem"), swapped)
}
