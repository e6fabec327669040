//! The settings of the Kafka front door: plain data with units in the names, checked once at start.

use std::time::Duration;

use alluvium_infra::limits;
use serde::{Deserialize, Serialize};

/// One address that Kafka clients connect to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// Name; clients that come in by it are told the addresses of other nodes' listeners of the same name.
    #[serde(default = "default_listener_name")]
    pub name: String,
    /// Whether clients that come in by it are told to produce to nodes of this node's zone.
    #[serde(default)]
    pub zonal: bool,
    /// Address to listen on, `host:port`. Port 0 takes any free port.
    pub bind: String,
    /// Address told to clients, `host:port`. Absent: the address that the client connected to.
    #[serde(default)]
    pub advertised: Option<String>,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self { name: default_listener_name(), zonal: false, bind: "127.0.0.1:9092".to_owned(), advertised: None }
    }
}

/// What Kafka calls a listener without TLS and SASL.
fn default_listener_name() -> String {
    "PLAINTEXT".to_owned()
}

/// Which groups may change their protocol while they have members, as `group.consumer.migration.policy`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupMigration {
    /// None.
    Disabled,
    /// Classic groups may become consumer groups.
    Upgrade,
    /// Consumer groups may become classic ones.
    Downgrade,
    /// Both.
    #[default]
    Bidirectional,
}

impl GroupMigration {
    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            GroupMigration::Disabled => "disabled",
            GroupMigration::Upgrade => "upgrade",
            GroupMigration::Downgrade => "downgrade",
            GroupMigration::Bidirectional => "bidirectional",
        }
    }
}

/// Settings of the front door.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Where clients connect.
    pub listeners: Vec<ListenerSettings>,
    /// The id of this node in Metadata answers.
    pub node_id: i32,
    /// The zone of this node, shown to clients as its rack.
    pub zone: Option<String>,
    /// Whether Metadata and auto-creating clients may create topics.
    pub auto_create_topics: bool,
    /// Partitions of a topic created without a count.
    pub default_partition_count: i32,
    /// Replication factor of a topic created without one. Reported as asked; the object store replicates.
    pub default_replication_factor: i16,
    /// The largest partition count of one topic.
    pub partitions_per_topic_max: i32,
    /// The largest request frame, as `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// Bytes of request frames other than Produce that may be in memory at once.
    pub request_memory_bytes_max: usize,
    /// The largest Fetch answer, as `fetch.max.bytes`.
    pub fetch_bytes_max: i32,
    /// Connections served at once.
    pub connections_max: usize,
    /// Requests of one connection that may wait for their answer before the socket is read on.
    pub requests_in_flight_max: usize,
    /// How long a connection may be silent, in milliseconds.
    pub idle_ms_max: u64,
    /// How long the bytes of one request may take to arrive, and of one answer to leave, in milliseconds.
    pub transfer_stall_ms_max: u64,
    /// How long open requests are waited for at shutdown, in milliseconds.
    pub drain_ms_max: u64,
    /// The largest metadata text of one committed offset, in bytes.
    pub offset_metadata_bytes_max: usize,
    /// The shortest session timeout a group member may ask for, in milliseconds.
    pub group_session_timeout_ms_min: i32,
    /// The longest session timeout a group member may ask for, in milliseconds.
    pub group_session_timeout_ms_max: i32,
    /// How long a new group waits for more members before its first rebalance, in milliseconds.
    pub group_initial_rebalance_delay_ms: i32,
    /// The largest number of members of one group.
    pub group_members_max: usize,
    /// Silence after which a member of the consumer protocol is taken for dead, in milliseconds.
    pub group_consumer_session_timeout_ms: i32,
    /// How often members of the consumer protocol send heartbeats, in milliseconds.
    pub group_consumer_heartbeat_interval_ms: i32,
    /// Which groups may change their protocol while they have members.
    pub group_consumer_migration: GroupMigration,
    /// How long unused committed offsets are kept, in milliseconds.
    pub offsets_retention_ms: u64,
    /// The longest transaction timeout that a producer may ask for, in milliseconds, as `transaction.max.timeout.ms`.
    pub transaction_timeout_ms_max: u64,
    /// How long a transactional id without a transaction is kept, in milliseconds, as `transactional.id.expiration.ms`.
    pub transactional_id_expiration_ms: u64,
    /// Fetch sessions kept at once.
    pub fetch_sessions_max: usize,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listeners: vec![ListenerSettings::default()],
            node_id: 1,
            zone: None,
            auto_create_topics: true,
            default_partition_count: 1,
            default_replication_factor: 1,
            partitions_per_topic_max: limits::PARTITIONS_PER_TOPIC_MAX as i32,
            request_bytes_max: limits::FRAME_BYTES_MAX,
            request_memory_bytes_max: 64 * 1024 * 1024,
            fetch_bytes_max: limits::FETCH_BYTES_MAX as i32,
            connections_max: limits::CONNECTIONS_MAX,
            requests_in_flight_max: limits::REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX,
            idle_ms_max: limits::CONNECTION_IDLE_MS_MAX,
            transfer_stall_ms_max: 60_000,
            drain_ms_max: 10_000,
            offset_metadata_bytes_max: limits::OFFSET_METADATA_BYTES_MAX,
            group_session_timeout_ms_min: limits::GROUP_SESSION_TIMEOUT_MS_MIN,
            group_session_timeout_ms_max: limits::GROUP_SESSION_TIMEOUT_MS_MAX,
            group_initial_rebalance_delay_ms: 100,
            group_members_max: 2_000,
            group_consumer_session_timeout_ms: 45_000,
            group_consumer_heartbeat_interval_ms: 5_000,
            group_consumer_migration: GroupMigration::Bidirectional,
            offsets_retention_ms: limits::OFFSETS_RETENTION_MS as u64,
            transaction_timeout_ms_max: limits::TRANSACTION_TIMEOUT_MS_MAX,
            transactional_id_expiration_ms: limits::TRANSACTIONAL_ID_EXPIRATION_MS,
            fetch_sessions_max: limits::FETCH_SESSIONS_MAX,
        }
    }
}

