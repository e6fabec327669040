//! Checkpoints: the state of a shard after an entry, so that nobody replays from zero.
//!
//! Invariant 5: the same state always gives the same bytes, so a race between two writers is harmless.

use std::collections::BTreeMap;
use std::sync::Arc;

use alluvium_infra::store::Payload;
use alluvium_record::{ShardId, TopicPartition};
use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::convert::{
    group_from, group_message, offset_from, offset_message, partition_of, topic_field, topic_from, topic_message,
    uuid_field, uuid_of,
};
use super::convert_consumer_group::{consumer_group_from, consumer_group_message};
use super::convert_table::{garbage_from, garbage_message, table_file, table_of};
use super::convert_transaction::{
    group_transaction_from, group_transaction_message, transaction_from, transaction_message,
};
use super::entry::EntryHash;
use super::messages::CoordinatorMessage;
use super::stored_messages::{
    CheckpointMessage, GroupStateMessage, PartitionMessage, ProducerMessage, ProducerStateBatchMessage, RunMessage,
};
use super::table_messages::TableRunMessage;
use super::transaction_messages::AbortedTransactionMessage;
use super::{FormatError, Kind, decode_kind, encode_envelope};
use crate::state::{
    AbortedTransaction, ConsumerGroupRecord, Coordinator, GroupState, ObjectRef, OpenTransaction, Partition,
    ProducerBatch, ProducerState, Run, State,
};

/// Encodes the state as a checkpoint object.
#[must_use]
pub fn encode(state: &State) -> Payload {
    let message = to_message(state);
    encode_envelope(Kind::Checkpoint, Vec::new(), Bytes::from(message.encode_to_vec())).0
}

/// The deterministic bytes of a state, for comparing two of them.
#[must_use]
pub fn state_bytes(state: &State) -> Vec<u8> {
    to_message(state).encode_to_vec()
}

/// Decodes a checkpoint object.
///
/// # Errors
/// When the object is damaged, no checkpoint, or written by a newer release.
pub fn decode(object: &Bytes) -> Result<State, FormatError> {
    let envelope = decode_kind(object, Kind::Checkpoint)?;
    let message = CheckpointMessage::decode(envelope.metadata)
        .map_err(|error| FormatError::malformed("checkpoint", error.to_string()))?;
    from_message(&message)
}

/// What a run is that is in no entry.
const PLACE_SEGMENT: u32 = 0;
const PLACE_TABLE: u32 = 1;
const PLACE_NOTHING: u32 = 2;

fn to_message(state: &State) -> CheckpointMessage {
    let segments: BTreeMap<Uuid, u64> = state
        .partitions()
        .flat_map(|(_, partition)| partition.runs())
        .filter_map(|run| match run.object {
            ObjectRef::Segment(id) => Some((id, run.segment_end)),
            ObjectRef::Entry(_) | ObjectRef::Table(_) | ObjectRef::Nothing => None,
        })
        .collect();
    let index: BTreeMap<Uuid, u32> = segments.keys().copied().zip(0_u32..).collect();
    CheckpointMessage {
        shard: state.shard.0,
        entry_number: state.entry_number,
        entry_hash: state.entry_hash.to_field(),
        timestamp_ms: state.timestamp_ms,
        topics: state.topics.values().map(|topic| topic_message(topic)).collect(),
        partitions: state
            .partitions()
            .map(|(topic_partition, partition)| partition_message(*topic_partition, partition, &index))
            .collect(),
        groups: state.groups.iter().map(|(group, state)| group_state_message(group, state)).collect(),
        segments: segments.keys().copied().map(uuid_field).collect(),
        segment_ends: segments.into_values().collect(),
        shard_count: state.shard_count,
        coordinator: state.coordinator.map(|coordinator| CoordinatorMessage {
            epoch: coordinator.epoch,
            node: coordinator.node,
            incarnation: uuid_field(coordinator.incarnation),
        }),
        transactions: state.transactions().map(|record| transaction_message(record)).collect(),
        garbage: state.garbage().filter_map(|(object, garbage)| garbage_message(object, garbage)).collect(),
    }
}

