//! Ranges against a naive model: a table of pages, each with the mapping and the page of it that it holds.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const PAGE: u64 = Page::SMALLEST.bytes();

fn end_of(start: u64, length: u64) -> u64 {
    Page::SMALLEST.end_of(start, length)
}

/// page → (mapping, address that the mapping's first page has or would have).
type Model = BTreeMap<u64, (u32, u64)>;

fn pages(ranges: &Ranges<u32>) -> Model {
    let mut model = Model::new();
    for (start, piece) in ranges.iter() {
        assert!(start < piece.end, "an empty piece");
        for page in start / PAGE..piece.end / PAGE {
            assert!(model.insert(page, (piece.of, piece.base)).is_none(), "pieces overlap");
        }
    }
    model
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Map(u64, u64),
    Unmap(u64, u64),
    Move(u64, u64, u64, u64, bool),
    Detach(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let (at, size) = (0..24u64, 1..7u64);
    prop_oneof![
        3 => (at.clone(), size.clone()).prop_map(|(at, size)| Op::Map(at, size)),
        2 => (at.clone(), size.clone()).prop_map(|(at, size)| Op::Unmap(at, size)),
        1 => (at.clone(), 0..4u64, 32..48u64, size, any::<bool>()).prop_map(|(a, b, c, d, e)| Op::Move(a, b, c, d, e)),
        2 => (0..48u64).prop_map(Op::Detach),
    ]
}

/// The same on single pages. Growth is left to a test of its own: which page grows is a matter of pieces.
fn on_pages(model: &mut Model, number: u32, op: Op) {
    match op {
        Op::Map(at, size) => {
            for page in at..at + size {
                model.insert(page, (number, at * PAGE));
            }
        }
        Op::Unmap(at, size) => model.retain(|&page, _| page < at || page >= at + size),
        Op::Move(old, 0, new, size, _) => {
            let copied = model.get(&old).copied();
            for page in new..new + size {
                model.remove(&page);
                if let Some((of, base)) = copied {
                    model.insert(page, (of, base.wrapping_add((new - old) * PAGE)));
                }
            }
        }
        Op::Move(old, size, new, new_size, keep) => {
            let moving: Vec<_> = model.range(old..old + size).map(|(&page, &of)| (page, of)).collect();
            if !keep {
                model.retain(|&page, _| page < old || page >= old + size);
            }
            model.retain(|&page, _| page < new || page >= new + new_size);
            for (page, (of, base)) in moving {
                if page - old < new_size {
                    model.insert(page - old + new, (of, base.wrapping_add((new - old) * PAGE)));
                }
            }
        }
        Op::Detach(at) => {
            let first = model.range(at..).find(|(_, (_, base))| *base == at * PAGE).map(|(_, &(of, _))| of);
            if let Some(first) = first {
                model.retain(|_, &mut (of, base)| of != first || base != at * PAGE);
            }
        }
    }
}

fn on_ranges(ranges: &mut Ranges<u32>, number: u32, op: Op) {
    match op {
        Op::Map(at, size) => drop(ranges.insert(at * PAGE, (at + size) * PAGE, number)),
        Op::Unmap(at, size) => drop(ranges.clear(at * PAGE, (at + size) * PAGE)),
        Op::Move(old, size, new, new_size, keep) => {
            drop(ranges.remap(Page::SMALLEST, (old * PAGE, size * PAGE), (new * PAGE, new_size * PAGE), keep));
        }
        Op::Detach(at) => drop(ranges.detach(at * PAGE, |first, this| first.is_none_or(|first| first == this))),
    }
}

proptest! {
    #[test]
    fn pieces_agree_with_pages(ops in prop::collection::vec(op(), 0..40)) {
        let (mut ranges, mut model) = (Ranges::default(), Model::new());
        for (number, mut op) in ops.into_iter().enumerate() {
            if let Op::Move(_, size @ 1.., _, new_size, _) = &mut op {
                *new_size = (*new_size).min(*size);
            }
            on_ranges(&mut ranges, number as u32, op);
            on_pages(&mut model, number as u32, op);
            prop_assert_eq!(&pages(&ranges), &model, "after {:?}", op);
        }
    }

    #[test]
    fn any_numbers_are_survived(ops in prop::collection::vec(any::<(u8, u64, u64, u64, u64)>(), 0..60)) {
        let mut ranges = Ranges::default();
        for (what, a, b, c, d) in ops {
            match what % 4 {
                0 => drop(ranges.insert(a, end_of(a, b), what)),
                1 => drop(ranges.clear(a, end_of(a, b))),
                2 => drop(ranges.remap(Page::SMALLEST, (a, b), (c, d), what & 4 != 0)),
                _ => drop(ranges.detach(a, |_, _| true)),
            }
        }
    }
}

#[test]
fn a_hole_is_no_second_mapping() {
    let mut ranges = Ranges::default();
    ranges.insert(0x1000, 0x4000, 'a');
    assert_eq!(ranges.clear(0x2000, 0x3000).len(), 1);
    assert_eq!(ranges.len(), 2);
    assert!(ranges.at(0x2000).is_none());
    // Something else in the hole stays, and the later piece is no attachment of its own.
    ranges.insert(0x2000, 0x3000, 'b');
    assert!(ranges.detach(0x3000, |_, _| true).is_empty());
    assert_eq!(ranges.detach(0x1000, |first, this| first.is_none_or(|first| first == this)).len(), 2);
    assert_eq!(ranges.iter().map(|(start, piece)| (start, piece.of)).collect::<Vec<_>>(), [(0x2000, 'b')]);
}

#[test]
fn the_first_page_need_not_be_there() {
    let mut ranges = Ranges::default();
    ranges.insert(0x1000, 0x4000, 'a');
    ranges.clear(0x1000, 0x2000);
    assert_eq!(ranges.detach(0x1000, |_, _| true).len(), 1);
    assert!(ranges.is_empty());
}

#[test]
fn remap_grows_moves_and_copies() {
    let mut ranges = Ranges::default();
    ranges.insert(0x1000, 0x2000, 'a');
    let page = Page::SMALLEST;
    assert!(ranges.remap(page, (0x1000, 0x1000), (0x1000, 0x3000), false).is_empty());
    assert_eq!(ranges.at(0x3fff).unwrap().0, 0x1000);
    assert!(ranges.remap(page, (0x1000, 0x3000), (0x9000, 0x3000), false).is_empty());
    assert!(ranges.at(0x1000).is_none());
    assert!(ranges.remap(page, (0x9000, 0), (0x20000, 0x1000), false).is_empty());
    assert_eq!(ranges.len(), 2);
    assert!(ranges.remap(page, (0x9000, 0x3000), (0x9000, 0x1000), false).is_empty());
    assert!(ranges.at(0xa000).is_none());
    assert_eq!(ranges.detach(0x9000, |_, _| true).len(), 1);
    assert_eq!(ranges.detach(0x20000, |_, _| true).len(), 1);
}
