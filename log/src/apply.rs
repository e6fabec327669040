//! `apply(state, entry)`: pure. No clock, no randomness, no hash order; time comes from the entry.
//!
//! Invariants: 5, the state after entry n is byte-identical everywhere; an entry that does not fit exactly behind the
//! state (number, previous hash, base offsets) is an error and changes nothing.

mod table;
mod transaction;

use std::sync::Arc;

use alluvium_infra::planted::{self, Bug};
use alluvium_record::{ShardId, TopicPartition};
use uuid::Uuid;

use crate::format::FormatError;
use crate::format::convert::{group_from, offset_from, partition_of, topic_from, topic_of, uuid_of};
use crate::format::convert_consumer_group::consumer_group_from;
use crate::format::entry::{Entry, EntryHash};
use crate::format::messages::{
    AlterTopicConfigsMessage, AppendMessage, CommitOffsetsMessage, CreatePartitionsMessage, EntryMessage,
    OperationKind, TopicMessage,
};
use crate::state::{
    Coordinator, GroupState, ObjectRef, Partition, ProducerBatch, ProducerState, Run, State, Topic, group, producer,
};

/// Why an entry cannot be applied. Each of these means damage or a newer release, never bad luck.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Its bytes are not what the format says.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It belongs elsewhere.
    #[error("entry {number} of shard {shard} does not follow entry {last} of shard {expected}")]
    OutOfPlace {
        /// Its shard.
        shard: u32,
        /// Its number.
        number: u64,
        /// The last entry applied.
        last: u64,
        /// The shard of the state.
        expected: u32,
    },
    /// It was built on another entry than the one before it.
    #[error("entry {number} was built on another history: it names {named}, the entry before it has {actual}")]
    Diverged {
        /// Its number.
        number: u64,
        /// The hash that it names.
        named: EntryHash,
        /// The hash of the entry before.
        actual: EntryHash,
    },
    /// It holds an operation that this release does not know.
    #[error("entry {0} holds an operation of a newer release: upgrade alluvium")]
    UnknownOperation(u64),
    /// It says something that cannot be true of the state.
    #[error("entry {number} does not fit the state: {reason}")]
    Inconsistent {
        /// Its number.
        number: u64,
        /// What does not fit.
        reason: String,
    },
}

/// Applies an entry.
///
/// # Errors
/// When the entry does not follow on the state.
pub fn apply(state: &State, entry: &Entry) -> Result<State, ApplyError> {
    let message = &entry.message;
    if message.shard != state.shard.0 || message.number != state.entry_number + 1 {
        return Err(ApplyError::OutOfPlace {
            shard: message.shard,
            number: message.number,
            last: state.entry_number,
            expected: state.shard.0,
        });
    }
    let named = EntryHash::from_field(&message.previous_hash)?;
    if named != state.entry_hash {
        return Err(ApplyError::Diverged { number: message.number, named, actual: state.entry_hash });
    }
    let mut next = state.clone();
    let applier = Applier::new(message)?;
    for operation in &message.operations {
        let kind = operation.kind.as_ref().ok_or(ApplyError::UnknownOperation(message.number))?;
        if planted::is(Bug::ReplayForgets) && matches!(kind, OperationKind::CommitOffsets(_)) {
            continue;
        }
        applier.apply(&mut next, kind)?;
    }
    finish(&mut next, message, entry.hash);
    Ok(next)
}

/// Moves the state's own place in the log behind `message`.
pub(crate) fn finish(state: &mut State, message: &EntryMessage, hash: EntryHash) {
    state.entry_number = message.number;
    state.entry_hash = hash;
    state.timestamp_ms = message.timestamp_ms;
}

/// Applies the operations of one entry; also used while the entry is being planned.
pub(crate) struct Applier {
    number: u64,
    timestamp_ms: i64,
    segments: Vec<(Uuid, u64)>,
}

impl Applier {
    pub(crate) fn new(message: &EntryMessage) -> Result<Self, ApplyError> {
        let segments = message
            .segments
            .iter()
            .map(|segment| Ok((uuid_of(&segment.id)?, segment.data_end)))
            .collect::<Result<Vec<_>, FormatError>>()?;
        Ok(Self { number: message.number, timestamp_ms: message.timestamp_ms, segments })
    }

    pub(crate) fn add_segment(&mut self, id: Uuid, data_end: u64) {
        self.segments.push((id, data_end));
    }

