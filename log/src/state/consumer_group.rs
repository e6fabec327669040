//! Consumer groups of the new protocol (KIP-848) as the log knows them.

use std::sync::Arc;

use alluvium_record::TopicPartition;
use bytes::Bytes;
use rpds::RedBlackTreeMapSync;

/// A group of the new protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupRecord {
    /// Group id.
    pub group: String,
    /// Group epoch: bumped whenever members or what they subscribe to changes.
    pub epoch: i32,
    /// Group epoch that the targets were computed for.
    pub assignment_epoch: i32,
    /// Members by id.
    pub members: RedBlackTreeMapSync<String, Arc<ConsumerMemberRecord>>,
    /// When it last changed, milliseconds since 1970.
    pub updated_ms: i64,
}

/// A change of such a group: what it says replaces what was known, the rest stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupChange {
    /// Group id.
    pub group: String,
    /// Group epoch from now on.
    pub epoch: i32,
    /// Group epoch that the targets were computed for.
    pub assignment_epoch: i32,
    /// Members that come or change.
    pub put: Vec<ConsumerMemberRecord>,
    /// Ids of members that go.
    pub remove: Vec<String>,
    /// When it changed, milliseconds since 1970.
    pub updated_ms: i64,
}

/// A member of a group of the new protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerMemberRecord {
    /// Member id.
    pub member_id: String,
    /// Static membership id.
    pub instance_id: Option<String>,
    /// Rack of the client.
    pub rack_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Address of the client.
    pub client_host: String,
    /// Rebalance timeout in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Names of topics.
    pub subscribed_topics: Vec<String>,
    /// A regular expression for names of topics.
    pub subscribed_regex: Option<String>,
    /// Server-side assignor that the member asks for.
    pub assignor: Option<String>,
    /// Member epoch.
    pub member_epoch: i32,
    /// The epoch before.
    pub previous_member_epoch: i32,
    /// Where the member is in its reconciliation; the coordinator's numbers.
    pub state: i32,
    /// What it owns.
    pub assigned: Vec<TopicPartition>,
    /// What it has to give up.
    pub pending_revocation: Vec<TopicPartition>,
    /// What it is to own.
    pub target: Vec<TopicPartition>,
    /// Set for a member that speaks the classic protocol.
    pub classic: Option<ClassicMemberRecord>,
}

/// What a member that speaks the classic protocol said when it joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicMemberRecord {
    /// Session timeout in milliseconds.
    pub session_timeout_ms: i32,
    /// Protocols it supports with their metadata, in its order.
    pub protocols: Vec<(String, Bytes)>,
}

impl ConsumerGroupRecord {
    /// The group after a change.
    pub(crate) fn changed(&self, change: ConsumerGroupChange) -> Self {
        let mut members = self.members.clone();
        for id in &change.remove {
            members.remove_mut(id);
        }
        for member in change.put {
            members.insert_mut(member.member_id.clone(), Arc::new(member));
        }
        Self {
            group: change.group,
            epoch: change.epoch,
            assignment_epoch: change.assignment_epoch,
            members,
            updated_ms: change.updated_ms,
        }
    }

    /// All of the group as one change.
    pub(crate) fn as_change(&self) -> ConsumerGroupChange {
        ConsumerGroupChange {
            group: self.group.clone(),
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            put: self.members.values().map(|member| (**member).clone()).collect(),
            remove: Vec::new(),
            updated_ms: self.updated_ms,
        }
    }
}
