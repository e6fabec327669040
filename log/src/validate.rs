//! What the log takes: operations without records, checked against the exact state before them.
//!
//! Pure. Returns the operation as it goes into the entry, or nothing when there is nothing to change.

use alluvium_record::{TopicId, TopicPartition};
use bytes::Bytes;

use crate::format::convert::{group_message, offset_message, topic_field, topic_message};
use crate::format::convert_consumer_group::consumer_group_message;
use crate::format::messages::{
    AlterTopicConfigsMessage, CommitOffsetsMessage, ConfigMessage, CreatePartitionsMessage, DeleteOffsetsMessage,
    DeleteRecordsMessage, GroupIdMessage, OperationKind, SetShardCountMessage, TakeOverMessage, TopicIdMessage,
    TopicPartitionMessage,
};
use crate::operation::{Operation, Rejection};
use crate::state::{GroupState, State, Topic};

/// Refuses the command of a coordinator that was taken over from.
pub(crate) fn check_coordinator(state: &State, epoch: u64) -> Result<(), Rejection> {
    match state.coordinator() {
        Some(current) if current.epoch == epoch => Ok(()),
        Some(current) => Err(Rejection::NotCoordinator { epoch: current.epoch, node: current.node }),
        None => Err(Rejection::NotCoordinator { epoch: 0, node: -1 }),
    }
}

/// Refuses offsets from somebody who is not the coordinator while a group has members: they alone commit.
pub(crate) fn check_outsider(state: &State, operation: &Operation) -> Result<(), Rejection> {
    match operation {
        Operation::CommitOffsets { group, .. } if state.group(group).is_some_and(GroupState::has_members) => {
            Err(Rejection::GroupNotEmpty)
        }
        _ => Ok(()),
    }
}

pub(crate) fn validate(
    state: &State,
    operation: &Operation,
    timestamp_ms: i64,
) -> Result<Option<OperationKind>, Rejection> {
    match operation {
        Operation::CreateTopic { id, name, partition_count, replication_factor, configs, shard_count } => {
            let topic = Topic {
                id: *id,
                name: name.clone(),
                partition_count: *partition_count,
                replication_factor: *replication_factor,
                configs: configs.clone(),
                shard_count: *shard_count,
                created_ms: timestamp_ms,
            };
            create_topic(state, &topic)
        }
        Operation::DeleteTopic { id } => delete_topic(state, *id),
        Operation::CreatePartitions { id, new_count } => create_partitions(state, *id, *new_count),
        Operation::AlterTopicConfigs { id, set, remove } => {
            state.topic(*id).ok_or(Rejection::UnknownTopic)?;
            let set =
                set.iter().map(|(name, value)| ConfigMessage { name: name.clone(), value: value.clone() }).collect();
            let message = AlterTopicConfigsMessage { id: topic_field(*id), set, remove: remove.clone() };
            Ok(Some(OperationKind::AlterTopicConfigs(message)))
        }
        Operation::DeleteRecords { topic_partition, before_offset } => {
            delete_records(state, *topic_partition, *before_offset)
        }
        Operation::CommitOffsets { .. }
        | Operation::PutGroup { .. }
        | Operation::PutConsumerGroup { .. }
        | Operation::DeleteGroup { .. }
        | Operation::DeleteOffsets { .. } => validate_group(state, operation),
        Operation::SetShardCount { count } => {
            if !state.is_meta() || *count < state.shard_count.max(1) {
                let bounds = format!("at least {}, in the meta shard", state.shard_count.max(1));
                return Err(Rejection::OutOfBounds { what: "shard count", bounds });
            }
            if *count == state.shard_count {
                return Ok(None);
            }
            Ok(Some(OperationKind::SetShardCount(SetShardCountMessage { shard_count: *count })))
        }
        Operation::TakeOver { node, incarnation } => {
            let incarnation = Bytes::copy_from_slice(incarnation.as_bytes());
            Ok(Some(OperationKind::TakeOver(TakeOverMessage { node: *node, incarnation })))
        }
        Operation::ReplaceRuns { replacement } => {
            crate::replacement::validate(state, replacement, timestamp_ms).map(Some)
        }
        Operation::ForgetObjects { objects } => Ok(crate::replacement::forget(state, objects)),
        // Planned where one of them may become several.
        Operation::InitTransaction { .. }
        | Operation::AddToTransaction { .. }
        | Operation::EndTransaction { .. }
        | Operation::WriteMarkers { .. }
        | Operation::CompleteTransaction { .. }
        | Operation::CommitTransactionOffsets { .. }
        | Operation::ExpireTransactions { .. } => Ok(None),
    }
}

