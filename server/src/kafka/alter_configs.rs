//! AlterConfigs (key 33), versions 0 to 2.
//!
//! Replaces all that is set on a topic with what is given. `validate_only` checks everything and writes nothing.
//! Deprecated by Kafka in favour of IncrementalAlterConfigs, which old clients do not have.
//!
//! Missing: broker configuration, which is given at start (INVALID_REQUEST).

use std::collections::BTreeMap;

use alluvium_log::Topic;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::alter_configs_request::AlterConfigsResource;
use alluvium_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use alluvium_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::config::{self, change};
use crate::context::RequestContext;
use crate::errors::Refusal;

pub(crate) async fn handle(context: &RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let names: Vec<(i8, &str)> =
        request.resources.iter().map(|resource| (resource.resource_type, resource.resource_name.as_str())).collect();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let key = (resource.resource_type, resource.resource_name.as_str());
        let outcome = match change::check_named_once(&names, key) {
            Ok(()) => change::alter(&context.node, key, request.validate_only, |topic| replaced(topic, resource)).await,
            Err(refusal) => Err(refusal),
        };
        let (error_code, error_message) = match outcome {
            Ok(()) => (ErrorCode::None.code(), None),
            Err(refusal) => (refusal.code(), refusal.wire_message()),
        };
        responses.push(message!(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone()
        }));
    }
    message!(AlterConfigsResponse { responses })
}

/// What is set afterwards.
fn replaced(_topic: &Topic, resource: &AlterConfigsResource) -> Result<BTreeMap<String, String>, Refusal> {
    let refuse = |why: String| Refusal::new(ErrorCode::InvalidConfig, why);
    let mut set = BTreeMap::new();
    for given in &resource.configs {
        let name = given.name.as_str();
        let Some(value) = &given.value else {
            return Err(Refusal::new(ErrorCode::InvalidRequest, format!("Null value not supported for : {name}")));
        };
        set.insert(name.to_owned(), config::topic::check(name, value).map_err(refuse)?);
    }
    Ok(set)
}
