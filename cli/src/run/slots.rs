//! The recorder's process records, as far as the supervisor knows more than the processes have told.

use std::sync::atomic::Ordering;

use rustix::process::{Pid, test_kill_process};
use shmaudit_core::layout::{Region, header, process};

use super::clock;
use super::supervise::Ended;
use crate::session::Recorder;

const WORDS: usize = process::BYTES / 8;

/// Records of running processes, as (record, pid, how it ended).
fn running(recorder: &Recorder) -> impl Iterator<Item = (&[std::sync::atomic::AtomicU64], u32, u64)> {
    let table = recorder.region(Region::Processes);
    let used = usize::try_from(recorder.get(header::PROCESSES)).unwrap_or(usize::MAX);
    table.chunks_exact(WORDS).take(used).filter_map(|record| {
        let word = |word: usize| record[word].load(Ordering::Acquire);
        (word(process::STATE) == process::STATE_LIVE)
            .then(|| (record, word(process::PID) as u32, word(process::END) & 0xFF))
    })
}

fn end(record: &[std::sync::atomic::AtomicU64]) {
    let now = clock::ticks();
    let _ = record[process::ENDED].compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
    let state = &record[process::STATE];
    let _ = state.compare_exchange(process::STATE_LIVE, process::STATE_ENDED, Ordering::AcqRel, Ordering::Relaxed);
}

/// A process was waited for: this is how it ended, where it has not told so itself.
pub fn ended(recorder: &Recorder, pid: u32, how: Ended) {
    for (record, _, told) in running(recorder).filter(|&(_, other, _)| other == pid) {
        let how = match how {
            Ended::Exit(status) => process::END_EXIT | u64::from(status as u32) << 8,
            Ended::Signal(signal) => process::END_SIGNAL | u64::from(signal as u32) << 8,
        };
        // An exit that a signal cut short ended by the signal.
        if told == process::END_UNKNOWN || told == process::END_EXIT && how & 0xFF == process::END_SIGNAL {
            record[process::END].store(how, Ordering::Relaxed);
        }
        end(record);
    }
}

/// Processes that others have waited for, and images that were replaced, are over.
pub fn settle(recorder: &Recorder) {
    let own = crate::system::namespace_of_self("pid").unwrap_or(0);
    let images: Vec<(u32, u64)> = running(recorder)
        .filter(|&(_, _, end)| end != process::END_EXEC)
        .map(|(record, pid, _)| (pid, record[process::STARTED].load(Ordering::Relaxed)))
        .collect();
    for (record, pid, how) in running(recorder) {
        let namespace = record[process::NAMESPACES].load(Ordering::Relaxed) & 0xFFFF_FFFF;
        let elsewhere = namespace != 0 && own != 0 && namespace != own;
        let started = record[process::STARTED].load(Ordering::Relaxed);
        let replaced = how == process::END_EXEC && images.iter().any(|&(other, at)| other == pid && at >= started);
        if replaced || !elsewhere && !exists(pid) {
            end(record);
        }
    }
}

/// Nobody of the tree runs any more, also not in a pid namespace where we do not know them by their numbers.
pub fn all_over(recorder: &Recorder) {
    running(recorder).for_each(|(record, _, _)| end(record));
}

fn exists(pid: u32) -> bool {
    let answer = i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process);
    !matches!(answer, Some(Err(rustix::io::Errno::SRCH)))
}

/// Whether the process of this pid has a record that is not of an image it had before. One that has told of its end may
/// still be seen for as long as the kernel takes to free what it had. A forked process tells no start: its pid stands for
/// it, which comes again only when all others have been used.
pub fn has(recorder: &Recorder, pid: u32, starttime: u64) -> bool {
    let table = recorder.region(Region::Processes);
    let used = usize::try_from(recorder.get(header::PROCESSES)).unwrap_or(usize::MAX);
    table.chunks_exact(WORDS).take(used).any(|record| {
        let word = |word: usize| record[word].load(Ordering::Acquire);
        let known = word(process::STARTTIME);
        let there = matches!(word(process::STATE), process::STATE_LIVE | process::STATE_ENDED | process::STATE_SAVED);
        let same = known == 0 || starttime == 0 || known == starttime;
        there && same && word(process::PID) as u32 == pid && word(process::END) & 0xFF != process::END_EXEC
    })
}

/// Whether a process of this pid and program has a record that is not of an image it had before.
pub fn is_of(recorder: &Recorder, pid: u32, starttime: u64, exe: &[u8]) -> bool {
    let table = recorder.region(Region::Processes);
    let used = usize::try_from(recorder.get(header::PROCESSES)).unwrap_or(usize::MAX);
    table.chunks_exact(WORDS).take(used).any(|record| {
        let word = |word: usize| record[word].load(Ordering::Acquire);
        let there = matches!(word(process::STATE), process::STATE_LIVE | process::STATE_ENDED | process::STATE_SAVED);
        let length = (word(process::LENGTHS) & 0xFFFF).min(process::EXE_BYTES as u64) as usize;
        let path = || record[process::EXE..].iter().flat_map(|word| word.load(Ordering::Acquire).to_ne_bytes());
        there
            && word(process::PID) as u32 == pid
            && word(process::STARTTIME) == starttime
            && word(process::END) & 0xFF != process::END_EXEC
            && !exe.is_empty()
            && path().take(length).eq(exe.iter().copied())
    })
}

/// Whether the process of this pid has ever had a record, as far as that is still in the table.
pub fn had(recorder: &Recorder, pid: u32) -> bool {
    let table = recorder.region(Region::Processes);
    let of = |record: &[std::sync::atomic::AtomicU64]| record[process::PID].load(Ordering::Acquire) as u32;
    let stored = recorder.get(header::PROCESSES) >= (table.len() / WORDS / 2) as u64;
    stored || table.chunks_exact(WORDS).any(|record| of(record) == pid)
}

/// Whether anybody with a record runs.
pub fn any(recorder: &Recorder) -> bool {
    running(recorder).next().is_some()
}
