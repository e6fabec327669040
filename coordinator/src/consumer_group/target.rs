//! Epochs of the group, and the targets that belong to them.
//!
//! Invariant: the group's epoch only goes up, and targets are computed in the same step in which it does.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::TopicPartition;

use super::assign::{Assignor, AssignorInput, Candidate};
use super::member::Subscription;
use super::settings::ConsumerGroupSettings;
use super::state::{Context, Group};
use super::subscription::TopicCounts;
use super::topics::Topics;

impl Group {
    /// Members, or what they are subscribed to, have changed: a new epoch with new targets.
    pub(super) fn begin_epoch(&mut self, context: &Context<'_>) {
        self.epoch = self.epoch.saturating_add(1);
        self.assignment_epoch = self.epoch;
        self.updated_ms = context.now;
        self.drop_unused_regexes();
        self.subscribed = self.all_subscribed(context.topics);
        let targets = self.computed_targets(context);
        for (member_id, target) in targets {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            if member.target != target {
                member.target = target;
                self.queue.touch(&member_id);
            }
        }
        tracing::debug!(group = %self.id, epoch = self.epoch, members = self.members.len(), "consumer group begins an epoch");
    }

    /// There are other topics than before: a new epoch if that changes what is subscribed to.
    pub(super) fn topics_changed(&mut self, context: &Context<'_>) {
        self.refresh_regexes(context.topics);
        if self.all_subscribed(context.topics) != self.subscribed {
            self.begin_epoch(context);
        }
    }

    /// After a restore: a new epoch if topics have changed while nobody watched, which shows by other targets.
    pub(super) fn topics_known(&mut self, context: &Context<'_>) {
        self.subscribed = self.all_subscribed(context.topics);
        let targets = self.computed_targets(context);
        let is_held = |(member_id, target): (&String, &BTreeSet<TopicPartition>)| {
            self.members.get(member_id).is_some_and(|member| member.target == *target)
        };
        if self.assignment_epoch != self.epoch || !targets.iter().all(is_held) {
            self.begin_epoch(context);
        }
    }

    fn all_subscribed(&self, topics: &Topics) -> TopicCounts {
        let subscriptions: BTreeSet<&Subscription> = self.members.values().map(|member| &member.subscription).collect();
        subscriptions.into_iter().flat_map(|subscription| self.resolved(topics, subscription)).collect()
    }

    fn computed_targets(&self, context: &Context<'_>) -> BTreeMap<String, BTreeSet<TopicPartition>> {
        let mut input = AssignorInput::default();
        let mut by_subscription: BTreeMap<&Subscription, usize> = BTreeMap::new();
        let mut by_topics: BTreeMap<TopicCounts, usize> = BTreeMap::new();
        for (member_id, member) in &self.members {
            let subscription = *by_subscription.entry(&member.subscription).or_insert_with(|| {
                // Different words for the same topics are one subscription to an assignor.
                let topics = self.resolved(context.topics, &member.subscription);
                *by_topics.entry(topics.clone()).or_insert_with(|| {
                    input.subscriptions.push(topics);
                    input.subscriptions.len() - 1
                })
            });
            input.members.push(Candidate {
                member_id,
                instance_id: member.instance_id.as_deref(),
                subscription,
                current: &member.target,
            });
        }
        let targets = self.assignor(context.settings).assign(&input);
        self.members.keys().cloned().zip(targets).collect()
    }

    /// The assignor that most members ask for; on a tie, and if nobody asks, the one that the settings name first.
    pub(super) fn assignor(&self, settings: &ConsumerGroupSettings) -> Assignor {
        let votes = |assignor: &Assignor| {
            self.members.values().filter(|member| member.assignor.as_deref() == Some(assignor.name())).count()
        };
        let elected = settings.assignors.iter().rev().max_by_key(|assignor| votes(assignor));
        elected.copied().unwrap_or(settings.default_assignor())
    }
}
