//! Garbage collection: objects that nobody refers to any more, or never did, are deleted.
//!
//! Invariants:
//! 1. 8, nothing reachable is deleted. What was garbage goes when a checkpoint of the grace's age knows it as garbage; what no entry
//!    ever named goes when no entry may name it any more; entries go behind checkpoints from which the log can be recovered.
//! 2. Each reason to delete is looked up in a state that was read from the log after the object was listed.
//! 3. Time is the store's: of its clock, and of when it says that an object was written.
//! 4. One object that cannot be deleted holds up no other one.

mod entries;
mod garbage;
mod orphans;

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::limits::{DELETES_IN_FLIGHT_MAX, LIST_KEYS_MAX};
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{ObjectInfo, Store, StoreError, StorePath};
use alluvium_log::{CatchUpError, CommitError, Log, Shard};
use futures_util::stream::{self, StreamExt};
use uuid::Uuid;

use crate::counters::CompactorCounters;
use crate::settings::CompactorSettings;

/// Pauses between attempts to delete when the store asks for fewer requests.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// Objects of one kind that one round deletes: a backlog is worked off round by round, in bounded memory.
const DELETES_PER_ROUND_MAX: usize = 100_000;

/// Why a round of collection ended early.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log could not be read to its end.
    #[error(transparent)]
    CatchUp(#[from] CatchUpError),
    /// What was deleted could not be taken off the list; it is deleted again later.
    #[error("garbage is not forgotten: {0}")]
    Forget(#[from] CommitError),
}

/// What a round deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Segments and files from the list of garbage.
    pub garbage: u64,
    /// Segments and files that no entry named.
    pub orphans: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Checkpoints.
    pub checkpoints: u64,
}

/// Collects the garbage of shards.
#[derive(Debug, Clone)]
pub struct Collector {
    pub(crate) log: Log,
    pub(crate) settings: Arc<CompactorSettings>,
    pub(crate) counters: Arc<CompactorCounters>,
    pub(crate) shutdown: Shutdown,
    pub(crate) runtime: Runtime,
}

impl Collector {
    /// A collector of the garbage of `log`.
    #[must_use]
    pub fn new(
        log: Log,
        settings: Arc<CompactorSettings>,
        counters: Arc<CompactorCounters>,
        shutdown: Shutdown,
    ) -> Self {
        let runtime = log.runtime().clone();
        Self { log, settings, counters, shutdown, runtime }
    }

    fn store(&self) -> &dyn Store {
        self.log.store().as_ref()
    }

    /// All that is due in a shard at `now_ms` of the store's clock: garbage, and with `listing` what only a LIST finds.
    ///
    /// # Errors
    /// When the store or the log does not answer; what was deleted until then is deleted.
    pub async fn collect(&self, shard: &Shard, now_ms: i64, listing: bool) -> Result<Collected, CollectError> {
        let mut collected = Collected { garbage: self.collect_garbage(shard, now_ms).await?, ..Collected::default() };
        if listing {
            collected.orphans = self.collect_orphans(shard, now_ms).await?;
            (collected.entries, collected.checkpoints) = self.collect_log(shard, now_ms).await?;
        }
        Ok(collected)
    }

    /// Deletes objects, several at a time, and gives back those that are gone.
    async fn delete<T: Send>(&self, objects: Vec<(StorePath, T)>) -> Vec<T> {
        let deleted = stream::iter(objects)
            .map(|(path, what)| async move { self.delete_patiently(&path).await.then_some(what) })
            .buffer_unordered(DELETES_IN_FLIGHT_MAX);
        deleted.filter_map(|what| async { what }).collect().await
    }

    async fn delete_patiently(&self, path: &StorePath) -> bool {
        let mut pauses = PAUSES.iter();
        loop {
            if self.shutdown.is_triggered() {
                return false;
            }
            let error = match self.store().delete(path).await {
                Ok(()) => {
                    self.counters.objects_deleted.increment();
                    return true;
                }
                Err(error) => error,
            };
            match pauses.next().filter(|_| error.is_retryable()) {
                Some(pause) => {
                    let _stopped = self.shutdown.unless_triggered(self.runtime.sleep(*pause)).await;
                }
                None => {
                    self.counters.deletes_failed.increment();
                    tracing::info!(%path, %error, "garbage was not deleted: trying again later");
                    return false;
                }
            }
        }
    }

    /// All objects under a prefix, a page at a time, until `each` has seen enough.
    async fn list(&self, prefix: &str, each: impl FnMut(ObjectInfo) -> bool + Send) -> Result<(), StoreError> {
        self.list_after(prefix, None, each).await
    }

    /// The same, of those behind a key.
    async fn list_after(
        &self,
        prefix: &str,
        mut after: Option<String>,
        mut each: impl FnMut(ObjectInfo) -> bool + Send,
    ) -> Result<(), StoreError> {
        loop {
            let page = self.store().list(prefix, after.as_deref(), LIST_KEYS_MAX).await?;
            after = page.objects.last().map(|object| object.path.as_str().to_owned());
            for object in page.objects {
                if !each(object) {
                    return Ok(());
                }
            }
            if !page.truncated || after.is_none() || self.shutdown.is_triggered() {
                return Ok(());
            }
        }
    }
}

/// Whether something is older than an age.
pub(crate) fn is_past(since_ms: i64, age: Duration, now_ms: i64) -> bool {
    now_ms.saturating_sub(since_ms) > i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}

/// The time in a version 7 id, milliseconds since 1970.
pub(crate) fn time_of(id: Uuid) -> Option<i64> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    i64::try_from(seconds.saturating_mul(1000).saturating_add(u64::from(nanos) / 1_000_000)).ok()
}
