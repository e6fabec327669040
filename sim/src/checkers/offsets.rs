//! Invariant 2: offsets are dense, but for what compaction may leave out, and the end of a partition never goes back for those who
//! ask one after the other.

use std::collections::BTreeMap;
use std::ops::Range;

use alluvium_record::TopicPartition;

use super::Violations;
use super::durable::Durable;
use super::producers::deleted_topics;
use crate::history::{Call, History, Microseconds, Operation, Outcome, Seen};

pub(super) fn check(history: &History, durable: &Durable, violations: &mut Violations) {
    let given = Given { history, durable };
    for (topic_partition, read) in &history.contents {
        let range = read.log_start..read.high_watermark;
        violations.require(2, given.are_all(*topic_partition, range, &read.records, read.at_us), || {
            format!("{topic_partition} has other offsets than {}..{}", read.log_start, read.high_watermark)
        });
    }
    fetches_are_dense(history, &given, violations);
    ends_never_go_back(history, violations);
    marks_of_one_node_never_go_back(history, violations);
    denials_are_fresh(history, violations);
}

/// What readers are given of a partition.
struct Given<'a> {
    history: &'a History,
    durable: &'a Durable,
}

impl Given<'_> {
    /// Whether these are all records of a range of offsets, in order; by a time, and but for what compaction may have left out then.
    fn are_all(&self, at: TopicPartition, range: Range<i64>, records: &[Seen], by_us: Microseconds) -> bool {
        let offsets = || records.iter().map(|seen| seen.offset);
        if !self.history.compacts {
            return offsets().eq(range);
        }
        if !offsets().is_sorted_by(|one, next| one < next) || !offsets().all(|at| range.contains(&at)) {
            return false;
        }
        if self.history.is_compacted(at.topic) {
            // What may be gone of a key, another checker says.
            return true;
        }
        let log = self.durable.records.get(&at);
        let is_left_out = |offset: i64| {
            log.and_then(|log| log.get(&offset)).is_some_and(|record| self.durable.may_be_left_out(at, record, by_us))
        };
        let mut given = offsets().peekable();
        range.into_iter().all(|offset| given.next_if_eq(&offset).is_some() || is_left_out(offset))
    }
}

fn fetches_are_dense(history: &History, given: &Given<'_>, violations: &mut Violations) {
    for call in &history.calls {
        let (
            Operation::Fetch { topic_partition, offset, .. },
            Outcome::Fetched { high_watermark, next, records, .. },
            Some(answered_us),
        ) = (&call.operation, &call.outcome, call.answered_us)
        else {
            continue;
        };
        let dense = given.are_all(*topic_partition, *offset..*next, records, answered_us);
        violations.require(2, dense, || format!("a fetch of {topic_partition} from {offset} has gaps: {records:?}"));
        violations.require(2, next <= high_watermark, || {
            format!("a fetch of {topic_partition} goes beyond its high watermark {high_watermark}")
        });
    }
}

/// What a client was told about the end of a partition: it is at least this.
fn told(call: &Call) -> Option<(TopicPartition, i64)> {
    match (&call.operation, &call.outcome) {
        (Operation::Produce { topic_partition, count, .. }, Outcome::Produced { base_offset, .. }) => {
            Some((*topic_partition, base_offset + i64::from(*count)))
        }
        (Operation::Fetch { topic_partition, .. }, Outcome::Fetched { high_watermark, .. }) => {
            Some((*topic_partition, *high_watermark))
        }
        (Operation::ListOffsets { topic_partition, earliest: false, committed: false }, Outcome::Offset(offset)) => {
            Some((*topic_partition, *offset))
        }
        _ => None,
    }
}

/// The largest end of each partition that anybody had been told by a time.
struct Told {
    by_time: Vec<(Microseconds, TopicPartition, i64)>,
}

impl Told {
    fn new(history: &History) -> Self {
        let mut by_time: Vec<_> = history
            .calls
            .iter()
            .filter_map(|call| {
                let (topic_partition, end) = told(call)?;
                Some((call.returned_us?, topic_partition, end))
            })
            .collect();
        by_time.sort_unstable_by_key(|(at_us, ..)| *at_us);
        Self { by_time }
    }

