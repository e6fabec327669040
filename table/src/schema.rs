//! The columns of a table, format 1.
//!
//! What must stay true: columns keep their names, types and order within a format; what a user asks for comes behind them. A
//! change is a new format, which older releases refuse.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};

use crate::values::{ValueColumns, ValueType};

/// The record's offset.
pub const OFFSET: &str = "offset";
/// The record's timestamp.
pub const TIMESTAMP: &str = "timestamp";
/// 0 for CreateTime, 1 for LogAppendTime.
pub const TIMESTAMP_TYPE: &str = "timestamp_type";
/// The record's key.
pub const KEY: &str = "key";
/// The record's value.
pub const VALUE: &str = "value";
/// The record's headers.
pub const HEADERS: &str = "headers";
/// The first offset of the batch that the record came in.
pub const BATCH_BASE_OFFSET: &str = "batch_base_offset";
/// The last offset of that batch.
pub const BATCH_LAST_OFFSET: &str = "batch_last_offset";
/// The flags of that batch.
pub const BATCH_ATTRIBUTES: &str = "batch_attributes";
/// The producer of that batch, or -1.
pub const PRODUCER_ID: &str = "producer_id";
/// The producer's epoch, or -1.
pub const PRODUCER_EPOCH: &str = "producer_epoch";
/// The sequence number of the batch's first record, or -1.
pub const BASE_SEQUENCE: &str = "base_sequence";
/// The names of all headers of a record as bytes, where one is not UTF-8.
pub const HEADER_NAMES_RAW: &str = "header_names_raw";
/// What the names of columns out of values begin with.
pub const VALUE_COLUMN_PREFIX: &str = "value_";

/// How many columns a table without columns out of values has.
pub const RECORD_COLUMNS: usize = 13;

/// The columns of a table, as Arrow describes them.
pub fn arrow_schema(value_columns: &ValueColumns) -> Arc<Schema> {
    let mut fields = record_fields();
    for column in value_columns.iter() {
        let kind = match column.kind {
            ValueType::String | ValueType::Json => DataType::Utf8,
            ValueType::Int64 => DataType::Int64,
            ValueType::Float64 => DataType::Float64,
            ValueType::Bool => DataType::Boolean,
            ValueType::TimestampMs => timestamp(),
        };
        fields.push(Field::new(column.column_name(), kind, true));
    }
    Arc::new(Schema::new(fields))
}

/// The same columns as they are decoded to make records of: values stay in the pages that they were unpacked into.
pub(crate) fn decoded_schema(value_columns: &ValueColumns) -> Arc<Schema> {
    let columns = arrow_schema(value_columns);
    let fields = columns.fields().iter().map(|field| match field.name().as_str() {
        VALUE => Arc::new(field.as_ref().clone().with_data_type(DataType::BinaryView)),
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn record_fields() -> Vec<Field> {
    vec![
        Field::new(OFFSET, DataType::Int64, false),
        Field::new(TIMESTAMP, timestamp(), false),
        Field::new(TIMESTAMP_TYPE, DataType::Int8, false),
        Field::new(KEY, DataType::Binary, true),
        Field::new(VALUE, DataType::Binary, true),
        Field::new(HEADERS, DataType::List(header_field()), false),
        Field::new(BATCH_BASE_OFFSET, DataType::Int64, false),
        Field::new(BATCH_LAST_OFFSET, DataType::Int64, false),
        Field::new(BATCH_ATTRIBUTES, DataType::Int16, false),
        Field::new(PRODUCER_ID, DataType::Int64, false),
        Field::new(PRODUCER_EPOCH, DataType::Int16, false),
        Field::new(BASE_SEQUENCE, DataType::Int32, false),
        Field::new(HEADER_NAMES_RAW, DataType::List(raw_name_field()), true),
    ]
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// An element of `headers`.
pub(crate) fn header_field() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(header_fields()), false))
}

/// The fields of an element of `headers`.
pub(crate) fn header_fields() -> Fields {
    Fields::from(vec![Field::new("name", DataType::Utf8, false), Field::new("value", DataType::Binary, true)])
}

/// An element of `header_names_raw`.
pub(crate) fn raw_name_field() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Binary, false))
}
