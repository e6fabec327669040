//! Numbers for those who run a node: counters, latencies, and the text that a monitoring system reads.
//!
//! A room owns plain [`Counter`]s and [`Latencies`] beside what they count and knows nothing of names; whoever answers a scrape
//! reads them and writes an [`Exposition`] of defined [`Metric`]s. There is no global registry, so that several nodes can
//! live in one process.
//!
//! Invariants:
//! 1. Counting never waits, never allocates and costs a few atomic additions.
//! 2. Every sample belongs to a defined metric and has exactly its labels; a metric is written once in an exposition.

mod exposition;
mod latencies;

use std::sync::atomic::{AtomicU64, Ordering};

pub use exposition::{Exposition, Family, Metric, MetricKind, Number};
pub use latencies::{Latencies, LatencySnapshot};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count until now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
