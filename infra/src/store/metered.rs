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

use super::{ListPage, PartId, Payload, Store, StoreError, StorePath, UploadId};
use crate::Runtime;
use crate::metrics::{Counter, Latencies, LatencySnapshot};
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
    /// `begin_upload`.
    BeginUpload,
    /// `put_part`.
    PutPart,
    /// `finish_upload`.
    FinishUpload,
    /// `abort_upload`.
    AbortUpload,
}

impl StoreOperation {
    /// All kinds, in the order of their ordinals.
    pub const ALL: [StoreOperation; 10] = [
        StoreOperation::PutIfAbsent,
        StoreOperation::Put,
        StoreOperation::Get,
        StoreOperation::GetRange,
        StoreOperation::List,
        StoreOperation::Delete,
        StoreOperation::BeginUpload,
        StoreOperation::PutPart,
        StoreOperation::FinishUpload,
        StoreOperation::AbortUpload,
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
            StoreOperation::BeginUpload => "begin_upload",
            StoreOperation::PutPart => "put_part",
            StoreOperation::FinishUpload => "finish_upload",
            StoreOperation::AbortUpload => "abort_upload",
        }
    }
}

impl fmt::Display for StoreOperation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How a request ended, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreOutcome {
    /// As asked.
    Done,
    /// There was no such object: an answer like any other.
    Absent,
    /// Somebody else had written the object before.
    Lost,
    /// The store asked for fewer requests.
    Throttled,
    /// No answer in time.
    TimedOut,
    /// Any other failure.
    Failed,
}

impl StoreOutcome {
    /// All, in the order of their ordinals.
    pub const ALL: [StoreOutcome; 6] = [
        StoreOutcome::Done,
        StoreOutcome::Absent,
        StoreOutcome::Lost,
        StoreOutcome::Throttled,
        StoreOutcome::TimedOut,
        StoreOutcome::Failed,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            StoreOutcome::Done => "done",
            StoreOutcome::Absent => "absent",
            StoreOutcome::Lost => "lost",
            StoreOutcome::Throttled => "throttled",
            StoreOutcome::TimedOut => "timed_out",
            StoreOutcome::Failed => "failed",
        }
    }

    /// Whether the store served the request, whatever it had to say.
    fn is_answer(self) -> bool {
        matches!(self, StoreOutcome::Done | StoreOutcome::Absent | StoreOutcome::Lost)
    }

    fn of<T>(result: &Result<T, StoreError>) -> StoreOutcome {
        match result {
            Ok(_) => StoreOutcome::Done,
            Err(StoreError::NotFound) => StoreOutcome::Absent,
            Err(StoreError::AlreadyExists | StoreError::Conflict) => StoreOutcome::Lost,
            Err(StoreError::Throttled) => StoreOutcome::Throttled,
            Err(StoreError::Timeout) => StoreOutcome::TimedOut,
            Err(
                StoreError::Unavailable(_)
                | StoreError::PermissionDenied(_)
                | StoreError::BucketMissing(_)
                | StoreError::Truncated { .. }
                | StoreError::Unsupported(_)
                | StoreError::Other(_),
            ) => StoreOutcome::Failed,
        }
    }
}

#[derive(Debug)]
struct Counters {
    outcomes: [Counter; StoreOutcome::ALL.len()],
    bytes: Counter,
    latencies: Latencies,
}

impl Counters {
    fn new() -> Counters {
        Counters {
            outcomes: StoreOutcome::ALL.map(|_| Counter::new()),
            bytes: Counter::new(),
            latencies: Latencies::new(),
        }
    }
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
    /// How long the requests took.
    pub latencies: LatencySnapshot,
    outcomes: [u64; StoreOutcome::ALL.len()],
}

