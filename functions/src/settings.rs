//! The settings of a function: those of a node that mean something here, under the same names.
//!
//! They come from the environment (`ALLUVIUM_STORE`, `ALLUVIUM_FLUSH_BYTES`, …). A name that is none is refused at start.
//! Credentials of S3 come from the function's role, as Lambda puts them into the environment, unless they are set here.

use alluvium_compactor::{CompactorSettings, MERGE_IDLE_AGES};
use alluvium_infra::limits;
use alluvium_infra::settings::{ByteSize, Duration, Settings};
use alluvium_infra::store::{StoreCredentials, StoreOptions};
use alluvium_infra::telemetry::LogFormat;
use alluvium_ingest::IngestSettings;
use alluvium_log::LogOptions;
use alluvium_reader::ReaderSettings;
use alluvium_server::ServerSettings;
use alluvium_server::rest::{RestSettings, Role};
use serde::{Deserialize, Serialize};

/// Lambda takes and gives at most 6 MB, and what is binary is a third longer there.
const LAMBDA_BYTES_MAX: usize = 6_000_000;

/// Everything that can be set about a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/reference/settings.md and docs/guides/functions.md say what each name means")]
pub struct FunctionSettings {
    pub store: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub allow_http: bool,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
    pub store_connect_timeout: Duration,
    pub store_request_timeout: Duration,
    pub store_retries: usize,
    pub store_sync: bool,
    pub store_probe: bool,
    pub shards: u32,
    pub probe_interval: Duration,

    pub flush_bytes: ByteSize,
    pub inline_bytes: ByteSize,
    pub bytes_in_flight: ByteSize,
    pub segment_uploads: usize,
    pub hedge_after: Duration,

    pub tail_cache_bytes: ByteSize,
    pub block_cache_bytes: ByteSize,
    pub replay_cache_bytes: ByteSize,
    pub read_ahead_blocks: u64,
    pub reads_in_flight: usize,

    pub merge_bytes: ByteSize,
    pub merge_age: Duration,
    pub parquet_bytes: ByteSize,
    pub key_memory_bytes: ByteSize,
    pub garbage_grace: Duration,

    pub auto_create_topics: bool,
    pub default_partitions: i32,
    pub default_replication_factor: i16,

    pub request_bytes: ByteSize,
    pub response_bytes: ByteSize,

    pub log_format: LogFormat,
    pub log_filter: String,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        let (store, ingest, reader) = (StoreOptions::default(), IngestSettings::default(), ReaderSettings::default());
        let (compactor, server) = (CompactorSettings::default(), ServerSettings::default());
        Self {
            store: String::new(),
            endpoint: None,
            region: None,
            allow_http: false,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            store_connect_timeout: Duration::from_secs(2),
            store_request_timeout: Duration::from_secs(10),
            store_retries: store.retries_max,
            store_sync: false,
            store_probe: true,
            shards: 1,
            probe_interval: Duration::from_secs(1),
            flush_bytes: bytes(ingest.flush_bytes_max),
            inline_bytes: bytes(ingest.inline_bytes_max),
            bytes_in_flight: ByteSize::from_mib(64),
            segment_uploads: ingest.segment_uploads_max,
            hedge_after: Duration::from_millis(600),
            // A sandbox has little memory, and is alone in it.
            tail_cache_bytes: ByteSize::from_mib(16),
            block_cache_bytes: ByteSize::from_mib(32),
            replay_cache_bytes: ByteSize::from_mib(32),
            read_ahead_blocks: 0,
            reads_in_flight: reader.reads_in_flight_max,
            merge_bytes: ByteSize::from_bytes(compactor.merge_bytes_min),
            merge_age: Duration::from_secs(compactor.merge_age.as_secs()),
            parquet_bytes: ByteSize::from_bytes(compactor.file_bytes_max),
            key_memory_bytes: bytes(compactor.key_memory_bytes),
            garbage_grace: Duration::from_secs(compactor.garbage_grace.as_secs()),
            auto_create_topics: server.auto_create_topics,
            default_partitions: server.default_partition_count,
            default_replication_factor: server.default_replication_factor,
            request_bytes: bytes(LAMBDA_BYTES_MAX),
            response_bytes: bytes(LAMBDA_BYTES_MAX / 4 * 3),
            log_format: LogFormat::Json,
            log_filter: "info".to_owned(),
        }
    }
}

