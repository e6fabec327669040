//! Produce (key 0), versions 3 to 13; versions 0 to 2 are advertised for old clients' sake and refused.
//!
//! Batches go to ingest in the order in which requests arrive on a connection; the answer follows when they are
//! durable, for `acks=1` as for `acks=all`. `acks=0` gets no answer, and a failure closes the connection, as in Kafka.
//! The request's timeout is the deadline of the append: when it passes, REQUEST_TIMED_OUT says that the batch may be in
//! the log or appear later. Topics are named by id since version 13. Errors carry a sentence since version 8.
//!
//! A transactional batch is let in when its transaction takes it. Since version 12 the partition is added to the
//! transaction by the way (KIP-890); before, it must have been added: else the batch is INVALID_TXN_STATE, since
//! version 11 TRANSACTION_ABORTABLE. While a transaction cannot be looked at, batches are NOT_ENOUGH_REPLICAS, which
//! clients repeat. Transactional batches without a transactional id are TRANSACTIONAL_ID_AUTHORIZATION_FAILED.
//!
//! Missing: message formats 0 and 1 (INVALID_RECORD, as in Kafka 4); throttling (when ingest is full the socket is not
//! read; throttle time stays 0).

use alluvium_ingest::{AppendError, AppendReply, Appended, PartitionAppend};
use alluvium_log::View;
use alluvium_protocol::apis::ApiName;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use alluvium_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use alluvium_protocol::messages::{ProduceRequest, ProduceResponse, StrBytes, Uuid};
use alluvium_protocol::response::encode_response;
use alluvium_record::{BATCH_HEADER_BYTES, TopicId, TopicPartition};

use crate::context::{Known, Node, RequestContext, topic_id};
use crate::dispatch::{CloseReason, Frames, ProduceAdmission};
use crate::errors::{Refusal, append_error_since};

mod transaction;

/// First version that names topics by id.
const TOPIC_ID_VERSION_MIN: i16 = 13;
/// First version that may carry zstd.
const ZSTD_VERSION_MIN: i16 = 7;
/// Where the attributes of a record batch are; their low byte holds the codec.
const ATTRIBUTES_LOW_BYTE: usize = 22;
const CODEC_MASK: u8 = 0x07;
const ZSTD: u8 = 4;

/// A Produce request whose batches are with ingest.
pub(crate) struct Outcome {
    acks: i16,
    topics: Vec<TopicOutcome>,
    reply: Option<AppendReply>,
}

struct TopicOutcome {
    name: StrBytes,
    topic_id: Uuid,
    partitions: Vec<(i32, Slot)>,
}

/// What became of one partition of a request.
enum Slot {
    Refused(Refusal),
    /// With ingest, at this position of its reply.
    Sent(usize),
}

/// Hands the batches to ingest. Waits only when the log has to be asked: about a topic that is unknown, or a transaction.
pub(crate) async fn start(
    context: &RequestContext,
    request: ProduceRequest,
    admission: ProduceAdmission<'_>,
) -> Outcome {
    let node = &context.node;
    let by_id = context.version >= TOPIC_ID_VERSION_MIN;
    let producer = transaction::producer_of(&request);
    let refused_whole = refuse_whole(node, &request).or_else(|| producer.as_ref().err().cloned());
    let known = |state: &View| {
        request.topic_data.iter().all(|topic| {
            topic.partition_data.iter().all(|partition| find(state, by_id, topic, partition.index).is_ok())
        })
    };
    let view = match &refused_whole {
        Some(_) => None,
        None => Some(node.view(known).await),
    };
    let deadline = node.deadline(request.timeout_ms);
    let transactional_id = request.transactional_id.clone().unwrap_or_default();
    let mut sent = Vec::new();
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for mut topic in request.topic_data {
        let data = std::mem::take(&mut topic.partition_data);
        let partitions = data
            .into_iter()
            .map(|partition| {
                let index = partition.index;
                let slot = match (&view, &refused_whole) {
                    (Some(view), None) => send(context, view, &topic, partition, &mut sent),
                    (_, refusal) => Slot::Refused(refusal.clone().unwrap_or(Refusal::bare(ErrorCode::InvalidRequest))),
                };
                (index, slot)
            })
            .collect();
        topics.push(TopicOutcome { name: topic.name, topic_id: topic.topic_id, partitions });
    }
    let ProduceAdmission { permit, presence } = admission;
    if let (Ok(Some(producer)), false) = (producer, sent.is_empty()) {
        let refusals = transaction::admit(context, &transactional_id, producer, &mut sent, deadline, presence).await;
        sent = withdraw(&mut topics, sent, refusals);
    }
    let reply = (!sent.is_empty()).then(|| node.ingest.append(permit, sent, deadline, presence));
    Outcome { acks: request.acks, topics, reply }
}

