//! One partition: offsets, where their bytes are, and its idempotent producers.
//!
//! Invariants: runs are contiguous in offsets and end at the high watermark; the first run holds the log start offset
//! (unless the partition is empty); the high watermark never goes back; the last stable offset is the first offset of the
//! oldest open transaction, or the high watermark, and never goes back.

use alluvium_infra::store::StorePath;
use rpds::RedBlackTreeMapSync;
use uuid::Uuid;

use super::producer::ProducerState;
use crate::paths::ShardPaths;

/// The object that holds a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectRef {
    /// The data part of an entry.
    Entry(u64),
    /// A segment.
    Segment(Uuid),
}

impl ObjectRef {
    /// Where the object is.
    #[must_use]
    pub fn path(&self, paths: &ShardPaths) -> StorePath {
        match self {
            Self::Entry(number) => paths.entry(*number),
            Self::Segment(id) => paths.segment(*id),
        }
    }
}

/// Contiguous offsets in contiguous bytes of one object: whole batches whose stored base offsets count for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The object that holds the bytes.
    pub object: ObjectRef,
    /// First byte in the object.
    pub position: u64,
    /// Length in bytes.
    pub length: u32,
    /// Where the data of the segment ends, so that readers may read around the run; 0 for entries.
    pub segment_end: u64,
    /// Largest timestamp in the run.
    pub max_timestamp: i64,
}

/// A transaction that was aborted: readers of committed records pass over its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of the marker that ended it.
    pub last_offset: i64,
}

/// The state of a partition.
#[derive(Debug, Clone, Default)]
pub struct Partition {
    pub(crate) log_start_offset: i64,
    pub(crate) high_watermark: i64,
    pub(crate) runs: RedBlackTreeMapSync<i64, Run>,
    pub(crate) producers: RedBlackTreeMapSync<i64, ProducerState>,
    pub(crate) size_bytes: u64,
    /// Producers with an open transaction, by its first offset.
    pub(crate) open: RedBlackTreeMapSync<i64, i64>,
    /// By the offset of the marker.
    pub(crate) aborted: RedBlackTreeMapSync<i64, AbortedTransaction>,
}

impl Partition {
    /// First offset that readers see.
    #[must_use]
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// Offset that the next record gets: one more than the last durable one.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// First offset that a reader of committed records may not see yet. Without open transactions, the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        self.open.first().map_or(self.high_watermark, |(first, _)| (*first).max(self.log_start_offset))
    }

    /// Producer and first offset of each open transaction, by first offset.
    pub fn open_transactions(&self) -> impl Iterator<Item = (i64, i64)> {
        self.open.iter().map(|(first_offset, producer_id)| (*producer_id, *first_offset))
    }

    /// Aborted transactions with records from `offset` on and before `before_offset`, by the offset of their markers.
    pub fn aborted_transactions(&self, offset: i64, before_offset: i64) -> impl Iterator<Item = &AbortedTransaction> {
        self.aborted
            .range(offset..)
            .map(|(_, aborted)| aborted)
            .filter(move |aborted| aborted.first_offset < before_offset)
    }

    /// The run that holds `offset`.
    #[must_use]
    pub fn run_at(&self, offset: i64) -> Option<&Run> {
        let (_, run) = self.runs.range(..=offset).next_back()?;
        (run.last_offset >= offset).then_some(run)
    }

    /// The run that holds `offset` and all that follow.
    pub fn runs_from(&self, offset: i64) -> impl Iterator<Item = &Run> {
        let first = self.run_at(offset).map_or(offset, |run| run.base_offset);
        self.runs.range(first..).map(|(_, run)| run)
    }

    /// All runs, by offset.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values()
    }

    /// The first run that has a record with `timestamp` or a later one.
    #[must_use]
    pub fn first_run_with_timestamp(&self, timestamp: i64) -> Option<&Run> {
        self.runs.values().find(|run| run.max_timestamp >= timestamp && run.last_offset >= self.log_start_offset)
    }

    /// Bytes of all runs.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Idempotent producers, by id.
    pub fn producers(&self) -> impl Iterator<Item = (i64, &ProducerState)> {
        self.producers.iter().map(|(id, state)| (*id, state))
    }

    /// One idempotent producer.
    #[must_use]
    pub fn producer(&self, id: i64) -> Option<&ProducerState> {
        self.producers.get(&id)
    }

    pub(crate) fn push_run(&mut self, run: Run) {
        self.size_bytes += u64::from(run.length);
        self.high_watermark = run.last_offset + 1;
        self.runs.insert_mut(run.base_offset, run);
    }

    /// Takes note of what is known of a producer now.
    pub(crate) fn put_producer(&mut self, id: i64, state: ProducerState) {
        if let Some(open) = self.producers.get(&id).and_then(|known| known.transaction) {
            self.open.remove_mut(&open.first_offset);
        }
        if let Some(open) = state.transaction {
            self.open.insert_mut(open.first_offset, id);
        }
        self.producers.insert_mut(id, state);
    }

    /// Moves the log start offset and forgets runs and aborted transactions that end before it.
    pub(crate) fn move_log_start(&mut self, before_offset: i64) {
        self.log_start_offset = self.log_start_offset.max(before_offset);
        let gone: Vec<(i64, u32)> = self
            .runs
            .values()
            .take_while(|run| run.last_offset < self.log_start_offset)
            .map(|run| (run.base_offset, run.length))
            .collect();
        for (base_offset, length) in gone {
            self.runs.remove_mut(&base_offset);
            self.size_bytes -= u64::from(length);
        }
        let forgotten: Vec<i64> = self.aborted.range(..self.log_start_offset).map(|(marker, _)| *marker).collect();
        for marker in forgotten {
            self.aborted.remove_mut(&marker);
        }
    }
}
