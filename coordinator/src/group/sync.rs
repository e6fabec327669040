//! SyncGroup: the leader hands in the assignment, everybody receives a part of it.
//!
//! Invariant: no SyncGroup is answered with an assignment that is not in the log. The leader's request is written as
//! the group's record first; only when that is acknowledged does the group become stable and answer.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::effect::{GroupError, PersistError, Response, Synced};
use super::input::SyncInput;
use super::persist::Completion;
use super::record::payload_bytes;
use super::state::{Context, Group, State};

impl Group {
    pub(super) fn sync(&mut self, context: &mut Context<'_>, input: SyncInput) {
        if let Err(error) = self.validate_sync(&input) {
            context.respond(input.ticket, Response::Sync(Err(error)));
            return;
        }
        self.pending_sync.remove(&input.member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline_ms = None;
        }
        if self.state == State::Stable {
            let synced = self.synced(&input.member_id);
            context.respond(input.ticket, Response::Sync(Ok(synced)));
            self.restart_session(context, &input.member_id);
            return;
        }
        let Some(member) = self.members.get_mut(&input.member_id) else { return };
        member.session_deadline_ms = None;
        if let Some(earlier) = member.awaiting_sync.replace(input.ticket) {
            // The client sent its request again; nobody reads the earlier answer.
            context.respond(earlier, Response::Sync(Err(GroupError::RebalanceInProgress)));
        }
        if self.is_leader(&input.member_id) && !self.queue.holds_assignment_of(self.generation) {
            self.persist_assignment(context, input.assignments);
        }
    }

    fn validate_sync(&self, input: &SyncInput) -> Result<(), GroupError> {
        if self.state == State::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.validate_member(&input.member_id, input.instance_id.as_deref())?;
        if input.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if input.protocol_type.is_some() && input.protocol_type != self.protocol_type {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty | State::Dead => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => {
                if input.protocol.is_some() && input.protocol != self.protocol {
                    return Err(GroupError::InconsistentGroupProtocol);
                }
                Ok(())
            }
        }
    }

    fn persist_assignment(&mut self, context: &mut Context<'_>, given: Vec<(String, Bytes)>) {
        let mut assignments: BTreeMap<String, Bytes> =
            given.into_iter().filter(|(member_id, _)| self.members.contains_key(member_id)).collect();
        for member_id in self.members.keys() {
            assignments.entry(member_id.clone()).or_default();
        }
        let record_bytes = payload_bytes(&self.record(Some(&assignments)));
        if record_bytes > context.settings.record_bytes_max {
            tracing::warn!(group = %self.id, record_bytes, "assignment is larger than a group's record may be");
            self.fail_assignment(context, GroupError::RecordTooLarge);
            return;
        }
        let completion = Completion::Assigned { generation: self.generation, assignments: assignments.clone() };
        self.persist_record(context, Some(&assignments), completion);
    }

    /// The assignment is written, or could not be. If the group has moved on meanwhile, everyone has been answered.
    pub(super) fn assignment_done(
        &mut self,
        context: &mut Context<'_>,
        generation: i32,
        assignments: BTreeMap<String, Bytes>,
        result: Result<(), PersistError>,
    ) {
        if self.state != State::CompletingRebalance || self.generation != generation {
            return;
        }
        if let Err(error) = result {
            tracing::warn!(group = %self.id, generation, %error, "assignment could not be written, rebalancing again");
            self.fail_assignment(context, error.as_group_error());
            return;
        }
        for (member_id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&member_id) {
                member.assignment = assignment;
            }
        }
        self.set_state(context, State::Stable);
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            let Some(ticket) = self.members.get_mut(&member_id).and_then(|member| member.awaiting_sync.take()) else {
                continue;
            };
            let synced = self.synced(&member_id);
            context.respond(ticket, Response::Sync(Ok(synced)));
            self.restart_session(context, &member_id);
        }
    }

    fn fail_assignment(&mut self, context: &mut Context<'_>, error: GroupError) {
        self.reset_assignments(context, error);
        self.prepare_rebalance(context);
    }

    /// Takes every assignment back and answers all who wait for one.
    pub(super) fn reset_assignments(&mut self, context: &mut Context<'_>, error: GroupError) {
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.assignment = Bytes::new();
            if let Some(ticket) = member.awaiting_sync.take() {
                context.respond(ticket, Response::Sync(Err(error)));
                self.restart_session(context, &member_id);
            }
        }
    }

    /// The sync timer has run out: members of the generation that never asked for their part are removed.
    pub(super) fn sync_timer_due(&mut self, context: &mut Context<'_>) {
        self.sync_deadline_ms = None;
        if self.pending_sync.is_empty() || !matches!(self.state, State::CompletingRebalance | State::Stable) {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_sync) {
            tracing::info!(group = %self.id, member = %member_id, "member did not sync within the rebalance timeout");
            self.drop_member(context, &member_id, GroupError::UnknownMemberId);
        }
        self.prepare_rebalance(context);
    }

    fn synced(&self, member_id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment: self.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }
}
