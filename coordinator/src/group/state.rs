//! One group: its fields, and the bookkeeping that every input shares.
//!
//! Owns the table of members and what is derived from it (instance ids, supported protocols, leader). The inputs live
//! in files of their own: `join`, `rebalance`, `instance`, `sync`, `membership`, `offsets`, `persist`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::effect::{Effect, GroupError, JoinRefused, JoinedMember, PersistToken, Response};
use super::input::Ticket;
use super::member::Member;
use super::persist::PersistQueue;
use super::settings::GroupSettings;
use super::subscription::subscribed_topics;

/// The protocol type of ordinary consumers, the only one whose metadata the coordinator reads.
pub(super) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No members; perhaps committed offsets.
    Empty,
    /// Members are asked to join again.
    PreparingRebalance,
    /// The generation is settled; the leader's assignment is awaited or being written.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// Being deleted.
    Dead,
}

impl State {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }
}

/// What an input sees beside the group itself.
pub(super) struct Context<'a> {
    pub(super) now: i64,
    pub(super) settings: &'a GroupSettings,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) tokens: &'a mut u64,
}

impl Context<'_> {
    pub(super) fn respond(&mut self, ticket: Ticket, response: Response) {
        self.effects.push(Effect::Respond { ticket, response });
    }

    pub(super) fn refuse_join(&mut self, ticket: Ticket, error: GroupError, member_id: &str) {
        let refused = JoinRefused { error, member_id: member_id.to_owned() };
        self.respond(ticket, Response::Join(Err(refused)));
    }

    pub(super) fn fresh_token(&mut self) -> PersistToken {
        *self.tokens += 1;
        PersistToken(*self.tokens)
    }

    pub(super) fn after(&self, delay_ms: i32) -> i64 {
        self.now.saturating_add(i64::from(delay_ms))
    }
}

/// The end of the joining phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct JoinTimer {
    pub(super) deadline_ms: i64,
    /// Set while an empty group gathers its first members.
    pub(super) initial: Option<InitialDelay>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct InitialDelay {
    /// The delay that is running now.
    pub(super) delay_ms: i32,
    /// What may still be granted after it.
    pub(super) remaining_ms: i32,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Instance id to member id of static members.
    pub(super) instances: BTreeMap<String, String>,
    /// How many members support each protocol.
    pub(super) support: BTreeMap<String, usize>,
    /// Ids that were given out and have not come back yet, with the time they are forgotten.
    pub(super) pending: BTreeMap<String, i64>,
    /// Members of this generation that have not sent SyncGroup.
    pub(super) pending_sync: BTreeSet<String>,
    /// Topics of this generation, if they could be read.
    pub(super) subscribed: Option<BTreeSet<String>>,
    pub(super) join_timer: Option<JoinTimer>,
    pub(super) sync_deadline_ms: Option<i64>,
    pub(super) persist_retry_at_ms: Option<i64>,
    /// Whether somebody came during the running initial delay.
    pub(super) new_member_added: bool,
    pub(super) state_changed_ms: i64,
    /// No timer of this group is earlier than this.
    pub(super) wake_ms: Option<i64>,
    pub(super) queue: PersistQueue,
    /// The log holds something of this group, or may come to.
    pub(super) in_log: bool,
    /// The last change could not be written.
    pub(super) unsaved: bool,
}

impl Group {
    pub(super) fn new(id: &str, now: i64) -> Group {
        Group {
            id: id.to_owned(),
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            support: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            subscribed: None,
            join_timer: None,
            sync_deadline_ms: None,
            persist_retry_at_ms: None,
            new_member_added: false,
            state_changed_ms: now,
            wake_ms: None,
            queue: PersistQueue::default(),
            in_log: false,
            unsaved: false,
        }
    }

    pub(super) fn set_state(&mut self, context: &Context<'_>, state: State) {
        tracing::debug!(group = %self.id, generation = self.generation, from = self.state.name(), to = state.name(), "group changes state");
        self.state = state;
        self.state_changed_ms = context.now;
    }

