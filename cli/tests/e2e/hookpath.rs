//! The path of a hook, held to its promises: no panic, no allocation, no system call of its own but those that are listed.
//!
//! Twice: in the machine code of the library, where what is not taken today is found too (`hookpath/code.rs` reads it,
//! `hookpath/rules.rs` says what is allowed and why), and in what the kernel sees of a program that makes each call
//! (`hookpath/seen.rs`), and of one that forbids itself all other calls (`hookpath/filter.rs`). What the path takes of the
//! stack is measured (`hookpath/stack.rs`).

mod code;
mod filter;
mod rules;
mod seen;
mod stack;

use shmaudit_core::calls::{Call, HOOKS, INTERFACE, Trace};

use crate::build::{self, Variant};
use crate::trial::{Stop, Trials, Verdict};
use crate::{check, place};

use code::Code;
use rules::Found;

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("hookpath::code::holds_nothing_forbidden", library);
    for (kind, complaint) in BAD {
        trials.add(format!("hookpath::code::checker_finds::{kind}"), move || found(kind, complaint));
    }
    trials.add("hookpath::code::checker_passes::good", good);
    seen::add(trials);
    stack::add(trials);
    filter::add(trials);
}

/// The hooks of everything but making and ending processes, which are no hot path; and what of the C interface may be
/// called in a signal handler.
fn hooks() -> impl Iterator<Item = &'static str> {
    let hooks = HOOKS.iter().filter(|(_, call)| call.trace() != Trace::Process || *call == Call::Prctl);
    let interface = INTERFACE.iter().copied().filter(|name| !name.contains("leak_check"));
    hooks.map(|(name, _)| *name).chain(interface)
}

fn only_here() -> Verdict {
    if cfg!(target_arch = "x86_64") {
        Ok(())
    } else {
        Err(Stop::Unfit("x86-64: the code is read by its decoder".into()))
    }
}

fn library() -> Verdict {
    only_here()?;
    let code = Code::read(place::library())?;
    let mut found = Found::default();
    for hook in hooks() {
        rules::judge(&code, hook, &mut found)?;
    }
    let wrong = found.complaints();
    check!(wrong.is_empty(), "on the path of a hook:\n  {}", wrong.join("\n  "));
    check!(found.functions.len() > 60, "only {} functions were followed", found.functions.len());
    let stale: Vec<_> = rules::COLD.iter().map(|(name, _)| *name).filter(|name| !found.used.contains(name)).collect();
    check!(stale.is_empty(), "listed as cold, and not met: {stale:?}");
    println!("{} functions on the paths of {} hooks", found.functions.len(), hooks().count());
    Ok(())
}

/// Kinds of hooks in `programs/badhooks.c`, and what is said of each.
const BAD: &[(&str, &str)] = &[
    ("panics", "a panic"),
    ("panics_deep_down", "a panic"),
    ("allocates", "an allocation"),
    ("asks_the_kernel", "system call Some(39)"),
    ("asks_what_it_likes", "system call None"),
    ("calls_what_it_gets", "a call by a pointer, Unknown"),
    ("calls_what_stands_there", "a call by a pointer, Variable"),
    ("traps", "an instruction that ends the process"),
];

fn bad_hooks() -> Result<Code, Stop> {
    only_here()?;
    Code::read(&build::own("badhooks", &Variant::of("gcc", &["-O1", "-shared", "-fPIC", "-Wl,-Bsymbolic"]))?)
}

fn found(kind: &str, complaint: &str) -> Verdict {
    let mut found = Found::default();
    rules::judge(&bad_hooks()?, kind, &mut found)?;
    let wrong = found.complaints();
    check!(wrong.iter().any(|wrong| wrong.contains(complaint)), "found in {kind}: {wrong:?}");
    Ok(())
}

fn good() -> Verdict {
    let mut found = Found::default();
    rules::judge(&bad_hooks()?, "good", &mut found)?;
    let wrong = found.complaints();
    check!(wrong.is_empty() && found.functions.len() > 1, "found: {wrong:?}");
    Ok(())
}
