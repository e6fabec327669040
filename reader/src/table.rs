//! Record batches out of Parquet files, which hold what was retained.
//!
//! Owns: open files (footers) and row groups that were made into record batches again, each as one block of a cache.
//!
//! Invariants: 11, a record comes out as it went in, in the batch that it came in, at its offset; where no record is left, a batch
//! without records goes to the end of the run, so that a consumer gets past it (as Kafka does it); a row group is read and
//! decoded once however many ask, away from the tasks; memory is bounded by the caches and by the reads in flight; what is made ready
//! for consumers never takes the room of what they are reading, nor all processors ([`crate::ahead`]).

use std::sync::Arc;

use alluvium_infra::store::{StoreError, StorePath};
use alluvium_infra::{Buffers, Runtime};
use alluvium_log::{Log, ObjectRef};
use alluvium_record::{Attributes, BatchFrame, BatchRebuilder, Compression, Offset};
use alluvium_table::{OpenTableError, ReadTableError, RowGroupFacts, StoreFile, TableReader};
use bytes::Bytes;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::ReaderSettings;
use crate::ahead::{self, Ahead, RowGroupKey};
use crate::assemble::{Batches, RunBytes};
use crate::counters::{CacheKind, ReaderCounters};
use crate::scan::RunAt;
use crate::source::LoadError;

/// Row groups that are made ready while a consumer takes the one before.
const ROW_GROUPS_AHEAD: usize = 2;
/// The share of the cache of row groups that those take that nobody has come for yet.
const AHEAD_SHARE: u64 = 4;
/// The share of the cache of row groups that buffers take beside it that wait for the next row groups.
const BUFFERS_SHARE: u64 = 4;

/// Which records of a file are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// From this offset on.
    pub(crate) offset: Offset,
    /// Until there are so many bytes; at least one row group is read.
    pub(crate) bytes_max: usize,
}

/// Reads files.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    log: Log,
    runtime: Runtime,
    open: Cache<Uuid, TableReader>,
    row_groups: Cache<RowGroupKey, Bytes>,
    buffers: Buffers,
    ahead: Arc<Ahead>,
    reads: Arc<Semaphore>,
    reads_ahead: Arc<Semaphore>,
    counters: Arc<ReaderCounters>,
}

