//! Consumer groups, the consumer protocol of KIP-848: the table of all groups and the doors to it.
//!
//! A pure, synchronous state machine in the manner of [`group`](crate::group): each input takes the time and returns
//! what to do. The coordinator decides who owns what; each member is brought to its target on its own, at the pace of
//! its heartbeats. The caller
//! - carries effects out in their order, and reports the fate of every change with [`ConsumerGroups::persisted`];
//! - calls [`ConsumerGroups::tick`] when [`ConsumerGroups::next_deadline_ms`] has come;
//! - supplies the topics with [`ConsumerGroups::set_topics`], before everything else and whenever they change;
//! - restores every group of the log with [`ConsumerGroups::restore`] before it lets requests in.
//!
//! Owned here: members, epochs, targets, assignments, timers.
//!
//! Invariants (see `invariants` for those of one group):
//! 1. Every ticket is answered exactly once.
//! 2. Epochs of a group never go back. A member's goes back only when it leaves for a while and when it joins again.
//! 3. Nothing that depends on a change is answered before the change is reported as written.
//! 4. A partition is held by at most one member.
//! 5. The same inputs give the same effects: no clock, no randomness, no hash order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod assign;
mod classic;
mod convert;
mod describe;
mod effect;
mod embedded;
mod heartbeat;
mod input;
mod invariants;
mod member;
mod offsets;
mod persist;
mod reconcile;
pub(crate) mod record;
mod restore;
mod settings;
mod state;
mod subscription;
mod target;
#[cfg(test)]
mod tests;
mod timers;
mod topics;

pub use assign::Assignor;
pub use convert::{ClassicGroup, ClassicGroupMember, ConversionError};
pub use describe::{
    CONSUMER_GROUP_PROTOCOL_TYPE, CONSUMER_GROUP_TYPE, ConsumerGroupDescription, ConsumerMemberDescription,
};
pub use effect::{ConsumerHeartbeat, HeartbeatRefused};
pub use embedded::{EmbeddedError, EmbeddedSubscription};
pub use input::{ConsumerHeartbeatInput, FetchInput, JOIN_EPOCH, LEAVE_EPOCH, LEAVE_FOR_A_WHILE_EPOCH};
pub use member::MemberState;
pub use record::{ClassicMemberRecord, ConsumerGroupChange, ConsumerGroupRecord, ConsumerMemberRecord};
pub use settings::{ConsumerGroupSettings, ConsumerGroupSettingsError, MigrationPolicy};
pub use state::ConsumerGroupState;
pub use topics::{TopicSize, Topics};

use crate::group::{
    BrokenInvariant, CommitInput, Effect, Expired, GroupError, HeartbeatInput, JoinInput, JoinRefused, LeaveInput,
    OffsetAge, PersistError, PersistToken, Response, SyncInput, Ticket,
};
use alluvium_record::TopicPartition;
use state::{Context, Group};

/// All groups of one coordinator.
#[derive(Debug)]
pub struct ConsumerGroups {
    settings: ConsumerGroupSettings,
    topics: Arc<Topics>,
    groups: BTreeMap<String, Group>,
    /// When each group wants to be looked at; never later than its earliest timer.
    wakes: BTreeSet<(i64, String)>,
    /// Groups that have only members of the classic protocol, and nothing left to write.
    convertible: BTreeSet<String>,
    tokens: u64,
    latest_ms: i64,
}

impl ConsumerGroups {
    /// The first token that is used here; those of classic groups stay below.
    const FIRST_TOKEN: u64 = 1 << 63;

