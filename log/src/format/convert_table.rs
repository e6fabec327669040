//! Between protobuf messages and what the state knows of Parquet files and garbage.

use alluvium_record::TopicPartition;
use bytes::Bytes;
use uuid::Uuid;

use super::FormatError;
use super::convert::{partition_of, topic_field, uuid_field, uuid_of};
use super::table_messages::{GarbageMessage, TableFileMessage};
use crate::state::{Garbage, ObjectRef, TablePlace, TableRun};

pub(crate) fn sum_field(sum: u128) -> Bytes {
    Bytes::copy_from_slice(&sum.to_be_bytes())
}

pub(crate) fn sum_of(field: &[u8]) -> Result<u128, FormatError> {
    let bytes: [u8; 16] =
        field.try_into().map_err(|_| FormatError::malformed("sum", format!("{} bytes, not 16", field.len())))?;
    Ok(u128::from_be_bytes(bytes))
}

pub(crate) fn table_of(message: &TableFileMessage) -> Result<TableRun, FormatError> {
    Ok(TableRun {
        record_count: message.record_count,
        sum: sum_of(&message.sum)?,
        footer_bytes: message.footer_bytes,
        min_timestamp: message.min_timestamp,
        tombstone_horizon_ms: if message.tombstone_horizon_ms == 0 { i64::MAX } else { message.tombstone_horizon_ms },
    })
}

pub(crate) fn table_file(id: Uuid, length: u32, max_timestamp: i64, table: &TableRun) -> TableFileMessage {
    TableFileMessage {
        id: uuid_field(id),
        length,
        footer_bytes: table.footer_bytes,
        record_count: table.record_count,
        sum: sum_field(table.sum),
        min_timestamp: table.min_timestamp,
        max_timestamp,
        tombstone_horizon_ms: if table.tombstone_horizon_ms == i64::MAX { 0 } else { table.tombstone_horizon_ms },
    }
}

/// Entries are never on the list.
pub(crate) fn garbage_message(object: ObjectRef, garbage: &Garbage) -> Option<GarbageMessage> {
    let (ObjectRef::Segment(id) | ObjectRef::Table(id)) = object else { return None };
    let mut message = GarbageMessage {
        id: uuid_field(id),
        entry_number: garbage.entry_number,
        since_ms: garbage.since_ms,
        ..GarbageMessage::default()
    };
    if let Some(TablePlace { topic_partition: TopicPartition { topic, partition }, base_offset, last_offset }) =
        garbage.place
    {
        message.topic = topic_field(topic);
        message.partition = partition;
        message.base_offset = base_offset;
        message.last_offset = last_offset;
    }
    Some(message)
}

pub(crate) fn garbage_from(message: &GarbageMessage) -> Result<(ObjectRef, Garbage), FormatError> {
    let id = uuid_of(&message.id)?;
    let (entry_number, since_ms) = (message.entry_number, message.since_ms);
    if message.topic.is_empty() {
        return Ok((ObjectRef::Segment(id), Garbage { entry_number, since_ms, place: None }));
    }
    let place = TablePlace {
        topic_partition: partition_of(&message.topic, message.partition)?,
        base_offset: message.base_offset,
        last_offset: message.last_offset,
    };
    Ok((ObjectRef::Table(id), Garbage { entry_number, since_ms, place: Some(place) }))
}
