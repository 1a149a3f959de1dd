//! Every order of a few threads: who goes on is decided at each access to a shared word, and all decisions are tried.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::memory::Memory;

/// How much is tried.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Changes of turn where a thread could have gone on.
    pub turns: usize,
    /// Threads that are killed, at any step.
    pub kills: usize,
    /// Loads that give what was stored before the last, where the orders allow it; 0: all see alike.
    pub stale: usize,
    /// The wrong way that is in force.
    pub wrong: Option<&'static str>,
}

/// A decision: what was chosen, of how many.
type Choice = (usize, usize);

struct State {
    /// Whose turn it is.
    turn: usize,
    ended: Vec<bool>,
    killed: Vec<bool>,
    turns: usize,
    kills: usize,
    stale: usize,
    memory: Memory,
    choices: Vec<Choice>,
    /// How many of them are behind us.
    made: usize,
}

struct Order {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether loads may give what is older.
    weak: bool,
    wrong: Option<&'static str>,
}

thread_local! {
    static ME: RefCell<Option<(Arc<Order>, usize)>> = const { RefCell::new(None) };
}

/// What ends a thread that is killed.
struct Killed;

impl State {
    /// Decides between so many.
    fn choose(&mut self, of: usize) -> usize {
        if of < 2 {
            return 0;
        }
        if self.made == self.choices.len() {
            self.choices.push((0, of));
        }
        let (chosen, among) = self.choices[self.made];
        assert_eq!(among, of, "the threads do not do the same each time");
        self.made += 1;
        chosen
    }

    fn others(&self, me: usize) -> Vec<usize> {
        (0..self.ended.len()).filter(|&other| other != me && !self.ended[other]).collect()
    }
}

impl Order {
    fn step(&self, me: usize) {
        let mut state = self.state.lock().unwrap();
        let others = if state.turns > 0 { state.others(me) } else { Vec::new() };
        let kills = usize::from(state.kills > 0);
        match state.choose(1 + others.len() + kills) {
            0 => return,
            other if other <= others.len() => {
                state.turns -= 1;
                state.turn = others[other - 1];
            }
            _ => {
                state.kills -= 1;
                state.killed[me] = true;
                drop(state);
                resume_unwind(Box::new(Killed));
            }
        }
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.turn != me).unwrap());
    }

    /// Waits for its first turn.
    fn begin(&self, me: usize) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |state| state.turn != me).unwrap());
    }

    fn end(&self, me: usize) {
        let mut state = self.state.lock().unwrap();
        state.ended[me] = true;
        let others = state.others(me);
        if let [_, ..] = others[..] {
            let next = state.choose(others.len());
            state.turn = others[next];
        }
        self.changed.notify_all();
    }
}

/// An access to a shared word is about to happen.
pub fn step() {
    if let Some((order, me)) = ME.with_borrow(Clone::clone) {
        order.step(me);
    }
}

/// With the memory of the order that is tried, if that is weak.
fn in_memory<R>(with: impl FnOnce(&mut State, usize) -> R) -> Option<R> {
    let (order, me) = ME.with_borrow(Clone::clone).filter(|(order, _)| order.weak)?;
    Some(with(&mut order.state.lock().unwrap(), me))
}

/// What a load of `word` gives, whose last value is `last`.
pub fn loaded(word: usize, last: u64, by: Ordering) -> u64 {
    let loaded = in_memory(|state, me| {
        let values = state.memory.values(me, word, last);
        let older = if state.stale > 0 { state.choose(values) } else { 0 };
        state.stale -= usize::from(older > 0);
        state.memory.load(me, word, older, by)
    });
    loaded.unwrap_or(last)
}

/// A load of `word` has given its last value.
pub fn last_loaded(word: usize, last: u64, by: Ordering) {
    in_memory(|state, me| {
        state.memory.values(me, word, last);
        state.memory.load(me, word, 0, by)
    });
}

/// `word` was changed. `updates`: in one step with a load.
pub fn stored(word: usize, change: (u64, u64), by: Ordering, updates: bool) {
    in_memory(|state, me| state.memory.store(me, word, change, by, updates));
}

/// A fence that releases.
pub fn fenced() {
    in_memory(|state, me| state.memory.fence(me));
}

/// Whether this wrong way is in force.
pub fn is_wrong(name: &str) -> bool {
    ME.with_borrow(|me| me.as_ref().is_some_and(|(order, _)| order.wrong == Some(name)))
}

/// Runs the threads in every order within the limits, over a new `make()` each time, which `check` then looks at with who was
/// killed. How many orders there were; or the first that is wrong.
pub fn explore<S: Sync>(
    limits: Limits,
    make: impl Fn() -> S,
    threads: &[&(dyn Fn(&S) + Sync)],
    check: impl Fn(&S, &[bool]) -> Result<(), String>,
) -> Result<usize, String> {
    let mut choices: Vec<Choice> = Vec::new();
    let mut orders = 0;
    loop {
        let shared = make();
        let state = State {
            turn: 0,
            ended: vec![false; threads.len()],
            killed: vec![false; threads.len()],
            turns: limits.turns,
            kills: limits.kills,
            stale: limits.stale,
            memory: Memory::new(threads.len()),
            choices,
            made: 0,
        };
        // Who begins is a decision too.
        let order = Arc::new(Order {
            state: Mutex::new(state),
            changed: Condvar::new(),
            weak: limits.stale > 0,
            wrong: limits.wrong,
        });
        {
            let mut state = order.state.lock().unwrap();
            state.turn = state.choose(threads.len());
        }
        let ends: Vec<Result<(), Box<dyn Any + Send>>> = thread::scope(|scope| {
            let run = |me: usize| {
                let (order, shared) = (Arc::clone(&order), &shared);
                scope.spawn(move || {
                    ME.set(Some((Arc::clone(&order), me)));
                    order.begin(me);
                    let end = catch_unwind(AssertUnwindSafe(|| threads[me](shared)));
                    ME.set(None);
                    order.end(me);
                    end
                })
            };
            let running: Vec<_> = (0..threads.len()).map(run).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for end in ends {
            if let Err(why) = end
                && !why.is::<Killed>()
            {
                resume_unwind(why);
            }
        }
        orders += 1;
        let mut state = order.state.lock().unwrap();
        check(&shared, &state.killed).map_err(|why| {
            let turns = state.choices.iter().enumerate().filter(|(_, choice)| choice.0 > 0);
            let turns: Vec<String> = turns.map(|(at, choice)| format!("{at}:{}", choice.0)).collect();
            format!("order {orders} (decisions other than to go on: {}): {why}", turns.join(" "))
        })?;
        choices = std::mem::take(&mut state.choices);
        drop(state);
        // The next: the last decision that has something left to try.
        while let Some((chosen, of)) = choices.pop() {
            if chosen + 1 < of {
                choices.push((chosen + 1, of));
                break;
            }
        }
        if choices.is_empty() {
            return Ok(orders);
        }
    }
}
