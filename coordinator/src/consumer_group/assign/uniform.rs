//! The uniform assignor: loads differ by as little as subscriptions allow, and partitions move only to make it so.
//!
//! When all members have the same subscription, loads differ by at most one. Otherwise partitions move from a member to
//! another subscriber of their topic as long as that makes two loads more alike.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::{TopicId, TopicPartition};

use super::AssignorInput;

pub(super) fn assign(input: &AssignorInput<'_>) -> Vec<BTreeSet<TopicPartition>> {
    let Some(first) = input.members.first() else { return Vec::new() };
    if input.members.iter().all(|member| member.subscription == first.subscription) {
        assign_alike(input)
    } else {
        Spread::new(input).balanced()
    }
}

/// What each member keeps of what it had, and what nobody has then.
fn kept(input: &AssignorInput<'_>) -> (Vec<BTreeSet<TopicPartition>>, BTreeSet<TopicPartition>) {
    let mut free: BTreeSet<TopicPartition> = BTreeSet::new();
    for subscription in &input.subscriptions {
        for (topic, count) in subscription {
            free.extend((0..*count).map(|partition| TopicPartition::new(*topic, partition)));
        }
    }
    let kept = input
        .members
        .iter()
        .enumerate()
        .map(|(index, member)| {
            let admitted = member.current.iter().copied().filter(|partition| input.admits(index, *partition));
            admitted.filter(|partition| free.remove(partition)).collect()
        })
        .collect();
    (kept, free)
}

/// For members with one and the same subscription.
fn assign_alike(input: &AssignorInput<'_>) -> Vec<BTreeSet<TopicPartition>> {
    let (mut given, mut free) = kept(input);
    let partition_count = given.iter().map(BTreeSet::len).sum::<usize>() + free.len();
    let share = partition_count / given.len();
    let mut larger_shares = partition_count % given.len();
    for owned in &mut given {
        let mut allowed = share;
        if owned.len() > share && larger_shares > 0 {
            larger_shares -= 1;
            allowed += 1;
        }
        while owned.len() > allowed {
            free.extend(owned.pop_last());
        }
    }
    let mut free = free.into_iter();
    for owned in &mut given {
        let missing = share.saturating_sub(owned.len());
        owned.extend(free.by_ref().take(missing));
    }
    for owned in given.iter_mut().filter(|owned| owned.len() == share).take(larger_shares) {
        owned.extend(free.next());
    }
    given
}

/// A distribution over members with different subscriptions, on its way to balance.
struct Spread {
    given: Vec<BTreeSet<TopicPartition>>,
    subscribers: BTreeMap<TopicId, Vec<usize>>,
}

impl Spread {
    fn new(input: &AssignorInput<'_>) -> Spread {
        let (given, free) = kept(input);
        let subscribers = input.topics().into_iter().map(|(topic, (_, members))| (topic, members)).collect();
        let mut spread = Spread { given, subscribers };
        // Topics with few subscribers first: the others can make up for them.
        let mut free: Vec<TopicPartition> = free.into_iter().collect();
        free.sort_by_key(|partition| (spread.subscribers.get(&partition.topic).map_or(0, Vec::len), *partition));
        for partition in free {
            if let Some(member) = spread.least_loaded(partition.topic) {
                spread.given[member].insert(partition);
            }
        }
        spread
    }

    fn least_loaded(&self, topic: TopicId) -> Option<usize> {
        self.subscribers.get(&topic)?.iter().copied().min_by_key(|member| self.given[*member].len())
    }

    /// Each move makes the sum of the squares of the loads smaller, so this ends.
    fn balanced(mut self) -> Vec<BTreeSet<TopicPartition>> {
        loop {
            let mut moved = false;
            let mut members: Vec<usize> = (0..self.given.len()).collect();
            members.sort_by_key(|member| std::cmp::Reverse(self.given[*member].len()));
            for member in members {
                while let Some((partition, to)) = self.relief(member) {
                    self.given[member].remove(&partition);
                    self.given[to].insert(partition);
                    moved = true;
                }
            }
            if !moved {
                return self.given;
            }
        }
    }

    /// A partition that the member should pass on to a member with at least two less.
    fn relief(&self, member: usize) -> Option<(TopicPartition, usize)> {
        let owned = &self.given[member];
        let mut next = owned.last();
        let mut best: Option<(usize, TopicPartition, usize)> = None;
        while let Some(partition) = next {
            if let Some(to) = self.least_loaded(partition.topic) {
                let load = self.given[to].len();
                if load + 1 < owned.len() && best.is_none_or(|(least, ..)| load < least) {
                    best = Some((load, *partition, to));
                }
            }
            // One partition of a topic is as good as another.
            next = owned.range(..TopicPartition::new(partition.topic, i32::MIN)).next_back();
        }
        best.map(|(_, partition, to)| (partition, to))
    }
}
