//! What happens when members say nothing.

use super::state::{Context, Group};
use crate::group::GroupError;

impl Group {
    /// Carries out every timer that is due, and notes when to look again.
    pub(super) fn run_due_timers(&mut self, context: &mut Context<'_>) {
        if self.retry_at_ms.is_some_and(|deadline_ms| deadline_ms <= context.now) {
            self.retry_at_ms = None;
        }
        let overdue = |deadline_ms: Option<i64>| deadline_ms.is_some_and(|deadline_ms| deadline_ms <= context.now);
        let expired: Vec<(String, bool)> = self
            .members
            .iter()
            .filter_map(|(member_id, member)| {
                let silent = overdue(Some(member.session_deadline_ms));
                (silent || overdue(member.rebalance_deadline_ms)).then(|| (member_id.clone(), silent))
            })
            .collect();
        for (member_id, silent) in expired {
            if silent {
                tracing::info!(group = %self.id, member = %member_id, "member's session has ended");
            } else {
                tracing::info!(group = %self.id, member = %member_id, "member did not do its part of a rebalance in time");
            }
            self.remove_member(context, &member_id, GroupError::UnknownMemberId);
        }
        let sessions = self.members.values().map(|member| member.session_deadline_ms);
        let limits = self.members.values().filter_map(|member| member.rebalance_deadline_ms);
        self.wake_ms = sessions.chain(limits).chain(self.retry_at_ms).min();
    }
}
