//! DescribeCluster (key 60), versions 0 to 2.
//!
//! This node is the cluster's only broker and its controller. Fenced brokers do not exist here.
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
    message!(DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: StrBytes::from(node.log.cluster_id()),
        controller_id: node.settings.node_id,
        brokers: vec![message!(DescribeClusterBroker {
            broker_id: node.settings.node_id,
            host: context.client.endpoint.host.clone(),
            port: context.client.endpoint.port,
            rack: node.rack()
        })]
    })
}
