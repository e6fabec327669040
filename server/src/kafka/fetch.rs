//! Fetch (key 1), versions 4 to 18.
//!
//! Long polls until `min_bytes` are there or `max_wait_ms` has passed; fetch sessions (version 7 and later), topics by
//! id (version 13 and later), both isolation levels. Record bytes are sent as they were stored, with base offset and
//! leader epoch filled in. An error in any partition answers at once. Before an offset is called out of range, or a
//! topic unknown, the node catches up with the log.
//!
//! A client that says its rack is sent to a node of that zone, if there is one (version 11 and later, KIP-392).
//!
//! Missing: fetches by followers (a replica id is ignored); throttling (throttle time is 0).

use std::collections::HashMap;
use std::time::Duration;

use alluvium_log::{Partition, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::messages::FetchRequest;
use alluvium_protocol::response::{AbortedTransaction, FetchResponseFrame, FetchedPartition, FetchedTopic};
use alluvium_reader::{self as reader, FetchedData, Isolation, PartitionFetch, ReadError};
use alluvium_record::{NodeId, TopicId, TopicPartition};

use crate::context::{Known, Node, RequestContext, STORE_WAIT_MAX};
use crate::errors::read_error;
use crate::fetch_session::{FetchPlan, NO_SESSION, PartitionKey, SessionRequest, Told, TopicKey, WantedPartition};

/// First version that names topics by id.
const TOPIC_ID_VERSION_MIN: i16 = 13;
/// First version with fetch sessions.
const SESSION_VERSION_MIN: i16 = 7;
/// The longest a request may wait, whatever it asks for.
const WAIT_MS_MAX: u64 = 5 * 60 * 1000;

type Answers = Vec<(PartitionKey, FetchedPartition)>;

pub(crate) async fn handle(context: &RequestContext, request: FetchRequest) -> FetchResponseFrame {
    let node = &context.node;
    let limits = Limits::of(node, &request);
    let plan = match node.fetch_sessions.plan(session_request(context.version, request)) {
        Ok(plan) => plan,
        Err(error) => return FetchResponseFrame { error_code: error.code(), ..FetchResponseFrame::default() },
    };
    match plan {
        FetchPlan::Sessionless { wanted } => respond(NO_SESSION, fetch(node, &limits, wanted).await),
        FetchPlan::Full { session_id, wanted } => {
            let answers = fetch(node, &limits, wanted).await;
            node.fetch_sessions.remember(session_id, &answers, seen);
            respond(session_id, answers)
        }
        FetchPlan::Incremental { session_id, wanted } => {
            let mut answers = fetch(node, &limits, wanted).await;
            node.fetch_sessions.retain_news(session_id, &mut answers, seen);
            respond(session_id, answers)
        }
    }
}

/// What the request asks of the answer as a whole.
struct Limits {
    bytes_max: i32,
    bytes_min: i32,
    wait_max: Duration,
    isolation: Isolation,
    /// Where the client is, when it says.
    rack: String,
}

impl Limits {
    fn of(node: &Node, request: &FetchRequest) -> Limits {
        let granted = i32::try_from(node.fetch_memory.grant()).unwrap_or(i32::MAX);
        let bytes_max = request.max_bytes.clamp(0, node.settings.fetch_bytes_max.min(granted));
        Limits {
            bytes_max,
            bytes_min: request.min_bytes.clamp(0, bytes_max),
            wait_max: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0).min(WAIT_MS_MAX)),
            isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
            rack: request.rack_id.as_str().to_owned(),
        }
    }
}

