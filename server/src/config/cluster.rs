//! What is configured for the whole cluster and kept in its log: the brokers' default resource, whose name is empty.
//!
//! - `alluvium.shards`: how many shards the partitions of new topics are spread over. It can only grow.
//!
//! Invariants:
//! 1. Everything else about brokers is given at start and refused here. To take away what was never set changes nothing and
//!    is no error, as in Kafka, whose tools clear throttles by the way.
//! 2. A value is checked before any is committed.

use alluvium_infra::limits::SHARDS_MAX;
use alluvium_log::Operation;
use alluvium_protocol::errors::ErrorCode;

use super::broker::{self, ALL_BROKERS};
use super::{ConfigSource, ConfigType, DescribedConfig, Synonym};
use crate::context::Node;
use crate::errors::{Refusal, admin_error};

/// How many shards the partitions of new topics are spread over.
const SHARDS: &str = "alluvium.shards";
const SHARDS_MEANING: &str = "Shards that the partitions of new topics are spread over; can only grow.";
/// How long a change may take, in milliseconds; the request has no timeout of its own.
const CHANGE_TIMEOUT_MS: i32 = 30_000;

/// What is done with a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change<'a> {
    Set(&'a str),
    Remove,
    /// Add to or take from a list.
    Combine,
}

/// What is configured for all nodes, sorted by name.
pub(crate) fn describe(node: &Node) -> Vec<DescribedConfig> {
    let (source, value) = (ConfigSource::DynamicAllBrokers, Some(node.log.shard_count().to_string()));
    vec![DescribedConfig {
        name: SHARDS,
        value: value.clone(),
        source,
        read_only: false,
        sensitive: false,
        kind: ConfigType::Int,
        documentation: SHARDS_MEANING,
        synonyms: vec![Synonym { name: SHARDS, value, source }],
    }]
}

/// Carries out changes of the resource `name` of the brokers.
pub(crate) async fn alter(
    node: &Node,
    name: &str,
    changes: &[(&str, Change<'_>)],
    validate_only: bool,
) -> Result<(), Refusal> {
    broker::check_name(name, node.settings.node_id)?;
    let mut shards = None;
    for (config, change) in changes {
        match (*config, change) {
            (SHARDS, Change::Set(value)) if name == ALL_BROKERS => {
                shards = Some(check_shards(value, node.log.shard_count())?);
            }
            (SHARDS, Change::Set(_)) => return Err(invalid(format!("{SHARDS} is set for all brokers together"))),
            (SHARDS, _) => return Err(invalid(format!("{SHARDS} can only be set, to a larger number"))),
            (config, Change::Remove) if !broker::is_given_at_start(config) => {}
            _ => {
                let why = "Broker settings are given at start (flags, ALLUVIUM_* variables or the settings file)";
                return Err(Refusal::new(ErrorCode::InvalidRequest, why));
            }
        }
    }
    match shards {
        Some(count) if !validate_only && count != node.log.shard_count() => {
            let operation = Operation::SetShardCount { count };
            let deadline = node.deadline(CHANGE_TIMEOUT_MS);
            node.log.meta().commit(operation, Some(deadline)).await.map_err(|error| admin_error(&error))?;
            tracing::info!(count, "new topics are spread over more shards");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_shards(value: &str, current: u32) -> Result<u32, Refusal> {
    match value.trim().parse() {
        Ok(count) if (current..=SHARDS_MAX.max(current)).contains(&count) => Ok(count),
        Ok(count) if count < current => {
            Err(invalid(format!("{SHARDS} is {current} and can only grow: {count} is not more")))
        }
        _ => Err(invalid(format!("{SHARDS} must be a number from {current} to {SHARDS_MAX}"))),
    }
}

fn invalid(why: String) -> Refusal {
    Refusal::new(ErrorCode::InvalidConfig, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_only_grow() {
        assert_eq!(check_shards("4", 2).ok(), Some(4));
        assert_eq!(check_shards(" 2 ", 2).ok(), Some(2));
        for wrong in ["1", "0", "-1", "many", "", "1000000"] {
            assert_eq!(
                check_shards(wrong, 2).map_err(|refusal| refusal.error()),
                Err(ErrorCode::InvalidConfig),
                "{wrong}"
            );
        }
    }
}
