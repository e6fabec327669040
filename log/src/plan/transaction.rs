//! What the log takes of transactions: batches and offsets that belong to one, its begin, its decision and its end.
//!
//! Invariants: 9, a batch of a transaction is let in while that transaction is open, and only as part of it; a decision is made once;
//! the part of a transaction that is in this shard ends in the entry that decides it.

use alluvium_infra::planted::{self, Bug};
use alluvium_record::batch::BatchHeader;
use alluvium_record::{Marker, TopicPartition};

use super::Plan;
use crate::apply::ApplyError;
use crate::format::ENVELOPE_HEADER_BYTES;
use crate::format::convert::{offset_message, topic_field};
use crate::format::convert_transaction::{placed_group, placed_partition};
use crate::format::messages::OperationKind;
use crate::format::transaction_messages::{
    AddToTransactionMessage, CommitTransactionOffsetsMessage, CompleteTransactionMessage, EndTransactionMessage,
    ExpireTransactionsMessage, InitTransactionMessage, MarkedPartitionMessage, WriteMarkersMessage,
};
use crate::operation::{
    Operation, Rejection, TRANSACTION_PARTICIPANTS_MAX, TransactionRejection, TransactionTag, VERIFIED_AGE_MS_MAX,
};
use crate::state::{ProducerState, TransactionRecord, TransactionStatus};

/// Control batches carry it; here a coordinator's epoch decides nothing.
const COORDINATOR_EPOCH: i32 = 0;

/// A partition, or a group, of this shard.
#[derive(Clone, Copy)]
enum Participant<'a> {
    Partition(TopicPartition),
    Group(&'a str),
}

/// What a participant knows of a producer.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Number of the open transaction, or 0.
    open: u64,
    /// Number of the last one that ended, or 0.
    ended: u64,
}

/// What an end is called by.
struct End<'a> {
    producer_id: i64,
    epoch: i16,
    number: u64,
    commit: bool,
    partitions: &'a [TopicPartition],
    groups: &'a [String],
}

impl Plan {
    /// The number of the transaction that a batch is part of, 0 if it is of none.
    ///
    /// # Errors
    /// The inner one is why the batch is refused.
    pub(super) fn transaction_of_batch(
        &mut self,
        header: &BatchHeader,
        tag: Option<&TransactionTag>,
        known: Option<&ProducerState>,
        topic_partition: TopicPartition,
    ) -> Result<Result<u64, TransactionRejection>, ApplyError> {
        let open = known.and_then(|state| state.transaction);
        let known = Known { open: open.map_or(0, |open| open.number), ended: known.map_or(0, |state| state.ended) };
        match (header.attributes.is_transactional(), tag) {
            (false, _) if open.is_none() => Ok(Ok(0)),
            (false, _) | (true, None) => Ok(Err(TransactionRejection::InvalidState { status: None })),
            (true, Some(tag)) => {
                let participant = Participant::Partition(topic_partition);
                self.transaction_number(tag, (header.producer_id, header.producer_epoch), known, participant)
            }
        }
    }

    fn transaction_number(
        &mut self,
        tag: &TransactionTag,
        producer: (i64, i16),
        known: Known,
        participant: Participant<'_>,
    ) -> Result<Result<u64, TransactionRejection>, ApplyError> {
        let number = match tag {
            TransactionTag::Verified { verified_ms, .. }
                if self.message.timestamp_ms.saturating_sub(*verified_ms) > VERIFIED_AGE_MS_MAX =>
            {
                return Ok(Err(TransactionRejection::VerifiedTooLongAgo));
            }
            TransactionTag::Verified { number, .. } => *number,
            TransactionTag::Here { transactional_id, implicit } => {
                let number = match self.number_here(transactional_id, producer, *implicit, participant) {
                    Ok(number) => number,
                    Err(rejection) => return Ok(Err(rejection)),
                };
                if known.ended < number && (known.open == 0 || known.open == number) {
                    self.add_here(transactional_id, number, participant)?;
                }
                number
            }
        };
        Ok(match known {
            Known { ended, .. } if ended >= number && !planted::is(Bug::EndedTakesMore) => {
                Err(TransactionRejection::InvalidState { status: None })
            }
            Known { open, .. } if open != 0 && open != number => Err(TransactionRejection::Concurrent),
            _ => Ok(number),
        })
    }

