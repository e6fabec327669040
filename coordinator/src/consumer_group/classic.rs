//! Members of the classic protocol in a consumer group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup.
//!
//! Such a member sees a group that rebalances alone: JoinGroup takes it towards its target and answers with its epoch
//! as the generation, without a leader; SyncGroup gives it what is assigned to it; Heartbeat tells it to join again
//! when there is more to do.

use std::collections::BTreeMap;

use alluvium_record::TopicPartition;
use bytes::Bytes;

use super::embedded::{EmbeddedSubscription, write_assignment};
use super::member::{ClassicMember, Member, MemberState, Subscription};
use super::state::{Context, Group};
use super::topics::Topics;
use crate::group::{
    GroupError, HeartbeatInput, JoinInput, JoinRefused, Joined, LeavingMember, Response, SyncInput, Synced,
};

/// The protocol type of ordinary consumers, the only ones that a consumer group admits.
const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// A JoinGroup that is refused: the error, and the member id to go with it.
type Refused = (GroupError, String);

impl Group {
    /// JoinGroup.
    pub(super) fn classic_join(&mut self, context: &mut Context<'_>, input: &JoinInput) {
        if let Err((error, member_id)) = self.try_classic_join(context, input) {
            context.respond(input.ticket, Response::Join(Err(JoinRefused { error, member_id })));
        }
    }

    fn try_classic_join(&mut self, context: &mut Context<'_>, input: &JoinInput) -> Result<(), Refused> {
        let refused = |error: GroupError| (error, input.member_id.clone());
        if !self.deleting.is_empty() {
            return Err(refused(GroupError::CoordinatorNotAvailable));
        }
        if !self.supports(input) {
            return Err(refused(GroupError::InconsistentGroupProtocol));
        }
        let metadata = input.protocols.first().map(|(_, metadata)| metadata.clone()).unwrap_or_default();
        let said = EmbeddedSubscription::read(&metadata).map_err(|error| {
            tracing::warn!(group = %self.id, member = %input.member_id, %error, "a classic member is not understood");
            refused(GroupError::InconsistentGroupProtocol)
        })?;
        let member_id = self.classic_seat(context, input)?;
        let resubscribed = self.update_classic_member(&member_id, input, &said);
        if resubscribed {
            self.begin_epoch(context);
        }
        self.reconcile(context, &member_id, Some(&partitions_of(context.topics, &said.owned)));
        self.restart_session(context, &member_id);
        self.limit_rebalance(context, &member_id, true);
        let Some(member) = self.members.get(&member_id) else { return Ok(()) };
        let joined = Joined {
            member_id: member_id.clone(),
            generation: member.epoch,
            protocol_type: CONSUMER_PROTOCOL_TYPE.to_owned(),
            protocol: member.classic_protocol().to_owned(),
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
        };
        self.respond_when_written(context, input.ticket, &member_id, Response::Join(Ok(joined)));
        Ok(())
    }

    /// Whether all members of the classic protocol, this one included, have a protocol in common.
    fn supports(&self, input: &JoinInput) -> bool {
        let others: Vec<&ClassicMember> = self
            .members
            .iter()
            .filter(|(member_id, _)| **member_id != input.member_id)
            .filter_map(|(_, member)| member.classic.as_ref())
            .collect();
        let is_common =
            |name: &String| others.iter().all(|member| member.protocols.iter().any(|(supported, _)| supported == name));
        input.protocol_type == CONSUMER_PROTOCOL_TYPE && input.protocols.iter().any(|(name, _)| is_common(name))
    }

