//! The pure heart of shmaudit: what a record is, and what follows from records and the kernel's own tables.
//!
//! Nothing here does I/O, reads a clock or keeps a global; the library calls it at a program's exit, the command at any time.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod baseline;
pub mod calls;
pub mod cfi;
pub mod findings;
pub mod json;
pub mod kernel;
pub mod layout;
pub mod ledger;
pub mod line;
pub mod logline;
pub mod options;
pub mod page;
pub mod procfs;
pub mod program;
pub mod reader;
pub mod record;
pub mod report;
pub mod sources;
pub mod supervised;
pub mod suppress;
pub mod symbols;
pub mod text;
pub mod words;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod testing;
