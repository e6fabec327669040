//! ListGroups (key 16), versions 0 to 5; filters by state (version 4 and later) and by type (version 5).
//!
//! Missing: groups of other protocols than the classic one.

use alluvium_coordinator::group::{GROUP_TYPE, GroupFilter};
use alluvium_protocol::message;
use alluvium_protocol::messages::list_groups_response::ListedGroup;
use alluvium_protocol::messages::{ListGroupsRequest, ListGroupsResponse, StrBytes};

use crate::context::RequestContext;

pub(crate) async fn handle(context: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let texts = |names: Vec<StrBytes>| names.into_iter().map(StrBytes::into_string).collect();
    let filter = GroupFilter { states: texts(request.states_filter), types: texts(request.types_filter) };
    let groups = context
        .node
        .groups
        .list(&filter)
        .into_iter()
        .map(|group| {
            message!(ListedGroup {
                group_id: StrBytes::from(group.group),
                protocol_type: StrBytes::from(group.protocol_type),
                group_state: StrBytes::from(group.state.name()),
                group_type: StrBytes::from(GROUP_TYPE)
            })
        })
        .collect();
    message!(ListGroupsResponse { groups })
}
