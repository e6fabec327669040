//! Protobuf messages of the frames between nodes.
//!
//! Invariants: a tag is never reused or given another meaning; a frame of a kind that is not known is passed over, so kinds
//! are added without a new protocol version. What an older node must not misunderstand raises [`PROTOCOL_OLDEST`].

use bytes::Bytes;

/// The newest version of this protocol that this release speaks.
pub(crate) const PROTOCOL_VERSION: u32 = 2;
/// The oldest version that a peer may speak.
pub(crate) const PROTOCOL_OLDEST: u32 = 2;

/// What stands before the data of a frame.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FrameMessage {
    /// Number of a request, which its answer repeats; 0 where nothing is answered.
    #[prost(uint64, tag = "1")]
    pub(crate) request: u64,
    /// What it is; absent when a later release sent a kind that is not known here.
    #[prost(oneof = "FrameKind", tags = "2, 3, 4, 5, 6, 7, 8, 9")]
    pub(crate) kind: Option<FrameKind>,
}

/// The kinds of frames.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum FrameKind {
    /// First frame of who connected.
    #[prost(message, tag = "2")]
    Hello(HelloMessage),
    /// First frame of who was connected to.
    #[prost(message, tag = "3")]
    Welcome(WelcomeMessage),
    /// Are you there?
    #[prost(message, tag = "4")]
    Ping(LinksMessage),
    /// I am.
    #[prost(message, tag = "5")]
    Pong(LinksMessage),
    /// Append this.
    #[prost(message, tag = "6")]
    Forward(ForwardMessage),
    /// What became of it.
    #[prost(message, tag = "7")]
    Answer(AnswerMessage),
    /// This was committed; the data is the entry.
    #[prost(message, tag = "8")]
    Push(PushMessage),
    /// The sender leaves the cluster.
    #[prost(message, tag = "9")]
    Goodbye(GoodbyeMessage),
}

/// Who connects.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HelloMessage {
    /// Newest protocol version of the sender.
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    /// Oldest protocol version that the sender understands.
    #[prost(uint32, tag = "2")]
    pub(crate) oldest: u32,
    /// Cluster id.
    #[prost(string, tag = "3")]
    pub(crate) cluster_id: String,
    /// Node id.
    #[prost(int32, tag = "4")]
    pub(crate) node_id: i32,
    /// Incarnation, 16 bytes.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) incarnation: Bytes,
    /// The sender's node record, as it stands in the bucket.
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) record: Bytes,
    /// Only asks who is there: no link is opened.
    #[prost(bool, tag = "7")]
    pub(crate) question: bool,
}

/// Who answers.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WelcomeMessage {
    /// The same of the answering node.
    #[prost(message, optional, tag = "1")]
    pub(crate) hello: Option<HelloMessage>,
    /// Why there is no link; empty when there is one.
    #[prost(string, tag = "2")]
    pub(crate) refusal: String,
    /// The answering node leaves the cluster.
    #[prost(bool, tag = "3")]
    pub(crate) leaving: bool,
}

/// A node and its incarnation.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NodeMessage {
    /// Node id.
    #[prost(int32, tag = "1")]
    pub(crate) node_id: i32,
    /// Incarnation, 16 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) incarnation: Bytes,
}

/// A ping or its answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LinksMessage {
    /// Number of the ping.
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    /// Nodes that the sender has links with.
    #[prost(message, repeated, tag = "2")]
    pub(crate) linked: Vec<NodeMessage>,
    /// The sender cannot reach the store: nobody should be sent to it.
    #[prost(bool, tag = "3")]
    pub(crate) storeless: bool,
}

/// An append for the leader. The data is the batches one after the other when they ride inline.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ForwardMessage {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub(crate) shard: u32,
    /// How long the sender waits for the answer, milliseconds.
    #[prost(uint32, tag = "2")]
    pub(crate) wait_ms: u32,
    /// The segment that holds the batches, 16 bytes; empty when they ride inline.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) segment: Bytes,
    /// When the upload of the segment began, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub(crate) segment_created_ms: i64,
    /// The batches, in order.
    #[prost(message, repeated, tag = "5")]
    pub(crate) batches: Vec<BatchMessage>,
}

