//! The columns of a topic, and those of them that a query reads.
//!
//! Invariants: the columns of a Parquet file keep their names, types and order; the partition, which a file knows as a whole,
//! comes before them, and what the log keeps beside a record (its batch and producer) is left out.

use std::sync::Arc;

use alluvium_log::Topic;
use alluvium_table::schema::{HEADERS, KEY, OFFSET, TIMESTAMP, TIMESTAMP_TYPE, VALUE, arrow_schema};
use alluvium_table::{VALUE_COLUMNS_CONFIG, ValueColumn, ValueColumns};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// The partition of a record.
pub(crate) const PARTITION: &str = "partition";

const RECORD_COLUMNS: [&str; 6] = [OFFSET, TIMESTAMP, TIMESTAMP_TYPE, KEY, VALUE, HEADERS];

/// The columns of a topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicColumns {
    pub(crate) schema: SchemaRef,
    value_columns: ValueColumns,
}

impl TopicColumns {
    pub(crate) fn of(topic: &Topic) -> TopicColumns {
        // Values of settings are checked where they are set; one that cannot be read counts as not set.
        let setting = topic.configs.get(VALUE_COLUMNS_CONFIG).map(|value| value.trim());
        let value_columns: ValueColumns = setting.and_then(|value| value.parse().ok()).unwrap_or_default();
        let stored = arrow_schema(&value_columns);
        let is_shown = |field: &&Arc<Field>| {
            RECORD_COLUMNS.contains(&field.name().as_str())
                || value_columns.iter().any(|column| column.column_name() == *field.name())
        };
        let partition = Arc::new(Field::new(PARTITION, DataType::Int32, false));
        let fields: Vec<Arc<Field>> =
            std::iter::once(partition).chain(stored.fields().iter().filter(is_shown).cloned()).collect();
        TopicColumns { schema: Arc::new(Schema::new(fields)), value_columns }
    }

    /// Those with these indexes, in this order; all of them for `None`.
    pub(crate) fn projected(&self, indexes: Option<&Vec<usize>>) -> Projection {
        let fields: Vec<Arc<Field>> = match indexes {
            None => self.schema.fields().iter().cloned().collect(),
            Some(indexes) => indexes.iter().map(|index| Arc::clone(&self.schema.fields()[*index])).collect(),
        };
        let is_wanted = |column: &&ValueColumn| fields.iter().any(|field| *field.name() == column.column_name());
        let value_columns = self.value_columns.only(is_wanted);
        Projection { schema: Arc::new(Schema::new(fields)), value_columns }
    }
}

/// The columns that a query reads, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    pub(crate) schema: SchemaRef,
    /// Those of them that come out of values.
    pub(crate) value_columns: ValueColumns,
}

impl Projection {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.schema.fields().iter().any(|field| field.name() == name)
    }

    /// Whether nothing of a record is read: its partition at most.
    pub(crate) fn is_count(&self) -> bool {
        self.schema.fields().iter().all(|field| field.name() == PARTITION)
    }
}
