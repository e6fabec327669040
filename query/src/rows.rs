//! Columns in memory: records of raw batches gathered into them, columns of files fitted to a query.
//!
//! Invariants: a record becomes the same row whether it comes from a batch or from a file; chunks have at most
//! [`CHUNK_ROWS_MAX`] rows, and of gathered ones no more than [`CHUNK_BYTES_MAX`] and one record.

use std::sync::Arc;

use alluvium_record::batch::BatchError;
use alluvium_record::{DecodedBatch, RecordView, TimestampType};
use alluvium_table::schema::{HEADERS, KEY, OFFSET, TIMESTAMP, TIMESTAMP_TYPE, VALUE};
use alluvium_table::{ValueColumns, header_name_text};
use datafusion::arrow::array::builder::{ArrayBuilder, BinaryBuilder, StringBuilder};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{Int64Type, TimestampMillisecondType};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int8Array, Int32Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions, StructArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;

use crate::bounds::Interval;
use crate::columns::{PARTITION, Projection};

/// Rows of a chunk.
pub(crate) const CHUNK_ROWS_MAX: usize = 8192;
/// Keys, values and headers of a chunk.
const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows of a chunk without any column of records.
const COUNTED_ROWS_MAX: usize = 65_536;

/// Which records of what was read are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) offsets: Interval,
    pub(crate) timestamps: Interval,
}

impl Wanted {
    fn has(&self, record: &RecordView<'_>) -> bool {
        self.offsets.contains(record.offset) && self.timestamps.contains(record.timestamp)
    }
}

/// Why rows could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsError {
    #[error("its records cannot be read: {0}")]
    Batch(#[from] BatchError),
    #[error("its columns do not fit: {0}")]
    Arrow(#[from] ArrowError),
}

/// Chunks of `rows` rows of which nothing but the partition is known.
pub(crate) fn counted(
    projection: &Projection,
    partition: i32,
    rows: u64,
) -> impl Iterator<Item = Result<RecordBatch, RowsError>> + Send + use<> {
    let projection = projection.clone();
    let mut left = usize::try_from(rows).unwrap_or(usize::MAX);
    std::iter::from_fn(move || {
        let taken = left.min(COUNTED_ROWS_MAX);
        left -= taken;
        (taken > 0).then(|| assembled(&projection, partition, taken, |_| None))
    })
}

/// The wanted records of a batch.
pub(crate) fn gathered(
    projection: &Projection,
    partition: i32,
    batch: &DecodedBatch,
    wanted: Wanted,
) -> Result<Vec<RecordBatch>, RowsError> {
    let mut chunks = Vec::new();
    let timestamp_type = batch.header().attributes.timestamp_type();
    let mut rows = Gathering::new(projection);
    for record in batch.views() {
        let record = record?;
        if !wanted.has(&record) {
            continue;
        }
        rows.push(&record, timestamp_type);
        if rows.count == CHUNK_ROWS_MAX || rows.bytes >= CHUNK_BYTES_MAX {
            chunks.push(std::mem::replace(&mut rows, Gathering::new(projection)).finish(partition)?);
        }
    }
    if rows.count > 0 {
        chunks.push(rows.finish(partition)?);
    }
    Ok(chunks)
}

/// The wanted rows of columns out of a file. What is cut by offset or time has those columns.
pub(crate) fn fitted(
    projection: &Projection,
    partition: i32,
    columns: &RecordBatch,
    wanted: Wanted,
) -> Result<Vec<RecordBatch>, RowsError> {
    let columns = &cut(columns, wanted)?;
    let rows = columns.num_rows();
    let missing = projection.value_columns.only(|column| columns.column_by_name(&column.column_name()).is_none());
    let computed = match columns.column_by_name(VALUE).and_then(|values| values.as_binary_opt::<i32>()) {
        Some(values) if !missing.is_empty() => missing.arrays(values.iter()),
        _ => Vec::new(),
    };
    let fitted = assembled(projection, partition, rows, |name| {
        let position = missing.iter().position(|column| column.column_name() == name);
        position.and_then(|position| computed.get(position)).or_else(|| columns.column_by_name(name)).cloned()
    })?;
    Ok((0..rows).step_by(CHUNK_ROWS_MAX).map(|start| fitted.slice(start, CHUNK_ROWS_MAX.min(rows - start))).collect())
}

fn cut(columns: &RecordBatch, wanted: Wanted) -> Result<RecordBatch, ArrowError> {
    let mut cut = columns.clone();
    if let Some(offsets) = cut.column_by_name(OFFSET).and_then(|offsets| offsets.as_primitive_opt::<Int64Type>()) {
        let values = offsets.values();
        let from = values.partition_point(|offset| *offset < wanted.offsets.least);
        let to = values.partition_point(|offset| *offset <= wanted.offsets.greatest);
        if (from, to) != (0, values.len()) {
            cut = cut.slice(from, to.saturating_sub(from));
        }
    }
    let Some(times) = cut.column_by_name(TIMESTAMP) else { return Ok(cut) };
    let Some(times) = times.as_primitive_opt::<TimestampMillisecondType>() else { return Ok(cut) };
    if times.values().iter().all(|time| wanted.timestamps.contains(*time)) {
        return Ok(cut);
    }
    let kept: BooleanArray = times.values().iter().map(|time| Some(wanted.timestamps.contains(*time))).collect();
    filter_record_batch(&cut, &kept)
}

/// Rows with the columns of the projection, each from `column`, but for the partition.
fn assembled(
    projection: &Projection,
    partition: i32,
    rows: usize,
    mut column: impl FnMut(&str) -> Option<ArrayRef>,
) -> Result<RecordBatch, RowsError> {
    let arrays: Vec<ArrayRef> = projection
        .schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            PARTITION => Ok(Arc::new(Int32Array::from_value(partition, rows)) as ArrayRef),
            name => column(name).ok_or_else(|| ArrowError::SchemaError(format!("there is no column {name}"))),
        })
        .collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(&projection.schema), arrays, &options)?)
}

