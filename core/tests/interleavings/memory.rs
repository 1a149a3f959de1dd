//! A memory that is as weak as the language's rules allow: a thread may still read what was stored before.
//!
//! Each word has all that was stored to it, in order. A thread reads the last of it or an older one, but none that is older
//! than what it has seen; what a release hands over, who acquires it has seen. What a thread stores is the last at once: that
//! a store waits for a later load of its own thread is not tried.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What has been seen of each word, by address: so many of its stores are behind.
type View = BTreeMap<usize, usize>;

fn join(view: &mut View, other: &View) {
    for (&word, &seen) in other {
        let place = view.entry(word).or_default();
        *place = seen.max(*place);
    }
}

struct Stored {
    value: u64,
    /// What it hands over.
    hands: View,
}

/// The words, and what each thread has seen.
pub struct Memory {
    words: BTreeMap<usize, Vec<Stored>>,
    seen: Vec<View>,
    /// What each thread's stores hand over since its last fence.
    fenced: Vec<View>,
}

fn acquires(order: Ordering) -> bool {
    matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
}

fn releases(order: Ordering) -> bool {
    matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
}

impl Memory {
    pub fn new(threads: usize) -> Memory {
        Memory { words: BTreeMap::new(), seen: vec![View::new(); threads], fenced: vec![View::new(); threads] }
    }

    fn word(&mut self, word: usize, was: u64) -> &mut Vec<Stored> {
        self.words.entry(word).or_insert_with(|| vec![Stored { value: was, hands: View::new() }])
    }

    /// How many values a load of `word`, whose last is `last`, may give.
    pub fn values(&mut self, me: usize, word: usize, last: u64) -> usize {
        let seen = self.seen[me].get(&word).copied().unwrap_or(0);
        self.word(word, last).len() - seen
    }

    /// Loads the one that `older` later ones follow.
    pub fn load(&mut self, me: usize, word: usize, older: usize, order: Ordering) -> u64 {
        let stores = &self.words[&word];
        let at = stores.len() - 1 - older;
        self.seen[me].insert(word, at);
        if acquires(order) {
            join(&mut self.seen[me], &stores[at].hands);
        }
        stores[at].value
    }

    /// A fence that releases: what is stored after it hands over what was seen before it.
    pub fn fence(&mut self, me: usize) {
        self.fenced[me].clone_from(&self.seen[me]);
    }

    /// Stores `value` where `was` is the last. `updates`: in one step with a load of that, whose release goes on in it.
    pub fn store(&mut self, me: usize, word: usize, (was, value): (u64, u64), order: Ordering, updates: bool) {
        let at = self.word(word, was).len();
        let mut hands = self.fenced[me].clone();
        if updates {
            let last = &self.words[&word][at - 1].hands;
            join(&mut hands, last);
            if acquires(order) {
                join(&mut self.seen[me], last);
            }
        }
        self.seen[me].insert(word, at);
        if releases(order) {
            join(&mut hands, &self.seen[me]);
        }
        self.word(word, was).push(Stored { value, hands });
    }
}
