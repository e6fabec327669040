//! Columns out of values that are JSON: `alluvium.parquet.value.columns`.
//!
//! The setting is a list of `name:type` or `name:type:/json/pointer` (RFC 6901), separated by commas, such as
//! `amount:float64, customer:string:/customer/id`. Without a pointer the column is the member of that name of the value.
//!
//! What must stay true: the raw value is always there too. Where a value is not JSON, has no such member, or one of another
//! type, the column is null: a record is never refused for it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use alluvium_infra::limits::TABLE_VALUE_COLUMNS_MAX;
use arrow_array::ArrayRef;
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder,
};
use serde_json::Value;

use crate::schema::VALUE_COLUMN_PREFIX;

/// The setting of a topic that names its columns out of values.
pub const VALUE_COLUMNS_CONFIG: &str = "alluvium.parquet.value.columns";

/// What a column out of values holds.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ValueType {
    /// JSON strings.
    String,
    /// Whole numbers of 64 bits.
    Int64,
    /// Numbers; the nearest of 64 bits.
    Float64,
    /// True and false.
    Bool,
    /// Whole numbers: milliseconds since 1970.
    TimestampMs,
    /// Any member, as JSON text.
    Json,
}

impl ValueType {
    /// All of them.
    pub const ALL: [ValueType; 6] = [
        ValueType::String,
        ValueType::Int64,
        ValueType::Float64,
        ValueType::Bool,
        ValueType::TimestampMs,
        ValueType::Json,
    ];

    /// Its name in the setting.
    pub const fn name(self) -> &'static str {
        match self {
            ValueType::String => "string",
            ValueType::Int64 => "int64",
            ValueType::Float64 => "float64",
            ValueType::Bool => "bool",
            ValueType::TimestampMs => "timestamp_ms",
            ValueType::Json => "json",
        }
    }
}

/// One column out of values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueColumn {
    /// Its name, without prefix.
    pub name: String,
    /// What it holds.
    pub kind: ValueType,
    /// Where it is in the value: a JSON pointer.
    pub pointer: String,
}

impl ValueColumn {
    /// Its name in the file.
    pub fn column_name(&self) -> String {
        format!("{VALUE_COLUMN_PREFIX}{}", self.name)
    }
}

/// The columns out of values that a topic asks for. Usually none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ValueColumns(Vec<ValueColumn>);

/// Why a text is no list of columns.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValueColumns {
    /// A part is not `name:type` or `name:type:/pointer`.
    #[error("{0:?} is not name:type or name:type:/json/pointer")]
    Malformed(String),
    /// A name has other characters than lower-case letters, digits and underscores.
    #[error("column name {0:?}: use 1 to 64 lower-case letters, digits and underscores")]
    Name(String),
    /// Two columns have one name.
    #[error("column {0:?} is there twice")]
    Duplicate(String),
    /// The type is not known.
    #[error("column type {0:?} is not known: use string, int64, float64, bool, timestamp_ms or json")]
    Type(String),
    /// The pointer is no JSON pointer.
    #[error("{0:?} is no JSON pointer: it begins with / and has ~0 for ~ and ~1 for /")]
    Pointer(String),
    /// There are too many columns.
    #[error("there are more than {TABLE_VALUE_COLUMNS_MAX} columns")]
    TooMany,
}

const NAME_BYTES_MAX: usize = 64;
const POINTER_BYTES_MAX: usize = 1024;

impl ValueColumns {
    /// The columns in order.
    pub fn iter(&self) -> impl Iterator<Item = &ValueColumn> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of them that `keep` wants, in order.
    #[must_use]
    pub fn only(&self, keep: impl FnMut(&&ValueColumn) -> bool) -> ValueColumns {
        ValueColumns(self.0.iter().filter(keep).cloned().collect())
    }

    /// The columns of rows with these values, as a table has them.
    #[must_use]
    pub fn arrays<'a>(&self, values: impl IntoIterator<Item = Option<&'a [u8]>>) -> Vec<ArrayRef> {
        let mut builders = ValueBuilders::new(self.clone());
        values.into_iter().for_each(|value| builders.push(value));
        builders.take()
    }
}

impl FromStr for ValueColumns {
    type Err = InvalidValueColumns;

    fn from_str(text: &str) -> Result<ValueColumns, InvalidValueColumns> {
        let mut columns: Vec<ValueColumn> = Vec::new();
        if text.trim().is_empty() {
            return Ok(ValueColumns(columns));
        }
        for part in text.split(',') {
            let column = parse_column(part.trim())?;
            if columns.iter().any(|other| other.name == column.name) {
                return Err(InvalidValueColumns::Duplicate(column.name));
            }
            if columns.len() == TABLE_VALUE_COLUMNS_MAX {
                return Err(InvalidValueColumns::TooMany);
            }
            columns.push(column);
        }
        Ok(ValueColumns(columns))
    }
}

fn parse_column(part: &str) -> Result<ValueColumn, InvalidValueColumns> {
    let mut fields = part.splitn(3, ':').map(str::trim);
    let (Some(name), Some(kind)) = (fields.next(), fields.next()) else {
        return Err(InvalidValueColumns::Malformed(part.to_owned()));
    };
    let good = |character: u8| character.is_ascii_lowercase() || character.is_ascii_digit() || character == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(good) {
        return Err(InvalidValueColumns::Name(name.to_owned()));
    }
    let kind = ValueType::ALL
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or_else(|| InvalidValueColumns::Type(kind.to_owned()))?;
    let pointer = fields.next().map_or_else(|| format!("/{name}"), str::to_owned);
    if !is_pointer(&pointer) {
        return Err(InvalidValueColumns::Pointer(pointer));
    }
    Ok(ValueColumn { name: name.to_owned(), kind, pointer })
}

