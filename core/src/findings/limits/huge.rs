//! Huge pages: the system sets some aside, and who is refused them may go on without.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use crate::calls::Call::Shmget;
use crate::findings::World;
use crate::kernel::Setting;
use crate::record::Event;

const SHM_HUGETLB: u64 = 0o4000;
/// Where the flags have the logarithm of the page size; 0 is the system's own (shmget(2)).
const SIZE_SHIFT: u32 = 26;

/// Whether a `shmget` asks for huge pages.
pub(super) fn asks(event: &Event) -> bool {
    event.call == Shmget && event.arg(2) & SHM_HUGETLB != 0
}

/// Whether a `shmget` asks for huge pages of another size than the system's own.
pub(super) fn of_another_size(event: &Event) -> bool {
    event.arg(2) >> SIZE_SHIFT & 0x3F != 0
}

/// Why there were none.
pub(super) fn why(world: &mut World, another_size: bool) -> String {
    let most = if another_size { None } else { world.setting(Setting::NrHugepages) };
    match most {
        Some(most) => format!("{} sets {most} huge pages aside for the whole system", Setting::NrHugepages.name()),
        None => "the system has not set aside enough huge pages of this size (/sys/kernel/mm/hugepages)".into(),
    }
}

/// Processes that were refused huge pages, and those of them that went on without.
#[derive(Default)]
pub(super) struct Refused {
    still: BTreeSet<(u32, u32)>,
    went_on: BTreeSet<(u32, u32)>,
}

impl Refused {
    /// A `shmget` has come back.
    pub(super) fn see(&mut self, event: &Event) {
        if event.call != Shmget {
            return;
        }
        let process = (event.process, event.pid);
        match (asks(event), event.failed()) {
            (true, true) => {
                self.still.insert(process);
            }
            (false, false) if self.still.remove(&process) => {
                self.went_on.insert(process);
            }
            _ => {}
        }
    }

    /// Whether this process made a segment of ordinary pages after it was refused huge ones.
    pub(super) fn went_on(&self, slot: u32, pid: u32) -> bool {
        self.went_on.contains(&(slot, pid))
    }
}
