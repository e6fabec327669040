//! One value as text or as JSON.
//!
//! Invariant: every type that a query can give has a text; what has no form of its own in JSON is a text there, too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{Float16Type, Float32Type, Float64Type};
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Number, Value, json};

/// A value as text; `None` for null.
pub(super) fn text(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) || *column.data_type() == DataType::Null {
        return None;
    }
    if let Some(bytes) = bytes(column, row) {
        return Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        });
    }
    match column.data_type() {
        kind if kind.is_nested() && !matches!(kind, DataType::Dictionary(..)) => Some(json(column, row).to_string()),
        _ => Some(formatted(column, row)),
    }
}

/// A value as a part of a JSON document.
pub(super) fn json(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) || *column.data_type() == DataType::Null {
        return Value::Null;
    }
    if let Some(bytes) = bytes(column, row) {
        return match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
        };
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        // What no number of JSON can be, such as NaN, is a text.
        DataType::Float16 => number(column, row, f64::from(column.as_primitive::<Float16Type>().value(row))),
        DataType::Float32 => number(column, row, f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => number(column, row, column.as_primitive::<Float64Type>().value(row)),
        kind if kind.is_integer() => {
            let text = formatted(column, row);
            let unsigned = text.parse::<u64>().map(Value::from);
            unsigned.or_else(|_| text.parse::<i64>().map(Value::from)).unwrap_or(Value::String(text))
        }
        DataType::List(_) => list(&column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&column.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&column.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let members = fields.iter().zip(columns).map(|(field, column)| (field.name().clone(), json(column, row)));
            Value::Object(members.collect())
        }
        _ => formatted(column, row).into(),
    }
}

fn number(column: &ArrayRef, row: usize, value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| formatted(column, row).into(), Value::Number)
}

fn list(values: &ArrayRef) -> Value {
    Value::Array((0..values.len()).map(|row| json(values, row)).collect())
}

/// The bytes of texts and of bytes.
fn bytes(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => Some(column.as_string_view().value(row).as_bytes()),
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => Some(column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => Some(column.as_fixed_size_binary().value(row)),
        _ => None,
    }
}

/// As Arrow writes it. Times are RFC 3339; one out of range says so.
fn formatted(column: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default().with_display_error(true);
    match ArrayFormatter::try_new(column.as_ref(), &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => format!("ERROR: {error}"),
    }
}
