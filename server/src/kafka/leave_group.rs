//! LeaveGroup (key 13), versions 0 to 5; several members at once since version 3.
//!
//! Missing: nothing of the classic protocol.

use alluvium_coordinator::group::{LeaveInput, LeavingMember};
use alluvium_protocol::message;
use alluvium_protocol::messages::leave_group_response::MemberResponse;
use alluvium_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::context::RequestContext;
use crate::errors::{group_code, group_error};

/// First version that names several members.
const BATCH_VERSION_MIN: i16 = 3;

pub(crate) async fn handle(context: &RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let group = request.group_id.as_str().to_owned();
    if context.version < BATCH_VERSION_MIN {
        let member = LeavingMember { member_id: request.member_id.as_str().to_owned(), instance_id: None };
        let results = context.node.groups.leave(&LeaveInput { group, members: vec![member] }).await;
        let result = results.and_then(|results| results.into_iter().next().unwrap_or(Ok(())));
        return message!(LeaveGroupResponse { error_code: group_code(result) });
    }
    let members = request
        .members
        .iter()
        .map(|member| LeavingMember {
            member_id: member.member_id.as_str().to_owned(),
            instance_id: member.group_instance_id.as_ref().map(|instance_id| instance_id.as_str().to_owned()),
        })
        .collect();
    let results = match context.node.groups.leave(&LeaveInput { group, members }).await {
        Ok(results) => results,
        Err(error) => return message!(LeaveGroupResponse { error_code: group_error(error).code() }),
    };
    let members = request
        .members
        .into_iter()
        .zip(results)
        .map(|(member, result)| {
            message!(MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: group_code(result)
            })
        })
        .collect();
    message!(LeaveGroupResponse { members })
}
