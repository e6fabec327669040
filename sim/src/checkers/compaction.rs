//! Invariants 8 and 11: compaction keeps what Kafka's rules keep, byte for byte: all that is not aborted, and the newest of a key that
//! counts; what was deleted stays deleted, and nothing more; sums add up; garbage goes in the end.
//!
//! What a record was is taken from the entry and the segment that brought it, long before there was a file.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_log::State;
use alluvium_record::TopicPartition;

use super::Violations;
use super::durable::{Durable, LogRecord};
use super::producers::deleted_topics;
use crate::history::{History, Microseconds, Operation, Outcome, Seen};
use crate::world::Replayed;

pub(super) fn check(history: &History, durable: &Durable, replayed: &Replayed, violations: &mut Violations) {
    if !history.compacts {
        return;
    }
    let newest = Newest::of(durable);
    for (topic_partition, read) in &history.contents {
        if history.is_compacted(topic_partition.topic) {
            let given: BTreeSet<i64> = read.records.iter().map(|seen: &Seen| seen.offset).collect();
            let range = (read.log_start, read.high_watermark);
            let at = (*topic_partition, read.at_us);
            kept(durable, &newest, at, range, &given, violations);
        }
    }
    for call in &history.calls {
        let (
            Operation::Fetch { topic_partition, offset, .. },
            Outcome::Fetched { next, log_start, records, .. },
            Some(answered_us),
        ) = (&call.operation, &call.outcome, call.answered_us)
        else {
            continue;
        };
        if history.is_compacted(topic_partition.topic) {
            let given = records.iter().map(|seen| seen.offset).collect();
            let range = ((*offset).max(*log_start), *next);
            kept(durable, &newest, (*topic_partition, answered_us), range, &given, violations);
        }
    }
    stays_deleted(history, violations);
    retention_takes_what_is_due(history, durable, replayed, violations);
    sums_add_up(durable, violations);
}

/// Where the records of each key are, by offset, and since when they count.
struct Newest {
    of_key: BTreeMap<(TopicPartition, u64), Vec<(i64, Microseconds)>>,
}

impl Newest {
    fn of(durable: &Durable) -> Self {
        let mut of_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (topic_partition, records) in &durable.records {
            for (offset, record) in records {
                // What was aborted, or is open, takes nobody's place.
                if let Some(since_us) = durable.counts_since(*topic_partition, record) {
                    of_key.entry((*topic_partition, record.key)).or_default().push((*offset, since_us));
                }
            }
        }
        Self { of_key }
    }

    /// Whether there was a later record of the key by a time.
    fn is_superseded(&self, at: TopicPartition, offset: i64, record: &LogRecord, by_us: Microseconds) -> bool {
        let places = self.of_key.get(&(at, record.key)).map_or(&[][..], Vec::as_slice);
        places.iter().rev().take_while(|(later, _)| *later > offset).any(|(_, at_us)| *at_us <= by_us)
    }
}

/// How long tombstones stay at least after they were written, in microseconds. Kafka counts from their first compaction.
pub(crate) const DELETE_RETENTION_MS: u64 = 15_000;

/// Of these offsets of a topic that is compacted, what is not given had a later record of its key, or was a tombstone that
/// everybody had time to see.
fn kept(
    durable: &Durable,
    newest: &Newest,
    (topic_partition, at_us): (TopicPartition, Microseconds),
    (from, to): (i64, i64),
    given: &BTreeSet<i64>,
    violations: &mut Violations,
) {
    let Some(records) = durable.records.get(&topic_partition) else { return };
    for (offset, record) in records.range(from..to.max(from)).filter(|(offset, _)| !given.contains(offset)) {
        let has_counted = |since_us: Microseconds| since_us + DELETE_RETENTION_MS * 1000 <= at_us;
        let since_us = durable.counts_since(topic_partition, record);
        let may_go = durable.may_be_left_out(topic_partition, record, at_us)
            || (record.is_tombstone && since_us.is_some_and(has_counted))
            || (since_us.is_some() && newest.is_superseded(topic_partition, *offset, record, at_us));
        violations.require(11, may_go, || {
            let what = if record.is_tombstone { "tombstone" } else { "record" };
            let (batch, index) = (record.batch, record.index);
            format!(
                "the {what} {batch}.{index} at {offset} of {topic_partition} is gone, and nothing newer has its key"
            )
        });
    }
}

