//! Objects that the tree made and has not removed: entered by their creator, taken out by whoever removes them.
//!
//! An entry is filled before the index points to it, and leaves the index before it is freed; the one compare-and-swap
//! that frees the index word decides who removed the object.

use shmaudit_core::layout::{INDEX_GONE, INDEX_LINE, INDEX_WINDOW, Region, entry, header, index_word, indexed_entry};
use shmaudit_core::record::{self, Event};

use crate::atomic::{AtomicU64, Ordering};
use crate::recorder::{Recorder, Ticket};

/// An entry as the index knows it.
#[derive(Clone, Copy)]
pub struct Found {
    index: usize,
    word: u64,
}

impl Found {
    /// The entry's number.
    pub fn entry(self) -> usize {
        indexed_entry(self.word).unwrap_or(usize::MAX)
    }
}

impl Recorder {
    /// Argument `index` of the call that made the object.
    pub fn argument(&self, found: Found, index: usize) -> Option<u64> {
        let word = found.entry() * self.entry_words + entry::RECORD + record::UNIT_PAYLOAD + index;
        self.region(Region::Entries).get(word).map(|word| word.load(Ordering::Acquire))
    }

    /// The device that the object is on.
    pub fn device(&self, found: Found) -> Option<u64> {
        let base = found.entry() * self.entry_words + entry::RECORD;
        let load = |at: usize| self.region(Region::Entries).get(base + at).map(|word| word.load(Ordering::Acquire));
        let arguments = (load(0)? >> 24 & 0xF) as usize;
        load(record::UNIT_PAYLOAD + arguments)
    }

    /// Enters the object that `event` made, known by `hash`. Where there is no room it is counted as lost.
    pub fn register(&self, hash: u64, event: &Event) {
        let Some((number, place)) = self.take_place() else { return };
        // Names are short and stacks are kept to what fits.
        let without_frames = Event { frames: &[], ..*event };
        let words = |event: &Event| event.units() * record::UNIT_PAYLOAD;
        let frames = place.len().saturating_sub(entry::RECORD + words(&without_frames)).min(event.frames.len());
        let fitting = Event { frames: event.frames.get(..frames).unwrap_or(&[]), ..*event };
        record::encode(&fitting, |word, value| {
            if let Some(place) = place.get(entry::RECORD + word) {
                place.store(value, Ordering::Relaxed);
            }
        });
        self.show(hash, number, place, event.order);
    }

    /// The same, for a call whose record stands in the ring with its end. `false`: it is not there any more, or does not fit.
    pub fn register_noted(&self, hash: u64, ticket: Ticket, order: u64) -> bool {
        let Some((number, place)) = self.take_place() else { return true };
        let copied = self.copy(ticket, place.get(entry::RECORD..).unwrap_or(&[]));
        if copied {
            self.show(hash, number, place, order);
        } else {
            self.give_entry(number);
        }
        copied
    }

