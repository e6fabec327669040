//! The settings of a node: one flat list of names, the same in the file, the environment and the flags.
//!
//! `flush_interval` is `flush_interval = "5ms"` in the TOML file, `ALLUVIUM_FLUSH_INTERVAL` in the environment and
//! `--flush-interval` or `--set flush_interval=5ms` on the command line. What each name means stands in [`NAMED`], from
//! which the reference page is made; a test keeps both lists equal.

use alluvium_infra::limits;
use alluvium_infra::settings::{ByteSize, Duration, Settings};
use alluvium_infra::store::StorePrices;
use alluvium_infra::telemetry::LogFormat;
use alluvium_server::GroupMigration;
use serde::{Deserialize, Serialize};

mod automatic;
mod mapping;
mod named;

pub(crate) use automatic::Automatic;
pub(crate) use mapping::ALONE;
pub(crate) use named::NAMED;

/// Everything that can be set about a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeSettings {
    pub(crate) listen: Vec<String>,
    pub(crate) advertise: Vec<String>,
    pub(crate) zonal_listeners: Vec<String>,
    pub(crate) node_id: Automatic<i32>,
    pub(crate) zone: Option<String>,
    pub(crate) peer_listen: String,
    pub(crate) peer_advertise: Option<String>,
    pub(crate) worker_threads: Automatic<u32>,

    pub(crate) store: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) allow_http: bool,
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_access_key: Option<String>,
    pub(crate) session_token: Option<String>,
    pub(crate) store_connect_timeout: Duration,
    pub(crate) store_request_timeout: Duration,
    pub(crate) store_retries: usize,
    pub(crate) store_sync: bool,
    pub(crate) store_probe: bool,
    pub(crate) shards: u32,
    pub(crate) probe_interval: Duration,

    pub(crate) flush_interval: Automatic<Duration>,
    pub(crate) linger: Duration,
    pub(crate) flush_bytes: ByteSize,
    pub(crate) inline_bytes: ByteSize,
    pub(crate) bytes_in_flight: ByteSize,
    pub(crate) segment_uploads: usize,
    pub(crate) hedge_after: Duration,

    pub(crate) tail_cache_bytes: ByteSize,
    pub(crate) block_cache_bytes: ByteSize,
    pub(crate) replay_cache_bytes: ByteSize,
    pub(crate) replay_distance: ByteSize,
    pub(crate) read_ahead_blocks: u64,
    pub(crate) reads_in_flight: usize,

    pub(crate) compaction: bool,
    pub(crate) merge_bytes: ByteSize,
    pub(crate) merge_age: Duration,
    pub(crate) parquet_bytes: ByteSize,
    pub(crate) key_memory_bytes: ByteSize,
    pub(crate) retention_interval: Duration,
    pub(crate) garbage_grace: Duration,

    pub(crate) auto_create_topics: bool,
    pub(crate) default_partitions: i32,
    pub(crate) default_replication_factor: i16,
    pub(crate) partitions_per_topic: i32,

    pub(crate) request_bytes: ByteSize,
    pub(crate) request_memory_bytes: ByteSize,
    pub(crate) fetch_bytes: ByteSize,
    pub(crate) connections: usize,
    pub(crate) requests_in_flight: usize,
    pub(crate) fetch_sessions: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) drain_timeout: Duration,

    pub(crate) group_session_timeout_min: Duration,
    pub(crate) group_session_timeout_max: Duration,
    pub(crate) group_initial_rebalance_delay: Duration,
    pub(crate) group_members: usize,
    pub(crate) group_consumer_session_timeout: Duration,
    pub(crate) group_consumer_heartbeat_interval: Duration,
    pub(crate) group_consumer_migration: GroupMigration,
    pub(crate) offsets_retention: Duration,
    pub(crate) transaction_timeout_max: Duration,
    pub(crate) transactional_id_expiration: Duration,
    pub(crate) offset_metadata_bytes: ByteSize,

    pub(crate) rest_listen: Option<String>,
    pub(crate) rest_bytes: ByteSize,
    pub(crate) rest_connections: usize,

    pub(crate) http_listen: Option<String>,
    pub(crate) metrics_group_series: usize,
    pub(crate) metrics_topics: usize,
    pub(crate) store_prices: StorePrices,

    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: String,
}