impl OperationSnapshot {
    /// Requests that ended so.
    pub fn ended(&self, outcome: StoreOutcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// The latency that the given share (0.5, 0.99) of requests stayed below, within a fifth.
    pub fn latency_quantile(&self, share: f64) -> Duration {
        self.latencies.quantile(share)
    }

    /// What came between an `earlier` snapshot and this one.
    #[must_use]
    pub fn since(&self, earlier: &OperationSnapshot) -> OperationSnapshot {
        let mut outcomes = self.outcomes;
        for (now, then) in outcomes.iter_mut().zip(earlier.outcomes) {
            *now = now.saturating_sub(then);
        }
        OperationSnapshot {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            latencies: self.latencies.since(&earlier.latencies),
            outcomes,
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

    /// PUT requests of both kinds, of whole objects.
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
    begun: Instant,
    /// Milliseconds from `begun` to the last answer, and one; 0 before the first.
    answered_ms: AtomicU64,
}

impl Metered {
    /// Counts the requests to `inner` from now on.
    pub fn new(inner: Arc<dyn Store>, runtime: Runtime) -> Arc<Metered> {
        let (counters, begun) = (StoreOperation::ALL.map(|_| Counters::new()), runtime.monotonic());
        Arc::new(Metered { inner, runtime, counters, begun, answered_ms: AtomicU64::new(0) })
    }

    /// All counts until now.
    pub fn snapshot(&self) -> StoreSnapshot {
        let operations = self.counters.iter().map(|counters| {
            let outcomes = StoreOutcome::ALL.map(|outcome| counters.outcomes[outcome as usize].get());
            let requests = outcomes.iter().sum();
            OperationSnapshot {
                requests,
                errors: requests - outcomes[StoreOutcome::Done as usize],
                bytes: counters.bytes.get(),
                latencies: counters.latencies.snapshot(),
                outcomes,
            }
        });
        StoreSnapshot { operations: operations.collect() }
    }

    /// How long ago the store last served a request, whatever it had to say; `None` when it never has.
    pub fn answered_ago(&self) -> Option<Duration> {
        let answered_ms = self.answered_ms.load(Ordering::Relaxed).checked_sub(1)?;
        let answered = self.begun + Duration::from_millis(answered_ms);
        Some(self.runtime.monotonic().saturating_duration_since(answered))
    }

    fn count<T>(&self, operation: StoreOperation, begun: Instant, bytes: usize, result: &Result<T, StoreError>) {
        let counters = &self.counters[operation as usize];
        let (now, outcome) = (self.runtime.monotonic(), StoreOutcome::of(result));
        let latency = now.saturating_duration_since(begun);
        counters.outcomes[outcome as usize].increment();
        counters.bytes.add(bytes as u64);
        counters.latencies.record(latency);
        if outcome.is_answer() {
            let answered_ms = now.saturating_duration_since(self.begun).as_millis() as u64;
            self.answered_ms.fetch_max(answered_ms + 1, Ordering::Relaxed);
        }
        tracing::trace!(%operation, bytes, latency_us = latency.as_micros() as u64, outcome = outcome.name(), "store request");
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

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        let begun = self.runtime.monotonic();
        let result = self.inner.begin_upload(path).await;
        self.count(StoreOperation::BeginUpload, begun, 0, &result);
        result
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        let (begun, bytes) = (self.runtime.monotonic(), payload.len());
        let result = self.inner.put_part(path, upload, index, payload).await;
        self.count(StoreOperation::PutPart, begun, bytes, &result);
        result
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        let begun = self.runtime.monotonic();
        let result = self.inner.finish_upload(path, upload, parts).await;
        self.count(StoreOperation::FinishUpload, begun, 0, &result);
        result
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        let begun = self.runtime.monotonic();
        let result = self.inner.abort_upload(path, upload).await;
        self.count(StoreOperation::AbortUpload, begun, 0, &result);
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
    fn requests_bytes_errors_and_latency_are_counted() {
        Runtime::simulate(1, |runtime| async move {
            let model = super::super::Modelled::new(
                Arc::new(MemoryStore::new(runtime.clone())),
                super::super::StoreModel { tail_share: 0.0, spread: 0.0, ..super::super::StoreModel::s3() },
                runtime.clone(),
            );
            let store = Metered::new(model, runtime.clone());
            assert_eq!(store.answered_ago(), None);
            let path = StorePath::from("a");
            store.put_if_absent(&path, Payload::from(&b"four"[..])).await.unwrap();
            store.put_if_absent(&path, Payload::from(&b"four"[..])).await.unwrap_err();
            let before = store.snapshot();
            assert_eq!(&store.get_range(&path, 1..3).await.unwrap()[..], b"ou");
            let snapshot = store.snapshot();
            let puts = snapshot.of(StoreOperation::PutIfAbsent);
            assert_eq!((puts.requests, puts.errors, puts.bytes), (2, 1, 8));
            assert_eq!((puts.ended(StoreOutcome::Done), puts.ended(StoreOutcome::Lost)), (1, 1));
            let median_ms = puts.latency_quantile(0.5).as_millis();
            assert!((40..=50).contains(&median_ms), "{median_ms}");
            assert_eq!(store.answered_ago(), Some(Duration::ZERO));
            runtime.sleep(Duration::from_secs(9)).await;
            assert_eq!(store.answered_ago(), Some(Duration::from_secs(9)));
            let since = snapshot.since(&before);
            assert_eq!(
                (since.requests(), since.gets(), since.puts(), since.of(StoreOperation::GetRange).bytes),
                (1, 1, 0, 2)
            );
            assert_eq!(since.of(StoreOperation::List).latency_quantile(0.99), Duration::ZERO);
        });
    }
}
