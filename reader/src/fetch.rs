//! Fetch: long polls woken by bytes, budgets over all partitions.
//!
//! Invariants: at least one batch is returned when one is there, however small the budgets (KIP-74); the answer is in the
//! order of the request; 9, a reader of committed records gets nothing behind the last stable offset, is woken when that moves, and
//! is told which transactions were aborted in what it gets.

use std::collections::BTreeSet;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_log::{Changes, Partition, View, WaitingGuard};
use alluvium_record::{ShardId, TopicPartition};
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};

use crate::assemble::RunBytes;
use crate::plan::{PartitionPlan, plan};
use crate::source::LoadError;
use crate::table::Wanted;
use crate::{ReadError, Reader};

/// Which records a consumer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything that is durable.
    ReadUncommitted,
    /// Nothing of open or aborted transactions.
    ReadCommitted,
}

/// What a consumer asks for.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// The partitions, in the order in which budgets are spent.
    pub partitions: Vec<PartitionFetch>,
    /// Bytes for all partitions.
    pub bytes_max: i32,
    /// Bytes that are worth an answer before the wait is over.
    pub bytes_min: i32,
    /// Longest wait for them.
    pub wait_max: Duration,
    /// Which records are visible.
    pub isolation: Isolation,
}

/// One partition of a fetch.
#[derive(Debug, Clone)]
pub struct PartitionFetch {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// First offset to read.
    pub offset: i64,
    /// Bytes for this partition.
    pub bytes_max: i32,
    /// The leader epoch that the client knows.
    pub leader_epoch: Option<i32>,
}

/// An aborted transaction within what was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// First offset of the transaction.
    pub first_offset: i64,
}

/// The answer for one partition.
#[derive(Debug, Clone)]
pub struct PartitionFetched {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// What was read.
    pub result: Result<FetchedData, ReadError>,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct FetchedData {
    /// Offset that the next record gets.
    pub high_watermark: i64,
    /// First offset that a reader of committed records may not see.
    pub last_stable_offset: i64,
    /// First offset of the partition.
    pub log_start_offset: i64,
    /// Aborted transactions within the batches.
    pub aborted: Vec<AbortedTransaction>,
    /// Whole record batches, ready to send.
    pub slices: Vec<Bytes>,
    /// Their bytes.
    pub bytes: usize,
}

impl Reader {
    /// Reads, and waits for bytes when there are fewer than `bytes_min`. One answer a partition, in the order asked.
    pub async fn fetch(&self, request: FetchRequest) -> Vec<PartitionFetched> {
        let inner = &self.inner;
        let deadline = inner.runtime.monotonic() + request.wait_max;
        let mut changes = inner.log.subscribe();
        let mut caught_up = false;
        let mut waiting = Vec::new();
        loop {
            let view = inner.log.view();
            let mut plans = plan(&view, &request, inner.distances);
            if !caught_up && plans.iter().any(|plan| is_denial(plan.as_ref().err())) {
                // A node that may be stale must not say no.
                caught_up = true;
                match inner.log.catch_up().await {
                    Ok(_) => continue,
                    // Not knowing is no "no": a consumer that is told so would start over, or skip.
                    Err(error) => plans.iter_mut().filter(|plan| is_denial(plan.as_ref().err())).for_each(|plan| {
                        *plan = Err(ReadError::Storage(error.to_string()));
                    }),
                }
            }
            let bytes: usize = plans.iter().flatten().map(|plan| plan.bytes).sum();
            let enough = bytes >= usize::try_from(request.bytes_min).unwrap_or(0);
            if enough || plans.iter().any(Result::is_err) || inner.runtime.monotonic() >= deadline {
                return self.read(&request, plans).await;
            }
            if waiting.is_empty() {
                // From now on entries of other nodes are looked for.
                waiting = self.wait_for_others(&plans);
                inner.counters.waits.increment();
            }
            wait_for_progress(self, &mut changes, &view, &request, deadline).await;
        }
    }

    fn wait_for_others(&self, plans: &[Result<PartitionPlan, ReadError>]) -> Vec<WaitingGuard> {
        let shards: BTreeSet<ShardId> = plans.iter().flatten().map(|plan| plan.shard).collect();
        shards.into_iter().filter_map(|shard| self.inner.log.shard(shard)).map(|shard| shard.waiting()).collect()
    }

    async fn read(
        &self,
        request: &FetchRequest,
        plans: Vec<Result<PartitionPlan, ReadError>>,
    ) -> Vec<PartitionFetched> {
        let reads = plans.iter().zip(&request.partitions).map(|(plan, wanted)| async move {
            match plan {
                Ok(plan) => self.read_runs(plan, wanted).await,
                Err(_) => Ok(Vec::new()),
            }
        });
        for plan in plans.iter().flatten() {
            self.inner.source.read_ahead(plan);
        }
        let bytes = join_all(reads).await;
        let mut left = usize::try_from(request.bytes_max).unwrap_or(0);
        let mut anything = false;
        let mut answers = Vec::with_capacity(request.partitions.len());
        for ((wanted, plan), bytes) in request.partitions.iter().zip(plans).zip(bytes) {
            let result = match (plan, bytes) {
                (Err(error), _) => Err(error),
                (Ok(plan), Ok(runs)) => assemble(wanted, &plan, runs, left, !anything),
                (Ok(_), Err(error)) => self.retry(wanted, request.isolation, error, left, !anything).await,
            };
            if let Ok(data) = &result {
                left = left.saturating_sub(data.bytes);
                self.inner.counters.bytes.add(data.bytes as u64);
                anything |= data.bytes > 0;
            }
            answers.push(PartitionFetched { topic_partition: wanted.topic_partition, result });
        }
        answers
    }

