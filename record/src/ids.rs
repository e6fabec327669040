//! The names of things: topics, partitions, shards and entries.
//!
//! All are plain values that order and hash by their content, so that maps over them iterate alike on every node.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use uuid::Uuid;

/// The position of a record in its partition.
pub type Offset = i64;

/// The number of a partition within its topic, from 0.
pub type PartitionIndex = i32;

/// The id of a topic (KIP-516): survives as long as the topic does and is never reused, unlike its name.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// The id that means "no id" on the wire.
    pub const NIL: TopicId = TopicId(Uuid::nil());

    /// An id from its 16 bytes, as they stand on the wire.
    pub const fn from_bytes(bytes: [u8; 16]) -> TopicId {
        TopicId(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of the id, as they stand on the wire.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Whether this is [`TopicId::NIL`].
    pub const fn is_nil(&self) -> bool {
        self.0.is_nil()
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(formatter)
    }
}

impl From<Uuid> for TopicId {
    fn from(uuid: Uuid) -> TopicId {
        TopicId(uuid)
    }
}

impl FromStr for TopicId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<TopicId, uuid::Error> {
        Uuid::from_str(text).map(TopicId)
    }
}

/// One partition of one topic.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition within it.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub const fn new(topic: TopicId, partition: PartitionIndex) -> TopicPartition {
        TopicPartition { topic, partition }
    }

    /// The range of all partitions of `topic`, in the order of partitions.
    pub const fn all_of(topic: TopicId) -> RangeInclusive<TopicPartition> {
        TopicPartition::new(topic, PartitionIndex::MIN)..=TopicPartition::new(topic, PartitionIndex::MAX)
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.topic, self.partition)
    }
}

/// The number of a shard, from 0.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The number of a node, as Kafka's broker ids.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The number of an entry in its shard's log.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EntryNumber(pub u64);

impl EntryNumber {
    /// The entry after this one.
    ///
    /// Entry numbers are handed out one at a time, so the last one is never reached; it stays where it is.
    pub const fn next(self) -> EntryNumber {
        EntryNumber(self.0.saturating_add(1))
    }
}

impl fmt::Display for EntryNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
