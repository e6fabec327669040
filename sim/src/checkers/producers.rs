//! Invariants 1 and 4: what was acknowledged is there, at its offset; what was sent once is there once, in order.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::{TopicId, TopicPartition};

use super::Violations;
use super::durable::Durable;
use crate::history::{History, Operation, Outcome};

/// Topics that somebody asked to delete: what becomes of their records is open.
pub(super) fn deleted_topics(history: &History) -> BTreeSet<TopicId> {
    history
        .calls
        .iter()
        .filter_map(|call| match call.operation {
            Operation::DeleteTopic { topic } => Some(topic),
            _ => None,
        })
        .collect()
}

/// How far records were asked to be deleted.
fn deletions(history: &History) -> BTreeMap<TopicPartition, i64> {
    let mut deletions = BTreeMap::new();
    for call in &history.calls {
        if let Operation::DeleteRecords { topic_partition, before } = call.operation {
            let known = deletions.entry(topic_partition).or_insert(0);
            *known = before.max(*known);
        }
    }
    deletions
}

/// Every acknowledged record is readable at exactly its offset in the end, unless somebody asked to delete it.
pub(super) fn acknowledged(history: &History, durable: &Durable, violations: &mut Violations) {
    let deleted = deleted_topics(history);
    let deletions = deletions(history);
    for (topic_partition, read) in &history.contents {
        if history.has_retention(topic_partition.topic) {
            continue;
        }
        let allowed = deletions.get(topic_partition).copied().unwrap_or(0);
        // Nobody misses the offsets of what was aborted.
        let was_empty =
            || history.compacts && durable.may_all_be_left_out(*topic_partition, allowed..read.log_start, read.at_us);
        violations.require(1, read.log_start <= allowed || was_empty(), || {
            format!("{topic_partition} starts at {}, nobody asked to delete beyond {allowed}", read.log_start)
        });
    }
    for call in &history.calls {
        let (Operation::Produce { topic_partition, batch, count, .. }, Outcome::Produced { base_offset, .. }) =
            (&call.operation, &call.outcome)
        else {
            continue;
        };
        if deleted.contains(&topic_partition.topic) {
            continue;
        }
        let Some(read) = history.contents.get(topic_partition) else {
            violations.add(1, format!("{topic_partition} has an acknowledged batch {batch} and is gone"));
            continue;
        };
        for index in 0..*count {
            let offset = base_offset + i64::from(index);
            if offset < read.log_start {
                let known = durable.records.get(topic_partition).and_then(|records| records.get(&offset));
                let same = known.is_some_and(|record| (record.batch, record.index) == (*batch, index));
                violations.require(1, same, || {
                    format!(
                        "record {batch}.{index} was acknowledged at {offset} of {topic_partition}, which held another"
                    )
                });
                continue;
            }
            let at = read.records.binary_search_by_key(&offset, |seen| seen.offset).ok();
            let seen = at.and_then(|at| read.records.get(at));
            if seen.is_none() && history.compacts {
                // Whether it may be gone, other checkers say.
                continue;
            }
            let same = seen.is_some_and(|seen| (seen.offset, seen.batch, seen.index) == (offset, *batch, index));
            violations.require(1, same, || {
                format!("record {batch}.{index} was acknowledged at {offset} of {topic_partition}, there is {seen:?}")
            });
        }
    }
}

/// No batch is in the log more often than it was sent, and those of an idempotent producer once and in order.
pub(super) fn once(history: &History, durable: &Durable, violations: &mut Violations) {
    let mut next: BTreeMap<(TopicPartition, i64), (i16, i32)> = BTreeMap::new();
    let mut occurrences: BTreeMap<u64, u32> = BTreeMap::new();
    for batch in &durable.batches {
        *occurrences.entry(batch.batch).or_default() += 1;
        let Some((id, epoch, sequence)) = batch.producer else { continue };
        let known = next.insert((batch.topic_partition, id), (epoch, sequence + batch.count));
        // An epoch begins at 0.
        let expected = known.filter(|(known, _)| *known == epoch).map_or(0, |(_, next)| next);
        violations.require(4, sequence == expected, || {
            format!(
                "batch {} of producer {id} at {} of {} has sequence {sequence}, {expected} was next",
                batch.batch, batch.base_offset, batch.topic_partition
            )
        });
        violations.require(4, known.is_none_or(|(known, _)| known <= epoch), || {
            format!(
                "batch {} of producer {id} in {} has epoch {epoch}, which was over",
                batch.batch, batch.topic_partition
            )
        });
    }
    let mut deliveries: BTreeMap<u64, u32> = BTreeMap::new();
    let mut offsets: BTreeMap<u64, i64> = BTreeMap::new();
    for call in &history.calls {
        let Operation::Produce { batch, producer, .. } = &call.operation else { continue };
        *deliveries.entry(*batch).or_default() += call.deliveries;
        let Outcome::Produced { base_offset, .. } = call.outcome else { continue };
        if producer.is_some() {
            let first = *offsets.entry(*batch).or_insert(base_offset);
            violations.require(4, first == base_offset, || {
                format!("batch {batch} was acknowledged at {first} and then at {base_offset}")
            });
        }
    }
    for (batch, count) in occurrences {
        let sent = deliveries.get(&batch).copied().unwrap_or_default();
        violations.require(4, count <= sent, || {
            format!("batch {batch} reached a node {sent} times and is in the log {count} times")
        });
    }
}

/// Batches of one client that nobody numbered and that one node took one after the other for one partition are in the log in
/// that order, when both were acknowledged. Those with numbers are in order by their numbers.
pub(super) fn in_order(history: &History, durable: &Durable, violations: &mut Violations) {
    let mut places: BTreeMap<u64, Option<(TopicPartition, i64)>> = BTreeMap::new();
    for batch in &durable.batches {
        let place = (batch.topic_partition, batch.base_offset);
        places.entry(batch.batch).and_modify(|known| *known = None).or_insert(Some(place));
    }
    let mut times: BTreeMap<u64, u32> = BTreeMap::new();
    for taken in &history.taken {
        *times.entry(taken.batch).or_default() += 1;
    }
    let acknowledged: BTreeMap<u64, u32> = history
        .calls
        .iter()
        .filter_map(|call| match (&call.operation, &call.outcome) {
            (Operation::Produce { batch, producer: None, .. }, Outcome::Produced { .. }) => Some((*batch, call.client)),
            _ => None,
        })
        .collect();
    let mut newest = BTreeMap::new();
    for taken in &history.taken {
        // What came twice may lie where the other one had its turn.
        if times.get(&taken.batch) != Some(&1) {
            continue;
        }
        let Some(client) = acknowledged.get(&taken.batch) else { continue };
        let Some(Some((topic_partition, offset))) = places.get(&taken.batch) else { continue };
        let before = newest.insert((taken.node, taken.incarnation, *topic_partition, *client), (*offset, taken.batch));
        violations.require(4, before.is_none_or(|(before, _): (i64, u64)| before < *offset), || {
            let (at, first) = before.unwrap_or_default();
            format!(
                "node {} took batch {first} before batch {} for {topic_partition}, they are at {at} and {offset}",
                taken.node, taken.batch
            )
        });
    }
}
