//! Where the bytes of a run come from: the tail in memory, then a cache of blocks, then one ranged GET.
//!
//! Owns two caches with byte budgets: one for consumers near the end, one with read-ahead for those far behind, so that a
//! replay does not evict what the others read.
//!
//! Invariants: what comes from the store is verified before it is served, and read once more when it arrived damaged; a
//! block is read once however many ask (single flight); a read survives whoever asked for it first; reads in flight are
//! bounded; blocks are weighed by their allocation.

use std::ops::Range;
use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::limits::BLOCK_BYTES;
use alluvium_infra::store::StoreError;
use alluvium_log::format::ENVELOPE_HEADER_BYTES;
use alluvium_log::{Log, ObjectRef, Run};
use alluvium_record::ShardId;
use bytes::Bytes;
use futures_util::future::try_join_all;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;

use crate::assemble::{Batches, RunBytes};
use crate::counters::{CacheKind, ReaderCounters};
use crate::plan::PartitionPlan;
use crate::scan::RunAt;
use crate::table::{Tables, Wanted};
use crate::{ReadError, ReaderSettings};

const DATA_START: u64 = ENVELOPE_HEADER_BYTES as u64;
/// How often an entry is read before it is called damaged.
const ENTRY_READS_MAX: u32 = 3;

/// Which consumers a read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Near the end.
    Live,
    /// Far behind.
    Replay,
}

/// A block of a shard's object's data; entries are one block, whatever their size.
type BlockKey = (ShardId, ObjectRef, u64);

#[derive(Debug, Clone)]
pub(crate) struct Source {
    log: Log,
    runtime: Runtime,
    live: Cache<BlockKey, Bytes>,
    replay: Cache<BlockKey, Bytes>,
    tables: Tables,
    reads: Arc<Semaphore>,
    reads_ahead: Arc<Semaphore>,
    counters: Arc<ReaderCounters>,
}

/// Why a block could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Corrupt(String),
}

impl From<LoadError> for ReadError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Corrupt(reason) => Self::Corrupt(reason),
            LoadError::Store(error) => Self::Storage(error.to_string()),
        }
    }
}

impl Source {
    pub(crate) fn new(log: Log, settings: &ReaderSettings, runtime: Runtime, counters: Arc<ReaderCounters>) -> Self {
        let reads = Arc::new(Semaphore::new(settings.reads_in_flight_max.max(1)));
        // A share only, so that those who wait for their bytes come first.
        let reads_ahead = Arc::new(Semaphore::new((settings.reads_in_flight_max / 4).max(1)));
        let (live, replay) = (
            cache(settings.block_cache_bytes_max, EvictionPolicy::tiny_lfu()),
            // Read once, from one end to the other.
            cache(settings.replay_block_cache_bytes_max(), EvictionPolicy::lru()),
        );
        let tables =
            Tables::new(log.clone(), settings, runtime.clone(), reads.clone(), reads_ahead.clone(), counters.clone());
        Self { counters, log, runtime, live, replay, tables, reads, reads_ahead }
    }

    pub(crate) fn cached_bytes(&self) -> (u64, u64) {
        (self.live.weighted_size(), self.replay.weighted_size() + self.tables.cached_bytes())
    }

    /// Batches of a run: all of them, or of a file enough from the wanted offset on.
    pub(crate) async fn read(&self, at: &RunAt, wanted: Wanted, pool: Pool) -> Result<RunBytes, LoadError> {
        match at.run.object {
            ObjectRef::Entry(_) | ObjectRef::Segment(_) => {
                self.read_raw(at.shard, &at.run, pool).await.map(RunBytes::dense)
            }
            ObjectRef::Table(_) | ObjectRef::Nothing => self.tables.read(at, wanted).await,
        }
    }

