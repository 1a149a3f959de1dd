//! Records of the usual mistakes, and what is drafted of them.

use super::*;
use crate::record::Opening;
pub(super) use crate::testing::for_ever as args;

pub(super) const NONE: ObjectId = ObjectId::NONE;

pub(super) fn of(kind: Kind, image: &Image, kernel: &mut Tables, me: Option<Concluding>) -> Vec<Draft> {
    let mut found = found_by(image, kernel, me);
    found.retain(|draft| draft.kind == kind);
    found
}

pub(super) fn only(kind: Kind, image: &Image, kernel: &mut Tables) -> Draft {
    let mut found = of(kind, image, kernel, LAST);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

pub(super) fn none(kind: Kind, image: &Image, kernel: &mut Tables) {
    let found = of(kind, image, kernel, LAST);
    assert!(found.is_empty(), "{found:?}");
}

pub(super) fn related(draft: &Draft) -> Vec<(&'static str, Call)> {
    draft.related.iter().map(|(what, moment)| (*what, moment.call)).collect()
}

pub(super) fn failed(call: Call, errno: i32) -> Event<'static> {
    Event { errno, ret: -1, frames: &[0x77], ..event(call) }
}

/// An open as the library records it, with what it found.
pub(super) fn opened(name: &'static [u8], ino: u64, flags: u16, oflag: u64, opening: Opening) -> Event<'static> {
    let [first, size] = opening.words();
    Event { flags, args: args([oflag, 0o666, first, size]), ..made(name, ino) }
}

pub(super) fn ftruncate(ino: u64, size: u64) -> Event<'static> {
    Event { args: args([3, size]), object: posix(ino), frames: &[0x66], ..event(Call::Ftruncate) }
}

pub(super) fn mmap(ino: u64, at: u64, length: u64) -> Event<'static> {
    let args = args([0, length, 3, 1, 3, 0]);
    Event { ret: at as i64, args, object: posix(ino), frames: &[0x44], ..event(Call::Mmap) }
}

pub(super) fn munmap(at: u64, length: u64) -> Event<'static> {
    Event { args: args([at, length]), ..event(Call::Munmap) }
}

pub(super) fn unlink(name: &'static [u8]) -> Event<'static> {
    Event { data: name, frames: &[0x99], ..event(Call::ShmUnlink) }
}

pub(super) const MISSING: Event<'static> = Event {
    call: Call::ShmOpen,
    state: crate::record::State::Done,
    flags: 0,
    ticks: 0,
    took: 1,
    errno: 2,
    process: 0,
    pid: 100,
    tid: 100,
    ret: -1,
    order: 0,
    args: &[2, 0],
    object: NONE,
    data: b"/x",
    frames: &[0x77],
};