/// A setting that cannot be served.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct InvalidSetting {
    /// Name of the setting.
    pub setting: &'static str,
    /// What is wrong and what to give instead.
    pub reason: String,
}

impl ServerSettings {
    /// Checks what types alone do not.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let refuse = |setting, reason: &str| Err(InvalidSetting { setting, reason: reason.to_owned() });
        if self.listeners.is_empty() {
            return refuse("listeners", "give at least one address, such as 127.0.0.1:9092");
        }
        let mut names = std::collections::BTreeSet::new();
        for listener in &self.listeners {
            if !names.insert(&listener.name) {
                return refuse("listeners.name", &format!("'{}' is given twice", listener.name));
            }
            if let Some(advertised) = &listener.advertised
                && split_host_port(advertised).is_none()
            {
                return refuse("listeners.advertised", &format!("'{advertised}' is not host:port"));
            }
        }
        if self.node_id < 0 {
            return refuse("node_id", "must not be negative");
        }
        if self.default_partition_count < 1 || self.default_partition_count > self.partitions_per_topic_max {
            return refuse("default_partition_count", "must be from 1 to partitions_per_topic_max");
        }
        if self.default_replication_factor < 1 {
            return refuse("default_replication_factor", "must be at least 1");
        }
        if self.request_bytes_max < 1024 || self.request_bytes_max > i32::MAX as usize {
            return refuse("request_bytes_max", "must be from 1 KiB to 2 GiB");
        }
        if self.request_memory_bytes_max < 1024 * 1024 {
            return refuse("request_memory_bytes_max", "must be at least 1 MiB");
        }
        if self.connections_max == 0 || self.requests_in_flight_max == 0 {
            return refuse("connections_max", "connections_max and requests_in_flight_max must be at least 1");
        }
        if self.group_session_timeout_ms_min > self.group_session_timeout_ms_max {
            return refuse("group_session_timeout_ms_min", "must not be above group_session_timeout_ms_max");
        }
        if self.group_consumer_heartbeat_interval_ms < 1
            || self.group_consumer_heartbeat_interval_ms >= self.group_consumer_session_timeout_ms
        {
            let reason = "must be at least 1 ms, and less than group_consumer_session_timeout_ms";
            return refuse("group_consumer_heartbeat_interval_ms", reason);
        }
        if self.transaction_timeout_ms_max == 0 || self.transaction_timeout_ms_max > i32::MAX as u64 {
            return refuse("transaction_timeout_ms_max", "must be from 1 ms to 24 days");
        }
        if self.transactional_id_expiration_ms <= self.transaction_timeout_ms_max {
            return refuse("transactional_id_expiration_ms", "must be longer than transaction_timeout_ms_max");
        }
        Ok(())
    }

    /// How long a connection may be silent.
    pub(crate) fn idle_max(&self) -> Duration {
        Duration::from_millis(self.idle_ms_max)
    }

    /// How long one frame may take on the wire without progress.
    pub(crate) fn transfer_stall_max(&self) -> Duration {
        Duration::from_millis(self.transfer_stall_ms_max)
    }
}

/// Splits `host:port`, with IPv6 hosts in brackets.
pub(crate) fn split_host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return None;
    }
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(ServerSettings::default().validate(), Ok(()));
    }

    #[test]
    fn addresses_are_split() {
        assert_eq!(split_host_port("a.example:9092"), Some(("a.example".to_owned(), 9092)));
        assert_eq!(split_host_port("[::1]:1"), Some(("::1".to_owned(), 1)));
        assert_eq!(split_host_port("9092"), None);
        assert_eq!(split_host_port(":9092"), None);
    }
}
