//! A plan: what was to go, written down so that it can be told later whether it is still the same.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shmaudit_core::report::{Text, Time};

use crate::ls;
use crate::sys::open_named;
use crate::system::{Identity, Object, SECOND};

use super::evidence::Verdict;
use super::{Entry, Include};

/// Name and version of a plan's form.
const SCHEMA: &str = "shmaudit-plan/1";
/// More bytes are no plan.
const MOST: u64 = 256 << 20;

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    schema: String,
    /// The boot that it is of: after another, all numbers mean other things.
    boot: String,
    /// The IPC namespace that it is of.
    ipc: u64,
    /// What else was to go.
    pub include: Vec<Include>,
    /// What was to go.
    pub items: Vec<Item>,
}

/// What an object goes by. After it is gone, another may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// Shmid.
    Segment(i32),
    /// Device and inode.
    File(u64, u64),
}

impl Number {
    /// An object's; nothing for those of other namespaces.
    pub const fn of(object: &Object) -> Option<Number> {
        match object.identity {
            Identity::Segment { shmid, .. } => Some(Number::Segment(shmid)),
            Identity::File { dev, ino } => Some(Number::File(dev, ino)),
            Identity::Foreign { .. } => None,
        }
    }
}

/// An object as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Item {
    /// A segment.
    Segment {
        /// Identifier.
        shmid: i32,
        /// Key.
        key: i32,
        /// Bytes.
        size: u64,
        /// Owner.
        uid: u32,
        /// Creator.
        cpid: u32,
        /// Last user.
        lpid: u32,
        /// Creation or last change, in seconds since 1970.
        ctime: u64,
        /// Last attach.
        atime: u64,
        /// Last detach.
        dtime: u64,
    },
    /// A file.
    File {
        /// Its path, for people: what cannot be printed is escaped.
        path: String,
        /// Device.
        dev: u64,
        /// Inode.
        ino: u64,
        /// Bytes.
        size: u64,
        /// Owner.
        uid: u32,
        /// When it was made, in nanoseconds since 1970; 0 where that is not kept.
        made: u64,
        /// When it was changed.
        changed: u64,
        /// When it was written.
        modified: u64,
    },
}

impl Item {
    /// An object as it is.
    pub fn of(object: &Object) -> Option<Item> {
        let seconds = |time: Option<u64>| time.unwrap_or(0) / SECOND;
        match object.identity {
            Identity::Segment { shmid, ctime, cpid } => Some(Item::Segment {
                shmid,
                key: object.key?,
                size: object.size,
                uid: object.uid?,
                cpid,
                lpid: object.last.as_ref().map_or(0, |last| last.pid),
                ctime,
                atime: seconds(object.times.attached),
                dtime: seconds(object.times.detached),
            }),
            Identity::File { dev, ino } => Some(Item::File {
                path: object.path.as_ref()?.escaped(),
                dev,
                ino,
                size: object.size,
                uid: object.uid?,
                made: object.times.made.unwrap_or(0),
                changed: object.times.changed.unwrap_or(0),
                modified: object.times.modified.unwrap_or(0),
            }),
            Identity::Foreign { .. } => None,
        }
    }

    /// Its number.
    pub const fn number(&self) -> Number {
        match *self {
            Item::Segment { shmid, .. } => Number::Segment(shmid),
            Item::File { dev, ino, .. } => Number::File(dev, ino),
        }
    }

    /// A file's name, escaped.
    pub fn path(&self) -> Option<&str> {
        match self {
            Item::Segment { .. } => None,
            Item::File { path, .. } => Some(path),
        }
    }

    /// How an object of its number differs from it.
    pub fn change(&self, object: &Object) -> Option<String> {
        let now = Item::of(object);
        if now.as_ref() == Some(self) {
            return None;
        }
        Some(match (self, now) {
            (Item::Segment { shmid, ctime: then, cpid: by, .. }, Some(Item::Segment { ctime, cpid, .. }))
                if (*then, *by) != (ctime, cpid) =>
            {
                let pid = if cpid == 0 { "elsewhere".to_string() } else { cpid.to_string() };
                format!("shmid {shmid} is another segment now, made by {pid} at {}", time(ctime.saturating_mul(SECOND)))
            }
            (Item::File { path, made: then, .. }, Some(Item::File { path: now, made, .. }))
                if (path, then) != (&now, &made) =>
            {
                format!("inode {} is another file now, made at {}", object.id(), time(made))
            }
            _ => "it was used or changed since the plan was made".to_string(),
        })
    }
}