    /// Lets `visit` see each call with what had been told before it was asked.
    fn walk(&self, history: &History, mut visit: impl FnMut(&Call, &BTreeMap<TopicPartition, i64>)) {
        let mut ends = BTreeMap::new();
        let mut told = self.by_time.iter().peekable();
        // Calls are in the order in which they were asked.
        for call in &history.calls {
            while let Some((_, topic_partition, end)) = told.next_if(|(at_us, ..)| *at_us < call.asked_us) {
                let known = ends.entry(*topic_partition).or_insert(0);
                *known = (*end).max(*known);
            }
            visit(call, &ends);
        }
    }
}

/// One node never shows a high watermark behind what it told before, whoever it told, and however often it started since.
fn marks_of_one_node_never_go_back(history: &History, violations: &mut Violations) {
    let mut told: Vec<_> = history
        .calls
        .iter()
        .filter_map(|call| {
            // Where another node commits for this one, this one may hear of the entry after its client heard of the answer.
            if history.linked && matches!(call.operation, Operation::Produce { .. }) {
                return None;
            }
            let (topic_partition, end) = told(call)?;
            Some((call.returned_us?, call.node, topic_partition, end))
        })
        .collect();
    told.sort_unstable_by_key(|(at_us, ..)| *at_us);
    let mut told = told.into_iter().peekable();
    let mut ends: BTreeMap<(u32, TopicPartition), i64> = BTreeMap::new();
    for call in &history.calls {
        while let Some((_, node, topic_partition, end)) = told.next_if(|(at_us, ..)| *at_us < call.asked_us) {
            let known = ends.entry((node, topic_partition)).or_insert(0);
            *known = end.max(*known);
        }
        if let (Operation::Fetch { topic_partition, .. }, Outcome::Fetched { high_watermark, .. }) =
            (&call.operation, &call.outcome)
        {
            let before = ends.get(&(call.node, *topic_partition)).copied().unwrap_or(0);
            violations.require(2, *high_watermark >= before, || {
                format!(
                    "node {} shows {high_watermark} as the end of {topic_partition}, it told {before} before",
                    call.node
                )
            });
        }
    }
}

/// Whoever asks for the latest offset gets at least what anybody had been told before.
fn ends_never_go_back(history: &History, violations: &mut Violations) {
    Told::new(history).walk(history, |call, ends| {
        if let (
            Operation::ListOffsets { topic_partition, earliest: false, committed: false },
            Outcome::Offset(offset),
        ) = (&call.operation, &call.outcome)
        {
            let before = ends.get(topic_partition).copied().unwrap_or(0);
            violations.require(2, *offset >= before, || {
                format!(
                    "client {} is told that {topic_partition} ends at {offset}, it ended at {before} before",
                    call.client
                )
            });
        }
    });
}

/// A node that may be stale must not say no.
fn denials_are_fresh(history: &History, violations: &mut Violations) {
    let deleted = deleted_topics(history);
    let made: std::collections::BTreeSet<_> = history
        .calls
        .iter()
        .filter(|call| matches!(call.outcome, Outcome::Done { .. }))
        .filter_map(|call| match call.operation {
            Operation::CreateTopic { topic, .. } => Some((topic, call.returned_us?)),
            _ => None,
        })
        .collect();
    Told::new(history).walk(history, |call, ends| {
        let Outcome::Refused(reason) = &call.outcome else { return };
        match &call.operation {
            Operation::Fetch { topic_partition, offset, .. } if reason.contains("is not between") => {
                let before = ends.get(topic_partition).copied().unwrap_or(0);
                let end: Option<i64> = reason.rsplit(' ').next().and_then(|end| end.parse().ok());
                violations.require(2, end.is_none_or(|end| *offset <= end || end >= before), || {
                    format!(
                        "a fetch of {topic_partition} from {offset} is refused ({reason}), it ended at {before} before"
                    )
                });
            }
            Operation::Fetch { topic_partition, .. }
            | Operation::Produce { topic_partition, .. }
            | Operation::CommitOffset { topic_partition, .. }
            | Operation::ListOffsets { topic_partition, .. }
            | Operation::DeleteRecords { topic_partition, .. }
                if reason.starts_with("unknown") && topic_partition.partition == 0 =>
            {
                let topic = topic_partition.topic;
                let was_made = made.iter().any(|(made, at_us)| *made == topic && *at_us < call.asked_us);
                violations.require(10, !was_made || deleted.contains(&topic), || {
                    format!("{} is refused ({reason}), the topic was made before", call.operation)
                });
            }
            _ => {}
        }
    });
}
