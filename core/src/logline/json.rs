//! A call as one JSON object on a line.

use crate::calls::{Arg, Call, Ret};
use crate::layout::bare_name;
use crate::line::Line;
use crate::procfs::{FdTarget, fd_link};
use crate::record::{Event, FLAG_CUT, Family};
use crate::words::{self, ShmidDs};

use super::arguments::{self, Argument, ShmStruct};
use super::{ELLIPSIS, Extra, SHORT, has_result, head, is_whole, name, ret_kind};

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
pub fn json(line: &mut Line, event: &Event, extra: &Extra, resolve: &dyn Fn(u64, &mut dyn FnMut(&Frame))) {
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
fn call(line: &mut Line, event: &Event, extra: &Extra, room: Room) {
    line.str("{\"time\":\"");
    words::rfc3339(line, extra.unix_ns);
    line.str("\",\"pid\":");
    line.dec(u64::from(event.pid));
    line.str(",\"tid\":");
    line.dec(u64::from(event.tid));
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
            one(line, event, room.limit, argument);
        }
    }
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
    line.str(",\"object\":");
    if room.arguments {
        object(line, event, extra, room.limit);
    } else {
        line.str("null");
    }
    line.str(",\"stack\":[");
}

/// The stack's frames as far as they fit with the longest end; false where that is not all.
fn frames(line: &mut Line, event: &Event, resolve: &dyn Fn(u64, &mut dyn FnMut(&Frame))) -> bool {
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

fn one(line: &mut Line, event: &Event, limit: usize, argument: Argument) {
    match argument.kind {
        Arg::Name | Arg::Name2 => match name(event, argument.kind == Arg::Name2) {
            Some(name) => string(line, name.bytes, limit),
            None => line.str("null"),
        },
        Arg::Ptr if argument.name == "offset" => line.int(argument.value as i64),
        Arg::Ptr => pointer(line, argument.value),
        Arg::ShmBuf => shm_buf(line, event, argument.value),
        Arg::Stat => match arguments::stat(event) {
            Some((mode, size)) => {
                line.str("{\"st_mode\":\"");
                words::file_mode(line, mode);
                number(line, "\",\"st_size\":", size);
                line.byte(b'}');
            }
            None => line.str("null"),
        },
        Arg::Size => line.dec(argument.value),
        Arg::Offset => line.int(argument.value as i64),
        Arg::Int if event.call == Call::Fcntl => line.int(argument.value as i64),
        Arg::Int | Arg::Shmid | Arg::Status | Arg::Fd => line.int(i64::from(argument.int())),
        Arg::DirFd if argument.int() != libc::AT_FDCWD => line.int(i64::from(argument.int())),
        Arg::Key => sysv_key(line, argument.int()),
        _ => {
            line.byte(b'"');
            arguments::symbolic(line, event, argument);
            line.byte(b'"');
        }
    }
}

fn shm_buf(line: &mut Line, event: &Event, address: u64) {
    match arguments::shm_struct(event) {
        Some(ShmStruct::Stat(ds)) => {
            line.str("{\"shm_perm\":{\"key\":");
            sysv_key(line, ds.key);
            line.byte(b',');
            owner(line, &ds);
            id(line, ",\"cuid\":", ds.cuid);
            id(line, ",\"cgid\":", ds.cgid);
            number(line, "},\"shm_segsz\":", ds.segsz);
            line.str(",\"shm_atime\":");
            line.int(ds.atime);
            line.str(",\"shm_dtime\":");
            line.int(ds.dtime);
            line.str(",\"shm_ctime\":");
            line.int(ds.ctime);
            line.str(",\"shm_cpid\":");
            line.int(i64::from(ds.cpid as i32));
            line.str(",\"shm_lpid\":");
            line.int(i64::from(ds.lpid as i32));
            number(line, ",\"shm_nattch\":", ds.nattch);
            line.byte(b'}');
        }
        Some(ShmStruct::Set(ds)) => {
            line.str("{\"shm_perm\":{");
            owner(line, &ds);
            line.str("}}");
        }
        Some(ShmStruct::Limits(info)) => {
            number(line, "{\"shmmax\":", info.shmmax);
            number(line, ",\"shmmin\":", info.shmmin);
            number(line, ",\"shmmni\":", info.shmmni);
            number(line, ",\"shmseg\":", info.shmseg);
            number(line, ",\"shmall\":", info.shmall);
            line.byte(b'}');
        }
        Some(ShmStruct::Usage(info)) => {
            line.str("{\"used_ids\":");
            line.int(i64::from(info.used_ids));
            number(line, ",\"shm_tot\":", info.shm_tot);
            number(line, ",\"shm_rss\":", info.shm_rss);
            number(line, ",\"shm_swp\":", info.shm_swp);
            number(line, ",\"swap_attempts\":", info.swap_attempts);
            number(line, ",\"swap_successes\":", info.swap_successes);
            line.byte(b'}');
        }
        None => pointer(line, address),
    }
}

fn owner(line: &mut Line, ds: &ShmidDs) {
    id(line, "\"uid\":", ds.uid);
    id(line, ",\"gid\":", ds.gid);
    line.str(",\"mode\":\"");
    words::mode(line, ds.mode);
    line.byte(b'"');
}

/// A user or group; -1 leaves it.
fn id(line: &mut Line, before: &str, id: u32) {
    line.str(before);
    line.int(i64::from(id as i32));
}

fn number(line: &mut Line, before: &str, value: u64) {
    line.str(before);
    line.dec(value);
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
        Call::Rename | Call::Renameat | Call::Renameat2 => {
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

fn key(line: &mut Line, name: &str) {
    line.byte(b'"');
    line.str(name);
    line.str("\":");
}

fn hex(line: &mut Line, value: u64) {
    line.byte(b'"');
    line.hex(value);
    line.byte(b'"');
}

/// An address; null is `NULL`.
fn pointer(line: &mut Line, address: u64) {
    if address == 0 { line.str("null") } else { hex(line, address) }
}

/// `"0x00000011"`, `"IPC_PRIVATE"`.
fn sysv_key(line: &mut Line, key: i32) {
    if key == libc::IPC_PRIVATE {
        return line.str("\"IPC_PRIVATE\"");
    }
    line.str("\"0x");
    line.digits(u64::from(key as u32), 16, 8);
    line.byte(b'"');
}

fn optional(line: &mut Line, text: Option<&[u8]>) {
    match text {
        Some(text) => string(line, text, usize::MAX),
        None => line.str("null"),
    }
}

fn string(line: &mut Line, text: &[u8], limit: usize) {
    line.byte(b'"');
    inside(line, text, limit);
    line.byte(b'"');
}

/// Text inside a JSON string: a byte that is not UTF-8 as `\xNN`, controls escaped, all else as it is.
fn inside(line: &mut Line, text: &[u8], limit: usize) {
    let shown = match text.get(limit) {
        // Not in the middle of a character, which would look like bytes that are none.
        Some(0x80..=0xbf) => head(text, start_of_character(text, limit)),
        _ => head(text, limit),
    };
    for chunk in shown.utf8_chunks() {
        let valid = chunk.valid();
        for (at, char) in valid.char_indices() {
            match char {
                '"' | '\\' => {
                    line.byte(b'\\');
                    line.byte(char as u8);
                }
                '\n' => line.str("\\n"),
                '\t' => line.str("\\t"),
                '\r' => line.str("\\r"),
                _ if acts(char) => {
                    line.str("\\u");
                    line.digits(u64::from(u32::from(char)), 16, 4);
                }
                _ => {
                    let bytes = valid.as_bytes().get(at..).and_then(|rest| rest.get(..char.len_utf8()));
                    line.bytes(bytes.unwrap_or(&[]));
                }
            }
        }
        for &byte in chunk.invalid() {
            line.str("\\\\x");
            line.digits(u64::from(byte), 16, 2);
        }
    }
    if shown.len() < text.len() {
        line.str(ELLIPSIS);
    }
}

/// The start of the character that `at` lies in; `at` where nothing can be one.
fn start_of_character(text: &[u8], at: usize) -> usize {
    let starts = (1..4).filter_map(|back| at.checked_sub(back)).find(|&start| text.get(start).is_some_and(|&byte| byte >= 0xc0));
    starts.unwrap_or(at)
}

/// Whether a terminal would act on the character instead of showing it: controls, line ends, changes of direction.
fn acts(char: char) -> bool {
    matches!(char,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