fn session_request(version: i16, request: FetchRequest) -> SessionRequest {
    let by_id = version >= TOPIC_ID_VERSION_MIN;
    let mut wanted = Vec::new();
    for topic in request.topics {
        let key = topic_key(by_id, topic.topic.as_str(), topic.topic_id.to_bytes());
        for partition in topic.partitions {
            wanted.push((
                PartitionKey { topic: key.clone(), partition: partition.partition },
                WantedPartition {
                    fetch_offset: partition.fetch_offset,
                    current_leader_epoch: partition.current_leader_epoch,
                    bytes_max: partition.partition_max_bytes,
                },
            ));
        }
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten_topics_data {
        let key = topic_key(by_id, topic.topic.as_str(), topic.topic_id.to_bytes());
        forgotten.extend(topic.partitions.into_iter().map(|partition| PartitionKey { topic: key.clone(), partition }));
    }
    let has_sessions = version >= SESSION_VERSION_MIN;
    SessionRequest {
        session_id: if has_sessions { request.session_id } else { NO_SESSION },
        session_epoch: if has_sessions { request.session_epoch } else { -1 },
        by_id,
        wanted,
        forgotten,
    }
}

fn topic_key(by_id: bool, name: &str, id: [u8; 16]) -> TopicKey {
    if by_id { TopicKey::Id(id) } else { TopicKey::Name(name.to_owned()) }
}

fn find(state: &View, key: &TopicKey) -> Option<TopicId> {
    match key {
        TopicKey::Name(name) => state.topic_by_name(name).map(|topic| topic.id),
        TopicKey::Id(id) => state.topic(TopicId::from_bytes(*id)).map(|topic| topic.id),
    }
}

fn find_partition(state: &View, key: &PartitionKey) -> Result<TopicPartition, ErrorCode> {
    let absent = match key.topic {
        TopicKey::Name(_) => ErrorCode::UnknownTopicOrPartition,
        TopicKey::Id(_) => ErrorCode::UnknownTopicId,
    };
    let topic_partition = TopicPartition::new(find(state, &key.topic).ok_or(absent)?, key.partition);
    match state.partition(topic_partition) {
        Some(_) => Ok(topic_partition),
        None => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

async fn fetch(node: &Node, limits: &Limits, wanted: Vec<(PartitionKey, WantedPartition)>) -> Answers {
    let reachable = |state: &View| {
        wanted.iter().all(|(key, partition)| {
            find_partition(state, key).is_ok_and(|found| {
                state.partition(found).is_some_and(|found| partition.fetch_offset <= found.high_watermark())
            })
        })
    };
    // A node that nobody is sent to may not reach the store, and is not asked to.
    let serves = node.nodes.serves();
    let view = node.view(|state| !serves || reachable(state)).await;
    let mut answers: Answers = Vec::with_capacity(wanted.len());
    let mut partitions = Vec::with_capacity(wanted.len());
    let mut positions: HashMap<TopicPartition, usize> = HashMap::with_capacity(wanted.len());
    for (key, partition) in wanted {
        let answer = match find_partition(&view.state, &key) {
            _ if !serves => refused(key.partition, ErrorCode::NotLeaderOrFollower),
            // A partition that is named twice is fetched once.
            Ok(found) if let Some(replica) = node.nodes.preferred_replica(found, &limits.rack) => {
                redirected(&view.state, key.partition, found, replica)
            }
            Ok(found) if !positions.contains_key(&found) => {
                positions.insert(found, answers.len());
                partitions.push(partition_fetch(found, &partition));
                FetchedPartition { partition_index: key.partition, ..FetchedPartition::default() }
            }
            Ok(_) => refused(key.partition, ErrorCode::InvalidRequest),
            Err(error) => refused(key.partition, view.missing(error)),
        };
        answers.push((key, answer));
    }
    let all_found = partitions.len() == answers.len();
    let request = reader::FetchRequest {
        partitions,
        bytes_max: limits.bytes_max,
        bytes_min: limits.bytes_min,
        wait_max: if all_found && !answers.is_empty() { limits.wait_max } else { Duration::ZERO },
        isolation: limits.isolation,
    };
    let wait_max = request.wait_max + STORE_WAIT_MAX;
    match node.runtime.timeout(wait_max, node.reader.fetch(request)).await {
        Ok(all_fetched) => {
            for fetched in all_fetched {
                let Some(position) = positions.get(&fetched.topic_partition) else { continue };
                let answer = &mut answers[*position].1;
                *answer = match fetched.result {
                    Ok(data) => filled(answer.partition_index, data, limits.isolation),
                    Err(error) => failed(answer.partition_index, &error, &view, fetched.topic_partition),
                };
            }
        }
        Err(_elapsed) => {
            tracing::warn!("cannot read: the store does not answer");
            for position in positions.values() {
                let answer = &mut answers[*position].1;
                *answer = refused(answer.partition_index, ErrorCode::KafkaStorageError);
            }
        }
    }
    answers
}

fn partition_fetch(topic_partition: TopicPartition, wanted: &WantedPartition) -> PartitionFetch {
    PartitionFetch {
        topic_partition,
        offset: wanted.fetch_offset,
        bytes_max: wanted.bytes_max,
        leader_epoch: (wanted.current_leader_epoch != -1).then_some(wanted.current_leader_epoch),
    }
}

/// Sends the client to a node of its zone (KIP-392).
fn redirected(state: &View, partition_index: i32, place: TopicPartition, replica: NodeId) -> FetchedPartition {
    let known = state.partition(place);
    FetchedPartition {
        partition_index,
        high_watermark: known.map_or(-1, Partition::high_watermark),
        last_stable_offset: known.map_or(-1, Partition::last_stable_offset),
        log_start_offset: known.map_or(-1, Partition::log_start_offset),
        preferred_read_replica: replica.0,
        ..FetchedPartition::default()
    }
}

fn refused(partition_index: i32, error: ErrorCode) -> FetchedPartition {
    FetchedPartition { partition_index, error_code: error.code(), ..FetchedPartition::default() }
}

fn failed(partition_index: i32, error: &ReadError, view: &Known, topic_partition: TopicPartition) -> FetchedPartition {
    let code = read_error(error);
    if matches!(code, ErrorCode::KafkaStorageError | ErrorCode::CorruptMessage) {
        tracing::warn!(%topic_partition, %error, "cannot read");
    }
    // An offset can only be called out of range by a node that is up to date.
    let code = if code == ErrorCode::OffsetOutOfRange { view.missing(code) } else { code };
    refused(partition_index, code)
}

fn filled(partition_index: i32, data: FetchedData, isolation: Isolation) -> FetchedPartition {
    let aborted = data
        .aborted
        .iter()
        .map(|aborted| AbortedTransaction { producer_id: aborted.producer_id, first_offset: aborted.first_offset })
        .collect();
    FetchedPartition {
        partition_index,
        error_code: 0,
        high_watermark: data.high_watermark,
        last_stable_offset: data.last_stable_offset,
        log_start_offset: data.log_start_offset,
        aborted_transactions: (isolation == Isolation::ReadCommitted).then_some(aborted),
        preferred_read_replica: -1,
        records: data.slices,
    }
}

/// What of an answer decides whether an incremental response carries it.
fn seen(answer: &FetchedPartition) -> (bool, Option<Told>) {
    // Where to go instead is always told.
    if answer.error_code != 0 || answer.preferred_read_replica >= 0 {
        return (false, None);
    }
    let told = Told { high_watermark: answer.high_watermark, log_start_offset: answer.log_start_offset };
    (!answer.records.is_empty(), Some(told))
}

/// Groups neighbouring partitions of one topic.
fn respond(session_id: i32, answers: Answers) -> FetchResponseFrame {
    let mut topics: Vec<FetchedTopic> = Vec::new();
    let mut current: Option<TopicKey> = None;
    for (key, partition) in answers {
        match topics.last_mut() {
            Some(topic) if current.as_ref() == Some(&key.topic) => topic.partitions.push(partition),
            _ => {
                topics.push(FetchedTopic {
                    name: key.topic.wire_name(),
                    topic_id: key.topic.wire_id(),
                    partitions: vec![partition],
                });
                current = Some(key.topic);
            }
        }
    }
    FetchResponseFrame { session_id, topics, ..FetchResponseFrame::default() }
}
