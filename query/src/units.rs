//! Which runs a query reads: pure, over one snapshot of the state.
//!
//! Invariants:
//! 1. Units are apart: an offset of a partition is in at most one of them, and every offset that a record within the bounds can
//!    have is in one.
//! 2. A run is left out when the manifest alone shows that nothing of it is within the bounds.

use std::sync::Arc;

use alluvium_log::{AbortedTransaction, ObjectRef, View};
use alluvium_reader::{Isolation, RunAt};
use alluvium_record::{PartitionIndex, TopicId, TopicPartition};

use crate::bounds::{Bounds, Interval};

/// A file that is longer than this is read by several workers.
const SPLIT_BYTES_MIN: u64 = 32 * 1024 * 1024;
/// Bytes of a file for each of them, at least.
const PART_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// What reading a run costs at least, in bytes: a request.
const READ_BYTES: u64 = 128 * 1024;

/// Some offsets of a run.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) at: RunAt,
    /// The offsets that are wanted, all within the run.
    pub(crate) offsets: Interval,
    /// Transactions whose records in these offsets are not shown.
    pub(crate) aborted: Arc<[AbortedTransaction]>,
}

impl Unit {
    pub(crate) fn partition(&self) -> PartitionIndex {
        self.at.topic_partition.partition
    }

    /// All offsets of its run.
    pub(crate) fn run_offsets(&self) -> Interval {
        Interval::new(self.at.run.base_offset, self.at.run.last_offset)
    }

    /// Estimated from its share of the offsets.
    fn bytes(&self) -> u64 {
        let all = u128::from(self.run_offsets().greatest.abs_diff(self.run_offsets().least)) + 1;
        let share = u128::from(self.offsets.greatest.abs_diff(self.offsets.least)) + 1;
        let bytes = u128::from(self.at.run.length) * share / all;
        u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(READ_BYTES)
    }
}

/// What a scan reads, and what it does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Units {
    pub(crate) units: Vec<Unit>,
    /// Runs and partitions of the topic.
    pub(crate) runs_all: usize,
    pub(crate) partitions_all: usize,
    /// Those that are read of.
    pub(crate) runs: usize,
    pub(crate) partitions: usize,
}

/// The units of a topic within the bounds, by partition and offset.
pub(crate) fn of_topic(view: &View, topic: TopicId, bounds: &Bounds, isolation: Isolation) -> Units {
    let count = view.topic(topic).map_or(0, |topic| topic.partition_count);
    let mut units = Units { partitions_all: usize::try_from(count).unwrap_or(0), ..Units::default() };
    for partition in 0..count {
        let place = TopicPartition { topic, partition };
        units.runs_all += view.partition(place).map_or(0, |partition| partition.runs().count());
        if !bounds.has_partition(partition) {
            continue;
        }
        let found = of_partition(view, place, bounds.offsets, bounds.timestamps, isolation);
        units.partitions += usize::from(!found.is_empty());
        units.runs += found.len();
        units.units.extend(found);
    }
    units
}

/// The units of one partition with these offsets and timestamps.
pub(crate) fn of_partition(
    view: &View,
    place: TopicPartition,
    offsets: Interval,
    timestamps: Interval,
    isolation: Isolation,
) -> Vec<Unit> {
    let Some(partition) = view.partition(place) else { return Vec::new() };
    let end = match isolation {
        Isolation::ReadCommitted => partition.last_stable_offset(),
        Isolation::ReadUncommitted => partition.high_watermark(),
    };
    let offsets = offsets.and(Interval::new(partition.log_start_offset(), end - 1));
    if offsets.is_empty() || timestamps.is_empty() {
        return Vec::new();
    }
    let runs = RunAt::all_from(view, place, offsets.least).take_while(|at| at.run.base_offset <= offsets.greatest);
    runs.filter(|at| may_hold(at, timestamps))
        .map(|at| {
            let offsets = offsets.and(Interval::new(at.run.base_offset, at.run.last_offset));
            let aborted = match isolation {
                Isolation::ReadCommitted => {
                    partition.aborted_transactions(offsets.least, offsets.greatest + 1).copied().collect()
                }
                Isolation::ReadUncommitted => Arc::default(),
            };
            Unit { at, offsets, aborted }
        })
        .collect()
}

