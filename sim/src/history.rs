//! What happened in a run, as far as the checkers need it. The workload writes it, the checkers read it.
//!
//! Invariants: an operation whose answer did not come is `Unknown`, never failed; nothing in here is taken from the code
//! under test but its answers and its published states.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alluvium_log::State;
use alluvium_record::{ShardId, TopicId, TopicPartition};
use bytes::Bytes;

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
    },
    /// Ask for the first or the next offset.
    ListOffsets {
        /// Of which partition.
        topic_partition: TopicPartition,
        /// Whether the first one.
        earliest: bool,
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
}

/// A record as a reader saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its offset.
    pub offset: i64,
    /// The batch that it says it is of.
    pub batch: u64,
    /// Its place in the batch.
    pub index: u32,
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
        /// First offset of the partition.
        log_start: i64,
        /// The records.
        records: Vec<Seen>,
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
    /// First offset.
    pub log_start: i64,
    /// Next offset.
    pub high_watermark: i64,
    /// All records.
    pub records: Vec<Seen>,
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
    /// What the run itself found wrong, with the invariant's number.
    pub findings: Vec<(u8, String)>,
    /// Whether nodes know of each other.
    pub linked: bool,
    /// Whether nothing was to go wrong.
    pub healthy: bool,
    /// When all faults ended.
    pub healed_us: Microseconds,
}

/// A partition in few letters: the first four of the topic's id.
#[must_use]
pub fn short(topic_partition: TopicPartition) -> String {
    let id = topic_partition.topic.to_string();
    format!("{}-{}", &id[..4], topic_partition.partition)
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Produce { topic_partition, batch, count, producer: None } => {
                write!(f, "produce {} batch {batch} of {count}", short(*topic_partition))
            }
            Self::Produce { topic_partition, batch, count, producer: Some((id, epoch, sequence)) } => {
                let at = short(*topic_partition);
                write!(f, "produce {at} batch {batch} of {count}, producer {id}/{epoch} sequence {sequence}")
            }
            Self::Fetch { topic_partition, offset, bytes_max, wait_ms } => {
                let at = short(*topic_partition);
                write!(f, "fetch {at} from {offset}, {bytes_max} bytes, wait {wait_ms} ms")
            }
            Self::ListOffsets { topic_partition, earliest } => {
                write!(f, "list offsets {} {}", short(*topic_partition), if *earliest { "earliest" } else { "latest" })
            }
            Self::CommitOffset { group, topic_partition, offset, tag, .. } => {
                write!(f, "commit {group} {} at {offset} ({tag})", short(*topic_partition))
            }
            Self::FetchOffset { group, topic_partition } => {
                write!(f, "fetch offset {group} {}", short(*topic_partition))
            }
            Self::Join { group, member } => write!(f, "join {group} as {member:?}"),
            Self::Sync { group, member, generation, assignments } => {
                write!(f, "sync {group} as {member:?} generation {generation}, {} assignments", assignments.len())
            }
            Self::Heartbeat { group, member, generation } => {
                write!(f, "heartbeat {group} as {member:?} generation {generation}")
            }
            Self::CreateTopic { topic, name, partitions } => write!(f, "create topic {name} {topic} with {partitions}"),
            Self::DeleteTopic { topic } => write!(f, "delete topic {topic}"),
            Self::CreatePartitions { topic, partitions } => write!(f, "create partitions {topic} up to {partitions}"),
            Self::AlterTopic { topic, value } => write!(f, "alter topic {topic} to {value}"),
            Self::DeleteRecords { topic_partition, before } => {
                write!(f, "delete records {} before {before}", short(*topic_partition))
            }
            Self::AllocateProducerId => f.write_str("allocate producer id"),
            Self::SetShardCount { count } => write!(f, "set shard count {count}"),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Produced { base_offset, duplicate: false } => write!(f, "written at {base_offset}"),
            Self::Produced { base_offset, duplicate: true } => write!(f, "was written at {base_offset}"),
            Self::Fetched { high_watermark, log_start, records } => {
                let mut text = String::new();
                for seen in records {
                    let _written = write!(text, " {}={}.{}", seen.offset, seen.batch, seen.index);
                }
                write!(f, "read {log_start}..{high_watermark}:{text}")
            }
            Self::Offset(offset) => write!(f, "offset {offset}"),
            Self::CommittedOffset(None) => f.write_str("nothing committed"),
            Self::CommittedOffset(Some((offset, tag))) => write!(f, "committed {offset} ({tag})"),
            Self::Joined { member, generation, members } => {
                write!(f, "joined as {member:?} generation {generation}, leads {}", members.len())
            }
            Self::Synced(assignment) => write!(f, "synced {assignment:?}"),
            Self::Done { entry } => write!(f, "done in entry {entry}"),
            Self::ProducerId(id) => write!(f, "producer id {id}"),
        }
    }
}
