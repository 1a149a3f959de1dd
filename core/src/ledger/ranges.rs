//! Which addresses hold what: pieces of mappings, cut and moved as munmap(2), mmap(2), mremap(2) and shmdt(2) do it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::page::Page;

/// A piece of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<T> {
    /// Address after its last.
    pub end: u64,
    /// Where the whole mapping begins, or would begin if no other piece of it had been cut off or left behind.
    pub base: u64,
    /// Bytes from the base within which all pieces of the mapping lie.
    pub extent: u64,
    /// What it is a piece of.
    pub of: T,
}

/// The pieces of an address space that are known, by their first addresses; they do not overlap.
#[derive(Clone, Debug)]
pub struct Ranges<T> {
    pieces: BTreeMap<u64, Piece<T>>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Ranges { pieces: BTreeMap::new() }
    }
}

impl<T: Clone> Ranges<T> {
    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// All pieces by their first addresses.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Piece<T>)> {
        self.pieces.iter().map(|(&start, piece)| (start, piece))
    }

    /// The piece that holds `address`.
    pub fn at(&self, address: u64) -> Option<(u64, &Piece<T>)> {
        let (&start, piece) = self.pieces.range(..=address).next_back()?;
        if address < piece.end { Some((start, piece)) } else { None }
    }

    /// Takes out what lies in `start..end`, cutting pieces at both borders.
    pub fn clear(&mut self, start: u64, end: u64) -> Vec<(u64, Piece<T>)> {
        let mut taken = Vec::new();
        if start >= end {
            return taken;
        }
        if let Some((_, piece)) = self.pieces.range_mut(..start).next_back()
            && piece.end > start
        {
            let rest = piece.clone();
            piece.end = start;
            self.pieces.insert(start, rest);
        }
        while let Some((&at, piece)) = self.pieces.range(start..end).next() {
            let last = piece.end;
            let Some(mut piece) = self.pieces.remove(&at) else { break };
            if last > end {
                self.pieces.insert(end, piece.clone());
                piece.end = end;
            }
            taken.push((at, piece));
        }
        taken
    }

    /// Maps `of` at `start..end`. Returns what was there.
    pub fn insert(&mut self, start: u64, end: u64, of: T) -> Vec<(u64, Piece<T>)> {
        let replaced = self.clear(start, end);
        if start < end {
            self.pieces.insert(start, Piece { end, base: start, extent: end - start, of });
        }
        replaced
    }

    /// What mremap(2) does. An old size of 0 copies; `keep` leaves the old pages (`MREMAP_DONTUNMAP`). Returns what was
    /// cut off or replaced, not what moved.
    pub fn remap(
        &mut self,
        page: Page,
        (old, old_size): (u64, u64),
        (new, new_size): (u64, u64),
        keep: bool,
    ) -> Vec<(u64, Piece<T>)> {
        let old_end = page.end_of(old, old_size);
        let new_end = page.end_of(new, new_size);
        if old_size == 0 {
            let copied = self.at(old).map(|(_, piece)| piece.clone());
            let gone = self.clear(new, new_end);
            if let Some(piece) = copied.filter(|_| new < new_end) {
                let base = piece.base.wrapping_add(new.wrapping_sub(old));
                let extent = new_end.wrapping_sub(base).max(piece.extent);
                self.pieces.insert(new, Piece { end: new_end, base, extent, of: piece.of });
            }
            return gone;
        }
        let moving = if keep { self.copies(old, old_end) } else { self.clear(old, old_end) };
        let mut gone = self.clear(new, new_end);
        let shift = new.wrapping_sub(old);
        let mut last: Option<u64> = None;
        for (start, piece) in moving {
            let (from, to) = (start.wrapping_add(shift), piece.end.wrapping_add(shift));
            let base = piece.base.wrapping_add(shift);
            if from >= new_end || to <= from {
                gone.push((start, piece));
                continue;
            }
            self.pieces.insert(from, Piece { end: to.min(new_end), base, ..piece });
            last = Some(from);
        }
        // Only a single mapping can grow, so what grows is the last piece.
        if new_size > old_size
            && let Some(piece) = last.and_then(|at| self.pieces.get_mut(&at))
            && piece.end == old_end.wrapping_add(shift)
        {
            piece.end = new_end.max(piece.end);
            piece.extent = piece.extent.max(piece.end.wrapping_sub(piece.base));
        }
        gone
    }

    fn copies(&self, start: u64, end: u64) -> Vec<(u64, Piece<T>)> {
        let first = self.at(start).map_or(start, |(first, _)| first);
        let cut = |(&at, piece): (&u64, &Piece<T>)| (at.max(start), Piece { end: piece.end.min(end), ..piece.clone() });
        if start >= end { Vec::new() } else { self.pieces.range(first..end).map(cut).collect() }
    }

    /// What shmdt(2) does: takes out the first piece whose mapping begins at `address`, and all others of that mapping.
    /// What lies between them stays.
    pub fn detach(&mut self, address: u64, same: impl Fn(Option<&T>, &T) -> bool) -> Vec<(u64, Piece<T>)> {
        let mut taken: Vec<(u64, Piece<T>)> = Vec::new();
        let (mut from, mut limit, mut others) = (address, u64::MAX, 0);
        while others < MOST_OTHERS {
            let Some((&at, piece)) = self.pieces.range(from..limit).next() else { break };
            from = piece.end;
            if piece.base == address && same(taken.first().map(|(_, first)| &first.of), &piece.of) {
                limit = address.saturating_add(piece.extent).max(from);
                if let Some(piece) = self.pieces.remove(&at) {
                    taken.push((at, piece));
                }
            } else {
                others += 1;
            }
            if from >= limit {
                break;
            }
        }
        taken
    }
}

/// Pieces of other mappings that are looked at in the holes of one: an end for a walk that finds nothing.
const MOST_OTHERS: usize = 64;

#[cfg(test)]
#[path = "ranges_tests.rs"]
mod tests;
