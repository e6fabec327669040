//! Groups that change their protocol: what crosses between classic groups and consumer groups.
//!
//! A classic group comes over as it is: its members keep their ids, what they own, and the generation as their epoch;
//! they find out by a heartbeat that they must join again. A consumer group goes over when only members of the classic
//! protocol are left, or nobody.

use std::collections::BTreeSet;

use alluvium_record::TopicPartition;
use bytes::Bytes;
use thiserror::Error;

use super::ConsumerGroups;
use super::classic::partitions_of;
use super::embedded::{EmbeddedError, EmbeddedSubscription, read_assignment};
use super::member::{ClassicMember, Member, Subscription};
use super::settings::ConsumerGroupSettings;
use super::state::Group;
use crate::group::{Effect, GroupError};

/// A group between two protocols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicGroup {
    /// The group id.
    pub group: String,
    /// The generation, or the epoch of its members.
    pub generation: i32,
    /// The protocol that the members' metadata is read from, if one was chosen.
    pub protocol: Option<String>,
    /// The members.
    pub members: Vec<ClassicGroupMember>,
}

/// A member of the classic protocol, on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicGroupMember {
    /// Its id.
    pub member_id: String,
    /// Its instance id, if it is static.
    pub instance_id: Option<String>,
    /// From the request header.
    pub client_id: String,
    /// The peer's address.
    pub client_host: String,
    /// Session timeout in milliseconds.
    pub session_timeout_ms: i32,
    /// Rebalance timeout in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Protocols it supports with their metadata, in its order.
    pub protocols: Vec<(String, Bytes)>,
    /// What it owns.
    pub assignment: Bytes,
}

impl ClassicGroupMember {
    /// Its metadata for a protocol, or for its own favourite.
    fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let chosen = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        chosen.or(self.protocols.first()).map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}

/// Why a classic group cannot become a consumer group.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConversionError {
    /// The settings do not let it.
    #[error("the migration policy does not allow it")]
    Policy,
    /// It has more members than a consumer group may have.
    #[error("the group has too many members")]
    TooManyMembers,
    /// A member is not understood.
    #[error("member {member_id}: {error}")]
    Member {
        /// Its id.
        member_id: String,
        /// What is wrong with it.
        error: EmbeddedError,
    },
}

impl ConsumerGroups {
    /// Whether this classic group could be taken over.
    pub fn check_conversion(&self, classic: &ClassicGroup) -> Result<(), ConversionError> {
        if classic.members.is_empty() {
            return Ok(());
        }
        if !self.settings.migration.upgrades() {
            return Err(ConversionError::Policy);
        }
        if classic.members.len() > self.settings.members_max {
            return Err(ConversionError::TooManyMembers);
        }
        for member in &classic.members {
            let wrong = |error| ConversionError::Member { member_id: member.member_id.clone(), error };
            EmbeddedSubscription::read(&member.metadata(classic.protocol.as_deref())).map_err(wrong)?;
            read_assignment(&member.assignment, classic.protocol.as_deref()).map_err(wrong)?;
        }
        Ok(())
    }

    /// Takes a classic group over, which [`check_conversion`](ConsumerGroups::check_conversion) has found good. Nobody
    /// may wait for anything in it, and nothing of it may be on its way to the log.
    pub fn adopt(&mut self, now: i64, classic: ClassicGroup) -> Vec<Effect> {
        let id = classic.group.clone();
        if self.groups.contains_key(&id) {
            return Vec::new();
        }
        let now = self.advance(now);
        let mut group = Group::new(&id, classic.generation, now);
        group.in_log = true;
        self.groups.insert(id.clone(), group);
        self.act(now, &id, |group, context| {
            for member in classic.members {
                let metadata = member.metadata(classic.protocol.as_deref());
                let said = EmbeddedSubscription::read(&metadata).unwrap_or_default();
                let owned = match member.assignment.is_empty() {
                    // Taken back by a rebalance that had begun: it still has what it said when it joined.
                    true => said.owned.clone(),
                    false => read_assignment(&member.assignment, classic.protocol.as_deref()).unwrap_or_default(),
                };
                group.adopt_member(member, said, partitions_of(context.topics, &owned));
            }
            group.resume(context);
        })
        .1
    }

    /// Takes out a group that should go on as a classic one, with its members.
    pub fn pop_convertible(&mut self) -> Option<ClassicGroup> {
        let id = self.convertible.pop_first()?;
        let group = self.remove(&id)?;
        Some(group.into_classic(&self.topics))
    }

    /// Takes out a group without members whose place a classic one wants. `Ok(None)` if there is no such group, an
    /// error if it has members or cannot go right now.
    pub fn pop_empty(&mut self, group: &str) -> Result<Option<ClassicGroup>, GroupError> {
        let Some(known) = self.groups.get(group) else { return Ok(None) };
        if !known.members.is_empty() {
            return Err(GroupError::NonEmptyGroup);
        }
        if !known.queue.is_idle() || !known.deleting.is_empty() {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        Ok(self.remove(group).map(|group| group.into_classic(&self.topics)))
    }
}

impl Group {
    fn adopt_member(&mut self, member: ClassicGroupMember, said: EmbeddedSubscription, owned: Vec<TopicPartition>) {
        // Custom assignors may give a partition to several members; here it has one owner.
        let assigned: BTreeSet<TopicPartition> =
            owned.into_iter().filter(|partition| !self.owners.contains_key(partition)).collect();
        let mut adopted = Member {
            instance_id: member.instance_id,
            rack_id: said.rack_id,
            client_id: member.client_id,
            client_host: member.client_host,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            subscription: Subscription::new(said.topics, None),
            epoch: self.epoch,
            previous_epoch: self.epoch,
            target: assigned.clone(),
            assigned,
            classic: Some(ClassicMember { session_timeout_ms: member.session_timeout_ms, protocols: member.protocols }),
            ..Member::new()
        };
        adopted.hold_since_now();
        self.insert_member(&member.member_id, adopted);
    }

    /// Whether the group has members, all of the classic protocol, and nothing to write.
    pub(super) fn is_convertible(&self, settings: &ConsumerGroupSettings) -> bool {
        settings.migration.downgrades()
            && self.queue.is_idle()
            && !self.members.is_empty()
            && self.members.values().all(|member| member.classic.is_some())
    }

    fn into_classic(self, topics: &super::Topics) -> ClassicGroup {
        // That of its members, so that they learn by a heartbeat of theirs that they must join again.
        let generation = self.members.values().map(|member| member.epoch).max().unwrap_or(self.epoch);
        let members = self
            .members
            .into_iter()
            .map(|(member_id, member)| {
                let assignment = member.classic_assignment(topics);
                let classic = member.classic.unwrap_or(ClassicMember { session_timeout_ms: 0, protocols: Vec::new() });
                ClassicGroupMember {
                    member_id,
                    instance_id: member.instance_id,
                    client_id: member.client_id,
                    client_host: member.client_host,
                    session_timeout_ms: classic.session_timeout_ms,
                    rebalance_timeout_ms: member.rebalance_timeout_ms,
                    protocols: classic.protocols,
                    assignment,
                }
            })
            .collect();
        ClassicGroup { group: self.id, generation, protocol: None, members }
    }
}
