//! JoinGroup: who may enter, under which id, and whether entering moves the group.
//!
//! A join that cannot be answered from what is already settled leaves its ticket with the member
//! (`Member::awaiting_join`) until the rebalance completes.

use super::effect::{GroupError, Joined, Response};
use super::input::{JoinInput, Ticket};
use super::member::{Member, effective_rebalance_timeout_ms};
use super::settings::GroupSettings;
use super::state::{Context, Group, State};

impl JoinInput {
    /// Checks what can be checked without the group, and drops protocols that are offered twice.
    pub(crate) fn checked(mut self, settings: &GroupSettings) -> Result<JoinInput, (Ticket, GroupError, String)> {
        let error = if self.group.is_empty() || self.group.len() > settings.id_bytes_max {
            Some(GroupError::InvalidGroupId)
        } else if !(settings.session_timeout_ms_min..=settings.session_timeout_ms_max)
            .contains(&self.session_timeout_ms)
        {
            Some(GroupError::InvalidSessionTimeout)
        } else if self.is_too_large(settings) {
            Some(GroupError::MetadataTooLarge)
        } else {
            None
        };
        if let Some(error) = error {
            return Err((self.ticket, error, self.member_id));
        }
        let mut seen = std::collections::BTreeSet::new();
        self.protocols.retain(|(name, _)| seen.insert(name.clone()));
        Ok(self)
    }

    fn is_too_large(&self, settings: &GroupSettings) -> bool {
        let id_bytes = [self.client_id.len(), self.client_host.len(), self.protocol_type.len()]
            .into_iter()
            .chain(self.instance_id.as_ref().map(String::len))
            .max();
        let metadata_bytes: usize = self.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum();
        id_bytes > Some(settings.id_bytes_max)
            || self.protocols.len() > settings.protocols_max
            || metadata_bytes > settings.metadata_bytes_max
    }

    /// The id of a member that has none yet.
    pub(crate) fn fresh_member_id(&self) -> String {
        format!("{}-{}", self.instance_id.as_ref().unwrap_or(&self.client_id), self.fresh_id)
    }
}

impl Group {
    pub(super) fn join(&mut self, context: &mut Context<'_>, input: JoinInput) {
        if self.state == State::Dead {
            context.refuse_join(input.ticket, GroupError::CoordinatorNotAvailable, &input.member_id);
        } else if !self.has_room_for(&input, context.settings.members_max) {
            context.refuse_join(input.ticket, GroupError::GroupMaxSizeReached, "");
            self.pending.remove(&input.member_id);
            self.drop_member(context, &input.member_id, GroupError::GroupMaxSizeReached);
            self.maybe_complete_join(context);
        } else if !self.supports(&input.protocol_type, &input.protocols) {
            context.refuse_join(input.ticket, GroupError::InconsistentGroupProtocol, &input.member_id);
        } else if input.member_id.is_empty() {
            self.join_without_id(context, input);
        } else {
            self.join_with_id(context, input);
        }
    }