fn is_pointer(pointer: &str) -> bool {
    let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    pointer.starts_with('/') && pointer.len() <= POINTER_BYTES_MAX && escapes && !pointer.contains(char::is_control)
}

/// As the setting has it, with all pointers.
impl fmt::Display for ValueColumns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, column) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(formatter, "{separator}{}:{}:{}", column.name, column.kind.name(), column.pointer)?;
        }
        Ok(())
    }
}

/// Gathers the columns out of values for some rows.
#[derive(Debug)]
pub(crate) struct ValueBuilders {
    columns: ValueColumns,
    builders: Vec<Builder>,
}

#[derive(Debug)]
enum Builder {
    String(StringBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    TimestampMs(TimestampMillisecondBuilder),
    Json(StringBuilder),
}

impl ValueBuilders {
    pub(crate) fn new(columns: ValueColumns) -> ValueBuilders {
        let builders = columns.iter().map(|column| Builder::new(column.kind)).collect();
        ValueBuilders { columns, builders }
    }

    /// Adds a row with this value.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        if self.builders.is_empty() {
            return;
        }
        // What is not JSON, and what is nested too deep for the parser, has no members.
        let parsed = value.and_then(|value| serde_json::from_slice::<Value>(value).ok());
        for (column, builder) in self.columns.0.iter().zip(&mut self.builders) {
            builder.push(parsed.as_ref().and_then(|parsed| parsed.pointer(&column.pointer)));
        }
    }

    /// The rows so far, as columns; none are left.
    pub(crate) fn take(&mut self) -> Vec<ArrayRef> {
        self.builders.iter_mut().map(Builder::take).collect()
    }
}

impl Builder {
    fn new(kind: ValueType) -> Builder {
        match kind {
            ValueType::String => Builder::String(StringBuilder::new()),
            ValueType::Int64 => Builder::Int64(Int64Builder::new()),
            ValueType::Float64 => Builder::Float64(Float64Builder::new()),
            ValueType::Bool => Builder::Bool(BooleanBuilder::new()),
            ValueType::TimestampMs => Builder::TimestampMs(timestamp_builder()),
            ValueType::Json => Builder::Json(StringBuilder::new()),
        }
    }

    fn push(&mut self, member: Option<&Value>) {
        match self {
            Builder::String(builder) => builder.append_option(member.and_then(Value::as_str)),
            Builder::Int64(builder) => builder.append_option(member.and_then(Value::as_i64)),
            Builder::Float64(builder) => builder.append_option(member.and_then(Value::as_f64)),
            Builder::Bool(builder) => builder.append_option(member.and_then(Value::as_bool)),
            Builder::TimestampMs(builder) => builder.append_option(member.and_then(Value::as_i64)),
            Builder::Json(builder) => builder.append_option(member.map(Value::to_string)),
        }
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Builder::String(builder) | Builder::Json(builder) => Arc::new(builder.finish()),
            Builder::Int64(builder) => ArrayBuilder::finish(builder),
            Builder::Float64(builder) => ArrayBuilder::finish(builder),
            Builder::Bool(builder) => Arc::new(builder.finish()),
            Builder::TimestampMs(builder) => ArrayBuilder::finish(builder),
        }
    }
}

fn timestamp_builder() -> TimestampMillisecondBuilder {
    TimestampMillisecondBuilder::new().with_timezone("UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> InvalidValueColumns {
        text.parse::<ValueColumns>().unwrap_err()
    }

    #[test]
    fn the_setting_is_read_and_written() {
        let columns: ValueColumns =
            " amount:float64, customer : string : /customer/id ,a_1:json:/a:b~1c".parse().unwrap();
        let [amount, customer, odd] = columns.0.as_slice() else { panic!("three") };
        assert_eq!((amount.kind, amount.pointer.as_str()), (ValueType::Float64, "/amount"));
        assert_eq!((customer.name.as_str(), customer.pointer.as_str()), ("customer", "/customer/id"));
        assert_eq!((odd.column_name().as_str(), odd.pointer.as_str()), ("value_a_1", "/a:b~1c"));
        assert_eq!(columns.to_string().parse(), Ok(columns.clone()));
        assert_eq!(columns.iter().count(), 3);
        assert!("".parse::<ValueColumns>().unwrap().is_empty());
        for kind in ValueType::ALL {
            assert_eq!(format!("c:{}", kind.name()).parse::<ValueColumns>().unwrap().0[0].kind, kind);
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(error("amount"), InvalidValueColumns::Malformed("amount".into()));
        assert_eq!(error("a:int64,"), InvalidValueColumns::Malformed(String::new()));
        assert_eq!(error("Amount:int64"), InvalidValueColumns::Name("Amount".into()));
        assert_eq!(error("a:int32"), InvalidValueColumns::Type("int32".into()));
        assert_eq!(error("a:int64:b"), InvalidValueColumns::Pointer("b".into()));
        assert_eq!(error("a:int64:/b~2"), InvalidValueColumns::Pointer("/b~2".into()));
        assert_eq!(error("a:int64,a:bool"), InvalidValueColumns::Duplicate("a".into()));
        let many: Vec<String> = (0..65).map(|index| format!("c{index}:bool")).collect();
        assert_eq!(error(&many.join(",")), InvalidValueColumns::TooMany);
    }
}
