//! A snapshot over all shards, and a bell that rings when any of them changes.
//!
//! Invariant: topics are those of the meta shard; a partition is there when both its topic's record and its own shard know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_record::{ShardId, TopicId, TopicPartition};

use crate::placement::shard_of_id;
use crate::state::{GroupState, Partition, State, Topic, TransactionRecord};

/// The newest state of each shard at some moment. Cheap to clone and to hold.
#[derive(Debug, Clone)]
pub struct View {
    states: Arc<[Arc<State>]>,
    created_with: u32,
}

impl View {
    pub(crate) fn new(states: Vec<Arc<State>>, created_with: u32) -> Self {
        Self { states: states.into(), created_with }
    }

    /// The state of the meta shard.
    #[must_use]
    pub fn meta(&self) -> &Arc<State> {
        &self.states[0]
    }

    /// The state of a shard, if it is open.
    #[must_use]
    pub fn state(&self, shard: ShardId) -> Option<&Arc<State>> {
        self.states.get(shard.0 as usize)
    }

    /// The states of all open shards, by shard.
    pub fn states(&self) -> impl Iterator<Item = &Arc<State>> {
        self.states.iter()
    }

    /// Shards that topics created now are spread over.
    #[must_use]
    pub fn shard_count(&self) -> u32 {
        self.meta().shard_count(self.created_with)
    }

    /// A topic by name.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Topic> {
        self.meta().topic_by_name(name)
    }

    /// A topic by id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.meta().topic(id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.meta().topics()
    }

    /// Number of topics.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.meta().topic_count()
    }

    /// Number of partitions of all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        match self.states.len() {
            1 => self.meta().partition_count(),
            _ => self.topics().map(|topic| usize::try_from(topic.partition_count).unwrap_or(0)).sum(),
        }
    }

    /// The shard of a partition whose topic is known.
    #[must_use]
    pub fn shard_of(&self, topic_partition: TopicPartition) -> Option<ShardId> {
        self.topic(topic_partition.topic).map(|topic| topic.shard_of(topic_partition.partition))
    }

    /// A partition.
    #[must_use]
    pub fn partition(&self, topic_partition: TopicPartition) -> Option<&Partition> {
        if self.states.len() == 1 {
            return self.meta().partition(topic_partition);
        }
        let topic = self.topic(topic_partition.topic)?;
        if !(0..topic.partition_count).contains(&topic_partition.partition) {
            return None;
        }
        self.state(topic.shard_of(topic_partition.partition))?.partition(topic_partition)
    }

    /// All partitions of known topics.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.topics().flat_map(move |topic| {
            (0..topic.partition_count).filter_map(move |partition| {
                let topic_partition = TopicPartition { topic: topic.id, partition };
                self.partition(topic_partition).map(|found| (topic_partition, found))
            })
        })
    }

    /// The shard of a consumer group or a transactional id.
    #[must_use]
    pub fn group_shard(&self, group: &str) -> ShardId {
        shard_of_id(group, self.created_with)
    }

    /// A consumer group.
    #[must_use]
    pub fn group(&self, group: &str) -> Option<&GroupState> {
        self.state(self.group_shard(group))?.group(group)
    }

    /// A transactional id.
    #[must_use]
    pub fn transaction(&self, transactional_id: &str) -> Option<&Arc<TransactionRecord>> {
        self.state(self.group_shard(transactional_id))?.transaction(transactional_id)
    }

    /// All consumer groups, by shard and id.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &GroupState)> {
        self.states.iter().flat_map(|state| state.groups())
    }
}

/// Rings when any shard has changed. Each clone remembers what it has seen.
#[derive(Debug, Clone)]
pub struct Changes {
    bell: Arc<Bell>,
    seen: Subscription<u64>,
}

#[derive(Debug)]
struct Bell {
    publisher: Publisher<u64>,
    count: AtomicU64,
}

impl Changes {
    pub(crate) fn new() -> Self {
        let (publisher, seen) = published(0);
        Self { bell: Arc::new(Bell { publisher, count: AtomicU64::new(0) }), seen }
    }

    /// A subscriber that has seen everything so far.
    pub(crate) fn fresh(&self) -> Self {
        let mut fresh = self.clone();
        let _newest = fresh.seen.newest_seen();
        fresh
    }

    pub(crate) fn bump(&self) {
        let count = self.bell.count.fetch_add(1, Ordering::AcqRel) + 1;
        self.bell.publisher.publish(count);
    }

    /// Until something changes that this subscriber has not seen. Look at the state after each return.
    pub async fn changed(&mut self) {
        // The bell lives as long as this does: it cannot be gone.
        let _alive = self.seen.changed().await;
    }
}