    pub(crate) fn apply(&self, state: &mut State, kind: &OperationKind) -> Result<(), ApplyError> {
        match kind {
            OperationKind::Append(append) => {
                if append.producer_batches.iter().any(|batch| batch.transaction > 0) {
                    return Err(self.inconsistent("a batch of a transaction in a plain append"));
                }
                self.append(state, append)
            }
            OperationKind::TransactionalAppend(append) => self.append(state, append),
            OperationKind::ReplaceRuns(message) => self.replace_runs(state, message),
            OperationKind::ForgetObjects(message) => self.forget_objects(state, message),
            OperationKind::InitTransaction(message) => self.init_transaction(state, message),
            OperationKind::AddToTransaction(message) => self.add_to_transaction(state, message),
            OperationKind::EndTransaction(message) => self.end_transaction(state, message),
            OperationKind::WriteMarkers(message) => self.write_markers(state, message),
            OperationKind::CompleteTransaction(message) => self.complete_transaction(state, message),
            OperationKind::CommitTransactionOffsets(message) => self.commit_transaction_offsets(state, message),
            OperationKind::ExpireTransactions(message) => {
                self.expire_transactions(state, message);
                Ok(())
            }
            OperationKind::CreateTopic(topic) => self.create_topic(state, topic),
            OperationKind::DeleteTopic(topic) => self.delete_topic(state, &topic.id),
            OperationKind::CreatePartitions(change) => self.create_partitions(state, change),
            OperationKind::AlterTopicConfigs(change) => self.alter_topic_configs(state, change),
            OperationKind::DeleteRecords(change) => {
                let topic_partition = partition_of(&change.topic, change.partition)?;
                let partition = self.partition_mut(state, topic_partition)?;
                let too_far = i64::from(planted::is(Bug::LogStartTooFar));
                let gone = partition.move_log_start((change.before_offset + too_far).min(partition.high_watermark));
                self.release(state, topic_partition, &gone);
                Ok(())
            }
            OperationKind::CommitOffsets(_)
            | OperationKind::PutGroup(_)
            | OperationKind::PutConsumerGroup(_)
            | OperationKind::DeleteGroup(_)
            | OperationKind::DeleteOffsets(_) => self.apply_to_group(state, kind),
            OperationKind::SetShardCount(message) => {
                state.shard_count = message.shard_count;
                Ok(())
            }
            OperationKind::TakeOver(message) => {
                let incarnation = uuid_of(&message.incarnation)?;
                state.coordinator = Some(Coordinator { epoch: self.number, node: message.node, incarnation });
                Ok(())
            }
        }
    }

