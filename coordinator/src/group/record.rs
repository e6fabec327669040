//! The durable form of a group, equal to the one the log keeps.

use bytes::Bytes;

/// Everything about a group that outlives its coordinator, committed offsets aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRecord {
    /// The group id.
    pub group: String,
    /// The generation of members and assignments.
    pub generation: i32,
    /// `consumer`, `connect`, ...; empty if nobody ever joined.
    pub protocol_type: String,
    /// The protocol that was chosen, none without members.
    pub protocol: Option<String>,
    /// The leader's member id, none without members.
    pub leader: Option<String>,
    /// The members, by member id.
    pub members: Vec<MemberRecord>,
    /// When the group entered this state.
    pub updated_ms: i64,
}

/// Everything about a member that outlives its coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberRecord {
    /// The member's id.
    pub member_id: String,
    /// The static member's instance id.
    pub instance_id: Option<String>,
    /// From the request header.
    pub client_id: String,
    /// The peer's address when it joined.
    pub client_host: String,
    /// Silence after which the member is taken for dead.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for this member.
    pub rebalance_timeout_ms: i32,
    /// The member's metadata for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

impl GroupRecord {
    /// Bytes of all text and payloads, to be held against the limit.
    pub fn payload_bytes(&self) -> usize {
        let members: usize = self
            .members
            .iter()
            .map(|member| {
                member.member_id.len()
                    + member.instance_id.as_ref().map_or(0, String::len)
                    + member.client_id.len()
                    + member.client_host.len()
                    + member.subscription.len()
                    + member.assignment.len()
            })
            .sum();
        members
            + self.group.len()
            + self.protocol_type.len()
            + self.protocol.as_ref().map_or(0, String::len)
            + self.leader.as_ref().map_or(0, String::len)
    }
}