impl From<OpenTableError> for LoadError {
    fn from(error: OpenTableError) -> Self {
        match error {
            OpenTableError::Store(error) => Self::Store(error),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

impl From<ReadTableError> for LoadError {
    fn from(error: ReadTableError) -> Self {
        match error {
            ReadTableError::Store(error) => Self::Store(error),
            ReadTableError::CutOff(reason) => Self::Store(StoreError::Other(reason)),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

impl Tables {
    pub(crate) fn new(
        log: Log,
        settings: &ReaderSettings,
        runtime: Runtime,
        reads: Arc<Semaphore>,
        reads_ahead: Arc<Semaphore>,
        counters: Arc<ReaderCounters>,
    ) -> Self {
        let open = Cache::builder()
            .max_capacity(settings.footer_cache_bytes_max())
            .weigher(|_, reader: &TableReader| u32::try_from(reader.memory_bytes()).unwrap_or(u32::MAX))
            .build();
        let bytes_max = settings.row_group_cache_bytes_max();
        let ahead = Arc::new(Ahead::new(bytes_max / AHEAD_SHARE, runtime.compute_threads()));
        let buffers = Buffers::new(usize::try_from(bytes_max / BUFFERS_SHARE).unwrap_or(usize::MAX));
        let evicted = ahead.clone();
        // Consumers go through a file once: what was asked for often is no more likely to be asked for again than what is new.
        let row_groups = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, block: &Bytes| u32::try_from(block.len().max(1)).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |key: Arc<RowGroupKey>, _, _| evicted.give_back(&key))
            .build();
        Self { log, runtime, open, row_groups, buffers, ahead, reads, reads_ahead, counters }
    }

    /// Bytes of batches that are kept.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.row_groups.weighted_size()
    }

    /// Batches from the one with the wanted offset, or the first behind it, on.
    pub(crate) async fn read(&self, at: &RunAt, wanted: Wanted) -> Result<RunBytes, LoadError> {
        let Some(reader) = self.reader(at).await? else {
            let slices = vec![empty(at.run.base_offset, at.run.last_offset)];
            return Ok(RunBytes { slices, placed: true, complete: true });
        };
        let groups = reader.row_groups();
        let mut next = reader.row_group_of(wanted.offset).unwrap_or(groups.len());
        let mut slices = Vec::new();
        let mut bytes = 0;
        while next < groups.len() && (slices.is_empty() || bytes < wanted.bytes_max) {
            let block = self.block(at, &reader, next).await?;
            bytes += bytes_from(&block, wanted.offset);
            slices.push(block);
            next += 1;
        }
        let complete = next == groups.len();
        if complete {
            let last = last_offset_of(slices.last()).or(groups.last().map(|group| group.last_offset));
            let behind = last.map_or(at.run.base_offset, |last| last + 1).max(at.run.base_offset);
            if behind <= at.run.last_offset {
                slices.push(empty(behind, at.run.last_offset));
            }
        } else {
            self.read_ahead(at, &reader, next);
        }
        Ok(RunBytes { slices, placed: true, complete })
    }

    /// The row groups of a file; none of a run without records.
    pub(crate) async fn row_groups(&self, at: &RunAt) -> Result<Vec<RowGroupFacts>, LoadError> {
        Ok(self.reader(at).await?.map(|reader| reader.row_groups().to_vec()).unwrap_or_default())
    }

    /// Batches of one of them.
    pub(crate) async fn row_group(&self, at: &RunAt, index: usize) -> Result<RunBytes, LoadError> {
        let slices = match self.reader(at).await? {
            Some(reader) => vec![self.block(at, &reader, index).await?],
            None => Vec::new(),
        };
        Ok(RunBytes { slices, placed: true, complete: true })
    }

    /// The open file; `None` for a run without records.
    pub(crate) async fn reader(&self, at: &RunAt) -> Result<Option<TableReader>, LoadError> {
        let ObjectRef::Table(id) = at.run.object else { return Ok(None) };
        let opened = self.open.try_get_with(id, async {
            let _permit = self.reads.acquire().await;
            let store = self.log.store().clone();
            let file = Arc::new(StoreFile { store, path: self.path(at)? });
            let footer_bytes = at.table.map(|table| u64::from(table.footer_bytes));
            let reader = TableReader::open(file, u64::from(at.run.length), footer_bytes).await?;
            reader.expect(at.topic_partition, at.run.base_offset, at.run.last_offset)?;
            Ok::<_, LoadError>(reader)
        });
        opened.await.map(Some).map_err(|error: Arc<LoadError>| (*error).clone())
    }

    fn path(&self, at: &RunAt) -> Result<StorePath, LoadError> {
        let paths = self.log.paths().shard(at.shard);
        at.run.path(at.topic_partition, &paths).ok_or_else(|| LoadError::Corrupt("run has no object".to_owned()))
    }

    /// One row group as record batches, from the cache or from the file.
    async fn block(&self, at: &RunAt, reader: &TableReader, index: usize) -> Result<Bytes, LoadError> {
        let ObjectRef::Table(id) = at.run.object else {
            return Err(LoadError::Corrupt("run has no object".to_owned()));
        };
        self.ahead.give_back(&(id, index));
        let cached = self.row_groups.get(&(id, index)).await;
        self.counters.asked(CacheKind::Replay, cached.is_some());
        if let Some(block) = cached {
            return Ok(block);
        }
        // In a task of its own: others may wait for the same row group when this caller goes away.
        let loading = self.clone().load((id, index), reader.clone(), None);
        match self.runtime.spawn("read row group", loading).await {
            Ok(result) => result,
            Err(error) => Err(LoadError::Store(StoreError::Other(format!("read was aborted: {error}")))),
        }
    }

    /// With `ahead` nobody waits for it: it waits for its turn until somebody does.
    async fn load(
        self,
        key: RowGroupKey,
        reader: TableReader,
        ahead: Option<ahead::Demand>,
    ) -> Result<Bytes, LoadError> {
        let result = self.row_groups.try_get_with(key, async {
            let _permit = self.reads.acquire().await;
            let encoded = reader.fetch_row_group(&self.runtime, key.1).await?;
            let _turn = match &ahead {
                Some(demand) => self.ahead.turn(demand).await,
                None => None,
            };
            let rows = encoded.decode(&self.runtime).await?;
            let buffers = self.buffers.clone();
            let rebuilt = self.runtime.compute(move || rows.into_batch_bytes(&buffers)).await;
            let block = rebuilt.map_err(|error| LoadError::Store(StoreError::Other(error.to_string())))?;
            block.map_err(|error| LoadError::Corrupt(error.to_string()))
        });
        let result = result.await.map_err(|error: Arc<LoadError>| (*error).clone());
        // The cache keeps to its budget only when it tidies up; beside a read from the store that costs nothing.
        self.row_groups.run_pending_tasks().await;
        result
    }

    /// Makes the first row group of a file ready.
    pub(crate) fn prepare(&self, at: RunAt) {
        let ObjectRef::Table(id) = at.run.object else { return };
        if self.row_groups.contains_key(&(id, 0)) {
            return;
        }
        let tables = self.clone();
        drop(self.runtime.spawn("open table ahead", async move {
            // Whoever comes for it sees what is wrong.
            if let Ok(Some(reader)) = tables.reader(&at).await {
                tables.read_ahead(&at, &reader, 0);
            }
        }));
    }

    fn read_ahead(&self, at: &RunAt, reader: &TableReader, from: usize) {
        let ObjectRef::Table(id) = at.run.object else { return };
        for index in from..(from + ROW_GROUPS_AHEAD).min(reader.row_groups().len()) {
            if self.row_groups.contains_key(&(id, index)) {
                continue;
            }
            let Ok(permit) = self.reads_ahead.clone().try_acquire_owned() else { return };
            let raw_bytes = reader.row_groups()[index].raw_bytes;
            let Some(demand) = self.ahead.take((id, index), raw_bytes) else { return };
            let reading = self.clone().load((id, index), reader.clone(), Some(demand));
            let ahead = self.ahead.clone();
            drop(self.runtime.spawn("read row group ahead", async move {
                if reading.await.is_err() {
                    ahead.give_back(&(id, index));
                }
                drop(permit);
            }));
        }
    }
}

/// Bytes of the batches that end at `offset` or behind it.
fn bytes_from(block: &Bytes, offset: Offset) -> usize {
    let batches = Batches::placed(vec![block.clone()]);
    batches.flatten().filter(|batch| batch.header.last_offset() >= offset).map(|batch| batch.total_bytes()).sum()
}

fn last_offset_of(block: Option<&Bytes>) -> Option<Offset> {
    let batches = Batches::placed(vec![block?.clone()]);
    batches.flatten().last().map(|batch| batch.header.last_offset())
}

/// Batches without records over these offsets.
fn empty(base_offset: Offset, last_offset: Offset) -> Bytes {
    const OFFSETS_MAX: Offset = i32::MAX as Offset;
    let mut rebuilder = BatchRebuilder::new(Compression::None, 64);
    let mut base_offset = base_offset;
    while base_offset <= last_offset {
        let end = last_offset.min(base_offset.saturating_add(OFFSETS_MAX));
        let frame = BatchFrame {
            base_offset,
            last_offset: end,
            attributes: Attributes::default(),
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
        };
        // Offsets that the log gave out are in range.
        if rebuilder.begin(frame).is_err() {
            break;
        }
        base_offset = end + 1;
    }
    let mut bytes = Vec::new();
    rebuilder.finish().iter().for_each(|batch| bytes.extend_from_slice(&batch.bytes));
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_passed_by_batches_without_records() {
        for (base, last) in [(7, 7), (0, 1 << 20), (5, 5 + (1_i64 << 33)), (i64::MAX - 3, i64::MAX - 1)] {
            let mut next = base;
            for batch in Batches::placed(vec![empty(base, last)]) {
                let batch = batch.expect("whole");
                assert_eq!((batch.header.base_offset, batch.header.record_count), (next, 0));
                next = batch.header.last_offset() + 1;
                batch.contiguous().verify_crc().expect("checksum holds");
            }
            assert_eq!(next, last + 1);
        }
    }
}
