//! Consumer groups, classic protocol: the table of all groups and the doors to it.
//!
//! A pure, synchronous state machine. Each input takes the time and returns what to do: answers to give and changes to
//! write ([`Effect`]). The caller
//! - carries effects out in their order, and reports the fate of every change with [`Groups::persisted`];
//! - calls [`Groups::tick`] when [`Groups::next_deadline_ms`] has come (early or spurious calls do no harm);
//! - restores every group of the log with [`Groups::restore`] before it lets requests in.
//!
//! `now` is milliseconds since 1970. It should not jump: derive it from a monotonic clock. A step back is ignored.
//!
//! Owned here: membership, generations, timers. Committed offsets are the log's; the coordinator only says who may
//! commit or delete them and which have expired.
//!
//! Invariants (see `invariants` for those of one group):
//! 1. Every ticket is answered exactly once.
//! 2. A group's generation never goes back while the group lives in memory.
//! 3. Nothing that depends on a change is answered before the change is reported as written.
//! 4. The same inputs give the same effects: no clock, no randomness, no hash order.

use std::collections::{BTreeMap, BTreeSet};

mod convert;
mod describe;
mod effect;
mod input;
mod instance;
mod invariants;
mod join;
mod member;
mod membership;
mod offsets;
mod persist;
mod rebalance;
mod record;
mod restore;
mod settings;
mod state;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

pub use describe::{GROUP_TYPE, GroupDescription, GroupFilter, GroupListing, MemberDescription};
pub use effect::{
    Effect, GroupChange, GroupError, JoinRefused, Joined, JoinedMember, PersistError, PersistToken, Response, Synced,
};
pub use input::{CommitInput, HeartbeatInput, JoinInput, LeaveInput, LeavingMember, SyncInput, Ticket};
pub use invariants::BrokenInvariant;
pub use offsets::{Expired, OffsetAge};
pub use record::{GroupRecord, MemberRecord};
pub use settings::{GroupSettings, GroupSettingsError};
pub use state::State;
pub use subscription::{SubscriptionError, subscribed_topics};

use state::{Context, Group};

/// All groups of one coordinator.
#[derive(Debug)]
pub struct Groups {
    settings: GroupSettings,
    groups: BTreeMap<String, Group>,
    /// When each group wants to be looked at; never later than its earliest timer.
    wakes: BTreeSet<(i64, String)>,
    tokens: u64,
    latest_ms: i64,
}

impl Groups {
    /// A coordinator without groups.
    pub fn new(settings: GroupSettings) -> Groups {
        Groups { settings, groups: BTreeMap::new(), wakes: BTreeSet::new(), tokens: 0, latest_ms: i64::MIN }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    /// JoinGroup. Answered by [`Response::Join`].
    pub fn join(&mut self, now: i64, input: JoinInput) -> Vec<Effect> {
        let input = match input.checked(&self.settings) {
            Ok(input) => input,
            Err((ticket, error, member_id)) => return vec![refused_join(ticket, error, &member_id)],
        };
        if !self.groups.contains_key(&input.group) {
            if !input.member_id.is_empty() {
                return vec![refused_join(input.ticket, GroupError::UnknownMemberId, &input.member_id)];
            }
            if let Err(error) = self.create(now, &input.group) {
                return vec![refused_join(input.ticket, error, "")];
            }
        }
        let group = input.group.clone();
        self.act(now, &group, |group, context| group.join(context, input)).1
    }

    /// SyncGroup. Answered by [`Response::Sync`].
    pub fn sync(&mut self, now: i64, input: SyncInput) -> Vec<Effect> {
        let (group, ticket) = (input.group.clone(), input.ticket);
        match self.act(now, &group, |group, context| group.sync(context, input)) {
            (Some(()), effects) => effects,
            (None, _) => {
                let error = absent(&group, GroupError::UnknownMemberId);
                vec![Effect::Respond { ticket, response: Response::Sync(Err(error)) }]
            }
        }
    }

    /// Heartbeat.
    pub fn heartbeat(&mut self, now: i64, input: &HeartbeatInput) -> Result<(), GroupError> {
        let result = self.act(now, &input.group, |group, context| group.heartbeat(context, input)).0;
        result.unwrap_or_else(|| Err(absent(&input.group, GroupError::UnknownMemberId)))
    }

    /// LeaveGroup: one result for each member named, in their order.
    pub fn leave(&mut self, now: i64, input: &LeaveInput) -> (Vec<Result<(), GroupError>>, Vec<Effect>) {
        let (results, effects) = self.act(now, &input.group, |group, context| group.leave(context, &input.members));
        let error = absent(&input.group, GroupError::UnknownMemberId);
        (results.unwrap_or_else(|| vec![Err(error); input.members.len()]), effects)
    }

    /// Whether offsets may be committed. A group that nobody joined is made known by its first commit; so if the
    /// answer is `Ok`, the offsets should be committed next.
    pub fn check_commit(&mut self, now: i64, input: &CommitInput) -> Result<(), GroupError> {
        if !self.groups.contains_key(&input.group) {
            match (input.generation >= 0, input.transactional) {
                (true, true) => return Err(GroupError::IllegalGeneration),
                (true, false) => return Err(GroupError::GroupIdNotFound),
                (false, _) => {}
            }
            self.create(now, &input.group)?.in_log = true;
        }
        let result = self.act(now, &input.group, |group, context| group.check_commit(context, input)).0;
        result.unwrap_or(Err(GroupError::CoordinatorNotAvailable))
    }

    /// Whether offsets of the group may be deleted: once for the request, then
    /// [`is_subscribed`](Groups::is_subscribed) for each topic.
    pub fn check_offset_delete(&self, group: &str) -> Result<(), GroupError> {
        self.groups.get(group).ok_or(GroupError::GroupIdNotFound)?.check_offset_delete()
    }

    /// Whether members of the group use the topic, so that its offsets must stay
    /// ([`GroupError::GroupSubscribedToTopic`]).
    pub fn is_subscribed(&self, group: &str, topic: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.is_subscribed_to(topic))
    }

