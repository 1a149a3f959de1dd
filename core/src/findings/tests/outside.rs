//! Programs that were begun and left no record: who was at work before its spawn came back is not one of them.

use super::*;
use crate::layout::process::{ENDED, STARTED};
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

#[test]
fn who_became_a_program_without_a_record_made_it_as_that() {
    let (mut image, mut kernel) = (alone(), Tables::new());
    let maker = image.process(55, None, END_EXEC);
    image.set(maker, STARTED, BEGAN + MS);
    image.set(maker, ENDED, BEGAN + 100 * MS);
    kernel.segment(Segment { cpid: 55, ..segment() });
    let supervised = Supervised { segments: Some(Vec::new()), ..Supervised::default() };
    let mut said = |image: &Image| {
        let mut rules = Rules::default();
        let ledger = Ledger::replay(&image.sources(), |ledger, event, object| rules.before(ledger, event, object));
        let mut world = World::new(&ledger, &mut kernel, None, BEGAN_SECONDS).with(Some(&supervised));
        let drafts = rules.find(&mut world);
        drafts.into_iter().find(|draft| draft.kind == Kind::UnattributedLeak).unwrap().message
    };
    let message = said(&image);
    assert!(message.contains("made by prog[55], which became a program that left no record, is new"), "{message}");
    // Where that program is known, it made the segment past the audit.
    let became = image.process(55, None, END_EXIT);
    image.set(became, STARTED, BEGAN + 200 * MS);
    assert!(said(&image).contains("by a bare system call"), "{}", said(&image));
}
