//! Server-side assignors: who is to own which partition.
//!
//! Invariants, whatever the input:
//! 1. A partition is given to at most one member, and only to one that is subscribed to its topic.
//! 2. Every partition of a topic with a subscriber is given to somebody.
//! 3. The same input gives the same output, and an output that is fed back with nothing else changed stays as it is.

mod range;
#[cfg(test)]
mod tests;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::{TopicId, TopicPartition};

/// A way to distribute partitions over members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// As many partitions for each as possible, with as few moves as possible.
    Uniform,
    /// Of each topic a range of neighbouring partitions, so that topics of the same size are split the same way.
    Range,
}

impl Assignor {
    /// Kafka's name of the assignor.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The assignor of this name.
    pub fn by_name(name: &str) -> Option<Assignor> {
        [Assignor::Uniform, Assignor::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// Computes what each of the input's members is to own, in their order.
    pub(super) fn assign(self, input: &AssignorInput<'_>) -> Vec<BTreeSet<TopicPartition>> {
        match self {
            Assignor::Uniform => uniform::assign(input),
            Assignor::Range => range::assign(input),
        }
    }
}

/// One member, as an assignor sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) member_id: &'a str,
    pub(super) instance_id: Option<&'a str>,
    /// Index into the input's subscriptions.
    pub(super) subscription: usize,
    /// What it was to own until now.
    pub(super) current: &'a BTreeSet<TopicPartition>,
}

/// What an assignor decides upon.
#[derive(Debug, Default)]
pub(super) struct AssignorInput<'a> {
    /// By member id.
    pub(super) members: Vec<Candidate<'a>>,
    /// The different subscriptions: topics with their number of partitions.
    pub(super) subscriptions: Vec<BTreeMap<TopicId, i32>>,
}

impl AssignorInput<'_> {
    /// Whether the member is subscribed to this partition's topic and the partition exists.
    fn admits(&self, member: usize, topic_partition: TopicPartition) -> bool {
        let subscription = &self.subscriptions[self.members[member].subscription];
        let count = subscription.get(&topic_partition.topic);
        count.is_some_and(|count| (0..*count).contains(&topic_partition.partition))
    }

    /// Topics that anybody is subscribed to, with their number of partitions and their subscribers.
    fn topics(&self) -> BTreeMap<TopicId, (i32, Vec<usize>)> {
        let mut topics: BTreeMap<TopicId, (i32, Vec<usize>)> = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            for (topic, count) in &self.subscriptions[member.subscription] {
                topics.entry(*topic).or_insert((*count, Vec::new())).1.push(index);
            }
        }
        topics
    }
}
