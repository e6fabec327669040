//! What the operations of transactions do to the state.
//!
//! Invariants: 9, a transaction ends on each partition once, with the outcome of its decision; offsets of a group appear when it
//! is committed, and not before.

use alluvium_infra::planted::{self, Bug};
use alluvium_record::TopicPartition;

use super::{Applier, ApplyError};
use crate::format::convert::{offset_from, partition_of};
use crate::format::convert_transaction::epoch_of;
use crate::format::transaction_messages::{
    AddToTransactionMessage, CommitTransactionOffsetsMessage, CompleteTransactionMessage, EndTransactionMessage,
    ExpireTransactionsMessage, InitTransactionMessage, WriteMarkersMessage,
};
use crate::state::{
    AbortedTransaction, ObjectRef, ProducerState, Run, State, TransactionRecord, TransactionStatus, group,
};

impl Applier {
    pub(super) fn init_transaction(
        &self,
        state: &mut State,
        message: &InitTransactionMessage,
    ) -> Result<(), ApplyError> {
        let epoch = epoch_of(message.epoch)?;
        let id = message.transactional_id.clone();
        let record = match state.transaction(&message.transactional_id) {
            None => TransactionRecord::new(id, message.producer_id, epoch, message.timeout_ms, self.timestamp_ms),
            Some(known) => {
                let mut record = known.as_ref().clone();
                if record.status.is_under_way() {
                    return Err(self.inconsistent(format!("transactional id {id} begins anew in a transaction")));
                }
                let previous = if message.repeatable { (record.producer_id, record.epoch) } else { (-1, -1) };
                (record.previous_producer_id, record.previous_epoch) = previous;
                record.producer_id = message.producer_id;
                record.epoch = epoch;
                record.status = TransactionStatus::Empty;
                record.timeout_ms = message.timeout_ms;
                record.updated_ms = self.timestamp_ms;
                record
            }
        };
        state.transactions.put(record);
        Ok(())
    }

    pub(super) fn add_to_transaction(
        &self,
        state: &mut State,
        message: &AddToTransactionMessage,
    ) -> Result<(), ApplyError> {
        let mut record = self.transaction(state, &message.transactional_id)?;
        if record.status != TransactionStatus::Ongoing {
            if record.status.is_decided() || message.number != record.number + 1 {
                return Err(self.inconsistent(format!("transaction {} cannot begin now", message.number)));
            }
            record.number = message.number;
            record.status = TransactionStatus::Ongoing;
            record.started_ms = self.timestamp_ms;
            record.partitions = Default::default();
            record.groups = Default::default();
        } else if record.number != message.number {
            return Err(self.inconsistent(format!("transaction {} is not open", message.number)));
        }
        for placed in &message.partitions {
            let partition = partition_of(&placed.topic, placed.partition)?;
            record.partitions.insert_mut(partition, alluvium_record::ShardId(placed.shard));
        }
        for placed in &message.groups {
            record.groups.insert_mut(placed.group.clone(), alluvium_record::ShardId(placed.shard));
        }
        record.updated_ms = self.timestamp_ms;
        state.transactions.put(record);
        Ok(())
    }

    pub(super) fn end_transaction(&self, state: &mut State, message: &EndTransactionMessage) -> Result<(), ApplyError> {
        let mut record = self.transaction(state, &message.transactional_id)?;
        if record.status.is_decided() || record.number != message.number {
            return Err(self.inconsistent(format!("transaction {} is not there to be ended", message.number)));
        }
        record.status = match (record.status, message.commit) {
            (TransactionStatus::Ongoing, true) => TransactionStatus::PrepareCommit,
            (TransactionStatus::Ongoing, false) => TransactionStatus::PrepareAbort,
            // Nothing was under way: there is nothing to finish.
            (_, false) => TransactionStatus::CompleteAbort,
            (_, true) => return Err(self.inconsistent("a transaction that is not open is committed")),
        };
        record.marker_producer_id = record.producer_id;
        record.marker_epoch = epoch_of(message.marker_epoch)?;
        record.previous_producer_id = record.producer_id;
        record.previous_epoch = record.epoch;
        record.producer_id = message.next_producer_id;
        record.epoch = epoch_of(message.next_epoch)?;
        record.updated_ms = self.timestamp_ms;
        state.transactions.put(record);
        Ok(())
    }

    pub(super) fn complete_transaction(
        &self,
        state: &mut State,
        message: &CompleteTransactionMessage,
    ) -> Result<(), ApplyError> {
        let mut record = self.transaction(state, &message.transactional_id)?;
        if record.number != message.number {
            return Err(self.inconsistent(format!("transaction {} is not the last one", message.number)));
        }
        record.status = match record.status {
            TransactionStatus::PrepareCommit => TransactionStatus::CompleteCommit,
            TransactionStatus::PrepareAbort => TransactionStatus::CompleteAbort,
            _ => return Err(self.inconsistent("a transaction is completed that is not decided")),
        };
        record.updated_ms = self.timestamp_ms;
        record.partitions = Default::default();
        record.groups = Default::default();
        state.transactions.put(record);
        Ok(())
    }

