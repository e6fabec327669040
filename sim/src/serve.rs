//! What a node does for a request: the doors of the server without the wire.
//!
//! Invariant: as in the server, whoever says that something does not exist, or what was committed last, has read the log to
//! its end first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_ingest::{AppendError, PartitionAppend};
use alluvium_log::{CommitError, Committed, CommittedOffset, Operation as LogOperation, Shard};
use alluvium_reader::{AbortedTransaction, FetchRequest, Isolation, OffsetQuery, PartitionFetch};
use alluvium_record::batch::split_batches;
use alluvium_record::{Marker, TopicPartition};
use bytes::{Bytes, BytesMut};

use crate::history::{MARKER, Operation, Outcome, Part, Seen, Taken};
use crate::node::Running;
use crate::random::mix;
use crate::records::{batch_bytes, digest, name_of};

/// Serves one request.
pub async fn serve(running: Arc<Running>, operation: Operation) -> Outcome {
    let outcome = match operation {
        Operation::Produce { topic_partition, batch, count, producer, part } => {
            produce(&running, topic_partition, (batch, count), producer, part).await
        }
        Operation::Fetch { topic_partition, offset, bytes_max, wait_ms, committed } => {
            fetch(&running, topic_partition, offset, bytes_max, (wait_ms, isolation(committed))).await
        }
        Operation::ListOffsets { topic_partition, earliest, committed } => {
            let query = if earliest { OffsetQuery::Earliest } else { OffsetQuery::Latest };
            match running.reader.offset_for(topic_partition, query, isolation(committed)).await {
                Ok(found) => Outcome::Offset(found.offset),
                Err(error) => Outcome::Refused(error.to_string()),
            }
        }
        Operation::FetchOffset { group, topic_partition, stable } => {
            running.groups.fetch(&group, topic_partition, stable).await
        }
        Operation::CommitOffset { group, topic_partition, offset, tag, member } => {
            let commit_ms = running.runtime.now_ms();
            let committed = CommittedOffset { offset, leader_epoch: 0, metadata: tag, commit_ms };
            let deadline = commit_deadline(&running);
            running.groups.commit(&group, member.as_ref(), (topic_partition, committed), deadline).await
        }
        Operation::Join { group, member } => running.groups.join(&group, &member).await,
        Operation::Sync { group, member, generation, assignments } => {
            running.groups.sync(&group, &member, generation, &assignments).await
        }
        Operation::Heartbeat { group, member, generation } => {
            running.groups.heartbeat(&group, &member, generation).await
        }
        Operation::AllocateProducerId => match running.log.allocate_producer_id().await {
            Ok(id) => Outcome::ProducerId(id),
            Err(error) => Outcome::Refused(error.to_string()),
        },
        Operation::CommitTransactionOffset { part, producer, group, topic_partition, offset, tag, .. } => {
            let commit_ms = running.runtime.now_ms();
            let committed = CommittedOffset { offset, leader_epoch: 0, metadata: tag, commit_ms };
            let (transactions, groups) = (&running.transactions, &running.groups);
            let deadline = commit_deadline(&running);
            transactions.commit_offset(groups, &part, producer, &group, (topic_partition, committed), deadline).await
        }
        other => match running.transactions.serve(&other).await {
            Some(outcome) => outcome,
            None => commit(&running, other).await,
        },
    };
    if let Err(broken) = running.groups.check() {
        running.world.finding(10, format!("groups of node {}: {broken}", running.node));
    }
    running.sample();
    outcome
}

async fn produce(
    running: &Arc<Running>,
    topic_partition: TopicPartition,
    (batch, count): (u64, u32),
    producer: Option<(i64, i16, i32)>,
    part: Option<Part>,
) -> Outcome {
    // As the server does before it hands a batch on: what is not known here may have come meanwhile.
    let scenario = &running.world.scenario;
    if scenario.shards.max(scenario.shards_later) > 1
        && running.log.view().partition(topic_partition).is_none()
        && let Err(error) = running.log.catch_up().await
    {
        return Outcome::Refused(error.to_string());
    }
    let look = running.world.look(topic_partition.topic);
    let records = batch_bytes(batch, count, producer, part.is_some(), look);
    let permit = running.ingest.admit(records.len()).await;
    let counted = running.count_bytes(records.len() as u64);
    // How long a client is willing to wait: from impatient to patient, always the same for one batch.
    let deadline = running.runtime.monotonic() + Duration::from_millis(300 + mix(batch) % 9_000);
    let presence = running.ingest.connect();
    let transaction = match (&part, producer) {
        (Some(part), Some((id, epoch, _))) => {
            match running.transactions.admit(part, (id, epoch), topic_partition).await {
                Ok(tag) => Some(tag),
                Err(refused) => return refused,
            }
        }
        _ => None,
    };
    let taken = Taken { node: running.node, incarnation: running.incarnation, batch };
    running.world.history(|history| history.taken.push(taken));
    let append = PartitionAppend { topic_partition, records, transaction };
    let reply = running.ingest.append(permit, vec![append], deadline, &presence);
    presence.blocked();
    let result = reply.await.pop();
    drop(counted);
    match result {
        Some(Ok(appended)) => Outcome::Produced { base_offset: appended.base_offset, duplicate: appended.duplicate },
        Some(Err(AppendError::TimedOutUnknown)) | None => Outcome::Unknown,
        Some(Err(error)) => Outcome::Refused(error.to_string()),
    }
}

