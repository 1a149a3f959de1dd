//! The terminal: taken at the start, given back at every end, drawn on in between. Bold and reverse are all that it is
//! asked for.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};
use ratatui::{DefaultTerminal, Frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

use super::calls::Calls;
use super::keys::{Asked, Over, State};
use super::lines;
use super::sample::{Sample, Sampler};

/// The terminal is given back when this goes.
struct Taken(ManuallyDrop<DefaultTerminal>);

impl Taken {
    fn take() -> io::Result<Taken> {
        Ok(Taken(ManuallyDrop::new(ratatui::try_init()?)))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back. (Dropping ratatui's own would complain of that on standard error,
        // which is gone as well, and panic of that.)
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

/// How long a signal that comes in the wrong moment waits.
const SLICE: Duration = Duration::from_millis(250);
/// Lines above and below the list: two of totals, the views, the heading, the keys.
const AROUND: u16 = 5;
/// Most calls that are kept.
const CALLS: usize = 200;

/// Shows until a key or a signal ends it.
pub fn run(mut state: State, sampler: &mut Sampler, calls: &mut dyn Calls, delay: Duration) -> Result<(), String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|error| format!("signals: {error}"))?;
    }
    let failed = |error: io::Error| format!("the terminal: {error}");
    let mut terminal = Taken::take().map_err(failed)?;
    let mut sample = sampler.take();
    let mut recent = calls.recent(CALLS);
    let mut next = Instant::now() + delay;
    let (mut shown, mut stale) = ((0, 0), true);
    while !stop.load(Ordering::Relaxed) {
        if stale {
            let draw = terminal.0.draw(|frame| shown = show(frame, &mut state, &sample, &recent));
            draw.map_err(failed)?;
        }
        let left = next.saturating_duration_since(Instant::now());
        let mut asked = if left.is_zero() { Asked::Look } else { Asked::Draw };
        let events = events(left.min(SLICE)).map_err(failed)?;
        stale = asked == Asked::Look || !events.is_empty();
        for event in events {
            // A new size needs nothing but the next drawing.
            let Event::Key(key) = event else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match state.key(key, shown.0, shown.1) {
                Asked::Draw => {}
                other => asked = other,
            }
            if asked == Asked::Quit {
                return Ok(());
            }
        }
        match asked {
            Asked::Draw => {}
            Asked::Look => {
                sample = sampler.take();
                recent = calls.recent(CALLS);
                next = Instant::now() + delay;
            }
            Asked::Suspend => {
                drop(terminal);
                signal_hook::low_level::emulate_default_handler(SIGTSTP).map_err(failed)?;
                terminal = Taken::take().map_err(failed)?;
            }
            Asked::Quit => break,
        }
    }
    Ok(())
}

/// What came from the terminal, at most after `wait`. crossterm reads for ever where a terminal has gone away, so that
/// is asked first.
fn events(wait: Duration) -> io::Result<Vec<Event>> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = Timespec::try_from(wait).unwrap_or_default();
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => {}
        // A new size, or the end.
        Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has gone away"));
    }
    let mut events = Vec::new();
    while event::poll(Duration::ZERO)? {
        events.push(event::read()?);
    }
    Ok(events)
}

/// Draws; how many lines the list has, and how many of them are on the screen.
fn show(frame: &mut Frame, state: &mut State, sample: &Sample, calls: &[String]) -> (usize, usize) {
    let area = frame.area();
    let width = usize::from(area.width);
    let page = usize::from(area.height.saturating_sub(AROUND));
    let (heading, rows) = lines::view(state, sample, calls, width);
    state.fit(rows.len(), page);
    let [first, second] = lines::head(sample);
    let plain = Style::new();
    let (bold, reverse) = (plain.add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::REVERSED));
    let mut all = vec![
        Line::styled(first, plain),
        Line::styled(second, plain),
        Line::styled(lines::tabs(state, sample), plain),
        Line::styled(heading, bold),
    ];
    let on_screen = rows.iter().enumerate().skip(state.first).take(page);
    all.extend(on_screen.map(|(at, row)| {
        let chosen = at == state.chosen;
        Line::styled(format!("{row:<width$}"), if chosen { reverse } else { plain })
    }));
    frame.render_widget(Paragraph::new(all), area);
    let last = Rect { y: area.height.saturating_sub(1), height: area.height.min(1), ..area };
    let place = if rows.len() > page { format!("  {}/{}", state.chosen + 1, rows.len()) } else { String::new() };
    let keys = format!("q quit  Tab view  s order  o orphans  Enter more  ? keys{place}");
    frame.render_widget(Paragraph::new(Line::styled(format!("{keys:<width$}"), reverse)), last);
    match state.over {
        Over::Nothing => {}
        Over::Help => over(frame, " Keys ", HELP.iter().map(ToString::to_string).collect()),
        Over::Object => {
            let objects = sample.objects(state.sort, state.orphans);
            match objects.get(state.chosen) {
                Some(object) => over(frame, " Object ", lines::about(object, sample, width.saturating_sub(4))),
                None => state.over = Over::Nothing,
            }
        }
    }
    (rows.len(), page)
}

const HELP: [&str; 9] = [
    "q ^C       quit",
    "Tab 1 2 3  objects, processes, calls",
    "s S        next, previous order",
    "o          orphans only, or all",
    "arrows j k one line; PgUp PgDn a page; Home End",
    "Enter      all about the object",
    "Space      look again now",
    "^Z         into the background",
    "Esc        closes this",
];

/// A box in the middle.
fn over(frame: &mut Frame, title: &'static str, lines: Vec<String>) {
    let area = frame.area();
    let wide = lines.iter().map(String::len).chain([title.len()]).max().unwrap_or(0);
    let width = u16::try_from(wide).unwrap_or(u16::MAX).saturating_add(4).min(area.width);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let (x, y) = (area.width.saturating_sub(width) / 2, area.height.saturating_sub(height) / 2);
    let place = Rect { x, y, width, height };
    let lines: Vec<Line> = lines.into_iter().map(|line| Line::raw(format!(" {line}"))).collect();
    frame.render_widget(Clear, place);
    // Lines of ASCII: a terminal without a character set for boxes shows them too.
    let block = Block::bordered().border_set(ASCII).title(title);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

const ASCII: ratatui::symbols::border::Set = ratatui::symbols::border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::keys::View;
    use super::super::{Sort, calls};
    use super::*;
    use crate::system::Nobody;

    /// Every size of terminal is drawn on, down to none at all.
    #[test]
    fn any_size() {
        let nobody = Nobody;
        let mut sampler = Sampler::new(&nobody);
        let sample = sampler.take();
        let recent = calls::Nobody.recent(5);
        for (width, height) in [(80, 24), (200, 60), (40, 8), (12, 3), (1, 1), (0, 0)] {
            for over in [Over::Nothing, Over::Help, Over::Object] {
                for view in [View::Objects, View::Processes, View::Calls] {
                    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                    let mut state = State { view, over, ..State::new(Sort::Rate, false) };
                    terminal.draw(|frame| _ = show(frame, &mut state, &sample, &recent)).unwrap();
                }
            }
        }
    }
}
