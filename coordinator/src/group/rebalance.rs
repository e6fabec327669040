//! The joining phase of a rebalance: when it begins, how long it waits, and how a new generation comes out of it.
//!
//! A group that was empty waits `initial_rebalance_delay_ms` for company, again and again while new members come, up to
//! their rebalance timeout. Any other group waits until every member has joined again, at most the rebalance timeout;
//! dynamic members that did not come are removed then, static ones stay until their session ends.

use std::collections::BTreeSet;

use super::effect::{GroupError, Response};
use super::state::{Context, Group, InitialDelay, JoinTimer, State};

impl Group {
    /// After a member came or changed: begins a rebalance, or ends the one that only waited for this.
    pub(super) fn rebalance_or_complete(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Empty | State::CompletingRebalance | State::Stable => self.prepare_rebalance(context),
            State::PreparingRebalance => self.maybe_complete_join(context),
            State::Dead => {}
        }
    }

    /// After members went.
    pub(super) fn rebalance_without_leavers(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(context),
            State::PreparingRebalance => self.maybe_complete_join(context),
            State::Empty | State::Dead => {}
        }
    }

    /// Asks every member to join again.
    pub(super) fn prepare_rebalance(&mut self, context: &mut Context<'_>) {
        if self.state == State::CompletingRebalance {
            self.reset_assignments(context, GroupError::RebalanceInProgress);
        }
        self.sync_deadline_ms = None;
        self.pending_sync.clear();
        let was_empty = self.state == State::Empty;
        self.new_member_added = false;
        self.set_state(context, State::PreparingRebalance);
        if was_empty {
            let delay_ms = context.settings.initial_rebalance_delay_ms;
            if delay_ms <= 0 {
                self.complete_join(context);
            } else {
                let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
                self.start_join_timer(context, delay_ms, Some(InitialDelay { delay_ms, remaining_ms }));
            }
        } else if self.has_all_joined() {
            self.complete_join(context);
        } else {
            self.start_join_timer(context, self.rebalance_timeout_ms(), None);
        }
    }

    fn start_join_timer(&mut self, context: &Context<'_>, delay_ms: i32, initial: Option<InitialDelay>) {
        let deadline_ms = context.after(delay_ms);
        self.join_timer = Some(JoinTimer { deadline_ms, initial });
        self.note_deadline(deadline_ms);
    }

    /// Completes the joining phase if nobody is missing. An initial delay always runs to its end.
    pub(super) fn maybe_complete_join(&mut self, context: &mut Context<'_>) {
        let initial = self.join_timer.is_some_and(|timer| timer.initial.is_some());
        if self.state == State::PreparingRebalance && !initial && self.has_all_joined() {
            self.complete_join(context);
        }
    }

    /// The join timer has run out.
    pub(super) fn join_timer_due(&mut self, context: &mut Context<'_>) {
        let Some(timer) = self.join_timer.take() else { return };
        match timer.initial {
            Some(initial) if self.new_member_added && initial.remaining_ms > 0 => {
                self.new_member_added = false;
                let delay_ms = context.settings.initial_rebalance_delay_ms.min(initial.remaining_ms).max(1);
                let remaining_ms = (initial.remaining_ms - initial.delay_ms).max(0);
                self.start_join_timer(context, delay_ms, Some(InitialDelay { delay_ms, remaining_ms }));
            }
            _ => self.complete_join(context),
        }
    }

    /// Ends the joining phase: whoever waits is in, and learns the new generation.
    pub(super) fn complete_join(&mut self, context: &mut Context<'_>) {
        self.join_timer = None;
        let absent: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.awaiting_join.is_none() && member.instance_id.is_none())
            .map(|(member_id, _)| member_id.clone())
            .collect();
        for member_id in absent {
            tracing::info!(group = %self.id, member = %member_id, "member did not join again within the rebalance timeout");
            self.drop_member(context, &member_id, GroupError::UnknownMemberId);
        }
        if self.members.is_empty() {
            self.become_empty(context);
        } else if self.elect_leader_who_joined() {
            self.begin_generation(context);
        } else {
            // Only static members are left and none has come: their sessions decide.
            self.start_join_timer(context, self.rebalance_timeout_ms(), None);
        }
    }

    /// Keeps a leader who has joined, or makes one of those who have.
    fn elect_leader_who_joined(&mut self) -> bool {
        let has_joined =
            |group: &Group, id: &String| group.members.get(id).is_some_and(|member| member.awaiting_join.is_some());
        if self.leader.as_ref().is_some_and(|leader| has_joined(self, leader)) {
            return true;
        }
        let elected = self.members.keys().find(|id| has_joined(self, id)).cloned();
        let found = elected.is_some();
        if found {
            self.leader = elected;
        }
        found
    }

    fn become_empty(&mut self, context: &mut Context<'_>) {
        self.generation = self.generation.saturating_add(1);
        self.protocol = None;
        self.leader = None;
        self.pending_sync.clear();
        self.subscribed = self.is_consumer_group().then(BTreeSet::new);
        self.set_state(context, State::Empty);
        self.persist_emptied(context);
    }

    fn begin_generation(&mut self, context: &mut Context<'_>) {
        self.generation = self.generation.saturating_add(1);
        self.protocol = self.elect_protocol();
        self.subscribed = self.read_subscriptions();
        self.set_state(context, State::CompletingRebalance);
        self.pending_sync = self.members.keys().cloned().collect();
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.is_new = false;
            let Some(ticket) = member.awaiting_join.take() else { continue };
            let joined = self.joined(&member_id, false);
            context.respond(ticket, Response::Join(Ok(joined)));
            self.restart_session(context, &member_id);
        }
        let deadline_ms = context.after(self.rebalance_timeout_ms());
        self.sync_deadline_ms = Some(deadline_ms);
        self.note_deadline(deadline_ms);
    }
}
