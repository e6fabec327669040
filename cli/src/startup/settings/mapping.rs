//! From the settings that people write to those of each room.

use std::time::Duration;

use alluvium_cluster::ClusterSettings;
use alluvium_compactor::{CompactorSettings, MERGE_IDLE_AGES};
use alluvium_infra::Runtime;
use alluvium_infra::limits;
use alluvium_infra::settings;
use alluvium_infra::store::{StoreCredentials, StoreOptions};
use alluvium_infra::telemetry::TelemetryOptions;
use alluvium_ingest::IngestSettings;
use alluvium_log::LogOptions;
use alluvium_log::commit::CommitRules;
use alluvium_log::format::node::NodeListener;
use alluvium_reader::ReaderSettings;
use alluvium_record::NodeId;
use alluvium_server::{ListenerSettings, ServerSettings};

use super::{Automatic, NodeSettings};

/// Flushes on a store whose PUT takes tens of milliseconds.
const FLUSH_INTERVAL_REMOTE: Duration = Duration::from_millis(50);
/// Flushes on a store of this machine.
const FLUSH_INTERVAL_LOCAL: Duration = Duration::from_millis(limits::FLUSH_INTERVAL_MS_MIN);

/// What `peer_listen` says for a process that stands alone.
pub(crate) const ALONE: &str = "none";

impl NodeSettings {
    /// Whether the store is on this machine.
    pub(crate) fn store_is_local(&self) -> bool {
        self.store.starts_with("file://") || self.store.starts_with("memory://")
    }

    /// The pace of flushes in effect.
    pub(crate) fn flush_interval_chosen(&self) -> Duration {
        let chosen = self.flush_interval.unwrap_or_else(|| {
            settings::Duration::from(if self.store_is_local() { FLUSH_INTERVAL_LOCAL } else { FLUSH_INTERVAL_REMOTE })
        });
        chosen.get()
    }