fn partition_message(
    topic_partition: TopicPartition,
    partition: &Partition,
    segments: &BTreeMap<Uuid, u32>,
) -> PartitionMessage {
    let runs = partition
        .runs()
        .map(|run| {
            let (entry, segment, place) = match run.object {
                ObjectRef::Entry(number) => (number, 0, 0),
                ObjectRef::Segment(id) => (0, segments.get(&id).copied().unwrap_or_default(), PLACE_SEGMENT),
                ObjectRef::Table(_) => (0, 0, PLACE_TABLE),
                ObjectRef::Nothing => (0, 0, PLACE_NOTHING),
            };
            RunMessage {
                base_offset: run.base_offset,
                offset_count: run.last_offset - run.base_offset + 1,
                entry,
                segment,
                position: run.position,
                length: run.length,
                max_timestamp: run.max_timestamp,
                sum: run.sum,
                place,
            }
        })
        .collect();
    let tables = partition
        .runs()
        .filter_map(|run| match run.object {
            ObjectRef::Table(id) => partition.table(run).map(|table| TableRunMessage {
                base_offset: run.base_offset,
                file: Some(table_file(id, run.length, run.max_timestamp, table)),
            }),
            ObjectRef::Entry(_) | ObjectRef::Segment(_) | ObjectRef::Nothing => None,
        })
        .collect();
    let aborted = partition
        .aborted
        .values()
        .map(|aborted| AbortedTransactionMessage {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
            last_offset: aborted.last_offset,
        })
        .collect();
    PartitionMessage {
        topic: topic_field(topic_partition.topic),
        partition: topic_partition.partition,
        log_start_offset: partition.log_start_offset,
        high_watermark: partition.high_watermark,
        runs,
        producers: partition.producers().map(|(id, state)| producer_message(id, state)).collect(),
        aborted,
        tables,
        cleaned_to: partition.cleaned_to,
    }
}

fn producer_message(producer_id: i64, state: &ProducerState) -> ProducerMessage {
    ProducerMessage {
        producer_id,
        epoch: i32::from(state.epoch),
        batches: state
            .batches
            .iter()
            .map(|batch| ProducerStateBatchMessage {
                base_sequence: batch.base_sequence,
                record_count: batch.record_count,
                base_offset: batch.base_offset,
            })
            .collect(),
        updated_ms: state.updated_ms,
        transaction: state.transaction.map_or(0, |open| open.number),
        first_offset: state.transaction.map_or(0, |open| open.first_offset),
        ended: state.ended,
    }
}

fn group_state_message(group: &str, state: &GroupState) -> GroupStateMessage {
    GroupStateMessage {
        group: group.to_owned(),
        record: state.record().map(|record| group_message(record)),
        offsets: state.offsets().map(|(partition, offset)| offset_message(*partition, offset)).collect(),
        consumer: state.consumer().map(|group| consumer_group_message(&group.as_change())),
        transactions: state
            .transactions()
            .map(|(id, transaction)| group_transaction_message(id, transaction))
            .collect(),
    }
}

