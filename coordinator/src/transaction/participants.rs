//! Partitions and groups that are, or want to be, part of a transaction, with their shards.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_log::{TransactionRecord, TransactionStatus, View};
use alluvium_record::{ShardId, TopicPartition};

use super::Shared;
use super::error::TransactionError;

/// How long a request waits for the log to say whether a topic exists.
const TOPICS_MAX: Duration = Duration::from_secs(10);

/// Partitions and groups with their shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Participants {
    pub(super) partitions: Vec<(TopicPartition, ShardId)>,
    pub(super) groups: Vec<(String, ShardId)>,
}

impl Participants {
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.groups.is_empty()
    }

    /// Those that are not part of the open transaction of the record; all when none is open.
    pub(super) fn missing_from(&self, record: Option<&TransactionRecord>) -> Participants {
        let Some(record) = record.filter(|record| record.status == TransactionStatus::Ongoing) else {
            return self.clone();
        };
        let partitions = self.partitions.iter().filter(|(partition, _)| !record.contains(*partition));
        let groups = self.groups.iter().filter(|(group, _)| !record.contains_group(group));
        Participants { partitions: partitions.copied().collect(), groups: groups.cloned().collect() }
    }

    /// Those of a transaction that are not in `shard`, by shard.
    pub(super) fn elsewhere(record: &TransactionRecord, shard: ShardId) -> BTreeMap<ShardId, Participants> {
        let mut elsewhere: BTreeMap<ShardId, Participants> = BTreeMap::new();
        for (partition, place) in record.partitions().filter(|(_, place)| *place != shard) {
            elsewhere.entry(place).or_default().partitions.push((partition, place));
        }
        for (group, place) in record.groups().filter(|(_, place)| *place != shard) {
            elsewhere.entry(place).or_default().groups.push((group.to_owned(), place));
        }
        elsewhere
    }
}

impl Shared {
    /// The shards of partitions. One that is unknown here is looked for in the log.
    pub(super) async fn place(&self, partitions: &[TopicPartition]) -> Vec<Result<ShardId, TransactionError>> {
        let view = self.log.view();
        let placed: Vec<Option<ShardId>> = partitions.iter().map(|partition| shard_of(&view, *partition)).collect();
        if placed.iter().all(Option::is_some) {
            return placed.into_iter().flatten().map(Ok).collect();
        }
        let caught_up = self.runtime.timeout(TOPICS_MAX, self.log.meta().catch_up()).await;
        let unknown = match caught_up {
            Ok(Ok(_)) => TransactionError::UnknownTopicOrPartition,
            Ok(Err(_)) | Err(_) => TransactionError::CoordinatorNotAvailable,
        };
        let view = self.log.view();
        partitions.iter().map(|partition| shard_of(&view, *partition).ok_or(unknown)).collect()
    }
}

/// The shard of a partition that exists.
fn shard_of(view: &View, topic_partition: TopicPartition) -> Option<ShardId> {
    let topic = view.topic(topic_partition.topic)?;
    let exists = (0..topic.partition_count).contains(&topic_partition.partition);
    exists.then(|| topic.shard_of(topic_partition.partition))
}
