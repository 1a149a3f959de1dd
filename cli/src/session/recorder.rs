//! The supervisor's side of the session's recorder: it makes the file, allocated whole, and keeps it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use shmaudit_core::layout::{self, Clocks, Region, Sizes, header};
use shmaudit_core::reader::Words;

use crate::run::clock;

/// A recorder that this process keeps.
pub struct Recorder {
    map: MmapRaw,
    regions: [(usize, usize); layout::REGION_COUNT],
    /// Device and inode number of its file.
    identity: (u64, u64),
}

impl Recorder {
    /// Makes it in a new file, mode 0600, allocated before it is used: a full disk is an error here and never a fault in a
    /// program later.
    pub fn make(path: &Path, stacks: usize) -> io::Result<Recorder> {
        let sizes = Sizes::session(stacks);
        let (regions, total) = sizes.regions();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path)?;
        allocate(&file, total as u64)?;
        let facts = file.metadata()?;
        let recorder = Recorder { map: MmapRaw::map_raw(&file)?, regions, identity: (facts.dev(), facts.ino()) };
        let clocks = Clocks { clock: clock::kind(), ticks: clock::ticks(), unix: clock::unix() };
        layout::write_header(&sizes, stacks, rustix::param::page_size(), clocks, |word, value| {
            recorder.set(word, value)
        });
        recorder.set(header::SESSION, 1);
        recorder.at(header::MAGIC).store(layout::MAGIC, Ordering::Release);
        Ok(recorder)
    }

    /// Whether these are its file's.
    pub fn is(&self, facts: &Metadata) -> bool {
        self.identity == (facts.dev(), facts.ino())
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, as long as it says and lives as long as `self`; the file is allocated whole
        // and is not cut. Others write it too, so it is only ever seen as atomics.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast(), self.map.len() / 8) }
    }

    /// A word. One that is not there is the last.
    pub fn at(&self, index: usize) -> &AtomicU64 {
        let words = self.words();
        &words[index.min(words.len() - 1)]
    }

    /// Sets a word.
    pub fn set(&self, index: usize, value: u64) {
        self.at(index).store(value, Ordering::Relaxed);
    }

    /// A word's value.
    pub fn get(&self, index: usize) -> u64 {
        self.at(index).load(Ordering::Acquire)
    }

    /// The words of a region.
    pub fn region(&self, region: Region) -> &[AtomicU64] {
        let (offset, length) = self.regions[region as usize];
        &self.words()[offset / 8..(offset + length) / 8]
    }

    /// Notes what the two clocks say now.
    pub fn read_clocks(&self) {
        self.set(header::LAST_TICKS, clock::ticks());
        self.set(header::LAST_UNIX, clock::unix());
    }
}

impl Words for Recorder {
    fn word(&self, index: usize) -> Option<u64> {
        self.words().get(index).map(|word| word.load(Ordering::Acquire))
    }
    fn words(&self) -> usize {
        self.map.len() / 8
    }
}

fn allocate(file: &File, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        // A file system that cannot: bytes that are written are there as well.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let (mut file, zeros) = (file, [0; 1 << 16]);
            let mut left = length;
            while left > 0 {
                let part = left.min(zeros.len() as u64);
                file.write_all(&zeros[..part as usize])?;
                left -= part;
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
