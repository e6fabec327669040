//! Records of one request become batches of their partitions, go to ingest, and get their offsets.
//!
//! Invariants:
//! 1. Every record of a request is answered for itself, in the order of the request.
//! 2. Records of one partition keep their order.
//! 3. With a request id, the batches follow from the id, the records and the topic's `max.message.bytes`, so that those of a retry
//!    are the same. Where records make several batches of a partition, the first one says how they were cut, and the others follow
//!    when it is durable: a retry that is cut in another way is refused before anything of it is written.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::limits;
use alluvium_infra::runtime::Instant;
use alluvium_ingest::{AppendError, AppendReply, Appended, Ingest, PartitionAppend, Permit, ProducerPresence};
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
    /// What became of each batch, as far as it is known.
    results: Vec<Option<Result<Appended, RestError>>>,
    /// The batches that were sent, and the answer about them.
    sent: Vec<usize>,
    reply: Option<AppendReply>,
    /// Batches of a request with an id that wait for the first ones of their partitions.
    waiting: Vec<Waiting>,
    /// For what waits.
    room: Option<Permit>,
    ingest: Ingest,
    deadline: Instant,
    /// Ends when the request does.
    presence: ProducerPresence,
}

/// A batch that waits.
struct Waiting {
    batch: usize,
    /// The first batch of its partition.
    first: usize,
    append: PartitionAppend,
}

/// What became of one record.
enum Slot {
    Refused(RestError),
    /// In this batch, so many records behind its first one.
    Sent {
        batch: usize,
        behind: i64,
        partition: i32,
        timestamp_ms: i64,
    },
}

/// A batch of one partition.
struct Batch {
    /// Among all batches of the request.
    position: usize,
    builder: BatchBuilder,
    bytes: usize,
    content: Content,
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
    mut permit: Permit,
    deadline: Instant,
) -> Begun {
    let node = rest.node();
    let keyless = request_id.map_or_else(|| node.runtime.random_u64(), RequestId::partition_seed);
    let (slots, partitions, batch_count) = cut(target, records, keyless, node.runtime.now_ms());
    let (mut sent, mut appends, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for (partition, mut batches) in partitions {
        // A record that no batch takes leaves an empty one.
        batches.retain(|batch| !batch.builder.is_empty());
        let Some(first) = batches.first().map(|batch| batch.position) else { continue };
        if let Some(request_id) = request_id {
            batches = named(batches, request_id);
        }
        for Batch { position: batch, builder, .. } in batches {
            let topic_partition = TopicPartition::new(target.id, partition);
            let append = PartitionAppend { topic_partition, records: builder.build(0).bytes, transaction: None };
            if request_id.is_some() && batch != first {
                waiting.push(Waiting { batch, first, append });
            } else {
                sent.push(batch);
                appends.push(append);
            }
        }
    }
    let presence = node.ingest.connect();
    // The client waits for its answer: nothing more comes from it.
    presence.blocked();
    let waiting_bytes = waiting.iter().map(|waiting: &Waiting| waiting.append.records.len()).sum();
    let room = Some(permit.split_off(waiting_bytes));
    let reply = (!appends.is_empty()).then(|| node.ingest.append(permit, appends, deadline, &presence));
    let results = vec![None; batch_count];
    Begun { slots, results, sent, reply, waiting, room, ingest: node.ingest.clone(), deadline, presence }
}

type Cut = (Vec<Slot>, BTreeMap<i32, Vec<Batch>>, usize);

/// Puts the records into batches of their partitions.
fn cut(target: &Target, records: Vec<Result<NewRecord, RestError>>, keyless: u64, now_ms: i64) -> Cut {
    let mut partitions: BTreeMap<i32, Vec<Batch>> = BTreeMap::new();
    let mut batch_count = 0;
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
        let batches = partitions.entry(partition).or_default();
        let has_room =
            |batch: &&mut Batch| batch.builder.is_empty() || batch.bytes + record.bytes_max() <= target.batch_bytes_max;
        let slot = match batches.last_mut().filter(has_room) {
            Some(open) => open.push(record, partition, now_ms),
            None => {
                let mut open = Batch::new(batch_count);
                batch_count += 1;
                let slot = open.push(record, partition, now_ms);
                batches.push(open);
                slot
            }
        };
        slots.push(slot);
    }
    (slots, partitions, batch_count)
}

/// The batches of a partition as those of idempotent producers.
fn named(mut batches: Vec<Batch>, request_id: &RequestId) -> Vec<Batch> {
    let counts: Vec<i32> = batches.iter().map(|batch| batch.builder.record_count()).collect();
    if let ([first, ..], [_, _, ..]) = (&mut batches[..], &counts[..]) {
        first.content.cut(&counts);
    }
    let name = |(number, batch): (u32, Batch)| {
        let producer_id = request_id.producer_id(number);
        let builder = batch.builder.producer(producer_id, 0, batch.content.base_sequence(producer_id));
        Batch { builder, ..batch }
    };
    (0..).zip(batches).map(name).collect()
}

impl Batch {
    fn new(position: usize) -> Self {
        Self { position, builder: BatchBuilder::new(Compression::None), bytes: 0, content: Content::default() }
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
}

impl Begun {
    /// Waits until the records are durable; one result for each.
    pub(super) async fn finish(mut self) -> Vec<Result<Produced, RestError>> {
        self.receive().await;
        let mut appends = Vec::new();
        for Waiting { batch, first, append } in std::mem::take(&mut self.waiting) {
            match &self.results[first] {
                Some(Ok(_)) => {
                    self.sent.push(batch);
                    appends.push(append);
                }
                first => self.results[batch] = Some(Err(not_sent(first.as_ref()))),
            }
        }
        if let (Some(room), false) = (self.room.take(), appends.is_empty()) {
            self.reply = Some(self.ingest.append(room, appends, self.deadline, &self.presence));
            self.receive().await;
        }
        let results = self.results;
        let settle = |slot| match slot {
            Slot::Refused(refusal) => Err(refusal),
            Slot::Sent { batch, behind, partition, timestamp_ms } => match results.get(batch) {
                Some(Some(Ok(appended))) => {
                    let timestamp_ms = appended.log_append_time_ms.unwrap_or(timestamp_ms);
                    Ok(Produced { partition, offset: appended.base_offset + behind, timestamp_ms })
                }
                Some(Some(Err(error))) => Err(error.clone()),
                // A reply has a result for each batch; without one nothing is known of it.
                Some(None) | None => Err(RestError::from(&AppendError::TimedOutUnknown)),
            },
        };
        self.slots.into_iter().map(settle).collect()
    }

    /// Takes in the answer about what was sent last.
    async fn receive(&mut self) {
        let Some(reply) = self.reply.take() else { return };
        for (batch, result) in std::mem::take(&mut self.sent).into_iter().zip(reply.await) {
            self.results[batch] = Some(result.map_err(|error| RestError::from(&error)));
        }
    }
}

/// What is said about a batch whose partition's first one is not durable.
fn not_sent(first: Option<&Result<Appended, RestError>>) -> RestError {
    match first {
        Some(Err(refusal)) if refusal.code != code::OUTCOME_UNKNOWN => refusal.clone(),
        _ => RestError::new(code::NOT_WRITTEN, "not written: what becomes of the records before it is not known"),
    }
}
