//! Counts at moments, by place.

use std::collections::BTreeMap;
use std::string::String;

use super::*;
use crate::calls::Call;
use crate::layout::process::{END_EXIT, END_UNKNOWN, ENDED};
use crate::record::{Event, FLAG_CREATED, ObjectId};
use crate::testing::{BEGAN, Image, Invented, Tables, event};

const SECOND: u64 = 1_000_000_000;

fn at(second: u64, event: Event<'static>) -> Event<'static> {
    Event { ticks: BEGAN + second * SECOND, ..event }
}

fn attach(address: i64) -> Event<'static> {
    Event { ret: address, object: ObjectId::sysv(3), frames: &[0x31], ..event(Call::Shmat) }
}

fn got(shmid: i32) -> Event<'static> {
    let object = ObjectId::sysv(shmid);
    let flags = FLAG_CREATED;
    Event { flags, ret: i64::from(shmid), args: &[0x11, 100, 0o1600], object, frames: &[0x22], ..event(Call::Shmget) }
}

fn counted(image: &Image, kernel: &mut Tables) -> (Growth, BTreeMap<&'static str, Vec<u64>>) {
    let growth = growth(&image.sources(), kernel, &mut Invented, 4);
    let counts = growth.sites.iter().map(|site| (site.what, site.counts.clone())).collect();
    (growth, counts)
}

#[test]
fn an_attacher_that_never_lets_go() {
    let (mut image, mut kernel) = (Image::new(), Tables::new());
    image.process(100, None, END_UNKNOWN);
    kernel.alive.insert(100);
    image.add(at(0, got(3)));
    for second in 1..8u64 {
        image.add(at(second, attach(0x10000 * second as i64)));
    }
    image.add(at(8, Event { args: &[0x10000], ..event(Call::Shmdt) }));
    let (growth, counts) = counted(&image, &mut kernel);
    assert_eq!(counts["attachment"], [2, 4, 6, 6], "seven, and one that was detached");
    assert_eq!(counts["segment"], [1, 1, 1, 1]);
    assert_eq!((growth.sites[0].what, growth.sites[0].grown(), growth.sites[0].held()), ("attachment", 4, 6 * 4096));
    assert_eq!(growth.times.last().unwrap().0, BEGAN + 8 * SECOND);
    let text = crate::text::growth(&growth);
    let expected = "shmaudit: growth: what was held at 4 moments, 2024-05-06T07:08:11Z to \
                    2024-05-06T07:08:17Z, and from where:\n    \
                    attachment 2 4 6 6  +4, 24576 bytes, by shmat: main prog.c:49 (prog+0x31)\n\
                    SUMMARY: shmaudit: growth at 1 place; none at 1 place\n";
    assert_eq!(text, expected);
    // It died without a word, after five of the eight seconds that another saw.
    kernel.alive.clear();
    image.process(101, None, END_EXIT);
    image.set(1, ENDED, BEGAN + 20 * SECOND);
    image.add(Event { process: 1, pid: 101, ..at(16, event(Call::Exit)) });
    assert_eq!(counted(&image, &mut kernel).1["attachment"], [4, 6, 0, 0]);
}

#[test]
fn one_place_by_many_lines_of_its_callers() {
    let (mut image, mut kernel) = (Image::new(), Tables::new());
    image.process(100, None, END_UNKNOWN);
    kernel.alive.insert(100);
    // f20:1 of f60 at three lines, f20:2, and f20:1 of f40.
    for (second, frames) in
        [&[0x2001, 0x6001][..], &[0x2001, 0x6002], &[0x2001, 0x6003], &[0x2002, 0x6001], &[0x2001, 0x4001]]
            .into_iter()
            .enumerate()
    {
        image.add(at(second as u64, Event { frames, ..attach(0x10000 * (second as i64 + 1)) }));
    }
    let held = |growth: &Growth| growth.sites.iter().map(|site| site.counts[3]).collect::<Vec<u64>>();
    let (growth, _) = counted(&image, &mut kernel);
    assert_eq!(growth.sites.len(), 3, "{growth:?}");
    assert_eq!(held(&growth).iter().max(), Some(&3), "{growth:?}");
}

#[test]
fn objects_until_they_are_removed() {
    let (mut image, mut kernel) = (Image::new(), Tables::new());
    image.process(100, None, END_EXIT);
    image.set(0, ENDED, BEGAN + 20 * SECOND);
    let remove = |shmid: i32| Event { args: &[3, 0, 0], object: ObjectId::sysv(shmid), ..event(Call::Shmctl) };
    for shmid in 0..4 {
        image.add(at(shmid as u64 + 1, got(shmid)));
    }
    image.add(at(5, remove(0)));
    image.add(at(7, remove(1)));
    image.add(at(8, event(Call::Exit)));
    let (growth, counts) = counted(&image, &mut kernel);
    assert_eq!(
        (counts["segment"].as_slice(), growth.sites[0].bytes.as_slice()),
        (&[2, 4, 3, 2][..], &[200, 400, 300, 200][..])
    );
    let json: String = serde_json::to_string(&growth).unwrap();
    assert!(json.starts_with("{\"schema\":\"shmaudit-growth/1\",\"times\":[\"2024-05-06T07:08:11."), "{json}");
    assert!(crate::text::growth(&growth).starts_with("SUMMARY: shmaudit: growth at 0 places; none at 1 place"));
}

#[test]
fn an_empty_recorder() {
    let (growth, counts) = counted(&Image::new(), &mut Tables::new());
    assert!(counts.is_empty() && growth.times.len() == 4);
}
