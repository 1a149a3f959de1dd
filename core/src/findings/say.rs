//! How sentences name things. Everything said is printable ASCII: names are escaped as strace does it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;

use super::{Presence, World};
use crate::ledger::{Ledger, Moment, Object, ObjectIndex};
use crate::line::Line;
use crate::procfs::Segment;
use crate::record::{Family, Slot};
use crate::words;

/// What `write` writes.
pub(crate) fn written(room: usize, write: impl FnOnce(&mut Line)) -> String {
    let mut buf = vec![0u8; room];
    let mut line = Line::new(&mut buf);
    write(&mut line);
    String::from_utf8_lossy(line.as_bytes()).into_owned()
}

/// Bytes with everything outside printable ASCII escaped: `\n`, `\33`, `\377`.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let quoted = written(bytes.len().saturating_mul(4).saturating_add(2), |line| words::quoted(line, bytes));
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(&quoted).replace("\\\"", "\"")
}

/// `4096 bytes`
pub(crate) fn size(bytes: u64) -> String {
    written(64, |line| words::human_size(line, bytes))
}

/// `1 attachment`, `2 attachments`
pub(crate) fn number(count: u64, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}

/// ` 3 times`, nothing for once.
pub(crate) fn times(count: u64) -> String {
    if count == 1 { String::new() } else { format!(" {count} times") }
}

/// `ENOENT`
pub(crate) fn errno(errno: i32) -> String {
    words::errno_name(errno).map_or_else(|| format!("errno {errno}"), ToOwned::to_owned)
}

/// A path in quotes, its end left out where it is long.
pub(crate) fn quoted(path: &[u8]) -> String {
    const MOST: usize = 80;
    match path.get(..MOST) {
        Some(start) if path.len() > MOST => format!("\"{}...\"", escaped(start)),
        _ => format!("\"{}\"", escaped(path)),
    }
}

/// Who made an object: `prog[4]`, `process 77 (postgres)`, `somebody of user 1000`.
pub(crate) fn maker(world: &mut World, index: ObjectIndex) -> String {
    let ledger = world.ledger;
    let Some(object) = ledger.object(index) else { return "somebody".to_owned() };
    if let Some(created) = object.created.filter(|_| object.certain || world.fate(index).ours) {
        return who(ledger, created);
    }
    let segment = world.segment(object.id).filter(|_| object.id.family == Family::Sysv).copied();
    if ledger.since() > 0 && world.fate(index).presence == Presence::Gone {
        return "somebody whose call is no longer in the records".to_owned();
    }
    match (segment, object.owner) {
        (Some(segment), _) if segment.cpid != 0 => world.outsider(segment.cpid),
        (Some(Segment { cuid: user, .. }), _) | (None, Some(user)) => {
            format!("somebody of user {user}, outside of this audit")
        }
        (None, None) => "somebody outside of this audit".to_owned(),
    }
}

/// A segment's key as reports have it.
pub(crate) fn key(key: i32) -> String {
    if key == 0 { "IPC_PRIVATE".to_owned() } else { format!("0x{key:08x}") }
}

/// The part of a path after its last slash.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// An object: `/shmtest`, `segment 0x00000011 (shmid 3)`, `memfd x`.
pub(crate) fn label(object: &Object) -> String {
    let name = |or: &str| object.name.as_deref().map_or_else(|| or.to_owned(), escaped);
    match object.id.family {
        Family::Posix => match object.name.as_deref() {
            Some(name) => format!("/{}", escaped(name)),
            None => format!("the object of inode {}", object.id.ino),
        },
        Family::Memfd => format!("memfd {}", name("without a name")),
        Family::Sysv => {
            let of = match object.id.dev {
                0 => String::new(),
                namespace => format!(" of IPC namespace {namespace}"),
            };
            match object.key {
                Some(known) => format!("segment {} (shmid {}){of}", key(known), object.id.shmid()),
                None => format!("segment of shmid {}{of}", object.id.shmid()),
            }
        }
        Family::None => "an unknown object".to_owned(),
    }
}

/// The command that removes a segment of the IPC namespace that this process is in.
pub(crate) fn remover_elsewhere(process: u32, shmid: i32) -> String {
    format!("nsenter -i -t {process} ipcrm -m {shmid}")
}

/// A process: `prog[123]`.
pub(crate) fn process(ledger: &Ledger, slot: Slot, pid: u32) -> String {
    match ledger.process(slot, pid).map(|process| base_name(&process.exe)) {
        Some(name) if !name.is_empty() => format!("{}[{pid}]", escaped(name)),
        _ => format!("process {pid}"),
    }
}

/// The process of a call.
pub(crate) fn who(ledger: &Ledger, moment: Moment) -> String {
    process(ledger, moment.process, moment.pid)
}

/// A word as a POSIX shell reads it back, without a raw control byte: `$'…'` where there is no other way.
pub(crate) fn shell_word(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./-+@%:,=".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return format!("'{}'", String::from_utf8_lossy(bytes).replace('\'', "'\\''"));
    }
    let mut word = "$'".to_owned();
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => {
                word.push('\\');
                word.push(char::from(byte));
            }
            b' '..=b'~' => word.push(char::from(byte)),
            _ => word.push_str(&format!("\\{byte:03o}")),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless() {
        assert_eq!(escaped(b"a\n\x1b[31m\xff\"x"), r#"a\n\33[31m\377"x"#);
        assert_eq!(shell_word(b"/dev/shm/shm-test_1.x"), "/dev/shm/shm-test_1.x");
        assert_eq!(shell_word(b"/dev/shm/a b'c"), r"'/dev/shm/a b'\''c'");
        assert_eq!(shell_word(b"a\n\x1b1\xff'\\"), r"$'a\012\0331\377\'\\'");
        assert_eq!(shell_word(b""), "''");
        assert_eq!((number(1, "fd"), number(2, "fd")), ("1 fd".into(), "2 fds".into()));
        assert_eq!((key(0x11), key(-1), key(0)), ("0x00000011".into(), "0xffffffff".into(), "IPC_PRIVATE".into()));
    }
}
