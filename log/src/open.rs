//! Opening a cluster: probe the store, read or create `cluster.json`, recover the shards, start their tasks.

mod shard;

use std::sync::{Arc, Weak};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::published::Subscription;
use alluvium_infra::store::{Payload, Store, StoreError};
use alluvium_record::ShardId;
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use parking_lot::RwLock;
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;

use crate::commit::slot::SlotRules;
use crate::commit::{CommitRules, Request, Shard};
use crate::format::cluster::{ClusterDescription, FORMAT_VERSION};
use crate::operation::CommitError;
use crate::paths::ClusterPaths;
use crate::peers::{Peers, PeersSlot};
use crate::placement::shard_of_id;
use crate::plan::PlanRules;
use crate::probe::{ProbeError, probe};
use crate::producer_id::ProducerIds;
use crate::recover::RecoverError;
use crate::replay::CatchUpError;
use crate::state::State;
use crate::sweep::sweep_for_ever;
use crate::view::{Changes, View};
use shard::OpenShard;

/// Pause before a new shard that could not be opened is tried again.
const OPEN_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Prefix of the cluster in the store.
    pub root: String,
    /// Name of this node, written into entries for people.
    pub node: String,
    /// Whether the store is probed.
    pub probe: bool,
    /// Shards of a cluster that does not exist yet.
    pub shard_count: u32,
    /// Bytes of the tails of all shards kept in memory.
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
            shard_count: 1,
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
            probe_interval: Duration::from_secs(1),
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
    meta: Shard,
    /// All shards by number, the meta shard first.
    shards: RwLock<Vec<Shard>>,
    /// Held while shards are being opened.
    opening: Mutex<()>,
    options: LogOptions,
    changes: Changes,
    peers: PeersSlot,
    closed: CancellationToken,
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
        let description = describe_cluster(store.as_ref(), &paths, options.shard_count, &runtime).await?;
        let parts = OpenShard {
            store: store.clone(),
            paths: paths.clone(),
            tail_bytes_max: options.tail_bytes_max / u64::from(description.shard_count.max(1)),
            options: options.clone(),
            changes: Changes::new(),
            peers: PeersSlot::default(),
            runtime: runtime.clone(),
        };
        let created = try_join_all((0..description.shard_count.max(1)).map(|id| parts.open(ShardId(id)))).await?;
        let meta = created[0].clone();
        let producer_ids = ProducerIds::new(store.clone(), paths.clone(), runtime.clone());
        let OpenShard { changes, peers, .. } = parts;
        let log = Self {
            inner: Arc::new(Inner {
                description,
                store,
                paths,
                meta,
                shards: RwLock::new(created),
                opening: Mutex::new(()),
                options,
                changes,
                peers,
                closed: CancellationToken::new(),
                producer_ids,
                runtime: runtime.clone(),
            }),
        };
        log.open_more().await?;
        let weak = Arc::downgrade(&log.inner);
        drop(runtime.spawn_essential(
            "shards",
            follow_shard_count(weak.clone(), log.meta().subscribe(), log.inner.closed.clone()),
        ));
        let sweeping =
            sweep_for_ever(move || weak.upgrade().map(|inner| Log { inner }), runtime, log.inner.closed.clone());
        drop(log.runtime().spawn("sweep", sweeping));
        Ok(log)
    }

    /// Opens the shards that the meta shard names and that are not open.
    async fn open_more(&self) -> Result<(), OpenLogError> {
        let _turn = self.inner.opening.lock().await;
        let open = self.inner.shards.read().len() as u32;
        let wanted = self.shard_count();
        if wanted <= open {
            return Ok(());
        }
        let parts = OpenShard {
            store: self.inner.store.clone(),
            paths: self.inner.paths.clone(),
            tail_bytes_max: self.inner.options.tail_bytes_max / u64::from(wanted),
            options: self.inner.options.clone(),
            changes: self.inner.changes.clone(),
            peers: self.inner.peers.clone(),
            runtime: self.inner.runtime.clone(),
        };
        let more = try_join_all((open..wanted).map(|id| parts.open(ShardId(id)))).await?;
        self.inner.shards.write().extend(more);
        self.inner.changes.bump();
        Ok(())
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

    /// The shard that holds the topics.
    #[must_use]
    pub fn meta(&self) -> &Shard {
        &self.inner.meta
    }

    /// A shard, if it is open.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> Option<Shard> {
        self.inner.shards.read().get(id.0 as usize).cloned()
    }

    /// All open shards, by number.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        self.inner.shards.read().clone()
    }

    /// Shards that topics created now are spread over.
    #[must_use]
    pub fn shard_count(&self) -> u32 {
        self.inner.meta.state().shard_count(self.inner.description.shard_count)
    }

    /// The shard of a consumer group or a transactional id: the same for ever.
    #[must_use]
    pub fn group_shard(&self, group: &str) -> ShardId {
        shard_of_id(group, self.inner.description.shard_count)
    }

    /// Shards that may hold groups: those that the cluster was created with.
    #[must_use]
    pub fn group_shards(&self) -> Vec<Shard> {
        let mut shards = self.shards();
        shards.truncate(self.inner.description.shard_count.max(1) as usize);
        shards
    }

    /// A snapshot of all shards.
    #[must_use]
    pub fn view(&self) -> View {
        // The meta shard first: what it names is then in the snapshot, as far as this node knows it.
        let mut states = vec![self.inner.meta.state()];
        states.extend(self.inner.shards.read().iter().skip(1).map(Shard::state));
        View::new(states, self.inner.description.shard_count)
    }

    /// Reads all shards to their end: the view is at least as new as the call.
    ///
    /// # Errors
    /// When the store does not answer or holds what cannot be applied.
    pub async fn catch_up(&self) -> Result<View, CatchUpError> {
        let meta = self.inner.meta.catch_up().await?;
        // What the meta shard names lies in a shard that may have been added a moment ago.
        self.open_named().await?;
        let others: Vec<Shard> = self.inner.shards.read().iter().skip(1).cloned().collect();
        let mut states = vec![meta];
        states.extend(try_join_all(others.iter().map(Shard::catch_up)).await?);
        Ok(View::new(states, self.inner.description.shard_count))
    }

    /// Opens the shards that the meta shard names, for whoever is about to say what they hold.
    async fn open_named(&self) -> Result<(), CatchUpError> {
        if self.shard_count() as usize <= self.inner.shards.read().len() {
            return Ok(());
        }
        if self.inner.closed.is_cancelled() {
            return Err(CatchUpError::Closed);
        }
        self.open_more().await.map_err(|error| match error {
            OpenLogError::Recover { error: RecoverError::CatchUp(error), .. } => error,
            error => CatchUpError::Store(StoreError::Unavailable(error.to_string())),
        })
    }

    /// Rings when any shard changes.
    #[must_use]
    pub fn subscribe(&self) -> Changes {
        self.inner.changes.fresh()
    }

    /// From now on appends go to the leaders of their shards, and entries that this node commits are pushed. The first call counts.
    pub fn attach(&self, peers: Arc<dyn Peers>) {
        self.inner.peers.fill(peers);
    }

    pub(crate) fn peers(&self) -> Option<&Arc<dyn Peers>> {
        self.inner.peers.get()
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

    /// Commits what waits, writes checkpoints where they are worth it, and ends the tasks of the shards.
    pub async fn close(&self) {
        self.inner.closed.cancel();
        let _turn = self.inner.opening.lock().await;
        let closing = self.shards().into_iter().map(|shard| async move {
            let (reply, done) = oneshot::channel();
            if shard.requests.send(Request::Close { reply }).await.is_ok() {
                // A task that is gone already has closed as well.
                drop(done.await);
            }
        });
        join_all(closing).await;
    }
}

/// Opens shards as they are added, until the log is closed or gone.
async fn follow_shard_count(log: Weak<Inner>, mut meta: Subscription<Arc<State>>, closed: CancellationToken) {
    loop {
        let changed = tokio::select! {
            () = closed.cancelled() => return,
            changed = meta.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        loop {
            let Some(inner) = log.upgrade() else { return };
            let Err(error) = (Log { inner: inner.clone() }).open_more().await else { break };
            tracing::warn!(%error, "a new shard cannot be opened: trying again");
            tokio::select! {
                () = closed.cancelled() => return,
                () = inner.runtime.sleep(OPEN_RETRY_PAUSE) => {}
            }
        }
    }
}

async fn describe_cluster(
    store: &dyn Store,
    paths: &ClusterPaths,
    shard_count: u32,
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
                shard_count: shard_count.max(1),
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
