//! What the entries of a unit say: addresses, names, and the calls that were inlined at an address.

use super::dwarf::{Dwarf, Opened, Unit, View};
use super::fuel::Metered;
use super::name;
use super::table::Row;
use alloc::vec::Vec;
use gimli::{AttributeValue, DebugInfoOffset, EntriesRaw, UnitOffset};

type Value<'a> = AttributeValue<Metered<'a>>;

/// Steps from an entry to the one that has its name.
const MOST_HOPS: usize = 16;
/// Calls inlined into each other.
const MOST_INLINED: usize = 256;

/// The address attributes of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    low: Option<Address>,
    high: Option<Address>,
    size: Option<u64>,
    ranges: Option<Ranges>,
}

#[derive(Clone, Copy, Debug)]
enum Address {
    Is(u64),
    Index(gimli::DebugAddrIndex<usize>),
}

#[derive(Clone, Copy, Debug)]
enum Ranges {
    At(gimli::RawRangeListsOffset<usize>),
    Index(gimli::DebugRngListsIndex<usize>),
}

impl Address {
    fn of(value: &Value) -> Option<Address> {
        match *value {
            AttributeValue::Addr(address) => Some(Address::Is(address)),
            AttributeValue::DebugAddrIndex(index) => Some(Address::Index(index)),
            _ => None,
        }
    }

    fn get<'a>(self, dwarf: &Dwarf<'a>, unit: &Unit<'a>) -> Option<u64> {
        match self {
            Address::Is(address) => Some(address),
            Address::Index(index) => dwarf.address(unit, index).ok(),
        }
    }
}

impl Span {
    /// Takes an attribute into account, if it is one of addresses.
    #[inline]
    pub fn note(&mut self, attribute: gimli::DwAt, value: &Value) {
        match attribute {
            gimli::DW_AT_low_pc => self.low = Address::of(value),
            gimli::DW_AT_high_pc => match *value {
                AttributeValue::Udata(size) => self.size = Some(size),
                _ => self.high = Address::of(value),
            },
            gimli::DW_AT_ranges => match *value {
                AttributeValue::RangeListsRef(offset) => self.ranges = Some(Ranges::At(offset)),
                AttributeValue::DebugRngListsIndex(index) => self.ranges = Some(Ranges::Index(index)),
                _ => {}
            },
            _ => {}
        }
    }

    /// `DW_AT_low_pc`.
    pub fn low<'a>(&self, dwarf: &Dwarf<'a>, unit: &Unit<'a>) -> Option<u64> {
        self.low?.get(dwarf, unit)
    }

    /// Calls `each` with the ranges until it says that it has enough.
    pub fn each<'a>(&self, view: &View<'_, 'a>, unit: &Unit<'a>, mut each: impl FnMut(u64, u64) -> bool) {
        let Some(dwarf) = view.dwarfs[0] else { return };
        if let Some(ranges) = self.ranges {
            let offset = match ranges {
                Ranges::At(offset) => Ok(dwarf.ranges_offset_from_raw(unit, offset)),
                Ranges::Index(index) => dwarf.ranges_offset(unit, index),
            };
            let Ok(mut list) = offset.and_then(|offset| dwarf.ranges(unit, offset)) else { return };
            while let Ok(Some(range)) = list.next() {
                if range.begin < range.end && !each(range.begin, range.end) {
                    return;
                }
            }
        } else if let Some(begin) = self.low(dwarf, unit) {
            let end = match self.high {
                Some(high) => high.get(dwarf, unit),
                None => self.size.and_then(|size| begin.checked_add(size)),
            };
            if let Some(end) = end.filter(|&end| begin < end) {
                each(begin, end);
            }
        }
    }
}

/// Calls `each` with the attributes of the entry that `entries` is at.
pub(super) fn attributes<'a>(
    view: &View<'_, 'a>,
    entries: &mut EntriesRaw<'_, Metered<'a>>,
    abbreviation: &gimli::Abbreviation,
    mut each: impl FnMut(gimli::DwAt, Value<'a>),
) -> gimli::Result<()> {
    // Some attributes take no byte of the entry, so that reading alone would not count them.
    view.fuel.take(abbreviation.attributes().len() as u64);
    for &attribute in abbreviation.attributes() {
        let attribute = entries.read_attribute(attribute)?;
        each(attribute.name(), attribute.value());
    }
    Ok(())
}

