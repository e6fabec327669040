//! When the end of the log was last seen, and whether that is too long ago.
//!
//! Invariant 7: garbage collection removes entries that a checkpoint has covered for as long as the log retention. Whoever last
//! looked longer ago than half of it may find such a slot empty and take it for the end. A frozen process cannot trust its
//! own clock, which may have stood still, so the store's clock is asked as well; both are read *before* a look begins,
//! because a freeze may come at any moment after.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::planted::{self, Bug};
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::Store;

/// A moment by our clock and by the store's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    at: Instant,
    store_ms: Option<i64>,
}

impl Look {
    /// Now: to be taken before the first read or write of what it is to stand for.
    pub(crate) fn begin(store: &dyn Store, runtime: &Runtime) -> Self {
        Self { at: runtime.monotonic(), store_ms: store.clock_ms() }
    }

    /// How long ago that was by our clock.
    pub(crate) fn age(&self, runtime: &Runtime) -> Duration {
        runtime.monotonic().saturating_duration_since(self.at)
    }

    /// Whether slots behind what was seen then may have been collected by now.
    pub(crate) fn is_past(&self, retention: Duration, store: &dyn Store, runtime: &Runtime) -> bool {
        if planted::is(Bug::SkipClockRule) {
            return false;
        }
        let half = retention / 2;
        let by_store = match (self.store_ms, store.clock_ms()) {
            (Some(then), Some(now)) => {
                Duration::from_millis(u64::try_from(now.saturating_sub(then)).unwrap_or(0)) > half
            }
            _ => false,
        };
        by_store || self.age(runtime) > half
    }
}
