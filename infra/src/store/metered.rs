//! Counts what a store is asked for: requests, bytes, errors and latency, by kind of operation.
//!
//! Counting costs a few atomic additions and never waits.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{ListPage, Payload, Store, StoreError, StorePath};
use crate::Runtime;
use crate::runtime::Instant;

/// The kinds of requests that a store serves (and bills).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreOperation {
    /// `put_if_absent`.
    PutIfAbsent,
    /// `put`.
    Put,
    /// `get`.
    Get,
    /// `get_range`.
    GetRange,
    /// `list`.
    List,
    /// `delete`.
    Delete,
}

impl StoreOperation {
    /// All kinds, in the order of their ordinals.
    pub const ALL: [StoreOperation; 6] = [
        StoreOperation::PutIfAbsent,
        StoreOperation::Put,
        StoreOperation::Get,
        StoreOperation::GetRange,
        StoreOperation::List,
        StoreOperation::Delete,
    ];

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            StoreOperation::PutIfAbsent => "put_if_absent",
            StoreOperation::Put => "put",
            StoreOperation::Get => "get",
            StoreOperation::GetRange => "get_range",
            StoreOperation::List => "list",
            StoreOperation::Delete => "delete",
        }
    }
}

impl fmt::Display for StoreOperation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Buckets per doubling of the latency.
const BUCKETS_PER_DOUBLING: usize = 4;
/// From 1 us to about 71 minutes.
const BUCKETS: usize = 32 * BUCKETS_PER_DOUBLING;

#[derive(Debug)]
struct Counters {
    requests: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
    latency_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Counters {
    fn new() -> Counters {
        Counters {
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            latency_us: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

fn bucket_of(latency_us: u64) -> usize {
    let latency_us = latency_us.max(1);
    let doubling = latency_us.ilog2() as usize;
    // The two bits behind the leading one split each doubling into four.
    let quarter = if doubling >= 2 {
        (latency_us >> (doubling - 2)) as usize & 3
    } else {
        ((latency_us << (2 - doubling)) & 3) as usize
    };
    (doubling * BUCKETS_PER_DOUBLING + quarter).min(BUCKETS - 1)
}

/// The upper end of a bucket in microseconds.
fn bucket_end_us(bucket: usize) -> u64 {
    let (doubling, quarter) = (bucket / BUCKETS_PER_DOUBLING, bucket % BUCKETS_PER_DOUBLING);
    ((1_u128 << doubling) * (5 + quarter as u128) / 4).min(u128::from(u64::MAX)) as u64
}

/// What was asked of one kind since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationSnapshot {
    /// Requests, failed ones included.
    pub requests: u64,
    /// Requests that failed; a lost race for a key and an absent object count too.
    pub errors: u64,
    /// Bytes sent or received, without headers.
    pub bytes: u64,
    /// The sum of all latencies.
    pub latency_total: Duration,
    buckets: Vec<u64>,
}

impl OperationSnapshot {
    /// The latency that the given share (0.5, 0.99) of requests stayed below, within a fifth.
    pub fn latency_quantile(&self, share: f64) -> Duration {
        let total: u64 = self.buckets.iter().sum();
        let wanted = (total as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if total > 0 && seen >= wanted {
                return Duration::from_micros(bucket_end_us(bucket));
            }
        }
        Duration::ZERO
    }

    /// What came between an `earlier` snapshot and this one.
    #[must_use]
    pub fn since(&self, earlier: &OperationSnapshot) -> OperationSnapshot {
        OperationSnapshot {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            latency_total: self.latency_total.saturating_sub(earlier.latency_total),
            buckets: self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| now.saturating_sub(*then)).collect(),
        }
    }
}

/// What was asked of a store since the start, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSnapshot {
    operations: Vec<OperationSnapshot>,
}

impl StoreSnapshot {
    /// One kind.
    pub fn of(&self, operation: StoreOperation) -> &OperationSnapshot {
        &self.operations[operation as usize]
    }

    /// Requests of all kinds.
    pub fn requests(&self) -> u64 {
        self.operations.iter().map(|operation| operation.requests).sum()
    }

    /// PUT requests of both kinds.
    pub fn puts(&self) -> u64 {
        self.of(StoreOperation::PutIfAbsent).requests + self.of(StoreOperation::Put).requests
    }

    /// GET requests, ranged or not.
    pub fn gets(&self) -> u64 {
        self.of(StoreOperation::Get).requests + self.of(StoreOperation::GetRange).requests
    }

    /// What came between an `earlier` snapshot and this one.
    #[must_use]
    pub fn since(&self, earlier: &StoreSnapshot) -> StoreSnapshot {
        let pairs = self.operations.iter().zip(&earlier.operations);
        StoreSnapshot { operations: pairs.map(|(now, then)| now.since(then)).collect() }
    }
}

/// A store that counts what it passes on.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn Store>,
    runtime: Runtime,
    counters: [Counters; StoreOperation::ALL.len()],
}