    /// A coordinator without groups.
    pub fn new(settings: ConsumerGroupSettings) -> ConsumerGroups {
        ConsumerGroups {
            settings,
            topics: Arc::default(),
            groups: BTreeMap::new(),
            wakes: BTreeSet::new(),
            convertible: BTreeSet::new(),
            tokens: ConsumerGroups::FIRST_TOKEN,
            latest_ms: i64::MIN,
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &ConsumerGroupSettings {
        &self.settings
    }

    /// Whether a change with this token was decided here.
    pub fn is_own_token(token: PersistToken) -> bool {
        token.0 >= ConsumerGroups::FIRST_TOKEN
    }

    /// There are other topics than before.
    pub fn set_topics(&mut self, now: i64, topics: Arc<Topics>) -> Vec<Effect> {
        if Arc::ptr_eq(&self.topics, &topics) || *self.topics == *topics {
            return Vec::new();
        }
        self.topics = topics;
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        ids.iter().flat_map(|id| self.act(now, id, |group, context| group.topics_changed(context)).1).collect()
    }

    /// The topics that assignments are made of.
    pub fn topics(&self) -> &Arc<Topics> {
        &self.topics
    }

    /// Checks what can be checked of a heartbeat without its group.
    pub(crate) fn check_heartbeat(&self, input: &ConsumerHeartbeatInput) -> Result<(), HeartbeatRefused> {
        input.clone().checked(&self.settings)
    }

    /// ConsumerGroupHeartbeat. Answered by [`Response::ConsumerHeartbeat`].
    pub fn consumer_heartbeat(&mut self, now: i64, mut input: ConsumerHeartbeatInput) -> Vec<Effect> {
        if let Err(refused) = input.checked(&self.settings) {
            return vec![refused_heartbeat(input.ticket, refused)];
        }
        if !self.groups.contains_key(&input.group) {
            let joined = match input.member_epoch {
                JOIN_EPOCH => self.create(now, &input.group, 0),
                _ => Err(GroupError::GroupIdNotFound),
            };
            if let Err(error) = joined {
                let message = format!("Consumer group {} not found.", input.group);
                let not_found = error == GroupError::GroupIdNotFound;
                let refused = HeartbeatRefused { error, message: if not_found { message } else { String::new() } };
                return vec![refused_heartbeat(input.ticket, refused)];
            }
        }
        let leaves = matches!(input.member_epoch, LEAVE_EPOCH | LEAVE_FOR_A_WHILE_EPOCH);
        let act = |group: &mut Group, context: &mut Context<'_>| match leaves {
            true => group.leave(context, &input),
            false => group.heartbeat(context, &input),
        };
        self.act(now, &input.group, act).1
    }

    /// JoinGroup. Answered by [`Response::Join`].
    pub fn join(&mut self, now: i64, input: &JoinInput) -> Vec<Effect> {
        match self.act(now, &input.group, |group, context| group.classic_join(context, input)) {
            (Some(()), effects) => effects,
            (None, _) => {
                let refused = JoinRefused { error: GroupError::UnknownMemberId, member_id: input.member_id.clone() };
                vec![Effect::Respond { ticket: input.ticket, response: Response::Join(Err(refused)) }]
            }
        }
    }

    /// SyncGroup. Answered by [`Response::Sync`].
    pub fn sync(&mut self, now: i64, input: &SyncInput) -> Vec<Effect> {
        match self.act(now, &input.group, |group, context| group.classic_sync(context, input)) {
            (Some(()), effects) => effects,
            (None, _) => {
                let response = Response::Sync(Err(GroupError::UnknownMemberId));
                vec![Effect::Respond { ticket: input.ticket, response }]
            }
        }
    }

    /// Heartbeat.
    pub fn heartbeat(&mut self, now: i64, input: &HeartbeatInput) -> Result<(), GroupError> {
        let (result, effects) = self.act(now, &input.group, |group, context| group.classic_heartbeat(context, input));
        debug_assert_eq!(effects, Vec::new(), "a heartbeat of the classic protocol changes nothing durable");
        result.unwrap_or(Err(GroupError::UnknownMemberId))
    }

    /// LeaveGroup: one result for each member named, in their order.
    pub fn leave(&mut self, now: i64, input: &LeaveInput) -> (Vec<Result<(), GroupError>>, Vec<Effect>) {
        let act = |group: &mut Group, context: &mut Context<'_>| group.classic_leave(context, &input.members);
        let (results, effects) = self.act(now, &input.group, act);
        (results.unwrap_or_else(|| vec![Err(GroupError::UnknownMemberId); input.members.len()]), effects)
    }

    /// Whether offsets of these partitions may be committed.
    pub fn check_commit(&self, input: &CommitInput, partitions: &[TopicPartition]) -> Result<(), GroupError> {
        self.groups.get(&input.group).ok_or(GroupError::GroupIdNotFound)?.check_commit(input, partitions)
    }

    /// Whether offsets may be fetched. Offsets of a group that does not exist may be asked for.
    pub fn check_fetch(&self, input: &FetchInput) -> Result<(), GroupError> {
        self.groups.get(&input.group).map_or(Ok(()), |group| group.check_fetch(input))
    }

    /// Whether members of the group use the topic.
    pub fn is_subscribed(&self, group: &str, topic: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.is_subscribed_to(&self.topics, topic))
    }

    /// ConsumerGroupDescribe for one group; none if there is no such group.
    pub fn describe(&self, group: &str) -> Option<ConsumerGroupDescription> {
        self.groups.get(group).map(|group| group.describe(&self.settings, &self.topics))
    }

    /// All groups with their states, by group id.
    pub fn list(&self) -> impl Iterator<Item = (&str, ConsumerGroupState)> {
        self.groups.iter().map(|(id, group)| (id.as_str(), group.state()))
    }

