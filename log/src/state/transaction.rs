//! Transactional ids as the log knows them, in the shard of the id.
//!
//! Invariants: the number of an id's transaction never goes back, and no number is used for two transactions; a decision is never
//! changed; partitions and groups are those of the current or last transaction, and are there until it is complete.

use std::sync::Arc;

use alluvium_record::{ShardId, TopicPartition};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

/// Where a transactional id stands; the names are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransactionStatus {
    /// No transaction was begun since the producer id or epoch was given out.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// It is decided that it commits; markers are on their way.
    PrepareCommit,
    /// It is decided that it aborts; markers are on their way.
    PrepareAbort,
    /// It was committed everywhere.
    CompleteCommit,
    /// It was aborted everywhere.
    CompleteAbort,
}

impl TransactionStatus {
    /// Whether the end is decided, and not yet known everywhere.
    #[must_use]
    pub fn is_decided(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// Whether a transaction is open or ending.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        self == Self::Ongoing || self.is_decided()
    }
}

/// A transactional id and its current or last transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRecord {
    /// The id.
    pub transactional_id: String,
    /// Its producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The producer id before the last change of producer id or epoch, or -1 when another producer had it.
    pub previous_producer_id: i64,
    /// The epoch before the last change, or -1 when another producer had it.
    pub previous_epoch: i16,
    /// How long a transaction may take, in milliseconds.
    pub timeout_ms: i32,
    /// Number of the current or last transaction; 0 before the first.
    pub number: u64,
    /// Where it stands.
    pub status: TransactionStatus,
    /// The producer id in markers of the last decision.
    pub marker_producer_id: i64,
    /// The epoch in markers of the last decision.
    pub marker_epoch: i16,
    /// When the current or last transaction began, milliseconds since 1970.
    pub started_ms: i64,
    /// When anything changed last, milliseconds since 1970.
    pub updated_ms: i64,
    pub(crate) partitions: RedBlackTreeMapSync<TopicPartition, ShardId>,
    pub(crate) groups: RedBlackTreeMapSync<String, ShardId>,
}

impl TransactionRecord {
    pub(crate) fn new(transactional_id: String, producer_id: i64, epoch: i16, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            transactional_id,
            producer_id,
            epoch,
            previous_producer_id: -1,
            previous_epoch: -1,
            timeout_ms,
            number: 0,
            status: TransactionStatus::Empty,
            marker_producer_id: -1,
            marker_epoch: -1,
            started_ms: 0,
            updated_ms: now_ms,
            partitions: RedBlackTreeMapSync::new_sync(),
            groups: RedBlackTreeMapSync::new_sync(),
        }
    }

    /// Partitions of the transaction with their shards.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, ShardId)> {
        self.partitions.iter().map(|(partition, shard)| (*partition, *shard))
    }

    /// Groups whose offsets the transaction commits, with their shards.
    pub fn groups(&self) -> impl Iterator<Item = (&str, ShardId)> {
        self.groups.iter().map(|(group, shard)| (group.as_str(), *shard))
    }

    /// Whether a partition is part of the transaction.
    #[must_use]
    pub fn contains(&self, topic_partition: TopicPartition) -> bool {
        self.partitions.contains_key(&topic_partition)
    }

    /// Whether offsets of a group are part of the transaction.
    #[must_use]
    pub fn contains_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Partitions and groups of the transaction.
    #[must_use]
    pub fn participant_count(&self) -> usize {
        self.partitions.size() + self.groups.size()
    }

    /// When the open transaction is overdue, milliseconds since 1970.
    #[must_use]
    pub fn deadline_ms(&self) -> i64 {
        self.started_ms.saturating_add(i64::from(self.timeout_ms))
    }
}

/// Transactional ids of a shard, with those that somebody has to do something about.
#[derive(Debug, Clone)]
pub(crate) struct TransactionTable {
    records: RedBlackTreeMapSync<String, Arc<TransactionRecord>>,
    /// Open ones by deadline.
    open: RedBlackTreeSetSync<(i64, String)>,
    /// Decided ones that are not complete.
    unfinished: RedBlackTreeSetSync<String>,
}

impl Default for TransactionTable {
    fn default() -> Self {
        Self {
            records: RedBlackTreeMapSync::new_sync(),
            open: RedBlackTreeSetSync::new_sync(),
            unfinished: RedBlackTreeSetSync::new_sync(),
        }
    }
}

impl TransactionTable {
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<TransactionRecord>> {
        self.records.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<TransactionRecord>> {
        self.records.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.records.size()
    }

    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &Arc<TransactionRecord>> {
        self.unfinished.iter().filter_map(|id| self.records.get(id))
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<TransactionRecord>> {
        self.open.iter().filter_map(|(_, id)| self.records.get(id))
    }

    pub(crate) fn put(&mut self, record: TransactionRecord) {
        self.unlist(&record.transactional_id);
        match record.status {
            TransactionStatus::Ongoing => {
                self.open.insert_mut((record.deadline_ms(), record.transactional_id.clone()));
            }
            status if status.is_decided() => self.unfinished.insert_mut(record.transactional_id.clone()),
            _ => {}
        }
        self.records.insert_mut(record.transactional_id.clone(), Arc::new(record));
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.unlist(id);
        self.records.remove_mut(id);
    }

    fn unlist(&mut self, id: &str) {
        let Some(known) = self.records.get(id) else { return };
        match known.status {
            TransactionStatus::Ongoing => {
                self.open.remove_mut(&(known.deadline_ms(), id.to_owned()));
            }
            status if status.is_decided() => {
                self.unfinished.remove_mut(id);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_and_what_is_unfinished_follows_the_status() {
        let mut table = TransactionTable::default();
        let mut record = TransactionRecord::new("a".to_owned(), 1, 0, 100, 5);
        table.put(record.clone());
        assert_eq!((table.open().count(), table.unfinished().count()), (0, 0));
        record.status = TransactionStatus::Ongoing;
        record.started_ms = 50;
        table.put(record.clone());
        record.started_ms = 60;
        table.put(record.clone());
        assert_eq!(table.open().map(|record| record.deadline_ms()).collect::<Vec<_>>(), [160]);
        record.status = TransactionStatus::PrepareAbort;
        table.put(record.clone());
        assert_eq!((table.open().count(), table.unfinished().count()), (0, 1));
        record.status = TransactionStatus::CompleteAbort;
        table.put(record);
        assert_eq!((table.open().count(), table.unfinished().count(), table.len()), (0, 0, 1));
        table.remove("a");
        assert!(table.get("a").is_none());
    }
}
