//! What happened in a run, as far as the checkers need it. The workload writes it, the checkers read it.
//!
//! Invariants: an operation whose answer did not come is `Unknown`, never failed; nothing in here is taken from the code
//! under test but its answers and its published states.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_log::State;
use alluvium_record::{ShardId, TopicId, TopicPartition};
use bytes::Bytes;

mod words;

/// Microseconds since the run began.
pub type Microseconds = u64;

/// What a client asks a node to do.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Write a batch.
    Produce {
        /// Where to.
        topic_partition: TopicPartition,
        /// Number of the batch in this run; every record carries it.
        batch: u64,
        /// Records in it.
        count: u32,
        /// Producer id, epoch and first sequence number of an idempotent producer.
        producer: Option<(i64, i16, i32)>,
        /// The transaction that it is to be part of.
        part: Option<Part>,
    },
    /// Read from an offset on.
    Fetch {
        /// Where from.
        topic_partition: TopicPartition,
        /// First offset.
        offset: i64,
        /// Bytes that are taken at most.
        bytes_max: i32,
        /// Longest wait for the first byte.
        wait_ms: u64,
        /// Whether only what is committed is wanted.
        committed: bool,
    },
    /// Ask for the first or the next offset.
    ListOffsets {
        /// Of which partition.
        topic_partition: TopicPartition,
        /// Whether the first one.
        earliest: bool,
        /// Whether only what is committed counts.
        committed: bool,
    },
    /// Commit an offset of a group.
    CommitOffset {
        /// The group.
        group: String,
        /// Which partition.
        topic_partition: TopicPartition,
        /// The offset.
        offset: i64,
        /// Metadata that names this commit in this run.
        tag: String,
        /// Generation and member id, when a member commits.
        member: Option<(i32, String)>,
    },
    /// Read an offset of a group.
    FetchOffset {
        /// The group.
        group: String,
        /// Which partition.
        topic_partition: TopicPartition,
        /// Whether to be refused while a transaction is about to commit another one (KIP-447).
        stable: bool,
    },
    /// Join a group with this member id, empty at first.
    Join {
        /// The group.
        group: String,
        /// The member's id.
        member: String,
    },
    /// Ask for, or bring, assignments.
    Sync {
        /// The group.
        group: String,
        /// The member's id.
        member: String,
        /// Its generation.
        generation: i32,
        /// Member ids with what they are assigned; from the leader alone.
        assignments: Vec<(String, String)>,
    },
    /// Say that a member lives.
    Heartbeat {
        /// The group.
        group: String,
        /// The member's id.
        member: String,
        /// Its generation.
        generation: i32,
    },
    /// Make a topic.
    CreateTopic {
        /// Its id.
        topic: TopicId,
        /// Its name.
        name: String,
        /// Its partitions.
        partitions: i32,
        /// Its settings.
        settings: Vec<(String, String)>,
    },
    /// Delete a topic.
    DeleteTopic {
        /// Its id.
        topic: TopicId,
    },
    /// Add partitions.
    CreatePartitions {
        /// The topic.
        topic: TopicId,
        /// How many there are then.
        partitions: i32,
    },
    /// Change a setting of a topic.
    AlterTopic {
        /// The topic.
        topic: TopicId,
        /// The new value.
        value: String,
    },
    /// Delete records before an offset.
    DeleteRecords {
        /// Where.
        topic_partition: TopicPartition,
        /// The first offset that stays.
        before: i64,
    },
    /// Get a producer id.
    AllocateProducerId,
    /// Spread topics that are made from now on over so many shards.
    SetShardCount {
        /// How many.
        count: u32,
    },
    /// Become the producer of a transactional id.
    InitTransactional {
        /// The id.
        id: String,
        /// How long a transaction may take.
        timeout_ms: i32,
        /// Producer id and epoch of a producer that goes on after an error (KIP-360).
        producer: Option<(i64, i16)>,
    },
    /// Add partitions to a transaction, as clients before KIP-890 do.
    AddPartitions {
        /// The id.
        id: String,
        /// Producer id and epoch.
        producer: (i64, i16),
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Add a group to a transaction, as clients before KIP-890 do.
    AddGroup {
        /// The id.
        id: String,
        /// Producer id and epoch.
        producer: (i64, i16),
        /// The group.
        group: String,
    },
    /// Commit an offset of a group in a transaction.
    CommitTransactionOffset {
        /// The transaction.
        part: Part,
        /// Producer id and epoch.
        producer: (i64, i16),
        /// The group.
        group: String,
        /// Which partition.
        topic_partition: TopicPartition,
        /// The offset.
        offset: i64,
        /// Metadata that names this commit in this run.
        tag: String,
        /// The offset that was committed before, as far as the client knows.
        after: i64,
    },
    /// End a transaction.
    EndTransaction {
        /// The transaction.
        part: Part,
        /// Producer id and epoch.
        producer: (i64, i16),
        /// Whether it is committed.
        commit: bool,
    },
}