    /// The number of the transaction that is open, or may begin, in the state of an id of this shard.
    fn number_here(
        &self,
        id: &str,
        producer: (i64, i16),
        implicit: bool,
        participant: Participant<'_>,
    ) -> Result<u64, TransactionRejection> {
        let record = self.working.transaction(id).ok_or(TransactionRejection::UnknownTransactionalId)?;
        if !planted::is(Bug::ProducerNotCompared) {
            check_producer(record, producer)?;
        }
        let is_part = match participant {
            Participant::Partition(partition) => record.contains(partition),
            Participant::Group(group) => record.contains_group(group),
        };
        let status = record.status;
        match status {
            TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => Err(TransactionRejection::Concurrent),
            TransactionStatus::Ongoing if is_part => Ok(record.number),
            _ if !implicit => Err(TransactionRejection::InvalidState { status: Some(status) }),
            TransactionStatus::Ongoing if record.participant_count() >= TRANSACTION_PARTICIPANTS_MAX => {
                Err(TransactionRejection::TooLarge)
            }
            TransactionStatus::Ongoing => Ok(record.number),
            TransactionStatus::Empty | TransactionStatus::CompleteCommit | TransactionStatus::CompleteAbort => {
                Ok(record.number + 1)
            }
        }
    }

    /// Makes a participant of this shard part of an id's transaction, unless it is.
    fn add_here(&mut self, id: &str, number: u64, participant: Participant<'_>) -> Result<(), ApplyError> {
        let shard = self.working.shard();
        let is_open = |record: &TransactionRecord| record.status == TransactionStatus::Ongoing;
        let record = self.working.transaction(id).filter(|record| is_open(record));
        let (partitions, groups) = match participant {
            Participant::Partition(partition) if record.is_none_or(|record| !record.contains(partition)) => {
                (vec![placed_partition((partition, shard))], Vec::new())
            }
            Participant::Group(group) if record.is_none_or(|record| !record.contains_group(group)) => {
                (Vec::new(), vec![placed_group((group, shard))])
            }
            Participant::Partition(_) | Participant::Group(_) => return Ok(()),
        };
        let message = AddToTransactionMessage { transactional_id: id.to_owned(), number, partitions, groups };
        self.accept(OperationKind::AddToTransaction(message))
    }

    /// Adds an operation about transactions.
    ///
    /// # Errors
    /// As for [`Plan::operation`].
    pub(super) fn transaction_operation(&mut self, operation: &Operation) -> Result<Result<(), Rejection>, ApplyError> {
        match operation {
            Operation::InitTransaction { transactional_id, timeout_ms, seen, producer_id, epoch, repeatable } => {
                if let Err(rejection) = self.check_init(transactional_id, *seen) {
                    return Ok(Err(rejection));
                }
                self.accept(OperationKind::InitTransaction(InitTransactionMessage {
                    transactional_id: transactional_id.clone(),
                    producer_id: *producer_id,
                    epoch: i32::from(*epoch),
                    timeout_ms: *timeout_ms,
                    repeatable: *repeatable,
                }))?;
                Ok(Ok(()))
            }
            Operation::AddToTransaction { .. } => self.add_to_transaction(operation),
            Operation::EndTransaction { .. } => self.end_transaction(operation),
            Operation::WriteMarkers { producer_id, epoch, number, commit, partitions, groups } => {
                let (producer_id, epoch, number, commit) = (*producer_id, *epoch, *number, *commit);
                self.end_here(&End { producer_id, epoch, number, commit, partitions, groups }).map(Ok)
            }
            Operation::CompleteTransaction { transactional_id, number } => {
                let record = match self.working.transaction(transactional_id) {
                    None => return Ok(Err(Rejection::UnknownTransactionalId)),
                    Some(record) if record.number == *number && record.status.is_decided() => record,
                    // Another coordinator was faster.
                    Some(_) => return Ok(Ok(())),
                };
                let (transactional_id, number) = (record.transactional_id.clone(), record.number);
                let message = CompleteTransactionMessage { transactional_id, number };
                self.accept(OperationKind::CompleteTransaction(message)).map(Ok)
            }
            Operation::CommitTransactionOffsets { .. } => self.commit_transaction_offsets(operation),
            Operation::ExpireTransactions { ids } => {
                let transactional_ids: Vec<String> = ids
                    .iter()
                    .filter(|(id, seen_ms)| {
                        self.working
                            .transaction(id)
                            .is_some_and(|record| record.updated_ms == *seen_ms && !record.status.is_under_way())
                    })
                    .map(|(id, _)| id.clone())
                    .collect();
                if transactional_ids.is_empty() {
                    return Ok(Ok(()));
                }
                let message = ExpireTransactionsMessage { transactional_ids };
                self.accept(OperationKind::ExpireTransactions(message)).map(Ok)
            }
            _ => Ok(Ok(())),
        }
    }

