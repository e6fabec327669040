//! One partition: offsets, where their bytes are, and its idempotent producers.
//!
//! Invariants: runs are contiguous in offsets and end at the high watermark; the first run holds the log start offset
//! (unless the partition is empty); the high watermark never goes back; the last stable offset is the first offset of the
//! oldest open transaction, or the high watermark, and never goes back.

use alluvium_infra::planted::{self, Bug};
use alluvium_infra::store::StorePath;
use alluvium_record::TopicPartition;
use rpds::RedBlackTreeMapSync;
use sha2::{Digest, Sha256};

use super::object::{ObjectRef, TablePlace};
use super::producer::ProducerState;
use crate::paths::ShardPaths;

/// Contiguous offsets in contiguous bytes of one object: whole batches whose stored base offsets count for nothing, or one whole
/// Parquet file.
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
    /// Sum of its batches (`alluvium_record::batch_sum`); 0 when unknown, and for Parquet files.
    pub sum: u64,
}

impl Run {
    /// Where its object is, if it has one.
    #[must_use]
    pub fn path(&self, topic_partition: TopicPartition, paths: &ShardPaths) -> Option<StorePath> {
        match self.object {
            ObjectRef::Entry(number) => Some(paths.entry(number)),
            ObjectRef::Segment(id) => Some(paths.segment(id)),
            ObjectRef::Table(id) => {
                let (base_offset, last_offset) = (self.base_offset, self.last_offset);
                Some(paths.table(TablePlace { topic_partition, base_offset, last_offset }, id))
            }
            ObjectRef::Nothing => None,
        }
    }
}

/// What is known of a run that is a Parquet file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableRun {
    /// How many records are in it.
    pub record_count: u64,
    /// Sum of its records.
    pub sum: u128,
    /// Length of its footer in bytes, with the eight bytes behind it.
    pub footer_bytes: u32,
    /// Smallest timestamp.
    pub min_timestamp: i64,
    /// When tombstones in it may go, milliseconds since 1970; `i64::MAX` when it was not compacted by key.
    pub tombstone_horizon_ms: i64,
}

/// A digest of runs, for saying which ones a job has read.
#[must_use]
pub fn runs_digest<'a>(runs: impl IntoIterator<Item = &'a Run>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for run in runs {
        hasher.update(run.base_offset.to_be_bytes());
        hasher.update(run.last_offset.to_be_bytes());
        match run.object {
            ObjectRef::Entry(number) => {
                hasher.update([0]);
                hasher.update(u128::from(number).to_be_bytes());
            }
            ObjectRef::Segment(id) => {
                hasher.update([1]);
                hasher.update(id.as_bytes());
            }
            ObjectRef::Table(id) => {
                hasher.update([2]);
                hasher.update(id.as_bytes());
            }
            ObjectRef::Nothing => hasher.update([3; 17]),
        }
        hasher.update(run.position.to_be_bytes());
        hasher.update(run.length.to_be_bytes());
        hasher.update(run.sum.to_be_bytes());
    }
    hasher.finalize().into()
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
    /// Of the runs that are Parquet files, by base offset.
    pub(crate) tables: RedBlackTreeMapSync<i64, TableRun>,
    /// Before this offset each key has at most one record, but for what `delete.retention.ms` keeps.
    pub(crate) cleaned_to: i64,
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
        if planted::is(Bug::OpenIsStable) {
            return self.high_watermark;
        }
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

    /// What is known of a run that is a Parquet file.
    #[must_use]
    pub fn table(&self, run: &Run) -> Option<&TableRun> {
        self.tables.get(&run.base_offset)
    }

    /// Before this offset records were compacted by key.
    #[must_use]
    pub fn cleaned_to(&self) -> i64 {
        self.cleaned_to
    }

    /// The runs between two offsets, when they begin and end there.
    #[must_use]
    pub fn runs_between(&self, base_offset: i64, last_offset: i64) -> Option<Vec<Run>> {
        let runs: Vec<Run> = self.runs.range(base_offset..=last_offset).map(|(_, run)| *run).collect();
        let fits = runs.first()?.base_offset == base_offset && runs.last()?.last_offset == last_offset;
        fits.then_some(runs)
    }

    /// Puts one run into the place of those with its offsets, and gives those back.
    pub(crate) fn replace_runs(&mut self, run: Run, table: Option<TableRun>) -> Vec<Run> {
        let gone = self.runs_between(run.base_offset, run.last_offset).unwrap_or_default();
        for old in &gone {
            self.forget_run(old);
        }
        self.size_bytes += u64::from(run.length);
        self.runs.insert_mut(run.base_offset, run);
        if let Some(table) = table {
            self.tables.insert_mut(run.base_offset, table);
        }
        // Files hold nothing of aborted transactions, and they are made from the front.
        let is_raw = |run: &&Run| matches!(run.object, ObjectRef::Entry(_) | ObjectRef::Segment(_));
        let first_raw = self.runs.values().find(is_raw).map_or(self.high_watermark, |run| run.base_offset);
        self.forget_aborted(first_raw);
        gone
    }

    fn forget_run(&mut self, run: &Run) {
        self.runs.remove_mut(&run.base_offset);
        self.tables.remove_mut(&run.base_offset);
        self.size_bytes -= u64::from(run.length);
    }

    fn forget_aborted(&mut self, before_offset: i64) {
        let forgotten: Vec<i64> = self.aborted.range(..before_offset).map(|(marker, _)| *marker).collect();
        for marker in forgotten {
            self.aborted.remove_mut(&marker);
        }
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

    /// Moves the log start offset, forgets runs and aborted transactions that end before it, and gives those runs back.
    pub(crate) fn move_log_start(&mut self, before_offset: i64) -> Vec<Run> {
        self.log_start_offset = self.log_start_offset.max(before_offset);
        let gone: Vec<Run> =
            self.runs.values().take_while(|run| run.last_offset < self.log_start_offset).copied().collect();
        for run in &gone {
            self.forget_run(run);
        }
        self.forget_aborted(self.log_start_offset);
        gone
    }
}
