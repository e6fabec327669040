//! Bringing one member to its target: first it gives up what it should not have, then it gets what others have given
//! up.
//!
//! Invariant: a partition is assigned to a member only if nobody holds it, and it is held until the member says that it
//! does not own it any more, or is removed.

use std::collections::BTreeSet;

use alluvium_record::TopicPartition;

use super::member::{Member, MemberState};
use super::state::{Context, Group};

/// Where a member stands.
#[derive(PartialEq, Eq)]
struct Standing {
    epoch: i32,
    state: MemberState,
    assigned: BTreeSet<TopicPartition>,
    pending_revocation: BTreeSet<TopicPartition>,
}

impl Standing {
    fn is_of(&self, member: &Member) -> bool {
        self.epoch == member.epoch
            && self.state == member.state
            && self.assigned == member.assigned
            && self.pending_revocation == member.pending_revocation
    }
}

impl Group {
    /// Moves the member on as far as possible. `owned` is what it says it owns, if it says so. Tells whether what is
    /// assigned to it has changed.
    pub(super) fn reconcile(
        &mut self,
        context: &Context<'_>,
        member_id: &str,
        owned: Option<&[TopicPartition]>,
    ) -> bool {
        let Some(standing) = self.next_standing(member_id, owned) else { return false };
        let Some(member) = self.members.get(member_id).filter(|member| !standing.is_of(member)) else { return false };
        let reassigned = standing.assigned != member.assigned;
        let revokes = standing.state == MemberState::UnrevokedPartitions;
        self.change_member(member_id, |member| {
            member.state = standing.state;
            member.move_on(standing.epoch, standing.assigned, standing.pending_revocation);
        });
        self.limit_rebalance(context, member_id, revokes);
        reassigned
    }

    /// Where the member should be next; none if it stays.
    fn next_standing(&self, member_id: &str, owned: Option<&[TopicPartition]>) -> Option<Standing> {
        let member = self.members.get(member_id)?;
        if member.is_reconciled_to(self.assignment_epoch) {
            return None;
        }
        let owns_any_of = |partitions: &BTreeSet<TopicPartition>| {
            owned.is_none_or(|owned| owned.iter().any(|partition| partitions.contains(partition)))
        };
        let epoch = match member.state {
            MemberState::UnrevokedPartitions if owns_any_of(&member.pending_revocation) => return None,
            // Its old epoch ends with what it has given up: commits under it are refused from now on.
            MemberState::UnrevokedPartitions => member.epoch.saturating_add(1).min(self.assignment_epoch),
            MemberState::Stable | MemberState::UnreleasedPartitions => member.epoch,
        };
        let mut assigned: BTreeSet<TopicPartition> = member.assigned.intersection(&member.target).copied().collect();
        let revoked: BTreeSet<TopicPartition> = member.assigned.difference(&member.target).copied().collect();
        if !revoked.is_empty() && owns_any_of(&revoked) {
            let state = MemberState::UnrevokedPartitions;
            return Some(Standing { epoch, state, assigned, pending_revocation: revoked });
        }
        let mut state = MemberState::Stable;
        for partition in &member.target {
            if self.is_free_for(*partition, member_id) {
                assigned.insert(*partition);
            } else {
                state = MemberState::UnreleasedPartitions;
            }
        }
        let pending_revocation = BTreeSet::new();
        Some(Standing { epoch: self.assignment_epoch, state, assigned, pending_revocation })
    }

    fn is_free_for(&self, partition: TopicPartition, member_id: &str) -> bool {
        self.owners.get(&partition).is_none_or(|owner| owner == member_id)
    }

    /// Whether a member that waits for partitions would get one now.
    pub(super) fn can_proceed(&self, member_id: &str, member: &Member) -> bool {
        let mut missing = member.target.difference(&member.assigned);
        missing.any(|partition| self.is_free_for(*partition, member_id))
    }
}