/// Passes the entry that `entries` is at.
pub(super) fn skip<'a>(
    view: &View<'_, 'a>,
    entries: &mut EntriesRaw<'_, Metered<'a>>,
    abbreviation: &gimli::Abbreviation,
) -> gimli::Result<()> {
    view.fuel.take(abbreviation.attributes().len() as u64);
    entries.skip_attributes(abbreviation.attributes())
}

/// A function's name as it is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub raw: &'a [u8],
    /// Whether it is the linker's.
    pub linkage: bool,
    /// The source file that was compiled, where others do not know the function (`static`).
    pub unit: Option<&'a [u8]>,
}

/// A function at an address: the one that is there, or one that was inlined.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub name: Option<Name<'a>>,
    pub start: u64,
    /// From where it is called, for an inlined one.
    pub from: Option<Row>,
}

/// The function at `entry` and the calls inlined into it at `address`, from the outside in.
pub(super) fn calls<'a>(
    view: &View<'_, 'a>,
    units: &[Vec<usize>; 2],
    opened: &Opened<'a>,
    entry: usize,
    start: u64,
    address: u64,
) -> Vec<Call<'a>> {
    let mut found = Vec::new();
    let name = entry_name(view, units, opened, UnitOffset(entry));
    found.push(Call { name, start, from: None });
    let _ = inlined(view, &opened.unit, entry, address, |offset, from| {
        let name = entry_name(view, units, opened, offset);
        found.push(Call { name, start: 0, from: Some(from) });
        found.len() <= MOST_INLINED
    });
    found
}

fn inlined<'a>(
    view: &View<'_, 'a>,
    unit: &Unit<'a>,
    entry: usize,
    address: u64,
    mut each: impl FnMut(UnitOffset, Row) -> bool,
) -> gimli::Result<()> {
    let mut entries = unit.entries_raw(Some(UnitOffset(entry)))?;
    // The subtree that the address is in, and one whose addresses are elsewhere.
    let mut inside = entries.next_depth();
    let mut outside = None;
    let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(()) };
    skip(view, &mut entries, abbreviation)?;
    loop {
        let depth = entries.next_depth();
        if depth <= inside || entries.is_empty() {
            return Ok(());
        }
        let offset = entries.next_offset();
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        outside = outside.filter(|&limit| depth > limit);
        if outside.is_some() || abbreviation.tag() != gimli::DW_TAG_inlined_subroutine {
            skip(view, &mut entries, abbreviation)?;
            if outside.is_none() && abbreviation.tag() == gimli::DW_TAG_subprogram {
                outside = Some(depth);
            }
            continue;
        }
        let mut span = Span::default();
        let mut from = Row { file: u64::MAX, line: 0, column: 0 };
        let old = unit.header.version() < 5;
        attributes(view, &mut entries, abbreviation, |attribute, value| match attribute {
            gimli::DW_AT_call_file => match value {
                // Up to DWARF 4 the number 0 is for no file.
                AttributeValue::FileIndex(file) if file > 0 || !old => from.file = file,
                _ => {}
            },
            gimli::DW_AT_call_line => from.line = small(&value),
            gimli::DW_AT_call_column => from.column = small(&value),
            attribute => span.note(attribute, &value),
        })?;
        let mut holds = false;
        span.each(view, unit, |begin, end| {
            holds = (begin..end).contains(&address);
            !holds
        });
        if !holds {
            outside = Some(depth);
        } else if each(offset, from) {
            inside = depth;
        } else {
            return Ok(());
        }
    }
}

fn small(value: &Value) -> u32 {
    value.udata_value().and_then(|value| value.try_into().ok()).unwrap_or(0)
}

