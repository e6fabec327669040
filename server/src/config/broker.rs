//! The broker's configuration as DescribeConfigs shows it: this node's settings under Kafka's names, read-only.

use alluvium_protocol::errors::ErrorCode;

use super::{ConfigSource, ConfigType, DescribedConfig, Synonym, topic};
use crate::errors::Refusal;
use crate::settings::ServerSettings;

/// Every broker configuration shown to clients, sorted by name.
pub(crate) fn describe(settings: &ServerSettings, listeners: &str, store: &str) -> Vec<DescribedConfig> {
    let mut configs = own_settings(settings, listeners, store);
    for config in topic::TOPIC_CONFIGS {
        let Some(name) = config.broker_name else { continue };
        let value = config.default.to_owned();
        configs.push(describe_one(name, config.kind, value, ConfigSource::Default, config.documentation));
    }
    configs.sort_by(|left, right| left.name.cmp(right.name));
    configs
}

fn own_settings(settings: &ServerSettings, listeners: &str, store: &str) -> Vec<DescribedConfig> {
    use ConfigType::{Boolean, Int, List, Short, String as Text};
    let defaults = ServerSettings::default();
    let compared = |same: bool| if same { ConfigSource::Default } else { ConfigSource::StaticBroker };
    let given = ConfigSource::StaticBroker;
    let rows: Vec<(&'static str, ConfigType, String, ConfigSource, &'static str)> = vec![
        ("advertised.listeners", List, listeners.to_owned(), given, "Addresses told to clients."),
        (
            "auto.create.topics.enable",
            Boolean,
            settings.auto_create_topics.to_string(),
            compared(settings.auto_create_topics == defaults.auto_create_topics),
            "Whether a topic is created when a client asks for its metadata.",
        ),
        ("broker.id", Int, settings.node_id.to_string(), given, "The id of this node."),
        (
            "broker.rack",
            Text,
            settings.rack.clone().unwrap_or_default(),
            compared(settings.rack.is_none()),
            "The zone of this node.",
        ),
        (
            "connections.max.idle.ms",
            ConfigType::Long,
            settings.idle_ms_max.to_string(),
            compared(settings.idle_ms_max == defaults.idle_ms_max),
            "How long a connection may be silent.",
        ),
        (
            "default.replication.factor",
            Short,
            settings.default_replication_factor.to_string(),
            compared(settings.default_replication_factor == defaults.default_replication_factor),
            "Replication factor of topics created without one. The object store replicates.",
        ),
        (
            "fetch.max.bytes",
            Int,
            settings.fetch_bytes_max.to_string(),
            compared(settings.fetch_bytes_max == defaults.fetch_bytes_max),
            "The largest Fetch answer.",
        ),
        (
            "group.initial.rebalance.delay.ms",
            Int,
            settings.group_initial_rebalance_delay_ms.to_string(),
            compared(settings.group_initial_rebalance_delay_ms == defaults.group_initial_rebalance_delay_ms),
            "How long a new group waits for more members.",
        ),
        (
            "group.max.session.timeout.ms",
            Int,
            settings.group_session_timeout_ms_max.to_string(),
            compared(settings.group_session_timeout_ms_max == defaults.group_session_timeout_ms_max),
            "The longest session timeout of a group member.",
        ),
        (
            "group.min.session.timeout.ms",
            Int,
            settings.group_session_timeout_ms_min.to_string(),
            compared(settings.group_session_timeout_ms_min == defaults.group_session_timeout_ms_min),
            "The shortest session timeout of a group member.",
        ),
        ("listeners", List, listeners.to_owned(), given, "Addresses this node listens on."),
        ("log.dirs", Text, store.to_owned(), given, "The object store that holds all data."),
        (
            "max.connections",
            Int,
            settings.connections_max.to_string(),
            compared(settings.connections_max == defaults.connections_max),
            "Connections served at once.",
        ),
        ("node.id", Int, settings.node_id.to_string(), given, "The id of this node."),
        (
            "num.partitions",
            Int,
            settings.default_partition_count.to_string(),
            compared(settings.default_partition_count == defaults.default_partition_count),
            "Partitions of topics created without a count.",
        ),
        (
            "offset.metadata.max.bytes",
            Int,
            settings.offset_metadata_bytes_max.to_string(),
            compared(settings.offset_metadata_bytes_max == defaults.offset_metadata_bytes_max),
            "The largest metadata text of a committed offset.",
        ),
        ("process.roles", List, "broker,controller".to_owned(), given, "What this node does."),
        (
            "socket.request.max.bytes",
            Int,
            settings.request_bytes_max.to_string(),
            compared(settings.request_bytes_max == defaults.request_bytes_max),
            "The largest request.",
        ),
    ];
    rows.into_iter()
        .map(|(name, kind, value, source, documentation)| describe_one(name, kind, value, source, documentation))
        .collect()
}

fn describe_one(
    name: &'static str,
    kind: ConfigType,
    value: String,
    source: ConfigSource,
    documentation: &'static str,
) -> DescribedConfig {
    let synonyms = vec![Synonym { name, value: Some(value.clone()), source }];
    DescribedConfig {
        name,
        value: Some(value),
        source,
        read_only: true,
        sensitive: false,
        kind,
        documentation,
        synonyms,
    }
}

/// Whether a resource name means this node. The empty name stands for all nodes.
pub(crate) fn check_name(name: &str, node_id: i32) -> Result<(), Refusal> {
    if name.is_empty() || name.parse() == Ok(node_id) {
        return Ok(());
    }
    let why = match name.parse::<i32>() {
        Ok(_) => format!("Unexpected broker id, expected {node_id} or empty string, but received {name}"),
        Err(_) => format!("Broker id must be an integer, but it is: {name}"),
    };
    Err(Refusal::new(ErrorCode::InvalidRequest, why))
}