    /// Whether there is such a group.
    pub fn contains(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// DeleteGroups for one group. Answered by [`Response::Delete`].
    pub fn delete(&mut self, now: i64, ticket: Ticket, group: &str) -> Vec<Effect> {
        match self.act(now, group, |group, context| group.delete(context, ticket)) {
            (Some(()), effects) => effects,
            (None, _) => {
                let response = Response::Delete(Err(GroupError::GroupIdNotFound));
                vec![Effect::Respond { ticket, response }]
            }
        }
    }

    /// Which of the group's committed offsets are past their retention at `now`, and whether the group itself can go
    /// with them (by [`delete`](ConsumerGroups::delete)). Changes nothing.
    pub fn expired<K>(
        &self,
        now: i64,
        retention_ms: i64,
        group: &str,
        offsets: impl IntoIterator<Item = OffsetAge<K>>,
    ) -> Expired<K> {
        match self.groups.get(group) {
            Some(group) => group.expired(now, retention_ms, &self.topics, offsets),
            None => Expired { offsets: Vec::new(), group: false },
        }
    }

    /// Reports what became of a change. Must be called once for each [`Effect::Persist`].
    pub fn persisted(
        &mut self,
        now: i64,
        group: &str,
        token: PersistToken,
        result: Result<(), PersistError>,
    ) -> Vec<Effect> {
        self.act(now, group, |group, context| group.persisted(context, token, result)).1
    }

    /// Carries out all timers that are due.
    pub fn tick(&mut self, now: i64) -> Vec<Effect> {
        let now = self.advance(now);
        let mut effects = Vec::new();
        while let Some((wake_ms, id)) = self.wakes.first().cloned() {
            if wake_ms > now {
                break;
            }
            effects.extend(self.act(now, &id, |group, context| group.run_due_timers(context)).1);
        }
        effects
    }

    /// When to call [`tick`](ConsumerGroups::tick) next; none while nothing is timed.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.wakes.first().map(|(wake_ms, _)| *wake_ms)
    }

    /// How many groups are held.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether no group is held.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Checks every group's invariants.
    pub fn check(&self) -> Result<(), BrokenInvariant> {
        self.groups.values().try_for_each(Group::check)
    }

    fn create(&mut self, now: i64, group: &str, epoch: i32) -> Result<(), GroupError> {
        if self.groups.len() >= self.settings.groups_max {
            return Err(GroupError::TooManyGroups);
        }
        let now = self.advance(now);
        self.groups.insert(group.to_owned(), Group::new(group, epoch, now));
        Ok(())
    }

    /// Takes a group out of the table.
    fn remove(&mut self, group: &str) -> Option<Group> {
        let group = self.groups.remove(group)?;
        self.convertible.remove(&group.id);
        if let Some(wake_ms) = group.wake_ms {
            self.wakes.remove(&(wake_ms, group.id.clone()));
        }
        Some(group)
    }

    /// Time as this coordinator sees it: it never goes back.
    fn advance(&mut self, now: i64) -> i64 {
        self.latest_ms = self.latest_ms.max(now);
        self.latest_ms
    }

    /// Lets a group act and writes what has changed, then keeps the indexes and the table in step with it.
    fn act<R>(
        &mut self,
        now: i64,
        id: &str,
        act: impl FnOnce(&mut Group, &mut Context<'_>) -> R,
    ) -> (Option<R>, Vec<Effect>) {
        let now = self.advance(now);
        let mut effects = Vec::new();
        let Some(group) = self.groups.get_mut(id) else { return (None, effects) };
        let indexed_ms = group.wake_ms;
        let mut context = Context {
            now,
            settings: &self.settings,
            topics: &self.topics,
            effects: &mut effects,
            tokens: &mut self.tokens,
        };
        let result = act(group, &mut context);
        group.flush(&mut context);
        debug_assert_eq!(group.check(), Ok(()));
        let disposable = group.is_disposable();
        let wake_ms = if disposable { None } else { group.wake_ms };
        if group.is_convertible(&self.settings) {
            self.convertible.insert(id.to_owned());
        } else {
            self.convertible.remove(id);
        }
        if disposable {
            self.groups.remove(id);
        }
        if wake_ms != indexed_ms {
            if let Some(indexed_ms) = indexed_ms {
                self.wakes.remove(&(indexed_ms, id.to_owned()));
            }
            self.wakes.extend(wake_ms.map(|wake_ms| (wake_ms, id.to_owned())));
        }
        (Some(result), effects)
    }
}

fn refused_heartbeat(ticket: Ticket, refused: HeartbeatRefused) -> Effect {
    Effect::Respond { ticket, response: Response::ConsumerHeartbeat(Err(refused)) }
}
