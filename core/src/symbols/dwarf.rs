//! The debug information of one file: which unit an address is in, and the units that have been asked for.
//!
//! addr2line, the crate, would do this too; but it reads nested inlined calls by recursion, repeats a shared range list
//! for every entry that names it and writes out every file name of a unit, so that a damaged or hostile file can take all
//! of the stack or the memory of the program under audit. Here every walk is a loop, reads take from a [`Fuel`], tables
//! have a limit, and a damaged unit costs its own names only.

use super::fuel::{Fuel, Metered};
use super::table::{Row, Table};
use super::unit;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::Range;
use gimli::{
    AttributeValue, DebugInfoOffset, DebugLineOffset, DwarfSections, RunTimeEndian, SectionId, UnitHeader, UnitType,
};

/// gimli's view of a file's sections.
pub(super) type Dwarf<'a> = gimli::Dwarf<Metered<'a>>;
/// gimli's view of a unit.
pub(super) type Unit<'a> = gimli::Unit<Metered<'a>>;

/// Bytes read for one address: so many, and so many times the size of the debug information, if that is not out of all
/// measure (a file with holes has any size).
const FUEL: u64 = 16 << 20;
const FUEL_PER_BYTE: u64 = 4;
const MOST_FUEL: u64 = 256 << 20;
/// Bytes read of one file altogether, in units of the above.
const FUEL_TIMES: u64 = 16;
/// Bytes read of one table of abbreviations, one header of a line table: each byte may become a hundred in memory.
const HEADER_FUEL: u64 = 4 << 20;
/// Address ranges and line rows kept of one file, if it is large; else one for each byte that tells of them.
const MOST_ENTRIES: usize = 8 << 20;
/// Units that are asked for one address; their ranges seldom overlap.
const MOST_UNITS: usize = 8;

/// A section: nothing, bytes of the file, or what was decompressed.
#[derive(Debug, Default)]
pub(super) enum Part {
    /// Not there, or not needed.
    #[default]
    None,
    /// Of the file.
    In(Range<usize>),
    /// Decompressed.
    Made(Vec<u8>),
}

/// The sections of a file.
#[derive(Debug)]
pub(super) struct Sections {
    parts: DwarfSections<Part>,
    /// Bytes of them, but for strings.
    size: usize,
}

impl Sections {
    /// Takes the sections as `load` gives them, by name.
    pub fn load(mut load: impl FnMut(&str) -> Part) -> Sections {
        let mut size = 0;
        let parts = DwarfSections::load(|id: SectionId| -> Result<Part, Infallible> {
            let part = load(id.name());
            let length = match &part {
                Part::None => 0,
                Part::In(range) => range.len(),
                Part::Made(bytes) => bytes.len(),
            };
            if !matches!(id, SectionId::DebugStr | SectionId::DebugLineStr) {
                size = length.saturating_add(size);
            }
            Ok(part)
        });
        match parts {
            Ok(parts) => Sections { parts, size },
        }
    }
}

/// A file's sections, with the file they are of.
pub(super) struct Source<'a> {
    /// The sections.
    pub sections: &'a Sections,
    /// The whole file.
    pub bytes: &'a [u8],
    /// Its byte order.
    pub endian: RunTimeEndian,
}

impl<'a> Source<'a> {
    fn dwarf(&self, fuel: &'a Fuel) -> Dwarf<'a> {
        self.sections.parts.borrow(|part| {
            let bytes = match part {
                Part::None => &[][..],
                Part::In(range) => self.bytes.get(range.clone()).unwrap_or(&[]),
                Part::Made(bytes) => bytes,
            };
            Metered::new(bytes, self.endian, fuel)
        })
    }
}

/// One frame, as the debug information tells of it.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub function: Option<unit::Name<'a>>,
    /// First address of the function; 0 for an inlined one.
    pub start: u64,
    pub file: Option<Vec<u8>>,
    pub line: u32,
    pub column: u32,
}

/// An address range of a unit.
#[derive(Clone, Copy, Debug)]
struct UnitRange {
    range: (u64, u64),
    /// The greatest end of the ranges up to this one.
    reach: u64,
    unit: usize,
}

/// What has been read of a file's debug information; it names places in the file and holds none of its bytes.
#[derive(Debug, Default)]
pub(super) struct Index {
    read: bool,
    /// The file described more work than it may: it is not asked again.
    exhausted: bool,
    ranges: Vec<UnitRange>,
    /// Where the units start, of the file and of the one it shares with others (dwz).
    units: [Vec<usize>; 2],
    tables: BTreeMap<usize, Table>,
    /// Entries that may still be kept.
    room: usize,
    spent: u64,
}

