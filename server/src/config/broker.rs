//! The broker's configuration as DescribeConfigs shows it: this node's settings under Kafka's names, read-only, and what
//! Kafka has no question for: `alluvium.version`, the release, and `alluvium.shards.led`, the shards that the node leads.

use alluvium_protocol::errors::ErrorCode;
use alluvium_record::ShardId;

use super::{ConfigSource, ConfigType, DescribedConfig, Synonym, cluster, topic};
use crate::context::Node;
use crate::errors::Refusal;
use crate::settings::ServerSettings;

/// The resource that stands for all brokers.
pub(crate) const ALL_BROKERS: &str = "";

/// Every broker configuration shown to clients, sorted by name.
pub(crate) fn describe(node: &Node, listeners: &str) -> Vec<DescribedConfig> {
    let mut configs = own_settings(&node.settings, listeners, &node.log.store().describe());
    let members = node.nodes.members();
    let own = |shard: &ShardId| members.leader(*shard).is_some_and(|leader| leader.id.0 == node.settings.node_id);
    let led: Vec<String> =
        (0..node.log.shard_count()).map(ShardId).filter(own).map(|shard| shard.0.to_string()).collect();
    let led = led.join(",");
    configs.push(given("alluvium.shards.led", ConfigType::List, &led, "Shards that this node leads."));
    configs.push(given("alluvium.version", ConfigType::String, env!("CARGO_PKG_VERSION"), "The release of this node."));
    configs.extend(cluster::describe(node));
    for config in topic::TOPIC_CONFIGS {
        let Some(name) = config.broker_name else { continue };
        let value = config.default.to_owned();
        configs.push(describe_one(name, config.kind, value, ConfigSource::Default, config.documentation));
    }
    configs.sort_by(|left, right| left.name.cmp(right.name));
    configs
}

fn own_settings(settings: &ServerSettings, listeners: &str, store: &str) -> Vec<DescribedConfig> {
    let id = settings.node_id.to_string();
    let mut rows = vec![
        given("advertised.listeners", ConfigType::List, listeners, "Addresses told to clients."),
        given("broker.id", ConfigType::Int, &id, "The id of this node."),
        given("listeners", ConfigType::List, listeners, "Addresses this node listens on."),
        given("log.dirs", ConfigType::String, store, "The object store that holds all data."),
        given("node.id", ConfigType::Int, &id, "The id of this node."),
        given("process.roles", ConfigType::List, "broker,controller", "What this node does."),
    ];
    let defaults = ServerSettings::default();
    for ((name, kind, value, documentation), (_, _, default, _)) in
        tunable(settings).into_iter().zip(tunable(&defaults))
    {
        let source = if value == default { ConfigSource::Default } else { ConfigSource::StaticBroker };
        rows.push(describe_one(name, kind, value, source, documentation));
    }
    rows
}

fn given(name: &'static str, kind: ConfigType, value: &str, documentation: &'static str) -> DescribedConfig {
    describe_one(name, kind, value.to_owned(), ConfigSource::StaticBroker, documentation)
}

type Tunable = (&'static str, ConfigType, String, &'static str);

/// The settings that have a default, with their values.
fn tunable(settings: &ServerSettings) -> Vec<Tunable> {
    use ConfigType::{Boolean, Int, Long, Short, String as Text};
    let auto_create = settings.auto_create_topics.to_string();
    let rack = settings.zone.clone().unwrap_or_default();
    let idle = settings.idle_ms_max.to_string();
    let factor = settings.default_replication_factor.to_string();
    let delay = settings.group_initial_rebalance_delay_ms.to_string();
    let session_max = settings.group_session_timeout_ms_max.to_string();
    let session_min = settings.group_session_timeout_ms_min.to_string();
    let partitions = settings.default_partition_count.to_string();
    let metadata = settings.offset_metadata_bytes_max.to_string();
    let group_size = settings.group_members_max.to_string();
    let consumer_interval = settings.group_consumer_heartbeat_interval_ms.to_string();
    let consumer_session = settings.group_consumer_session_timeout_ms.to_string();
    let transaction_timeout = settings.transaction_timeout_ms_max.to_string();
    let id_expiration = settings.transactional_id_expiration_ms.to_string();
    let migration = settings.group_consumer_migration.name().to_owned();
    vec![
        (
            "auto.create.topics.enable",
            Boolean,
            auto_create,
            "Whether a topic is created when its metadata is asked for.",
        ),
        ("broker.rack", Text, rack, "The zone of this node."),
        ("connections.max.idle.ms", Long, idle, "How long a connection may be silent."),
        ("default.replication.factor", Short, factor, "Replication factor of topics created without one."),
        ("fetch.max.bytes", Int, settings.fetch_bytes_max.to_string(), "The largest Fetch answer."),
        (
            "group.consumer.heartbeat.interval.ms",
            Int,
            consumer_interval,
            "How often members of the consumer protocol send heartbeats.",
        ),
        (
            "group.consumer.migration.policy",
            Text,
            migration,
            "Which groups may change their protocol while they have members.",
        ),
        (
            "group.consumer.session.timeout.ms",
            Int,
            consumer_session,
            "Silence after which a member of the consumer protocol is taken for dead.",
        ),
        ("group.initial.rebalance.delay.ms", Int, delay, "How long a new group waits for more members."),
        ("group.max.session.timeout.ms", Int, session_max, "The longest session timeout of a group member."),
        ("group.max.size", Int, group_size, "The largest number of members of a group."),
        ("group.min.session.timeout.ms", Int, session_min, "The shortest session timeout of a group member."),
        ("max.connections", Int, settings.connections_max.to_string(), "Connections served at once."),
        ("num.partitions", Int, partitions, "Partitions of topics created without a count."),
        ("offset.metadata.max.bytes", Int, metadata, "The largest metadata text of a committed offset."),
        ("socket.request.max.bytes", Int, settings.request_bytes_max.to_string(), "The largest request."),
        ("transaction.max.timeout.ms", Int, transaction_timeout, "The longest transaction timeout of a producer."),
        (
            "transactional.id.expiration.ms",
            Int,
            id_expiration,
            "How long a transactional id without a transaction is kept.",
        ),
    ]
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

/// Whether a configuration is one of those that a node has from its start.
pub(crate) fn is_given_at_start(name: &str) -> bool {
    let of_topics = || topic::TOPIC_CONFIGS.iter().any(|config| config.broker_name == Some(name));
    own_settings(&ServerSettings::default(), "", "").iter().any(|config| config.name == name) || of_topics()
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