    fn apply_to_group(&self, state: &mut State, kind: &OperationKind) -> Result<(), ApplyError> {
        match kind {
            OperationKind::CommitOffsets(commit) => self.commit_offsets(state, commit),
            OperationKind::PutGroup(group) => {
                let mut known = state.groups.get(&group.group).cloned().unwrap_or_default();
                known.record = Some(Arc::new(group_from(group)));
                known.consumer = None;
                state.groups.insert_mut(group.group.clone(), known);
                Ok(())
            }
            OperationKind::PutConsumerGroup(message) => {
                let change = consumer_group_from(message)?;
                let mut known = state.groups.get(&message.group).cloned().unwrap_or_default();
                let before = known.consumer.take().unwrap_or_default();
                known.record = None;
                known.consumer = Some(Arc::new(before.changed(change)));
                state.groups.insert_mut(message.group.clone(), known);
                Ok(())
            }
            OperationKind::DeleteGroup(group) => {
                match state.groups.get(&group.group).and_then(GroupState::deleted) {
                    Some(left) => state.groups.insert_mut(group.group.clone(), left),
                    None => drop(state.groups.remove_mut(&group.group)),
                }
                group::forget_groups(&mut state.groups, self.timestamp_ms);
                Ok(())
            }
            OperationKind::DeleteOffsets(change) => {
                if let Some(group) = state.groups.get_mut(&change.group) {
                    for partition in &change.partitions {
                        group.offsets.remove_mut(&partition_of(&partition.topic, partition.partition)?);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn append(&self, state: &mut State, append: &AppendMessage) -> Result<(), ApplyError> {
        let topic_partition = partition_of(&append.topic, append.partition)?;
        let (object, segment_end) = match append.segment {
            0 => (ObjectRef::Entry(self.number), 0),
            index => {
                let (id, end) = *self
                    .segments
                    .get(index as usize - 1)
                    .ok_or_else(|| self.inconsistent("run names a segment that the entry does not list"))?;
                (ObjectRef::Segment(id), end)
            }
        };
        let partition = self.partition_mut(state, topic_partition)?;
        if append.base_offset != partition.high_watermark {
            return Err(self.inconsistent(format!(
                "run of {topic_partition} starts at {}, the partition ends at {}",
                append.base_offset, partition.high_watermark
            )));
        }
        if append.offset_count < 1 || append.length == 0 {
            return Err(self.inconsistent("run is empty"));
        }
        partition.push_run(Run {
            base_offset: append.base_offset,
            last_offset: append.base_offset + append.offset_count - 1,
            object,
            position: append.position,
            length: append.length,
            segment_end,
            max_timestamp: append.max_timestamp,
            sum: append.sum,
        });
        for batch in &append.producer_batches {
            let epoch = i16::try_from(batch.epoch).map_err(|_| self.inconsistent("epoch out of range"))?;
            let is_new = !partition.producers.contains_key(&batch.producer_id);
            let remembered = ProducerState::remember(
                partition.producers.get(&batch.producer_id),
                epoch,
                ProducerBatch {
                    base_sequence: batch.base_sequence,
                    record_count: batch.record_count,
                    base_offset: append.base_offset + batch.offset_delta,
                },
                batch.transaction,
                self.timestamp_ms,
            );
            partition.put_producer(batch.producer_id, remembered);
            if is_new {
                producer::forget(&mut partition.producers, self.timestamp_ms);
            }
        }
        state.objects.refer(object);
        Ok(())
    }

    fn create_topic(&self, state: &mut State, message: &TopicMessage) -> Result<(), ApplyError> {
        let topic = topic_from(message)?;
        if state.topic_names.contains_key(&topic.name) || state.topics.contains_key(&topic.id) {
            return Err(self.inconsistent(format!("topic {} exists", topic.name)));
        }
        add_partitions(state, &topic, 0..topic.partition_count);
        if state.is_meta() {
            state.topic_names.insert_mut(topic.name.clone(), topic.id);
        }
        state.topics.insert_mut(topic.id, Arc::new(topic));
        Ok(())
    }

    fn delete_topic(&self, state: &mut State, id: &[u8]) -> Result<(), ApplyError> {
        let id = topic_of(id)?;
        match state.topics.get(&id).cloned() {
            Some(topic) => {
                for partition in 0..topic.partition_count {
                    let topic_partition = TopicPartition { topic: id, partition };
                    if let Some(gone) = state.partitions.get(&topic_partition) {
                        let runs: Vec<Run> = gone.runs().copied().collect();
                        self.release(state, topic_partition, &runs);
                    }
                    state.partitions.remove_mut(&topic_partition);
                }
                state.topic_names.remove_mut(&topic.name);
                state.topics.remove_mut(&id);
            }
            // Another shard may hold only offsets of groups.
            None if !state.is_meta() => {}
            None => return Err(self.inconsistent("topic to delete is unknown")),
        }
        let affected: Vec<String> =
            state.groups.iter().filter(|(_, group)| group.has_offsets_of(id)).map(|(name, _)| name.clone()).collect();
        for name in affected {
            if let Some(group) = state.groups.get_mut(&name) {
                group.forget_topic(id);
            }
        }
        Ok(())
    }

    fn create_partitions(&self, state: &mut State, change: &CreatePartitionsMessage) -> Result<(), ApplyError> {
        let id = topic_of(&change.id)?;
        let mut topic = self.topic(state, &change.id)?.as_ref().clone();
        if change.partition_count <= topic.partition_count {
            return Err(self.inconsistent("partition count does not grow"));
        }
        add_partitions(state, &topic, topic.partition_count..change.partition_count);
        topic.partition_count = change.partition_count;
        state.topics.insert_mut(id, Arc::new(topic));
        Ok(())
    }

    fn alter_topic_configs(&self, state: &mut State, change: &AlterTopicConfigsMessage) -> Result<(), ApplyError> {
        let mut topic = self.topic(state, &change.id)?.as_ref().clone();
        for name in &change.remove {
            topic.configs.remove(name);
        }
        for config in &change.set {
            topic.configs.insert(config.name.clone(), config.value.clone());
        }
        state.topics.insert_mut(topic.id, Arc::new(topic));
        Ok(())
    }

    fn commit_offsets(&self, state: &mut State, commit: &CommitOffsetsMessage) -> Result<(), ApplyError> {
        let mut group = state.groups.get(&commit.group).cloned().unwrap_or_default();
        for offset in &commit.offsets {
            let (topic_partition, offset) = offset_from(offset)?;
            group.offsets.insert_mut(topic_partition, offset);
        }
        state.groups.insert_mut(commit.group.clone(), group);
        Ok(())
    }

    fn release(&self, state: &mut State, topic_partition: TopicPartition, runs: &[Run]) {
        for run in runs {
            state.objects.release(topic_partition, run, self.number, self.timestamp_ms);
        }
    }

    fn topic<'a>(&self, state: &'a State, id: &[u8]) -> Result<&'a Arc<crate::state::Topic>, ApplyError> {
        state.topics.get(&topic_of(id)?).ok_or_else(|| self.inconsistent("topic is unknown"))
    }

    fn partition_mut<'a>(
        &self,
        state: &'a mut State,
        topic_partition: TopicPartition,
    ) -> Result<&'a mut Partition, ApplyError> {
        state
            .partitions
            .get_mut(&topic_partition)
            .ok_or_else(|| self.inconsistent(format!("partition {topic_partition} is unknown")))
    }

    fn inconsistent(&self, reason: impl Into<String>) -> ApplyError {
        ApplyError::Inconsistent { number: self.number, reason: reason.into() }
    }
}

/// Adds those of the partitions that belong to the state's shard.
fn add_partitions(state: &mut State, topic: &Topic, partitions: std::ops::Range<i32>) {
    for partition in partitions.filter(|partition| topic.shard_of(*partition) == state.shard) {
        state.partitions.insert_mut(TopicPartition { topic: topic.id, partition }, Partition::default());
    }
}

/// The state before the first entry of `shard`.
#[must_use]
pub fn genesis(shard: ShardId) -> State {
    State::empty(shard)
}