impl Settings for FunctionSettings {
    const SECRETS: &'static [&'static str] = &["secret_access_key", "session_token"];

    fn validate(&self) -> Result<(), String> {
        if self.store.is_empty() {
            return Err("set ALLUVIUM_STORE to s3://bucket/prefix".to_owned());
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err("access_key_id and secret_access_key go together: set both or neither".to_owned());
        }
        for (name, size) in [("request_bytes", self.request_bytes), ("response_bytes", self.response_bytes)] {
            if size.as_usize() < 1024 || size.as_usize() > LAMBDA_BYTES_MAX {
                return Err(format!("{name} must be from 1KiB to {LAMBDA_BYTES_MAX}B, which is what Lambda takes"));
            }
        }
        if self.inline_bytes > self.flush_bytes {
            return Err("inline_bytes must not be above flush_bytes".to_owned());
        }
        if self.bytes_in_flight < self.flush_bytes {
            return Err("bytes_in_flight must not be below flush_bytes".to_owned());
        }
        if self.segment_uploads == 0 || self.reads_in_flight == 0 || self.shards == 0 {
            return Err("segment_uploads, reads_in_flight and shards must be at least 1".to_owned());
        }
        if self.default_partitions < 1 || self.default_partitions > limits::PARTITIONS_PER_TOPIC_MAX as i32 {
            return Err(format!("default_partitions must be from 1 to {}", limits::PARTITIONS_PER_TOPIC_MAX));
        }
        if self.default_replication_factor < 1 {
            return Err("default_replication_factor must be at least 1".to_owned());
        }
        if self.merge_bytes > self.parquet_bytes {
            return Err("merge_bytes must not be above parquet_bytes".to_owned());
        }
        Ok(())
    }
}

impl FunctionSettings {
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

    /// The log's; `node` is what entries say of their writer.
    pub(crate) fn log_options(&self, node: &str, probe: bool) -> LogOptions {
        let mut options = LogOptions {
            node: node.to_owned(),
            probe,
            shard_count: self.shards,
            tail_bytes_max: self.tail_cache_bytes.get(),
            ..LogOptions::default()
        };
        options.commit.slot.hedge_after = self.hedge_after.get();
        options.commit.entry_data_bytes_max = self.inline_bytes.get();
        options.commit.probe_interval = self.probe_interval.get();
        options
    }

    pub(crate) fn ingest_settings(&self) -> IngestSettings {
        IngestSettings {
            bytes_in_flight_max: self.bytes_in_flight.as_usize(),
            flush_bytes_max: self.flush_bytes.as_usize(),
            inline_bytes_max: self.inline_bytes.as_usize(),
            segment_uploads_max: self.segment_uploads,
            ..IngestSettings::default()
        }
    }

    pub(crate) fn reader_settings(&self) -> ReaderSettings {
        ReaderSettings {
            block_cache_bytes_max: self.block_cache_bytes.get(),
            replay_cache_bytes_max: self.replay_cache_bytes.get(),
            read_ahead_blocks: self.read_ahead_blocks,
            reads_in_flight_max: self.reads_in_flight,
            ..ReaderSettings::default()
        }
    }

    pub(crate) fn server_settings(&self) -> ServerSettings {
        ServerSettings {
            auto_create_topics: self.auto_create_topics,
            default_partition_count: self.default_partitions,
            default_replication_factor: self.default_replication_factor,
            ..ServerSettings::default()
        }
    }

    pub(crate) fn rest_settings(&self, role: Role) -> RestSettings {
        let (request_bytes_max, response_bytes_max) = (self.request_bytes.as_usize(), self.response_bytes.as_usize());
        RestSettings { role, request_bytes_max, response_bytes_max }
    }

    pub(crate) fn compactor_settings(&self) -> CompactorSettings {
        CompactorSettings {
            merge_bytes_min: self.merge_bytes.get(),
            merge_age: self.merge_age.get(),
            merge_idle_age: self.merge_age.get().saturating_mul(MERGE_IDLE_AGES),
            file_bytes_max: self.parquet_bytes.get(),
            key_memory_bytes: self.key_memory_bytes.as_usize(),
            garbage_grace: self.garbage_grace.get(),
            ..CompactorSettings::default()
        }
    }
}

const fn bytes(count: usize) -> ByteSize {
    ByteSize::from_bytes(count as u64)
}

#[cfg(test)]
mod tests {
    use alluvium_infra::settings::Layers;

    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<FunctionSettings, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = Layers::new().environment(variables).load::<FunctionSettings>();
        loaded.map(|loaded| loaded.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_store_is_all_that_must_be_said() {
        assert!(load(&[]).unwrap_err().contains("ALLUVIUM_STORE"));
        let settings = load(&[("ALLUVIUM_STORE", "s3://bucket/prefix"), ("AWS_REGION", "eu-central-1")]).unwrap();
        assert_eq!((settings.store.as_str(), settings.log_format), ("s3://bucket/prefix", LogFormat::Json));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let store = ("ALLUVIUM_STORE", "memory://");
        for (name, value, part) in [
            ("ALLUVIUM_LISTEN", "127.0.0.1:9092", "unknown setting"),
            ("ALLUVIUM_REQUEST_BYTES", "7MiB", "request_bytes"),
            ("ALLUVIUM_FLUSH_BYTES", "1B", "inline_bytes"),
            ("ALLUVIUM_DEFAULT_PARTITIONS", "0", "default_partitions"),
        ] {
            let refused = load(&[store, (name, value)]).unwrap_err();
            assert!(refused.contains(part), "{name}: {refused}");
        }
    }
}
