//! What is shown, and how keys change it. Nothing here knows of a terminal.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::Sort;

/// What is in the middle of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The objects.
    Objects,
    /// The processes that hold them.
    Processes,
    /// The last calls of audited sessions.
    Calls,
}

/// What lies over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Nothing.
    Nothing,
    /// The keys.
    Help,
    /// All about the chosen object.
    Object,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// In the middle.
    pub view: View,
    /// Over it.
    pub over: Over,
    /// The order of the objects.
    pub sort: Sort,
    /// Only what is nobody's.
    pub orphans: bool,
    /// The chosen line.
    pub chosen: usize,
    /// The first line on the screen.
    pub first: usize,
}

/// What a key asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To draw.
    Draw,
    /// To look again.
    Look,
    /// To go into the background.
    Suspend,
    /// To end.
    Quit,
}

const SORTS: [Sort; 7] = [Sort::Size, Sort::Rss, Sort::Rate, Sort::Idle, Sort::Holders, Sort::State, Sort::Name];

impl State {
    /// At the start.
    pub const fn new(sort: Sort, orphans: bool) -> State {
        State { view: View::Objects, over: Over::Nothing, sort, orphans, chosen: 0, first: 0 }
    }

    /// A key. `lines` there are, and `page` of them are on the screen.
    pub fn key(&mut self, key: KeyEvent, lines: usize, page: usize) -> Asked {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Asked::Quit,
            KeyCode::Char('z') if control => return Asked::Suspend,
            KeyCode::Char('l') if control => return Asked::Look,
            KeyCode::Char(_) if control => {}
            _ if self.over != Over::Nothing => {
                let close = matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?' | 'h' | ' '));
                if close {
                    self.over = Over::Nothing;
                }
            }
            KeyCode::Char('q' | 'Q') => return Asked::Quit,
            KeyCode::Char(' ') => return Asked::Look,
            KeyCode::Char('1') => self.show(View::Objects),
            KeyCode::Char('2') => self.show(View::Processes),
            KeyCode::Char('3') => self.show(View::Calls),
            KeyCode::Tab => self.show(self.view.next()),
            KeyCode::BackTab => self.show(self.view.next().next()),
            KeyCode::Char('s') => self.sort(1),
            KeyCode::Char('S') => self.sort(SORTS.len() - 1),
            KeyCode::Char('o') => {
                self.orphans = !self.orphans;
                self.go(0);
            }
            KeyCode::Char('?' | 'h') => self.over = Over::Help,
            KeyCode::Enter if self.view == View::Objects && lines > 0 => self.over = Over::Object,
            KeyCode::Up | KeyCode::Char('k') => self.go(self.chosen.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.go(self.chosen.saturating_add(1)),
            KeyCode::PageUp => self.go(self.chosen.saturating_sub(page)),
            KeyCode::PageDown => self.go(self.chosen.saturating_add(page)),
            KeyCode::Home | KeyCode::Char('g') => self.go(0),
            KeyCode::End | KeyCode::Char('G') => self.go(usize::MAX),
            _ => {}
        }
        self.fit(lines, page);
        Asked::Draw
    }

    /// Keeps the chosen line among the lines, and on the screen.
    pub fn fit(&mut self, lines: usize, page: usize) {
        self.chosen = self.chosen.min(lines.saturating_sub(1));
        let last_first = lines.saturating_sub(page);
        let lowest = self.chosen.saturating_sub(page.saturating_sub(1));
        self.first = self.first.clamp(lowest, self.chosen.max(lowest)).min(last_first);
    }

    fn go(&mut self, line: usize) {
        self.chosen = line;
    }

    fn show(&mut self, view: View) {
        if self.view != view {
            (self.view, self.chosen, self.first) = (view, 0, 0);
        }
    }

    fn sort(&mut self, steps: usize) {
        let at = SORTS.iter().position(|&sort| sort == self.sort).unwrap_or(0);
        self.sort = SORTS.get((at + steps) % SORTS.len()).copied().unwrap_or(Sort::Size);
        self.go(0);
    }
}

impl View {
    const fn next(self) -> View {
        match self {
            View::Objects => View::Processes,
            View::Processes => View::Calls,
            View::Calls => View::Objects,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn press(state: &mut State, code: KeyCode) -> Asked {
        state.key(KeyEvent::new(code, KeyModifiers::NONE), 100, 10)
    }

    #[test]
    fn keys() {
        let mut state = State::new(Sort::Size, false);
        press(&mut state, KeyCode::End);
        assert_eq!((state.chosen, state.first), (99, 90));
        press(&mut state, KeyCode::PageUp);
        assert_eq!((state.chosen, state.first), (89, 89));
        press(&mut state, KeyCode::Char('s'));
        assert_eq!((state.sort, state.chosen, state.first), (Sort::Rss, 0, 0));
        press(&mut state, KeyCode::Char('S'));
        assert_eq!(state.sort, Sort::Size);
        press(&mut state, KeyCode::Tab);
        assert_eq!(state.view, View::Processes);
        press(&mut state, KeyCode::Char('?'));
        assert_eq!((state.over, press(&mut state, KeyCode::Char('q'))), (Over::Help, Asked::Draw));
        assert_eq!((state.over, press(&mut state, KeyCode::Char('q'))), (Over::Nothing, Asked::Quit));
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(state.key(control, 0, 0), Asked::Quit);
    }

    proptest! {
        #[test]
        fn the_chosen_line_is_on_the_screen(
            chosen in 0usize..200, first in 0usize..200, lines in 0usize..200, page in 0usize..50
        ) {
            let mut state = State { chosen, first, ..State::new(Sort::Size, false) };
            state.fit(lines, page);
            prop_assert!(state.chosen < lines.max(1));
            if page > 0 {
                prop_assert!(state.first <= state.chosen && state.chosen < state.first + page);
                prop_assert!(state.first + page <= lines.max(page));
            }
        }
    }
}