    /// Files, and what was read of them.
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The bytes of a run, in order, in as many slices as they happen to lie in.
    pub(crate) async fn read_raw(&self, shard: ShardId, run: &Run, pool: Pool) -> Result<Vec<Bytes>, LoadError> {
        let length = u64::from(run.length);
        let open = self.log.shard(shard);
        let in_tail = open.and_then(|open| open.tail().slices(run.object, run.position, length));
        self.counters.asked(CacheKind::Tail, in_tail.is_some());
        if let Some(slices) = in_tail {
            return Ok(slices);
        }
        match run.object {
            ObjectRef::Entry(_) => {
                let data = self.block((shard, run.object, 0), 0..0, pool).await?;
                let from = (run.position - DATA_START) as usize;
                slice(&data, from, run.length as usize).map(|slice| vec![slice])
            }
            ObjectRef::Table(_) | ObjectRef::Nothing => Err(no_blocks()),
            ObjectRef::Segment(_) => {
                match self.read_segment(shard, run, pool).await.and_then(|slices| verified(slices, run)) {
                    Err(LoadError::Corrupt(reason)) => {
                        tracing::warn!(object = ?run.object, offset = run.base_offset, reason, "run arrived damaged: reading it again");
                        self.forget(shard, run).await;
                        let again = self.read_segment(shard, run, pool).await.and_then(|slices| verified(slices, run));
                        if again.is_err() {
                            self.forget(shard, run).await;
                        }
                        again
                    }
                    result => result,
                }
            }
        }
    }

    /// Drops the blocks of a run, so that damage is not kept.
    async fn forget(&self, shard: ShardId, run: &Run) {
        let end = run.position + u64::from(run.length);
        for index in block_of(run.position)..=block_of(end - 1) {
            self.live.invalidate(&(shard, run.object, index)).await;
            self.replay.invalidate(&(shard, run.object, index)).await;
        }
    }

    async fn read_segment(&self, shard: ShardId, run: &Run, pool: Pool) -> Result<Vec<Bytes>, LoadError> {
        let end = run.position + u64::from(run.length);
        if run.position < DATA_START || end > run.segment_end {
            return Err(LoadError::Corrupt("run lies outside its segment".to_owned()));
        }
        let first = block_of(run.position);
        let last = block_of(end - 1);
        let blocks = try_join_all(
            (first..=last)
                .map(|index| self.block((shard, run.object, index), block_range(index, run.segment_end), pool)),
        )
        .await?;
        let mut slices = Vec::with_capacity(blocks.len());
        for (index, block) in (first..=last).zip(blocks) {
            let range = block_range(index, run.segment_end);
            let from = run.position.max(range.start);
            let to = end.min(range.end);
            slices.push(slice(&block, (from - range.start) as usize, (to - from) as usize)?);
        }
        Ok(slices)
    }

    /// Starts reading what a consumer asks for next, unless it is at hand or enough is being read ahead already: nobody waits for
    /// it, and it waits for nobody.
    pub(crate) fn read_ahead(&self, plan: &PartitionPlan) {
        let (shard, pool) = (plan.shard, plan.pool);
        let Some(open) = self.log.shard(shard) else { return };
        let mut started = None;
        for run in plan.ahead.iter().filter(|run| !open.tail().contains(run.object)) {
            if matches!(run.object, ObjectRef::Table(_) | ObjectRef::Nothing) {
                self.tables.prepare(plan.at(run));
                continue;
            }
            let (object, first, last) = blocks_of(run);
            for index in first..=last {
                let key = (shard, object, index);
                if started == Some(key) || self.replay.contains_key(&key) || self.live.contains_key(&key) {
                    continue;
                }
                let Ok(permit) = self.reads_ahead.clone().try_acquire_owned() else { return };
                started = Some(key);
                let range = match object {
                    ObjectRef::Entry(_) | ObjectRef::Table(_) | ObjectRef::Nothing => 0..0,
                    ObjectRef::Segment(_) => block_range(index, run.segment_end),
                };
                let reading = self.clone().load(key, range, pool);
                drop(self.runtime.spawn("read ahead", async move {
                    let _loaded = reading.await;
                    drop(permit);
                }));
            }
        }
    }

    async fn block(&self, key: BlockKey, range: Range<u64>, pool: Pool) -> Result<Bytes, LoadError> {
        // What the others have at hand serves too: a replay that comes near the end goes on with what was read for it.
        let (own, other) = match pool {
            Pool::Live => (&self.live, &self.replay),
            Pool::Replay => (&self.replay, &self.live),
        };
        let cached = match own.get(&key).await {
            Some(block) => Some(block),
            None => other.get(&key).await,
        };
        let cache = match pool {
            Pool::Live => CacheKind::Live,
            Pool::Replay => CacheKind::Replay,
        };
        self.counters.asked(cache, cached.is_some());
        if let Some(block) = cached {
            return Ok(block);
        }
        // In a task of its own: others may wait for the same block when this caller goes away.
        let loading = self.clone().load(key, range, pool);
        match self.runtime.spawn("read block", loading).await {
            Ok(result) => result,
            Err(error) => Err(LoadError::Store(StoreError::Other(format!("read was aborted: {error}")))),
        }
    }

