//! Rows gathered into columns until there are enough to encode.
//!
//! What must stay true:
//! 1. Adding a row allocates only when a column grows.
//! 2. Columns come in the order of [`schema::arrow_schema`].

use std::sync::Arc;

use alluvium_record::TimestampType;
use arrow_array::builder::{ArrayBuilder, BinaryBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StructArray,
    TimestampMillisecondArray,
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Schema};

use crate::names;
use crate::row::Row;
use crate::schema;
use crate::values::{ValueBuilders, ValueColumns};

/// Rows as columns.
#[derive(Debug)]
pub(crate) struct RowColumns {
    schema: Arc<Schema>,
    raw_bytes: usize,
    offset: Vec<i64>,
    timestamp: Vec<i64>,
    timestamp_type: Vec<i8>,
    key: BinaryBuilder,
    value: BinaryBuilder,
    header_ends: Vec<i32>,
    header_names: StringBuilder,
    header_values: BinaryBuilder,
    batch_base_offset: Vec<i64>,
    batch_last_offset: Vec<i64>,
    batch_attributes: Vec<i16>,
    producer_id: Vec<i64>,
    producer_epoch: Vec<i16>,
    base_sequence: Vec<i32>,
    raw_ends: Vec<i32>,
    raw_present: NullBufferBuilder,
    raw_names: BinaryBuilder,
    values: ValueBuilders,
}

impl RowColumns {
    pub(crate) fn new(value_columns: ValueColumns) -> RowColumns {
        RowColumns {
            schema: schema::arrow_schema(&value_columns),
            raw_bytes: 0,
            offset: Vec::new(),
            timestamp: Vec::new(),
            timestamp_type: Vec::new(),
            key: BinaryBuilder::new(),
            value: BinaryBuilder::new(),
            header_ends: vec![0],
            header_names: StringBuilder::new(),
            header_values: BinaryBuilder::new(),
            batch_base_offset: Vec::new(),
            batch_last_offset: Vec::new(),
            batch_attributes: Vec::new(),
            producer_id: Vec::new(),
            producer_epoch: Vec::new(),
            base_sequence: Vec::new(),
            raw_ends: vec![0],
            raw_present: NullBufferBuilder::new(0),
            raw_names: BinaryBuilder::new(),
            values: ValueBuilders::new(value_columns),
        }
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub(crate) fn len(&self) -> usize {
        self.offset.len()
    }

    /// Raw bytes of the rows.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// Adds a row that takes `raw_bytes`.
    pub(crate) fn push(&mut self, row: &Row<'_>, raw_bytes: usize) {
        self.raw_bytes += raw_bytes;
        self.offset.push(row.offset);
        self.timestamp.push(row.timestamp);
        self.timestamp_type.push(match row.timestamp_type() {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => 1,
        });
        self.key.append_option(row.key);
        self.value.append_option(row.value);
        self.push_headers(row);
        self.batch_base_offset.push(row.batch.base_offset);
        self.batch_last_offset.push(row.batch.last_offset);
        self.batch_attributes.push(row.batch.attributes.0);
        self.producer_id.push(row.batch.producer_id);
        self.producer_epoch.push(row.batch.producer_epoch);
        self.base_sequence.push(row.batch.base_sequence);
        self.values.push(row.value);
    }

    fn push_headers(&mut self, row: &Row<'_>) {
        let mut all_text = true;
        for header in row.headers {
            match std::str::from_utf8(header.name) {
                Ok(name) => self.header_names.append_value(name),
                Err(_) => {
                    all_text = false;
                    self.header_names.append_value(names::text_of(header.name));
                }
            }
            self.header_values.append_option(header.value);
        }
        if !all_text {
            for header in row.headers {
                self.raw_names.append_value(header.name);
            }
        }
        self.raw_present.append(!all_text);
        // A row's headers are fewer than 2^31, and the bytes of a chunk are bounded.
        let header_count = row.headers.len() as i32;
        let header_end = self.header_ends.last().copied().unwrap_or(0) + header_count;
        self.header_ends.push(header_end);
        let raw_end = self.raw_ends.last().copied().unwrap_or(0) + if all_text { 0 } else { header_count };
        self.raw_ends.push(raw_end);
    }

    /// The rows so far; none are left.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.raw_bytes = 0;
        let headers = StructArray::try_new(
            schema::header_fields(),
            vec![Arc::new(self.header_names.finish()), Arc::new(self.header_values.finish())],
            None,
        )?;
        let headers = ListArray::try_new(schema::header_field(), ends(&mut self.header_ends), Arc::new(headers), None)?;
        let raw_names = Arc::new(self.raw_names.finish());
        let raw_present = self.raw_present.finish();
        let raw_ends = ends(&mut self.raw_ends);
        let raw_names = ListArray::try_new(schema::raw_name_field(), raw_ends, raw_names, raw_present)?;
        let mut columns: Vec<ArrayRef> = vec![
            long(&mut self.offset),
            Arc::new(TimestampMillisecondArray::from(taken(&mut self.timestamp)).with_timezone("UTC")),
            Arc::new(Int8Array::from(taken(&mut self.timestamp_type))),
            binary(&mut self.key),
            binary(&mut self.value),
            Arc::new(headers),
            long(&mut self.batch_base_offset),
            long(&mut self.batch_last_offset),
            Arc::new(Int16Array::from(taken(&mut self.batch_attributes))),
            long(&mut self.producer_id),
            Arc::new(Int16Array::from(taken(&mut self.producer_epoch))),
            Arc::new(Int32Array::from(taken(&mut self.base_sequence))),
            Arc::new(raw_names),
        ];
        columns.extend(self.values.take());
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// What the vector holds; its successor has room for as much.
fn taken<T>(vector: &mut Vec<T>) -> Vec<T> {
    let capacity = vector.len();
    std::mem::replace(vector, Vec::with_capacity(capacity))
}

/// What the builder holds; its successor has room for as much.
fn binary(builder: &mut BinaryBuilder) -> ArrayRef {
    let successor = BinaryBuilder::with_capacity(builder.len(), builder.values_slice().len());
    Arc::new(std::mem::replace(builder, successor).finish())
}

fn long(vector: &mut Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(taken(vector)))
}

/// The ends of lists, which count up from 0.
fn ends(vector: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let ends = taken(vector);
    vector.push(0);
    OffsetBuffer::new(ScalarBuffer::from(ends))
}
