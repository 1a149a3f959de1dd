//! The recorder's ring and registry, as the library has them, in every order that a few threads can come in.
//!
//! `src/recorder.rs` and `src/registry.rs` are compiled here once more, over words that stop at each access (`atomic.rs`) and
//! ask who goes on (`explore.rs`): with so many changes of turn, and with a thread that is killed at any step, every
//! order there is. What stands beside them in the library is replaced by as little as they need.
//!
//! In most of them all see one memory alike; in some, so many loads give what was stored before (`memory.rs`), as weaker
//! processors than x86 do where no release and no acquire forbid it.
#![expect(unsafe_code, reason = "the recorder is a mapping")]

extern crate alloc;

/// In force where the explorer was told so (`src/wrong.rs` says what each is).
macro_rules! wrong {
    ($name:ident => $body:block) => {
        if crate::explore::is_wrong(stringify!($name)) $body
    };
}

#[path = "../../../src/recorder.rs"]
#[expect(dead_code, unexpected_cfgs, reason = "the library uses all of it, and `wrong` is a feature of its package")]
mod recorder;
#[path = "../../../src/registry.rs"]
#[expect(dead_code, reason = "the library uses all of it")]
mod registry;

mod atomic;
mod explore;
mod memory;
mod objects;
mod place;
mod records;
mod ring;

use place::{clock, journal, sys};
