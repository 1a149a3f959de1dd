//! `libshmaudit.so`: shared memory as libc has it, with a flight recorder.
//!
//! The path of one call: a symbol in `hooks` asks whether it is about shared memory, starts a [`audit::Seen`], makes the
//! real call (`real`, `next`), and ends it: `audit` writes one record (`recorder`), enters a new object into the registry
//! (`registry`) and logs (`log`). `start` makes the recorder before the program runs; `end` has the verdict spoken after it.
//!
//! No std, no dependency on a C library's version, no lock, no heap, no descriptor in a hook. What is clever is in the core.
#![no_std]

extern crate alloc;

#[cfg(feature = "wrong")]
#[macro_use]
mod wrong;
/// Nothing: only the tests' own build of the library has wrong ways.
#[cfg(not(feature = "wrong"))]
macro_rules! wrong {
    ($name:ident => $body:block) => {};
}

mod atomic;
mod audit;
mod callers;
mod clock;
mod code;
mod conclude;
mod contain;
mod elf;
mod end;
mod errno;
mod escape;
mod fds;
mod filter;
mod heap;
mod hooks;
mod inside;
mod interface;
mod journal;
mod live;
mod log;
mod modules;
mod next;
mod own;
mod pages;
mod paths;
mod pause;
mod process;
mod real;
mod recorder;
mod registry;
mod rules;
mod runtime;
mod stack;
mod start;
mod symbols;
mod sys;
mod unwind;
mod vfork;
mod world;
