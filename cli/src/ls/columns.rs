//! The columns of the table. Everything that they give is printable ASCII.

use clap::ValueEnum;
use shmaudit_core::report::Text;

use crate::system::{Clocks, Object, size, span, user_name};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// What it is.
    Kind,
    /// Name or key.
    Name,
    /// Shmid, or inode.
    Id,
    /// Size.
    Size,
    /// Bytes in memory.
    Rss,
    /// Bytes in swap.
    Swap,
    /// Permissions.
    Mode,
    /// Owner.
    Owner,
    /// Who made it.
    Creator,
    /// Who attached or detached it last.
    Last,
    /// Attachments of a segment.
    Nattch,
    /// Who has it.
    Holders,
    /// Last attach.
    Attached,
    /// Last detach.
    Detached,
    /// Creation, or last change.
    Changed,
    /// Time since anything happened.
    Idle,
    /// Huge pages or not.
    Huge,
    /// Whether it is somebody's.
    State,
    /// Why that.
    Why,
    /// Where an audited program made it.
    Made,
}

/// What values need beside the object.
pub struct Shown<'a> {
    /// The moment.
    pub clocks: &'a Clocks,
    /// Sizes in bytes.
    pub bytes: bool,
}

impl Column {
    /// Those that are shown where nobody asks for others.
    pub const USUAL: &'static [Column] = &[
        Column::Kind,
        Column::Name,
        Column::Id,
        Column::Size,
        Column::Rss,
        Column::Swap,
        Column::Huge,
        Column::Mode,
        Column::Owner,
        Column::Creator,
        Column::Holders,
        Column::Idle,
        Column::State,
        Column::Why,
        Column::Made,
    ];

    /// Those that a narrow terminal does without, the first first.
    pub const DISPENSABLE: &'static [Column] = &[
        Column::Made,
        Column::Swap,
        Column::Huge,
        Column::Mode,
        Column::Id,
        Column::Why,
        Column::Rss,
        Column::Creator,
        Column::Owner,
        Column::Idle,
        Column::Holders,
    ];

    /// Its heading.
    pub const fn title(self) -> &'static str {
        match self {
            Column::Kind => "KIND",
            Column::Name => "NAME",
            Column::Id => "ID",
            Column::Size => "SIZE",
            Column::Rss => "RSS",
            Column::Swap => "SWAP",
            Column::Mode => "MODE",
            Column::Owner => "OWNER",
            Column::Creator => "CREATOR",
            Column::Last => "LAST",
            Column::Nattch => "NATTCH",
            Column::Holders => "HOLDERS",
            Column::Attached => "ATTACHED",
            Column::Detached => "DETACHED",
            Column::Changed => "CHANGED",
            Column::Idle => "IDLE",
            Column::Huge => "HUGE",
            Column::State => "STATE",
            Column::Why => "WHY",
            Column::Made => "MADE",
        }
    }

    /// Whether its values are numbers, which stand to the right.
    pub const fn is_number(self) -> bool {
        matches!(
            self,
            Column::Id | Column::Size | Column::Rss | Column::Swap | Column::Nattch | Column::Idle | Column::Mode
        )
    }

    /// Its value for an object.
    pub fn value(self, object: &Object, shown: &Shown) -> String {
        let bytes = |bytes: Option<u64>| match bytes {
            Some(bytes) if shown.bytes => bytes.to_string(),
            Some(bytes) => size(bytes),
            None => none(),
        };
        let ago = |moment: Option<u64>| moment.map_or_else(none, |moment| span(shown.clocks.since(moment)));
        match self {
            Column::Kind => object.kind.name().to_string(),
            Column::Name => object.label(),
            Column::Id => object.id().to_string(),
            Column::Size => bytes(Some(object.size)),
            Column::Rss => bytes(object.resident),
            Column::Swap => bytes(object.swap),
            Column::Mode => object.mode.map_or_else(none, |mode| format!("{mode:04o}")),
            Column::Owner => owner(object),
            Column::Creator => object.creator.as_ref().map_or_else(none, |actor| actor.label()),
            Column::Last => object.last.as_ref().map_or_else(none, |actor| actor.label()),
            Column::Nattch => object.attached.map_or_else(none, |count| count.to_string()),
            Column::Holders => holders(object),
            Column::Attached => ago(object.times.attached),
            Column::Detached => ago(object.times.detached),
            Column::Changed => ago(object.times.changed),
            Column::Idle => ago(object.times.last()),
            Column::Huge => object.huge.map_or("?", |huge| if huge { "yes" } else { "-" }).to_string(),
            Column::State => object.state.name().to_string(),
            Column::Why => match object.namespace {
                Some(number) => format!("{} (of namespace {number})", object.reason),
                None => object.reason.clone(),
            },
            Column::Made => object.made.as_ref().map_or_else(none, |made| {
                format!("{}[{}] {} in {}", made.program.escaped(), made.pid, made.place, made.session.escaped())
            }),
        }
    }
}

/// Where there is no value.
fn none() -> String {
    "-".to_string()
}

/// An object's owner by name, or number.
pub fn owner(object: &Object) -> String {
    match object.uid {
        Some(uid) => user_name(uid).map_or_else(|| uid.to_string(), |name| Text::from(&name[..]).escaped()),
        None => none(),
    }
}

/// `postgres[812] +3`
pub fn holders(object: &Object) -> String {
    match object.holders.as_slice() {
        [] if object.attached.unwrap_or(0) > 0 => "(unseen)".to_string(),
        [] => none(),
        [one] => one.process.label(),
        [one, more @ ..] => format!("{} +{}", one.process.label(), more.len()),
    }
}
