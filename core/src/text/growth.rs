//! Growth for people: a row a place, a column a moment; what does not grow is only counted.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{line, place};
use crate::findings::say;
use crate::report::{Growth, Site, Time};
use crate::words;

/// Places that get a row.
const MOST: usize = 20;

/// What grew, as text.
pub fn growth(growth: &Growth) -> String {
    let mut out = String::new();
    // To the second.
    let clock = |time: Option<&Time>| {
        let text = say::written(40, |line| words::rfc3339(line, time.map_or(0, |time| time.0)));
        format!("{}Z", text.get(..19).unwrap_or(&text))
    };
    let (first, last) = (clock(growth.times.first()), clock(growth.times.last()));
    let grown: Vec<&Site> = growth.sites.iter().filter(|site| site.grown() > 0).collect();
    let still = growth.sites.len().saturating_sub(grown.len());
    if !grown.is_empty() {
        let moments = growth.times.len();
        line(
            &mut out,
            &format!("shmaudit: growth: what was held at {moments} moments, {first} to {last}, and from where:"),
        );
    }
    let shown = grown.get(..grown.len().min(MOST)).unwrap_or(&grown);
    let width = shown.iter().flat_map(|site| &site.counts).map(|count| count.to_string().len()).max().unwrap_or(1);
    for site in shown {
        let counts: Vec<String> = site.counts.iter().map(|count| format!("{count:>width$}")).collect();
        let from = place(&site.stack).map_or_else(String::new, |place| format!(" {place}"));
        let call = format!("{}:{from}", site.call);
        let grown = format!("+{}, {}", site.grown(), say::size(site.held()));
        line(&mut out, &format!("    {:<10} {}  {grown}, by {call}", site.what, counts.join(" ")));
    }
    if grown.len() > MOST {
        line(&mut out, &format!("    and {} more.", say::number((grown.len() - MOST) as u64, "place")));
    }
    let places = |count: usize| say::number(count as u64, "place");
    line(&mut out, &format!("SUMMARY: shmaudit: growth at {}; none at {}", places(grown.len()), places(still)));
    out
}
