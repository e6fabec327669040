//! Topics as the log knows them.

use std::collections::BTreeMap;

use alluvium_record::{PartitionIndex, ShardId, TopicId};

use crate::placement::shard_of_partition;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its id, never reused.
    pub id: TopicId,
    /// Its name, unique among living topics.
    pub name: String,
    /// Number of partitions; only grows.
    pub partition_count: i32,
    /// Replication factor as it was asked for; the object store replicates.
    pub replication_factor: i16,
    /// Settings that were set explicitly.
    pub configs: BTreeMap<String, String>,
    /// How many shards its partitions are spread over, as the cluster had when it was created.
    pub shard_count: u32,
    /// When it was created, milliseconds since 1970.
    pub created_ms: i64,
}

impl Topic {
    /// The shard of one of its partitions.
    #[must_use]
    pub fn shard_of(&self, partition: PartitionIndex) -> ShardId {
        shard_of_partition(self.id, partition, self.shard_count)
    }

    /// The shards that hold its partitions.
    #[must_use]
    pub fn shards(&self) -> std::collections::BTreeSet<ShardId> {
        (0..self.partition_count).map(|partition| self.shard_of(partition)).collect()
    }
}
