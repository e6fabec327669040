//! ListTransactions (key 66), versions 0 to 2; filters by state and producer id, by duration (version 1), by a regular
//! expression of the whole transactional id (version 2, KIP-1152).
//!
//! Each node lists the transactional ids of the shards that it leads: clients ask all of them. Names of states that
//! Kafka does not have are told back; a broken expression is INVALID_REGULAR_EXPRESSION.
//!
//! Missing: nothing.

use alluvium_coordinator::transaction::{TransactionFilter, TransactionIdPattern, status_by_name, status_name};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::list_transactions_response::TransactionState;
use alluvium_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, StrBytes};

use crate::context::RequestContext;
use crate::errors::transaction_error;

/// States of Kafka's in which no id is here.
const NEVER: [&str; 2] = ["Dead", "PrepareEpochFence"];

pub(crate) async fn handle(context: &RequestContext, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let refused = |error: ErrorCode| message!(ListTransactionsResponse { error_code: error.code() });
    let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
    let pattern = match pattern.map(|pattern| TransactionIdPattern::parse(&pattern)).transpose() {
        Ok(pattern) => pattern,
        Err(error) => {
            tracing::debug!(%error, "transactions were not listed");
            return refused(ErrorCode::InvalidRegularExpression);
        }
    };
    let is_unknown = |name: &&StrBytes| status_by_name(name).is_none() && !NEVER.contains(&name.as_str());
    let unknown_state_filters: Vec<StrBytes> = request.state_filters.iter().filter(is_unknown).cloned().collect();
    let statuses: Vec<_> = request.state_filters.iter().filter_map(|name| status_by_name(name)).collect();
    if statuses.is_empty() && !request.state_filters.is_empty() {
        return message!(ListTransactionsResponse { unknown_state_filters });
    }
    let filter = TransactionFilter {
        statuses,
        producer_ids: request.producer_id_filters,
        open_for_ms: (request.duration_filter >= 0).then_some(request.duration_filter),
        pattern,
    };
    let listed = match context.node.transactions.list(&filter).await {
        Ok(listed) => listed,
        Err(error) => return refused(transaction_error(error)),
    };
    let states = listed.into_iter().map(|listed| {
        message!(TransactionState {
            transactional_id: StrBytes::from(listed.transactional_id),
            producer_id: listed.producer_id,
            transaction_state: StrBytes::from(status_name(listed.status))
        })
    });
    message!(ListTransactionsResponse { unknown_state_filters, transaction_states: states.collect() })
}
