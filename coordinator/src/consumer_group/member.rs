//! One member of a consumer group, as its coordinator sees it.
//!
//! Invariants:
//! 1. `assigned` and `pending_revocation` are disjoint; both together are what the member may still own.
//! 2. `since` says of exactly these from which epoch on the member has held them without a break.
//! 3. Something is pending revocation exactly in the state [`MemberState::UnrevokedPartitions`].

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::TopicPartition;
use bytes::Bytes;

use super::input::LEAVE_FOR_A_WHILE_EPOCH;
use super::record::{ClassicMemberRecord, ConsumerMemberRecord};

/// Where a member is on its way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// It has what it should have for its epoch.
    Stable,
    /// It has to give partitions up first.
    UnrevokedPartitions,
    /// Others have to give partitions up first.
    UnreleasedPartitions,
}

impl MemberState {
    /// The number in a record of the log.
    pub fn number(self) -> i32 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
        }
    }

    /// The state of this number; what is not known is looked at anew, which [`MemberState::UnreleasedPartitions`] does.
    fn by_number(number: i32) -> MemberState {
        match number {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            _ => MemberState::UnreleasedPartitions,
        }
    }
}

/// What a member wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subscription {
    /// Sorted, without duplicates.
    pub(super) topics: Vec<String>,
    pub(super) regex: Option<String>,
}

impl Subscription {
    pub(super) fn new(topics: impl IntoIterator<Item = String>, regex: Option<String>) -> Subscription {
        let topics: BTreeSet<String> = topics.into_iter().collect();
        Subscription { topics: topics.into_iter().collect(), regex: regex.filter(|regex| !regex.is_empty()) }
    }
}

/// What a member of the classic protocol said when it joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClassicMember {
    pub(super) session_timeout_ms: i32,
    /// At least one; names are unique; most wanted first.
    pub(super) protocols: Vec<(String, Bytes)>,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) subscription: Subscription,
    pub(super) assignor: Option<String>,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    pub(super) assigned: BTreeSet<TopicPartition>,
    pub(super) pending_revocation: BTreeSet<TopicPartition>,
    pub(super) target: BTreeSet<TopicPartition>,
    pub(super) classic: Option<ClassicMember>,
    pub(super) since: BTreeMap<TopicPartition, i32>,
    /// The end of its session; set as soon as it is in the group.
    pub(super) session_deadline_ms: i64,
    /// Until when it must have given up, joined again or synced.
    pub(super) rebalance_deadline_ms: Option<i64>,
}

impl Member {
    /// Somebody who owns nothing and has said nothing.
    pub(super) fn new() -> Member {
        Member {
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: 0,
            subscription: Subscription::default(),
            assignor: None,
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: BTreeSet::new(),
            pending_revocation: BTreeSet::new(),
            target: BTreeSet::new(),
            classic: None,
            since: BTreeMap::new(),
            session_deadline_ms: i64::MAX,
            rebalance_deadline_ms: None,
        }
    }

    pub(super) fn from_record(record: ConsumerMemberRecord) -> Member {
        let pending_revocation: BTreeSet<TopicPartition> = record.pending_revocation.into_iter().collect();
        let state = match MemberState::by_number(record.state) {
            MemberState::UnrevokedPartitions if pending_revocation.is_empty() => MemberState::UnreleasedPartitions,
            MemberState::Stable | MemberState::UnreleasedPartitions if !pending_revocation.is_empty() => {
                MemberState::UnrevokedPartitions
            }
            state => state,
        };
        let mut member = Member {
            instance_id: record.instance_id,
            rack_id: record.rack_id,
            client_id: record.client_id,
            client_host: record.client_host,
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            subscription: Subscription::new(record.subscribed_topics, record.subscribed_regex),
            assignor: record.assignor,
            epoch: record.member_epoch,
            previous_epoch: record.previous_member_epoch,
            state,
            assigned: record.assigned.into_iter().collect(),
            pending_revocation,
            target: record.target.into_iter().collect(),
            classic: record.classic.map(|classic| ClassicMember {
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic.protocols,
            }),
            ..Member::new()
        };
        member.hold_since_now();
        member
    }

    /// Nobody knows how long it has held what it holds.
    pub(super) fn hold_since_now(&mut self) {
        self.since = self.held().map(|partition| (partition, self.epoch)).collect();
    }

    /// It gets and gives up partitions, and is at another epoch.
    pub(super) fn move_on(
        &mut self,
        epoch: i32,
        assigned: BTreeSet<TopicPartition>,
        pending_revocation: BTreeSet<TopicPartition>,
    ) {
        if epoch != self.epoch {
            self.previous_epoch = self.epoch;
            self.epoch = epoch;
        }
        self.since.extend(assigned.difference(&self.assigned).map(|partition| (*partition, epoch)));
        (self.assigned, self.pending_revocation) = (assigned, pending_revocation);
        let (assigned, pending_revocation) = (&self.assigned, &self.pending_revocation);
        self.since.retain(|partition, _| assigned.contains(partition) || pending_revocation.contains(partition));
    }

    /// Whether a commit for these partitions under this epoch is its own: the epoch is current, or it has held them all
    /// since then.
    pub(super) fn may_commit(&self, epoch: i32, partitions: &[TopicPartition]) -> bool {
        let has_held = |partition| self.since.get(partition).is_some_and(|since| *since <= epoch);
        epoch == self.epoch || (epoch > 0 && epoch < self.epoch && partitions.iter().all(has_held))
    }

    pub(super) fn record(&self, member_id: &str) -> ConsumerMemberRecord {
        ConsumerMemberRecord {
            member_id: member_id.to_owned(),
            instance_id: self.instance_id.clone(),
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            subscribed_topics: self.subscription.topics.clone(),
            subscribed_regex: self.subscription.regex.clone(),
            assignor: self.assignor.clone(),
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.number(),
            assigned: self.assigned.iter().copied().collect(),
            pending_revocation: self.pending_revocation.iter().copied().collect(),
            target: self.target.iter().copied().collect(),
            classic: self.classic.as_ref().map(|classic| ClassicMemberRecord {
                session_timeout_ms: classic.session_timeout_ms,
                // Slices of a request would keep the whole request in memory for as long as the group lives.
                protocols: classic
                    .protocols
                    .iter()
                    .map(|(name, metadata)| (name.clone(), Bytes::copy_from_slice(metadata)))
                    .collect(),
            }),
        }
    }

    /// Silence after which it is taken for dead.
    pub(super) fn session_timeout_ms(&self, default_ms: i32) -> i32 {
        self.classic.as_ref().map_or(default_ms, |classic| classic.session_timeout_ms)
    }

    /// Whether it left under [`LEAVE_FOR_A_WHILE_EPOCH`] and has not come back.
    pub(super) fn is_away(&self) -> bool {
        self.epoch == LEAVE_FOR_A_WHILE_EPOCH
    }

    /// Whether it has all of its target, computed for this epoch.
    pub(super) fn is_reconciled_to(&self, assignment_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == assignment_epoch
    }

    /// Everything that it may still own.
    pub(super) fn held(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        self.assigned.union(&self.pending_revocation).copied()
    }
}
