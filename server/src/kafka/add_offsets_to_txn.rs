//! AddOffsetsToTxn (key 25), versions 0 to 4; PRODUCER_FENCED in version 2.
//!
//! Makes a group part of the transaction, so that offsets can be committed with it. Answered by the coordinator of the
//! transactional id. Clients that speak KIP-890 do without: TxnOffsetCommit adds the group.
//!
//! Missing: nothing.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use crate::context::RequestContext;
use crate::errors::{FENCED_VERSION_MIN, fenced_since};

pub(crate) async fn handle(context: &RequestContext, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let AddOffsetsToTxnRequest { transactional_id, producer_id, producer_epoch, group_id, .. } = request;
    let error = if transactional_id.is_empty() {
        ErrorCode::InvalidRequest
    } else if group_id.is_empty() {
        ErrorCode::InvalidGroupId
    } else {
        let added =
            context.node.transactions.add_group(&transactional_id, producer_id, producer_epoch, &group_id).await;
        added.map_or_else(|error| fenced_since(FENCED_VERSION_MIN, context.version, error), |()| ErrorCode::None)
    };
    message!(AddOffsetsToTxnResponse { error_code: error.code() })
}