    async fn read_runs(&self, plan: &PartitionPlan, wanted: &PartitionFetch) -> Result<Vec<RunBytes>, LoadError> {
        let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(0);
        let enough = Wanted { offset: wanted.offset, bytes_max };
        let reads = plan.runs.iter().map(|run| {
            let at = plan.at(run);
            async move { self.inner.source.read(&at, enough, plan.pool).await }
        });
        try_join_all(reads).await
    }

    /// An object that is gone may have been replaced: read the log to its end and resolve once more before failing.
    async fn retry(
        &self,
        wanted: &PartitionFetch,
        isolation: Isolation,
        error: LoadError,
        left: usize,
        at_least_one: bool,
    ) -> Result<FetchedData, ReadError> {
        if !matches!(error, LoadError::Store(alluvium_infra::store::StoreError::NotFound)) {
            return Err(error.into());
        }
        let view = self.inner.log.catch_up().await.map_err(|error| ReadError::Storage(error.to_string()))?;
        let request = FetchRequest {
            partitions: vec![wanted.clone()],
            bytes_max: i32::try_from(left).unwrap_or(i32::MAX),
            bytes_min: 0,
            wait_max: Duration::ZERO,
            isolation,
        };
        let plan =
            plan(&view, &request, self.inner.distances).pop().unwrap_or(Err(ReadError::UnknownTopicOrPartition))?;
        let runs = self.read_runs(&plan, wanted).await.map_err(|error| match error {
            LoadError::Store(alluvium_infra::store::StoreError::NotFound) => {
                ReadError::Corrupt("an object that the manifest names is missing".to_owned())
            }
            other => other.into(),
        })?;
        assemble(wanted, &plan, runs, left, at_least_one)
    }
}

impl Isolation {
    /// First offset of a partition that a consumer may not see.
    pub(crate) fn end_of(self, partition: &Partition) -> i64 {
        match self {
            Isolation::ReadUncommitted => partition.high_watermark(),
            Isolation::ReadCommitted => partition.last_stable_offset(),
        }
    }
}

fn is_denial(error: Option<&ReadError>) -> bool {
    matches!(error, Some(ReadError::UnknownTopicOrPartition | ReadError::OffsetOutOfRange { .. }))
}

/// Waits until one of the partitions has grown or gone, or the deadline has passed.
async fn wait_for_progress(
    reader: &Reader,
    changes: &mut Changes,
    seen: &View,
    request: &FetchRequest,
    deadline: Instant,
) {
    let progress = async {
        loop {
            changes.changed().await;
            let view = reader.inner.log.view();
            let grown = request.partitions.iter().any(|wanted| {
                let end = |view: &View| {
                    view.partition(wanted.topic_partition)
                        .map(|partition| (request.isolation.end_of(partition), partition.log_start_offset()))
                };
                end(&view) != end(seen)
            });
            if grown {
                return;
            }
        }
    };
    // Time being up is no error: the loop looks once more and answers.
    if reader.inner.runtime.timeout_at(deadline, progress).await.is_ok() {
        reader.inner.counters.wakeups.increment();
    }
}

/// Takes batches from `offset` on, as many as the budgets allow.
fn assemble(
    wanted: &PartitionFetch,
    plan: &PartitionPlan,
    runs: Vec<RunBytes>,
    left: usize,
    at_least_one: bool,
) -> Result<FetchedData, ReadError> {
    let budget = usize::try_from(wanted.bytes_max).unwrap_or(0).min(left);
    let mut data = FetchedData {
        high_watermark: plan.high_watermark,
        last_stable_offset: plan.last_stable_offset,
        log_start_offset: plan.log_start_offset,
        aborted: Vec::new(),
        slices: Vec::new(),
        bytes: 0,
    };
    let mut next_offset = wanted.offset;
    'taking: for (run, bytes) in plan.runs.iter().zip(runs) {
        let complete = bytes.complete;
        for batch in bytes.batches(run.base_offset) {
            let batch = batch?;
            if batch.header.last_offset() < wanted.offset {
                continue;
            }
            let length = batch.total_bytes();
            let fits = data.bytes + length <= budget || (data.bytes == 0 && at_least_one);
            if !fits || batch.header.last_offset() >= plan.bound {
                break 'taking;
            }
            data.bytes += length;
            next_offset = batch.header.next_offset();
            batch.patched(&mut data.slices);
        }
        if !complete {
            break;
        }
    }
    let within = plan.aborted.iter().filter(|aborted| aborted.first_offset < next_offset && data.bytes > 0);
    data.aborted = within
        .map(|aborted| AbortedTransaction { producer_id: aborted.producer_id, first_offset: aborted.first_offset })
        .collect();
    Ok(data)
}
