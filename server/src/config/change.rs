//! Changing what is set on a topic, for both APIs that do it.

use std::collections::BTreeMap;

use alluvium_log::{Operation, Topic};
use alluvium_protocol::errors::ErrorCode;

use super::{resource, topic};
use crate::context::Node;
use crate::errors::{Refusal, admin_error};

/// How long a change may take, in milliseconds; the requests have no timeout of their own.
const CHANGE_TIMEOUT_MS: i32 = 30_000;

/// Refuses a resource that a request names more than once.
pub(crate) fn check_named_once(names: &[(i8, &str)], name: (i8, &str)) -> Result<(), Refusal> {
    if names.iter().filter(|other| **other == name).count() > 1 {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."));
    }
    Ok(())
}

/// Commits the difference between what is set on a topic and what `changed` says is set afterwards.
pub(crate) async fn alter(
    node: &Node,
    (kind, name): (i8, &str),
    validate_only: bool,
    changed: impl Fn(&Topic) -> Result<BTreeMap<String, String>, Refusal>,
) -> Result<(), Refusal> {
    match kind {
        resource::TOPIC => {}
        resource::BROKER => {
            super::broker::check_name(name, node.settings.node_id)?;
            let why = "Broker settings are changed one by one with IncrementalAlterConfigs, as far as they can be";
            return Err(Refusal::new(ErrorCode::InvalidRequest, why));
        }
        other => {
            let why = format!("configuration of {} resources is not served", resource::name(other));
            return Err(Refusal::new(ErrorCode::InvalidRequest, why));
        }
    }
    let view = node.view(|state| state.topic_by_name(name).is_some()).await;
    let found = view
        .state
        .topic_by_name(name)
        .ok_or_else(|| Refusal::bare(view.missing(ErrorCode::UnknownTopicOrPartition)))?;
    let wanted = changed(found)?;
    topic::check_together(&wanted).map_err(|why| Refusal::new(ErrorCode::InvalidConfig, why))?;
    let set: Vec<(String, String)> = wanted
        .iter()
        .filter(|(name, value)| found.configs.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let remove: Vec<String> = found.configs.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
    if validate_only || (set.is_empty() && remove.is_empty()) {
        return Ok(());
    }
    let operation = Operation::AlterTopicConfigs { id: found.id, set, remove };
    let deadline = node.deadline(CHANGE_TIMEOUT_MS);
    node.log.meta().commit(operation, Some(deadline)).await.map(|_| ()).map_err(|error| admin_error(&error))
}