/// One batch of an append.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub(crate) partition: i32,
    /// Length of the whole batch in bytes.
    #[prost(uint32, tag = "3")]
    pub(crate) length: u32,
    /// The 61 bytes of its header when a segment holds it; empty when it rides inline.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) header: Bytes,
    /// Its transaction, when it is in one.
    #[prost(message, optional, tag = "5")]
    pub(crate) transaction: Option<TransactionTagMessage>,
}

/// How a batch belongs to a transaction.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransactionTagMessage {
    /// Number of the transaction when it was verified; 0 when the leader is to look at the id itself.
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    /// When it was verified, milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(crate) verified_ms: i64,
    /// The transactional id that the leader is to look at.
    #[prost(string, tag = "3")]
    pub(crate) transactional_id: String,
    /// Whether the leader may add the partition to the transaction.
    #[prost(bool, tag = "4")]
    pub(crate) implicit: bool,
}

/// What became of a forwarded append.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnswerMessage {
    /// What became of it as a whole.
    #[prost(enumeration = "Verdict", tag = "1")]
    pub(crate) verdict: i32,
    /// Why nothing was done.
    #[prost(string, tag = "2")]
    pub(crate) reason: String,
    /// One for each batch, when the verdict is `Decided`.
    #[prost(message, repeated, tag = "3")]
    pub(crate) outcomes: Vec<OutcomeMessage>,
}

/// What became of an append as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Verdict {
    /// It may be written or not, or appear later.
    Unknown = 0,
    /// Each batch has an outcome.
    Decided = 1,
    /// Nothing was written and nothing will be.
    NothingDone = 2,
}

/// What became of one batch.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OutcomeMessage {
    /// Which outcome.
    #[prost(enumeration = "OutcomeKind", tag = "1")]
    pub(crate) kind: i32,
    /// Offset of the first record, where it was written.
    #[prost(int64, tag = "2")]
    pub(crate) base_offset: i64,
    /// First offset of the partition, where it was written.
    #[prost(int64, tag = "3")]
    pub(crate) log_start_offset: i64,
    /// The sequence number that would have followed, or the epoch that counts.
    #[prost(sint32, tag = "4")]
    pub(crate) expected: i32,
    /// The sequence number or epoch that came.
    #[prost(sint32, tag = "5")]
    pub(crate) found: i32,
}

/// Outcomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum OutcomeKind {
    /// Not a known one.
    Unspecified = 0,
    /// Durable.
    Appended = 1,
    /// Was written before.
    Duplicate = 2,
    /// No such partition.
    UnknownTopicOrPartition = 3,
    /// Sequence number out of order.
    OutOfOrderSequence = 4,
    /// Producer epoch is over.
    InvalidProducerEpoch = 5,
    /// The segment is too old.
    SegmentTooOld = 6,
    /// No offsets are left.
    OffsetsExhausted = 7,
    /// The transactional id is unknown, or has another producer id.
    UnknownTransactionalId = 8,
    /// The producer's epoch is not that of its transactional id.
    TransactionFenced = 9,
    /// The last transaction is still ending.
    ConcurrentTransactions = 10,
    /// Not part of an open transaction.
    InvalidTransactionState = 11,
    /// Verified too long ago.
    VerifiedTooLongAgo = 12,
    /// Too many partitions in the transaction.
    TransactionTooLarge = 13,
}

/// An entry that was committed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PushMessage {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub(crate) shard: u32,
    /// Number of the entry.
    #[prost(uint64, tag = "2")]
    pub(crate) number: u64,
}

/// Who leaves.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GoodbyeMessage {
    /// The leaving node.
    #[prost(message, optional, tag = "1")]
    pub(crate) node: Option<NodeMessage>,
}