    pub(super) fn write_markers(&self, state: &mut State, message: &WriteMarkersMessage) -> Result<(), ApplyError> {
        let epoch = epoch_of(message.epoch)?;
        for marked in &message.partitions {
            let topic_partition = partition_of(&marked.topic, marked.partition)?;
            self.write_marker(state, message, epoch, topic_partition, marked.offset)?;
        }
        for name in &message.groups {
            let mut group = state.groups.get(name).cloned().unwrap_or_default();
            let mut transaction = group.transactions.get(&message.producer_id).cloned().unwrap_or_default();
            if transaction.number == message.number {
                if message.commit {
                    for (partition, offset) in &transaction.offsets {
                        group.offsets.insert_mut(*partition, offset.clone());
                    }
                }
                transaction.offsets = Default::default();
                transaction.number = 0;
            }
            transaction.epoch = transaction.epoch.max(epoch);
            transaction.ended = message.number;
            transaction.updated_ms = self.timestamp_ms;
            group.transactions.insert_mut(message.producer_id, transaction);
            group::forget_producers(&mut group.transactions, self.timestamp_ms);
            state.groups.insert_mut(name.clone(), group);
        }
        Ok(())
    }

    fn write_marker(
        &self,
        state: &mut State,
        message: &WriteMarkersMessage,
        epoch: i16,
        topic_partition: TopicPartition,
        offset: i64,
    ) -> Result<(), ApplyError> {
        let partition = self.partition_mut(state, topic_partition)?;
        if offset != partition.high_watermark || message.length == 0 {
            return Err(self.inconsistent(format!(
                "marker of {topic_partition} is at {offset}, the partition ends at {}",
                partition.high_watermark
            )));
        }
        partition.push_run(Run {
            base_offset: offset,
            last_offset: offset,
            object: ObjectRef::Entry(self.number),
            position: message.position,
            length: message.length,
            segment_end: 0,
            max_timestamp: message.timestamp_ms,
            sum: 0,
        });
        let known = partition.producers.get(&message.producer_id);
        if let Some(open) = known.and_then(|known| known.transaction)
            && !message.commit
            && !planted::is(Bug::AbortForgotten)
        {
            let (producer_id, first_offset) = (message.producer_id, open.first_offset);
            let aborted = AbortedTransaction { producer_id, first_offset, last_offset: offset };
            partition.aborted.insert_mut(offset, aborted);
        }
        let is_new = known.is_none();
        let ended = ProducerState::end(known, epoch, message.number, self.timestamp_ms);
        partition.put_producer(message.producer_id, ended);
        if is_new {
            crate::state::producer::forget(&mut partition.producers, self.timestamp_ms);
        }
        state.objects.refer(ObjectRef::Entry(self.number));
        Ok(())
    }

    pub(super) fn commit_transaction_offsets(
        &self,
        state: &mut State,
        message: &CommitTransactionOffsetsMessage,
    ) -> Result<(), ApplyError> {
        let mut group = state.groups.get(&message.group).cloned().unwrap_or_default();
        let mut transaction = group.transactions.get(&message.producer_id).cloned().unwrap_or_default();
        if message.number <= transaction.ended || (transaction.number > 0 && transaction.number != message.number) {
            return Err(self.inconsistent(format!("offsets of transaction {} are not due", message.number)));
        }
        transaction.number = message.number;
        transaction.epoch = epoch_of(message.epoch)?;
        transaction.updated_ms = self.timestamp_ms;
        for offset in &message.offsets {
            let (topic_partition, offset) = offset_from(offset)?;
            if planted::is(Bug::PendingOffsetsShow) {
                group.offsets.insert_mut(topic_partition, offset.clone());
            }
            transaction.offsets.insert_mut(topic_partition, offset);
        }
        group.transactions.insert_mut(message.producer_id, transaction);
        state.groups.insert_mut(message.group.clone(), group);
        Ok(())
    }

    pub(super) fn expire_transactions(&self, state: &mut State, message: &ExpireTransactionsMessage) {
        for id in &message.transactional_ids {
            state.transactions.remove(id);
        }
    }

    fn transaction(&self, state: &State, id: &str) -> Result<TransactionRecord, ApplyError> {
        let known =
            state.transaction(id).ok_or_else(|| self.inconsistent(format!("transactional id {id} is unknown")))?;
        Ok(known.as_ref().clone())
    }
}
