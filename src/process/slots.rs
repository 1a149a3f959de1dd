//! The places of the recorder's process table: written, and given out.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use shmaudit_core::layout::process as slot;
use shmaudit_core::layout::{Region, header};

use super::NO_SLOT;
use crate::recorder::Recorder;
use crate::{clock, filter, sys};

/// Words of a place.
pub(super) const WORDS: usize = slot::BYTES / 8;

/// A place's words.
pub(super) struct Place(pub(super) &'static [AtomicU64]);

impl Place {
    pub(super) fn set(&self, word: usize, value: u64) {
        if let Some(place) = self.0.get(word) {
            place.store(value, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, word: usize) -> u64 {
        self.0.get(word).map_or(0, |place| place.load(Ordering::Acquire))
    }

    pub(super) fn set_bytes(&self, word: usize, bytes: &[u8]) {
        for (index, bytes) in bytes.chunks(8).enumerate() {
            let value = bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
            self.set(word + index, value);
        }
    }

    pub(super) fn live(&self, pid: u32, ppid: u32) {
        self.set(slot::STARTED, clock::now());
        self.set(slot::ENDED, 0);
        self.set(slot::END, 0);
        self.set(slot::PID, u64::from(pid) | u64::from(ppid) << 32);
        if let Some(state) = self.0.first() {
            state.store(slot::STATE_LIVE, Ordering::Release);
        }
    }
}

pub(super) fn place(recorder: &Recorder, number: u32) -> Option<Place> {
    let base = number as usize * WORDS;
    recorder.region(Region::Processes).get(base..base + WORDS).map(Place)
}

/// Where the search for a slot goes on: those before it were given out last.
static HAND: AtomicU32 = AtomicU32::new(0);
/// The same, of processes that have not said that they ended.
static ASKED: AtomicU32 = AtomicU32::new(0);
/// Of so many of them the kernel is asked for one slot.
const ASKS: u32 = 64;

/// A slot nobody has, or that of a process that ended long ago.
pub(super) fn take_slot(recorder: &Recorder) -> u32 {
    let room = (recorder.region(Region::Processes).len() / WORDS).min(NO_SLOT as usize) as u64;
    let used = recorder.word(header::PROCESSES);
    if used.load(Ordering::Relaxed) < room {
        let number = used.fetch_add(1, Ordering::AcqRel);
        if number < room {
            return number as u32;
        }
    }
    let search = |hand: &AtomicU32, most: u32, state: u64, goes: &dyn Fn(&Place) -> bool| {
        let start = hand.load(Ordering::Relaxed);
        let found = (0..most.min(room as u32)).map(|step| start.wrapping_add(step) % room as u32).find(|&number| {
            place(recorder, number).is_some_and(|place| {
                let is = |word: &AtomicU64| word.load(Ordering::Acquire) == state && goes(&place);
                let take = |word: &AtomicU64| {
                    word.compare_exchange(state, slot::STATE_FORKING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
                };
                place.0.first().is_some_and(|word| is(word) && take(word))
            })
        });
        hand.store(found.map_or(start.wrapping_add(most), |number| number + 1) % room.max(1) as u32, Ordering::Relaxed);
        found
    };
    let session = recorder.is_session();
    // A supervisor keeps what it has stored, and knows who was killed.
    let free = if session { slot::STATE_SAVED } else { slot::STATE_ENDED };
    if let Some(number) = search(&HAND, room as u32, free, &|_| true) {
        return number;
    }
    // Workers that are killed tell nothing. Each time a few are asked for, so that a fork among very many does not wait.
    let is_gone = |place: &Place| !sys::exists(place.get(slot::PID) as u32);
    if !session
        && !filter::is_own()
        && let Some(number) = search(&ASKED, ASKS, slot::STATE_LIVE, &is_gone)
    {
        return number;
    }
    recorder.word(header::PROCESSES_LOST).fetch_add(1, Ordering::Relaxed);
    NO_SLOT
}
