//! Which offset commits and fetches a group allows, and which offsets are past their retention.
//!
//! A commit counts for a member's epoch: whoever has been given another assignment since must not move offsets of what
//! it has lost. Under an epoch that it has left it may commit for what it has held ever since. Offsets of subscribed topics stay while the group has members; all others age from their commit.

use alluvium_record::TopicPartition;

use super::input::FetchInput;
use super::state::Group;
use super::topics::Topics;
use crate::group::{CommitInput, Expired, GroupError, OffsetAge};

impl Group {
    /// Whether this sender may commit offsets of these partitions now.
    pub(super) fn check_commit(&self, input: &CommitInput, partitions: &[TopicPartition]) -> Result<(), GroupError> {
        if !self.deleting.is_empty() {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        if input.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        // What a transaction's offsets do not name is not checked; whatever they name is.
        let is_anonymous = input.generation < 0 && input.member_id.is_empty() && input.instance_id.is_none();
        if input.transactional && is_anonymous {
            return Ok(());
        }
        let member = self.validate_member(&input.member_id, input.instance_id.as_deref())?;
        match &member.classic {
            None if member.may_commit(input.generation, partitions) => Ok(()),
            None => Err(GroupError::StaleMemberEpoch),
            Some(_) if member.epoch == input.generation => Ok(()),
            Some(_) => Err(GroupError::IllegalGeneration),
        }
    }

    /// Whether this sender may read offsets now.
    pub(super) fn check_fetch(&self, input: &FetchInput) -> Result<(), GroupError> {
        if input.member_id.is_none() && input.member_epoch < 0 {
            return Ok(());
        }
        let member = self.validate_member(input.member_id.as_deref().unwrap_or_default(), None)?;
        match (member.epoch == input.member_epoch, &member.classic) {
            (true, _) => Ok(()),
            (false, None) => Err(GroupError::StaleMemberEpoch),
            (false, Some(_)) => Err(GroupError::IllegalGeneration),
        }
    }

    pub(super) fn expired<K>(
        &self,
        now: i64,
        retention_ms: i64,
        topics: &Topics,
        offsets: impl IntoIterator<Item = OffsetAge<K>>,
    ) -> Expired<K> {
        let mut expired = Vec::new();
        let mut kept = false;
        for offset in offsets {
            let since_ms =
                if self.members.is_empty() { self.updated_ms.max(offset.commit_ms) } else { offset.commit_ms };
            let in_use = !self.deleting.is_empty() || self.is_subscribed_to(topics, &offset.topic);
            if !in_use && now.saturating_sub(since_ms) >= retention_ms {
                expired.push(offset.key);
            } else {
                kept = true;
            }
        }
        let group = !kept && self.members.is_empty() && self.deleting.is_empty() && self.queue.is_idle();
        Expired { offsets: expired, group }
    }
}
