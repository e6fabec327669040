//! Transactions as the log holds them: begun, decided, marked, complete. Read from the entries alone.

use std::collections::BTreeSet;
use std::ops::Range;

use alluvium_log::format::messages::OperationKind;
use alluvium_log::format::transaction_messages::{
    AddToTransactionMessage, CommitTransactionOffsetsMessage, EndTransactionMessage, WriteMarkersMessage,
};
use alluvium_record::TopicPartition;

use super::durable::{Durable, LogCommit, LogRecord, partition};
use crate::history::{MARKER, Microseconds, SlotWritten};

/// A transaction in the log: its producer id and its number.
pub type TransactionKey = (i64, u64);

/// A transaction in the log.
#[derive(Clone, Debug, Default)]
pub struct LogTransaction {
    /// The transactional id.
    pub id: String,
    /// When it became durable that it had begun.
    pub begun_us: Option<Microseconds>,
    /// Partitions that were added.
    pub partitions: BTreeSet<TopicPartition>,
    /// Groups that were added.
    pub groups: BTreeSet<String>,
    /// Decisions; there is one at most.
    pub decisions: Vec<Decision>,
    /// When it was complete.
    pub completed_us: Vec<Microseconds>,
    /// Its batches, as places in the list of all.
    pub batches: Vec<usize>,
    /// Offsets that it commits.
    pub offsets: Vec<LogOffset>,
    /// Its ends on partitions and groups.
    pub markers: Vec<LogMarker>,
}

/// What was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// Whether to commit.
    pub commit: bool,
    /// When it became durable.
    pub at_us: Microseconds,
    /// Producer id and epoch that the id has afterwards.
    pub next: (i64, i32),
}

/// An offset that a transaction commits.
#[derive(Clone, Debug)]
pub struct LogOffset {
    /// The group.
    pub group: String,
    /// Which partition.
    pub topic_partition: TopicPartition,
    /// The offset.
    pub offset: i64,
    /// Names the operation that wrote it.
    pub tag: String,
    /// When it became durable.
    pub at_us: Microseconds,
}

/// Where a transaction ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A partition.
    Partition(TopicPartition),
    /// A group.
    Group(String),
}

/// The end of a transaction in one place.
#[derive(Clone, Debug)]
pub struct LogMarker {
    /// Where.
    pub place: Place,
    /// Its offset, in a partition.
    pub offset: i64,
    /// Whether it commits.
    pub commit: bool,
    /// The epoch that it carries.
    pub epoch: i32,
    /// When it became durable.
    pub at_us: Microseconds,
}

impl LogTransaction {
    /// What was decided, if anything was.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        self.decisions.first().copied()
    }

    /// Its end in a place, if it has ended there.
    #[must_use]
    pub fn end_at(&self, place: &Place) -> Option<&LogMarker> {
        self.markers.iter().find(|marker| marker.place == *place)
    }
}

impl Durable {
    /// When a record came to count: with its transaction, if it is part of one. `None` of what was aborted or is open, and of markers.
    pub(super) fn counts_since(&self, at: TopicPartition, record: &LogRecord) -> Option<Microseconds> {
        let Some(key) = record.transaction else { return Some(record.at_us) };
        let end = self.transactions.get(&key)?.end_at(&Place::Partition(at))?;
        (end.commit && record.batch != MARKER).then_some(end.at_us)
    }

    /// Whether a record may be gone by a time, whatever was written after it: a marker, or one of a transaction that was aborted.
    pub(super) fn may_be_left_out(&self, at: TopicPartition, record: &LogRecord, by_us: Microseconds) -> bool {
        let transaction = record.transaction.and_then(|key| self.transactions.get(&key));
        let end = transaction.and_then(|transaction| transaction.end_at(&Place::Partition(at)));
        end.is_some_and(|end| end.at_us <= by_us && (record.batch == MARKER || !end.commit))
    }

    /// Whether all that was at a range of offsets may be gone by a time.
    pub(super) fn may_all_be_left_out(&self, at: TopicPartition, range: Range<i64>, by_us: Microseconds) -> bool {
        let log = self.records.get(&at);
        let mut records = range.map(|offset| log.and_then(|log| log.get(&offset)));
        records.all(|record| record.is_some_and(|record| self.may_be_left_out(at, record, by_us)))
    }

