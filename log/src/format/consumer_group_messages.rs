//! Protobuf messages of groups of the new protocol (KIP-848). The rules of [`super::messages`] hold here too.

use bytes::Bytes;

use super::messages::TopicPartitionMessage;

/// A change of a consumer group of the new protocol; in a checkpoint, all of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConsumerGroupChangeMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
    /// Group epoch.
    #[prost(int32, tag = "2")]
    pub epoch: i32,
    /// Epoch of the target assignment.
    #[prost(int32, tag = "3")]
    pub assignment_epoch: i32,
    /// Members that come or change.
    #[prost(message, repeated, tag = "4")]
    pub put: Vec<ConsumerMemberMessage>,
    /// Members that go.
    #[prost(string, repeated, tag = "5")]
    pub remove: Vec<String>,
    /// When it changed, milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub updated_ms: i64,
}

/// A member of a consumer group of the new protocol.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConsumerMemberMessage {
    /// Member id.
    #[prost(string, tag = "1")]
    pub member_id: String,
    /// Static membership id.
    #[prost(string, optional, tag = "2")]
    pub instance_id: Option<String>,
    /// Rack of the client.
    #[prost(string, optional, tag = "3")]
    pub rack_id: Option<String>,
    /// Client id.
    #[prost(string, tag = "4")]
    pub client_id: String,
    /// Address of the client.
    #[prost(string, tag = "5")]
    pub client_host: String,
    /// Rebalance timeout in milliseconds.
    #[prost(int32, tag = "6")]
    pub rebalance_timeout_ms: i32,
    /// Names of topics.
    #[prost(string, repeated, tag = "7")]
    pub subscribed_topics: Vec<String>,
    /// A regular expression for names of topics.
    #[prost(string, optional, tag = "8")]
    pub subscribed_regex: Option<String>,
    /// Server-side assignor that the member asks for.
    #[prost(string, optional, tag = "9")]
    pub assignor: Option<String>,
    /// Member epoch.
    #[prost(int32, tag = "10")]
    pub member_epoch: i32,
    /// The epoch before.
    #[prost(int32, tag = "11")]
    pub previous_member_epoch: i32,
    /// Where the member is in its reconciliation.
    #[prost(int32, tag = "12")]
    pub state: i32,
    /// What it owns.
    #[prost(message, repeated, tag = "13")]
    pub assigned: Vec<TopicPartitionMessage>,
    /// What it has to give up.
    #[prost(message, repeated, tag = "14")]
    pub pending_revocation: Vec<TopicPartitionMessage>,
    /// What it is to own.
    #[prost(message, repeated, tag = "15")]
    pub target: Vec<TopicPartitionMessage>,
    /// Set for a member that speaks the classic protocol.
    #[prost(message, optional, tag = "16")]
    pub classic: Option<ClassicMemberMessage>,
}

/// What a member that speaks the classic protocol said when it joined.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClassicMemberMessage {
    /// Session timeout in milliseconds.
    #[prost(int32, tag = "1")]
    pub session_timeout_ms: i32,
    /// Protocols it supports, in its order.
    #[prost(message, repeated, tag = "2")]
    pub protocols: Vec<ClassicProtocolMessage>,
}

/// A protocol that a classic member supports.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClassicProtocolMessage {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Metadata for it.
    #[prost(bytes = "bytes", tag = "2")]
    pub metadata: Bytes,
}
