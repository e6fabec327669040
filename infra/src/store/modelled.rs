//! A store that takes as long as S3 takes, in front of any other: for measuring and for simulation.
//!
//! The model: each kind of request has a median latency with a spread around it (log-normal) and a tail; each transfer runs at
//! the bandwidth of one connection, and all transfers together share the bandwidth of the machine. A write takes effect after
//! three quarters of its latency, so that racing writers meet as they do on S3. Times are drawn from the runtime, so one seed
//! gives one run.
//!
//! In a URL: `model+file:///folder`, `model+memory://`, `model+s3://bucket/prefix`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{ListPage, PartId, Payload, Store, StoreError, StorePath, UploadId};
use crate::Runtime;
use crate::runtime::Instant;

/// How fast the modelled store is.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreModel {
    /// Median latency of a PUT, without the transfer.
    pub put: Duration,
    /// Median latency of a GET, without the transfer.
    pub get: Duration,
    /// Median latency of a LIST.
    pub list: Duration,
    /// Median latency of a DELETE.
    pub delete: Duration,
    /// The standard deviation of the logarithm of the latency.
    pub spread: f64,
    /// The share of requests in the tail.
    pub tail_share: f64,
    /// How many times the median a request in the tail takes.
    pub tail_factor: f64,
    /// Bytes per second of one transfer.
    pub request_bytes_per_second: f64,
    /// Bytes per second of all transfers together.
    pub total_bytes_per_second: f64,
}

impl StoreModel {
    /// S3 standard, in the same region: PUT 40 ms, GET 18 ms, 1 % of requests at four times that, 80 MB/s per request and
    /// 1 GB/s in all.
    pub fn s3() -> StoreModel {
        StoreModel {
            put: Duration::from_millis(40),
            get: Duration::from_millis(18),
            list: Duration::from_millis(30),
            delete: Duration::from_millis(20),
            spread: 0.15,
            tail_share: 0.01,
            tail_factor: 4.0,
            request_bytes_per_second: 80e6,
            total_bytes_per_second: 1e9,
        }
    }
}

/// The share of a write's latency after which it takes effect.
const EFFECT_SHARE: f64 = 0.75;

/// A store that answers as slowly as its model says, or as slowly as the store behind it, whichever is slower.
#[derive(Debug)]
pub struct Modelled {
    inner: Arc<dyn Store>,
    model: StoreModel,
    runtime: Runtime,
    /// When the shared bandwidth is free again.
    line_free: Mutex<Option<Instant>>,
}

impl Modelled {
    /// Puts `model` in front of `inner`.
    pub fn new(inner: Arc<dyn Store>, model: StoreModel, runtime: Runtime) -> Arc<Modelled> {
        Arc::new(Modelled { inner, model, runtime, line_free: Mutex::new(None) })
    }

