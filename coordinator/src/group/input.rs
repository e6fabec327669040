//! What the coordinator is asked, free of wire versions: where a version changes behaviour, the input says so in words.

use bytes::Bytes;
use uuid::Uuid;

/// Names an answer that the caller waits for. Chosen by the caller; must be unique among unanswered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub struct JoinInput {
    /// Names the answer, a [`Response::Join`](super::Response::Join).
    pub ticket: Ticket,
    /// The group to join.
    pub group: String,
    /// The member's id, empty on the first attempt.
    pub member_id: String,
    /// The static member's instance id (KIP-345, v5 and later).
    pub instance_id: Option<String>,
    /// From the request header; becomes part of the member id.
    pub client_id: String,
    /// The peer's address, shown by DescribeGroups.
    pub client_host: String,
    /// Silence after which the member is taken for dead.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for this member; negative (v0 has no such field) means the session timeout.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// Names and metadata of the protocols the member supports, most wanted first.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether a new dynamic member is first told its id and must come back with it (KIP-394, v4 and later).
    pub member_id_required: bool,
    /// Whether the client understands "you lead, but keep the assignment as it is" (KIP-814, v9 and later).
    pub skip_assignment_supported: bool,
    /// A fresh random id, used if a member id must be made.
    pub fresh_id: Uuid,
}

/// A SyncGroup request.
#[derive(Clone, Debug)]
pub struct SyncInput {
    /// Names the answer, a [`Response::Sync`](super::Response::Sync).
    pub ticket: Ticket,
    /// The group.
    pub group: String,
    /// The generation that JoinGroup answered.
    pub generation: i32,
    /// The member's id.
    pub member_id: String,
    /// The static member's instance id (v3 and later).
    pub instance_id: Option<String>,
    /// What the member believes the protocol type is (v5 and later).
    pub protocol_type: Option<String>,
    /// What the member believes the chosen protocol is (v5 and later).
    pub protocol: Option<String>,
    /// From the leader: member id and assignment. Empty from everybody else.
    pub assignments: Vec<(String, Bytes)>,
}

/// A Heartbeat request.
#[derive(Clone, Debug)]
pub struct HeartbeatInput {
    /// The group.
    pub group: String,
    /// The member's generation.
    pub generation: i32,
    /// The member's id.
    pub member_id: String,
    /// The static member's instance id (v3 and later).
    pub instance_id: Option<String>,
}

/// A LeaveGroup request: one member up to v2, several from v3 on.
#[derive(Clone, Debug)]
pub struct LeaveInput {
    /// The group.
    pub group: String,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// One member named by a LeaveGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// The member's id; may be empty when an administrator removes a static member by its instance id.
    pub member_id: String,
    /// The static member's instance id.
    pub instance_id: Option<String>,
}

/// What an OffsetCommit or TxnOffsetCommit says about its sender.
#[derive(Clone, Debug)]
pub struct CommitInput {
    /// The group.
    pub group: String,
    /// The member's generation, -1 from consumers that use no group management.
    pub generation: i32,
    /// The member's id, empty from consumers that use no group management.
    pub member_id: String,
    /// The static member's instance id (v7 and later).
    pub instance_id: Option<String>,
    /// Whether the offsets are part of a transaction.
    pub transactional: bool,
}
