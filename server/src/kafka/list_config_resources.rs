//! ListConfigResources (key 74), versions 0 to 1.
//!
//! Version 0 lists client metrics resources alone, of which there are none: they cannot be made here. Version 1 lists
//! the kinds asked for, or topics and this broker when none is named.
//!
//! Missing: groups and broker loggers as resources.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::list_config_resources_response::ConfigResource;
use alluvium_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse, StrBytes};

use crate::config::resource;
use crate::context::RequestContext;

pub(crate) async fn handle(
    context: &RequestContext,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let known = [resource::TOPIC, resource::BROKER, resource::BROKER_LOGGER, resource::CLIENT_METRICS, resource::GROUP];
    let mut kinds = request.resource_types;
    if context.version == 0 {
        kinds = vec![resource::CLIENT_METRICS];
    } else if kinds.is_empty() {
        kinds = known.to_vec();
    }
    if kinds.iter().any(|kind| !known.contains(kind)) {
        return message!(ListConfigResourcesResponse { error_code: ErrorCode::UnsupportedVersion.code() });
    }
    let mut config_resources = Vec::new();
    if kinds.contains(&resource::TOPIC) {
        for topic in context.node.state().topics() {
            config_resources.push(message!(ConfigResource {
                resource_name: StrBytes::from(topic.name.as_str()),
                resource_type: resource::TOPIC
            }));
        }
    }
    if kinds.contains(&resource::BROKER) {
        config_resources.push(message!(ConfigResource {
            resource_name: StrBytes::from(context.node.settings.node_id.to_string()),
            resource_type: resource::BROKER
        }));
    }
    message!(ListConfigResourcesResponse { config_resources })
}