/// Whether a run can have a record with such a timestamp.
fn may_hold(at: &RunAt, timestamps: Interval) -> bool {
    match (at.run.object, &at.table) {
        (ObjectRef::Nothing, _) => false,
        (_, Some(table)) => timestamps.meets(Interval::new(table.min_timestamp, at.run.max_timestamp)),
        // Of raw runs only the largest is known.
        (_, None) => at.run.max_timestamp >= timestamps.least,
    }
}

/// Splits long files, so that there is something to read for each of `workers`.
pub(crate) fn split(units: Vec<Unit>, workers: usize) -> Vec<Unit> {
    let workers = workers.max(1) as u64;
    units
        .into_iter()
        .flat_map(|unit| {
            let bytes = unit.bytes();
            let is_long = matches!(unit.at.run.object, ObjectRef::Table(_)) && bytes >= SPLIT_BYTES_MIN;
            let parts = if is_long { (bytes / PART_BYTES_MIN).min(workers) } else { 1 };
            parted(&unit, parts.max(1))
        })
        .collect()
}

/// A unit as so many, side by side.
fn parted(unit: &Unit, parts: u64) -> Vec<Unit> {
    let Interval { least, greatest } = unit.offsets;
    let step = (greatest.abs_diff(least) / parts).saturating_add(1);
    let mut from = least;
    let mut found = Vec::new();
    while from <= greatest {
        let to = from.checked_add_unsigned(step - 1).unwrap_or(greatest).min(greatest);
        found.push(Unit { offsets: Interval::new(from, to), ..unit.clone() });
        from = to + 1;
    }
    found
}

/// Gives each unit to the worker with the least to read so far; those of each in their order.
pub(crate) fn shared_out(units: Vec<Unit>, workers: usize) -> Vec<Vec<Unit>> {
    let mut shares: Vec<(u64, Vec<Unit>)> = vec![(0, Vec::new()); workers.clamp(1, units.len().max(1))];
    for unit in units {
        if let Some((bytes, share)) = shares.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += unit.bytes();
            share.push(unit);
        }
    }
    shares.into_iter().map(|(_, share)| share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluvium_log::Run;
    use alluvium_record::ShardId;

    fn unit(base_offset: i64, last_offset: i64, length: u32) -> Unit {
        let run = Run {
            base_offset,
            last_offset,
            object: ObjectRef::Table(uuid::Uuid::nil()),
            position: 0,
            length,
            segment_end: 0,
            max_timestamp: 0,
            sum: 0,
        };
        let topic_partition = TopicPartition { topic: TopicId::NIL, partition: 0 };
        let at = RunAt { shard: ShardId(0), topic_partition, run, table: None };
        Unit { at, offsets: Interval::new(base_offset, last_offset), aborted: Arc::default() }
    }

    #[test]
    fn parts_of_a_file_are_side_by_side_and_all_of_it() {
        for (base, last, workers) in [(0, 999_999, 4), (7, 9, 8), (5, 5, 3), (0, i64::MAX - 1, 7)] {
            let parts = split(vec![unit(base, last, 256 << 20)], workers);
            assert!(parts.len() <= workers);
            let mut next = base;
            for part in &parts {
                assert_eq!(part.offsets.least, next);
                next = part.offsets.greatest + 1;
            }
            assert_eq!(next, last + 1);
        }
        assert_eq!(split(vec![unit(0, 999_999, 1 << 20)], 4).len(), 1);
        assert_eq!(split(vec![unit(0, 999_999, 40 << 20)], 4).len(), 2);
    }

    #[test]
    fn shares_are_alike_and_lose_nothing() {
        let units: Vec<Unit> = (0..100).map(|n| unit(n * 10, n * 10 + 9, 1 << 20)).collect();
        let shares = shared_out(units, 3);
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [34, 33, 33]);
        assert!(shares.iter().all(|share| share.windows(2).all(|pair| pair[0].offsets.least < pair[1].offsets.least)));
        assert_eq!(shared_out(Vec::new(), 3).len(), 1);
        assert_eq!(shared_out(vec![unit(0, 1, 1)], 3).len(), 1);
    }
}
