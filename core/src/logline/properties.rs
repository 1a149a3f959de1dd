//! What holds for lines of any record, made of any bytes.

use super::tests::{event as event_of, written};
use super::*;
use crate::calls::CALLS;
use crate::record::{Family, ObjectId};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::string::String;
use std::vec::Vec;

/// Values of the widths and magnitudes that arguments have.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..32, any::<u64>(), any::<u32>().prop_map(u64::from), Just(u64::from(u32::MAX)), Just(1030)]
}

/// Bytes as names have them, short and long (the same few repeated), tame and not.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let acting = prop_oneof![Just(0u8), Just(0x1b), Just(0x9b), Just(0xc2), Just(b'\n'), Just(b'/')];
    let unit = prop_oneof![
        vec(any::<u8>(), 1..50),
        vec(acting, 1..10),
        "\\PC{1,10}".prop_map(String::into_bytes),
        "/dev/shm/\\PC{0,5}( \\(deleted\\))?".prop_map(String::into_bytes),
    ];
    (unit, prop_oneof![0usize..20, Just(60), 0usize..1200])
        .prop_map(|(unit, length)| if length == 60 { unit } else { unit.into_iter().cycle().take(length).collect() })
}

#[derive(Clone, Debug)]
struct Parts {
    call: usize,
    state: State,
    numbers: (u16, i32, u32, u32, i64),
    args: Vec<u64>,
    object: ObjectId,
    data: Vec<u8>,
    frames: Vec<u64>,
    extra: (u64, u64, Option<Vec<u8>>, Vec<u8>),
}

prop_compose! {
    fn parts()(
        call in 0..CALLS.len(),
        begun in any::<bool>(),
        numbers in (any::<u16>(), prop_oneof![Just(0), 0..140, any::<i32>()], any::<u32>(), any::<u32>(), any::<i64>()),
        args in vec(argument(), 0..7),
        family in prop_oneof![Just(Family::None), Just(Family::Posix), Just(Family::Sysv), Just(Family::Memfd)],
        identity in (any::<u64>(), any::<u64>()),
        data in bytes(),
        frames in vec(any::<u64>(), 0..64),
        extra in (any::<u64>(), any::<u64>(), proptest::option::of(bytes()), bytes()),
    ) -> Parts {
        let state = if begun { State::Begun } else { State::Done };
        let object = ObjectId { family, dev: identity.0, ino: identity.1 };
        Parts { call, state, numbers, args, object, data, frames, extra }
    }
}

impl Parts {
    fn event(&self) -> Event<'_> {
        let (flags, errno, pid, tid, ret) = self.numbers;
        let call = CALLS[self.call];
        Event {
            state: self.state,
            flags,
            errno,
            pid,
            tid,
            object: self.object,
            frames: &self.frames,
            ..event_of(call, &self.args, &self.data, ret)
        }
    }

    fn extra(&self) -> Extra<'_> {
        let (unix_ns, took_ns, object_path, caller) = &self.extra;
        Extra { unix_ns: *unix_ns, took_ns: *took_ns, object_path: object_path.as_deref(), caller }
    }

    /// Resolves addresses to frames made of the record's own bytes.
    fn resolve(&self, address: u64, each: &mut dyn FnMut(&Frame)) {
        let some = |bit: u64| if address & bit != 0 { Some(&self.data[..]) } else { None };
        let number = if address & 8 != 0 { Some(address as u32) } else { None };
        for _ in 0..address % 3 {
            let inlined = address & 16 != 0;
            each(&Frame { function: some(1), file: some(2), line: number, module: some(4), offset: address, inlined });
        }
    }
}

/// Whole lines of printable ASCII.
fn assert_tame(lines: &str) -> Result<(), TestCaseError> {
    prop_assert!(lines.is_empty() || lines.ends_with('\n'), "{lines:?}");
    prop_assert!(lines.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{lines:?}");
    Ok(())
}

proptest! {
    #[test]
    fn text_is_one_tame_line(parts in parts(), size in prop_oneof![0usize..64, 64usize..600, 600usize..9000]) {
        let (event, extra) = (parts.event(), parts.extra());
        let line = written(size, |line| text(line, &event, &extra));
        assert_tame(&line)?;
        prop_assert_eq!(line.lines().count(), usize::from(size >= 4), "{:?}", line);
        let whole = written(16_384, |line| text(line, &event, &extra));
        if whole.len() > size && size >= 4 {
            prop_assert!(line.ends_with("...\n") || line.contains("..."), "{}", line);
        } else if size >= 4 {
            prop_assert_eq!(line, whole);
        }
    }

    #[test]
    fn system_call_is_at_most_one_tame_line(parts in parts(), size in 0usize..2000) {
        let event = parts.event();
        let line = written(size, |line| syscalls(line, &event));
        assert_tame(&line)?;
        prop_assert!(line.lines().count() <= 1);
        prop_assert!(line.is_empty() || size < 60 || line.contains("   -> "), "{}", line);
    }

    #[test]
    fn json_is_valid(parts in parts(), size in prop_oneof![512usize..1024, 1024usize..9000], raw in any::<bool>()) {
        let (event, extra) = (parts.event(), parts.extra());
        let resolve = |address: u64, each: &mut dyn FnMut(&Frame)| parts.resolve(address, each);
        let resolve: &Resolve = if raw { &unresolved } else { &resolve };
        let line = written(size, |line| json(line, &event, &extra, resolve));
        prop_assert!(!line.chars().any(|char| char != '\n' && char.is_control()), "{line:?}");
        prop_assert_eq!(line.lines().count(), 1);
        let value: Value = serde_json::from_str(&line).map_err(|error| TestCaseError::fail(std::format!("{error}: {line}")))?;
        prop_assert_eq!(&value["call"], event.call.name());
        prop_assert_eq!(&value["pid"], event.pid);
        prop_assert!(value["stack"].is_array());
    }

    #[test]
    fn json_is_whole_or_nothing(parts in parts(), size in 0usize..512) {
        let line = written(size, |line| json(line, &parts.event(), &parts.extra(), &unresolved));
        prop_assert!(line.is_empty() || serde_json::from_str::<Value>(&line).is_ok(), "{line}");
    }

    #[test]
    fn lines_keep_what_was_before(parts in parts(), size in 0usize..3000) {
        let (event, extra) = (parts.event(), parts.extra());
        let lines = written(size, |line| {
            text(line, &event, &extra);
            syscalls(line, &event);
            json(line, &event, &extra, &unresolved);
        });
        let first = written(size, |line| text(line, &event, &extra));
        prop_assert!(lines.starts_with(&first));
        prop_assert!(lines.is_empty() || lines.ends_with('\n'));
        prop_assert!(lines.lines().count() <= 3);
    }
}
