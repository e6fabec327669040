//! EndTxn (key 26), versions 0 to 5; PRODUCER_FENCED in version 2, an epoch for each transaction in version 5
//! (KIP-890).
//!
//! Answered by the coordinator of the transactional id, which is the node that leads the id's shard. The decision is
//! one entry of the log; the answer waits until the markers are there, or for one second. A repeated request is
//! answered like the first.
//!
//! To commit a transaction that was aborted because it took too long is PRODUCER_FENCED: the abort raised the epoch. Apache
//! Kafka 4.3 says INVALID_TXN_STATE in version 5.
//!
//! Missing: nothing.

use alluvium_coordinator::transaction::EndTransactionalProducer;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::{EndTxnRequest, EndTxnResponse};

use crate::context::RequestContext;
use crate::errors::{FENCED_VERSION_MIN, fenced_since};

/// First version that gives the next epoch with each end.
const EPOCH_VERSION_MIN: i16 = 5;

pub(crate) async fn handle(context: &RequestContext, request: EndTxnRequest) -> EndTxnResponse {
    let refused = |error: ErrorCode| message!(EndTxnResponse { error_code: error.code() });
    if request.transactional_id.is_empty() {
        return refused(ErrorCode::InvalidRequest);
    }
    let raises_epoch = context.version >= EPOCH_VERSION_MIN;
    let end = EndTransactionalProducer {
        transactional_id: request.transactional_id.as_str().to_owned(),
        producer_id: request.producer_id,
        epoch: request.producer_epoch,
        commit: request.committed,
        raises_epoch,
    };
    match context.node.transactions.end(end).await {
        Ok((producer_id, producer_epoch)) if raises_epoch => {
            message!(EndTxnResponse { producer_id, producer_epoch })
        }
        Ok(_) => EndTxnResponse::default(),
        Err(error) => {
            tracing::debug!(id = %request.transactional_id, %error, "a transaction was not ended");
            refused(fenced_since(FENCED_VERSION_MIN, context.version, error))
        }
    }
}
