//! All groups of one coordinator, of both protocols: the one thing that its driver talks to.
//!
//! A group is of one protocol at a time. Each request goes to the machine that has the group; the inputs of the classic
//! protocol work on consumer groups too. A group changes hands
//! - when a member of the consumer protocol joins a classic group: with its members if the migration policy lets it;
//! - when only members of the classic protocol are left in a consumer group, if the policy lets it;
//! - when it has no members and the other protocol wants its id.
//!
//! Invariants:
//! 1. No group is in both machines.
//! 2. A group changes hands only when nothing of it is on its way to the log: changes of the two protocols never race.
//! 3. Whoever waited in a group that changes hands is told to join again.

use std::sync::Arc;

use alluvium_log::GroupState;
use alluvium_record::TopicPartition;

use crate::consumer_group::{
    CONSUMER_GROUP_PROTOCOL_TYPE, CONSUMER_GROUP_TYPE, ClassicGroup, ConsumerGroupDescription, ConsumerGroupSettings,
    ConsumerGroups, ConsumerHeartbeatInput, FetchInput, HeartbeatRefused, JOIN_EPOCH, Topics, record,
};
use crate::group::{
    BrokenInvariant, CommitInput, Effect, Expired, GROUP_TYPE, GroupDescription, GroupError, GroupFilter,
    GroupSettings, Groups, HeartbeatInput, JoinInput, JoinRefused, LeaveInput, OffsetAge, PersistError, PersistToken,
    Response, SyncInput, Ticket,
};

#[cfg(test)]
mod tests;

/// All groups of one coordinator.
#[derive(Debug)]
pub struct GroupTable {
    classic: Groups,
    consumer: ConsumerGroups,
}

/// One group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group id.
    pub group: String,
    /// Its protocol type, empty if nobody ever joined.
    pub protocol_type: String,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Kafka's name of its type.
    pub group_type: &'static str,
}

impl GroupTable {
    /// A coordinator without groups.
    pub fn new(classic: GroupSettings, consumer: ConsumerGroupSettings) -> GroupTable {
        GroupTable { classic: Groups::new(classic), consumer: ConsumerGroups::new(consumer) }
    }

    /// There are other topics than before. To be called before groups are restored, and whenever topics come, grow or
    /// go.
    pub fn set_topics(&mut self, now: i64, topics: Arc<Topics>) -> Vec<Effect> {
        let effects = self.consumer.set_topics(now, topics);
        self.settled(now, effects)
    }

    /// Makes a group of the log known, before requests are let in.
    pub fn restore(&mut self, now: i64, group: &str, known: &GroupState) -> Vec<Effect> {
        if self.contains(group) {
            return Vec::new();
        }
        let effects = match known.consumer() {
            Some(consumer) => self.consumer.restore(now, record::as_change(consumer)),
            None => self.classic.restore(now, group, known.record().map(|record| record.as_ref().clone())),
        };
        self.settled(now, effects)
    }

    /// JoinGroup. Answered by [`Response::Join`].
    pub fn join(&mut self, now: i64, input: JoinInput) -> Vec<Effect> {
        if !self.consumer.contains(&input.group) {
            return self.classic.join(now, input);
        }
        let input = match input.checked(self.classic.settings()) {
            Ok(input) => input,
            Err((ticket, error, member_id)) => return vec![refused_join(ticket, error, member_id)],
        };
        match self.consumer.pop_empty(&input.group) {
            Err(GroupError::NonEmptyGroup) => {
                let effects = self.consumer.join(now, &input);
                self.settled(now, effects)
            }
            Err(error) => vec![refused_join(input.ticket, error, input.member_id)],
            Ok(emptied) => {
                let mut effects: Vec<Effect> =
                    emptied.into_iter().flat_map(|group| self.classic.adopt(now, group)).collect();
                effects.extend(self.classic.join(now, input));
                effects
            }
        }
    }

    /// ConsumerGroupHeartbeat. Answered by [`Response::ConsumerHeartbeat`].
    pub fn consumer_heartbeat(&mut self, now: i64, input: ConsumerHeartbeatInput) -> Vec<Effect> {
        let (ticket, mut effects) = (input.ticket, Vec::new());
        if !self.consumer.contains(&input.group) {
            match self.make_way(&input) {
                Ok(Some(classic)) => {
                    effects.extend(self.classic.forget(&input.group, GroupError::RebalanceInProgress));
                    effects.extend(self.consumer.adopt(now, classic));
                }
                Ok(None) => {}
                Err(refused) => {
                    effects.push(Effect::Respond { ticket, response: Response::ConsumerHeartbeat(Err(refused)) });
                    return effects;
                }
            }
        }
        effects.extend(self.consumer.consumer_heartbeat(now, input));
        self.settled(now, effects)
    }

