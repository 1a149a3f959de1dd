//! Where shared memory has its files: the shm mount, mounted hugetlbfs, and the kernel's own mounts that nobody sees.

use std::fs;

use rustix::fs::{MemfdFlags, memfd_create};
use shmaudit_core::procfs::{Mount, mounts, shm_mount};

use super::facts::Facts;

/// A mount that is seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it is mounted.
    pub path: Vec<u8>,
    /// Device of its files.
    pub dev: u64,
    /// Type of its file system.
    pub fstype: Vec<u8>,
}

/// All places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The mount of the POSIX objects; nothing where /dev/shm is missing.
    pub shm: Option<Place>,
    /// Mounts of hugetlbfs, one for each device.
    pub huge: Vec<Place>,
    /// Device of memfds, of segments and of memory without a name.
    pub nameless: Option<u64>,
    /// Devices of the same in huge pages, one for each size of page.
    pub nameless_huge: Vec<u64>,
    /// How /proc hides processes: the value of its option `hidepid`, where it does.
    pub hidepid: Option<Vec<u8>>,
}

/// Where MFD_HUGETLB has the logarithm of the page size (include/uapi/linux/memfd.h).
const MFD_HUGE_SHIFT: u32 = 26;

/// Where the POSIX objects are, as glibc and musl have it.
pub const SHM: &str = "/dev/shm";

impl Places {
    /// The places as this process sees them.
    pub fn find() -> Places {
        let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mut places = Places { nameless: nameless(MemfdFlags::empty()), ..Places::default() };
        places.nameless_huge = page_sizes().into_iter().filter_map(|size| nameless(huge_flags(size))).collect();
        if let Some(facts) = Facts::of(rustix::fs::CWD, SHM, true).ok().filter(Facts::is_directory) {
            let fstype = shm_mount(&table).filter(|mount| mount.st_dev() == facts.dev).map(|mount| mount.fstype);
            let fstype = fstype.unwrap_or(b"").to_vec();
            places.shm = Some(Place { path: SHM.into(), dev: facts.dev, fstype });
        }
        for mount in mounts(&table).filter(|mount| mount.fstype == b"hugetlbfs") {
            if places.huge.iter().all(|known| known.dev != mount.st_dev()) {
                places.huge.push(place(&mount));
            }
        }
        let proc = mounts(&table).filter(|mount| mount.mount_point.is(b"/proc")).last();
        let hidden = proc.and_then(|mount| mount.option(b"hidepid")).filter(|value| !matches!(*value, b"0" | b"off"));
        places.hidepid = hidden.map(<[u8]>::to_vec);
        places
    }

    /// Whether files of this device are in one of the mounts that are seen.
    pub fn is_mounted(&self, dev: u64) -> bool {
        self.shm.as_ref().is_some_and(|place| place.dev == dev) || self.is_mounted_huge(dev)
    }

    /// Whether files of this device are in a mounted hugetlbfs.
    pub fn is_mounted_huge(&self, dev: u64) -> bool {
        self.huge.iter().any(|place| place.dev == dev)
    }

    /// Whether files of this device are in one of the kernel's own mounts.
    pub fn is_nameless(&self, dev: u64) -> bool {
        self.nameless == Some(dev) || self.is_nameless_huge(dev)
    }

    /// Whether files of this device are in huge pages of one of the kernel's own mounts.
    pub fn is_nameless_huge(&self, dev: u64) -> bool {
        self.nameless_huge.contains(&dev)
    }
}

fn place(mount: &Mount) -> Place {
    Place { path: mount.mount_point.to_vec(), dev: mount.st_dev(), fstype: mount.fstype.to_vec() }
}

/// The device of the kernel's mount that such a memfd is of: one is made, asked and closed.
fn nameless(flags: MemfdFlags) -> Option<u64> {
    let file = memfd_create("shmaudit", flags | MemfdFlags::CLOEXEC).ok()?;
    Some(Facts::of_open(&file).ok()?.dev)
}

/// `MFD_HUGETLB` with a page size in bytes.
fn huge_flags(size: u64) -> MemfdFlags {
    MemfdFlags::HUGETLB | MemfdFlags::from_bits_retain(size.trailing_zeros() << MFD_HUGE_SHIFT)
}

/// The sizes of huge pages that the kernel has, in bytes.
pub fn page_sizes() -> Vec<u64> {
    let Ok(entries) = fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let size = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let kilobytes: u64 = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    let mut sizes: Vec<u64> = entries.filter_map(|entry| size(entry.ok()?)).collect();
    sizes.sort_unstable();
    sizes
}
