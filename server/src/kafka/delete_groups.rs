//! DeleteGroups (key 42), versions 0 to 3.
//!
//! Deletes groups without members, with their committed offsets.
//!
//! Missing: nothing.

use alluvium_protocol::message;
use alluvium_protocol::messages::delete_groups_response::DeletableGroupResult;
use alluvium_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use futures_util::future::join_all;

use crate::context::RequestContext;
use crate::errors::group_code;

pub(crate) async fn handle(context: &RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = join_all(request.groups_names.into_iter().map(|group_id| async move {
        let error_code = group_code(context.node.groups.delete(&group_id).await);
        message!(DeletableGroupResult { group_id, error_code })
    }))
    .await;
    message!(DeleteGroupsResponse { results })
}