    /// Makes sure that the member is in the group, and tells its id.
    fn classic_seat(&mut self, context: &mut Context<'_>, input: &JoinInput) -> Result<String, Refused> {
        let refused = |error: GroupError| (error, input.member_id.clone());
        if let Some(instance_id) = &input.instance_id
            && let Some(current) = self.instances.get(instance_id).cloned()
        {
            if input.member_id.is_empty() {
                let member_id = input.fresh_member_id();
                tracing::info!(group = %self.id, old = %current, new = %member_id, "static member is replaced");
                self.replace_member(context, &current, &member_id);
                return Ok(member_id);
            }
            return if current == input.member_id { Ok(current) } else { Err(refused(GroupError::FencedInstanceId)) };
        }
        if input.instance_id.is_some() && !input.member_id.is_empty() {
            return Err(refused(GroupError::UnknownMemberId));
        }
        if self.members.contains_key(&input.member_id) {
            return Ok(input.member_id.clone());
        }
        if self.members.len() >= context.settings.members_max {
            return Err((GroupError::GroupMaxSizeReached, String::new()));
        }
        let member_id = if input.member_id.is_empty() { input.fresh_member_id() } else { input.member_id.clone() };
        if input.member_id.is_empty() && input.instance_id.is_none() && input.member_id_required {
            return Err((GroupError::MemberIdRequired, member_id));
        }
        if self.members.contains_key(&member_id) {
            // Only a repeated fresh id brings us here; another attempt comes with another one.
            return Err((GroupError::CoordinatorNotAvailable, String::new()));
        }
        tracing::info!(group = %self.id, member = %member_id, "classic member joins the consumer group");
        self.insert_member(&member_id, Member { instance_id: input.instance_id.clone(), ..Member::new() });
        self.begin_epoch(context);
        Ok(member_id)
    }

    /// Takes over what the join says. Tells whether the subscription has changed.
    fn update_classic_member(&mut self, member_id: &str, input: &JoinInput, said: &EmbeddedSubscription) -> bool {
        let Some(member) = self.members.get_mut(member_id) else { return false };
        let before = member.record(member_id);
        let subscription = Subscription::new(said.topics.clone(), None);
        let resubscribed = member.subscription != subscription;
        member.subscription = subscription;
        member.assignor = None;
        member.rack_id = said.rack_id.clone().or_else(|| member.rack_id.take());
        member.client_id.clone_from(&input.client_id);
        member.client_host.clone_from(&input.client_host);
        member.rebalance_timeout_ms =
            if input.rebalance_timeout_ms < 0 { input.session_timeout_ms } else { input.rebalance_timeout_ms };
        let session_timeout_ms = input.session_timeout_ms;
        member.classic = Some(ClassicMember { session_timeout_ms, protocols: input.protocols.clone() });
        if member.record(member_id) != before {
            self.queue.touch(member_id);
        }
        resubscribed
    }

    /// SyncGroup.
    pub(super) fn classic_sync(&mut self, context: &mut Context<'_>, input: &SyncInput) {
        let response = match self.try_classic_sync(context, input) {
            Ok(synced) => synced,
            Err(error) => {
                context.respond(input.ticket, Response::Sync(Err(error)));
                return;
            }
        };
        self.respond_when_written(context, input.ticket, &input.member_id, Response::Sync(Ok(response)));
    }

