//! The transactional batches of a Produce request: whose they are, and whether their transaction takes them.
//!
//! Invariants:
//! 1. A transactional batch reaches ingest with the tag that its transaction gave, or not at all; any other batch without one.
//! 2. Nothing else of the connection is read meanwhile, so that batches keep the order in which they came.

use std::future::Future;
use std::pin::pin;

use alluvium_coordinator::transaction::{AdmitBatches, TransactionError};
use alluvium_infra::runtime::Instant;
use alluvium_ingest::{PartitionAppend, ProducerPresence};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::messages::ProduceRequest;
use alluvium_record::{BATCH_HEADER_BYTES, BatchHeader, TopicPartition};
use bytes::Bytes;
use futures_util::FutureExt;

use super::ATTRIBUTES_LOW_BYTE;
use crate::context::{Node, RequestContext};
use crate::errors::{PRODUCE_ADDS_VERSION_MIN, Refusal, admission_error};

/// The flag of transactional batches in the low byte of the attributes.
const TRANSACTIONAL: u8 = 0x10;

/// The producer of the transactional batches of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Producer {
    id: i64,
    epoch: i16,
}

/// The producer of the transactional batches, if there are any. Without a transactional id nobody may send such; an id without
/// such batches means nothing (both as in Kafka).
pub(super) fn producer_of(request: &ProduceRequest) -> Result<Option<Producer>, Refusal> {
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let mut producers = partitions.filter_map(|partition| partition.records.as_ref()).filter_map(transactional);
    let Some(producer) = producers.next() else { return Ok(None) };
    if request.transactional_id.is_none() {
        let why = "transactional batches need a transactional id";
        return Err(Refusal::new(ErrorCode::TransactionalIdAuthorizationFailed, why));
    }
    if producers.any(|other| other != producer) {
        let why = "transactional batches of one request have more than one producer";
        return Err(Refusal::new(ErrorCode::InvalidProducerIdMapping, why));
    }
    Ok(Some(producer))
}

/// The producer of a transactional batch. What is not a batch is refused by ingest.
fn transactional(records: &Bytes) -> Option<Producer> {
    if records.len() < BATCH_HEADER_BYTES || records[ATTRIBUTES_LOW_BYTE] & TRANSACTIONAL == 0 {
        return None;
    }
    let header = BatchHeader::decode(records).ok()?;
    Some(Producer { id: header.producer_id, epoch: header.producer_epoch })
}

/// Gives each transactional batch its tag, or a refusal at its position.
pub(super) async fn admit(
    context: &RequestContext,
    transactional_id: &str,
    producer: Producer,
    sent: &mut [PartitionAppend],
    deadline: Instant,
    presence: &ProducerPresence,
) -> Vec<Option<Refusal>> {
    let mut batches: Vec<(usize, &mut PartitionAppend)> =
        sent.iter_mut().enumerate().filter(|(_, batch)| transactional(&batch.records).is_some()).collect();
    let partitions: Vec<TopicPartition> = batches.iter().map(|(_, batch)| batch.topic_partition).collect();
    let node = &context.node;
    let admitting = node.transactions.admit(AdmitBatches {
        transactional_id,
        producer_id: producer.id,
        epoch: producer.epoch,
        partitions: &partitions,
        implicit: context.version >= PRODUCE_ADDS_VERSION_MIN,
    });
    let admitted = before(node, deadline, presence, admitting).await;
    let mut results = admitted.unwrap_or_default().into_iter();
    let mut refusals = Vec::new();
    for (position, batch) in &mut batches {
        // Nothing was written without a tag.
        match results.next().unwrap_or(Err(TransactionError::CoordinatorNotAvailable)) {
            Ok(tag) => batch.transaction = Some(tag),
            Err(error) => {
                refusals.resize(*position + 1, None);
                refusals[*position] = Some(admission_error(context.version, error));
            }
        }
    }
    refusals
}

/// Waits, at most until `deadline`. Batches that the client sent before do not wait for those that it cannot send meanwhile.
async fn before<T>(
    node: &Node,
    deadline: Instant,
    presence: &ProducerPresence,
    admitting: impl Future<Output = T>,
) -> Option<T> {
    let mut admitting = pin!(admitting);
    if let Some(admitted) = admitting.as_mut().now_or_never() {
        return Some(admitted);
    }
    presence.blocked();
    let admitted = node.runtime.timeout_at(deadline, admitting).await;
    presence.reading();
    admitted.ok()
}
