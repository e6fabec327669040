//! What is true of every group between two inputs. Simulation asks after each step; debug builds always do.

use std::collections::BTreeMap;

use alluvium_record::TopicPartition;

use super::member::MemberState;
use super::state::Group;
use crate::group::BrokenInvariant;

impl Group {
    /// The first invariant that does not hold.
    pub(super) fn check(&self) -> Result<(), BrokenInvariant> {
        let rules: [(&'static str, bool); 8] = [
            (
                "a partition is held by one member at most, and the index of owners says by whom",
                self.owners_are_right(),
            ),
            ("targets do not overlap", self.targets_are_disjoint()),
            ("instance ids and static members belong to each other one to one", self.instances_fit_members()),
            ("what a member is to give up is not assigned to it, and it has to in that state alone", self.states_fit()),
            ("no member is ahead of the targets, and no targets are ahead of the group", self.epochs_fit()),
            ("a stable member has its target", self.stable_is_complete()),
            ("it is known since when a member holds what it holds, and of nothing else", self.holding_is_dated()),
            ("no timer is earlier than the time the group is woken", self.wake_is_early_enough()),
        ];
        for (number, (rule, holds)) in (1..).zip(rules) {
            if !holds {
                return Err(BrokenInvariant { group: self.id.clone(), number, rule });
            }
        }
        Ok(())
    }

    fn owners_are_right(&self) -> bool {
        let mut owners: BTreeMap<TopicPartition, &str> = BTreeMap::new();
        for (member_id, member) in &self.members {
            for partition in member.held() {
                if owners.insert(partition, member_id).is_some() {
                    return false;
                }
            }
        }
        owners.len() == self.owners.len()
            && owners.iter().all(|(partition, owner)| self.owners.get(partition).is_some_and(|known| known == owner))
    }

    fn targets_are_disjoint(&self) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        self.members.values().flat_map(|member| &member.target).all(|partition| seen.insert(*partition))
    }

    fn instances_fit_members(&self) -> bool {
        let static_members = self.members.values().filter(|member| member.instance_id.is_some()).count();
        static_members == self.instances.len()
            && self.instances.iter().all(|(instance_id, member_id)| {
                self.members.get(member_id).is_some_and(|member| member.instance_id.as_ref() == Some(instance_id))
            })
    }

    fn states_fit(&self) -> bool {
        self.members.values().all(|member| {
            let revokes = member.state == MemberState::UnrevokedPartitions;
            member.assigned.is_disjoint(&member.pending_revocation) && revokes != member.pending_revocation.is_empty()
        })
    }

    fn epochs_fit(&self) -> bool {
        self.assignment_epoch <= self.epoch && self.members.values().all(|member| member.epoch <= self.assignment_epoch)
    }

    fn stable_is_complete(&self) -> bool {
        self.members
            .values()
            .filter(|member| member.is_reconciled_to(self.assignment_epoch))
            .all(|member| member.assigned == member.target)
    }

    fn holding_is_dated(&self) -> bool {
        self.members.values().all(|member| member.held().eq(member.since.keys().copied()))
    }

    fn wake_is_early_enough(&self) -> bool {
        let wake_ms = self.wake_ms.unwrap_or(i64::MAX);
        let sessions = self.members.values().map(|member| member.session_deadline_ms);
        let limits = self.members.values().filter_map(|member| member.rebalance_deadline_ms);
        sessions.chain(limits).chain(self.retry_at_ms).all(|deadline_ms| wake_ms <= deadline_ms)
    }
}
