//! What is true of every group between two inputs. Simulation asks after each step; debug builds always do.

use std::collections::BTreeMap;

use thiserror::Error;

use super::state::{Group, State};

/// An invariant that does not hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("group {group:?} breaks invariant {number}: {rule}")]
pub struct BrokenInvariant {
    /// The group.
    pub group: String,
    /// The number of the invariant.
    pub number: u32,
    /// What should be true.
    pub rule: &'static str,
}

impl Group {
    /// The first invariant that does not hold.
    pub(super) fn check(&self) -> Result<(), BrokenInvariant> {
        let rules: [(&'static str, bool); 10] = [
            ("a group has members exactly in the states of a rebalance and when stable", self.members_fit_state()),
            ("a group with members has one leader, who is a member; a group without has none", self.leader_is_member()),
            ("instance ids and static members belong to each other one to one", self.instances_fit_members()),
            ("the count of supporters of each protocol is right", self.support_is_counted()),
            ("a member waits for at most one answer", self.one_answer_each()),
            ("joins wait only for a rebalance or a replacement, syncs only for an assignment", self.waits_fit_state()),
            ("something will end every phase in which members wait", self.phase_ends()),
            ("a member that waits for nothing has a session that ends", self.sessions_end()),
            ("no timer is earlier than the time the group is woken", self.wake_is_early_enough()),
            ("ids that are pending are not members", self.pending.keys().all(|id| !self.members.contains_key(id))),
        ];
        for (number, (rule, holds)) in (1..).zip(rules) {
            if !holds {
                return Err(BrokenInvariant { group: self.id.clone(), number, rule });
            }
        }
        Ok(())
    }

    fn members_fit_state(&self) -> bool {
        match self.state {
            State::Empty | State::Dead => self.members.is_empty(),
            State::CompletingRebalance | State::Stable => !self.members.is_empty() && self.protocol.is_some(),
            // All may have gone during the initial delay.
            State::PreparingRebalance => true,
        }
    }

    fn leader_is_member(&self) -> bool {
        match &self.leader {
            Some(leader) => self.members.contains_key(leader),
            None => self.members.is_empty(),
        }
    }

    fn instances_fit_members(&self) -> bool {
        let static_members = self.members.values().filter(|member| member.instance_id.is_some()).count();
        static_members == self.instances.len()
            && self.instances.iter().all(|(instance_id, member_id)| {
                self.members.get(member_id).is_some_and(|member| member.instance_id.as_ref() == Some(instance_id))
            })
    }

    fn support_is_counted(&self) -> bool {
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for (name, _) in self.members.values().flat_map(|member| &member.protocols) {
            *counted.entry(name.clone()).or_default() += 1;
        }
        counted == self.support
    }

    fn one_answer_each(&self) -> bool {
        self.members.values().all(|member| member.awaiting_join.is_none() || member.awaiting_sync.is_none())
    }

    fn waits_fit_state(&self) -> bool {
        self.members.values().all(|member| match self.state {
            State::PreparingRebalance => member.awaiting_sync.is_none(),
            State::CompletingRebalance => member.awaiting_join.is_none(),
            State::Stable => {
                member.awaiting_sync.is_none()
                    && (member.awaiting_join.is_none() || member.instance_id.is_some() && !self.queue.is_idle())
            }
            State::Empty | State::Dead => true,
        })
    }

    fn phase_ends(&self) -> bool {
        match self.state {
            State::PreparingRebalance => self.join_timer.is_some(),
            State::CompletingRebalance if self.pending_sync.is_empty() => {
                self.queue.holds_assignment_of(self.generation)
            }
            State::CompletingRebalance => self.sync_deadline_ms.is_some() && self.join_timer.is_none(),
            State::Dead => !self.queue.is_idle() || !self.in_log,
            State::Empty | State::Stable => self.join_timer.is_none(),
        }
    }

    fn sessions_end(&self) -> bool {
        self.members
            .values()
            .all(|member| member.session_deadline_ms.is_some() != (member.is_awaiting() && !member.is_new))
    }

    fn wake_is_early_enough(&self) -> bool {
        let wake_ms = self.wake_ms.unwrap_or(i64::MAX);
        let sessions = self.members.values().filter_map(|member| member.session_deadline_ms);
        let phases = [self.sync_deadline_ms, self.persist_retry_at_ms, self.join_timer.map(|timer| timer.deadline_ms)];
        sessions
            .chain(phases.into_iter().flatten())
            .chain(self.pending.values().copied())
            .all(|deadline_ms| wake_ms <= deadline_ms)
    }
}