    fn try_classic_sync(&mut self, context: &Context<'_>, input: &SyncInput) -> Result<Synced, GroupError> {
        let member = self.classic_member(&input.member_id, input.instance_id.as_deref(), input.generation)?;
        let names_other_type = input.protocol_type.as_ref().is_some_and(|named| named != CONSUMER_PROTOCOL_TYPE);
        if names_other_type || input.protocol.as_ref().is_some_and(|named| named != member.classic_protocol()) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let (state, is_behind) = (member.state, member.epoch < self.epoch);
        let synced = Synced {
            protocol_type: CONSUMER_PROTOCOL_TYPE.to_owned(),
            protocol: member.classic_protocol().to_owned(),
            assignment: member.classic_assignment(context.topics),
        };
        self.restart_session(context, &input.member_id);
        self.limit_rebalance(context, &input.member_id, state == MemberState::UnrevokedPartitions);
        // A member that is to give up partitions must first hear of it.
        if is_behind && state != MemberState::UnrevokedPartitions {
            self.limit_rebalance(context, &input.member_id, true);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(synced)
    }

    /// Heartbeat.
    pub(super) fn classic_heartbeat(
        &mut self,
        context: &Context<'_>,
        input: &HeartbeatInput,
    ) -> Result<(), GroupError> {
        let member_id = input.member_id.as_str();
        let member = self.classic_member(member_id, input.instance_id.as_deref(), input.generation)?;
        let should_join = member.epoch < self.epoch
            || match member.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => self.can_proceed(member_id, member),
            };
        let is_limited = member.rebalance_deadline_ms.is_some();
        self.restart_session(context, member_id);
        if !should_join {
            return Ok(());
        }
        if !is_limited {
            self.limit_rebalance(context, member_id, true);
        }
        Err(GroupError::RebalanceInProgress)
    }

    /// LeaveGroup: answers in the order of the members named. Members of either protocol can be removed.
    pub(super) fn classic_leave(
        &mut self,
        context: &mut Context<'_>,
        leaving: &[LeavingMember],
    ) -> Vec<Result<(), GroupError>> {
        leaving.iter().map(|member| self.classic_leave_one(context, member)).collect()
    }

    fn classic_leave_one(&mut self, context: &mut Context<'_>, leaving: &LeavingMember) -> Result<(), GroupError> {
        let member_id = match &leaving.instance_id {
            // An administrator knows the instance, not the id of the process behind it.
            Some(instance_id) if leaving.member_id.is_empty() => {
                self.instances.get(instance_id).cloned().ok_or(GroupError::UnknownMemberId)?
            }
            instance_id => {
                let member = self.validate_member(&leaving.member_id, instance_id.as_deref())?;
                if member.classic.is_none() {
                    return Err(GroupError::UnknownMemberId);
                }
                leaving.member_id.clone()
            }
        };
        tracing::info!(group = %self.id, member = %member_id, "classic member leaves the consumer group");
        self.remove_member(context, &member_id, GroupError::UnknownMemberId);
        Ok(())
    }

    fn classic_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<&Member, GroupError> {
        let member = self.validate_member(member_id, instance_id)?;
        if member.classic.is_none() {
            return Err(GroupError::UnknownMemberId);
        }
        if member.epoch != generation {
            return Err(GroupError::IllegalGeneration);
        }
        Ok(member)
    }
}

impl Member {
    /// The protocol that a classic member is told: its own favourite, since nobody has to agree on one.
    fn classic_protocol(&self) -> &str {
        let protocols = self.classic.as_ref().map(|classic| classic.protocols.as_slice()).unwrap_or_default();
        protocols.first().map_or("", |(name, _)| name)
    }

    /// What is assigned to it, in the words of the classic protocol. Topics that are gone are left out.
    pub(super) fn classic_assignment(&self, topics: &Topics) -> Bytes {
        let metadata = self.classic.as_ref().and_then(|classic| classic.protocols.first());
        let version =
            metadata.and_then(|(_, bytes)| EmbeddedSubscription::read(bytes).ok()).map_or(0, |read| read.version);
        let mut by_name: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for partition in &self.assigned {
            if let Some(name) = topics.name(partition.topic) {
                by_name.entry(name.to_owned()).or_default().push(partition.partition);
            }
        }
        write_assignment(version, &by_name)
    }
}

/// Partitions of topics by name; topics that are gone are left out.
pub(super) fn partitions_of(topics: &Topics, by_name: &[(String, Vec<i32>)]) -> Vec<TopicPartition> {
    let known = by_name.iter().filter_map(|(name, indexes)| Some((topics.by_name(name)?.id, indexes)));
    known.flat_map(|(id, indexes)| indexes.iter().map(move |index| TopicPartition::new(id, *index))).collect()
}
