//! What is kept of a unit once it has been asked for: where its functions and its lines are.

use super::dwarf::{Opened, Unit, View};
use super::unit::{Span, attributes, skip};
use alloc::vec::Vec;
use core::ops::Range;

/// Functions and line sequences before the nearest one that are asked whether they reach to the address.
const OVERLAPS: usize = 64;

/// Ends of entries that stand one after another at most: as many as entries can be open, and what a linker fills up with. In a
/// file with a hole there is no end of them.
const MOST_ENDS: usize = 1 << 16;

/// A place of a line table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Number of its file in the line table.
    pub file: u64,
    pub line: u32,
    pub column: u32,
}

#[derive(Debug)]
struct LineRow {
    /// From the sequence's first address on.
    offset: u32,
    file: u32,
    line: u32,
    /// 0 where there is none; also where it is beyond all reason.
    column: u16,
}

/// A run of rows with rising addresses.
#[derive(Debug)]
struct Sequence {
    begin: u64,
    end: u64,
    rows: Range<usize>,
}

#[derive(Debug)]
struct FunctionRange {
    begin: u64,
    end: u64,
    entry: usize,
}

/// What is kept of a unit once it has been asked for.
#[derive(Debug, Default)]
pub(super) struct Table {
    functions: Vec<FunctionRange>,
    rows: Vec<LineRow>,
    sequences: Vec<Sequence>,
}

impl Table {
    /// Reads a unit's functions and lines, as far as they can be read, into at most `room` entries.
    pub fn read<'a>(view: &View<'_, 'a>, opened: &Opened<'a>, code: &Range<u64>, room: usize) -> Table {
        let mut table = Table::default();
        let _ = table.read_functions(view, &opened.unit, code, room);
        let room = room.saturating_sub(table.functions.len());
        let _ = table.read_lines(view, opened, code, room);
        table.functions.sort_unstable_by_key(|function| (function.begin, function.entry));
        table.sequences.sort_unstable_by_key(|sequence| (sequence.begin, sequence.rows.start));
        table.functions.shrink_to_fit();
        table.rows.shrink_to_fit();
        table
    }

    /// Entries it takes.
    pub fn entries(&self) -> usize {
        self.functions.len() + self.rows.len()
    }

    fn read_functions<'a>(
        &mut self,
        view: &View<'_, 'a>,
        unit: &Unit<'a>,
        code: &Range<u64>,
        room: usize,
    ) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(None)?;
        let mut ends = 0;
        while !entries.is_empty() && self.functions.len() < room && ends < MOST_ENDS {
            let offset = entries.next_offset();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                ends += 1;
                continue;
            };
            ends = 0;
            if abbreviation.tag() == gimli::DW_TAG_subprogram {
                let mut span = Span::default();
                attributes(view, &mut entries, abbreviation, |attribute, value| span.note(attribute, &value))?;
                span.each(view, unit, |begin, end| {
                    if code.contains(&begin) {
                        self.functions.push(FunctionRange { begin, end, entry: offset.0 });
                    }
                    self.functions.len() < room
                });
            } else {
                skip(view, &mut entries, abbreviation)?;
            }
        }
        Ok(())
    }

    fn read_lines<'a>(
        &mut self,
        view: &View<'_, 'a>,
        opened: &Opened<'a>,
        code: &Range<u64>,
        room: usize,
    ) -> gimli::Result<()> {
        let Some(program) = opened.lines(view) else { return Ok(()) };
        let mut rows = program.rows();
        let mut begin = None;
        let mut start = 0;
        while let Some((_, row)) = rows.next_row()?
            && self.rows.len() < room
        {
            let address = row.address();
            if row.end_sequence() {
                match begin.take() {
                    Some(begin) if begin < address && code.contains(&begin) => {
                        self.sequences.push(Sequence { begin, end: address, rows: start..self.rows.len() });
                    }
                    _ => self.rows.truncate(start),
                }
                start = self.rows.len();
                continue;
            }
            let offset = address.wrapping_sub(*begin.get_or_insert(address));
            let Ok(offset) = u32::try_from(offset) else { continue };
            let row = LineRow {
                offset,
                file: row.file_index().try_into().unwrap_or(u32::MAX),
                line: row.line().and_then(|line| line.get().try_into().ok()).unwrap_or(0),
                column: match row.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => column.get().try_into().unwrap_or(0),
                },
            };
            let kept = self.rows.len();
            match self.rows.last_mut() {
                // Of several rows for one address the last one counts.
                Some(last) if kept > start && last.offset == offset => *last = row,
                _ => self.rows.push(row),
            }
        }
        Ok(())
    }

    /// The line of an address.
    pub fn row(&self, address: u64) -> Option<Row> {
        let before = self.sequences.partition_point(|sequence| sequence.begin <= address);
        let mut near = self.sequences.get(..before)?.iter().rev().take(OVERLAPS);
        let sequence = near.find(|sequence| address < sequence.end)?;
        let rows = self.rows.get(sequence.rows.clone())?;
        let after = rows.partition_point(|row| sequence.begin + u64::from(row.offset) <= address);
        let row = rows.get(after.checked_sub(1)?)?;
        Some(Row { file: row.file.into(), line: row.line, column: row.column.into() })
    }

    /// Start and entry of the smallest function that an address is in.
    pub fn function(&self, address: u64) -> Option<(u64, usize)> {
        let before = self.functions.partition_point(|function| function.begin <= address);
        let near = self.functions.get(..before)?.iter().rev().take(OVERLAPS);
        let function =
            near.filter(|function| address < function.end).min_by_key(|function| function.end - function.begin)?;
        Some((function.begin, function.entry))
    }
}
