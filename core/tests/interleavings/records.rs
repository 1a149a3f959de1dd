//! Records that can be told from any other: what they say follows from their number.

use shmaudit_core::calls::Call;
use shmaudit_core::record::{Event, FLAG_CREATED, FLAG_LATE, LateEnd, ObjectId, State};

use crate::place::event;
use crate::recorder::Recorder;

/// Records from this number on are of one unit, without arguments, object and text.
pub const SHORT: u64 = 1 << 31;

/// Text that tells its record: as long as the number says, of those from 16 on up to three units more.
fn data(number: u64) -> Vec<u8> {
    let words = if number < 16 { number % 3 } else { number % 24 };
    if number >= SHORT { Vec::new() } else { vec![number as u8; 8 * words as usize + 5] }
}

pub fn append(recorder: &Recorder, number: u64) {
    let data = data(number);
    let (whole, args) = (event(number, &data), [number; 2]);
    let kept = if number >= SHORT { Event { object: ObjectId::NONE, ..whole } } else { Event { args: &args, ..whole } };
    recorder.append(kept);
}

/// Calls that are noted before and after; the second way of a call that may make an object.
pub fn begin_and_finish(recorder: &Recorder, number: u64, late: bool) {
    let data = data(number);
    let whole = Event { args: &[number; 2], ..event(number, &data) };
    let flags = if late { FLAG_LATE } else { 0 };
    let (ticket, order) = recorder.append(Event { state: State::Begun, flags, ret: 0, took: 0, ..whole });
    if late {
        let end = LateEnd {
            ticks: number,
            took: number as u32,
            errno: 0,
            ret: number as i64,
            order,
            object: whole.object,
            made: FLAG_CREATED,
            opening: [number; 2],
        };
        recorder.finish_late(ticket, Call::ShmOpen, 2, &end);
    } else {
        recorder.finish(ticket, number as u32, 0, number as i64);
    }
}

/// Whether a record says what its writer said.
pub fn is_right(event: &Event) -> bool {
    let number = u64::from(event.pid);
    let done = event.state == State::Done;
    let late = event.flags & FLAG_LATE != 0;
    event.data == data(number)
        && event.call == Call::ShmOpen
        && event.tid == event.pid
        && (!done && late || event.ticks == number)
        && (!done && late || number >= SHORT || event.args == [number; 2] && event.object.ino == number)
        && event.ret == if done { number as i64 } else { 0 }
        && event.took == if done { number as u32 } else { 0 }
        && (!late || (event.flags & FLAG_CREATED != 0) == done)
}