impl Index {
    /// What a look-up of one address may read.
    pub fn fuel(source: &Source, shared: Option<&Source>) -> Fuel {
        let size = source.sections.size.saturating_add(shared.map_or(0, |shared| shared.sections.size));
        Fuel::new(FUEL + (size as u64).saturating_mul(FUEL_PER_BYTE).min(MOST_FUEL))
    }

    /// The frames at `address`, innermost first; empty where the file does not know it.
    pub fn frames<'a>(
        &mut self,
        source: &Source<'a>,
        shared: Option<&Source<'a>>,
        code: &Range<u64>,
        address: u64,
        fuel: &'a Fuel,
    ) -> Vec<Found<'a>> {
        if self.exhausted {
            return Vec::new();
        }
        let lent = fuel.left();
        let mut dwarf = source.dwarf(fuel);
        if let Some(shared) = shared {
            dwarf.set_sup(shared.dwarf(fuel));
        }
        let view = View { dwarfs: [Some(&dwarf), dwarf.sup()], fuel };
        if !self.read {
            self.read = true;
            self.room = MOST_ENTRIES.min(source.sections.size);
            self.read_units(&view, code);
            self.units[1] = dwarf.sup().map_or(Vec::new(), unit_offsets);
        }
        let mut frames = Vec::new();
        for offset in self.units_at(address) {
            frames = self.frames_in(&view, offset, code, address);
            if !frames.is_empty() {
                break;
            }
        }
        self.spent = self.spent.saturating_add(lent - fuel.left());
        if fuel.left() == 0 || self.spent > lent.saturating_mul(FUEL_TIMES) {
            *self = Index { exhausted: true, ..Index::default() };
        }
        frames
    }

    fn frames_in<'a>(&mut self, view: &View<'_, 'a>, offset: usize, code: &Range<u64>, address: u64) -> Vec<Found<'a>> {
        let Some(opened) = view.open(0, offset) else { return Vec::new() };
        if !self.tables.contains_key(&offset) {
            let table = Table::read(view, &opened, code, self.room);
            self.room = self.room.saturating_sub(table.entries());
            self.tables.insert(offset, table);
        }
        let Some(table) = self.tables.get(&offset) else { return Vec::new() };
        let row = table.row(address);
        let calls = match table.function(address) {
            Some((start, entry)) => unit::calls(view, &self.units, &opened, entry, start, address),
            None => Vec::new(),
        };
        if calls.is_empty() && row.is_none() {
            return Vec::new();
        }
        let lines = opened.lines(view);
        let file = |number: u64| unit::file(view, &opened, lines.as_ref()?.header(), number);
        let place = |row: Option<Row>| row.map_or((None, 0, 0), |row| (file(row.file), row.line, row.column));
        let mut at = place(row);
        let mut frames = Vec::new();
        // From the outside in they were found, each knowing from where it is called.
        for call in calls.into_iter().rev() {
            let (file, line, column) = at;
            frames.push(Found { function: call.name, start: call.start, file, line, column });
            at = place(call.from);
        }
        if frames.is_empty() {
            let (file, line, column) = at;
            frames.push(Found { function: None, start: 0, file, line, column });
        }
        frames
    }

    fn read_units(&mut self, view: &View, code: &Range<u64>) {
        let Some(dwarf) = view.dwarfs[0] else { return };
        let mut headers = dwarf.units();
        let mut known = None;
        let mut ranges = Vec::new();
        while let Ok(Some(header)) = headers.next() {
            let Some(DebugInfoOffset(offset)) = header.debug_info_offset() else { continue };
            self.units[0].push(offset);
            if matches!(header.type_(), UnitType::Compilation | UnitType::Skeleton(_))
                && let Some(opened) = view.open_with(0, header, &mut known)
            {
                opened.span.each(view, &opened.unit, |begin, end| {
                    if !code.contains(&begin) {
                        return true;
                    }
                    match ranges.last_mut() {
                        Some(UnitRange { range, unit, .. }) if *unit == offset && range.1 == begin => range.1 = end,
                        _ => ranges.push(UnitRange { range: (begin, end), reach: 0, unit: offset }),
                    }
                    ranges.len() < self.room
                });
            }
        }
        ranges.sort_unstable_by_key(|range| (range.range, range.unit));
        let mut reach = 0;
        for range in &mut ranges {
            reach = range.range.1.max(reach);
            range.reach = reach;
        }
        ranges.shrink_to_fit();
        self.room = self.room.saturating_sub(ranges.len());
        self.ranges = ranges;
    }

    /// The units whose ranges hold `address`, that of the nearest start first.
    fn units_at(&self, address: u64) -> Vec<usize> {
        let mut found = Vec::new();
        let before = self.ranges.partition_point(|range| range.range.0 <= address);
        for range in self.ranges.get(..before).unwrap_or(&[]).iter().rev() {
            if range.reach <= address || found.len() == MOST_UNITS {
                break;
            }
            if address < range.range.1 && !found.contains(&range.unit) {
                found.push(range.unit);
            }
        }
        found
    }
}