/// RFC 3339; whole seconds, as segments have them, without a fraction.
fn time(nanoseconds: u64) -> String {
    let value = serde_json::to_value(Time(nanoseconds)).ok();
    let text = value.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    text.replacen(".000000000Z", "Z", 1)
}

impl Plan {
    /// What of these may go.
    pub fn of(entries: &[Entry], include: &[Include]) -> Plan {
        let may = entries.iter().filter(|entry| matches!(entry.verdict, Verdict::May(_)));
        Plan {
            schema: SCHEMA.to_string(),
            boot: boot(),
            ipc: ipc(),
            include: include.to_vec(),
            items: may.filter_map(|entry| Item::of(entry.object)).collect(),
        }
    }

    /// Its items by their numbers.
    pub fn by_number(&self) -> HashMap<Number, &Item> {
        self.items.iter().map(|item| (item.number(), item)).collect()
    }

    /// Writes it, in the place of what is there.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        ls::replace(path, (ls::ascii(&value) + "\n").as_bytes())
    }

    /// Reads one of this boot and this namespace.
    pub fn read(path: &Path) -> Result<Plan, String> {
        let name = path.display().to_string().escape_debug().to_string();
        let wrong = |what: &str| format!("{name}: {what}");
        let file = open_named(path).map_err(|error| wrong(&error.to_string()))?;
        let mut text = Vec::new();
        file.take(MOST + 1).read_to_end(&mut text).map_err(|error| wrong(&error.to_string()))?;
        if text.len() as u64 > MOST {
            return Err(wrong("too large for a plan"));
        }
        let plan: Plan = serde_json::from_slice(&text).map_err(|error| {
            wrong(&format!("not a plan ({}); `shmaudit clean --plan` writes them", error.to_string().escape_debug()))
        })?;
        if plan.schema != SCHEMA {
            let schema = Text::from(plan.schema.as_bytes()).escaped();
            return Err(wrong(&format!("a plan of form {schema}; this shmaudit knows {SCHEMA}")));
        }
        if plan.boot != boot() {
            return Err(wrong("of another boot of the machine, or of another machine: make a new one"));
        }
        if plan.ipc != ipc() {
            return Err(wrong("of another IPC namespace: make a new one here"));
        }
        if plan.by_number().len() != plan.items.len() {
            return Err(wrong("names an object twice"));
        }
        Ok(plan)
    }
}

/// The boot's own number.
fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_string()
}

/// The IPC namespace's number; 0 where it cannot be told.
fn ipc() -> u64 {
    crate::system::own_ipc().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back() {
        let items = vec![
            Item::Segment { shmid: 1, key: -2, size: 3, uid: 4, cpid: 5, lpid: 6, ctime: 7, atime: 8, dtime: 9 },
            Item::File {
                path: "/dev/shm/a\\33".to_string(),
                dev: 1,
                ino: 2,
                size: 3,
                uid: 4,
                made: 5,
                changed: 6,
                modified: 7,
            },
        ];
        let include = vec![Include::Semaphores];
        let plan = Plan { schema: SCHEMA.to_string(), boot: boot(), ipc: ipc(), include, items };
        let file = tempfile::NamedTempFile::new().unwrap();
        plan.write(file.path()).unwrap();
        assert_eq!(Plan::read(file.path()).unwrap(), plan);
        let spoil = |from: &str, to: &str| {
            let text = fs::read_to_string(file.path()).unwrap();
            assert!(text.contains(from), "{text}");
            let spoiled = tempfile::NamedTempFile::new().unwrap();
            fs::write(spoiled.path(), text.replace(from, to)).unwrap();
            Plan::read(spoiled.path()).unwrap_err()
        };
        assert!(spoil("plan/1", "plan/2").contains("of form shmaudit-plan/2"));
        assert!(spoil(&plan.boot, "x").contains("another boot"));
        assert!(spoil(&format!("\"ipc\":{}", plan.ipc), "\"ipc\":1").contains("another IPC namespace"));
        assert!(spoil("\"shmid\":1", "\"shmid\":-1,\"x\":0").contains("not a plan"));
        assert!(spoil("\"shmid\":1", "\"shmid\":99999999999").contains("not a plan"));
        assert!(spoil("]", "").contains("not a plan"));
        let mut twice = plan.clone();
        twice.items.push(plan.items[1].clone());
        twice.write(file.path()).unwrap();
        assert!(Plan::read(file.path()).unwrap_err().contains("twice"));
    }
}