    /// While a rebalance is prepared those who wait count, so that a group that is too large shrinks to its limit;
    /// otherwise all members do. Whoever is in already stays.
    fn has_room_for(&self, input: &JoinInput, members_max: usize) -> bool {
        let member_id = match &input.instance_id {
            Some(instance_id) if input.member_id.is_empty() => self.instances.get(instance_id),
            _ => Some(&input.member_id),
        };
        let member = member_id.and_then(|member_id| self.members.get(member_id));
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some()) || self.awaiting_join_count() < members_max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < members_max,
        }
    }

    fn join_without_id(&mut self, context: &mut Context<'_>, input: JoinInput) {
        let member_id = input.fresh_member_id();
        if self.members.contains_key(&member_id) {
            // Only a repeated fresh id brings us here; another attempt comes with another one.
            context.refuse_join(input.ticket, GroupError::CoordinatorNotAvailable, "");
        } else if let Some(instance_id) = &input.instance_id {
            match self.instances.get(instance_id).cloned() {
                Some(old_member_id) => self.replace_instance(context, input, &old_member_id, member_id),
                None => self.add_member(context, input, member_id),
            }
        } else if !input.member_id_required {
            self.add_member(context, input, member_id);
        } else if self.pending.len() >= context.settings.members_max {
            context.refuse_join(input.ticket, GroupError::GroupMaxSizeReached, "");
        } else {
            let deadline_ms = context.after(input.session_timeout_ms);
            self.note_deadline(deadline_ms);
            context.refuse_join(input.ticket, GroupError::MemberIdRequired, &member_id);
            self.pending.insert(member_id, deadline_ms);
        }
    }

    fn join_with_id(&mut self, context: &mut Context<'_>, input: JoinInput) {
        if self.pending.contains_key(&input.member_id) {
            if input.instance_id.is_some() {
                // An id that is pending was given to a dynamic member.
                context.refuse_join(input.ticket, GroupError::UnknownMemberId, &input.member_id);
            } else {
                let member_id = input.member_id.clone();
                self.add_member(context, input, member_id);
            }
            return;
        }
        if let Err(error) = self.validate_member(&input.member_id, input.instance_id.as_deref()) {
            context.refuse_join(input.ticket, error, &input.member_id);
            return;
        }
        let unchanged = self.members.get(&input.member_id).is_some_and(|member| member.protocols == input.protocols);
        match self.state {
            State::PreparingRebalance => self.update_and_rebalance(context, input),
            // It may not have received the answer it was given; the generation stands.
            State::CompletingRebalance if unchanged => self.answer_settled_join(context, &input, true),
            // A follower that has nothing new to say learns the generation and may go on to SyncGroup. A leader that
            // joins again wants a new assignment, for a reason that its own metadata need not show.
            State::Stable if unchanged && !self.is_leader(&input.member_id) => {
                self.answer_settled_join(context, &input, false)
            }
            State::CompletingRebalance | State::Stable => self.update_and_rebalance(context, input),
            State::Empty | State::Dead => {
                context.refuse_join(input.ticket, GroupError::UnknownMemberId, &input.member_id);
            }
        }
    }

    /// Answers with the current generation; its leader is told the members when `for_leader`.
    fn answer_settled_join(&mut self, context: &mut Context<'_>, input: &JoinInput, for_leader: bool) {
        let mut joined = self.joined(&input.member_id, false);
        if !for_leader {
            joined.members.clear();
        }
        context.respond(input.ticket, Response::Join(Ok(joined)));
        self.restart_session(context, &input.member_id);
    }

    /// The answer to a member of the current generation.
    pub(super) fn joined(&self, member_id: &str, skip_assignment: bool) -> Joined {
        Joined {
            member_id: member_id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone().unwrap_or_default(),
            leader: self.leader_id(),
            skip_assignment,
            members: if self.is_leader(member_id) { self.joined_members() } else { Vec::new() },
        }
    }

    fn add_member(&mut self, context: &mut Context<'_>, input: JoinInput, member_id: String) {
        if self.members.is_empty() {
            self.protocol_type = Some(input.protocol_type.clone());
        }
        let deadline_ms = context.after(context.settings.new_member_join_timeout_ms);
        let mut member = Member::from_join(&input);
        member.awaiting_join = Some(input.ticket);
        member.session_deadline_ms = Some(deadline_ms);
        self.note_deadline(deadline_ms);
        self.new_member_added = true;
        self.insert_member(&member_id, member);
        self.rebalance_or_complete(context);
    }

    fn update_and_rebalance(&mut self, context: &mut Context<'_>, input: JoinInput) {
        self.update_member(context, &input.member_id, &input);
        self.rebalance_or_complete(context);
    }

    /// Takes over what the join says and leaves its ticket with the member.
    pub(super) fn update_member(&mut self, context: &mut Context<'_>, member_id: &str, input: &JoinInput) {
        let leader = self.leader.clone();
        let was_pending_sync = self.pending_sync.contains(member_id);
        let Some(mut member) = self.take_member(member_id) else { return };
        if let Some(earlier) = member.awaiting_join.replace(input.ticket) {
            // The client sent its request again; nobody reads the earlier answer.
            context.refuse_join(earlier, GroupError::RebalanceInProgress, member_id);
        }
        member.protocols = input.protocols.clone();
        member.session_timeout_ms = input.session_timeout_ms;
        member.rebalance_timeout_ms = effective_rebalance_timeout_ms(input);
        if !member.is_new {
            member.session_deadline_ms = None;
        }
        self.insert_member(member_id, member);
        self.leader = leader;
        if was_pending_sync {
            self.pending_sync.insert(member_id.to_owned());
        }
    }
}
