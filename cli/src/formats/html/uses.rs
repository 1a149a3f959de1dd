//! Which process had to do with which object, and from when to when.

use std::collections::{BTreeMap, HashMap};

use super::super::{Recording, Seen};

/// By the object's number, then by the process's place in the report: from its first call about the object to its last, or
/// for as long as it held it.
pub fn uses(recording: &Recording) -> HashMap<usize, BTreeMap<usize, (u64, u64)>> {
    let report = &recording.report;
    let mut uses: HashMap<usize, BTreeMap<usize, (u64, u64)>> = HashMap::new();
    let mut places: HashMap<(u32, u32), Option<usize>> = HashMap::new();
    let mut note = |object: usize, process: usize, from: u64, to: u64| {
        let span = uses.entry(object).or_default().entry(process).or_insert((from, to));
        *span = (span.0.min(from), span.1.max(to));
    };
    let mut see = |seen: &Seen| {
        let Some(object) = seen.object else { return };
        let (slot, pid) = (seen.event.process, seen.event.pid);
        // The report's processes stand in the order of the ledger's.
        let place = *places.entry((slot, pid)).or_insert_with(|| {
            seen.ledger.processes().iter().position(|process| process.slot == slot && process.pid == pid)
        });
        if let Some(place) = place {
            note(object.get(), place, seen.time.saturating_sub(seen.took), seen.time);
        }
    };
    let ledger = recording.calls.each(&mut see);
    for (place, process) in ledger.processes().iter().enumerate() {
        let Some(live) = ledger.live(process.slot, process.pid) else { continue };
        let Some(told) = report.processes.get(place).filter(|told| told.pid == process.pid) else { continue };
        let end = told.ended.unwrap_or(report.ended).0;
        let ranges = live.ranges.iter().map(|(_, piece)| (piece.of.object, &piece.of.made));
        for (object, made) in live.fds.values().map(|open| (open.object, &open.made)).chain(ranges) {
            // What it has from its parent, it has had from its own start on.
            let own = made.pid == process.pid;
            let known = uses.get(&object.get()).and_then(|uses| uses.get(&place)).map(|span| span.0);
            let from = if own { known.unwrap_or(told.started.0) } else { told.started.0 };
            let span = uses.entry(object.get()).or_default().entry(place).or_insert((from, end));
            *span = (span.0.min(from), span.1.max(end));
        }
    }
    uses
}
