//! Instructions of the program and the library for one call, counted by callgrind: the figure that noise cannot move. A
//! run of N calls is subtracted from one of 2N. The kernel's are not seen.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::place::{Place, installed};
use crate::run::Run;
use crate::table::{Table, grouped, signed};
use crate::tools::{BARE, Contender, LOG, STACKS_0, STACKS_16};
use crate::works::{Shape, WORKS, Work};

const CONTENDERS: &[&Contender] = &[BARE, STACKS_0, STACKS_16, LOG];

/// A count for each work and contender.
pub struct Instructions {
    cells: Vec<(&'static Work, &'static Contender, Result<f64, String>)>,
}

/// Counts them, two runs at once.
pub fn measure(place: &Place, quick: bool) -> Instructions {
    let times = if quick { 500 } else { 2000 };
    let pairs = WORKS.iter().flat_map(|work| CONTENDERS.iter().map(move |&contender| (work, contender)));
    let wanted = pairs.filter(|(work, contender)| work.turn > 0 || contender.name != LOG.name);
    let cells = wanted.map(|(work, contender)| (work, contender, a_call(place, work, contender, times)));
    Instructions { cells: cells.collect() }
}

fn a_call(place: &Place, work: &Work, contender: &Contender, times: usize) -> Result<f64, String> {
    installed("valgrind").ok_or("needs valgrind")?;
    let (once, twice) = thread::scope(|scope| {
        let other = scope.spawn(|| total(place, work, contender, 2 * times));
        (total(place, work, contender, times), other.join())
    });
    let twice = twice.map_err(|_| "a thread ended")?;
    let calls = times * work.calls();
    Ok((twice? - once?) / calls as f64)
}

/// Instructions of a whole run.
fn total(place: &Place, work: &Work, contender: &Contender, times: usize) -> Result<f64, String> {
    let (counts, out) = (place.fresh("callgrind"), place.fresh("out"));
    let shape = Shape { threads: 1, live: 10, warm: 100, batches: 1, times };
    let run = Run::new()
        .words(["valgrind", "--tool=callgrind", &format!("--callgrind-out-file={}", counts.display())])
        .word(&place.calls)
        .words(work.arguments(shape))
        .everywhere();
    contender.preloaded(place, run, &out.to_string_lossy()).output(place)?;
    let text = fs::read_to_string(&counts).map_err(|error| error.to_string())?;
    let _ = fs::remove_file(&counts);
    let _ = fs::remove_file(&out);
    let line = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    line.and_then(|number| number.trim().parse().ok()).ok_or_else(|| "callgrind gave no total".to_string())
}

impl Instructions {
    /// A row a work.
    pub fn table(&self) -> String {
        let heads = ["instructions a call, over bare", "bare"].into_iter();
        let mut table = Table::new(heads.chain(CONTENDERS.iter().skip(1).map(|contender| contender.name)));
        for work in WORKS {
            let found = |contender: &Contender| {
                let mut cells = self.cells.iter();
                cells.find(|cell| cell.0.name == work.name && cell.1.name == contender.name).map(|cell| &cell.2)
            };
            let bare = found(BARE).and_then(|count| count.clone().ok());
            let cells = CONTENDERS.iter().map(|contender| match found(contender) {
                None => "–".to_string(),
                Some(Err(why)) => format!("skipped: {why}"),
                Some(Ok(count)) if contender.name == BARE.name => grouped(*count),
                Some(Ok(count)) => signed(grouped(count - bare.unwrap_or(0.0))),
            });
            table.row(std::iter::once(work.title.to_string()).chain(cells));
        }
        table.text()
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let cells = self.cells.iter().map(|(work, contender, count)| match count {
            Ok(count) => json!({ "work": work.title, "tool": contender.name, "instructions": count }),
            Err(why) => json!({ "work": work.title, "tool": contender.name, "skipped": why }),
        });
        cells.collect()
    }
}
