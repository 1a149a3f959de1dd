//! What is said where the oldest records are gone: nothing that they would speak against.

use super::*;
use crate::layout::header;

/// A session whose supervisor had no more room for what stood before `position`.
fn without(image: &mut Image, position: u64) {
    image.words[header::KEPT_FROM] = position;
}

fn kinds(image: &Image) -> Vec<(&'static str, String)> {
    let found = found_by(image, &mut Tables::new(), None);
    found.into_iter().map(|draft| (draft.kind.name(), draft.message)).collect()
}

#[test]
fn who_removed_it_may_have_been_overwritten() {
    // It was removed before its maker had entered it into the registry, so that it stays there.
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    let order = image.add(got(3));
    image.register(Event { order, ticks: BEGAN + 1000, ..got(3) });
    image.add(removed(3));
    image.add(got(4));
    image.add(removed(4));
    assert_eq!(kinds(&image), []);
    let position = image.add(removed(5)) / 2;
    without(&mut image, position);
    assert_eq!(kinds(&image), []);
}

#[test]
fn what_was_made_later_has_vanished_all_the_same() {
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.add(got(4));
    let position = image.add(removed(4)) / 2;
    image.add(Event { ticks: BEGAN + 1_000_000_000, ..got(3) });
    without(&mut image, position);
    let found = kinds(&image);
    assert!(found.len() == 1 && found[0].0 == "vanished", "{found:?}");
}

#[test]
fn who_made_it_may_have_been_overwritten() {
    let met = Event { flags: 0, args: &[0x11, 4225, 0o1600 & !0o2000], ..got(3) };
    let refused = Event { ret: -1, errno: 22, args: &[0x11, 9000, 0o600], object: ObjectId::NONE, ..got(3) };
    let mut image = Image::new();
    image.process(100, None, END_EXIT);
    image.add(got(3));
    let position = image.add(met) / 2;
    image.add(Event { flags: 0, ..refused });
    image.add(removed(3));
    without(&mut image, position);
    for (kind, message) in kinds(&image) {
        assert!(kind != "no-exclusive-create" && !message.contains("outside of this audit"), "{kind}: {message}");
    }
}
