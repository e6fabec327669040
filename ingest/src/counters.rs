//! What ingest counts, for those who watch a node.
//!
//! Invariant: every batch that a client sends ends in exactly one outcome.

use std::time::Duration;

use alluvium_infra::metrics::{Counter, Latencies, LatencySnapshot};

use crate::{AppendError, Appended};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// It is durable now.
    Appended,
    /// It was durable before.
    Duplicate,
    /// It breaks a rule, and nothing was written.
    Rejected,
    /// Nothing was written; trying again may help.
    Failed,
    /// Nobody knows whether it was written.
    Unknown,
}

impl BatchOutcome {
    /// All, in the order of their ordinals.
    pub const ALL: [BatchOutcome; 5] = [
        BatchOutcome::Appended,
        BatchOutcome::Duplicate,
        BatchOutcome::Rejected,
        BatchOutcome::Failed,
        BatchOutcome::Unknown,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BatchOutcome::Appended => "appended",
            BatchOutcome::Duplicate => "duplicate",
            BatchOutcome::Rejected => "rejected",
            BatchOutcome::Failed => "failed",
            BatchOutcome::Unknown => "unknown",
        }
    }

    fn of(result: &Result<Appended, AppendError>) -> BatchOutcome {
        match result {
            Ok(appended) if appended.duplicate => BatchOutcome::Duplicate,
            Ok(_) => BatchOutcome::Appended,
            Err(AppendError::TimedOutUnknown) => BatchOutcome::Unknown,
            Err(AppendError::Unavailable(_) | AppendError::ShuttingDown) => BatchOutcome::Failed,
            Err(_) => BatchOutcome::Rejected,
        }
    }
}

/// Where the bytes of a flush were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushKind {
    /// Into its entry.
    Inline,
    /// Into a segment of its own, first.
    Segment,
}

impl FlushKind {
    /// Both, in the order of their ordinals.
    pub const ALL: [FlushKind; 2] = [FlushKind::Inline, FlushKind::Segment];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FlushKind::Inline => "inline",
            FlushKind::Segment => "segment",
        }
    }
}

/// The counters of a node's ingest, over all shards.
#[derive(Debug, Default)]
pub struct IngestCounters {
    batches: [Counter; BatchOutcome::ALL.len()],
    records: Counter,
    record_bytes: Counter,
    flushes: [Counter; FlushKind::ALL.len()],
    flush_bytes: [Counter; FlushKind::ALL.len()],
    flush_latencies: Latencies,
}

impl IngestCounters {
    /// Batches that ended so.
    #[must_use]
    pub fn batches(&self, outcome: BatchOutcome) -> u64 {
        self.batches[outcome as usize].get()
    }

    /// Records of the batches that were appended.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.get()
    }

    /// Bytes of the batches that were appended.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        self.record_bytes.get()
    }

    /// Flushes that were begun.
    #[must_use]
    pub fn flushes(&self, kind: FlushKind) -> u64 {
        self.flushes[kind as usize].get()
    }

    /// Their bytes.
    #[must_use]
    pub fn flush_bytes(&self, kind: FlushKind) -> u64 {
        self.flush_bytes[kind as usize].get()
    }

    /// From the moment when a flush left the buffer until it was answered.
    #[must_use]
    pub fn flush_latencies(&self) -> LatencySnapshot {
        self.flush_latencies.snapshot()
    }

    pub(crate) fn ended(&self, result: &Result<Appended, AppendError>, records: u64, bytes: u64) {
        let outcome = BatchOutcome::of(result);
        self.batches[outcome as usize].increment();
        if outcome == BatchOutcome::Appended {
            self.records.add(records);
            self.record_bytes.add(bytes);
        }
    }

    pub(crate) fn flush_begun(&self, kind: FlushKind, bytes: u64) {
        self.flushes[kind as usize].increment();
        self.flush_bytes[kind as usize].add(bytes);
    }

    pub(crate) fn flush_answered(&self, latency: Duration) {
        self.flush_latencies.record(latency);
    }
}