    /// Threads that run tasks.
    pub(crate) fn worker_threads_chosen(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from) as u32;
        self.worker_threads.unwrap_or_else(processors) as usize
    }

    pub(crate) fn telemetry_options(&self) -> TelemetryOptions {
        TelemetryOptions { format: self.log_format, filter: self.log_filter.clone() }
    }

    pub(crate) fn store_options(&self) -> StoreOptions {
        let credentials =
            self.access_key_id.clone().zip(self.secret_access_key.clone()).map(|(access_key_id, secret_access_key)| {
                StoreCredentials { access_key_id, secret_access_key, session_token: self.session_token.clone() }
            });
        StoreOptions {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            allow_http: self.allow_http,
            credentials,
            connect_timeout: self.store_connect_timeout.get(),
            request_timeout: self.store_request_timeout.get(),
            retries_max: self.store_retries,
            sync: self.store_sync,
            ..StoreOptions::default()
        }
    }

    pub(crate) fn log_options(&self) -> LogOptions {
        let mut commit = CommitRules::default();
        commit.slot.hedge_after = self.hedge_after.get();
        commit.entry_data_bytes_max = self.inline_bytes.get();
        commit.probe_interval = self.probe_interval.get();
        LogOptions {
            node: format!("node-{}", self.node_id_chosen()),
            probe: self.store_probe,
            shard_count: self.shards,
            tail_bytes_max: self.tail_cache_bytes.get(),
            commit,
            ..LogOptions::default()
        }
    }

    pub(crate) fn ingest_settings(&self) -> IngestSettings {
        IngestSettings {
            bytes_in_flight_max: self.bytes_in_flight.as_usize(),
            flush_bytes_max: self.flush_bytes.as_usize(),
            inline_bytes_max: self.inline_bytes.as_usize(),
            flush_interval: self.flush_interval_chosen(),
            linger: self.linger.get(),
            segment_uploads_max: self.segment_uploads,
        }
    }

    pub(crate) fn reader_settings(&self) -> ReaderSettings {
        ReaderSettings {
            block_cache_bytes_max: self.block_cache_bytes.get(),
            replay_cache_bytes_max: self.replay_cache_bytes.get(),
            replay_distance_bytes: self.replay_distance.get(),
            read_ahead_blocks: self.read_ahead_blocks,
            reads_in_flight_max: self.reads_in_flight,
        }
    }

    pub(crate) fn compactor_settings(&self) -> CompactorSettings {
        CompactorSettings {
            merge_bytes_min: self.merge_bytes.get(),
            merge_age: self.merge_age.get(),
            merge_idle_age: self.merge_age.get().saturating_mul(MERGE_IDLE_AGES),
            file_bytes_max: self.parquet_bytes.get(),
            key_memory_bytes: self.key_memory_bytes.as_usize(),
            retention_interval: self.retention_interval.get(),
            garbage_grace: self.garbage_grace.get(),
            ..CompactorSettings::default()
        }
    }

    /// The front door's settings, checked.
    pub(crate) fn server_settings(&self) -> Result<ServerSettings, String> {
        let advertised = self.advertise.iter().cloned().map(Some);
        let advertised = advertised.chain(std::iter::repeat(None));
        let listeners = self.listen.iter().enumerate().zip(advertised);
        let settings = ServerSettings {
            listeners: listeners
                .map(|((index, listen), advertised)| {
                    let (name, bind) = named_listener(index, listen);
                    let zonal = self.zonal_listeners.contains(&name);
                    ListenerSettings { name, zonal, bind, advertised }
                })
                .collect(),
            node_id: self.node_id_chosen(),
            zone: self.zone.clone(),
            auto_create_topics: self.auto_create_topics,
            default_partition_count: self.default_partitions,
            default_replication_factor: self.default_replication_factor,
            partitions_per_topic_max: self.partitions_per_topic,
            request_bytes_max: self.request_bytes.as_usize(),
            request_memory_bytes_max: self.request_memory_bytes.as_usize(),
            fetch_bytes_max: i32_of("fetch_bytes", self.fetch_bytes.get())?,
            connections_max: self.connections,
            requests_in_flight_max: self.requests_in_flight,
            idle_ms_max: millis(self.idle_timeout),
            transfer_stall_ms_max: millis(self.stall_timeout),
            drain_ms_max: millis(self.drain_timeout),
            offset_metadata_bytes_max: self.offset_metadata_bytes.as_usize(),
            group_session_timeout_ms_min: i32_of("group_session_timeout_min", millis(self.group_session_timeout_min))?,
            group_session_timeout_ms_max: i32_of("group_session_timeout_max", millis(self.group_session_timeout_max))?,
            group_initial_rebalance_delay_ms: i32_of(
                "group_initial_rebalance_delay",
                millis(self.group_initial_rebalance_delay),
            )?,
            group_members_max: self.group_members,
            group_consumer_session_timeout_ms: i32_of(
                "group_consumer_session_timeout",
                millis(self.group_consumer_session_timeout),
            )?,
            group_consumer_heartbeat_interval_ms: i32_of(
                "group_consumer_heartbeat_interval",
                millis(self.group_consumer_heartbeat_interval),
            )?,
            group_consumer_migration: self.group_consumer_migration,
            offsets_retention_ms: millis(self.offsets_retention),
            transaction_timeout_ms_max: millis(self.transaction_timeout_max),
            transactional_id_expiration_ms: millis(self.transactional_id_expiration),
            fetch_sessions_max: self.fetch_sessions,
        };
        settings.validate().map_err(|error| error.to_string())?;
        if let Some(unknown) =
            self.zonal_listeners.iter().find(|name| settings.listeners.iter().all(|listener| listener.name != **name))
        {
            return Err(format!("zonal_listeners: there is no listener called {unknown}"));
        }
        if self.shards == 0 {
            return Err("shards: at least 1".to_owned());
        }
        Ok(settings)
    }

    /// How this node takes part in the cluster; nothing when it stands alone.
    pub(crate) fn cluster_settings(&self, listeners: Vec<NodeListener>) -> Option<ClusterSettings> {
        if self.peer_listen == ALONE {
            return None;
        }
        Some(ClusterSettings {
            zone: self.zone.clone(),
            listeners,
            peer_listen: self.peer_listen.clone(),
            peer_advertised: self.peer_advertise.clone(),
            ..ClusterSettings::new(NodeId(self.node_id_chosen()))
        })
    }

    /// Replaces `auto` by an id that hardly any other node has.
    pub(crate) fn choose_node_id(&mut self, runtime: &Runtime) {
        if self.node_id == Automatic::Auto {
            // Large enough not to meet ids that people give.
            let id = 1_000 + runtime.random_below(1_000_000_000);
            self.node_id = Automatic::Given(i32::try_from(id).unwrap_or(i32::MAX));
        }
    }

    /// The id of this node.
    pub(crate) fn node_id_chosen(&self) -> i32 {
        self.node_id.unwrap_or_else(|| 1)
    }
}

/// The name and the address of `NAME://host:port`; without a name, the first listener is PLAINTEXT and others are numbered.
fn named_listener(index: usize, listen: &str) -> (String, String) {
    match listen.split_once("://") {
        Some((name, bind)) => (name.to_owned(), bind.to_owned()),
        None if index == 0 => ("PLAINTEXT".to_owned(), listen.to_owned()),
        None => (format!("PLAINTEXT_{}", index + 1), listen.to_owned()),
    }
}

fn millis(duration: settings::Duration) -> u64 {
    u64::try_from(duration.get().as_millis()).unwrap_or(u64::MAX)
}

fn i32_of(name: &str, value: u64) -> Result<i32, String> {
    i32::try_from(value).map_err(|_| format!("{name} is too large"))
}
