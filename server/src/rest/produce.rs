//! Records of one request become batches of their partitions, go to ingest, and get their offsets.
//!
//! Invariants:
//! 1. Every record of a request is answered for itself, in the order of the request.
//! 2. Records of one partition keep their order.
//! 3. With a request id, the batches follow from the id and the records alone, so that those of a retry are the same.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::limits;
use alluvium_infra::runtime::Instant;
use alluvium_ingest::{AppendError, AppendReply, PartitionAppend, Permit, ProducerPresence};
use alluvium_log::{CommitError, Operation, Rejection, Topic};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition};

use super::error::{RestError, code};
use super::extract::Answering;
use super::record::NewRecord;
use super::request_id::{Content, RequestId};
use super::{Rest, partitioner};
use crate::topics;

/// A batch ends before it is larger, unless one record is.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// How long producing may take, and making a topic on first use.
const PRODUCE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The topic that is produced to.
pub(super) struct Target {
    id: TopicId,
    partition_count: i32,
    batch_bytes_max: usize,
}

/// A record that is durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Produced {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
}

/// A request whose records are with ingest.
pub(super) struct Begun {
    slots: Vec<Slot>,
    reply: Option<AppendReply>,
    /// Ends when the request does.
    _presence: ProducerPresence,
}

/// What became of one record.
enum Slot {
    Refused(RestError),
    /// In the batch at this position of the reply, so many records behind its first one.
    Sent {
        batch: usize,
        behind: i64,
        partition: i32,
        timestamp_ms: i64,
    },
}

/// The batches of one partition.
struct Batches {
    open: Option<Open>,
    begun: u32,
}

/// A batch that may take more records.
struct Open {
    position: usize,
    builder: BatchBuilder,
    bytes: usize,
    content: Content,
    number: u32,
}

/// When producing must have ended.
pub(super) fn deadline(rest: &Rest, answering: Answering) -> Instant {
    answering.at_most(rest.node().runtime.monotonic() + PRODUCE_WAIT_MAX)
}

impl Target {
    /// The topic of this name, made on first use if that is allowed.
    pub(super) async fn find(rest: &Rest, name: &str, deadline: Instant) -> Result<Self, RestError> {
        let node = rest.node();
        if !node.nodes.serves() {
            return Err(RestError::new(code::UNAVAILABLE, "this node cannot reach the store or leaves: ask another"));
        }
        let view = node.view(|view| view.topic_by_name(name).is_some()).await;
        if let Some(topic) = view.state.topic_by_name(name) {
            return Ok(Self::of(topic));
        }
        if view.is_stale() {
            return Err(RestError::not_known());
        }
        topics::check_name(name).map_err(|why| RestError::new(code::INVALID_TOPIC_OR_CONFIG, why))?;
        if !node.settings.auto_create_topics {
            return Err(RestError::topic_not_found(name));
        }
        if let Some(other) = topics::colliding_name(&view.state, name) {
            let why = format!("Topic '{name}' collides with existing topic: {other}");
            return Err(RestError::new(code::INVALID_TOPIC_OR_CONFIG, why));
        }
        create(rest, name, deadline).await?;
        node.state().topic_by_name(name).map(Self::of).ok_or_else(|| RestError::topic_not_found(name))
    }

    fn of(topic: &Topic) -> Self {
        let configured = topic.configs.get("max.message.bytes").and_then(|bytes| bytes.parse().ok());
        let bytes_max: usize = configured.unwrap_or(limits::MESSAGE_BYTES_MAX);
        let batch_bytes_max = bytes_max.min(BATCH_BYTES_MAX);
        Self { id: topic.id, partition_count: topic.partition_count, batch_bytes_max }
    }

    fn partition_of(&self, record: &NewRecord, keyless: u64) -> Result<i32, RestError> {
        match (record.partition, &record.key) {
            (Some(given), _) if (0..self.partition_count).contains(&given) => Ok(given),
            (Some(given), _) => Err(RestError::partition_not_found(given)),
            (None, Some(key)) => Ok(partitioner::of_key(key, self.partition_count)),
            (None, None) => Ok(partitioner::of_keyless(keyless, self.partition_count)),
        }
    }
}

async fn create(rest: &Rest, name: &str, deadline: Instant) -> Result<(), RestError> {
    let node = rest.node();
    let operation = Operation::CreateTopic {
        id: TopicId::from(node.runtime.random_uuid()),
        name: name.to_owned(),
        partition_count: node.settings.default_partition_count,
        replication_factor: node.settings.default_replication_factor,
        configs: BTreeMap::new(),
        shard_count: node.log.shard_count(),
    };
    match node.log.commit_topic(operation, Some(deadline)).await {
        Ok(_) => {
            tracing::info!(topic = name, "topic created on first use");
            Ok(())
        }
        // Somebody else was faster, which is as good.
        Err(CommitError::Rejected(Rejection::TopicExists(_))) => Ok(()),
        // Records were not sent: whatever became of the topic, they are not written.
        Err(error) => Err(RestError::new(code::NOT_WRITTEN, format!("not written: the topic was not made: {error}"))),
    }
}