fn isolation(committed: bool) -> Isolation {
    if committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

async fn fetch(
    running: &Arc<Running>,
    topic_partition: TopicPartition,
    offset: i64,
    bytes_max: i32,
    (wait_ms, isolation): (u64, Isolation),
) -> Outcome {
    let request = FetchRequest {
        partitions: vec![PartitionFetch { topic_partition, offset, bytes_max, leader_epoch: Some(0) }],
        bytes_max,
        bytes_min: 1,
        wait_max: Duration::from_millis(wait_ms),
        isolation,
    };
    let Some(fetched) = running.reader.fetch(request).await.pop() else { return Outcome::Unknown };
    let data = match fetched.result {
        Ok(data) => data,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let mut bytes = BytesMut::new();
    data.slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
    match records_of(bytes.freeze(), offset, data.aborted) {
        Ok(Read { next, records, hidden }) => Outcome::Fetched {
            high_watermark: data.high_watermark,
            last_stable: data.last_stable_offset,
            log_start: data.log_start_offset,
            next,
            records,
            hidden,
        },
        Err(problem) => {
            running.world.finding(1, format!("fetch of {topic_partition} from {offset} is malformed: {problem}"));
            Outcome::Refused(problem)
        }
    }
}

struct Read {
    /// Behind the last batch.
    next: i64,
    records: Vec<Seen>,
    /// Offsets of records that a consumer passes over.
    hidden: Vec<i64>,
}

/// The records of whole batches, from `offset` on, as a consumer takes them that was told of these aborted transactions: as
/// Kafka's clients do it.
fn records_of(bytes: Bytes, offset: i64, mut aborted: Vec<AbortedTransaction>) -> Result<Read, String> {
    let (mut seen, mut hidden, mut next) = (Vec::new(), Vec::new(), offset);
    aborted.sort_unstable_by_key(|aborted| aborted.first_offset);
    let mut aborted = aborted.into_iter().peekable();
    let mut aborting = BTreeSet::new();
    for batch in split_batches(bytes).map_err(|error| error.to_string())? {
        batch.verify_crc().map_err(|error| error.to_string())?;
        let (header, attributes) = (&batch.header, batch.header.attributes);
        next = next.max(header.last_offset() + 1);
        while let Some(begun) = aborted.next_if(|aborted| aborted.first_offset <= header.last_offset()) {
            aborting.insert(begun.producer_id);
        }
        let is_hidden = attributes.is_transactional() && aborting.contains(&header.producer_id);
        for record in batch.records(1 << 20).map_err(|error| error.to_string())? {
            if attributes.is_control() {
                let commits = record.key.as_ref().and_then(Marker::commits).ok_or("a marker that says nothing")?;
                if !commits {
                    aborting.remove(&header.producer_id);
                }
                seen.push(Seen { offset: record.offset, batch: MARKER, index: u32::from(commits), digest: 0 });
                continue;
            }
            let (batch, index) = name_of(&record).ok_or("a record that nobody wrote")?;
            if is_hidden {
                hidden.push(record.offset);
            }
            seen.push(Seen { offset: record.offset, batch, index, digest: digest(&record) });
        }
    }
    seen.retain(|seen| seen.offset >= offset);
    hidden.retain(|hidden| *hidden >= offset);
    Ok(Read { next, records: seen, hidden })
}

async fn commit(running: &Arc<Running>, operation: Operation) -> Outcome {
    let log = &running.log;
    let mut shard = log.meta().clone();
    let operation = match operation {
        Operation::CreateTopic { topic, name, partitions, settings } => LogOperation::CreateTopic {
            id: topic,
            name,
            partition_count: partitions,
            replication_factor: 1,
            configs: settings.into_iter().collect(),
            shard_count: log.shard_count(),
        },
        Operation::DeleteTopic { topic } => LogOperation::DeleteTopic { id: topic },
        Operation::CreatePartitions { topic, partitions } => {
            LogOperation::CreatePartitions { id: topic, new_count: partitions }
        }
        Operation::AlterTopic { topic, value } => LogOperation::AlterTopicConfigs {
            id: topic,
            set: vec![("retention.ms".to_owned(), value)],
            remove: Vec::new(),
        },
        Operation::DeleteRecords { topic_partition, before } => {
            match shard_of(running, topic_partition).await {
                Ok(owner) => shard = owner,
                Err(reason) => return Outcome::Refused(reason),
            }
            LogOperation::DeleteRecords { topic_partition, before_offset: before }
        }
        Operation::SetShardCount { count } => LogOperation::SetShardCount { count },
        other => return Outcome::Refused(format!("{other} is no commit")),
    };
    let deadline = commit_deadline(running);
    let is_of_topic = matches!(
        operation,
        LogOperation::CreateTopic { .. } | LogOperation::DeleteTopic { .. } | LogOperation::CreatePartitions { .. }
    );
    let committed = match is_of_topic {
        true => log.commit_topic(operation, Some(deadline)).await,
        false => shard.commit(operation, Some(deadline)).await,
    };
    match committed {
        Ok(Committed { entry_number, .. }) => Outcome::Done { entry: entry_number },
        Err(CommitError::Unknown) => Outcome::Unknown,
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

/// From impatient to patient.
fn commit_deadline(running: &Running) -> Instant {
    running.runtime.monotonic() + Duration::from_millis(500 + running.runtime.random_below(8_000))
}

/// The shard of a partition; a topic that this node does not know of may have come meanwhile.
async fn shard_of(running: &Running, topic_partition: TopicPartition) -> Result<Shard, String> {
    let log = &running.log;
    let known = log.view().shard_of(topic_partition);
    let id = match known {
        Some(id) => Some(id),
        None => log.catch_up().await.map_err(|error| error.to_string())?.shard_of(topic_partition),
    };
    let id = id.ok_or("unknown topic or partition")?;
    log.shard(id).ok_or_else(|| format!("shard {id} is not open yet"))
}
