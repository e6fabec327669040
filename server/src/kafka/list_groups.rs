//! ListGroups (key 16), versions 0 to 5; filters by state (version 4 and later) and by type (version 5).
//!
//! Each node lists the groups that it coordinates: clients ask all of them.
//!
//! Missing: nothing.

use alluvium_coordinator::group::GroupFilter;
use alluvium_protocol::message;
use alluvium_protocol::messages::list_groups_response::ListedGroup;
use alluvium_protocol::messages::{ListGroupsRequest, ListGroupsResponse, StrBytes};

use crate::context::RequestContext;
use crate::errors::group_error;

pub(crate) async fn handle(context: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let texts = |names: Vec<StrBytes>| names.into_iter().map(StrBytes::into_string).collect();
    let filter = GroupFilter { states: texts(request.states_filter), types: texts(request.types_filter) };
    let listed = match context.node.groups.list(&filter).await {
        Ok(listed) => listed,
        Err(error) => return message!(ListGroupsResponse { error_code: group_error(error).code() }),
    };
    let groups = listed
        .into_iter()
        .map(|group| {
            message!(ListedGroup {
                group_id: StrBytes::from(group.group),
                protocol_type: StrBytes::from(group.protocol_type),
                group_state: StrBytes::from(group.state),
                group_type: StrBytes::from(group.group_type)
            })
        })
        .collect();
    message!(ListGroupsResponse { groups })
}