impl Metered {
    /// Counts the requests to `inner` from now on.
    pub fn new(inner: Arc<dyn Store>, runtime: Runtime) -> Arc<Metered> {
        Arc::new(Metered { inner, runtime, counters: StoreOperation::ALL.map(|_| Counters::new()) })
    }

    /// All counts until now.
    pub fn snapshot(&self) -> StoreSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let operations = self.counters.iter().map(|counters| OperationSnapshot {
            requests: read(&counters.requests),
            errors: read(&counters.errors),
            bytes: read(&counters.bytes),
            latency_total: Duration::from_micros(read(&counters.latency_us)),
            buckets: counters.buckets.iter().map(read).collect(),
        });
        StoreSnapshot { operations: operations.collect() }
    }

    fn count<T>(&self, operation: StoreOperation, begun: Instant, bytes: usize, result: &Result<T, StoreError>) {
        let counters = &self.counters[operation as usize];
        let latency = self.runtime.monotonic().saturating_duration_since(begun);
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
        add(&counters.requests, 1);
        add(&counters.errors, u64::from(result.is_err()));
        add(&counters.bytes, bytes as u64);
        add(&counters.latency_us, latency_us);
        add(&counters.buckets[bucket_of(latency_us)], 1);
        tracing::trace!(%operation, bytes, latency_us, failed = result.is_err(), "store request");
    }
}

#[async_trait]
impl Store for Metered {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let (begun, bytes) = (self.runtime.monotonic(), payload.len());
        let result = self.inner.put_if_absent(path, payload).await;
        self.count(StoreOperation::PutIfAbsent, begun, bytes, &result);
        result
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let (begun, bytes) = (self.runtime.monotonic(), payload.len());
        let result = self.inner.put(path, payload).await;
        self.count(StoreOperation::Put, begun, bytes, &result);
        result
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        let begun = self.runtime.monotonic();
        let result = self.inner.get(path).await;
        self.count(StoreOperation::Get, begun, result.as_ref().map_or(0, Bytes::len), &result);
        result
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let begun = self.runtime.monotonic();
        let result = self.inner.get_range(path, range).await;
        self.count(StoreOperation::GetRange, begun, result.as_ref().map_or(0, Bytes::len), &result);
        result
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let begun = self.runtime.monotonic();
        let result = self.inner.list(prefix, start_after, limit).await;
        self.count(StoreOperation::List, begun, 0, &result);
        result
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        let begun = self.runtime.monotonic();
        let result = self.inner.delete(path).await;
        self.count(StoreOperation::Delete, begun, 0, &result);
        result
    }

    fn clock_ms(&self) -> Option<i64> {
        self.inner.clock_ms()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn buckets_hold_what_they_say() {
        let mut last = 0;
        for latency_us in (1..5_000).chain([1 << 20, (1 << 31) + 5, u64::MAX]) {
            let bucket = bucket_of(latency_us);
            assert!(bucket >= last, "{latency_us}");
            last = bucket;
            if bucket < BUCKETS - 1 {
                assert!(latency_us <= bucket_end_us(bucket), "{latency_us}");
                assert!(bucket_end_us(bucket) as f64 <= (latency_us as f64 * 1.26).max(4.0), "{latency_us}");
            }
        }
    }

    #[test]
    fn requests_bytes_errors_and_latency_are_counted() {
        Runtime::simulate(1, |runtime| async move {
            let model = super::super::Modelled::new(
                Arc::new(MemoryStore::new(runtime.clone())),
                super::super::StoreModel { tail_share: 0.0, spread: 0.0, ..super::super::StoreModel::s3() },
                runtime.clone(),
            );
            let store = Metered::new(model, runtime);
            let path = StorePath::from("a");
            store.put_if_absent(&path, Payload::from(&b"four"[..])).await.unwrap();
            store.put_if_absent(&path, Payload::from(&b"four"[..])).await.unwrap_err();
            let before = store.snapshot();
            assert_eq!(&store.get_range(&path, 1..3).await.unwrap()[..], b"ou");
            let snapshot = store.snapshot();
            let puts = snapshot.of(StoreOperation::PutIfAbsent);
            assert_eq!((puts.requests, puts.errors, puts.bytes), (2, 1, 8));
            let median_ms = puts.latency_quantile(0.5).as_millis();
            assert!((40..=50).contains(&median_ms), "{median_ms}");
            let since = snapshot.since(&before);
            assert_eq!(
                (since.requests(), since.gets(), since.puts(), since.of(StoreOperation::GetRange).bytes),
                (1, 1, 0, 2)
            );
            assert_eq!(since.of(StoreOperation::List).latency_quantile(0.99), Duration::ZERO);
        });
    }
}
