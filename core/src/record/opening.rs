//! What a call that opened an object found: two words after its own arguments.

use super::Event;
use crate::calls::{Arg, Call};

/// What `fstat` said right after an object was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Permissions, the umask taken off.
    pub mode: u32,
    /// Owner.
    pub owner: u32,
    /// Size in bytes.
    pub size: u64,
}

impl Opening {
    /// As a record holds it.
    pub fn words(self) -> [u64; 2] {
        [u64::from(self.mode) | u64::from(self.owner) << 32, self.size]
    }

    /// As a record holds it that has room for it, whether it is known or not.
    pub fn words_of(opening: Option<Opening>) -> [u64; 2] {
        opening.map_or([u64::MAX; 2], Opening::words)
    }

    /// Of a record, where it has it.
    pub fn of(event: &Event) -> Option<Opening> {
        if !matches!(event.call, Call::ShmOpen | Call::Open | Call::Openat | Call::Creat) {
            return None;
        }
        let own = event.call.args().iter().filter(|(_, kind)| *kind != Arg::Name).count();
        let &[first, size] = event.args.get(own..)? else { return None };
        if first == u64::MAX {
            return None;
        }
        Some(Opening { mode: first as u32 & 0o7777, owner: (first >> 32) as u32, size })
    }
}

/// The size of a mapped object where no earlier record tells it: it was asked for right after the call.
pub fn size_when_mapped(event: &Event) -> Option<u64> {
    let bytes = <[u8; 8]>::try_from(event.data).ok().filter(|_| event.call == Call::Mmap)?;
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    #[test]
    fn it_follows_the_arguments() {
        let opening = Opening { mode: 0o644, owner: 1000, size: 4193 };
        let [first, size] = opening.words();
        for (call, own) in [(Call::ShmOpen, 2), (Call::Open, 2), (Call::Openat, 3), (Call::Creat, 1)] {
            let mut args = std::vec![7u64; own];
            assert_eq!(Opening::of(&Event { args: &args, ..event(call) }), None);
            args.extend([first, size]);
            assert_eq!(Opening::of(&Event { args: &args, ..event(call) }), Some(opening), "{}", call.name());
        }
        assert_eq!(Opening::of(&Event { args: &[1, 2, 3, 4], ..event(Call::Fallocate) }), None);
        let [first, size] = Opening::words_of(None);
        assert_eq!(Opening::of(&Event { args: &[2, 0, first, size], ..event(Call::ShmOpen) }), None);
    }
}
