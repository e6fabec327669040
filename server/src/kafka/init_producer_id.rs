//! InitProducerId (key 22), versions 0 to 5.
//!
//! An idempotent producer gets a fresh id with epoch 0, whether or not it names one that it had (as Kafka does without
//! a transactional id: the epoch of an idempotent producer is bumped by the client itself).
//!
//! Missing: transactions. A transactional id is refused with UNSUPPORTED_VERSION, which clients take as final.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::context::{RequestContext, STORE_WAIT_MAX};
use crate::errors::group_commit_error;

pub(crate) async fn handle(context: &RequestContext, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |error: ErrorCode| {
        message!(InitProducerIdResponse { error_code: error.code(), producer_id: -1, producer_epoch: -1 })
    };
    if let Some(transactional_id) = &request.transactional_id {
        if transactional_id.is_empty() {
            return refused(ErrorCode::InvalidRequest);
        }
        tracing::info!(%transactional_id, "a transactional producer was refused: transactions are not served yet");
        return refused(ErrorCode::UnsupportedVersion);
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refused(ErrorCode::InvalidRequest);
    }
    let node = &context.node;
    match node.runtime.timeout(STORE_WAIT_MAX, node.log.allocate_producer_id()).await {
        Ok(Ok(producer_id)) => message!(InitProducerIdResponse { producer_id, producer_epoch: 0 }),
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot allocate a producer id");
            refused(group_commit_error(&error))
        }
        Err(_elapsed) => {
            tracing::warn!("cannot allocate a producer id: the store does not answer");
            refused(ErrorCode::CoordinatorNotAvailable)
        }
    }
}
