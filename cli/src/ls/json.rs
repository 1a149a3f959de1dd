//! The list as JSON: schema `shmaudit-ls/1`. All of it is ASCII, whatever names hold.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use serde_json::{Value, json};
use shmaudit_core::report::{Text, Time};

use crate::system::{Actor, Fate, Identity, Inventory, Object, Process, user_name};

/// Name and version of the list's form.
const SCHEMA: &str = "shmaudit-ls/1";

/// The list in one line.
pub fn json(inventory: &Inventory, objects: &[&Object]) -> String {
    let totals = &inventory.totals;
    let value = json!({
        "schema": SCHEMA,
        "time": Time(inventory.clocks.now),
        "objects": objects.iter().map(|object| self::object(object)).collect::<Vec<_>>(),
        "totals": {
            "segments": totals.segments.as_ref().map(|segments| json!({
                "count": segments.count, "bytes": segments.bytes, "pages": segments.pages,
                "resident": segments.resident, "swap": segments.swap, "attached": segments.attached,
                "shmmni": segments.shmmni, "shmmax": segments.shmmax, "shmall": segments.shmall,
                "rmid_forced": segments.rmid_forced,
            })),
            "mount": totals.mount.as_ref().map(|mount| json!({
                "path": mount.path, "size": mount.size, "used": mount.used, "inodes": mount.inodes,
                "inodes_used": mount.inodes_used, "listed": mount.listed, "unlinked": mount.unlinked,
                "unseen": mount.unseen(),
            })),
            "huge_pages": totals.huge.iter().map(|huge| json!({
                "page": huge.page, "total": huge.total, "free": huge.free, "reserved": huge.reserved,
            })).collect::<Vec<_>>(),
            "shmem": totals.shmem,
            "swap_used": totals.swapped,
        },
        "complete": inventory.sight.complete,
        "unseen": inventory.sight.unseen,
    });
    ascii(&value) + "\n"
}

/// An object.
pub fn object(object: &Object) -> Value {
    let (shmid, dev, ino) = match object.identity {
        Identity::Segment { shmid, .. } | Identity::Foreign { shmid, .. } => (Some(shmid), 0, 0),
        Identity::File { dev, ino } => (None, dev, ino),
    };
    let key = object.key.map(|_| object.label());
    let time = |moment: Option<u64>| moment.map(Time);
    json!({
        "family": object.kind.name(),
        "name": object.name,
        "path": object.path,
        "key": key,
        "shmid": shmid,
        "dev": dev,
        "ino": ino,
        "namespace": object.namespace,
        "unlinked": object.unlinked,
        "huge": object.huge,
        "size": object.size,
        "resident": object.resident,
        "swap": object.swap,
        "mode": object.mode.map(|mode| format!("{mode:04o}")),
        "uid": object.uid,
        "user": object.uid.and_then(user_name).map(|name| Text::from(&name[..])),
        "gid": object.gid,
        "creator": object.creator.as_ref().map(actor),
        "last_user": object.last.as_ref().map(actor),
        "attached": object.attached,
        "made": time(object.times.made),
        "last_attach": time(object.times.attached),
        "last_detach": time(object.times.detached),
        "last_change": time(object.times.changed),
        "last_write": time(object.times.modified),
        "holders": object.holders.iter().map(|holder| {
            let mut value = process(&holder.process);
            value["fds"] = json!(holder.fds);
            value["mappings"] = json!(holder.mappings);
            value
        }).collect::<Vec<_>>(),
        "state": object.state.name(),
        "orphan": object.state == crate::system::State::Orphan,
        "reason": object.reason,
        "session": object.made.as_ref().map(|made| json!({
            "session": made.session, "time": Time(made.time), "pid": made.pid, "program": made.program,
            "place": made.place,
        })),
    })
}

/// A process that the kernel or a session names by its pid.
fn actor(actor: &Actor) -> Value {
    let (alive, now) = match &actor.fate {
        Fate::Runs(process) => (Some(true), Some(process)),
        Fate::Reused(process) => (Some(false), Some(process)),
        Fate::Ended => (Some(false), None),
        Fate::Hidden => (Some(true), None),
        Fate::Elsewhere => (None, None),
    };
    json!({
        "pid": actor.pid,
        "alive": alive,
        "command": now.filter(|_| alive == Some(true)).map(|process| &process.command),
        "reused_by": now.filter(|_| alive == Some(false)).map(|now| process(now)),
    })
}

fn process(process: &Process) -> Value {
    json!({
        "pid": process.pid,
        "command": process.command,
        "args": process.arguments,
        "uid": process.uid,
        "started": Time(process.started),
    })
}

/// JSON in which everything outside printable ASCII is escaped: no name can say anything to a terminal.
pub fn ascii(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Ascii);
    // Every key is a string, and a vector takes everything.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&text).into_owned()
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                CompactFormatter.write_string_fragment(out, c.encode_utf8(&mut [0; 4]))?;
            } else {
                c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_ascii() {
        let value = json!({"a\u{9b}31m": "\u{1b}\n\"\\\u{7f}\u{e4}\u{1f600}"});
        let text = ascii(&value);
        assert_eq!(text, r#"{"a\u009b31m":"\u001b\n\"\\\u007f\u00e4\ud83d\ude00"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