    pub(super) fn read_transaction(&mut self, slot: &SlotWritten, kind: &OperationKind) -> Result<(), String> {
        match kind {
            OperationKind::InitTransaction(init) => {
                self.ids.insert(init.transactional_id.clone(), init.producer_id);
            }
            OperationKind::AddToTransaction(add) => self.read_added(slot, add)?,
            OperationKind::EndTransaction(end) => self.read_decision(slot, end),
            OperationKind::WriteMarkers(markers) => self.read_markers(slot, markers)?,
            OperationKind::CompleteTransaction(complete) => {
                let key = (self.producer_of(&complete.transactional_id), complete.number);
                self.transactions.entry(key).or_default().completed_us.push(slot.at_us);
            }
            OperationKind::CommitTransactionOffsets(commit) => self.read_offsets(slot, commit)?,
            _ => {}
        }
        Ok(())
    }

    /// The producer id of a transactional id, as of the entry that is read.
    fn producer_of(&self, id: &str) -> i64 {
        self.ids.get(id).copied().unwrap_or(-1)
    }

    fn read_added(&mut self, slot: &SlotWritten, add: &AddToTransactionMessage) -> Result<(), String> {
        let key = (self.producer_of(&add.transactional_id), add.number);
        let transaction = self.transactions.entry(key).or_default();
        transaction.id.clone_from(&add.transactional_id);
        transaction.begun_us.get_or_insert(slot.at_us);
        for placed in &add.partitions {
            transaction.partitions.insert(partition(&placed.topic, placed.partition)?);
        }
        transaction.groups.extend(add.groups.iter().map(|placed| placed.group.clone()));
        Ok(())
    }

    fn read_decision(&mut self, slot: &SlotWritten, end: &EndTransactionMessage) {
        let key = (self.producer_of(&end.transactional_id), end.number);
        self.ids.insert(end.transactional_id.clone(), end.next_producer_id);
        let known = self.transactions.get_mut(&key);
        // An end of what has ended, or never began, says no more than the next epoch.
        let is_over = known.as_ref().is_none_or(|known| known.begun_us.is_none() || !known.completed_us.is_empty());
        if let Some(transaction) = known
            && (end.commit || !is_over)
        {
            let next = (end.next_producer_id, end.next_epoch);
            transaction.decisions.push(Decision { commit: end.commit, at_us: slot.at_us, next });
        }
    }

    fn read_markers(&mut self, slot: &SlotWritten, markers: &WriteMarkersMessage) -> Result<(), String> {
        let key = (markers.producer_id, markers.number);
        let (commit, epoch, at_us) = (markers.commit, markers.epoch, slot.at_us);
        for marked in &markers.partitions {
            let (topic_partition, offset) = (partition(&marked.topic, marked.partition)?, marked.offset);
            let record = LogRecord {
                batch: MARKER,
                index: u32::from(commit),
                at_us,
                transaction: Some(key),
                digest: 0,
                key: 0,
                is_tombstone: false,
            };
            self.put((topic_partition, offset), record)?;
            let place = Place::Partition(topic_partition);
            let marker = LogMarker { place, offset, commit, epoch, at_us };
            self.transactions.entry(key).or_default().markers.push(marker);
        }
        for group in &markers.groups {
            let transaction = self.transactions.entry(key).or_default();
            let place = Place::Group(group.clone());
            transaction.markers.push(LogMarker { place, offset: -1, commit, epoch, at_us });
            if !commit {
                continue;
            }
            for offset in transaction.offsets.iter().filter(|offset| offset.group == *group) {
                let (tag, entry) = (offset.tag.clone(), slot.number);
                let commits = self.commits.entry((group.clone(), offset.topic_partition)).or_default();
                commits.push(LogCommit { tag, entry, at_us, transaction: Some(key) });
            }
        }
        Ok(())
    }

    fn read_offsets(&mut self, slot: &SlotWritten, commit: &CommitTransactionOffsetsMessage) -> Result<(), String> {
        let transaction = self.transactions.entry((commit.producer_id, commit.number)).or_default();
        for offset in &commit.offsets {
            transaction.offsets.push(LogOffset {
                group: commit.group.clone(),
                topic_partition: partition(&offset.topic, offset.partition)?,
                offset: offset.offset,
                tag: offset.metadata.clone(),
                at_us: slot.at_us,
            });
        }
        Ok(())
    }
}
