//! The store's clock, between its answers too.
//!
//! A store tells the time with each answer, mostly in whole seconds. In between this goes on with the monotonic clock of this
//! machine; the machine's wall clock plays no part unless the store has no clock.
//!
//! Invariant: never behind what the store said last, and at most [`GRANULARITY_MS`] ahead of it when it is told anew.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::Store;
use parking_lot::Mutex;

/// A store's seconds are cut off, and its answers take a while.
pub(crate) const GRANULARITY_MS: i64 = 1_500;

/// The store's clock.
#[derive(Debug)]
pub(crate) struct StoreClock {
    store: Arc<dyn Store>,
    runtime: Runtime,
    told: Mutex<Option<Told>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    store_ms: i64,
    now_ms: i64,
    at: Instant,
}

impl StoreClock {
    pub(crate) fn new(store: Arc<dyn Store>, runtime: Runtime) -> Self {
        Self { store, runtime, told: Mutex::new(None) }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        let Some(store_ms) = self.store.clock_ms() else { return self.runtime.now_ms() };
        let at = self.runtime.monotonic();
        let mut told = self.told.lock();
        let now_ms = match *told {
            None => store_ms,
            Some(before) => {
                let elapsed_ms = at.saturating_duration_since(before.at).as_millis() as i64;
                let continued_ms = before.now_ms.saturating_add(elapsed_ms);
                if before.store_ms == store_ms {
                    return continued_ms;
                }
                continued_ms.clamp(store_ms, store_ms.saturating_add(GRANULARITY_MS))
            }
        };
        *told = Some(Told { store_ms, now_ms, at });
        now_ms
    }

    /// Whether a time that somebody wrote by this clock was `age_max` ago at most.
    pub(crate) fn is_within(&self, time_ms: i64, age_max: Duration) -> bool {
        time_ms.saturating_add(age_max.as_millis() as i64).saturating_add(GRANULARITY_MS) >= self.now_ms()
    }

    /// How far this machine's wall clock is ahead of the store's.
    pub(crate) fn local_difference_ms(&self) -> i64 {
        self.runtime.now_ms().saturating_sub(self.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use alluvium_infra::store::MemoryStore;

    use super::*;

    #[test]
    fn a_clock_that_is_off_locally_does_not_matter() {
        Runtime::simulate(1, |runtime| async move {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
            let node = runtime.fork();
            node.shift_wall_clock(3_600_000);
            let clock = StoreClock::new(store, node);
            assert_eq!(clock.now_ms(), runtime.now_ms());
            assert_eq!(clock.local_difference_ms(), 3_600_000);
            runtime.sleep(Duration::from_secs(5)).await;
            assert_eq!(clock.now_ms(), runtime.now_ms());
            runtime.shift_wall_clock(-60_000);
            let now_ms = clock.now_ms();
            assert!(now_ms - runtime.now_ms() <= GRANULARITY_MS, "the store's clock went back and this one with it");
        });
    }
}
