//! FindCoordinator (key 10), versions 0 to 6; several keys at once since version 4.
//!
//! This node coordinates every consumer group.
//!
//! Missing: transactions (UNSUPPORTED_VERSION with a sentence about it) and share groups (INVALID_REQUEST).

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::find_coordinator_response::Coordinator;
use alluvium_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, StrBytes};

use crate::context::RequestContext;
use crate::errors::Refusal;

/// First version with a list of keys.
const BATCH_VERSION_MIN: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) async fn handle(context: &RequestContext, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if context.version >= BATCH_VERSION_MIN {
        let coordinators = request.coordinator_keys.iter().map(|key| find(context, request.key_type, key)).collect();
        return message!(FindCoordinatorResponse { coordinators });
    }
    let found = find(context, request.key_type, &request.key);
    message!(FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port
    })
}

fn find(context: &RequestContext, key_type: i8, key: &StrBytes) -> Coordinator {
    let refusal = match key_type {
        GROUP => {
            return message!(Coordinator {
                key: key.clone(),
                node_id: context.node.settings.node_id,
                host: context.client.endpoint.host.clone(),
                port: context.client.endpoint.port
            });
        }
        TRANSACTION => Refusal::new(ErrorCode::UnsupportedVersion, "transactions are not served yet"),
        other => Refusal::new(ErrorCode::InvalidRequest, format!("coordinator key type {other} is not served")),
    };
    message!(Coordinator {
        key: key.clone(),
        node_id: -1,
        port: -1,
        error_code: refusal.code(),
        error_message: refusal.wire_message()
    })
}