    fn check_init(&self, id: &str, seen: Option<(i64, i16)>) -> Result<(), Rejection> {
        let known = self.working.transaction(id);
        if known.map(|record| (record.producer_id, record.epoch)) != seen {
            return Err(Rejection::TransactionChanged);
        }
        match known.map(|record| record.status) {
            Some(status) if status.is_under_way() => Err(Rejection::ConcurrentTransactions),
            _ => Ok(()),
        }
    }

    fn add_to_transaction(&mut self, operation: &Operation) -> Result<Result<(), Rejection>, ApplyError> {
        let Operation::AddToTransaction { transactional_id, producer_id, epoch, partitions, groups } = operation else {
            return Ok(Ok(()));
        };
        let Some(record) = self.working.transaction(transactional_id) else {
            return Ok(Err(Rejection::UnknownTransactionalId));
        };
        if let Err(rejection) = check_producer(record, (*producer_id, *epoch)) {
            return Ok(Err(rejection.into()));
        }
        if record.status.is_decided() {
            return Ok(Err(Rejection::ConcurrentTransactions));
        }
        let is_open = record.status == TransactionStatus::Ongoing;
        let number = if is_open { record.number } else { record.number + 1 };
        let partitions: Vec<_> = partitions
            .iter()
            .filter(|(partition, _)| !is_open || !record.contains(*partition))
            .map(|placed| placed_partition(*placed))
            .collect();
        let groups: Vec<_> = groups
            .iter()
            .filter(|(group, _)| !is_open || !record.contains_group(group))
            .map(|(group, shard)| placed_group((group, *shard)))
            .collect();
        if partitions.is_empty() && groups.is_empty() {
            return Ok(Ok(()));
        }
        let already = if is_open { record.participant_count() } else { 0 };
        if already + partitions.len() + groups.len() > TRANSACTION_PARTICIPANTS_MAX {
            return Ok(Err(Rejection::TransactionTooLarge));
        }
        let transactional_id = transactional_id.clone();
        let message = AddToTransactionMessage { transactional_id, number, partitions, groups };
        self.accept(OperationKind::AddToTransaction(message)).map(Ok)
    }

    fn end_transaction(&mut self, operation: &Operation) -> Result<Result<(), Rejection>, ApplyError> {
        let Operation::EndTransaction {
            transactional_id,
            producer_id,
            epoch,
            number,
            commit,
            next_producer_id,
            next_epoch,
            overdue_only,
        } = operation
        else {
            return Ok(Ok(()));
        };
        let Some(record) = self.working.transaction(transactional_id).cloned() else {
            return Ok(Err(Rejection::UnknownTransactionalId));
        };
        if let Err(rejection) = check_producer(&record, (*producer_id, *epoch)) {
            return Ok(Err(rejection.into()));
        }
        let status = record.status;
        let is_open = status == TransactionStatus::Ongoing;
        let is_due = !overdue_only || (is_open && record.deadline_ms() <= self.message.timestamp_ms);
        if status.is_decided() {
            return Ok(Err(Rejection::ConcurrentTransactions));
        }
        if record.number != *number || (!is_open && *commit) || !is_due {
            return Ok(Err(Rejection::InvalidTransactionState { status }));
        }
        let marker_epoch = match next_producer_id == producer_id {
            true if planted::is(Bug::MarkerKeepsEpoch) => *epoch,
            true => *next_epoch,
            false => epoch.saturating_add(1),
        };
        self.accept(OperationKind::EndTransaction(EndTransactionMessage {
            transactional_id: transactional_id.clone(),
            number: *number,
            commit: *commit,
            next_producer_id: *next_producer_id,
            next_epoch: i32::from(*next_epoch),
            marker_epoch: i32::from(marker_epoch),
        }))?;
        if !is_open {
            return Ok(Ok(()));
        }
        let shard = self.working.shard();
        let partitions: Vec<TopicPartition> =
            record.partitions().filter(|(_, at)| *at == shard).map(|(partition, _)| partition).collect();
        let groups: Vec<String> =
            record.groups().filter(|(_, at)| *at == shard).map(|(group, _)| group.to_owned()).collect();
        self.end_here(&End {
            producer_id: *producer_id,
            epoch: marker_epoch,
            number: *number,
            commit: *commit,
            partitions: &partitions,
            groups: &groups,
        })?;
        if partitions.len() + groups.len() == record.participant_count() {
            let (transactional_id, number) = (transactional_id.clone(), *number);
            let message = CompleteTransactionMessage { transactional_id, number };
            self.accept(OperationKind::CompleteTransaction(message))?;
        }
        Ok(Ok(()))
    }