impl Operation {
    /// Whether it makes sense that the network doubles it. The server draws a fresh id for every CreateTopic, so the same one never
    /// comes twice. What producers before KIP-890 ask about a transaction does not say which one is meant, so that a late copy
    /// would be about the next one: in Kafka too.
    #[must_use]
    pub fn may_come_twice(&self) -> bool {
        match self {
            Self::CreateTopic { .. } | Self::AddPartitions { .. } | Self::AddGroup { .. } => false,
            Self::EndTransaction { part, .. } | Self::CommitTransactionOffset { part, .. } => part.modern,
            _ => true,
        }
    }
}

/// What belongs to a transaction that a client attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The transactional id.
    pub id: String,
    /// Number of the attempt in this run: no other one has it.
    pub attempt: u64,
    /// Whether the client speaks KIP-890: partitions are added by being written to, each end raises the epoch.
    pub modern: bool,
}

/// A record as a reader saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its offset.
    pub offset: i64,
    /// The batch that it says it is of; [`MARKER`] for the end of a transaction.
    pub batch: u64,
    /// Its place in the batch; for the end of a transaction 1 when it was committed, else 0.
    pub index: u32,
    /// Stands for all that it is: time, key, value, headers. 0 for the end of a transaction.
    pub digest: u64,
}

/// Stands for a batch in the end of a transaction.
pub const MARKER: u64 = 0;

impl Seen {
    /// Whether it is the end of a transaction.
    #[must_use]
    pub fn is_marker(self) -> bool {
        self.batch == MARKER
    }
}

/// What a client knows of its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may have happened, may not, may yet.
    Unknown,
    /// The node says that it was not done, and why.
    Refused(String),
    /// The batch is in the log.
    Produced {
        /// Offset of its first record.
        base_offset: i64,
        /// Whether an earlier request wrote it.
        duplicate: bool,
    },
    /// What was read.
    Fetched {
        /// High watermark.
        high_watermark: i64,
        /// Last stable offset.
        last_stable: i64,
        /// First offset of the partition.
        log_start: i64,
        /// Where to go on reading: behind the last batch, whether records are left in it or not.
        next: i64,
        /// The records, with the ends of transactions.
        records: Vec<Seen>,
        /// Offsets of those that a consumer of committed records passes over.
        hidden: Vec<i64>,
    },
    /// An offset.
    Offset(i64),
    /// The committed offset and its tag.
    CommittedOffset(Option<(i64, String)>),
    /// Member id, generation, and the members if this one leads.
    Joined {
        /// Member id.
        member: String,
        /// Generation.
        generation: i32,
        /// All members, for the leader.
        members: Vec<String>,
    },
    /// What the member was assigned.
    Synced(String),
    /// Done, in this entry.
    Done {
        /// Its number.
        entry: u64,
    },
    /// A producer id.
    ProducerId(i64),
    /// Producer id and epoch that a transactional producer has from now on.
    Identity(i64, i16),
}

/// An operation from asking to answer.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asked.
    pub client: u32,
    /// Whom.
    pub node: u32,
    /// What.
    pub operation: Operation,
    /// When it was asked.
    pub asked_us: Microseconds,
    /// When the node answered; the client may have heard it later or never.
    pub answered_us: Option<Microseconds>,
    /// When the client knew the outcome.
    pub returned_us: Option<Microseconds>,
    /// The outcome; `Unknown` while there is none.
    pub outcome: Outcome,
    /// How often the network delivered it.
    pub deliveries: u32,
}

