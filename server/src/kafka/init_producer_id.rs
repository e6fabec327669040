//! InitProducerId (key 22), versions 0 to 5; producer id and epoch of the asking producer in version 3 (KIP-360),
//! PRODUCER_FENCED in version 4.
//!
//! An idempotent producer gets a fresh id with epoch 0, whether or not it names one that it had (as Kafka does without
//! a transactional id: the epoch of an idempotent producer is bumped by the client itself).
//!
//! A transactional producer is answered by the coordinator of its transactional id. It gets the next epoch, which
//! fences whoever had the id before; a transaction that is open is aborted first, and until it is the answer is
//! CONCURRENT_TRANSACTIONS. Its timeout is at most `transaction_timeout_max` (INVALID_TRANSACTION_TIMEOUT).
//!
//! Missing: two-phase commit (KIP-939, in version 6, which is not stable in Kafka 4.2).

use alluvium_coordinator::transaction::InitTransactionalProducer;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::context::{RequestContext, STORE_WAIT_MAX};
use crate::errors::{INIT_FENCED_VERSION_MIN, fenced_since, group_commit_error};

pub(crate) async fn handle(context: &RequestContext, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refused(ErrorCode::InvalidRequest);
    }
    let initialized = match &request.transactional_id {
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        Some(id) => init_transactional(context, id, &request).await,
        None => allocate(context).await.map(|producer_id| (producer_id, 0)),
    };
    match initialized {
        Ok((producer_id, producer_epoch)) => message!(InitProducerIdResponse { producer_id, producer_epoch }),
        Err(error) => refused(error),
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    message!(InitProducerIdResponse { error_code: error.code(), producer_id: -1, producer_epoch: -1 })
}

async fn init_transactional(
    context: &RequestContext,
    transactional_id: &str,
    request: &InitProducerIdRequest,
) -> Result<(i64, i16), ErrorCode> {
    let init = InitTransactionalProducer {
        transactional_id: transactional_id.to_owned(),
        timeout_ms: request.transaction_timeout_ms,
        producer: (request.producer_id != -1).then_some((request.producer_id, request.producer_epoch)),
    };
    context.node.transactions.init(init).await.map_err(|error| {
        tracing::debug!(id = transactional_id, %error, "a transactional producer was not initialized");
        fenced_since(INIT_FENCED_VERSION_MIN, context.version, error)
    })
}

async fn allocate(context: &RequestContext) -> Result<i64, ErrorCode> {
    let node = &context.node;
    match node.runtime.timeout(STORE_WAIT_MAX, node.log.allocate_producer_id()).await {
        Ok(Ok(producer_id)) => Ok(producer_id),
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot allocate a producer id");
            Err(group_commit_error(&error))
        }
        Err(_elapsed) => {
            tracing::warn!("cannot allocate a producer id: the store does not answer");
            Err(ErrorCode::CoordinatorNotAvailable)
        }
    }
}