/// The name of a function's entry, or of the one that it is made from. Any of them may say that other files know it too.
fn entry_name<'a>(
    view: &View<'_, 'a>,
    units: &[Vec<usize>; 2],
    opened: &Opened<'a>,
    entry: UnitOffset,
) -> Option<Name<'a>> {
    let mut entry = entry;
    let mut other: Option<Opened<'a>> = None;
    let (mut found, mut unit) = (None, opened.unit.name);
    for _ in 0..MOST_HOPS {
        let opened = other.as_ref().unwrap_or(opened);
        unit = opened.unit.name.or(unit);
        let Some(said) = Said::by(view, opened, entry) else { break };
        found = found.or(said.name);
        if said.external {
            unit = None;
            if found.is_some() {
                break;
            }
        }
        let (which, at) = match said.next {
            Some(AttributeValue::UnitRef(offset)) => {
                entry = offset;
                continue;
            }
            Some(AttributeValue::DebugInfoRef(offset)) => (opened.which, offset.0),
            Some(AttributeValue::DebugInfoRefSup(offset)) => (1, offset.0),
            _ => break,
        };
        let Some((made, offset)) = open_at(view, units, which, at) else { break };
        entry = offset;
        other = Some(made);
    }
    let unit = unit.map(|unit| unit.slice());
    found.map(|(raw, linkage)| Name { raw, linkage, unit })
}

/// What one entry says of a function.
struct Said<'a> {
    name: Option<(&'a [u8], bool)>,
    external: bool,
    /// The entry that it is made from.
    next: Option<Value<'a>>,
}

impl<'a> Said<'a> {
    fn by(view: &View<'_, 'a>, opened: &Opened<'a>, entry: UnitOffset) -> Option<Said<'a>> {
        let dwarf = (*view.dwarfs.get(opened.which)?)?;
        let mut entries = opened.unit.entries_raw(Some(entry)).ok()?;
        let abbreviation = entries.read_abbreviation().ok()??;
        let (mut linkage, mut plain, mut external, mut next) = (None, None, false, None);
        attributes(view, &mut entries, abbreviation, |attribute, value| match attribute {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => linkage = Some(value),
            gimli::DW_AT_name => plain = Some(value),
            gimli::DW_AT_external => external = matches!(value, AttributeValue::Flag(true)),
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => next = Some(value),
            _ => {}
        })
        .ok()?;
        let string = |value| dwarf.attr_string(&opened.unit, value).ok().filter(|name| !name.slice().is_empty());
        let linkage = linkage.and_then(string).map(|name| (name.slice(), true));
        let name = linkage.or_else(|| plain.and_then(string).map(|name| (name.slice(), false)));
        Some(Said { name, external, next })
    }
}

/// The unit that an entry elsewhere is in, and where the entry is there.
fn open_at<'a>(
    view: &View<'_, 'a>,
    units: &[Vec<usize>; 2],
    which: usize,
    at: usize,
) -> Option<(Opened<'a>, UnitOffset)> {
    let starts = units.get(which)?;
    let unit = *starts.get(starts.partition_point(|&start| start <= at).checked_sub(1)?)?;
    let made = view.open(which, unit)?;
    let entry = DebugInfoOffset(at).to_unit_offset(&made.unit.header)?;
    Some((made, entry))
}

/// The file numbered `number` of a line table, as its directories and the unit's say.
pub(super) fn file<'a>(
    view: &View<'_, 'a>,
    opened: &Opened<'a>,
    lines: &gimli::LineProgramHeader<Metered<'a>>,
    number: u64,
) -> Option<Vec<u8>> {
    let dwarf = (*view.dwarfs.get(opened.which)?)?;
    let string = |value| dwarf.attr_string(&opened.unit, value).ok().map(|text| text.slice());
    let file = lines.file(number)?;
    let base = string(file.path_name()).filter(|name| !name.is_empty())?;
    let directory = file.directory(lines).and_then(string).unwrap_or(&[]);
    // In version 5 the directory 0 is the one of the unit, itself again.
    let whole = opened.unit.comp_dir.map_or(&[][..], |whole| whole.slice());
    let whole = if whole == directory { &[] } else { whole };
    Some(name::clean(&name::join(whole, &name::join(directory, base))))
}