impl Default for NodeSettings {
    fn default() -> NodeSettings {
        NodeSettings {
            listen: vec!["127.0.0.1:9092".to_owned()],
            advertise: Vec::new(),
            zonal_listeners: Vec::new(),
            node_id: Automatic::Given(1),
            zone: None,
            peer_listen: "127.0.0.1:0".to_owned(),
            peer_advertise: None,
            worker_threads: Automatic::Auto,
            store: String::new(),
            endpoint: None,
            region: None,
            allow_http: false,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            store_connect_timeout: Duration::from_secs(2),
            store_request_timeout: Duration::from_secs(10),
            store_retries: 4,
            store_sync: false,
            store_probe: true,
            shards: 1,
            probe_interval: Duration::from_secs(1),
            flush_interval: Automatic::Auto,
            linger: Duration::from_millis(limits::FLUSH_INTERVAL_MS_MIN),
            flush_bytes: bytes(limits::FLUSH_BYTES_MAX),
            inline_bytes: bytes(limits::INLINE_BYTES_MAX),
            bytes_in_flight: bytes(limits::BYTES_IN_FLIGHT_MAX),
            segment_uploads: limits::SEGMENT_UPLOADS_MAX,
            hedge_after: Duration::from_millis(600),
            tail_cache_bytes: bytes(limits::TAIL_CACHE_BYTES_MAX),
            block_cache_bytes: bytes(limits::BLOCK_CACHE_BYTES_MAX),
            replay_cache_bytes: bytes(limits::REPLAY_CACHE_BYTES_MAX),
            replay_distance: bytes(limits::TAIL_CACHE_BYTES_MAX),
            read_ahead_blocks: 8,
            reads_in_flight: limits::READS_IN_FLIGHT_MAX,
            compaction: true,
            merge_bytes: bytes(limits::MERGE_BYTES_MIN),
            merge_age: Duration::from_secs(10 * 60),
            parquet_bytes: bytes(limits::TABLE_BYTES_TARGET),
            key_memory_bytes: bytes(limits::KEY_MEMORY_BYTES_MAX),
            retention_interval: Duration::from_secs(5 * 60),
            garbage_grace: Duration::from_millis(limits::GARBAGE_GRACE_MS_MIN),
            auto_create_topics: true,
            default_partitions: 1,
            default_replication_factor: 1,
            partitions_per_topic: limits::PARTITIONS_PER_TOPIC_MAX as i32,
            request_bytes: bytes(limits::FRAME_BYTES_MAX),
            request_memory_bytes: ByteSize::from_mib(64),
            fetch_bytes: bytes(limits::FETCH_BYTES_MAX),
            connections: limits::CONNECTIONS_MAX,
            requests_in_flight: limits::REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX,
            fetch_sessions: limits::FETCH_SESSIONS_MAX,
            idle_timeout: Duration::from_millis(limits::CONNECTION_IDLE_MS_MAX),
            stall_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            group_session_timeout_min: Duration::from_secs(6),
            group_session_timeout_max: Duration::from_secs(30 * 60),
            group_initial_rebalance_delay: Duration::from_millis(100),
            group_members: 2_000,
            group_consumer_session_timeout: Duration::from_secs(45),
            group_consumer_heartbeat_interval: Duration::from_secs(5),
            group_consumer_migration: GroupMigration::Bidirectional,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            transaction_timeout_max: Duration::from_millis(limits::TRANSACTION_TIMEOUT_MS_MAX),
            transactional_id_expiration: Duration::from_millis(limits::TRANSACTIONAL_ID_EXPIRATION_MS),
            offset_metadata_bytes: bytes(limits::OFFSET_METADATA_BYTES_MAX),
            rest_listen: None,
            rest_bytes: ByteSize::from_mib(16),
            rest_connections: 1_024,
            http_listen: None,
            metrics_group_series: 10_000,
            metrics_topics: 100,
            store_prices: StorePrices::default(),
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
        }
    }
}

impl Settings for NodeSettings {
    const SECRETS: &'static [&'static str] = &["secret_access_key", "session_token"];

    fn validate(&self) -> Result<(), String> {
        if self.advertise.len() > self.listen.len() {
            return Err("advertise has more addresses than listen: give one for each".to_owned());
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err("access_key_id and secret_access_key go together: set both or neither".to_owned());
        }
        if self.inline_bytes > self.flush_bytes {
            return Err("inline_bytes must not be above flush_bytes".to_owned());
        }
        if self.rest_bytes < ByteSize::from_bytes(1024) || self.rest_bytes > self.bytes_in_flight {
            return Err("rest_bytes must be from 1KiB to bytes_in_flight".to_owned());
        }
        if self.bytes_in_flight < self.flush_bytes {
            return Err("bytes_in_flight must not be below flush_bytes".to_owned());
        }
        for (name, count) in [
            ("segment_uploads", self.segment_uploads),
            ("reads_in_flight", self.reads_in_flight),
            ("fetch_sessions", self.fetch_sessions),
            ("rest_connections", self.rest_connections),
        ] {
            if count == 0 {
                return Err(format!("{name} must be at least 1"));
            }
        }
        if self.merge_bytes > self.parquet_bytes {
            return Err("merge_bytes must not be above parquet_bytes".to_owned());
        }
        if self.retention_interval.get().is_zero() {
            return Err("retention_interval must be above 0".to_owned());
        }
        if self.worker_threads == Automatic::Given(0) {
            return Err("worker_threads must be at least 1, or \"auto\"".to_owned());
        }
        if self.drain_timeout.get() > std::time::Duration::from_millis(limits::DRAIN_MS_MAX) {
            return Err(format!("drain_timeout must not be above {} s", limits::DRAIN_MS_MAX / 1_000));
        }
        self.server_settings().map(drop)
    }
}

const fn bytes(count: usize) -> ByteSize {
    ByteSize::from_bytes(count as u64)
}

#[cfg(test)]
mod tests;
