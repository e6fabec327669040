//! Reader: consumers get the records of any offset.
//!
//! Flow: index lookup in a state snapshot -> [`plan`] (which runs, within the budgets) -> [`source`] (the tail in memory, the
//! caches, ranged GETs; [`table`] for what was compacted into Parquet) -> [`assemble`] (whole batches with offset and leader epoch patched in) -> slices, ready to send.
//! [`fetch`] waits for bytes; [`lookup`] answers ListOffsets; [`scan`] reads for queries.
//!
//! Invariants: 3, no offset is shown whose bytes are not durable; 10, a node that may be stale reads the log to its end
//! before it says that something does not exist; 12, a fetch with data waiting is woken by the commit that brought it.

mod ahead;
mod assemble;
mod counters;
mod error;
mod fetch;
mod lookup;
mod plan;
mod scan;
mod settings;
mod source;
mod table;

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_log::Log;

pub use counters::{CacheKind, ReaderCounters};
pub use error::ReadError;
pub use fetch::{AbortedTransaction, FetchRequest, FetchedData, Isolation, PartitionFetch, PartitionFetched};
pub use lookup::{FoundOffset, OffsetQuery};
pub use scan::{RunAt, ScanError};
pub use settings::ReaderSettings;

/// The leader epoch of every partition.
pub const LEADER_EPOCH: i32 = 0;

/// Serves reads from one log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    runtime: Runtime,
    source: source::Source,
    distances: plan::Distances,
    counters: Arc<ReaderCounters>,
}

impl Reader {
    /// A reader of `log` with caches of its own.
    #[must_use]
    pub fn new(log: Log, settings: ReaderSettings, runtime: Runtime) -> Self {
        let counters = Arc::<ReaderCounters>::default();
        let source = source::Source::new(log.clone(), &settings, runtime.clone(), counters.clone());
        let distances = plan::Distances {
            replay_bytes: settings.replay_distance_bytes,
            read_ahead_blocks: settings.read_ahead_blocks,
        };
        Self { inner: Arc::new(Inner { log, runtime, source, distances, counters }) }
    }

    /// What this node's reader counts.
    #[must_use]
    pub fn counters(&self) -> &ReaderCounters {
        &self.inner.counters
    }

    /// Bytes in the caches for live and for catching-up consumers.
    #[must_use]
    pub fn cached_bytes(&self) -> (u64, u64) {
        self.inner.source.cached_bytes()
    }
}
