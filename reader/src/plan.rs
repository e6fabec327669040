//! Which runs a fetch reads: pure, over one snapshot of the state.

use std::collections::BTreeMap;

use alluvium_log::{AbortedTransaction, ObjectRef, Partition, Run, TableRun, View};
use alluvium_record::{ShardId, TopicPartition};

use crate::fetch::{FetchRequest, Isolation, PartitionFetch};
use crate::scan::RunAt;
use crate::source::{Pool, blocks_of};
use crate::{LEADER_EPOCH, ReadError};

/// Runs that are looked at for reading ahead.
const RUNS_AHEAD_MAX: usize = 256;

/// Distances that a plan depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Distances {
    /// A consumer with more bytes than this before it is far behind.
    pub(crate) replay_bytes: u64,
    /// How many blocks are read ahead of a consumer.
    pub(crate) read_ahead_blocks: u64,
}

/// What is read for one partition.
#[derive(Debug, Clone)]
pub(crate) struct PartitionPlan {
    /// The shard whose objects hold the runs.
    pub(crate) shard: ShardId,
    pub(crate) topic_partition: TopicPartition,
    pub(crate) runs: Vec<Run>,
    /// What is known of those runs, and of the ones ahead, that are Parquet files, by base offset.
    pub(crate) tables: BTreeMap<i64, TableRun>,
    /// What the consumer asks for next.
    pub(crate) ahead: Vec<Run>,
    pub(crate) pool: Pool,
    /// Bytes of the runs, at most what the client takes: the measure of `bytes_min`.
    pub(crate) bytes: usize,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// First offset that this consumer may not see.
    pub(crate) bound: i64,
    /// Aborted transactions that the runs may hold batches of, for those who see none of them.
    pub(crate) aborted: Vec<AbortedTransaction>,
}

impl PartitionPlan {
    /// One of the runs, and where it belongs.
    pub(crate) fn at(&self, run: &Run) -> RunAt {
        let (shard, topic_partition) = (self.shard, self.topic_partition);
        RunAt { shard, topic_partition, run: *run, table: self.tables.get(&run.base_offset).copied() }
    }
}

/// Plans every partition of a request, within the budgets of each and of all.
pub(crate) fn plan(view: &View, request: &FetchRequest, distances: Distances) -> Vec<Result<PartitionPlan, ReadError>> {
    let mut left = usize::try_from(request.bytes_max).unwrap_or(0);
    let mut anything = false;
    request
        .partitions
        .iter()
        .map(|wanted| {
            let plan = plan_partition(view, wanted, request.isolation, left, !anything, distances)?;
            left = left.saturating_sub(plan.bytes);
            anything |= !plan.runs.is_empty();
            Ok(plan)
        })
        .collect()
}

fn plan_partition(
    view: &View,
    wanted: &PartitionFetch,
    isolation: Isolation,
    left: usize,
    at_least_one: bool,
    distances: Distances,
) -> Result<PartitionPlan, ReadError> {
    let partition = view.partition(wanted.topic_partition).ok_or(ReadError::UnknownTopicOrPartition)?;
    let shard = view.shard_of(wanted.topic_partition).ok_or(ReadError::UnknownTopicOrPartition)?;
    check_epoch(wanted.leader_epoch)?;
    let (log_start_offset, high_watermark) = (partition.log_start_offset(), partition.high_watermark());
    if wanted.offset < log_start_offset || wanted.offset > high_watermark {
        return Err(ReadError::OffsetOutOfRange { offset: wanted.offset, log_start_offset, high_watermark });
    }
    let budget = usize::try_from(wanted.bytes_max).unwrap_or(0).min(left);
    let mut runs = Vec::new();
    let mut ahead = Vec::new();
    let mut blocks_ahead = 0;
    let mut bytes = 0;
    let last_stable_offset = partition.last_stable_offset();
    let bound = isolation.end_of(partition);
    // A run may go on behind the bound, and with it what its bytes promise: then there is at least a batch before it.
    let is_visible = |run: &&Run| wanted.offset < bound && run.base_offset < bound;
    for run in partition.runs_from(wanted.offset).take_while(is_visible) {
        if bytes < budget || (runs.is_empty() && at_least_one) {
            bytes += promised_bytes(run, wanted.offset);
            runs.push(*run);
        } else if !runs.is_empty() && blocks_ahead < distances.read_ahead_blocks {
            // Counted by what is read for it: small runs that share an object cost one read.
            let last = ahead.last().or(runs.last()).map(blocks_of);
            let blocks = blocks_of(run);
            blocks_ahead += match last {
                Some((object, _, last)) if object == blocks.0 => blocks.2 - last.min(blocks.2),
                _ => blocks.2 - blocks.1 + 1,
            };
            ahead.push(*run);
            if ahead.len() >= RUNS_AHEAD_MAX {
                break;
            }
        } else {
            break;
        }
    }
    let aborted = match (isolation, runs.last()) {
        (Isolation::ReadCommitted, Some(last)) => {
            partition.aborted_transactions(wanted.offset, bound.min(last.last_offset + 1)).copied().collect()
        }
        _ => Vec::new(),
    };
    let known = |run: &Run| partition.table(run).map(|table| (run.base_offset, *table));
    let tables = runs.iter().chain(&ahead).filter_map(known).collect();
    Ok(PartitionPlan {
        shard,
        topic_partition: wanted.topic_partition,
        tables,
        runs,
        ahead,
        pool: pool_of(partition, wanted.offset, distances.replay_bytes),
        bytes: bytes.min(budget.max(1)),
        high_watermark,
        last_stable_offset,
        log_start_offset,
        bound,
        aborted,
    })
}

/// Bytes that a run has for a consumer at `offset`, at least one: a run without records has to be passed, too. Of a Parquet file
/// as many as there are offsets behind the consumer's.
fn promised_bytes(run: &Run, offset: i64) -> usize {
    let length = match run.object {
        ObjectRef::Entry(_) | ObjectRef::Segment(_) | ObjectRef::Nothing => run.length as usize,
        ObjectRef::Table(_) => {
            let all = run.last_offset.abs_diff(run.base_offset) as u128 + 1;
            let left = run.last_offset.abs_diff(offset.max(run.base_offset)) as u128 + 1;
            (u128::from(run.length) * left / all) as usize
        }
    };
    length.max(1)
}

pub(crate) fn check_epoch(epoch: Option<i32>) -> Result<(), ReadError> {
    match epoch {
        Some(epoch) if epoch < LEADER_EPOCH => Err(ReadError::FencedLeaderEpoch),
        Some(epoch) if epoch > LEADER_EPOCH => Err(ReadError::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// Far behind is who has more bytes ahead than the tail could hold; estimated from offsets.
fn pool_of(partition: &Partition, offset: i64, replay_bytes: u64) -> Pool {
    let all = (partition.high_watermark() - partition.log_start_offset()).max(1) as u128;
    let ahead = (partition.high_watermark() - offset).max(0) as u128;
    let bytes = u128::from(partition.size_bytes()) * ahead / all;
    if bytes > u128::from(replay_bytes) { Pool::Replay } else { Pool::Live }
}