/// What somebody deleted, and was told so, does not come back.
fn stays_deleted(history: &History, violations: &mut Violations) {
    let gone = deleted_topics(history);
    for call in &history.calls {
        let (Operation::DeleteRecords { topic_partition, before }, Outcome::Done { .. }) =
            (&call.operation, &call.outcome)
        else {
            continue;
        };
        let Some(read) = history.contents.get(topic_partition) else { continue };
        violations.require(11, read.log_start >= *before || gone.contains(&topic_partition.topic), || {
            format!("{topic_partition} starts at {}, records before {before} were deleted", read.log_start)
        });
    }
}

/// A log start moves by the word of a client, over what was aborted, or because the topic had more bytes than it may keep when somebody looked: runs that
/// become files meanwhile have another length.
fn retention_takes_what_is_due(history: &History, durable: &Durable, replayed: &Replayed, violations: &mut Violations) {
    let mut asked: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    for call in &history.calls {
        if let Operation::DeleteRecords { topic_partition, before } = call.operation {
            let known = asked.entry(topic_partition).or_insert(0);
            *known = before.max(*known);
        }
    }
    for states in replayed.values() {
        for (index, (before, after)) in states.iter().zip(&states[1..]).enumerate() {
            for (topic_partition, partition) in after.partitions() {
                let Some(known) = before.partition(*topic_partition) else { continue };
                let (from, to) = (known.log_start_offset(), partition.log_start_offset());
                violations.require(11, to >= from, || format!("the log start of {topic_partition} goes back to {to}"));
                let by_client = asked.get(topic_partition).copied().unwrap_or(0);
                let Some(bytes) = history.retention_bytes.get(&topic_partition.topic) else { continue };
                let taken = from.max(by_client)..to;
                if to > from && !durable.may_all_be_left_out(*topic_partition, taken, Microseconds::MAX) {
                    let left = states[..=index].iter().map(|state| bytes_from(state, *topic_partition, to)).max();
                    violations.require(11, left.is_some_and(|left| left >= *bytes), || {
                        format!("{topic_partition} starts at {to} and never had more than {left:?} bytes behind that")
                    });
                }
            }
        }
    }
}

/// Bytes of the runs of a partition that begin at an offset or behind it.
fn bytes_from(state: &State, at: TopicPartition, offset: i64) -> u64 {
    let runs = state.partition(at).into_iter().flat_map(|partition| partition.runs());
    runs.filter(|run| run.base_offset >= offset).map(|run| u64::from(run.length)).sum()
}

/// Records and their sum.
type Total = (u64, u128);
/// By first offset, the last one and what is in it.
type Files = BTreeMap<i64, (i64, Total)>;

/// What was read for each file is, in number and sum, what was written and what was left out; of what came in batches, the number is
/// that of the log.
fn sums_add_up(durable: &Durable, violations: &mut Violations) {
    let mut files: BTreeMap<TopicPartition, Files> = BTreeMap::new();
    for replacement in &durable.replacements {
        let (at, base, last) = (replacement.topic_partition, replacement.base_offset, replacement.last_offset);
        let known = files.entry(at).or_default();
        let inputs: Files = known.range(base..=last).map(|(base, file)| (*base, *file)).collect();
        let add = |one: Total, other: Total| (one.0 + other.0, one.1.wrapping_add(other.1));
        let read = inputs.iter().fold(replacement.raw, |total, (_, (_, file))| add(total, *file));
        let made = add(replacement.file.unwrap_or_default(), replacement.removed);
        violations.require(11, read == made, || {
            format!("entry {} replaces {base}..={last} of {at}: read {read:x?}, made {made:x?}", replacement.entry)
        });
        let is_in_file = |offset: i64| inputs.iter().any(|(base, (last, _))| (*base..=*last).contains(&offset));
        let raw = durable
            .records
            .get(&at)
            .map_or(0, |records| records.range(base..=last).filter(|(offset, _)| !is_in_file(**offset)).count() as u64);
        violations.require(11, raw == replacement.raw.0, || {
            let counted = replacement.raw.0;
            format!("entry {} replaces {base}..={last} of {at}: {counted} records read of {raw}", replacement.entry)
        });
        for base in inputs.keys() {
            known.remove(base);
        }
        // A stretch without records stays a stretch that is read already.
        known.insert(base, (last, replacement.file.unwrap_or_default()));
    }
}
