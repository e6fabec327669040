//! What the coordinator of consumer groups is asked, free of wire versions.

use alluvium_record::TopicPartition;
use uuid::Uuid;

use crate::group::Ticket;

/// The epoch that a member joins with.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch that a member leaves with.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch that a static member leaves with for a while: its partitions stay its own until its session ends.
pub const LEAVE_FOR_A_WHILE_EPOCH: i32 = -2;

/// A ConsumerGroupHeartbeat request. An absent field means what the member said before.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeatInput {
    /// Names the answer, a [`Response::ConsumerHeartbeat`](crate::group::Response::ConsumerHeartbeat).
    pub ticket: Ticket,
    /// The group.
    pub group: String,
    /// The member's id.
    pub member_id: String,
    /// The member's epoch; [`JOIN_EPOCH`], [`LEAVE_EPOCH`] and [`LEAVE_FOR_A_WHILE_EPOCH`] have their own meaning.
    pub member_epoch: i32,
    /// The static member's instance id.
    pub instance_id: Option<String>,
    /// The rack of the client.
    pub rack_id: Option<String>,
    /// How long the member may take to give partitions up; -1 if it is as before.
    pub rebalance_timeout_ms: i32,
    /// Names of the topics it wants.
    pub subscribed_topics: Option<Vec<String>>,
    /// A regular expression for the names of topics it wants; empty for none (v1 and later).
    pub subscribed_regex: Option<String>,
    /// The server-side assignor it asks for.
    pub assignor: Option<String>,
    /// The partitions it owns.
    pub owned: Option<Vec<TopicPartition>>,
    /// From the request header.
    pub client_id: String,
    /// The peer's address.
    pub client_host: String,
    /// Whether the client makes the member's id (v1 and later). Otherwise one is made here when it joins.
    pub id_made_by_client: bool,
    /// A fresh random id, used if a member id must be made.
    pub fresh_id: Uuid,
}

/// What an OffsetFetch says about its sender (v9 and later).
#[derive(Clone, Debug)]
pub struct FetchInput {
    /// The group.
    pub group: String,
    /// The member's id; none from administrators and consumers that use no group management.
    pub member_id: Option<String>,
    /// The member's epoch, -1 likewise.
    pub member_epoch: i32,
}
