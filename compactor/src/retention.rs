//! Retention: the log start moves past what is too old or too much.
//!
//! Invariants:
//! 1. Only whole runs go, from the front, and only behind the last stable offset.
//! 2. Time is the store's, and nothing goes while it is not believed.
//! 3. A run whose records have no time is as old as its object; one in an entry, which does not tell, waits until it is in a file.

use alluvium_infra::planted::{self, Bug};
use alluvium_log::{CommitError, ObjectRef, Operation, Run, View};
use alluvium_record::{ShardId, TopicPartition};

use crate::job::Workshop;
use crate::pick::StableRuns;
use crate::rules::TopicRules;

/// A log start that is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired {
    pub(crate) shard: ShardId,
    pub(crate) topic_partition: TopicPartition,
    pub(crate) before_offset: i64,
}

/// What is due in all partitions.
pub(crate) fn expired(view: &View, leads: impl Fn(ShardId) -> bool, now_ms: i64) -> Vec<Expired> {
    let mut found = Vec::new();
    for topic in view.topics() {
        let rules = TopicRules::of(topic);
        if !rules.deletes {
            continue;
        }
        for index in 0..topic.partition_count {
            let (shard, topic_partition) = (topic.shard_of(index), TopicPartition::new(topic.id, index));
            let Some(partition) = view.partition(topic_partition).filter(|_| leads(shard)) else { continue };
            let before_offset = before(&StableRuns::of(partition), partition.size_bytes(), &rules, now_ms);
            if let Some(before_offset) = before_offset.filter(|offset| *offset > partition.log_start_offset()) {
                found.push(Expired { shard, topic_partition, before_offset });
            }
        }
    }
    found
}

/// Where the log is to start, if runs go. `size_bytes` are those of all runs, stable or not.
pub(crate) fn before(runs: &StableRuns, size_bytes: u64, rules: &TopicRules, now_ms: i64) -> Option<i64> {
    let too_old = |run: &Run| {
        rules.retention_ms.is_some_and(|retention_ms| {
            last_written_ms(run).is_some_and(|written_ms| now_ms.saturating_sub(written_ms) > retention_ms)
        })
    };
    let mut left = size_bytes;
    let mut before_offset = None;
    for (run, _) in &runs.runs {
        let rest = left.saturating_sub(u64::from(run.length));
        let too_much = rules.retention_bytes.is_some_and(|bytes_max| {
            let enough = rest >= bytes_max || planted::is(Bug::RetentionTakesOneMore);
            enough && left > bytes_max
        });
        if !too_old(run) && !too_much {
            break;
        }
        left = rest;
        before_offset = Some(run.last_offset + 1);
    }
    before_offset
}

/// When the newest record of a run was written, as far as the run tells; of no record, long ago.
fn last_written_ms(run: &Run) -> Option<i64> {
    match run.object {
        ObjectRef::Nothing => Some(i64::MIN),
        _ if run.max_timestamp >= 0 => Some(run.max_timestamp),
        ObjectRef::Segment(id) | ObjectRef::Table(id) => crate::collect::time_of(id),
        ObjectRef::Entry(_) => None,
    }
}

