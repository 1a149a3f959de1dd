//! A call as one JSON object on a line.

mod values;

use crate::calls::{Call, Ret};
use crate::layout::bare_name;
use crate::line::Line;
use crate::procfs::{FdTarget, fd_link};
use crate::record::{Event, FLAG_CUT, Family};
use crate::words;

use super::arguments::{self, ShmStruct};
use super::{Extra, SHORT, has_result, is_whole, name, ret_kind};
use values::{hex, inside, key, optional, string, sysv_key};

/// One level of a call stack, as far as it is resolved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'a> {
    /// The function's name.
    pub function: Option<&'a [u8]>,
    /// Its source file.
    pub file: Option<&'a [u8]>,
    /// The line there.
    pub line: Option<u32>,
    /// The loaded file that the address lies in.
    pub module: Option<&'a [u8]>,
    /// The address in that file; without one, the address in memory.
    pub offset: u64,
    /// Whether the function's code stands in its caller's, the next frame.
    pub inlined: bool,
}

/// Calls its second argument with each frame that an address stands for.
pub type Resolve<'a> = dyn Fn(u64, &mut dyn FnMut(&Frame)) + 'a;

/// Resolves nothing: `{"module":null,"offset":"0x…"}`.
pub fn unresolved(address: u64, each: &mut dyn FnMut(&Frame)) {
    each(&Frame { offset: address, ..Frame::default() });
}

/// How much of a call is written.
#[derive(Clone, Copy)]
struct Room {
    /// Most bytes of a name.
    limit: usize,
    /// Arguments and object too.
    arguments: bool,
}

/// From all to what fits in any line: 512 bytes hold the last.
const ROOMS: [Room; 4] = [
    Room { limit: usize::MAX, arguments: true },
    Room { limit: SHORT, arguments: true },
    Room { limit: 8, arguments: true },
    Room { limit: 0, arguments: false },
];

const END: &str = "]}\n";
const END_CUT: &str = "],\"truncated\":true}\n";

/// The device of the object that a path names is not known here: paths are told by where they begin.
const MOUNT: &[u8] = b"/dev/shm/";

/// Writes one JSON object and `\n`. `resolve` turns an address of the record's stack into frames, several where calls were
/// inlined, innermost first; [`unresolved`] into what a hook knows.
///
/// It is valid JSON whatever fits: outer frames are left out first, then long names are cut (`...` at their end), then
/// arguments and object are left out; `"truncated":true` says so. Where nothing fits, nothing is written. What was in
/// `line` before stays.
pub fn json(line: &mut Line, event: &Event, extra: &Extra, resolve: &Resolve) {
    let start = line.len();
    for (level, room) in ROOMS.into_iter().enumerate() {
        line.truncate(start);
        call(line, event, extra, room);
        let stack = line.len();
        line.str(END_CUT);
        if !is_whole(line, start) {
            continue;
        }
        line.truncate(stack);
        let whole = level == 0 && frames(line, event, resolve) && event.flags & FLAG_CUT == 0;
        return line.str(if whole { END } else { END_CUT });
    }
    line.truncate(start);
}

/// Everything up to the stack's first frame.
#[inline(never)]
fn call(line: &mut Line, event: &Event, extra: &Extra, room: Room) {
    who_and_when(line, event, extra);
    line.str(",\"call\":\"");
    line.str(event.call.name());
    line.str("\",\"args\":{");
    if room.arguments {
        let mut first = true;
        for argument in arguments::arguments(event) {
            if !first {
                line.byte(b',');
            }
            first = false;
            key(line, argument.name);
            values::argument(line, event, room.limit, argument);
        }
    }
    outcome(line, event, extra);
    line.str(",\"object\":");
    if room.arguments {
        object(line, event, extra, room.limit);
    } else {
        line.str("null");
    }
    line.str(",\"stack\":[");
}

#[inline(never)]
fn who_and_when(line: &mut Line, event: &Event, extra: &Extra) {
    line.str("{\"time\":\"");
    words::rfc3339(line, extra.unix_ns);
    line.str("\",\"pid\":");
    line.dec(u64::from(event.pid));
    line.str(",\"tid\":");
    line.dec(u64::from(event.tid));
}

#[inline(never)]
fn outcome(line: &mut Line, event: &Event, extra: &Extra) {
    line.str("},\"ret\":");
    result(line, event);
    line.str(",\"errno\":");
    errno(line, event);
    line.str(",\"duration_ns\":");
    if has_result(event) {
        line.dec(extra.took_ns);
    } else {
        line.str("null");
    }
}

