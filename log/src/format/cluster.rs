//! `cluster.json`, created once, and the head hint.

use serde::{Deserialize, Serialize};

/// The newest layout that this release reads and the one that it creates.
pub const FORMAT_VERSION: u32 = 1;

/// What makes a prefix of a bucket a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterDescription {
    /// Layout of everything below the root.
    pub format_version: u32,
    /// Cluster id as Kafka shows it: 22 characters of URL-safe base64.
    pub cluster_id: String,
    /// Number of shards.
    pub shard_count: u32,
    /// When it was created, milliseconds since 1970.
    pub created_ms: i64,
}

/// A hint where the log of a shard ends; never trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeadHint {
    /// An entry that was the newest when the hint was written.
    pub entry: u64,
    /// A checkpoint that had been written by then, or 0.
    pub checkpoint: u64,
}