    /// Whether nothing would be lost by forgetting the group.
    pub(super) fn is_disposable(&self) -> bool {
        let idle = self.members.is_empty() && self.pending.is_empty() && self.queue.is_idle();
        match self.state {
            State::Empty => idle && !self.in_log && !self.unsaved,
            State::Dead => idle && !self.in_log,
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => false,
        }
    }

    pub(super) fn insert_member(&mut self, member_id: &str, member: Member) {
        for (name, _) in &member.protocols {
            *self.support.entry(name.clone()).or_default() += 1;
        }
        if let Some(instance_id) = &member.instance_id {
            self.instances.insert(instance_id.clone(), member_id.to_owned());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.to_owned());
        }
        self.pending.remove(member_id);
        self.members.insert(member_id.to_owned(), member);
    }

    /// Takes a member out of the table; its outstanding answers are the caller's.
    pub(super) fn take_member(&mut self, member_id: &str) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        for (name, _) in &member.protocols {
            if let Some(count) = self.support.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.support.remove(name);
                }
            }
        }
        if let Some(instance_id) = &member.instance_id {
            self.instances.remove(instance_id);
        }
        self.pending_sync.remove(member_id);
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Removes a member and gives `error` to whatever it waits for.
    pub(super) fn drop_member(&mut self, context: &mut Context<'_>, member_id: &str, error: GroupError) {
        let Some(member) = self.take_member(member_id) else { return };
        if let Some(ticket) = member.awaiting_join {
            context.refuse_join(ticket, error, member_id);
        }
        if let Some(ticket) = member.awaiting_sync {
            context.respond(ticket, Response::Sync(Err(error)));
        }
    }

    /// Starts the member's session again, unless it waits for an answer.
    pub(super) fn restart_session(&mut self, context: &Context<'_>, member_id: &str) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if member.is_awaiting() {
            return;
        }
        let deadline_ms = context.after(member.session_timeout_ms);
        member.session_deadline_ms = Some(deadline_ms);
        self.note_deadline(deadline_ms);
    }

    pub(super) fn note_deadline(&mut self, deadline_ms: i64) {
        self.wake_ms = Some(self.wake_ms.map_or(deadline_ms, |earlier| earlier.min(deadline_ms)));
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// The leader's member id, empty if there is none.
    pub(super) fn leader_id(&self) -> String {
        self.leader.clone().unwrap_or_default()
    }

    /// Longest rebalance timeout of all members, and at least 1 so that a timer always moves on.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(1)
    }

    pub(super) fn has_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    pub(super) fn awaiting_join_count(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    /// Whether a member with these protocols could be part of the group.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.support.get(name) == Some(&self.members.len()))
    }

    /// The protocol with the most votes among those that every member supports. Each member votes for the first such
    /// protocol in its own list; a tie goes to the one the leader prefers.
    pub(super) fn elect_protocol(&self) -> Option<String> {
        let everyone = self.members.len();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| self.support.get(name) == Some(&everyone))
            {
                *votes.entry(name).or_default() += 1;
            }
        }
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let rank = |name: &str| {
            leader
                .and_then(|leader| leader.protocols.iter().position(|(offered, _)| offered == name))
                .unwrap_or(usize::MAX)
        };
        votes.into_iter().max_by_key(|(name, count)| (*count, Reverse(rank(name)))).map(|(name, _)| name.to_owned())
    }

    /// All members with their metadata for the chosen protocol.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members.iter().map(|(member_id, member)| member.joined(member_id, protocol)).collect()
    }

    /// The topics that the members of this generation are subscribed to, none if that cannot be known.
    pub(super) fn read_subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscribed_topics(&member.metadata(protocol)).ok()?);
        }
        Some(topics)
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether this is who it says: known, and not fenced by a newer process with the same instance id.
    pub(super) fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.instances.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(current) if current != member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }
}