fn unit_offsets(dwarf: &Dwarf) -> Vec<usize> {
    let mut found = Vec::new();
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        found.extend(header.debug_info_offset().map(|offset| offset.0));
    }
    found
}

/// The sections while one address is looked up: of the file, and of the one it shares with others.
#[derive(Clone, Copy)]
pub(super) struct View<'v, 'a> {
    pub dwarfs: [Option<&'v Dwarf<'a>>; 2],
    pub fuel: &'a Fuel,
}

type Abbreviations = Option<(usize, Arc<gimli::Abbreviations>)>;

impl<'a> View<'_, 'a> {
    /// The unit at `offset` of the file numbered `which`.
    pub fn open(&self, which: usize, offset: usize) -> Option<Opened<'a>> {
        let dwarf = (*self.dwarfs.get(which)?)?;
        let header = dwarf.debug_info.header_from_offset(DebugInfoOffset(offset)).ok()?;
        self.open_with(which, header, &mut None)
    }

    /// gimli's `Unit::new`, but for the line table (read where it is needed) and for what a damaged part costs.
    fn open_with(
        &self,
        which: usize,
        header: UnitHeader<Metered<'a>>,
        known: &mut Abbreviations,
    ) -> Option<Opened<'a>> {
        let dwarf = (*self.dwarfs.get(which)?)?;
        let at = header.debug_abbrev_offset().0;
        let abbreviations = match known {
            Some((offset, abbreviations)) if *offset == at => abbreviations.clone(),
            _ => {
                let read = self.fuel.within(HEADER_FUEL, || dwarf.abbreviations(&header)).ok()?;
                known.insert((at, read)).1.clone()
            }
        };
        let encoding = header.encoding();
        let kind = dwarf.file_type;
        let mut unit = gimli::Unit {
            abbreviations: abbreviations.clone(),
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(encoding, kind),
            addr_base: gimli::DebugAddrBase(0),
            loclists_base: gimli::DebugLocListsBase::default_for_encoding_and_file(encoding, kind),
            rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(encoding, kind),
            line_program: None,
            dwo_id: None,
            header,
        };
        let (mut lines, mut name, mut directory) = (None, None, None);
        let mut span = unit::Span::default();
        let mut entries = unit.header.entries_raw(&abbreviations, None).ok()?;
        let abbreviation = entries.read_abbreviation().ok()??;
        for &attribute in abbreviation.attributes() {
            let attribute = entries.read_attribute(attribute).ok()?;
            let value = attribute.value();
            span.note(attribute.name(), &value);
            match (attribute.name(), value) {
                (gimli::DW_AT_name, value) => name = Some(value),
                (gimli::DW_AT_comp_dir, value) => directory = Some(value),
                (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) => lines = Some(offset),
                (_, AttributeValue::DebugStrOffsetsBase(base)) => unit.str_offsets_base = base,
                (_, AttributeValue::DebugAddrBase(base)) => unit.addr_base = base,
                (_, AttributeValue::DebugRngListsBase(base)) => unit.rnglists_base = base,
                _ => {}
            }
        }
        unit.name = name.and_then(|value| dwarf.attr_string(&unit, value).ok());
        unit.comp_dir = directory.and_then(|value| dwarf.attr_string(&unit, value).ok());
        unit.low_pc = span.low(dwarf, &unit).unwrap_or(0);
        Some(Opened { unit, which, span, lines })
    }
}

/// A unit and what else its first entry says.
pub(super) struct Opened<'a> {
    pub unit: Unit<'a>,
    /// 0: of the file; 1: of the shared one.
    pub which: usize,
    span: unit::Span,
    lines: Option<DebugLineOffset>,
}

impl<'a> Opened<'a> {
    /// The unit's line table.
    pub fn lines(&self, view: &View<'_, 'a>) -> Option<gimli::IncompleteLineProgram<Metered<'a>>> {
        let dwarf = (*view.dwarfs.get(self.which)?)?;
        let (directory, name) = (self.unit.comp_dir, self.unit.name);
        let size = self.unit.header.address_size();
        view.fuel.within(HEADER_FUEL, || dwarf.debug_line.program(self.lines?, size, directory, name).ok())
    }
}