    fn latency(&self, median: Duration) -> Duration {
        if self.runtime.random_fraction() < self.model.tail_share {
            return median.mul_f64(self.model.tail_factor);
        }
        // Box and Muller: two uniform numbers make a normal one.
        let radius = (-2.0 * (1.0 - self.runtime.random_fraction()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.runtime.random_fraction()).cos();
        median.mul_f64((normal.clamp(-3.0, 3.0) * self.model.spread).exp())
    }

    /// How long `bytes` take, beginning now, behind all transfers that have begun.
    fn transfer(&self, bytes: usize) -> Duration {
        let now = self.runtime.monotonic();
        let mut line_free = self.line_free.lock();
        let begins = line_free.map_or(now, |free| free.max(now));
        let free = begins + Duration::from_secs_f64(bytes as f64 / self.model.total_bytes_per_second);
        *line_free = Some(free);
        let alone = Duration::from_secs_f64(bytes as f64 / self.model.request_bytes_per_second);
        alone.max(free.saturating_duration_since(now))
    }

    async fn write<T>(&self, median: Duration, bytes: usize, effect: impl Future<Output = T>) -> T {
        let begun = self.runtime.monotonic();
        let transfer = self.transfer(bytes);
        let latency = self.latency(median);
        self.runtime.sleep_until(begun + transfer + latency.mul_f64(EFFECT_SHARE)).await;
        let result = effect.await;
        self.runtime.sleep_until(begun + transfer + latency).await;
        result
    }

    async fn read(&self, read: impl Future<Output = Result<Bytes, StoreError>>) -> Result<Bytes, StoreError> {
        let begun = self.runtime.monotonic();
        let latency = self.latency(self.model.get);
        let result = read.await;
        let transfer = self.transfer(result.as_ref().map_or(0, Bytes::len));
        self.runtime.sleep_until(begun + latency + transfer).await;
        result
    }
}

#[async_trait]
impl Store for Modelled {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        self.write(self.model.put, payload.len(), self.inner.put_if_absent(path, payload)).await
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        self.write(self.model.put, payload.len(), self.inner.put(path, payload)).await
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        self.read(self.inner.get(path)).await
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.read(self.inner.get_range(path, range)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        self.write(self.model.list, 0, self.inner.list(prefix, start_after, limit)).await
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        self.write(self.model.delete, 0, self.inner.delete(path)).await
    }

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        self.write(self.model.put, 0, self.inner.begin_upload(path)).await
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        self.write(self.model.put, payload.len(), self.inner.put_part(path, upload, index, payload)).await
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        self.write(self.model.put, 0, self.inner.finish_upload(path, upload, parts)).await
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        self.write(self.model.delete, 0, self.inner.abort_upload(path, upload)).await
    }

    fn clock_ms(&self) -> Option<i64> {
        self.inner.clock_ms()
    }

    fn describe(&self) -> String {
        format!("{}, as slow as S3", self.inner.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn s3(runtime: &Runtime) -> Arc<Modelled> {
        Modelled::new(Arc::new(MemoryStore::new(runtime.clone())), StoreModel::s3(), runtime.clone())
    }

    fn put_times_ms(seed: u64) -> Vec<u128> {
        Runtime::simulate(seed, |runtime| async move {
            let store = s3(&runtime);
            let mut times = Vec::new();
            for number in 0..1000 {
                let begun = runtime.monotonic();
                store.put(&StorePath::from(format!("x/{number}")), Payload::from(&b"x"[..])).await.unwrap();
                times.push((runtime.monotonic() - begun).as_millis());
            }
            times.sort_unstable();
            times
        })
    }

    #[test]
    fn puts_take_as_long_as_on_s3_and_one_seed_gives_one_run() {
        let times = put_times_ms(11);
        assert!((38..=43).contains(&times[500]), "median {}", times[500]);
        assert!((150..=165).contains(&times[999]), "slowest {}", times[999]);
        let tail = times.iter().filter(|time| **time > 100).count();
        assert!((3..=25).contains(&tail), "tail {tail}");
        assert_eq!(times, put_times_ms(11));
        assert_ne!(times, put_times_ms(12));
    }

    #[test]
    fn bandwidth_is_limited_per_request_and_in_all() {
        Runtime::simulate(5, |runtime| async move {
            let store = s3(&runtime);
            let megabytes_8 = Bytes::from(vec![0; 8_000_000]);
            let begun = runtime.monotonic();
            store.put(&StorePath::from("a"), megabytes_8.clone().into()).await.unwrap();
            let alone = runtime.monotonic() - begun;
            assert!((120..=270).contains(&alone.as_millis()), "{alone:?}");
            let begun = runtime.monotonic();
            let tasks: Vec<_> = (0..100)
                .map(|number| {
                    let (store, payload) = (Arc::clone(&store), Payload::from(megabytes_8.clone()));
                    runtime
                        .spawn("put", async move { store.put(&StorePath::from(format!("b/{number}")), payload).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            let together = runtime.monotonic() - begun;
            assert!((800..=970).contains(&together.as_millis()), "{together:?}");
        });
    }
}
