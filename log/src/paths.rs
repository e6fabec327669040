//! Object paths: the one place that knows how keys in the bucket are spelled.
//!
//! Owns: the layout below, its formatting and its parsing. Numbers are written with twenty digits so that the order of
//! keys is the order of numbers. `hh` is two hex digits of a hash of the shard, because stores scale by key prefix.
//!
//! ```text
//! cluster.json
//! node/{node id}
//! probe/{uuid}
//! producer-id/{block:020}
//! {hh}/{shard}/log/{entry:020}
//! {hh}/{shard}/checkpoint/{entry:020}
//! {hh}/{shard}/head
//! {hh}/{shard}/segment/{uuid v7}
//! {hh}/{shard}/topic/{topic id}/{partition}/{base:020}-{last:020}-{uuid v7}.parquet
//! ```

use alluvium_infra::store::StorePath;
use alluvium_record::{NodeId, ShardId, TopicId, TopicPartition};
use uuid::Uuid;

use crate::state::TablePlace;

/// Paths of one cluster below a root prefix of the store.
#[derive(Debug, Clone, Default)]
pub struct ClusterPaths {
    root: String,
}

impl ClusterPaths {
    /// Paths below `root`, which may be empty and may carry slashes on either side.
    #[must_use]
    pub fn new(root: &str) -> Self {
        let trimmed = root.trim_matches('/');
        let root = if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") };
        Self { root }
    }

    /// The object that is created once for a cluster.
    #[must_use]
    pub fn cluster(&self) -> StorePath {
        self.path("cluster.json")
    }

    /// An object of the start-up probe.
    #[must_use]
    pub fn probe(&self, id: Uuid) -> StorePath {
        self.path(&format!("probe/{id}"))
    }

    /// The object that claims a block of producer ids.
    #[must_use]
    pub fn producer_id_block(&self, block: u64) -> StorePath {
        self.path(&format!("producer-id/{block:020}"))
    }

    /// The record of a node.
    #[must_use]
    pub fn node(&self, node: NodeId) -> StorePath {
        self.path(&format!("node/{node}"))
    }

    /// Prefix of all node records.
    #[must_use]
    pub fn node_prefix(&self) -> String {
        format!("{}node/", self.root)
    }

    /// Prefix of all producer id blocks.
    #[must_use]
    pub fn producer_id_prefix(&self) -> String {
        format!("{}producer-id/", self.root)
    }

    /// Paths of one shard.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> ShardPaths {
        ShardPaths { shard, prefix: format!("{}{:02x}/{}/", self.root, shard_hash(shard), shard.0) }
    }

    fn path(&self, rest: &str) -> StorePath {
        StorePath::from(format!("{}{rest}", self.root))
    }
}

/// Paths of one shard.
#[derive(Debug, Clone)]
pub struct ShardPaths {
    shard: ShardId,
    prefix: String,
}

impl ShardPaths {
    /// The shard these paths belong to.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Entry `number` of the shard's log.
    #[must_use]
    pub fn entry(&self, number: u64) -> StorePath {
        StorePath::from(format!("{}log/{number:020}", self.prefix))
    }

    /// The checkpoint that holds the state after entry `number`.
    #[must_use]
    pub fn checkpoint(&self, number: u64) -> StorePath {
        StorePath::from(format!("{}checkpoint/{number:020}", self.prefix))
    }

    /// Prefix of all checkpoints.
    #[must_use]
    pub fn checkpoint_prefix(&self) -> String {
        format!("{}checkpoint/", self.prefix)
    }

    /// Prefix of all entries.
    #[must_use]
    pub fn entry_prefix(&self) -> String {
        format!("{}log/", self.prefix)
    }

    /// The head hint.
    #[must_use]
    pub fn head(&self) -> StorePath {
        StorePath::from(format!("{}head", self.prefix))
    }

    /// One segment.
    #[must_use]
    pub fn segment(&self, id: Uuid) -> StorePath {
        StorePath::from(format!("{}segment/{id}", self.prefix))
    }

    /// One Parquet file.
    #[must_use]
    pub fn table(&self, place: TablePlace, id: Uuid) -> StorePath {
        let TablePlace { topic_partition: TopicPartition { topic, partition }, base_offset, last_offset } = place;
        StorePath::from(format!(
            "{}topic/{topic}/{partition}/{base_offset:020}-{last_offset:020}-{id}.parquet",
            self.prefix
        ))
    }

    /// Prefix of all Parquet files.
    #[must_use]
    pub fn table_prefix(&self) -> String {
        format!("{}topic/", self.prefix)
    }

    /// Prefix of all segments.
    #[must_use]
    pub fn segment_prefix(&self) -> String {
        format!("{}segment/", self.prefix)
    }

    /// What a Parquet file's path says, if it is one.
    #[must_use]
    pub fn parse_table(path: &str) -> Option<(TablePlace, Uuid)> {
        let mut parts = path.rsplit('/');
        let name = parts.next()?.strip_suffix(".parquet")?;
        let partition = parts.next()?.parse().ok()?;
        let topic = TopicId(Uuid::parse_str(parts.next()?).ok()?);
        let (base, rest) = name.split_at_checked(20)?;
        let (last, id) = rest.strip_prefix('-')?.split_at_checked(20)?;
        let place = TablePlace {
            topic_partition: TopicPartition { topic, partition },
            base_offset: base.parse().ok()?,
            last_offset: last.parse().ok()?,
        };
        Some((place, Uuid::parse_str(id.strip_prefix('-')?).ok()?))
    }

    /// The number at the end of an entry or checkpoint path, if it is one.
    #[must_use]
    pub fn parse_number(path: &str) -> Option<u64> {
        let digits = path.rsplit('/').next()?;
        if digits.len() != 20 {
            return None;
        }
        digits.parse().ok()
    }
}

/// Spreads shard numbers over 256 prefixes (Fibonacci hashing); part of the layout, never changed.
fn shard_hash(shard: ShardId) -> u8 {
    let mixed = u64::from(shard.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_the_layout_says() {
        let cluster = ClusterPaths::new("/some/prefix/");
        assert_eq!(cluster.cluster().as_ref(), "some/prefix/cluster.json");
        let shard = cluster.shard(ShardId(0));
        assert_eq!(shard.entry(7).as_ref(), "some/prefix/00/0/log/00000000000000000007");
        assert_eq!(shard.head().as_ref(), "some/prefix/00/0/head");
        let other = ClusterPaths::new("").shard(ShardId(3));
        assert_eq!(other.checkpoint(u64::MAX).as_ref(), "da/3/checkpoint/18446744073709551615");
    }

    #[test]
    fn numbers_parse_back_and_foreign_names_do_not() {
        let shard = ClusterPaths::new("").shard(ShardId(1));
        assert_eq!(ShardPaths::parse_number(shard.entry(42).as_ref()), Some(42));
        assert_eq!(ShardPaths::parse_number("9e/1/log/42"), None);
        assert_eq!(ShardPaths::parse_number("9e/1/log/0000000000000000004x"), None);
    }
}
