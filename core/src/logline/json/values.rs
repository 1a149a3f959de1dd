//! Values of JSON: a call's arguments, strings, keys, addresses.

use crate::calls::{Arg, Call};
use crate::line::Line;
use crate::record::Event;
use crate::words::{self, ShmidDs};

use crate::logline::arguments::{self, Argument, ShmStruct};
use crate::logline::{ELLIPSIS, head, name};

/// An argument's value.
#[inline(never)]
pub(super) fn argument(line: &mut Line, event: &Event, limit: usize, argument: Argument) {
    match argument.kind {
        Arg::Name if arguments::is_unread(event) => line.str("null"),
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

#[inline(never)]
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

/// An object's key and its colon.
pub(super) fn key(line: &mut Line, name: &str) {
    line.byte(b'"');
    line.str(name);
    line.str("\":");
}

/// An address, or another number of which the digits matter.
pub(super) fn hex(line: &mut Line, value: u64) {
    line.byte(b'"');
    line.hex(value);
    line.byte(b'"');
}

/// An address; null is `NULL`.
fn pointer(line: &mut Line, address: u64) {
    if address == 0 { line.str("null") } else { hex(line, address) }
}

/// `"0x00000011"`, `"IPC_PRIVATE"`.
pub(super) fn sysv_key(line: &mut Line, key: i32) {
    if key == libc::IPC_PRIVATE {
        return line.str("\"IPC_PRIVATE\"");
    }
    line.str("\"0x");
    line.digits::<16>(u64::from(key as u32), 8);
    line.byte(b'"');
}

/// A string or null.
pub(super) fn optional(line: &mut Line, text: Option<&[u8]>) {
    match text {
        Some(text) => string(line, text, usize::MAX),
        None => line.str("null"),
    }
}

/// A string, of at most `limit` bytes.
pub(super) fn string(line: &mut Line, text: &[u8], limit: usize) {
    line.byte(b'"');
    inside(line, text, limit);
    line.byte(b'"');
}

/// Text inside a JSON string: a byte that is not UTF-8 as `\xNN`, controls escaped, all else as it is.
pub(super) fn inside(line: &mut Line, text: &[u8], limit: usize) {
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
                    line.digits::<16>(u64::from(u32::from(char)), 4);
                }
                _ => {
                    let bytes = valid.as_bytes().get(at..).and_then(|rest| rest.get(..char.len_utf8()));
                    line.bytes(bytes.unwrap_or(&[]));
                }
            }
        }
        for &byte in chunk.invalid() {
            line.str("\\\\x");
            line.digits::<16>(u64::from(byte), 2);
        }
    }
    if shown.len() < text.len() {
        line.str(ELLIPSIS);
    }
}

/// The start of the character that `at` lies in; `at` where nothing can be one.
fn start_of_character(text: &[u8], at: usize) -> usize {
    let starts =
        (1..4).filter_map(|back| at.checked_sub(back)).find(|&start| text.get(start).is_some_and(|&byte| byte >= 0xc0));
    starts.unwrap_or(at)
}

/// Whether a terminal would act on the character instead of showing it: controls, line ends, changes of direction.
fn acts(char: char) -> bool {
    matches!(char,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