    /// Whether a heartbeat may have the group's id, and the classic group that it takes over with it.
    fn make_way(&self, input: &ConsumerHeartbeatInput) -> Result<Option<ClassicGroup>, HeartbeatRefused> {
        self.consumer.check_heartbeat(input)?;
        let is_other = |why: &dyn std::fmt::Display| HeartbeatRefused {
            error: GroupError::GroupIdNotFound,
            message: format!("Group {} is not a consumer group{why}.", input.group),
        };
        if !self.classic.contains(&input.group) {
            let full = input.member_epoch == JOIN_EPOCH && self.len() >= self.consumer.settings().groups_max;
            return if full { Err(GroupError::TooManyGroups.into()) } else { Ok(None) };
        }
        if input.member_epoch != JOIN_EPOCH {
            return Err(is_other(&""));
        }
        let classic = self.classic.export(&input.group).map_err(|error| match error {
            GroupError::InconsistentGroupProtocol => is_other(&", but one of another protocol type"),
            error => error.into(),
        })?;
        self.consumer
            .check_conversion(&classic)
            .map_err(|error| is_other(&format!(" and cannot become one: {error}")))?;
        Ok(Some(classic))
    }

    /// SyncGroup. Answered by [`Response::Sync`].
    pub fn sync(&mut self, now: i64, input: SyncInput) -> Vec<Effect> {
        if self.consumer.contains(&input.group) {
            self.consumer.sync(now, &input)
        } else {
            self.classic.sync(now, input)
        }
    }

    /// Heartbeat.
    pub fn heartbeat(&mut self, now: i64, input: &HeartbeatInput) -> Result<(), GroupError> {
        if self.consumer.contains(&input.group) {
            self.consumer.heartbeat(now, input)
        } else {
            self.classic.heartbeat(now, input)
        }
    }

    /// LeaveGroup: one result for each member named, in their order.
    pub fn leave(&mut self, now: i64, input: &LeaveInput) -> (Vec<Result<(), GroupError>>, Vec<Effect>) {
        if !self.consumer.contains(&input.group) {
            return self.classic.leave(now, input);
        }
        let (results, effects) = self.consumer.leave(now, input);
        (results, self.settled(now, effects))
    }

    /// Whether offsets of these partitions may be committed. A group that nobody joined is made known by its first
    /// commit; so if the answer is `Ok`, the offsets should be committed next.
    pub fn check_commit(
        &mut self,
        now: i64,
        input: &CommitInput,
        partitions: &[TopicPartition],
    ) -> Result<(), GroupError> {
        if self.consumer.contains(&input.group) {
            self.consumer.check_commit(input, partitions)
        } else {
            self.classic.check_commit(now, input)
        }
    }

    /// Whether offsets may be fetched.
    pub fn check_fetch(&self, input: &FetchInput) -> Result<(), GroupError> {
        self.consumer.check_fetch(input)
    }

    /// Whether offsets of the group may be deleted: once for the request, then
    /// [`is_subscribed`](GroupTable::is_subscribed) for each topic.
    pub fn check_offset_delete(&self, group: &str) -> Result<(), GroupError> {
        if self.consumer.contains(group) { Ok(()) } else { self.classic.check_offset_delete(group) }
    }

    /// Whether members of the group use the topic, so that its offsets must stay
    /// ([`GroupError::GroupSubscribedToTopic`]).
    pub fn is_subscribed(&self, group: &str, topic: &str) -> bool {
        self.consumer.is_subscribed(group, topic) || self.classic.is_subscribed(group, topic)
    }