/// Records that become a chunk. Only what the projection has is kept of them.
struct Gathering<'a> {
    projection: &'a Projection,
    count: usize,
    bytes: usize,
    offset: Option<Vec<i64>>,
    timestamp: Option<Vec<i64>>,
    timestamp_type: Option<Vec<i8>>,
    key: Option<BinaryBuilder>,
    value: Option<BinaryBuilder>,
    headers: Option<HeaderLists>,
    /// Values for the columns that come out of them, where the projection itself has no value.
    values: Option<BinaryBuilder>,
}

struct HeaderLists {
    ends: Vec<i32>,
    names: StringBuilder,
    values: BinaryBuilder,
}

impl<'a> Gathering<'a> {
    fn new(projection: &'a Projection) -> Gathering<'a> {
        let has = |name: &str| projection.has(name);
        let needs_values = !projection.value_columns.is_empty() && !has(VALUE);
        Gathering {
            projection,
            count: 0,
            bytes: 0,
            offset: has(OFFSET).then(Vec::new),
            timestamp: has(TIMESTAMP).then(Vec::new),
            timestamp_type: has(TIMESTAMP_TYPE).then(Vec::new),
            key: has(KEY).then(BinaryBuilder::new),
            value: has(VALUE).then(BinaryBuilder::new),
            headers: has(HEADERS).then(|| HeaderLists {
                ends: vec![0],
                names: StringBuilder::new(),
                values: BinaryBuilder::new(),
            }),
            values: needs_values.then(BinaryBuilder::new),
        }
    }

    fn push(&mut self, record: &RecordView<'_>, timestamp_type: TimestampType) {
        self.count += 1;
        if let Some(offset) = &mut self.offset {
            offset.push(record.offset);
        }
        if let Some(timestamp) = &mut self.timestamp {
            timestamp.push(record.timestamp);
        }
        if let Some(column) = &mut self.timestamp_type {
            column.push(match timestamp_type {
                TimestampType::CreateTime => 0,
                TimestampType::LogAppendTime => 1,
            });
        }
        for (column, bytes) in
            [(&mut self.key, record.key), (&mut self.value, record.value), (&mut self.values, record.value)]
        {
            if let Some(column) = column {
                column.append_option(bytes);
                self.bytes += bytes.map_or(0, <[u8]>::len);
            }
        }
        if let Some(headers) = &mut self.headers {
            self.bytes += headers.push(record);
        }
    }

    fn finish(mut self, partition: i32) -> Result<RecordBatch, RowsError> {
        let value: Option<ArrayRef> = self.value.as_mut().map(|value| Arc::new(value.finish()) as ArrayRef);
        let hidden = self.values.as_mut().map(|values| Arc::new(values.finish()) as ArrayRef);
        let computed = computed(&self.projection.value_columns, value.as_ref().or(hidden.as_ref()));
        let headers = match self.headers.take() {
            Some(headers) => Some(headers.finish(self.projection)?),
            None => None,
        };
        let Gathering { projection, count, mut offset, mut timestamp, mut timestamp_type, mut key, .. } = self;
        assembled(projection, partition, count, |name| match name {
            OFFSET => offset.take().map(|offset| Arc::new(Int64Array::from(offset)) as ArrayRef),
            TIMESTAMP => timestamp
                .take()
                .map(|times| Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")) as ArrayRef),
            TIMESTAMP_TYPE => timestamp_type.take().map(|types| Arc::new(Int8Array::from(types)) as ArrayRef),
            KEY => key.as_mut().map(|key| Arc::new(key.finish()) as ArrayRef),
            VALUE => value.clone(),
            HEADERS => headers.clone(),
            name => {
                let position = projection.value_columns.iter().position(|column| column.column_name() == name);
                position.and_then(|position| computed.get(position)).cloned()
            }
        })
    }
}

fn computed(columns: &ValueColumns, values: Option<&ArrayRef>) -> Vec<ArrayRef> {
    match values.and_then(|values| values.as_binary_opt::<i32>()) {
        Some(values) if !columns.is_empty() => columns.arrays(values.iter()),
        _ => Vec::new(),
    }
}

impl HeaderLists {
    fn push(&mut self, record: &RecordView<'_>) -> usize {
        let mut bytes = 0;
        for header in record.headers {
            self.names.append_value(header_name_text(header.name));
            self.values.append_option(header.value);
            bytes += header.name.len() + header.value.map_or(0, <[u8]>::len);
        }
        // A chunk has some megabytes of headers, not two gigabytes.
        self.ends.push(i32::try_from(self.names.len()).unwrap_or(i32::MAX));
        bytes
    }

    fn finish(mut self, projection: &Projection) -> Result<ArrayRef, ArrowError> {
        let field = projection.schema.field_with_name(HEADERS)?;
        let DataType::List(element) = field.data_type() else {
            return Err(ArrowError::SchemaError("headers are no list".to_owned()));
        };
        let DataType::Struct(fields) = element.data_type() else {
            return Err(ArrowError::SchemaError("headers are no structs".to_owned()));
        };
        let columns: Vec<ArrayRef> = vec![Arc::new(self.names.finish()), Arc::new(self.values.finish())];
        let structs = StructArray::try_new(fields.clone(), columns, None)?;
        let ends = OffsetBuffer::new(self.ends.into());
        Ok(Arc::new(ListArray::try_new(Arc::clone(element), ends, Arc::new(structs), None)?))
    }
}
