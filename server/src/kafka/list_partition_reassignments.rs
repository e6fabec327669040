//! ListPartitionReassignments (key 46), version 0.
//!
//! Records are in the object store and never move between nodes, so no reassignment is ever under way: the list is empty,
//! and truly so.
//!
//! Missing: nothing.

use alluvium_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::context::RequestContext;

pub(crate) async fn handle(
    _context: &RequestContext,
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