/// An entry that came into being in the store.
#[derive(Clone, Debug)]
pub struct SlotWritten {
    /// Its shard.
    pub shard: ShardId,
    /// Its number.
    pub number: u64,
    /// When.
    pub at_us: Microseconds,
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether an entry had been there and was collected.
    pub again: bool,
}

/// The state that a node had published at some time.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The node.
    pub node: u32,
    /// How often it had started before.
    pub incarnation: u32,
    /// When.
    pub at_us: Microseconds,
    /// Its state of one shard.
    pub state: std::sync::Arc<State>,
}

/// A time in which a node stood still or was gone.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The node.
    pub node: u32,
    /// From.
    pub from_us: Microseconds,
    /// Until.
    pub to_us: Microseconds,
}

/// A batch that a node took, in the order in which it did.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// The node.
    pub node: u32,
    /// How often it had started before.
    pub incarnation: u32,
    /// The batch.
    pub batch: u64,
}

/// What a partition holds in the end, read by a fresh node without faults.
#[derive(Clone, Debug, Default)]
pub struct FinalPartition {
    /// When it was read.
    pub at_us: Microseconds,
    /// First offset.
    pub log_start: i64,
    /// Next offset.
    pub high_watermark: i64,
    /// All records, with the ends of transactions.
    pub records: Vec<Seen>,
    /// Last stable offset.
    pub last_stable: i64,
    /// Offsets that a consumer of committed records is given.
    pub committed: Vec<i64>,
}

/// All that the checkers read.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Operations, in the order in which they were asked.
    pub calls: Vec<Call>,
    /// Entries, in the order in which they became durable.
    pub slots: Vec<SlotWritten>,
    /// Batches that nodes took, in their order.
    pub taken: Vec<Taken>,
    /// Objects that the collector deleted.
    pub collected: Vec<(String, Microseconds)>,
    /// Published states.
    pub samples: Vec<Sample>,
    /// Freezes and crashes.
    pub outages: Vec<Outage>,
    /// Most bytes that each node had admitted and not answered, and its bound.
    pub bytes_in_flight: BTreeMap<u32, (u64, u64)>,
    /// What the log holds in the end.
    pub contents: BTreeMap<TopicPartition, FinalPartition>,
    /// The state of each shard at the fresh node in the end.
    pub final_states: BTreeMap<ShardId, std::sync::Arc<State>>,
    /// All objects in the end.
    pub objects: BTreeMap<String, Bytes>,
    /// Segments that were put at any time.
    pub segments: BTreeMap<String, Bytes>,
    /// Whether the nodes compact.
    pub compacts: bool,
    /// Topics that are compacted by key.
    pub compacted: BTreeSet<TopicId>,
    /// Topics of which only so many bytes are kept.
    pub retention_bytes: BTreeMap<TopicId, u64>,
    /// What the run itself found wrong, with the invariant's number.
    pub findings: Vec<(u8, String)>,
    /// Whether nodes know of each other.
    pub linked: bool,
    /// Whether nothing was to go wrong.
    pub healthy: bool,
    /// Whether everything came to an end, and was read.
    pub settled: bool,
    /// When all faults ended.
    pub healed_us: Microseconds,
}

impl History {
    /// Whether a topic is compacted by key.
    #[must_use]
    pub fn is_compacted(&self, topic: TopicId) -> bool {
        self.compacted.contains(&topic)
    }

    /// Whether records of a topic go without anybody's word.
    #[must_use]
    pub fn has_retention(&self, topic: TopicId) -> bool {
        let alters = |call: &Call| matches!(call.operation, Operation::AlterTopic { topic: at, .. } if at == topic);
        self.retention_bytes.contains_key(&topic) || (self.compacts && self.calls.iter().any(alters))
    }
}

/// A partition in few letters: the first four of the topic's id.
#[must_use]
pub fn short(topic_partition: TopicPartition) -> String {
    let id = topic_partition.topic.to_string();
    format!("{}-{}", &id[..4], topic_partition.partition)
}
