//! Between protobuf messages and the state of transactions.

use alluvium_record::{ShardId, TopicPartition};

use super::FormatError;
use super::convert::{offset_from, offset_message, partition_of, topic_field};
use super::transaction_messages::{
    GroupTransactionMessage, PlacedGroupMessage, PlacedPartitionMessage, TransactionMessage,
};
use crate::state::{GroupTransaction, TransactionRecord, TransactionStatus};

pub(crate) fn epoch_of(field: i32) -> Result<i16, FormatError> {
    i16::try_from(field).map_err(|_| FormatError::malformed("epoch", format!("{field} is out of range")))
}

pub(crate) fn placed_partition((partition, shard): (TopicPartition, ShardId)) -> PlacedPartitionMessage {
    PlacedPartitionMessage { topic: topic_field(partition.topic), partition: partition.partition, shard: shard.0 }
}

pub(crate) fn placed_group((group, shard): (&str, ShardId)) -> PlacedGroupMessage {
    PlacedGroupMessage { group: group.to_owned(), shard: shard.0 }
}

pub(crate) fn transaction_message(record: &TransactionRecord) -> TransactionMessage {
    TransactionMessage {
        transactional_id: record.transactional_id.clone(),
        producer_id: record.producer_id,
        epoch: i32::from(record.epoch),
        previous_producer_id: record.previous_producer_id,
        previous_epoch: i32::from(record.previous_epoch),
        timeout_ms: record.timeout_ms,
        number: record.number,
        status: status_field(record.status),
        marker_producer_id: record.marker_producer_id,
        marker_epoch: i32::from(record.marker_epoch),
        started_ms: record.started_ms,
        updated_ms: record.updated_ms,
        partitions: record.partitions().map(placed_partition).collect(),
        groups: record.groups().map(placed_group).collect(),
    }
}

pub(crate) fn transaction_from(message: &TransactionMessage) -> Result<TransactionRecord, FormatError> {
    let mut record = TransactionRecord::new(
        message.transactional_id.clone(),
        message.producer_id,
        epoch_of(message.epoch)?,
        message.timeout_ms,
        message.updated_ms,
    );
    record.previous_producer_id = message.previous_producer_id;
    record.previous_epoch = epoch_of(message.previous_epoch)?;
    record.number = message.number;
    record.status = status_of(message.status)?;
    record.marker_producer_id = message.marker_producer_id;
    record.marker_epoch = epoch_of(message.marker_epoch)?;
    record.started_ms = message.started_ms;
    for placed in &message.partitions {
        let partition = partition_of(&placed.topic, placed.partition)?;
        record.partitions.insert_mut(partition, ShardId(placed.shard));
    }
    for placed in &message.groups {
        record.groups.insert_mut(placed.group.clone(), ShardId(placed.shard));
    }
    Ok(record)
}

fn status_field(status: TransactionStatus) -> u32 {
    match status {
        TransactionStatus::Empty => 0,
        TransactionStatus::Ongoing => 1,
        TransactionStatus::PrepareCommit => 2,
        TransactionStatus::PrepareAbort => 3,
        TransactionStatus::CompleteCommit => 4,
        TransactionStatus::CompleteAbort => 5,
    }
}

fn status_of(field: u32) -> Result<TransactionStatus, FormatError> {
    Ok(match field {
        0 => TransactionStatus::Empty,
        1 => TransactionStatus::Ongoing,
        2 => TransactionStatus::PrepareCommit,
        3 => TransactionStatus::PrepareAbort,
        4 => TransactionStatus::CompleteCommit,
        5 => TransactionStatus::CompleteAbort,
        other => return Err(FormatError::malformed("transaction", format!("status {other} is not known"))),
    })
}

pub(crate) fn group_transaction_message(producer_id: i64, state: &GroupTransaction) -> GroupTransactionMessage {
    GroupTransactionMessage {
        producer_id,
        epoch: i32::from(state.epoch),
        number: state.number,
        ended: state.ended,
        updated_ms: state.updated_ms,
        offsets: state.offsets.iter().map(|(partition, offset)| offset_message(*partition, offset)).collect(),
    }
}

pub(crate) fn group_transaction_from(message: &GroupTransactionMessage) -> Result<GroupTransaction, FormatError> {
    let mut state = GroupTransaction {
        epoch: epoch_of(message.epoch)?,
        number: message.number,
        ended: message.ended,
        updated_ms: message.updated_ms,
        ..GroupTransaction::default()
    };
    for offset in &message.offsets {
        let (partition, offset) = offset_from(offset)?;
        state.offsets.insert_mut(partition, offset);
    }
    Ok(state)
}
