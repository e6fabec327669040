//! Heartbeat (key 12), versions 0 to 4.
//!
//! Missing: nothing of the classic protocol.

use alluvium_coordinator::group::HeartbeatInput;
use alluvium_protocol::message;
use alluvium_protocol::messages::{HeartbeatRequest, HeartbeatResponse, StrBytes};

use crate::context::RequestContext;
use crate::errors::group_code;

pub(crate) async fn handle(context: &RequestContext, request: HeartbeatRequest) -> HeartbeatResponse {
    let input = HeartbeatInput {
        group: request.group_id.as_str().to_owned(),
        generation: request.generation_id,
        member_id: request.member_id.as_str().to_owned(),
        instance_id: request.group_instance_id.map(StrBytes::into_string),
    };
    message!(HeartbeatResponse { error_code: group_code(context.node.groups.heartbeat(&input).await) })
}
