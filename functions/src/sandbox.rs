//! What a sandbox keeps from one invocation to the next: the store's clients and the log.
//!
//! Invariant: it is opened once, by whoever comes first; a failure is told to those who wait and forgotten, so that the next
//! invocation tries again.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{self, OpenStoreError, Store, StoreError};
use alluvium_log::paths::ClusterPaths;
use alluvium_log::probe::ProbeError;
use alluvium_log::recover::RecoverError;
use alluvium_log::{CatchUpError, Log, LogOptions, OpenLogError};
use tokio::sync::OnceCell;

use crate::settings::FunctionSettings;

/// The longest wait for the store when a log is opened: what comes later is the next invocation's.
const OPEN_WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest wait when a sandbox ends, which gets little time.
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(400);

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSandboxError {
    /// The URL, the credentials or what goes with them.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The store refuses, does not answer or holds what cannot be read.
    #[error("the store {store} cannot be used: {error}")]
    Log {
        /// The store's URL.
        store: String,
        /// What it said.
        error: OpenLogError,
    },
    /// The store took too long.
    #[error("the store {0} did not answer in time")]
    TimedOut(String),
}

impl OpenSandboxError {
    /// Whether trying again may help without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Store(_) => false,
            Self::Log { error, .. } => !matches!(
                store_error(error),
                Some(StoreError::PermissionDenied(_) | StoreError::BucketMissing(_) | StoreError::Unsupported(_))
            ),
        }
    }
}

/// What the store said, if it was the store.
fn store_error(error: &OpenLogError) -> Option<&StoreError> {
    match error {
        OpenLogError::Probe(ProbeError::Store { error, .. }) | OpenLogError::Store { error, .. } => Some(error),
        OpenLogError::Recover { error: RecoverError::CatchUp(CatchUpError::Store(error)), .. } => Some(error),
        _ => None,
    }
}

/// Something that is made of an open log, once.
pub(crate) struct Sandbox<T> {
    settings: FunctionSettings,
    runtime: Runtime,
    /// What entries say of their writer: the role and something of its own, since turns in the log are counted by writers.
    node: String,
    opened: OnceCell<(Log, T)>,
}

impl<T> Sandbox<T> {
    /// `role` is the beginning of what entries say of their writer.
    pub(crate) fn new(settings: FunctionSettings, runtime: Runtime, role: &str) -> Self {
        let node = format!("{role}-{:08x}", runtime.random_below(1 << 32));
        Self { settings, runtime, node, opened: OnceCell::new() }
    }

    pub(crate) fn settings(&self) -> &FunctionSettings {
        &self.settings
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The log and what was made of it.
    pub(crate) async fn opened(&self, make: impl Fn(&Log) -> T) -> Result<&(Log, T), OpenSandboxError> {
        let open = || async {
            let log = self.open().await?;
            let made = make(&log);
            Ok((log, made))
        };
        self.opened.get_or_try_init(open).await
    }

    async fn open(&self) -> Result<Log, OpenSandboxError> {
        let (settings, runtime) = (&self.settings, &self.runtime);
        let begun = runtime.monotonic();
        let store = store::open(&settings.store, &settings.store_options(), runtime)?;
        let opening = async {
            // Who made the cluster has probed the store: it costs two dozen requests.
            let probe = settings.store_probe && is_new(store.as_ref()).await;
            Log::open(store, settings.log_options(&self.node, probe), runtime.clone()).await
        };
        let log = match runtime.timeout(OPEN_WAIT_MAX, opening).await {
            Ok(opened) => opened.map_err(|error| OpenSandboxError::Log { store: settings.store.clone(), error })?,
            Err(_elapsed) => return Err(self.timed_out()),
        };
        let took_ms = runtime.monotonic().saturating_duration_since(begun).as_millis() as u64;
        tracing::info!(store = settings.store, cluster_id = log.cluster_id(), took_ms, "log opened");
        Ok(log)
    }

    /// What is said when the store takes too long.
    pub(crate) fn timed_out(&self) -> OpenSandboxError {
        OpenSandboxError::TimedOut(self.settings.store.clone())
    }

    /// Writes what makes the next start faster, if there is time.
    pub(crate) async fn close(&self) {
        if let Some((log, _)) = self.opened.get()
            && self.runtime.timeout(CLOSE_WAIT_MAX, log.close()).await.is_err()
        {
            tracing::info!("the log was not closed in time; nothing is lost");
        }
    }
}

/// Whether no cluster is there. Another error comes up again when the log is opened, and is told then.
async fn is_new(store: &dyn Store) -> bool {
    let paths = ClusterPaths::new(&LogOptions::default().root);
    matches!(store.get(&paths.cluster()).await, Err(StoreError::NotFound))
}

/// A sandbox that invocations share.
pub(crate) type Shared<T> = Arc<Sandbox<T>>;
