//! Cost a call: bare, by the library, by every tracer that is here.

use serde_json::{Value, json};

use crate::figures::{Series, Turn, rounds, sample};
use crate::lttng::Lttng;
use crate::place::Place;
use crate::table::{self, Table};
use crate::tools::{BARE, Contender, LOG, OURS, PEERS, Way};
use crate::works::{WORKS, Work, work};

/// All cells.
pub struct Calls {
    cells: Vec<Cell>,
}

struct Cell {
    work: &'static Work,
    contender: &'static Contender,
    series: Series,
}

/// Measures them all.
pub fn measure(place: &Place, quick: bool, step: &dyn Fn(&str)) -> Calls {
    let lttng = Lttng::default();
    let mut cells = Vec::new();
    for work in WORKS {
        step(work.title);
        cells.extend(of_work(place, work, &lttng, quick));
    }
    Calls { cells }
}

fn of_work(place: &Place, work: &'static Work, lttng: &Lttng, quick: bool) -> Vec<Cell> {
    let count = if quick { 3 } else { 15 };
    let mut cells = Vec::new();
    let mut turns = Vec::new();
    let ours = OURS.iter().filter(|contender| work.turn > 0 || !is_special(contender));
    let peers = PEERS.iter().filter(|_| work.compared);
    for contender in std::iter::once(&BARE).chain(ours).chain(peers) {
        let ready = match contender.ready(place, work, lttng) {
            Ok(ready) => ready,
            Err(why) => {
                cells.push(Cell { work, contender, series: Series { skipped: Some(why), ..Series::default() } });
                continue;
            }
        };
        let slow = matches!(contender.way, Way::Tracer { .. });
        let every = match contender.name {
            _ if slow => 5,
            name if name == LOG.name => 3,
            _ => 1,
        };
        let (batches, milliseconds) = match (slow, quick) {
            (true, false) => (5, 10.0),
            (true, true) => (3, 4.0),
            (false, false) => (15, 2.0),
            (false, true) => (9, 1.0),
        };
        let shape = contender.shape(work, batches, milliseconds);
        let once = move || sample(&ready.output(shape)?);
        turns.push((contender, Turn { every, once: Box::new(once) }));
    }
    let (contenders, turns): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
    let series = rounds(count, turns);
    cells.extend(contenders.into_iter().zip(series).map(|(contender, series)| Cell { work, contender, series }));
    cells
}

/// Whether a contender only makes sense where calls are recorded.
fn is_special(contender: &Contender) -> bool {
    matches!(contender.way, Way::Library { settled: false, .. }) || contender.name == LOG.name
}

impl Calls {
    /// One contender's series for a work, and the bare program's.
    pub fn pair(&self, name: &str, contender: &Contender) -> Option<(&Series, &Series)> {
        let find = |contender: &Contender| {
            let mut cells = self.cells.iter();
            cells.find(|cell| cell.work.name == name && cell.contender.name == contender.name).map(|cell| &cell.series)
        };
        Some((find(contender)?, find(BARE)?))
    }

    /// Two tables: what tracers can be compared by, and the rest.
    pub fn table(&self) -> String {
        let columns = |compared: bool| WORKS.iter().filter(move |work| work.compared == compared);
        let everybody: Vec<_> = [BARE].into_iter().chain(OURS.iter().copied()).chain(PEERS.iter().copied()).collect();
        let ours: Vec<_> = [BARE].into_iter().chain(OURS.iter().copied()).collect();
        let first = self.part("a call, over bare", columns(true).collect(), &everybody);
        let second = self.part("a call, over bare", columns(false).collect(), &ours);
        format!("{first}\n\n{second}")
    }

    fn part(&self, corner: &str, works: Vec<&Work>, contenders: &[&Contender]) -> String {
        let titles = works.iter().map(|work| work.title);
        let mut table = Table::new(std::iter::once(corner).chain(titles));
        for contender in contenders {
            let cells = works.iter().map(|work| self.cell(work, contender));
            table.row(std::iter::once(contender.name.to_string()).chain(cells));
        }
        table.text()
    }

    fn cell(&self, work: &Work, contender: &Contender) -> String {
        let Some((series, bare)) = self.pair(work.name, contender) else { return "–".into() };
        if let Some(why) = &series.skipped {
            return format!("skipped: {why}");
        }
        if contender.name == BARE.name {
            return series.spread().map_or("–".into(), |spread| table::time(spread.median));
        }
        match (series.over(bare), series.ratio(bare)) {
            (Some(over), Some(ratio)) => table::over(over, ratio),
            _ => "–".into(),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let cells = self.cells.iter().map(|cell| {
            let bare = self.pair(cell.work.name, BARE).map_or(&cell.series, |(bare, _)| bare);
            json!({
                "work": work(cell.work.name).title,
                "tool": cell.contender.name,
                "unit": "ns",
                "figures": cell.series.json(bare),
            })
        });
        cells.collect()
    }
}
