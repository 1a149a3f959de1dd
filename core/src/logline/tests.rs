//! Lines of every call, and of what does not fit.

use super::*;
use crate::record::{FLAG_CREATED, Family, ObjectId};
use crate::words::ShmidDs;
use serde_json::{Value, json};
use std::string::String;
use std::vec;
use std::vec::Vec;

/// `all!(function: event => expected, …)`
macro_rules! all {
    ($function:expr; $($event:expr => $expected:expr),+ $(,)?) => {
        $(assert_eq!($function(&$event), $expected);)+
    };
}

mod json;
mod syscalls;
mod text;

const AT_FDCWD: u64 = libc::AT_FDCWD as u32 as u64;
/// 2024-05-06T07:08:09.123456789Z
const TIME: u64 = 1_714_979_289_123_456_789;
const SHM: &[u8] = b"/dev/shm/shmtest";
const POSIX: ObjectId = ObjectId { family: Family::Posix, dev: 26, ino: 5 };
const MEMFD: ObjectId = ObjectId { family: Family::Memfd, dev: 1, ino: 1030 };

pub(super) fn event<'a>(call: Call, args: &'a [u64], data: &'a [u8], ret: i64) -> Event<'a> {
    Event {
        call,
        state: State::Done,
        flags: 0,
        ticks: 0,
        took: 0,
        errno: 0,
        process: 0,
        pid: 7,
        tid: 8,
        ret,
        order: 0,
        args,
        object: ObjectId::NONE,
        data,
        frames: &[],
    }
}

fn failed<'a>(call: Call, args: &'a [u64], data: &'a [u8], errno: i32) -> Event<'a> {
    Event { errno, ..event(call, args, data, if call.ret() == Ret::Errno { i64::from(errno) } else { -1 }) }
}

fn begun<'a>(call: Call, args: &'a [u64], data: &'a [u8]) -> Event<'a> {
    Event { state: State::Begun, ..event(call, args, data, 0) }
}

fn extra(object_path: Option<&[u8]>) -> Extra<'_> {
    Extra { unix_ns: TIME, took_ns: 13_100, object_path, caller: b"" }
}

pub(super) fn written(size: usize, write: impl FnOnce(&mut Line)) -> String {
    let mut buf = vec![0u8; size];
    let mut line = Line::new(&mut buf);
    write(&mut line);
    String::from_utf8(line.as_bytes().to_vec()).unwrap()
}

const fn int(value: i32) -> u64 {
    value as u32 as u64
}

const CREATE: u64 = int(libc::O_RDWR | libc::O_CREAT);

