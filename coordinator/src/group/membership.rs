//! Staying and going: Heartbeat, LeaveGroup, and the timers that decide for members who say nothing.

use super::effect::GroupError;
use super::input::{HeartbeatInput, LeavingMember};
use super::state::{Context, Group, State};

/// One timer of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Join,
    Sync,
    PersistRetry,
    Pending(String),
    Session(String),
}

impl Group {
    pub(super) fn heartbeat(&mut self, context: &Context<'_>, input: &HeartbeatInput) -> Result<(), GroupError> {
        if self.state == State::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.validate_member(&input.member_id, input.instance_id.as_deref())?;
        if input.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.restart_session(context, &input.member_id);
        match self.state {
            State::Empty | State::Dead => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Removes the members named; answers in their order.
    pub(super) fn leave(
        &mut self,
        context: &mut Context<'_>,
        leaving: &[LeavingMember],
    ) -> Vec<Result<(), GroupError>> {
        if self.state == State::Dead {
            return vec![Err(GroupError::CoordinatorNotAvailable); leaving.len()];
        }
        let results: Vec<_> = leaving.iter().map(|member| self.leave_one(context, member)).collect();
        if results.iter().any(Result::is_ok) {
            self.rebalance_without_leavers(context);
        }
        results
    }

    fn leave_one(&mut self, context: &mut Context<'_>, leaving: &LeavingMember) -> Result<(), GroupError> {
        if self.pending.remove(&leaving.member_id).is_some() {
            return Ok(());
        }
        let member_id = match &leaving.instance_id {
            // An administrator knows the instance, not the id of the process behind it.
            Some(instance_id) if leaving.member_id.is_empty() => {
                self.instances.get(instance_id).cloned().ok_or(GroupError::UnknownMemberId)?
            }
            instance_id => {
                self.validate_member(&leaving.member_id, instance_id.as_deref())?;
                leaving.member_id.clone()
            }
        };
        tracing::info!(group = %self.id, member = %member_id, "member leaves");
        self.drop_member(context, &member_id, GroupError::UnknownMemberId);
        Ok(())
    }

    /// Carries out every timer that is due, earliest first, and notes when to look again.
    pub(super) fn run_due_timers(&mut self, context: &mut Context<'_>) {
        loop {
            let next = self.earliest_timer();
            match next {
                Some((deadline_ms, timer)) if deadline_ms <= context.now => self.timer_due(context, timer),
                other => {
                    self.wake_ms = other.map(|(deadline_ms, _)| deadline_ms);
                    return;
                }
            }
        }
    }

    fn earliest_timer(&self) -> Option<(i64, Timer)> {
        let join = self.join_timer.map(|timer| (timer.deadline_ms, Timer::Join));
        let sync = self.sync_deadline_ms.map(|deadline_ms| (deadline_ms, Timer::Sync));
        let retry = self.persist_retry_at_ms.map(|deadline_ms| (deadline_ms, Timer::PersistRetry));
        let pending = self.pending.iter().min_by_key(|(_, deadline_ms)| **deadline_ms);
        let pending = pending.map(|(member_id, deadline_ms)| (*deadline_ms, Timer::Pending(member_id.clone())));
        let session = self
            .members
            .iter()
            .filter_map(|(member_id, member)| Some((member.session_deadline_ms?, member_id)))
            .min()
            .map(|(deadline_ms, member_id)| (deadline_ms, Timer::Session(member_id.clone())));
        [join, sync, retry, pending, session].into_iter().flatten().min()
    }

    fn timer_due(&mut self, context: &mut Context<'_>, timer: Timer) {
        match timer {
            Timer::Join => self.join_timer_due(context),
            Timer::Sync => self.sync_timer_due(context),
            Timer::PersistRetry => self.persist_retry_due(context),
            Timer::Pending(member_id) => {
                self.pending.remove(&member_id);
                self.maybe_complete_join(context);
            }
            Timer::Session(member_id) => self.session_due(context, &member_id),
        }
    }

    fn session_due(&mut self, context: &mut Context<'_>, member_id: &str) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.session_deadline_ms = None;
        if member.is_awaiting() && !member.is_new {
            return;
        }
        tracing::info!(group = %self.id, member = %member_id, "member's session has ended");
        self.drop_member(context, member_id, GroupError::UnknownMemberId);
        self.rebalance_without_leavers(context);
    }
}
