//! A histogram of latencies: four buckets for each doubling, from a microsecond to about 71 minutes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets per doubling of the latency.
const BUCKETS_PER_DOUBLING: usize = 4;
/// From 1 us to about 71 minutes.
const BUCKETS: usize = 32 * BUCKETS_PER_DOUBLING;

/// Counts how often something took how long. About 1 KiB.
#[derive(Debug)]
pub struct Latencies {
    total_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

impl Latencies {
    /// Nothing counted yet.
    pub const fn new() -> Latencies {
        Latencies { total_us: AtomicU64::new(0), buckets: [const { AtomicU64::new(0) }; BUCKETS] }
    }

    /// Counts one.
    pub fn record(&self, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.total_us.fetch_add(latency_us, Ordering::Relaxed);
        self.buckets[bucket_of(latency_us)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> LatencySnapshot {
        LatencySnapshot {
            total: Duration::from_micros(self.total_us.load(Ordering::Relaxed)),
            buckets: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
        }
    }
}

/// Latencies that were counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    total: Duration,
    buckets: Vec<u64>,
}

impl LatencySnapshot {
    /// How many.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The latency that the given share (0.5, 0.99) stayed below, within a fifth.
    pub fn quantile(&self, share: f64) -> Duration {
        let total = self.count();
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

    /// How many took less than two to the power of `doubling` microseconds, for doublings from 0 to 32.
    pub(super) fn below_doubling(&self, doubling: usize) -> u64 {
        self.buckets.iter().take(doubling * BUCKETS_PER_DOUBLING).sum()
    }

    /// These and those of another place.
    #[must_use]
    pub fn plus(&self, other: &LatencySnapshot) -> LatencySnapshot {
        let (longer, shorter) = if self.buckets.len() >= other.buckets.len() { (self, other) } else { (other, self) };
        let beside = shorter.buckets.iter().copied().chain(std::iter::repeat(0));
        LatencySnapshot {
            total: self.total.saturating_add(other.total),
            buckets: longer.buckets.iter().zip(beside).map(|(one, two)| one.saturating_add(two)).collect(),
        }
    }

    /// What came between an `earlier` snapshot and this one.
    #[must_use]
    pub fn since(&self, earlier: &LatencySnapshot) -> LatencySnapshot {
        let then = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        LatencySnapshot {
            total: self.total.saturating_sub(earlier.total),
            buckets: self.buckets.iter().zip(then).map(|(now, then)| now.saturating_sub(then)).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_below_a_doubling_is_exactly_that() {
        let latencies = Latencies::new();
        for latency_us in [0, 1, 1_023, 1_024, 1_025, 4_000_000] {
            latencies.record(Duration::from_micros(latency_us));
        }
        let snapshot = latencies.snapshot();
        assert_eq!((snapshot.below_doubling(1), snapshot.below_doubling(10), snapshot.below_doubling(11)), (2, 3, 5));
        assert_eq!((snapshot.below_doubling(32), snapshot.count()), (6, 6));
        assert_eq!(snapshot.total(), Duration::from_micros(4_003_073));
    }

    #[test]
    fn quantiles_of_what_came_since() {
        let latencies = Latencies::new();
        assert_eq!(latencies.snapshot().quantile(0.99), Duration::ZERO);
        latencies.record(Duration::from_secs(100));
        let before = latencies.snapshot();
        (0..100).for_each(|_| latencies.record(Duration::from_millis(10)));
        let since = latencies.snapshot().since(&before);
        assert_eq!(since.count(), 100);
        assert!((10..13).contains(&since.quantile(0.99).as_millis()), "{:?}", since.quantile(0.99));
        let all = LatencySnapshot::default().plus(&before).plus(&since);
        assert_eq!(all, latencies.snapshot());
    }
}