fn shmid_ds() -> Vec<u8> {
    let mut ds = vec![0u8; ShmidDs::SIZE];
    for (at, value) in [(0usize, 0x11u32), (20, 0o777), (80, 3046), (84, 3046)] {
        ds[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    for (at, value) in [(48usize, 4096u64), (56, 1_795_418_716), (72, 1_795_418_716), (88, 2)] {
        ds[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    ds
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn stat(mode: u64, size: u64) -> Vec<u8> {
    [mode.to_le_bytes(), size.to_le_bytes()].concat()
}

#[test]
fn whole_lines() {
    let args = [CREATE, 0o777];
    let open = Event { object: POSIX, flags: FLAG_CREATED, ..event(Call::ShmOpen, &args, b"shmtest", 3) };
    let about = Extra { caller: b"main posix_shm.c:16", ..extra(Some(SHM)) };
    assert_eq!(
        written(4096, |line| text(line, &open, &about)),
        "shmaudit[7:8] 07:08:09.123456 shm_open(\"shmtest\", O_RDWR|O_CREAT, 0777) = 3</dev/shm/shmtest> <13.1us> \
         main posix_shm.c:16\n"
    );
    assert_eq!(
        written(4096, |line| syscalls(line, &open)),
        "shmaudit[7:8]   -> openat(AT_FDCWD, \"/dev/shm/shmtest\", O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0777)\n"
    );
    let open = Event { frames: &[0x1139, 0xffff_ffff_ffff_ffff], ..open };
    assert_eq!(
        written(4096, |line| json(line, &open, &about, &unresolved)),
        "{\"time\":\"2024-05-06T07:08:09.123456789Z\",\"pid\":7,\"tid\":8,\"call\":\"shm_open\",\
         \"args\":{\"name\":\"shmtest\",\"oflag\":\"O_RDWR|O_CREAT\",\"mode\":\"0777\"},\"ret\":3,\"errno\":null,\
         \"duration_ns\":13100,\
         \"object\":{\"family\":\"posix\",\"name\":\"/shmtest\",\"key\":null,\"shmid\":null,\"dev\":26,\"ino\":5},\
         \"stack\":[{\"module\":null,\"offset\":\"0x1139\"},{\"module\":null,\"offset\":\"0xffffffffffffffff\"}]}\n"
    );
    // C++ names keep their brackets; a control byte does not pass.
    let about = Extra { caller: b"f<int>(char) \x1b[31m\xff1 a.c:1", ..extra(None) };
    let line = written(4096, |line| text(line, &event(Call::Fork, &[], b"", 9), &about));
    assert!(line.ends_with(" fork() = 9 <13.1us> f<int>(char) \\033[31m\\3771 a.c:1\n"), "{line}");
    let frame = symbols::Frame {
        function: Some("f<int>(char) \x1b".into()),
        module: Some("/bin/a b".into()),
        offset: 0x31,
        ..symbols::Frame::default()
    };
    assert_eq!(written(4096, |line| caller(line, &frame)), "f<int>(char) \\033 (a b+0x31)");
}

#[test]
fn lines_that_do_not_fit() {
    // First the names are cut, then the line.
    let name = [&b"\x01"[..]; 255].concat();
    let open = failed(Call::ShmOpen, &[0, 0], &name, libc::ENOENT);
    let short = written(300, |line| text(line, &open, &extra(None)));
    assert!(
        short.ends_with("\\1\\1\"..., O_RDONLY, 000) = -1 ENOENT (No such file or directory) <13.1us>\n"),
        "{short}"
    );
    let cut = written(100, |line| text(line, &open, &extra(None)));
    assert!(cut.len() == 100 && cut.ends_with("\\1...\n"), "{cut}");
    let short = written(250, |line| syscalls(line, &open));
    assert!(short.ends_with("\\1\\1\"..., O_RDONLY|O_NOFOLLOW|O_CLOEXEC)\n"), "{short}");
    let cut = written(60, |line| syscalls(line, &open));
    assert!(cut.len() == 60 && cut.ends_with("...\n"), "{cut}");
    // What was there stays.
    let both = written(350, |line| {
        text(line, &open, &extra(None));
        syscalls(line, &open);
    });
    assert!(both.lines().count() == 2 && both.ends_with("...\n"), "{both}");
    assert_eq!(written(4, |line| [(); 3].iter().for_each(|()| text(line, &open, &extra(None)))), "...\n");
    assert_eq!(written(3, |line| text(line, &open, &extra(None))), "");

    // Of JSON the stack goes first, from its outer end.
    let frames = [u64::MAX; 64];
    let deep = Event { frames: &frames, ..failed(Call::ShmOpen, &[0, 0], b"a", libc::ENOENT) };
    let line = written(1024, |line| json(line, &deep, &extra(None), &unresolved));
    let whole: Value = serde_json::from_str(&line).unwrap();
    let kept = whole["stack"].as_array().unwrap().len();
    assert!(kept > 8 && kept < 64 && whole["truncated"] == true, "{line}");
    assert_eq!(whole["args"]["name"], "a");
    // Then names, never in the middle of a character.
    let name = "é".repeat(500);
    let long = Event { frames: &frames, ..failed(Call::ShmOpen, &[0, 0], name.as_bytes(), libc::ENOENT) };
    let line = written(600, |line| json(line, &long, &extra(None), &unresolved));
    let whole: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(whole["args"]["name"], "é".repeat(32) + "...");
    assert_eq!((&whole["stack"], &whole["truncated"]), (&json!([]), &json!(true)));
    let odd = failed(Call::ShmOpen, &[0, 0], &[b"a", name.as_bytes()].concat(), libc::ENOENT).data.to_vec();
    let line = written(600, |line| json(line, &failed(Call::ShmOpen, &[0, 0], &odd, 2), &extra(None), &unresolved));
    let whole: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(whole["args"]["name"], String::from("a") + &"é".repeat(31) + "...");
    assert_eq!(written(100, |line| json(line, &long, &extra(None), &unresolved)), "");
}
