//! Opening a cluster: probe the store, read or create `cluster.json`, recover the shard, start its task.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{Payload, Store, StoreError};
use alluvium_record::ShardId;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::commit::slot::SlotRules;
use crate::commit::{CommitRules, Look, Request, Shard, ShardTask};
use crate::format::cluster::{ClusterDescription, FORMAT_VERSION};
use crate::operation::CommitError;
use crate::paths::{ClusterPaths, ShardPaths};
use crate::plan::PlanRules;
use crate::probe::{ProbeError, probe};
use crate::producer_id::ProducerIds;
use crate::recover::{RecoverError, Recovered, recover};
use crate::tail::Tail;

/// Requests that may wait for a shard's task.
const REQUESTS_MAX: usize = 4096;
/// Recoveries that are tried when each takes longer than half the log retention.
const RECOVERIES_MAX: usize = 3;

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Prefix of the cluster in the store.
    pub root: String,
    /// Name of this node, written into entries for people.
    pub node: String,
    /// Whether the store is probed.
    pub probe: bool,
    /// Bytes of the tail kept in memory.
    pub tail_bytes_max: u64,
    /// How commits are made.
    pub commit: CommitRules,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            root: String::new(),
            node: "node-0".to_owned(),
            probe: true,
            tail_bytes_max: alluvium_infra::limits::TAIL_CACHE_BYTES_MAX as u64,
            commit: CommitRules::default(),
        }
    }
}

impl Default for CommitRules {
    fn default() -> Self {
        Self {
            slot: SlotRules {
                hedge_after: Duration::from_millis(600),
                backoff_min: Duration::from_millis(20),
                backoff_max: Duration::from_secs(1),
            },
            plan: PlanRules {
                run_bytes_max: alluvium_infra::limits::RUN_BYTES_MAX as u32,
                segment_age_ms_max: 60 * 60 * 1000,
            },
            look_after: Duration::from_secs(10),
            log_retention: Duration::from_secs(24 * 60 * 60),
            entry_data_bytes_max: alluvium_infra::limits::INLINE_BYTES_MAX as u64,
            checkpoint_entries: 1000,
            checkpoint_entry_bytes: 64 * 1024 * 1024,
            deadline_default: Duration::from_secs(30),
        }
    }
}

/// Why a log could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenLogError {
    /// The store cannot be used.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The store did not answer.
    #[error("{store}: {error}")]
    Store {
        /// The store.
        store: String,
        /// What it said.
        error: StoreError,
    },
    /// A newer release made the cluster.
    #[error("the cluster has format version {found}, this release reads up to {newest}: upgrade alluvium")]
    NewerVersion {
        /// Its version.
        found: u32,
        /// What this release reads.
        newest: u32,
    },
    /// `cluster.json` cannot be read.
    #[error("{path} is not a cluster description: {reason}")]
    Malformed {
        /// Where it is.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The shard cannot be recovered.
    #[error("shard {shard}: {error}")]
    Recover {
        /// Which shard.
        shard: u32,
        /// Why.
        error: RecoverError,
    },
}

/// An open cluster.
#[derive(Debug, Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    description: ClusterDescription,
    store: Arc<dyn Store>,
    paths: ClusterPaths,
    shard: Shard,
    producer_ids: ProducerIds,
    runtime: Runtime,
}

impl Log {
    /// Opens the cluster below `options.root`, creating it when there is none.
    ///
    /// # Errors
    /// When the store cannot be used, does not answer, or holds what this release cannot read.
    pub async fn open(store: Arc<dyn Store>, options: LogOptions, runtime: Runtime) -> Result<Self, OpenLogError> {
        let paths = ClusterPaths::new(&options.root);
        if options.probe {
            probe(store.as_ref(), &paths, &runtime).await?;
        }
        let description = describe_cluster(store.as_ref(), &paths, &runtime).await?;
        let shard = ShardId(0);
        let shard_paths = paths.shard(shard);
        let (recovered, look) = recover_in_time(store.as_ref(), &shard_paths, &options.commit, &runtime)
            .await
            .map_err(|error| OpenLogError::Recover { shard: shard.0, error })?;
        tracing::debug!(entry = recovered.state.entry_number(), checkpoint = recovered.checkpoint, "shard recovered");
        let tail = Arc::new(Tail::new(options.tail_bytes_max));
        let deadline_default = options.commit.deadline_default;
        let (task, state) = ShardTask::new(
            store.clone(),
            shard_paths.clone(),
            runtime.clone(),
            options.commit,
            options.node,
            tail.clone(),
            recovered,
            look,
        );
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        drop(runtime.spawn("shard", task.run(receiver)));
        let shard = Shard { requests, state, tail, paths: shard_paths, runtime: runtime.clone(), deadline_default };
        let producer_ids = ProducerIds::new(store.clone(), paths.clone(), runtime.clone());
        Ok(Self { inner: Arc::new(Inner { description, store, paths, shard, producer_ids, runtime }) })
    }

