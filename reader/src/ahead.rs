//! Row groups that are made ready before anybody comes for them: how much of the cache and of the processors that takes.
//!
//! Invariants:
//! 1. Those that nobody has come for yet keep to their bytes, but one alone always has room.
//! 2. At most half of the processors decode what nobody has come for, and at least one does: the others stay free for what is waited for.
//! 3. Whoever comes for one that waits for its turn ends that waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use uuid::Uuid;

/// A file and a row group of it.
pub(crate) type RowGroupKey = (Uuid, usize);

/// What is being made ready, or is and lies in the cache.
#[derive(Debug)]
pub(crate) struct Ahead {
    bytes_max: u64,
    waiting: Mutex<BTreeMap<RowGroupKey, Waiting>>,
    turns: Semaphore,
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    demand: Arc<Notify>,
}

/// Tells that somebody came for a row group.
#[derive(Debug)]
pub(crate) struct Demand(Arc<Notify>);

impl Ahead {
    /// With room for so many bytes, where so many threads decode.
    pub(crate) fn new(bytes_max: u64, threads: usize) -> Self {
        Self { bytes_max, waiting: Mutex::default(), turns: Semaphore::new((threads / 2).max(1)) }
    }

    /// Room for one more, if there is some and it has none yet.
    pub(crate) fn take(&self, key: RowGroupKey, bytes: u64) -> Option<Demand> {
        let mut waiting = self.waiting.lock();
        let taken: u64 = waiting.values().map(|other| other.bytes).sum();
        let has_room = waiting.is_empty() || taken + bytes <= self.bytes_max;
        if !has_room || waiting.contains_key(&key) {
            return None;
        }
        let demand = Arc::new(Notify::new());
        waiting.insert(key, Waiting { bytes, demand: Arc::clone(&demand) });
        Some(Demand(demand))
    }

    /// Somebody came for it, or it is gone.
    pub(crate) fn give_back(&self, key: &RowGroupKey) {
        if let Some(gone) = self.waiting.lock().remove(key) {
            gone.demand.notify_one();
        }
    }

    /// Waits until it may be decoded; without a permit when somebody came for it.
    pub(crate) async fn turn(&self, demand: &Demand) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = demand.0.notified() => None,
            permit = self.turns.acquire() => permit.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alluvium_infra::Runtime;

    use super::*;

    fn key(index: usize) -> RowGroupKey {
        (Uuid::nil(), index)
    }

    #[test]
    fn one_alone_always_has_room_and_more_keep_to_their_bytes() {
        let ahead = Ahead::new(10, 1);
        assert!(ahead.take(key(0), 11).is_some());
        assert!(ahead.take(key(1), 0).is_none(), "there are too many bytes");
        ahead.give_back(&key(0));
        assert!(ahead.take(key(1), 6).is_some());
        assert!(ahead.take(key(1), 1).is_none(), "it is there");
        assert!(ahead.take(key(2), 5).is_none(), "there would be too many bytes");
        assert!(ahead.take(key(3), 4).is_some());
    }

    #[test]
    fn half_of_the_threads_decode_and_what_is_wanted_does_not_wait() {
        Runtime::simulate(1, |runtime| async move {
            for (threads, at_once) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
                let ahead = Ahead::new(100, threads);
                let demand: Vec<_> = (0..=at_once).filter_map(|index| ahead.take(key(index), 1)).collect();
                let mut turns = Vec::new();
                for first in &demand[..at_once] {
                    turns.push(ahead.turn(first).await.expect("it is its turn"));
                }
                let last = &demand[at_once];
                let waited = runtime.timeout(Duration::from_secs(1), ahead.turn(last)).await;
                assert!(waited.is_err(), "{threads} threads: more than {at_once} decode");
                ahead.give_back(&key(at_once));
                assert!(ahead.turn(last).await.is_none(), "{threads} threads: somebody came for it");
                turns.pop();
                let next = ahead.take(key(9), 1).expect("there is room");
                assert!(ahead.turn(&next).await.is_some(), "{threads} threads: it is its turn");
            }
        });
    }
}
