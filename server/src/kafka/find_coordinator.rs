//! FindCoordinator (key 10), versions 0 to 6; several keys at once since version 4.
//!
//! The coordinator of a group or of a transactional id is the node that is advised for the shard of the id.
//!
//! Missing: share groups (INVALID_REQUEST).

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
        GROUP | TRANSACTION => {
            let roster = context.roster();
            let leader = roster.leader(context.node.log.group_shard(key));
            match leader.and_then(|leader| roster.broker(leader)) {
                Some(broker) => {
                    return message!(Coordinator {
                        key: key.clone(),
                        node_id: broker.id.0,
                        host: broker.endpoint.host.clone(),
                        port: broker.endpoint.port
                    });
                }
                None => Refusal::new(ErrorCode::CoordinatorNotAvailable, "no node is up for the shard of this id"),
            }
        }
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
