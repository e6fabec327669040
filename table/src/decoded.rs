//! The rows of one row group, as the columns that they were decoded into.
//!
//! What must stay true:
//! 1. All columns have as many rows, and offsets count up; what does not is refused when the columns are taken over.
//! 2. Rows borrow from the columns.

use std::ops::Range;

use alluvium_record::{Attributes, BATCH_HEADER_BYTES, HeaderView, Offset};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, BinaryArray, BinaryViewArray, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMillisecondArray,
};

use crate::row::{BatchFacts, Headers, Row};
use crate::schema;

/// What a row takes in memory beside its key, its value and its headers, about.
pub(crate) const ROW_BYTES: usize = 64;

/// The rows of one row group.
#[derive(Clone, Debug)]
pub struct DecodedRows {
    offset: Int64Array,
    timestamp: TimestampMillisecondArray,
    key: BinaryArray,
    value: BinaryViewArray,
    headers: HeaderColumns,
    batch_base_offset: Int64Array,
    batch_last_offset: Int64Array,
    batch_attributes: Int16Array,
    producer_id: Int64Array,
    producer_epoch: Int16Array,
    base_sequence: Int32Array,
    /// The last offset of the row group before, and the first of the one behind.
    pub(crate) neighbours: (Option<Offset>, Option<Offset>),
}

/// The headers of all rows.
#[derive(Clone, Debug)]
pub(crate) struct HeaderColumns {
    lists: ListArray,
    names: StringArray,
    values: BinaryArray,
    raw_lists: ListArray,
    raw_names: BinaryArray,
}

impl HeaderColumns {
    /// The header at `position`, its name from the raw names if they have it.
    pub(crate) fn header(&self, position: usize, raw_position: Option<usize>) -> HeaderView<'_> {
        let name = match raw_position {
            Some(raw) => self.raw_names.value(raw),
            None => self.names.value(position).as_bytes(),
        };
        HeaderView { name, value: self.values.is_valid(position).then(|| self.values.value(position)) }
    }

    fn of_row(&self, index: usize) -> Headers<'_> {
        let raw_position = self.raw_lists.is_valid(index).then(|| list_range(&self.raw_lists, index).start);
        Headers::in_columns(self, list_range(&self.lists, index), raw_position)
    }

    /// Whether all lists are within their columns, and raw names are there for all headers of a row or for none.
    fn is_sound(&self) -> bool {
        (0..self.lists.len()).all(|index| {
            self.raw_lists.is_null(index)
                || list_range(&self.raw_lists, index).len() == list_range(&self.lists, index).len()
        })
    }
}

fn list_range(lists: &ListArray, index: usize) -> Range<usize> {
    let ends = lists.value_offsets();
    // The offsets of a list column are checked to be positive and to count up.
    ends[index] as usize..ends[index + 1] as usize
}