/// Moves log starts. Another node may be faster, which is as good.
pub(crate) async fn apply(workshop: &Workshop, expired: Vec<Expired>) -> u64 {
    let mut moved = 0;
    let commits = expired.into_iter().filter_map(|Expired { shard, topic_partition, before_offset }| {
        let shard = workshop.log.shard(shard)?;
        let operation = Operation::DeleteRecords { topic_partition, before_offset };
        Some(async move { (topic_partition, before_offset, shard.commit(operation, None).await) })
    });
    // Together, so that they ride in one entry.
    for (topic_partition, before_offset, committed) in futures_util::future::join_all(commits).await {
        match committed {
            Ok(_) => {
                moved += 1;
                tracing::debug!(%topic_partition, before_offset, "records are past their retention");
            }
            Err(CommitError::Rejected(rejection)) => {
                tracing::debug!(%topic_partition, %rejection, "retention was overtaken");
            }
            Err(error) => tracing::info!(%topic_partition, %error, "retention is tried again later"),
        }
    }
    workshop.counters.retentions.add(moved);
    moved
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alluvium_log::Topic;
    use alluvium_record::TopicId;

    use super::*;

    fn rules(retention_ms: &str, retention_bytes: &str) -> TopicRules {
        let configs = [("retention.ms", retention_ms), ("retention.bytes", retention_bytes)];
        TopicRules::of(&Topic {
            id: TopicId::NIL,
            name: "orders".to_owned(),
            partition_count: 1,
            replication_factor: 1,
            configs: configs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            shard_count: 1,
            created_ms: 0,
        })
    }

    /// Runs of ten offsets and 100 bytes each, with these largest timestamps.
    fn runs(timestamps: &[i64]) -> StableRuns {
        let kinds = "r".repeat(timestamps.len());
        let mut runs = crate::pick::stable(&kinds, &vec![100; timestamps.len()]);
        for ((run, _), timestamp) in runs.runs.iter_mut().zip(timestamps) {
            run.max_timestamp = *timestamp;
        }
        runs
    }

    #[test]
    fn runs_go_by_their_largest_timestamp_from_the_front() {
        let rules = rules("1000", "-1");
        let at = |timestamps: &[i64], now_ms| before(&runs(timestamps), 10_000, &rules, now_ms);
        assert_eq!(at(&[], 9_999), None);
        assert_eq!(at(&[100, 200, 300], 1_100), None);
        assert_eq!(at(&[100, 200, 300], 1_101), Some(10));
        assert_eq!(at(&[100, 200, 300], 1_300), Some(20));
        assert_eq!(at(&[100, 200, 300], 1_301), Some(30));
        assert_eq!(at(&[100, 9_000, 300], 5_000), Some(10), "what is behind a younger run waits for it");
        assert_eq!(at(&[100], i64::MIN), None);
    }

    #[test]
    fn runs_go_by_bytes_while_enough_are_left() {
        let rules = rules("-1", "250");
        let at = |count: usize, size_bytes| before(&runs(&vec![1; count]), size_bytes, &rules, i64::MAX);
        assert_eq!(at(2, 200), None);
        assert_eq!(at(3, 300), None);
        assert_eq!(at(4, 400), Some(10));
        assert_eq!(at(5, 500), Some(20));
        assert_eq!(at(2, 1_000), Some(20), "runs that are not stable count, and stay");
        let none = self::rules("-1", "0");
        assert_eq!(before(&runs(&[1, 1]), 200, &none, 0), Some(20));
        assert_eq!(before(&runs(&[1, 1]), 200, &self::rules("-1", "-1"), i64::MAX), None);
    }

    #[test]
    fn records_without_time_are_as_old_as_their_object() {
        let rules = rules("1000", "-1");
        let mut of_segment = runs(&[-1]);
        assert_eq!(before(&of_segment, 100, &rules, i64::MAX), None, "an id without a time in it");
        let id = uuid::Builder::from_unix_timestamp_millis(5_000, &[0; 10]).into_uuid();
        of_segment.runs[0].0.object = ObjectRef::Segment(id);
        assert_eq!(before(&of_segment, 100, &rules, 6_000), None);
        assert_eq!(before(&of_segment, 100, &rules, 6_001), Some(10));
        let mut inline = runs(&[-1]);
        inline.runs[0].0.object = ObjectRef::Entry(1);
        assert_eq!(before(&inline, 100, &rules, i64::MAX), None);
        let mut empty = runs(&[i64::MIN, 100]);
        empty.runs[0].0.object = ObjectRef::Nothing;
        assert_eq!(before(&empty, 100, &rules, 500), Some(10));
    }
}