    /// Ends a transaction on partitions and groups of this shard where it has not ended.
    fn end_here(&mut self, end: &End<'_>) -> Result<(), ApplyError> {
        let has_ended = |ended: Option<u64>| ended.is_some_and(|ended| ended >= end.number);
        let mut marked: Vec<TopicPartition> = end.partitions.to_vec();
        marked.sort_unstable();
        marked.dedup();
        let partitions: Vec<MarkedPartitionMessage> = marked
            .iter()
            .filter_map(|at| self.working.partition(*at).map(|partition| (at, partition)))
            .filter(|(_, partition)| !has_ended(partition.producer(end.producer_id).map(|known| known.ended)))
            // A partition without offsets left takes no marker, and takes no batches either.
            .filter(|(_, partition)| partition.high_watermark() < i64::MAX)
            .map(|(at, partition)| MarkedPartitionMessage {
                topic: topic_field(at.topic),
                partition: at.partition,
                offset: partition.high_watermark(),
            })
            .collect();
        let mut groups = end.groups.to_vec();
        groups.sort_unstable();
        groups.dedup();
        groups
            .retain(|name| !has_ended(self.working.group_transaction(name, end.producer_id).map(|known| known.ended)));
        if partitions.is_empty() && groups.is_empty() {
            return Ok(());
        }
        let timestamp_ms = self.message.timestamp_ms;
        let mut message = WriteMarkersMessage {
            producer_id: end.producer_id,
            epoch: i32::from(end.epoch),
            number: end.number,
            commit: end.commit,
            position: 0,
            length: 0,
            timestamp_ms,
            partitions,
            groups,
        };
        if !message.partitions.is_empty() {
            let marker = Marker {
                producer_id: end.producer_id,
                producer_epoch: end.epoch,
                commit: end.commit,
                coordinator_epoch: COORDINATOR_EPOCH,
                timestamp_ms,
            };
            let batch = marker.batch().bytes;
            message.position = ENVELOPE_HEADER_BYTES as u64 + self.data_bytes;
            // A control batch has some eighty bytes.
            message.length = batch.len() as u32;
            self.data_bytes += batch.len() as u64;
            self.data.push(batch);
        }
        self.accept(OperationKind::WriteMarkers(message))
    }

    fn commit_transaction_offsets(&mut self, operation: &Operation) -> Result<Result<(), Rejection>, ApplyError> {
        let Operation::CommitTransactionOffsets { group, producer_id, epoch, transaction, offsets } = operation else {
            return Ok(Ok(()));
        };
        if offsets.iter().any(|(partition, _)| crate::validate::is_unknown(&self.working, *partition)) {
            return Ok(Err(Rejection::UnknownPartition));
        }
        let known = self.working.group_transaction(group, *producer_id);
        if let Some(current) = known.map(|known| known.epoch).filter(|current| current > epoch) {
            return Ok(Err(Rejection::ProducerFenced { current }));
        }
        let known = known.map_or(Known::default(), |known| Known { open: known.number, ended: known.ended });
        let number =
            match self.transaction_number(transaction, (*producer_id, *epoch), known, Participant::Group(group))? {
                Ok(number) => number,
                Err(rejection) => return Ok(Err(rejection.into())),
            };
        self.accept(OperationKind::CommitTransactionOffsets(CommitTransactionOffsetsMessage {
            group: group.clone(),
            producer_id: *producer_id,
            epoch: i32::from(*epoch),
            number,
            offsets: offsets.iter().map(|(partition, offset)| offset_message(*partition, offset)).collect(),
        }))
        .map(Ok)
    }
}

/// Whether producer id and epoch are those of the id.
fn check_producer(record: &TransactionRecord, (producer_id, epoch): (i64, i16)) -> Result<(), TransactionRejection> {
    if record.producer_id != producer_id {
        return Err(TransactionRejection::UnknownTransactionalId);
    }
    if record.epoch != epoch {
        return Err(TransactionRejection::Fenced { current: record.epoch });
    }
    Ok(())
}