fn create_topic(state: &State, topic: &Topic) -> Result<Option<OperationKind>, Rejection> {
    if topic.partition_count < 1 {
        return Err(Rejection::OutOfBounds { what: "partition count", bounds: "at least 1".to_owned() });
    }
    if topic.shard_count < 1 {
        return Err(Rejection::OutOfBounds { what: "shard count", bounds: "at least 1".to_owned() });
    }
    if state.topic_by_name(&topic.name).is_some() {
        return Err(Rejection::TopicExists(topic.name.clone()));
    }
    match state.topic(topic.id) {
        Some(_) if state.is_meta() => return Err(Rejection::TopicIdTaken),
        // Elsewhere than in the meta shard this may be repeated.
        Some(_) => return Ok(None),
        None => {}
    }
    Ok(Some(OperationKind::CreateTopic(topic_message(topic))))
}

fn delete_topic(state: &State, id: TopicId) -> Result<Option<OperationKind>, Rejection> {
    if state.topic(id).is_none() {
        if state.is_meta() {
            return Err(Rejection::UnknownTopic);
        }
        if !state.has_offsets_of(id) {
            return Ok(None);
        }
    }
    Ok(Some(OperationKind::DeleteTopic(TopicIdMessage { id: topic_field(id) })))
}

fn create_partitions(state: &State, id: TopicId, new_count: i32) -> Result<Option<OperationKind>, Rejection> {
    let topic = state.topic(id).ok_or(Rejection::UnknownTopic)?;
    let current = topic.partition_count;
    if new_count <= current && !state.is_meta() {
        return Ok(None);
    }
    if new_count <= current {
        return Err(Rejection::PartitionCountNotLarger { current, requested: new_count });
    }
    let message = CreatePartitionsMessage { id: topic_field(id), partition_count: new_count };
    Ok(Some(OperationKind::CreatePartitions(message)))
}

fn delete_records(
    state: &State,
    topic_partition: TopicPartition,
    before_offset: i64,
) -> Result<Option<OperationKind>, Rejection> {
    let partition = state.partition(topic_partition).ok_or(Rejection::UnknownPartition)?;
    if before_offset < 0 || before_offset > partition.high_watermark() {
        return Err(Rejection::OffsetOutOfRange {
            log_start_offset: partition.log_start_offset(),
            high_watermark: partition.high_watermark(),
        });
    }
    if before_offset <= partition.log_start_offset() {
        return Ok(None);
    }
    Ok(Some(OperationKind::DeleteRecords(DeleteRecordsMessage {
        topic: topic_field(topic_partition.topic),
        partition: topic_partition.partition,
        before_offset,
    })))
}

/// Whether a partition is known not to be there. Partitions of other shards are the caller's to check.
pub(crate) fn is_unknown(state: &State, partition: TopicPartition) -> bool {
    match state.topic(partition.topic) {
        Some(topic) => partition.partition < 0 || partition.partition >= topic.partition_count,
        None => state.is_meta(),
    }
}

fn validate_group(state: &State, operation: &Operation) -> Result<Option<OperationKind>, Rejection> {
    match operation {
        Operation::CommitOffsets { group, offsets } => {
            if offsets.iter().any(|(partition, _)| is_unknown(state, *partition)) {
                return Err(Rejection::UnknownPartition);
            }
            let offsets = offsets.iter().map(|(partition, offset)| offset_message(*partition, offset)).collect();
            let message = CommitOffsetsMessage { group: group.clone(), offsets };
            Ok(Some(OperationKind::CommitOffsets(message)))
        }
        Operation::PutGroup { group } => {
            let known = state.group(&group.group).and_then(|state| state.record());
            if let Some(known) = known
                && known.generation > group.generation
            {
                return Err(Rejection::StaleGeneration { current: known.generation });
            }
            Ok(Some(OperationKind::PutGroup(group_message(group))))
        }
        Operation::PutConsumerGroup { change } => {
            Ok(Some(OperationKind::PutConsumerGroup(consumer_group_message(change))))
        }
        Operation::DeleteGroup { group } => {
            let known = state.group(group).ok_or(Rejection::UnknownGroup)?;
            if known.has_members() || known.has_pending_offsets() {
                return Err(Rejection::GroupNotEmpty);
            }
            Ok(Some(OperationKind::DeleteGroup(GroupIdMessage { group: group.clone() })))
        }
        Operation::DeleteOffsets { group, partitions } => {
            let known = state.group(group).ok_or(Rejection::UnknownGroup)?;
            let partitions: Vec<_> = partitions
                .iter()
                .filter(|partition| known.offset(**partition).is_some())
                .map(|partition| TopicPartitionMessage {
                    topic: Bytes::copy_from_slice(partition.topic.as_bytes()),
                    partition: partition.partition,
                })
                .collect();
            if partitions.is_empty() {
                return Ok(None);
            }
            Ok(Some(OperationKind::DeleteOffsets(DeleteOffsetsMessage { group: group.clone(), partitions })))
        }
        _ => Ok(None),
    }
}
