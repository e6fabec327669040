//! DescribeTransactions (key 65), version 0.
//!
//! What the coordinator of a transactional id knows of it: state, producer id and epoch, timeout, since when a
//! transaction is open and on which partitions. An id that is not there is TRANSACTIONAL_ID_NOT_FOUND. Topics that were
//! deleted meanwhile are left out.
//!
//! Missing: groups whose offsets the transaction commits. Kafka shows them as partitions of `__consumer_offsets`, which
//! is no topic here.

use std::collections::BTreeMap;

use alluvium_coordinator::transaction::status_name;
use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use alluvium_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse, StrBytes};
use futures_util::future::join_all;

use crate::context::RequestContext;
use crate::errors::transaction_error;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let states = join_all(request.transactional_ids.into_iter().map(|id| describe(context, id))).await;
    message!(DescribeTransactionsResponse { transaction_states: states })
}

async fn describe(context: &RequestContext, transactional_id: StrBytes) -> TransactionState {
    let refused = |error: ErrorCode, transactional_id: StrBytes| {
        message!(TransactionState { error_code: error.code(), transactional_id })
    };
    if transactional_id.is_empty() {
        return refused(ErrorCode::InvalidRequest, transactional_id);
    }
    let node = &context.node;
    let described = match node.transactions.describe(&transactional_id).await {
        Ok(described) => described,
        Err(error) => return refused(transaction_error(error), transactional_id),
    };
    let known = |view: &View| described.partitions.iter().all(|partition| view.topic(partition.topic).is_some());
    let view = node.view(known).await;
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &described.partitions {
        if let Some(topic) = view.state.topic(partition.topic) {
            topics.entry(&topic.name).or_default().push(partition.partition);
        }
    }
    let topics =
        topics.into_iter().map(|(name, partitions)| message!(TopicData { topic: StrBytes::from(name), partitions }));
    message!(TransactionState {
        transactional_id,
        transaction_state: StrBytes::from(status_name(described.status)),
        transaction_timeout_ms: described.timeout_ms,
        transaction_start_time_ms: described.started_ms.unwrap_or(-1),
        producer_id: described.producer_id,
        producer_epoch: described.epoch,
        topics: topics.collect()
    })
}
