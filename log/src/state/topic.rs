//! Topics as the log knows them.

use std::collections::BTreeMap;

use alluvium_record::TopicId;

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
    /// When it was created, milliseconds since 1970.
    pub created_ms: i64,
}