    /// DescribeGroups for one group; none if there is no such classic group.
    pub fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.classic.describe(group)
    }

    /// ConsumerGroupDescribe for one group; none if there is no such consumer group.
    pub fn describe_consumer(&self, group: &str) -> Option<ConsumerGroupDescription> {
        self.consumer.describe(group)
    }

    /// ListGroups, by group id.
    pub fn list(&self, filter: &GroupFilter) -> Vec<ListedGroup> {
        let classic = self.classic.list(filter).into_iter().map(|group| ListedGroup {
            group: group.group,
            protocol_type: group.protocol_type,
            state: group.state.name(),
            group_type: GROUP_TYPE,
        });
        let consumer = self.consumer.list().filter(|(_, state)| filter.admits(state.name(), CONSUMER_GROUP_TYPE)).map(
            |(group, state)| ListedGroup {
                group: group.to_owned(),
                protocol_type: CONSUMER_GROUP_PROTOCOL_TYPE.to_owned(),
                state: state.name(),
                group_type: CONSUMER_GROUP_TYPE,
            },
        );
        let mut all: Vec<ListedGroup> = classic.chain(consumer).collect();
        all.sort_by(|one, other| one.group.cmp(&other.group));
        all
    }

    /// DeleteGroups for one group. Answered by [`Response::Delete`].
    pub fn delete(&mut self, now: i64, ticket: Ticket, group: &str) -> Vec<Effect> {
        if self.consumer.contains(group) {
            self.consumer.delete(now, ticket, group)
        } else {
            self.classic.delete(now, ticket, group)
        }
    }

    /// Which of the group's committed offsets are past their retention at `now`, and whether the group itself can go
    /// with them (by [`delete`](GroupTable::delete)). Changes nothing.
    pub fn expired<K>(
        &self,
        now: i64,
        retention_ms: i64,
        group: &str,
        offsets: impl IntoIterator<Item = OffsetAge<K>>,
    ) -> Expired<K> {
        if self.consumer.contains(group) {
            self.consumer.expired(now, retention_ms, group, offsets)
        } else {
            self.classic.expired(now, retention_ms, group, offsets)
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
        if !ConsumerGroups::is_own_token(token) {
            return self.classic.persisted(now, group, token, result);
        }
        let effects = self.consumer.persisted(now, group, token, result);
        self.settled(now, effects)
    }

    /// Carries out all timers that are due.
    pub fn tick(&mut self, now: i64) -> Vec<Effect> {
        let mut effects = self.classic.tick(now);
        effects.extend(self.consumer.tick(now));
        self.settled(now, effects)
    }

    /// When to call [`tick`](GroupTable::tick) next; none while nothing is timed.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        [self.classic.next_deadline_ms(), self.consumer.next_deadline_ms()].into_iter().flatten().min()
    }

    /// Forgets one group; whoever waits is answered with `error`. For when the log turns out to hold newer state: the
    /// group can be restored from it afterwards.
    pub fn forget(&mut self, group: &str, error: GroupError) -> Vec<Effect> {
        let mut effects = self.classic.forget(group, error);
        effects.extend(self.consumer.forget(group, error));
        effects
    }

    /// Forgets all groups, at shutdown or when another node coordinates them.
    pub fn resign(&mut self, error: GroupError) -> Vec<Effect> {
        let mut effects = self.classic.resign(error);
        effects.extend(self.consumer.resign(error));
        effects
    }

    /// How many groups are held.
    pub fn len(&self) -> usize {
        self.classic.len() + self.consumer.len()
    }

    /// Whether no group is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks every group's invariants.
    pub fn check(&self) -> Result<(), BrokenInvariant> {
        self.classic.check()?;
        self.consumer.check()?;
        match self.consumer.list().find(|(group, _)| self.classic.contains(group)) {
            Some((group, _)) => {
                Err(BrokenInvariant { group: group.to_owned(), number: 0, rule: "a group is of one protocol" })
            }
            None => Ok(()),
        }
    }

    fn contains(&self, group: &str) -> bool {
        self.classic.contains(group) || self.consumer.contains(group)
    }

    /// Lets groups change hands that should, after the consumer groups have acted.
    fn settled(&mut self, now: i64, mut effects: Vec<Effect>) -> Vec<Effect> {
        while let Some(group) = self.consumer.pop_convertible() {
            tracing::info!(group = %group.group, "only classic members are left: the group goes on as a classic one");
            debug_assert!(!self.classic.contains(&group.group), "a group is of one protocol");
            effects.extend(self.classic.adopt(now, group));
        }
        effects
    }
}

fn refused_join(ticket: Ticket, error: GroupError, member_id: String) -> Effect {
    Effect::Respond { ticket, response: Response::Join(Err(JoinRefused { error, member_id })) }
}
