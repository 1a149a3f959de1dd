//! Programs that were begun and left no record: who was at work before its spawn came back is not one of them.

use super::*;
use crate::layout::process::STARTED;
use crate::supervised::Supervised;

const MS: u64 = 1_000_000;

/// Whether the process that was spawned at the end of so long a call, and began 100 ms after the recorder, is said to have
/// left no record.
fn is_unseen(took: u32) -> bool {
    let mut image = alone();
    let child = image.process(200, None, END_EXIT);
    image.set(child, STARTED, BEGAN + 100 * MS);
    image.add(Event { args: &[200], ticks: BEGAN + 600 * MS, took, ..event(Call::PosixSpawn) });
    let (supervised, mut kernel) = (Supervised::default(), Tables::new());
    let mut rules = Rules::default();
    let ledger = Ledger::replay(&image.sources(), |ledger, event, object| rules.before(ledger, event, object));
    let mut world = World::new(&ledger, &mut kernel, None, BEGAN_SECONDS).with(Some(&supervised));
    rules.find(&mut world).iter().any(|draft| draft.kind == Kind::UnauditedProcess)
}

#[test]
fn who_is_spawned_may_be_at_work_before_the_spawn_comes_back() {
    assert!(!is_unseen(550 * MS as u32) && !is_unseen(u32::MAX));
    assert!(is_unseen(1000), "that was another process of the same pid");
}
