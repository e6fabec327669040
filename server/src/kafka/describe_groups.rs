//! DescribeGroups (key 15), versions 0 to 6.
//!
//! A group that does not exist is described as Dead, and since version 6 with GROUP_ID_NOT_FOUND.
//!
//! Missing: authorized operations.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use alluvium_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, StrBytes};
use futures_util::future::join_all;

use crate::context::RequestContext;
use crate::errors::group_error;

/// First version that tells an absent group by an error.
const NOT_FOUND_VERSION_MIN: i16 = 6;

pub(crate) async fn handle(context: &RequestContext, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = join_all(request.groups.into_iter().map(|group| describe(context, group))).await;
    message!(DescribeGroupsResponse { groups })
}

async fn describe(context: &RequestContext, group_id: StrBytes) -> DescribedGroup {
    let described = match context.node.groups.describe(&group_id).await {
        Ok(described) => described,
        Err(error) => return message!(DescribedGroup { group_id, error_code: group_error(error).code() }),
    };
    let Some(group) = described else {
        let mut absent = message!(DescribedGroup { group_id: group_id.clone(), group_state: StrBytes::from("Dead") });
        if context.version >= NOT_FOUND_VERSION_MIN {
            absent.error_code = ErrorCode::GroupIdNotFound.code();
            absent.error_message = Some(StrBytes::from(format!("Group {group_id} not found.")));
        }
        return absent;
    };
    let members = group
        .members
        .into_iter()
        .map(|member| {
            message!(DescribedGroupMember {
                member_id: StrBytes::from(member.member_id),
                group_instance_id: member.instance_id.map(StrBytes::from),
                client_id: StrBytes::from(member.client_id),
                client_host: StrBytes::from(member.client_host),
                member_metadata: member.metadata,
                member_assignment: member.assignment
            })
        })
        .collect();
    message!(DescribedGroup {
        group_id,
        group_state: StrBytes::from(group.state.name()),
        protocol_type: StrBytes::from(group.protocol_type),
        protocol_data: StrBytes::from(group.protocol),
        members
    })
}