/// Takes back what was refused after all; what is left keeps its order.
fn withdraw(
    topics: &mut [TopicOutcome],
    sent: Vec<PartitionAppend>,
    mut refusals: Vec<Option<Refusal>>,
) -> Vec<PartitionAppend> {
    if refusals.is_empty() {
        return sent;
    }
    refusals.resize(sent.len(), None);
    let mut positions = Vec::with_capacity(sent.len());
    let mut left = Vec::with_capacity(sent.len());
    for (batch, refusal) in sent.into_iter().zip(&refusals) {
        positions.push(left.len());
        if refusal.is_none() {
            left.push(batch);
        }
    }
    for (_, slot) in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let Slot::Sent(position) = *slot else { continue };
        *slot = match refusals[position].take() {
            Some(refusal) => Slot::Refused(refusal),
            None => Slot::Sent(positions[position]),
        };
    }
    left
}

/// What is wrong with the request as a whole.
fn refuse_whole(node: &Node, request: &ProduceRequest) -> Option<Refusal> {
    if !(-1..=1).contains(&request.acks) {
        return Some(Refusal::bare(ErrorCode::InvalidRequiredAcks));
    }
    if !node.nodes.serves() {
        return Some(Refusal::bare(ErrorCode::NotLeaderOrFollower));
    }
    None
}

fn find(state: &View, by_id: bool, wanted: &TopicProduceData, index: i32) -> Result<TopicPartition, ErrorCode> {
    let id: Option<TopicId> = if by_id {
        state.topic(topic_id(wanted.topic_id)).map(|topic| topic.id)
    } else {
        state.topic_by_name(&wanted.name).map(|topic| topic.id)
    };
    let absent = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    let found = TopicPartition::new(id.ok_or(absent)?, index);
    state.partition(found).map(|_| found).ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn send(
    context: &RequestContext,
    view: &Known,
    topic: &TopicProduceData,
    partition: PartitionProduceData,
    sent: &mut Vec<PartitionAppend>,
) -> Slot {
    let by_id = context.version >= TOPIC_ID_VERSION_MIN;
    let topic_partition = match find(&view.state, by_id, topic, partition.index) {
        Ok(found) => found,
        Err(error) => return Slot::Refused(Refusal::bare(view.missing(error))),
    };
    let Some(records) = partition.records.filter(|records| !records.is_empty()) else {
        let version = context.version;
        let why = format!("Produce requests with version {version} must have exactly one record batch");
        return Slot::Refused(Refusal::new(ErrorCode::InvalidRecord, why));
    };
    let is_zstd = records.len() >= BATCH_HEADER_BYTES && records[ATTRIBUTES_LOW_BYTE] & CODEC_MASK == ZSTD;
    if is_zstd && context.version < ZSTD_VERSION_MIN {
        let why = format!("Produce requests with version {} must not use zstd", context.version);
        return Slot::Refused(Refusal::new(ErrorCode::UnsupportedCompressionType, why));
    }
    sent.push(PartitionAppend { topic_partition, records, transaction: None });
    Slot::Sent(sent.len() - 1)
}

/// Waits until the batches are durable and makes the response.
pub(crate) async fn finish(context: RequestContext, outcome: Outcome) -> Result<Frames, CloseReason> {
    let results = match outcome.reply {
        Some(reply) => reply.await,
        None => Vec::new(),
    };
    let mut failure: Option<Refusal> = None;
    let mut responses = Vec::with_capacity(outcome.topics.len());
    for topic in outcome.topics {
        let partition_responses = topic
            .partitions
            .into_iter()
            .map(|(index, slot)| match settle(context.version, slot, &results) {
                Ok(appended) => message!(PartitionProduceResponse {
                    index,
                    base_offset: appended.base_offset,
                    log_append_time_ms: appended.log_append_time_ms.unwrap_or(-1),
                    log_start_offset: appended.log_start_offset
                }),
                Err(refusal) => {
                    log_refusal(&topic.name, topic.topic_id, index, &refusal);
                    failure = Some(refusal.clone());
                    message!(PartitionProduceResponse {
                        index,
                        error_code: refusal.code(),
                        base_offset: -1,
                        log_append_time_ms: -1,
                        log_start_offset: -1,
                        error_message: refusal.wire_message()
                    })
                }
            })
            .collect();
        responses.push(message!(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses
        }));
    }
    match (outcome.acks, failure) {
        (0, Some(refusal)) => Err(CloseReason::UnacknowledgedProduce(refusal.to_string())),
        (0, None) => Ok(Frames::default()),
        (_, _) => {
            let response = message!(ProduceResponse { responses });
            context.node.counters.api(ApiName::Produce.code()).answered_with(&response);
            Ok(Frames::one(encode_response(context.correlation_id, context.version, &response)?))
        }
    }
}

fn settle(version: i16, slot: Slot, results: &[Result<Appended, AppendError>]) -> Result<Appended, Refusal> {
    match slot {
        Slot::Refused(refusal) => Err(refusal),
        Slot::Sent(position) => match results.get(position) {
            Some(Ok(appended)) => Ok(*appended),
            Some(Err(error)) => Err(append_error_since(version, error)),
            // A reply has a result for each partition; without one nothing is known of the batch.
            None => Err(append_error_since(version, &AppendError::TimedOutUnknown)),
        },
    }
}

fn log_refusal(name: &str, topic_id: Uuid, partition: i32, refusal: &Refusal) {
    let topic = if topic_id.is_zero() { name.to_owned() } else { crate::context::topic_id(topic_id).to_string() };
    tracing::debug!(topic, partition, %refusal, "a batch was not appended");
}
