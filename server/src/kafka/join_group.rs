//! JoinGroup (key 11), versions 0 to 9.
//!
//! Classic consumer groups: eager and cooperative protocols, static members (version 5 and later), member ids given
//! before the first join (version 4 and later), assignment skipped for a returning static leader (version 9).
//! Answered when the rebalance is complete.
//!
//! Members of the classic protocol may join groups of the consumer protocol too.
//!
//! Missing: nothing of the classic protocol.

use alluvium_coordinator::Ticket;
use alluvium_coordinator::group::JoinInput;
use alluvium_protocol::message;
use alluvium_protocol::messages::join_group_response::JoinGroupResponseMember;
use alluvium_protocol::messages::{JoinGroupRequest, JoinGroupResponse, StrBytes};

use crate::context::RequestContext;
use crate::errors::group_error;

/// First version in which a new member is told its id before it joins.
const MEMBER_ID_REQUIRED_VERSION_MIN: i16 = 4;
/// First version in which the answer may lack a protocol name.
const NULLABLE_PROTOCOL_VERSION_MIN: i16 = 7;
/// First version in which a leader can be told to keep the assignment.
const SKIP_ASSIGNMENT_VERSION_MIN: i16 = 9;

pub(crate) async fn handle(context: &RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let version = context.version;
    let input = JoinInput {
        ticket: Ticket(0),
        group: request.group_id.as_str().to_owned(),
        member_id: request.member_id.as_str().to_owned(),
        instance_id: request.group_instance_id.map(StrBytes::into_string),
        client_id: context.client_id.as_ref().map(|client_id| client_id.as_str().to_owned()).unwrap_or_default(),
        client_host: format!("/{}", context.client.peer.ip()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.as_str().to_owned(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.as_str().to_owned(), protocol.metadata))
            .collect(),
        member_id_required: version >= MEMBER_ID_REQUIRED_VERSION_MIN,
        skip_assignment_supported: version >= SKIP_ASSIGNMENT_VERSION_MIN,
        fresh_id: context.node.runtime.random_uuid(),
    };
    match context.node.groups.join(input).await {
        Ok(joined) => message!(JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: Some(StrBytes::from(joined.protocol_type)),
            protocol_name: Some(StrBytes::from(joined.protocol)),
            leader: StrBytes::from(joined.leader),
            skip_assignment: joined.skip_assignment,
            member_id: StrBytes::from(joined.member_id),
            members: joined
                .members
                .into_iter()
                .map(|member| {
                    message!(JoinGroupResponseMember {
                        member_id: StrBytes::from(member.member_id),
                        group_instance_id: member.instance_id.map(StrBytes::from),
                        metadata: member.metadata
                    })
                })
                .collect()
        }),
        Err(refused) => message!(JoinGroupResponse {
            error_code: group_error(refused.error).code(),
            generation_id: -1,
            protocol_name: (version < NULLABLE_PROTOCOL_VERSION_MIN).then(StrBytes::default),
            member_id: StrBytes::from(refused.member_id)
        }),
    }
}
