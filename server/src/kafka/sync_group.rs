//! SyncGroup (key 14), versions 0 to 5.
//!
//! The leader brings the assignment; everybody is answered when it is durable.
//!
//! Missing: nothing of the classic protocol.

use alluvium_coordinator::Ticket;
use alluvium_coordinator::group::SyncInput;
use alluvium_protocol::message;
use alluvium_protocol::messages::{StrBytes, SyncGroupRequest, SyncGroupResponse};

use crate::context::RequestContext;
use crate::errors::group_error;

pub(crate) async fn handle(context: &RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    let input = SyncInput {
        ticket: Ticket(0),
        group: request.group_id.as_str().to_owned(),
        generation: request.generation_id,
        member_id: request.member_id.as_str().to_owned(),
        instance_id: request.group_instance_id.map(StrBytes::into_string),
        protocol_type: request.protocol_type.map(StrBytes::into_string),
        protocol: request.protocol_name.map(StrBytes::into_string),
        assignments: request
            .assignments
            .into_iter()
            .map(|assignment| (assignment.member_id.as_str().to_owned(), assignment.assignment))
            .collect(),
    };
    match context.node.groups.sync(input).await {
        Ok(synced) => message!(SyncGroupResponse {
            protocol_type: Some(StrBytes::from(synced.protocol_type)),
            protocol_name: Some(StrBytes::from(synced.protocol)),
            assignment: synced.assignment
        }),
        Err(error) => message!(SyncGroupResponse { error_code: group_error(error).code() }),
    }
}
