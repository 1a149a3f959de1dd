//! The loaded files as the recorder keeps them, so that addresses have names after the process is gone.

use core::sync::atomic::Ordering;

use shmaudit_core::layout::{Region, header, module};

use crate::elf::{self, Module};
use crate::process::Me;
use crate::recorder::Recorder;

const WORDS: usize = module::BYTES / 8;

/// Writes a record for every file that the loader has mapped now. `exe` is the path of the program itself, which the
/// loader's list leaves empty.
pub fn record(recorder: &Recorder, process: Me, exe: &[u8]) {
    elf::modules(|loaded| {
        let name = loaded.name();
        let path = if name.is_empty() { exe } else { name };
        record_one(recorder, process, loaded, path, loaded.build_id().unwrap_or(&[]), 0);
        true
    });
}

/// Writes one record of what was loaded after `since`.
pub fn record_one(recorder: &Recorder, process: Me, loaded: &Module, path: &[u8], build_id: &[u8], since: u64) {
    let number = recorder.word(header::MODULES).fetch_add(1, Ordering::AcqRel);
    let room = (recorder.region(Region::Modules).len() / WORDS) as u64;
    if number >= room.saturating_add(recorder.word(header::MODULES_SAVED).load(Ordering::Acquire)) {
        return;
    }
    let place = (number % room.max(1)) as usize * WORDS;
    let Some(place) = recorder.region(Region::Modules).get(place..place + WORDS) else { return };
    if let Some(state) = place.first() {
        state.store(0, Ordering::Release);
    }
    let set = |word: usize, value: u64| {
        if let Some(place) = place.get(word) {
            place.store(value, Ordering::Relaxed);
        }
    };
    let set_bytes = |word: usize, bytes: &[u8]| {
        for (index, bytes) in bytes.chunks(8).enumerate() {
            set(word + index, bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)));
        }
    };
    let build_id = build_id.get(..build_id.len().min(module::BUILD_ID_BYTES)).unwrap_or(&[]);
    let path = path.get(..path.len().min(module::PATH_BYTES)).unwrap_or(&[]);
    set(module::START, loaded.start as u64);
    set(module::END, loaded.end as u64);
    set(module::BIAS, loaded.bias as u64);
    set(module::SINCE, since);
    set(module::LENGTHS, build_id.len() as u64 | (path.len() as u64) << 16);
    set_bytes(module::BUILD_ID, build_id);
    set_bytes(module::PATH, path);
    if let Some(state) = place.first() {
        state.store(u64::from(process.pid) << 32 | u64::from(process.slot as u16) << 8 | 1, Ordering::Release);
    }
}
