//! Which offset commits and deletions a group allows, and which offsets are past their retention.
//!
//! Offsets themselves are the log's. Retention follows KIP-211: while a group of consumers has members, offsets of
//! topics nobody is subscribed to age from their commit; once it is empty, all offsets age from that moment on (or
//! from their commit, if that is later); offsets of consumers without group management age from their commit.

use super::effect::GroupError;
use super::input::CommitInput;
use super::state::{Context, Group, State};

/// One committed offset, as far as retention is concerned. `K` is the caller's key of it.
#[derive(Clone, Debug)]
pub struct OffsetAge<K> {
    /// Handed back if the offset has expired.
    pub key: K,
    /// The topic's name.
    pub topic: String,
    /// When it was committed.
    pub commit_ms: i64,
}

/// What retention removes from one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired<K> {
    /// Offsets past their retention.
    pub offsets: Vec<K>,
    /// No members and no offsets are left: the group itself can be deleted.
    pub group: bool,
}

impl Group {
    /// Whether this sender may commit offsets now. A commit of a member counts as a heartbeat.
    pub(super) fn check_commit(&mut self, context: &Context<'_>, input: &CommitInput) -> Result<(), GroupError> {
        if self.state == State::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        if input.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if input.generation >= 0 || !input.member_id.is_empty() || input.instance_id.is_some() {
            self.validate_member(&input.member_id, input.instance_id.as_deref())?;
            if input.generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else if !input.transactional && self.state != State::Empty {
            return Err(GroupError::UnknownMemberId);
        }
        if !input.transactional && self.state == State::CompletingRebalance {
            // The member is right about the generation, but does not know its part of it yet.
            return Err(GroupError::RebalanceInProgress);
        }
        self.restart_session(context, &input.member_id);
        Ok(())
    }

    pub(super) fn check_offset_delete(&self) -> Result<(), GroupError> {
        match self.state {
            State::Dead => Err(GroupError::GroupIdNotFound),
            State::Empty => Ok(()),
            // The coordinator can tell which topics are in use for consumers only.
            _ if self.is_consumer_group() => Ok(()),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Whether a member uses the topic. When that cannot be known of a consumer group with members, it is assumed.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group() && !self.members.is_empty(),
        }
    }

    pub(super) fn expired<K>(
        &self,
        now: i64,
        retention_ms: i64,
        offsets: impl IntoIterator<Item = OffsetAge<K>>,
    ) -> Expired<K> {
        let mut expired = Vec::new();
        let mut kept = false;
        for offset in offsets {
            let since_ms = match (&self.protocol_type, self.state) {
                (_, State::Dead) => None,
                (None, State::Empty) => Some(offset.commit_ms),
                (Some(_), State::Empty) => Some(self.state_changed_ms.max(offset.commit_ms)),
                (Some(_), State::Stable) if self.subscribed.is_some() && !self.is_subscribed_to(&offset.topic) => {
                    Some(offset.commit_ms)
                }
                _ => None,
            };
            if since_ms.is_some_and(|since_ms| now.saturating_sub(since_ms) >= retention_ms) {
                expired.push(offset.key);
            } else {
                kept = true;
            }
        }
        let group = !kept && self.state == State::Empty && self.pending.is_empty() && self.queue.is_idle();
        Expired { offsets: expired, group }
    }
}