/// Tells whoever looks after the cluster of records that were not acknowledged although nothing is wrong with them: the status
/// of their answer is 200.
pub(super) fn tell(topic: &str, outcomes: &[Result<Produced, RestError>]) {
    let errors = || outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let count = |code: u32| errors().filter(|error| error.code == code).count();
    let (not_written, unknown) = (count(code::NOT_WRITTEN), count(code::OUTCOME_UNKNOWN));
    let first = errors().find(|error| matches!(error.code, code::NOT_WRITTEN | code::OUTCOME_UNKNOWN));
    if let Some(error) = first {
        tracing::error!(topic, not_written, unknown, %error, "records were not acknowledged");
    }
}

/// Hands the records to ingest. The order of calls is the order of the log.
pub(super) fn begin(
    rest: &Rest,
    target: &Target,
    records: Vec<Result<NewRecord, RestError>>,
    request_id: Option<&RequestId>,
    permit: Permit,
    deadline: Instant,
) -> Begun {
    let node = rest.node();
    let now_ms = node.runtime.now_ms();
    let keyless = request_id.map_or_else(|| node.runtime.random_u64(), RequestId::partition_seed);
    let mut appends: Vec<Option<PartitionAppend>> = Vec::new();
    let mut partitions: BTreeMap<i32, Batches> = BTreeMap::new();
    let mut slots = Vec::with_capacity(records.len());
    for record in records {
        let placed = record.and_then(|record| Ok((target.partition_of(&record, keyless)?, record)));
        let (partition, record) = match placed {
            Ok(placed) => placed,
            Err(refusal) => {
                slots.push(Slot::Refused(refusal));
                continue;
            }
        };
        let topic_partition = TopicPartition::new(target.id, partition);
        let batches = partitions.entry(partition).or_insert(Batches { open: None, begun: 0 });
        let is_full =
            |open: &Open| open.bytes + record.bytes_max() > target.batch_bytes_max && !open.builder.is_empty();
        if batches.open.as_ref().is_some_and(is_full)
            && let Some(full) = batches.open.take()
        {
            full.close(topic_partition, request_id, &mut appends);
        }
        let open = batches.open.get_or_insert_with(|| {
            appends.push(None);
            batches.begun += 1;
            Open::new(appends.len() - 1, batches.begun - 1)
        });
        slots.push(open.push(record, partition, now_ms));
    }
    for (partition, batches) in partitions {
        if let Some(open) = batches.open {
            open.close(TopicPartition::new(target.id, partition), request_id, &mut appends);
        }
    }
    let presence = node.ingest.connect();
    // The client waits for its answer: nothing more comes from it.
    presence.blocked();
    let appends: Vec<PartitionAppend> = appends.into_iter().flatten().collect();
    let reply = (!appends.is_empty()).then(|| node.ingest.append(permit, appends, deadline, &presence));
    Begun { slots, reply, _presence: presence }
}

impl Open {
    fn new(position: usize, number: u32) -> Self {
        let builder = BatchBuilder::new(Compression::None);
        Self { position, builder, bytes: 0, content: Content::default(), number }
    }

    fn push(&mut self, record: NewRecord, partition: i32, now_ms: i64) -> Slot {
        self.bytes += record.bytes_max();
        self.content.add(&record);
        let timestamp_ms = record.timestamp_ms.unwrap_or(now_ms);
        let behind = i64::from(self.builder.record_count());
        match self.builder.push(timestamp_ms, record.key, record.value, record.headers) {
            Ok(()) => Slot::Sent { batch: self.position, behind, partition, timestamp_ms },
            Err(error) => Slot::Refused(RestError::too_large(error.to_string())),
        }
    }

    fn close(self, topic_partition: TopicPartition, id: Option<&RequestId>, appends: &mut [Option<PartitionAppend>]) {
        let builder = match id {
            None => self.builder,
            Some(id) => {
                let producer_id = id.producer_id(self.number);
                self.builder.producer(producer_id, 0, self.content.base_sequence(producer_id))
            }
        };
        let records = builder.build(0).bytes;
        appends[self.position] = Some(PartitionAppend { topic_partition, records, transaction: None });
    }
}

impl Begun {
    /// Waits until the records are durable; one result for each.
    pub(super) async fn finish(self) -> Vec<Result<Produced, RestError>> {
        let results = match self.reply {
            Some(reply) => reply.await,
            None => Vec::new(),
        };
        let settle = |slot| match slot {
            Slot::Refused(refusal) => Err(refusal),
            Slot::Sent { batch, behind, partition, timestamp_ms } => match results.get(batch) {
                Some(Ok(appended)) => {
                    let timestamp_ms = appended.log_append_time_ms.unwrap_or(timestamp_ms);
                    Ok(Produced { partition, offset: appended.base_offset + behind, timestamp_ms })
                }
                Some(Err(error)) => Err(RestError::from(error)),
                // A reply has a result for each batch; without one nothing is known of it.
                None => Err(RestError::from(&AppendError::TimedOutUnknown)),
            },
        };
        self.slots.into_iter().map(settle).collect()
    }
}
