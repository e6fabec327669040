//! AddPartitionsToTxn (key 24), versions 0 to 5; PRODUCER_FENCED in version 2, several ids at once and `verify_only` in
//! version 4, TRANSACTION_ABORTABLE in version 5.
//!
//! Makes partitions part of a transaction, all or none: when one does not exist, it is UNKNOWN_TOPIC_OR_PARTITION and
//! the others are OPERATION_NOT_ATTEMPTED. Answered by the coordinator of the transactional id. Clients that speak
//! KIP-890 do without: Produce adds the partitions. Versions 4 and 5 are what brokers of Kafka send each other; nodes
//! of Alluvium do not.
//!
//! Missing: nothing.

use alluvium_coordinator::transaction::TransactionError;
use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use alluvium_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use alluvium_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use alluvium_record::TopicPartition;
use futures_util::future::join_all;

use crate::context::RequestContext;
use crate::errors::{FENCED_VERSION_MIN, fenced_since};
use crate::topics;

/// First version with several transactional ids.
const BATCH_VERSION_MIN: i16 = 4;
/// First version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_VERSION_MIN: i16 = 5;

pub(crate) async fn handle(context: &RequestContext, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if context.version >= BATCH_VERSION_MIN {
        let results = join_all(request.transactions.into_iter().map(|transaction| add(context, transaction))).await;
        return message!(AddPartitionsToTxnResponse { results_by_transaction: results });
    }
    let transaction = message!(AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        topics: request.v3_and_below_topics
    });
    let result = add(context, transaction).await;
    message!(AddPartitionsToTxnResponse { results_by_topic_v3_and_below: result.topic_results })
}

async fn add(context: &RequestContext, transaction: AddPartitionsToTxnTransaction) -> AddPartitionsToTxnResult {
    let node = &context.node;
    let wanted = || {
        transaction.topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.as_str(), *index)))
    };
    let known = |view: &View| wanted().all(|(name, index)| topics::find_partition(view, name, index).is_some());
    let view = node.view(known).await;
    let found: Vec<Option<TopicPartition>> =
        wanted().map(|(name, index)| topics::find_partition(&view.state, name, index)).collect();
    let codes = match found.iter().copied().collect::<Option<Vec<TopicPartition>>>() {
        _ if transaction.transactional_id.is_empty() => vec![ErrorCode::InvalidRequest; found.len()],
        Some(partitions) => add_known(context, &transaction, &partitions).await,
        None => {
            let absent = view.missing(ErrorCode::UnknownTopicOrPartition);
            found.iter().map(|found| if found.is_some() { ErrorCode::OperationNotAttempted } else { absent }).collect()
        }
    };
    answer(transaction, codes)
}

/// One code for each partition.
async fn add_known(
    context: &RequestContext,
    transaction: &AddPartitionsToTxnTransaction,
    partitions: &[TopicPartition],
) -> Vec<ErrorCode> {
    let AddPartitionsToTxnTransaction { transactional_id, producer_id, producer_epoch, verify_only, .. } = transaction;
    let transactions = &context.node.transactions;
    let refused = |error: TransactionError| {
        tracing::debug!(id = %transactional_id, %error, "partitions were not added to a transaction");
        vec![fenced_since(FENCED_VERSION_MIN, context.version, error); partitions.len()]
    };
    if !verify_only {
        let added = transactions.add_partitions(transactional_id, *producer_id, *producer_epoch, partitions).await;
        return added.map_or_else(refused, |()| vec![ErrorCode::None; partitions.len()]);
    }
    let absent = if context.version < ABORTABLE_VERSION_MIN {
        ErrorCode::InvalidTxnState
    } else {
        ErrorCode::TransactionAbortable
    };
    let verified = transactions.verify_partitions(transactional_id, *producer_id, *producer_epoch, partitions).await;
    verified.map_or_else(refused, |there| {
        there.into_iter().map(|there| if there { ErrorCode::None } else { absent }).collect()
    })
}

fn answer(transaction: AddPartitionsToTxnTransaction, codes: Vec<ErrorCode>) -> AddPartitionsToTxnResult {
    let mut codes = codes.into_iter();
    let topic_result = |topic: AddPartitionsToTxnTopic| {
        let results = topic.partitions.iter().zip(&mut codes).map(|(partition_index, code)| {
            message!(AddPartitionsToTxnPartitionResult {
                partition_index: *partition_index,
                partition_error_code: code.code()
            })
        });
        let results_by_partition = results.collect();
        message!(AddPartitionsToTxnTopicResult { name: topic.name, results_by_partition })
    };
    let topic_results = transaction.topics.into_iter().map(topic_result).collect();
    message!(AddPartitionsToTxnResult { transactional_id: transaction.transactional_id, topic_results })
}