    /// DescribeGroups for one group; none if there is no such group.
    pub fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.groups.get(group).map(Group::describe)
    }

    /// ListGroups, by group id.
    pub fn list(&self, filter: &GroupFilter) -> Vec<GroupListing> {
        self.groups.values().filter_map(|group| group.listing(filter)).collect()
    }

    /// DeleteGroups for one group. Answered by [`Response::Delete`].
    pub fn delete(&mut self, now: i64, ticket: Ticket, group: &str) -> Vec<Effect> {
        match self.act(now, group, |group, context| group.delete(context, ticket)) {
            (Some(()), effects) => effects,
            (None, _) => {
                let error = absent(group, GroupError::GroupIdNotFound);
                vec![Effect::Respond { ticket, response: Response::Delete(Err(error)) }]
            }
        }
    }

    /// Which of the group's committed offsets are past their retention at `now`, and whether the group itself can go
    /// with them (by [`delete`](Groups::delete)). Changes nothing.
    pub fn expired<K>(
        &self,
        now: i64,
        retention_ms: i64,
        group: &str,
        offsets: impl IntoIterator<Item = OffsetAge<K>>,
    ) -> Expired<K> {
        match self.groups.get(group) {
            Some(group) => group.expired(now, retention_ms, offsets),
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

    /// When to call [`tick`](Groups::tick) next; none while nothing is timed.
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

    fn create(&mut self, now: i64, group: &str) -> Result<&mut Group, GroupError> {
        if group.len() > self.settings.id_bytes_max {
            return Err(GroupError::InvalidGroupId);
        }
        if self.groups.len() >= self.settings.groups_max {
            return Err(GroupError::TooManyGroups);
        }
        let now = self.advance(now);
        Ok(self.groups.entry(group.to_owned()).or_insert_with(|| Group::new(group, now)))
    }

    /// Time as this coordinator sees it: it never goes back.
    fn advance(&mut self, now: i64) -> i64 {
        self.latest_ms = self.latest_ms.max(now);
        self.latest_ms
    }

    /// Lets a group act, then keeps the index of timers and the table in step with it.
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
        let mut context = Context { now, settings: &self.settings, effects: &mut effects, tokens: &mut self.tokens };
        let result = act(group, &mut context);
        debug_assert_eq!(group.check(), Ok(()));
        let disposable = group.is_disposable();
        let wake_ms = if disposable { None } else { group.wake_ms };
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

fn refused_join(ticket: Ticket, error: GroupError, member_id: &str) -> Effect {
    let refused = JoinRefused { error, member_id: member_id.to_owned() };
    Effect::Respond { ticket, response: Response::Join(Err(refused)) }
}

/// What to say about a group that does not exist: an empty id could never name one.
fn absent(group: &str, error: GroupError) -> GroupError {
    if group.is_empty() && error == GroupError::UnknownMemberId { GroupError::InvalidGroupId } else { error }
}
