//! Recorders are allocated whole. One that nobody writes to any more gives back to the disk what it has not used.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use shmaudit_core::layout::Sizes;
use shmaudit_core::reader::Words;

use super::{Mapped, RECORDER, Recorder};
use crate::system::is_nobody_elses;

const PAGE: u64 = 4096;

/// Of a session that has ended just now.
pub fn compact(directory: &Path, recorder: &Recorder) {
    let Some(file) = open(directory) else { return };
    // The program may have put something else in its place.
    if file.metadata().is_ok_and(|facts| recorder.is(&facts)) {
        punch(&file, recorder);
    }
}

/// Of one whose daemons ran on, or whose supervisor was killed: if all have ended since.
pub fn compact_later(directory: &Path) {
    let Some(file) = open(directory) else { return };
    let Ok(facts) = file.metadata() else { return };
    let whole = facts.blocks() * 512 >= facts.len() && facts.len() >= smallest();
    if whole
        && is_nobody_elses(&file)
        && let Ok(recorder) = Mapped::inside(directory, RECORDER)
    {
        punch(&file, &recorder);
    }
}

/// No session's recorder is smaller; anything else is not ours to cut holes into.
fn smallest() -> u64 {
    Sizes::session(0).regions().1 as u64
}

/// Not through a link, and not waiting.
fn open(directory: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(directory.join(RECORDER)).ok()
}

fn punch(file: &File, recorder: &impl Words) {
    for (at, length) in empty_parts(recorder) {
        // It saves room and nothing else.
        let _ = fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, length);
    }
}

/// Pages that hold nothing, as (byte offset, bytes).
fn empty_parts(recorder: &impl Words) -> Vec<(u64, u64)> {
    let words = PAGE as usize / 8;
    let is_empty = |page: u64| (0..words).all(|word| recorder.word(page as usize * words + word).unwrap_or(0) == 0);
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for page in (0..(recorder.words() / words) as u64).filter(|&page| is_empty(page)) {
        let at = page * PAGE;
        match parts.last_mut() {
            Some((from, length)) if *from + *length == at => *length += PAGE,
            _ => parts.push((at, PAGE)),
        }
    }
    parts
}