    /// The cluster's id, as Kafka shows it.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.inner.description.cluster_id
    }

    /// What `cluster.json` says.
    #[must_use]
    pub fn description(&self) -> &ClusterDescription {
        &self.inner.description
    }

    /// The shard that holds everything.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.inner.shard
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Paths of the cluster's objects.
    #[must_use]
    pub fn paths(&self) -> &ClusterPaths {
        &self.inner.paths
    }

    /// Clock, randomness and tasks of this log.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    /// A producer id that nobody had before.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn allocate_producer_id(&self) -> Result<i64, CommitError> {
        self.inner.producer_ids.allocate().await.map_err(|error| CommitError::Unavailable(error.to_string()))
    }

    /// Commits what waits, writes a checkpoint when it is worth it, and ends the shard's task.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.inner.shard.requests.send(Request::Close { reply }).await.is_ok() {
            // A task that is gone already has closed as well.
            drop(done.await);
        }
    }
}

/// Recovers, and again when that took so long that entries may have been collected meanwhile.
async fn recover_in_time(
    store: &dyn Store,
    paths: &ShardPaths,
    rules: &CommitRules,
    runtime: &Runtime,
) -> Result<(Recovered, Look), RecoverError> {
    for _ in 0..RECOVERIES_MAX {
        let look = Look::begin(store, runtime);
        let recovered = recover(store, paths).await;
        // Whoever stands still while he reads may find holes where collection has passed meanwhile, or nothing new.
        if !look.is_past(rules.log_retention, store, runtime) {
            return Ok((recovered?, look));
        }
    }
    Err(StoreError::Timeout.into())
}

async fn describe_cluster(
    store: &dyn Store,
    paths: &ClusterPaths,
    runtime: &Runtime,
) -> Result<ClusterDescription, OpenLogError> {
    let path = paths.cluster();
    let failed = |error: StoreError| OpenLogError::Store { store: store.describe(), error };
    let bytes = match store.get(&path).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound) => {
            let description = ClusterDescription {
                format_version: FORMAT_VERSION,
                cluster_id: cluster_id(runtime.random_uuid()),
                shard_count: 1,
                created_ms: runtime.now_ms(),
            };
            let json = serde_json::to_vec_pretty(&description).unwrap_or_default();
            let put = store.put_if_absent(&path, Payload::from(Bytes::from(json))).await;
            match (store.get(&path).await, put) {
                (Ok(bytes), _) => bytes,
                (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(failed(error)),
            }
        }
        Err(error) => return Err(failed(error)),
    };
    let malformed = |reason: String| OpenLogError::Malformed { path: path.to_string(), reason };
    let version: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    let found = version.get("format_version").and_then(serde_json::Value::as_u64).unwrap_or_default() as u32;
    if found > FORMAT_VERSION {
        return Err(OpenLogError::NewerVersion { found, newest: FORMAT_VERSION });
    }
    serde_json::from_value(version).map_err(|error| malformed(error.to_string()))
}

/// 22 characters of URL-safe base64 over 16 random bytes, as Kafka's cluster ids are.
fn cluster_id(id: uuid::Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(*id.as_bytes());
    (0..22)
        .map(|index: u32| {
            // The last character holds the two bits that are left, padded with zeros.
            let shift = 122 - 6 * index as i32;
            let sextet = if shift >= 0 { bits >> shift } else { bits << -shift };
            char::from(ALPHABET[(sextet & 63) as usize])
        })
        .collect()
}