    /// A free entry: its number and its words.
    #[inline(always)]
    fn take_place(&self) -> Option<(usize, &'static [AtomicU64])> {
        let place = self.take_entry().and_then(|number| {
            let base = number * self.entry_words;
            Some((number, self.region(Region::Entries).get(base..base + self.entry_words)?))
        });
        if place.is_none() {
            self.word(header::OBJECTS_LOST).fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    /// From now on the entry, which has been filled, is one that readers and the index have.
    #[inline(always)]
    fn show(&self, hash: u64, number: usize, place: &[AtomicU64], order: u64) {
        if let [state, known, ..] = place {
            const { assert!(entry::STATE == 0 && entry::HASH == 1) };
            known.store(hash, Ordering::Relaxed);
            state.store(order << 1 | 1, Ordering::Release);
        }
        self.index(hash, number);
    }

    fn index(&self, hash: u64, number: usize) {
        for (_, word) in window(self.region(Region::Index), hash) {
            let there = word.load(Ordering::Relaxed);
            if indexed_entry(there).is_none()
                && word.compare_exchange(there, index_word(hash, number), Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
        // No index word: the entry still tells of the object, but its removal will not find it.
        self.word(header::OBJECTS_LOST).fetch_add(1, Ordering::Relaxed);
    }

    /// Makes the object known by `hash` from now on.
    pub fn relabel(&self, found: Found, hash: u64) {
        let Some(word) = self.region(Region::Index).get(found.index) else { return };
        if word.compare_exchange(found.word, INDEX_GONE, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        if let Some(place) = self.region(Region::Entries).get(found.entry() * self.entry_words + entry::HASH) {
            place.store(hash, Ordering::Release);
        }
        self.index(hash, found.entry());
    }

    /// The youngest entry known by `hash`.
    pub fn find(&self, hash: u64) -> Option<Found> {
        self.find_before(hash, u64::MAX)
    }

    /// The same, of those that were made before `ticks`.
    pub fn find_before(&self, hash: u64, ticks: u64) -> Option<Found> {
        let mut youngest = None;
        for (index, word) in window(self.region(Region::Index), hash) {
            let word = word.load(Ordering::Acquire);
            if word == 0 {
                break;
            }
            if (word ^ hash) & !0xFF_FFFF == 0 {
                youngest = self.younger(youngest, Found { index, word }, (hash, ticks));
            }
        }
        youngest.map(|(_, found)| found)
    }

    /// The younger of two entries, by the order of all calls; `found` if it is known by the hash and was made before `ticks`.
    #[cold]
    #[inline(never)]
    fn younger(&self, other: Option<(u64, Found)>, found: Found, (hash, ticks): (u64, u64)) -> Option<(u64, Found)> {
        if indexed_entry(found.word).is_none() {
            return other;
        }
        let words = self.region(Region::Entries).get(found.entry() * self.entry_words..).unwrap_or(&[]);
        let load = |at: usize| words.get(at).map_or(0, |word| word.load(Ordering::Acquire));
        let age = load(entry::STATE);
        let meant = age & 1 == 1 && load(entry::HASH) == hash && load(entry::RECORD + 1) <= ticks;
        if meant && other.is_none_or(|(most, _)| age > most) { Some((age, found)) } else { other }
    }

    /// Takes the object out. `false`: somebody else did.
    pub fn remove(&self, found: Found) -> bool {
        let Some(word) = self.region(Region::Index).get(found.index) else { return false };
        wrong!(FreesEarly => {
            self.give_entry(found.entry());
            return indexed_entry(word.swap(INDEX_GONE, Ordering::AcqRel)).is_some();
        });
        if word.compare_exchange(found.word, INDEX_GONE, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        self.give_entry(found.entry());
        true
    }

    fn take_entry(&self) -> Option<usize> {
        let entries = self.region(Region::Entries);
        let free = self.word(header::ENTRIES_FREE);
        let mut head = free.load(Ordering::Acquire);
        while head as u32 != 0 {
            let number = head as u32 as usize - 1;
            let next =
                entries.get(number * self.entry_words + entry::NEXT).map_or(0, |word| word.load(Ordering::Relaxed));
            // The upper half counts every change, so that a list that changed and changed back is not taken for unchanged.
            let changed = (head >> 32).wrapping_add(1) << 32 | (next & 0xFFFF_FFFF);
            wrong!(CountsNoChange => {
                match free.compare_exchange_weak(head, next & 0xFFFF_FFFF, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => return Some(number),
                    Err(now) => head = now,
                }
                continue;
            });
            match free.compare_exchange_weak(head, changed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(number),
                Err(now) => head = now,
            }
        }
        let used = self.word(header::ENTRIES_USED);
        let room = entries.len().checked_div(self.entry_words).unwrap_or(0) as u64;
        if used.load(Ordering::Relaxed) >= room {
            return None;
        }
        let number = used.fetch_add(1, Ordering::AcqRel);
        if number < room { Some(number as usize) } else { None }
    }

    fn give_entry(&self, number: usize) {
        let base = number * self.entry_words;
        let Some(place) = self.region(Region::Entries).get(base..base + self.entry_words) else { return };
        if let Some(state) = place.first() {
            state.store(0, Ordering::Release);
        }
        let free = self.word(header::ENTRIES_FREE);
        let mut head = free.load(Ordering::Relaxed);
        loop {
            if let Some(next) = place.get(entry::NEXT) {
                next.store(head & 0xFFFF_FFFF, Ordering::Relaxed);
            }
            let changed = (head >> 32).wrapping_add(1) << 32 | (number as u64 + 1);
            wrong!(CountsNoChange => {
                match free.compare_exchange_weak(head, number as u64 + 1, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => return,
                    Err(now) => head = now,
                }
                continue;
            });
            match free.compare_exchange_weak(head, changed, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// The words of the index that may lead to what is known by `hash`, each with its number.
#[inline(always)]
fn window(index: &'static [AtomicU64], hash: u64) -> impl Iterator<Item = (usize, &'static AtomicU64)> {
    let home = ((hash >> 24) as usize ^ hash as usize >> 4) & !(INDEX_LINE - 1);
    (home..home + INDEX_WINDOW).filter_map(move |number| {
        let number = number & index.len().wrapping_sub(1);
        Some((number, index.get(number)?))
    })
}