/// The stack's frames as far as they fit with the longest end; false where that is not all.
#[inline(never)]
fn frames(line: &mut Line, event: &Event, resolve: &Resolve) -> bool {
    let first = line.len();
    let mut all = true;
    for &address in event.frames {
        resolve(address, &mut |frame| {
            if all {
                let before = line.len();
                if before != first {
                    line.byte(b',');
                }
                one_frame(line, frame);
                let after = line.len();
                line.str(END_CUT);
                all = is_whole(line, after);
                line.truncate(if all { after } else { before });
            }
        });
        if !all {
            break;
        }
    }
    all
}

fn one_frame(line: &mut Line, frame: &Frame) {
    line.byte(b'{');
    if let Some(function) = frame.function {
        key(line, "function");
        string(line, function, usize::MAX);
        line.byte(b',');
        key(line, "file");
        optional(line, frame.file);
        line.byte(b',');
        key(line, "line");
        match frame.line {
            Some(number) => line.dec(u64::from(number)),
            None => line.str("null"),
        }
        line.byte(b',');
    }
    key(line, "module");
    optional(line, frame.module);
    line.byte(b',');
    key(line, "offset");
    hex(line, frame.offset);
    if frame.function.is_some() {
        line.str(if frame.inlined { ",\"inlined\":true" } else { ",\"inlined\":false" });
    }
    line.byte(b'}');
}

fn result(line: &mut Line, event: &Event) {
    if !has_result(event) {
        return line.str("null");
    }
    match ret_kind(event) {
        Ret::Ptr if !event.failed() => hex(line, event.ret as u64),
        Ret::Key if !event.failed() => sysv_key(line, event.ret as i32),
        _ => line.int(event.ret),
    }
}

fn errno(line: &mut Line, event: &Event) {
    if !event.failed() {
        return line.str("null");
    }
    line.byte(b'"');
    match words::errno_name(event.errno) {
        Some(name) => line.str(name),
        None => {
            line.str("errno ");
            line.int(i64::from(event.errno));
        }
    }
    line.byte(b'"');
}

/// The object that the call is about, as far as it and its record tell.
#[inline(never)]
fn object(line: &mut Line, event: &Event, extra: &Extra, limit: usize) {
    let (name, family) = (object_name(event, extra), event.object.family);
    let family = match (family, event.call) {
        (Family::Posix, _) => "posix",
        (Family::Sysv, _) | (_, Call::Shmget) => "sysv",
        (Family::Memfd, _) => "memfd",
        // A name that led to no object, or whose object is gone.
        (Family::None, _) if name.is_some() && event.call != Call::MemfdCreate => "posix",
        _ => return line.str("null"),
    };
    line.str("{\"family\":\"");
    line.str(family);
    line.str("\",\"name\":");
    match name {
        Some(name) if family == "posix" => {
            line.str("\"/");
            inside(line, name, limit);
            line.byte(b'"');
        }
        Some(name) if family == "memfd" => string(line, name, limit),
        _ => line.str("null"),
    }
    line.str(",\"key\":");
    match (event.call, arguments::shm_struct(event)) {
        (Call::Shmget, _) => sysv_key(line, event.arg(0) as i32),
        (Call::Shmctl, Some(ShmStruct::Stat(ds))) => sysv_key(line, ds.key),
        _ => line.str("null"),
    }
    line.str(",\"shmid\":");
    let id = event.object;
    if id.family == Family::Sysv {
        line.int(i64::from(id.shmid()));
        return line.str(",\"dev\":null,\"ino\":null}");
    }
    line.str("null");
    // Inode 0 is none: not known.
    for (before, value) in [(",\"dev\":", id.dev), (",\"ino\":", id.ino)] {
        line.str(before);
        if id.family == Family::None || id.ino == 0 {
            line.str("null");
        } else {
            line.dec(value);
        }
    }
    line.byte(b'}');
}

/// The object's name without a slash before it, from the call's own argument or the descriptor's link.
fn object_name<'a>(event: &Event<'a>, extra: &Extra<'a>) -> Option<&'a [u8]> {
    let under_mount = |path: &'a [u8]| path.strip_prefix(MOUNT).map(bare_name);
    match event.call {
        Call::ShmOpen | Call::ShmUnlink => Some(bare_name(event.data)).filter(|name| !name.is_empty()),
        Call::MemfdCreate => Some(event.data),
        Call::Open | Call::Openat | Call::Creat | Call::Unlink | Call::Unlinkat => under_mount(event.data),
        Call::Rename | Call::Renameat | Call::Renameat2 | Call::Link | Call::Linkat => {
            [false, true].into_iter().find_map(|second| under_mount(name(event, second)?.bytes))
        }
        _ if matches!(event.object.family, Family::None | Family::Sysv) => None,
        _ => match fd_link(extra.object_path?) {
            FdTarget::Path { path, .. } => under_mount(path),
            FdTarget::Memfd(name) => Some(name),
            FdTarget::Sysv(_) | FdTarget::Other(_) => None,
        },
    }
}