fn from_message(message: &CheckpointMessage) -> Result<State, FormatError> {
    let mut state = State::empty(ShardId(message.shard));
    state.entry_number = message.entry_number;
    state.entry_hash = EntryHash::from_field(&message.entry_hash)?;
    state.timestamp_ms = message.timestamp_ms;
    state.shard_count = message.shard_count;
    state.coordinator = match &message.coordinator {
        Some(coordinator) => Some(Coordinator {
            epoch: coordinator.epoch,
            node: coordinator.node,
            incarnation: uuid_of(&coordinator.incarnation)?,
        }),
        None => None,
    };
    for topic in &message.topics {
        let topic = topic_from(topic)?;
        if state.is_meta() {
            state.topic_names.insert_mut(topic.name.clone(), topic.id);
        }
        state.topics.insert_mut(topic.id, Arc::new(topic));
    }
    if message.segments.len() != message.segment_ends.len() {
        return Err(FormatError::malformed("checkpoint", "segments and their ends differ in number"));
    }
    let segments = message
        .segments
        .iter()
        .zip(&message.segment_ends)
        .map(|(id, end)| Ok((uuid_of(id)?, *end)))
        .collect::<Result<Vec<_>, FormatError>>()?;
    for partition in &message.partitions {
        let topic_partition = partition_of(&partition.topic, partition.partition)?;
        let partition = partition_from(partition, &segments)?;
        partition.runs().for_each(|run| state.objects.refer(run.object));
        state.partitions.insert_mut(topic_partition, partition);
    }
    for group in &message.groups {
        let mut restored = GroupState {
            record: group.record.as_ref().map(|record| Arc::new(group_from(record))),
            consumer: match &group.consumer {
                Some(message) => Some(Arc::new(ConsumerGroupRecord::default().changed(consumer_group_from(message)?))),
                None => None,
            },
            ..GroupState::default()
        };
        for offset in &group.offsets {
            let (topic_partition, offset) = offset_from(offset)?;
            restored.offsets.insert_mut(topic_partition, offset);
        }
        for transaction in &group.transactions {
            restored.transactions.insert_mut(transaction.producer_id, group_transaction_from(transaction)?);
        }
        state.groups.insert_mut(group.group.clone(), restored);
    }
    for garbage in &message.garbage {
        let (object, garbage) = garbage_from(garbage)?;
        state.objects.garbage.insert_mut(object, garbage);
    }
    for transaction in &message.transactions {
        state.transactions.put(transaction_from(transaction)?);
    }
    Ok(state)
}

fn partition_from(message: &PartitionMessage, segments: &[(Uuid, u64)]) -> Result<Partition, FormatError> {
    let mut partition = Partition {
        log_start_offset: message.log_start_offset,
        cleaned_to: message.cleaned_to,
        ..Partition::default()
    };
    let unlisted = |what: &str| FormatError::malformed("checkpoint", format!("run names a {what} that is not listed"));
    let mut files = std::collections::BTreeMap::new();
    for table in &message.tables {
        let file = table.file.as_ref().ok_or_else(|| unlisted("file"))?;
        files.insert(table.base_offset, uuid_of(&file.id)?);
        partition.tables.insert_mut(table.base_offset, table_of(file)?);
    }
    for run in &message.runs {
        let (object, segment_end) = match (run.entry, run.place) {
            (0, PLACE_SEGMENT) => {
                let (id, end) = segments.get(run.segment as usize).ok_or_else(|| unlisted("segment"))?;
                (ObjectRef::Segment(*id), *end)
            }
            (0, PLACE_TABLE) => {
                let id = files.get(&run.base_offset).ok_or_else(|| unlisted("file"))?;
                (ObjectRef::Table(*id), 0)
            }
            (0, PLACE_NOTHING) => (ObjectRef::Nothing, 0),
            (0, other) => return Err(FormatError::malformed("checkpoint", format!("run is in place {other}"))),
            (number, _) => (ObjectRef::Entry(number), 0),
        };
        partition.push_run(Run {
            base_offset: run.base_offset,
            last_offset: run.base_offset + run.offset_count - 1,
            object,
            position: run.position,
            length: run.length,
            segment_end,
            max_timestamp: run.max_timestamp,
            sum: run.sum,
        });
    }
    partition.high_watermark = message.high_watermark;
    for producer in &message.producers {
        partition.put_producer(producer.producer_id, producer_from(producer)?);
    }
    for aborted in &message.aborted {
        let AbortedTransactionMessage { producer_id, first_offset, last_offset } = *aborted;
        partition.aborted.insert_mut(last_offset, AbortedTransaction { producer_id, first_offset, last_offset });
    }
    Ok(partition)
}

fn producer_from(message: &ProducerMessage) -> Result<ProducerState, FormatError> {
    Ok(ProducerState {
        epoch: i16::try_from(message.epoch).map_err(|_| FormatError::malformed("producer", "epoch out of range"))?,
        batches: message
            .batches
            .iter()
            .map(|batch| ProducerBatch {
                base_sequence: batch.base_sequence,
                record_count: batch.record_count,
                base_offset: batch.base_offset,
            })
            .collect(),
        updated_ms: message.updated_ms,
        transaction: (message.transaction > 0)
            .then_some(OpenTransaction { number: message.transaction, first_offset: message.first_offset }),
        ended: message.ended,
    })
}
