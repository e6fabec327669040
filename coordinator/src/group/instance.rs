//! Static membership (KIP-345): a process that comes back under its instance id takes the place of its former self.
//!
//! The former member id is fenced at once. If the group is stable and neither the chosen protocol nor the subscribed
//! topics change, the new id is written and the generation goes on; otherwise the group rebalances.

use super::effect::{GroupError, JoinedMember, PersistError, Response};
use super::input::{JoinInput, Ticket};
use super::member::Member;
use super::persist::Completion;
use super::state::{Context, Group, State};
use super::subscription::subscribed_topics;

/// What is needed to finish a replacement, or to undo it.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) generation: i32,
    pub(super) ticket: Ticket,
    pub(super) member_id: String,
    pub(super) old_member_id: String,
    pub(super) old_member: Member,
    pub(super) old_leader: String,
    pub(super) skip_assignment_supported: bool,
}

impl Group {
    pub(super) fn replace_instance(
        &mut self,
        context: &mut Context<'_>,
        input: JoinInput,
        old_member_id: &str,
        member_id: String,
    ) {
        let old_leader = self.leader_id();
        let Some(old_member) = self.members.get(old_member_id).cloned() else { return };
        tracing::info!(group = %self.id, old = %old_member_id, new = %member_id, "static member is replaced");
        self.rename_member(context, old_member_id, &member_id);
        if let Some(member) = self.members.get_mut(&member_id) {
            member.client_id = input.client_id.clone();
            member.client_host = input.client_host.clone();
        }
        self.update_member(context, &member_id, &input);
        match self.state {
            State::Stable if self.continues_with(&member_id, &old_member) => {
                let replacement = Replacement {
                    generation: self.generation,
                    ticket: input.ticket,
                    member_id,
                    old_member_id: old_member_id.to_owned(),
                    old_member: Member { awaiting_join: None, awaiting_sync: None, ..old_member },
                    old_leader,
                    skip_assignment_supported: input.skip_assignment_supported,
                };
                self.persist_record(context, None, Completion::Replaced(Box::new(replacement)));
            }
            // The leader may be computing with the former id: what it sends would give the new one nothing.
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(context),
            State::PreparingRebalance => self.maybe_complete_join(context),
            State::Empty | State::Dead => {}
        }
    }

    /// Whether the generation can go on with this replacement.
    fn continues_with(&self, member_id: &str, old_member: &Member) -> bool {
        let (Some(protocol), Some(member)) = (&self.protocol, self.members.get(member_id)) else { return false };
        if self.elect_protocol().as_ref() != Some(protocol) {
            return false;
        }
        let (before, after) = (old_member.metadata(protocol), member.metadata(protocol));
        // The rest of a subscription (owned partitions, user data) rightly differs after a restart.
        before == after || !self.is_consumer_group() || subscribed_topics(&before) == subscribed_topics(&after)
    }

    /// Moves a member to another id; whatever the old id waits for is fenced.
    fn rename_member(&mut self, context: &mut Context<'_>, old_member_id: &str, member_id: &str) {
        let was_leader = self.is_leader(old_member_id);
        let was_pending_sync = self.pending_sync.contains(old_member_id);
        let Some(mut member) = self.take_member(old_member_id) else { return };
        if let Some(ticket) = member.awaiting_join.take() {
            context.refuse_join(ticket, GroupError::FencedInstanceId, old_member_id);
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            context.respond(ticket, Response::Sync(Err(GroupError::FencedInstanceId)));
        }
        self.insert_member(member_id, member);
        if was_leader {
            self.leader = Some(member_id.to_owned());
        }
        if was_pending_sync {
            self.pending_sync.insert(member_id.to_owned());
        }
    }

    /// The new id is written, or could not be. If the group has moved on meanwhile, its rebalance answers.
    pub(super) fn replacement_done(
        &mut self,
        context: &mut Context<'_>,
        replacement: Replacement,
        result: Result<(), PersistError>,
    ) {
        let member_id = replacement.member_id.as_str();
        let waits = self.members.get(member_id).is_some_and(|member| member.awaiting_join == Some(replacement.ticket));
        if !waits || self.state != State::Stable || self.generation != replacement.generation {
            return;
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.awaiting_join = None;
            member.is_new = false;
        }
        match result {
            Ok(()) => {
                self.answer_replacement(context, &replacement);
                self.restart_session(context, member_id);
            }
            Err(error) => {
                context.refuse_join(replacement.ticket, error.as_group_error(), "");
                self.undo_replacement(context, replacement);
            }
        }
    }

    fn answer_replacement(&mut self, context: &mut Context<'_>, replacement: &Replacement) {
        let leads = self.is_leader(&replacement.member_id);
        let mut joined = self.joined(&replacement.member_id, leads && replacement.skip_assignment_supported);
        if !replacement.skip_assignment_supported {
            // An older client that saw itself lead would compute an assignment for a generation that has one: it is
            // shown the leader of before, who is not itself.
            joined.members = Vec::<JoinedMember>::new();
            joined.leader = replacement.old_leader.clone();
        }
        context.respond(replacement.ticket, Response::Join(Ok(joined)));
    }

    fn undo_replacement(&mut self, context: &mut Context<'_>, replacement: Replacement) {
        let was_leader = self.is_leader(&replacement.member_id);
        let was_pending_sync = self.pending_sync.contains(&replacement.member_id);
        self.take_member(&replacement.member_id);
        self.insert_member(&replacement.old_member_id, replacement.old_member);
        if was_leader {
            self.leader = Some(replacement.old_member_id.clone());
        }
        if was_pending_sync {
            self.pending_sync.insert(replacement.old_member_id.clone());
        }
        self.restart_session(context, &replacement.old_member_id);
    }
}