    async fn load(self, key: BlockKey, range: Range<u64>, pool: Pool) -> Result<Bytes, LoadError> {
        let cache = match pool {
            Pool::Live => &self.live,
            Pool::Replay => &self.replay,
        };
        let result = cache.try_get_with(key, self.get(key, range)).await;
        // The cache keeps to its budget only when it tidies up; beside a read from the store that costs nothing.
        cache.run_pending_tasks().await;
        result.map_err(|error: Arc<LoadError>| (*error).clone())
    }

    async fn get(&self, (shard, object, _): BlockKey, range: Range<u64>) -> Result<Bytes, LoadError> {
        let _permit = self.reads.acquire().await;
        let paths = self.log.paths().shard(shard);
        match object {
            ObjectRef::Entry(number) => {
                let path = paths.entry(number);
                let mut reads = 1;
                loop {
                    let bytes = self.log.store().get(&path).await?;
                    match alluvium_log::format::entry::decode(&bytes) {
                        Ok(entry) => return Ok(entry.data),
                        Err(error) if reads < ENTRY_READS_MAX && error.is_damage() => {
                            tracing::warn!(%path, %error, "entry arrived damaged: reading it again");
                        }
                        Err(error) => return Err(LoadError::Corrupt(format!("{path}: {error}"))),
                    }
                    reads += 1;
                }
            }
            ObjectRef::Segment(id) => Ok(self.log.store().get_range(&paths.segment(id), range).await?),
            ObjectRef::Table(_) | ObjectRef::Nothing => Err(no_blocks()),
        }
    }
}

/// A part of a segment carries no checksum of its own, but its batches do; and they cover exactly the run's offsets.
fn verified(slices: Vec<Bytes>, run: &Run) -> Result<Vec<Bytes>, LoadError> {
    let corrupt = |error: &dyn std::fmt::Display| LoadError::Corrupt(error.to_string());
    let mut next = run.base_offset;
    for batch in Batches::new(slices.clone(), run.base_offset) {
        let batch = batch.map_err(|error| corrupt(&error))?.contiguous();
        batch.verify_crc().map_err(|error| corrupt(&error))?;
        next = batch.header.next_offset();
    }
    if next != run.last_offset + 1 {
        return Err(corrupt(&"batches do not end where their run ends"));
    }
    Ok(slices)
}

/// Files are read by row groups, see [`Tables`].
fn no_blocks() -> LoadError {
    LoadError::Corrupt("a run that is no raw bytes is read as such".to_owned())
}

fn cache(bytes_max: u64, policy: EvictionPolicy) -> Cache<BlockKey, Bytes> {
    Cache::builder()
        .max_capacity(bytes_max)
        .eviction_policy(policy)
        .weigher(|_, block: &Bytes| u32::try_from(block.len().max(1)).unwrap_or(u32::MAX))
        .build()
}

/// The object of a run and the first and last of its blocks that hold it.
pub(crate) fn blocks_of(run: &Run) -> (ObjectRef, u64, u64) {
    match run.object {
        ObjectRef::Entry(_) | ObjectRef::Table(_) | ObjectRef::Nothing => (run.object, 0, 0),
        ObjectRef::Segment(_) => {
            let position = run.position.max(DATA_START);
            (run.object, block_of(position), block_of(position + u64::from(run.length).saturating_sub(1)))
        }
    }
}

fn block_of(position: u64) -> u64 {
    (position - DATA_START) / BLOCK_BYTES as u64
}

fn block_range(index: u64, segment_end: u64) -> Range<u64> {
    let start = DATA_START + index * BLOCK_BYTES as u64;
    start..(start + BLOCK_BYTES as u64).min(segment_end)
}

fn slice(block: &Bytes, from: usize, length: usize) -> Result<Bytes, LoadError> {
    match from.checked_add(length) {
        Some(to) if to <= block.len() => Ok(block.slice(from..to)),
        _ => Err(LoadError::Corrupt("object is shorter than the manifest says".to_owned())),
    }
}
