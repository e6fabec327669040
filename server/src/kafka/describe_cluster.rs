//! DescribeCluster (key 60), versions 0 to 2.
//!
//! All live nodes, and the one with the lowest id as the controller. Fenced brokers do not exist here.
//!
//! Missing: the controller endpoint type (there is no separate controller to describe: UNSUPPORTED_ENDPOINT_TYPE);
//! authorized operations.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use alluvium_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse, StrBytes};

use crate::context::RequestContext;

/// The endpoint type of brokers.
const BROKERS: i8 = 1;

pub(crate) async fn handle(context: &RequestContext, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let node = &context.node;
    if request.endpoint_type != BROKERS {
        return message!(DescribeClusterResponse {
            error_code: ErrorCode::UnsupportedEndpointType.code(),
            error_message: Some(StrBytes::from("Only brokers can be described: there are no separate controllers")),
            endpoint_type: request.endpoint_type
        });
    }
    let roster = context.roster();
    let brokers = roster.brokers.iter().map(|broker| {
        message!(DescribeClusterBroker {
            broker_id: broker.id.0,
            host: broker.endpoint.host.clone(),
            port: broker.endpoint.port,
            rack: broker.rack.clone()
        })
    });
    message!(DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: StrBytes::from(node.log.cluster_id()),
        controller_id: roster.controller_id(),
        brokers: brokers.collect()
    })
}
