//! One group: its fields, and the bookkeeping that every input shares.
//!
//! Owns the table of members and what is derived from it: instance ids, and who holds which partition.

use std::collections::BTreeMap;

use alluvium_record::{TopicId, TopicPartition};

use super::member::Member;
use super::persist::PersistQueue;
use super::settings::ConsumerGroupSettings;
use super::subscription::Regexes;
use super::topics::Topics;
use crate::group::{Effect, GroupError, PersistToken, Response, Ticket};

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsumerGroupState {
    /// No members; perhaps committed offsets.
    Empty,
    /// The targets are of an earlier epoch than the group.
    Assigning,
    /// Some member does not have its target yet.
    Reconciling,
    /// Every member has its target.
    Stable,
    /// Being deleted.
    Dead,
}

impl ConsumerGroupState {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerGroupState::Empty => "Empty",
            ConsumerGroupState::Assigning => "Assigning",
            ConsumerGroupState::Reconciling => "Reconciling",
            ConsumerGroupState::Stable => "Stable",
            ConsumerGroupState::Dead => "Dead",
        }
    }
}

/// What an input sees beside the group itself.
pub(super) struct Context<'a> {
    pub(super) now: i64,
    pub(super) settings: &'a ConsumerGroupSettings,
    pub(super) topics: &'a Topics,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) tokens: &'a mut u64,
}

impl Context<'_> {
    pub(super) fn respond(&mut self, ticket: Ticket, response: Response) {
        self.effects.push(Effect::Respond { ticket, response });
    }

    pub(super) fn fresh_token(&mut self) -> PersistToken {
        *self.tokens += 1;
        PersistToken(*self.tokens)
    }

    pub(super) fn after(&self, delay_ms: i32) -> i64 {
        self.now.saturating_add(i64::from(delay_ms))
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    /// Goes up whenever members or what they are subscribed to change.
    pub(super) epoch: i32,
    /// The group epoch that the targets were computed for.
    pub(super) assignment_epoch: i32,
    pub(super) members: BTreeMap<String, Member>,
    /// Instance id to member id of static members.
    pub(super) instances: BTreeMap<String, String>,
    /// Who holds a partition: it is assigned to them, or not yet given up.
    pub(super) owners: BTreeMap<TopicPartition, String>,
    /// The topics of all subscriptions, with the number of partitions that the targets were computed for.
    pub(super) subscribed: BTreeMap<TopicId, i32>,
    pub(super) regexes: Regexes,
    pub(super) queue: PersistQueue,
    /// Tickets of deletions; the group goes when all else is written.
    pub(super) deleting: Vec<Ticket>,
    /// The log holds something of this group, or may come to.
    pub(super) in_log: bool,
    pub(super) retry_at_ms: Option<i64>,
    pub(super) updated_ms: i64,
    /// No timer of this group is earlier than this.
    pub(super) wake_ms: Option<i64>,
}

impl Group {
    pub(super) fn new(id: &str, epoch: i32, now: i64) -> Group {
        Group {
            id: id.to_owned(),
            epoch,
            assignment_epoch: epoch,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            owners: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            regexes: Regexes::default(),
            queue: PersistQueue::default(),
            deleting: Vec::new(),
            in_log: false,
            retry_at_ms: None,
            updated_ms: now,
            wake_ms: None,
        }
    }

    pub(super) fn state(&self) -> ConsumerGroupState {
        if !self.deleting.is_empty() {
            ConsumerGroupState::Dead
        } else if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch > self.assignment_epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(self.assignment_epoch)) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// Whether nothing would be lost by forgetting the group.
    pub(super) fn is_disposable(&self) -> bool {
        self.members.is_empty() && !self.in_log && self.queue.is_idle() && self.deleting.is_empty()
    }

    /// Puts a member in; whoever had the id before is replaced.
    pub(super) fn insert_member(&mut self, member_id: &str, member: Member) {
        self.take_member(member_id);
        if let Some(instance_id) = &member.instance_id {
            self.instances.insert(instance_id.clone(), member_id.to_owned());
        }
        for partition in member.held() {
            self.owners.insert(partition, member_id.to_owned());
        }
        self.queue.touch(member_id);
        self.note_deadline(member.session_deadline_ms);
        if let Some(deadline_ms) = member.rebalance_deadline_ms {
            self.note_deadline(deadline_ms);
        }
        self.members.insert(member_id.to_owned(), member);
    }

    /// Takes a member out; the answers it waits for are the caller's.
    pub(super) fn take_member(&mut self, member_id: &str) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        if let Some(instance_id) = &member.instance_id {
            self.instances.remove(instance_id);
        }
        for partition in member.held() {
            self.owners.remove(&partition);
        }
        self.queue.touch(member_id);
        Some(member)
    }

    /// Lets a member change while what is derived from it is kept right.
    pub(super) fn change_member(&mut self, member_id: &str, change: impl FnOnce(&mut Member)) {
        if let Some(mut member) = self.take_member(member_id) {
            change(&mut member);
            self.insert_member(member_id, member);
        }
    }

    /// Starts the member's session again.
    pub(super) fn restart_session(&mut self, context: &Context<'_>, member_id: &str) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let deadline_ms = context.after(member.session_timeout_ms(context.settings.session_timeout_ms));
        member.session_deadline_ms = deadline_ms;
        self.note_deadline(deadline_ms);
    }

    /// Gives the member its rebalance timeout from now on, or takes the limit away.
    pub(super) fn limit_rebalance(&mut self, context: &Context<'_>, member_id: &str, limited: bool) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let deadline_ms = limited.then(|| context.after(member.rebalance_timeout_ms.max(1)));
        member.rebalance_deadline_ms = deadline_ms;
        if let Some(deadline_ms) = deadline_ms {
            self.note_deadline(deadline_ms);
        }
    }

    pub(super) fn note_deadline(&mut self, deadline_ms: i64) {
        self.wake_ms = Some(self.wake_ms.map_or(deadline_ms, |earlier| earlier.min(deadline_ms)));
    }

    /// Removes a member for good: the others get what it held, and whatever it waits for is refused.
    pub(super) fn remove_member(&mut self, context: &mut Context<'_>, member_id: &str, error: GroupError) {
        if self.take_member(member_id).is_none() {
            return;
        }
        for (ticket, response) in self.queue.refuse_member(member_id, error) {
            context.respond(ticket, response);
        }
        self.begin_epoch(context);
    }

    /// Whether this is the member of its instance id, if it names one.
    pub(super) fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<&Member, GroupError> {
        if let Some(instance_id) = instance_id {
            match self.instances.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(current) if current != member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.members.get(member_id).ok_or(GroupError::UnknownMemberId)
    }
}
