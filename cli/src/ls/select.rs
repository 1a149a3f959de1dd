//! Which objects are listed, and in which order.

use clap::ValueEnum;
use shmaudit_core::suppress;

use crate::system::{Inventory, Kind, Object, State, user_name};

/// What the objects are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Size.
    Size,
    /// Bytes in memory.
    Rss,
    /// Time since the last thing happened.
    Idle,
    /// Name or key.
    Name,
    /// Shmid or inode.
    Id,
    /// Kind, then size.
    Kind,
    /// Owner, then size.
    Owner,
    /// How many hold it.
    Holders,
    /// State, orphans first, then size.
    State,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Select {
    /// Only what is nobody's.
    pub orphans: bool,
    /// Kinds; none for all.
    pub kinds: Vec<Kind>,
    /// States; none for all.
    pub states: Vec<State>,
    /// What must be in the name or key.
    pub name: Option<String>,
    /// The owner.
    pub user: Option<u32>,
    /// A process that has to do with it.
    pub pid: Option<u32>,
    /// Bytes at least.
    pub min_size: u64,
    /// Nanoseconds at least without anything.
    pub min_age: u64,
    /// The order.
    pub sort: Sort,
    /// Turned round.
    pub reverse: bool,
}

/// A user by number or name.
pub fn user(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    let table = std::fs::read("/etc/passwd").unwrap_or_default();
    let found = table.split(|&byte| byte == b'\n').find_map(|line| {
        let mut parts = line.split(|&byte| byte == b':');
        let named = parts.next() == Some(text.as_bytes());
        let uid = parts.nth(1).filter(|_| named)?;
        std::str::from_utf8(uid).ok()?.parse::<u32>().ok()
    });
    // Numbers come from the table, names from whatever the system asks: only what both agree on is a user.
    found
        .filter(|&uid| user_name(uid).is_some())
        .ok_or_else(|| format!("--user {}: there is no such user; give the number", text.escape_debug()))
}

impl Select {
    /// The objects that are wanted, in order.
    pub fn select<'a>(&self, inventory: &'a Inventory) -> Vec<&'a Object> {
        let mut objects: Vec<&Object> =
            inventory.objects.iter().filter(|object| self.wants(object, inventory)).collect();
        let age = |object: &Object| object.times.last().map_or(0, |last| inventory.clocks.since(last));
        objects.sort_by(|a, b| {
            let by_size = b.size.cmp(&a.size);
            let order = match self.sort {
                Sort::Size => by_size,
                Sort::Rss => b.resident.cmp(&a.resident),
                Sort::Idle => age(b).cmp(&age(a)),
                Sort::Name => a.label().cmp(&b.label()),
                Sort::Id => a.id().cmp(&b.id()),
                Sort::Kind => a.kind.cmp(&b.kind).then(by_size),
                Sort::Owner => a.uid.cmp(&b.uid).then(by_size),
                Sort::Holders => b.holders.len().cmp(&a.holders.len()),
                Sort::State => a.state.cmp(&b.state).then(by_size),
            };
            order.then_with(|| a.label().cmp(&b.label())).then_with(|| a.identity.cmp(&b.identity))
        });
        if self.reverse {
            objects.reverse();
        }
        objects
    }

    fn wants(&self, object: &Object, inventory: &Inventory) -> bool {
        let age = object.times.last().map(|last| inventory.clocks.since(last));
        (!self.orphans || matches!(object.state, State::Orphan | State::Unclear))
            && (self.kinds.is_empty() || self.kinds.contains(&object.kind))
            && (self.states.is_empty() || self.states.contains(&object.state))
            && self.name.as_deref().is_none_or(|glob| named(object, glob))
            && self.user.is_none_or(|uid| object.uid == Some(uid))
            && self.pid.is_none_or(|pid| concerns(object, pid))
            && object.size >= self.min_size
            && (self.min_age == 0 || age.is_some_and(|age| age >= self.min_age))
    }
}

fn named(object: &Object, glob: &str) -> bool {
    let name = object.name.as_ref().is_some_and(|name| suppress::matches(glob.as_bytes(), name.bytes()));
    name || suppress::matches(glob.as_bytes(), object.label().as_bytes())
}

fn concerns(object: &Object, pid: u32) -> bool {
    let actors = [&object.creator, &object.last].into_iter().flatten();
    actors.map(|actor| actor.pid).chain(object.holders.iter().map(|holder| holder.process.pid)).any(|of| of == pid)
}
