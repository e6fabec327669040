//! IncrementalAlterConfigs (key 44), versions 0 to 1.
//!
//! Sets and deletes single configurations of a topic, and appends to and subtracts from lists. All changes of a topic
//! are committed together. `validate_only` checks everything and writes nothing. Of the brokers, what is configured for all
//! of them can be set: `alluvium.shards` of the nameless broker.
//!
//! Missing: all other broker configuration, which is given at start (INVALID_REQUEST); broker loggers, client metrics and
//! groups.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_log::Topic;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use alluvium_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use alluvium_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::config::cluster::Change;
use crate::config::{self, ConfigType, change};
use crate::context::RequestContext;
use crate::errors::Refusal;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) async fn handle(
    context: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let node = &context.node;
    let names: Vec<(i8, &str)> =
        request.resources.iter().map(|resource| (resource.resource_type, resource.resource_name.as_str())).collect();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let key = (resource.resource_type, resource.resource_name.as_str());
        let outcome = match change::check_named_once(&names, key) {
            Ok(()) if resource.resource_type == config::resource::BROKER => {
                let changes = changes(resource);
                config::cluster::alter(node, &resource.resource_name, &changes, request.validate_only).await
            }
            Ok(()) => change::alter(node, key, request.validate_only, |topic| changed(topic, resource)).await,
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
    message!(IncrementalAlterConfigsResponse { responses })
}

/// What is to be done with the configurations of the brokers.
fn changes(resource: &AlterConfigsResource) -> Vec<(&str, Change<'_>)> {
    fn change(given: &AlterableConfig) -> Change<'_> {
        match (given.config_operation, &given.value) {
            (DELETE, _) => Change::Remove,
            (SET, Some(value)) => Change::Set(value),
            _ => Change::Combine,
        }
    }
    resource.configs.iter().map(|given| (given.name.as_str(), change(given))).collect()
}

/// What is set afterwards.
fn changed(topic: &Topic, resource: &AlterConfigsResource) -> Result<BTreeMap<String, String>, Refusal> {
    let mut set = topic.configs.clone();
    let mut seen = BTreeSet::new();
    for given in &resource.configs {
        if !seen.insert(given.name.as_str()) {
            return Err(Refusal::new(ErrorCode::InvalidRequest, "Error due to duplicate config keys"));
        }
        change_one(&mut set, given)?;
    }
    Ok(set)
}

fn change_one(set: &mut BTreeMap<String, String>, given: &AlterableConfig) -> Result<(), Refusal> {
    let refuse = |why: String| Refusal::new(ErrorCode::InvalidConfig, why);
    let name = given.name.as_str();
    let row = config::topic::find(name).ok_or_else(|| refuse(format!("Unknown topic config name: {name}")))?;
    let value = match (&given.value, given.config_operation) {
        (_, DELETE) => {
            set.remove(name);
            return Ok(());
        }
        (None, _) => {
            return Err(Refusal::new(ErrorCode::InvalidRequest, format!("Null value not supported for : {name}")));
        }
        (Some(value), SET) => value.as_str().to_owned(),
        (Some(value), APPEND | SUBTRACT) => {
            if row.kind != ConfigType::List {
                let word = if given.config_operation == APPEND { "APPEND" } else { "SUBTRACT" };
                return Err(refuse(format!("Config value {word} is not allowed for config key: {name}")));
            }
            let current = match set.get(name) {
                Some(current) => current.clone(),
                None => row.default.to_owned(),
            };
            combined(&current, value, given.config_operation == APPEND)
        }
        (Some(_), other) => {
            return Err(Refusal::new(ErrorCode::InvalidRequest, format!("Unknown operation type {other}")));
        }
    };
    set.insert(name.to_owned(), config::topic::check(name, &value).map_err(refuse)?);
    Ok(())
}

/// A list with items added or taken away.
fn combined(current: &str, given: &str, append: bool) -> String {
    let given = config::topic::list_items(given);
    let mut items = config::topic::list_items(current);
    if append {
        for item in given {
            if !items.contains(&item) {
                items.push(item);
            }
        }
    } else {
        items.retain(|item| !given.contains(item));
    }
    items.join(",")
}

#[cfg(test)]
mod tests {
    use super::combined;

    #[test]
    fn lists_grow_and_shrink() {
        assert_eq!(combined("delete", "compact", true), "delete,compact");
        assert_eq!(combined("delete", "delete", true), "delete");
        assert_eq!(combined("compact,delete", "delete", false), "compact");
    }
}