impl DecodedRows {
    /// Takes the columns over. The error names what is wrong with them.
    pub(crate) fn new(
        columns: &RecordBatch,
        neighbours: (Option<Offset>, Option<Offset>),
    ) -> Result<DecodedRows, &'static str> {
        let rows = Self::from_columns(columns, neighbours).ok_or("a column has another type")?;
        let nullable = [schema::KEY, schema::VALUE, schema::HEADER_NAMES_RAW];
        let schema = columns.schema();
        let unexpected = schema
            .fields()
            .iter()
            .zip(columns.columns())
            .any(|(field, column)| column.null_count() > 0 && !nullable.contains(&field.name().as_str()));
        if unexpected || rows.headers.names.null_count() > 0 || rows.headers.raw_names.null_count() > 0 {
            return Err("a column has nulls where there are none");
        }
        if !rows.headers.is_sound() {
            return Err("raw header names are not those of the headers");
        }
        let offsets = rows.offset.values();
        if !offsets.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err("offsets do not count up");
        }
        let in_batch = |index: usize| {
            (rows.batch_base_offset.value(index)..=rows.batch_last_offset.value(index)).contains(&offsets[index])
        };
        if !(0..rows.len()).all(in_batch) {
            return Err("an offset is outside of its batch");
        }
        let types = columns.column_by_name(schema::TIMESTAMP_TYPE);
        let types = types.and_then(|types| types.as_primitive_opt::<arrow_array::types::Int8Type>());
        let types = types.ok_or("a column has another type")?;
        let fits = |index: usize| types.value(index) == (rows.batch_attributes.value(index) >> 3 & 1) as i8;
        if !(0..rows.len()).all(fits) {
            return Err("a timestamp is not of the type of its batch");
        }
        Ok(rows)
    }

    fn from_columns(columns: &RecordBatch, neighbours: (Option<Offset>, Option<Offset>)) -> Option<DecodedRows> {
        let column = |name: &str| columns.column_by_name(name);
        let long = |name: &str| column(name)?.as_primitive_opt::<Int64Type>().cloned();
        let short = |name: &str| column(name)?.as_primitive_opt::<Int16Type>().cloned();
        let binary = |name: &str| column(name)?.as_binary_opt::<i32>().cloned();
        let lists = column(schema::HEADERS)?.as_list_opt::<i32>()?.clone();
        let headers = lists.values().as_struct_opt()?;
        let names = headers.column_by_name("name")?.as_string_opt::<i32>()?.clone();
        let values = headers.column_by_name("value")?.as_binary_opt::<i32>()?.clone();
        let raw_lists = column(schema::HEADER_NAMES_RAW)?.as_list_opt::<i32>()?.clone();
        let raw_names = raw_lists.values().as_binary_opt::<i32>()?.clone();
        Some(DecodedRows {
            offset: long(schema::OFFSET)?,
            timestamp: column(schema::TIMESTAMP)?.as_primitive_opt::<TimestampMillisecondType>()?.clone(),
            key: binary(schema::KEY)?,
            value: column(schema::VALUE)?.as_binary_view_opt()?.clone(),
            headers: HeaderColumns { lists, names, values, raw_lists, raw_names },
            batch_base_offset: long(schema::BATCH_BASE_OFFSET)?,
            batch_last_offset: long(schema::BATCH_LAST_OFFSET)?,
            batch_attributes: short(schema::BATCH_ATTRIBUTES)?,
            producer_id: long(schema::PRODUCER_ID)?,
            producer_epoch: short(schema::PRODUCER_EPOCH)?,
            base_sequence: column(schema::BASE_SEQUENCE)?.as_primitive_opt::<Int32Type>()?.clone(),
            neighbours,
        })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.offset.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|index| self.row(index))
    }

    /// The rows in order, from the first at `offset` or behind it.
    pub fn rows_from(&self, offset: Offset) -> impl ExactSizeIterator<Item = Row<'_>> + DoubleEndedIterator {
        let start = self.offset.values().partition_point(|other| *other < offset);
        (start..self.len()).map(|index| self.row(index))
    }

    /// Bytes of memory that the rows take, about.
    pub fn memory_bytes(&self) -> usize {
        let headers = &self.headers;
        [self.key.get_buffer_memory_size(), self.value.get_buffer_memory_size()].iter().sum::<usize>()
            + headers.lists.get_buffer_memory_size()
            + headers.raw_lists.get_buffer_memory_size()
            + self.len() * ROW_BYTES
    }

    /// What the batches of the rows will take, or a little more.
    pub(crate) fn batch_bytes_expected(&self) -> usize {
        let bases = self.batch_base_offset.values();
        let batches = 1 + bases.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let bytes: usize = self.rows().map(|row| row.raw_bytes()).sum();
        bytes + batches * BATCH_HEADER_BYTES
    }

    fn row(&self, index: usize) -> Row<'_> {
        Row {
            offset: self.offset.value(index),
            timestamp: self.timestamp.value(index),
            key: self.key.is_valid(index).then(|| self.key.value(index)),
            value: self.value.is_valid(index).then(|| self.value.value(index)),
            headers: self.headers.of_row(index),
            batch: BatchFacts {
                base_offset: self.batch_base_offset.value(index),
                last_offset: self.batch_last_offset.value(index),
                attributes: Attributes(self.batch_attributes.value(index)),
                producer_id: self.producer_id.value(index),
                producer_epoch: self.producer_epoch.value(index),
                base_sequence: self.base_sequence.value(index),
            },
        }
    }
}
