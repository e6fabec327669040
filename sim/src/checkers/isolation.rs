//! Invariant 9 for readers: who reads what is committed gets nothing of an open or aborted transaction, and all of a committed one;
//! the last stable offset never goes back; offsets of a group are read when their transaction has committed them, and not before.

use std::collections::BTreeMap;

use alluvium_record::TopicPartition;

use super::Violations;
use super::durable::{Durable, LogRecord};
use super::durable_transactions::{LogMarker, Place};
use crate::history::{Call, History, Microseconds, Operation, Outcome, Seen};

pub(super) fn check(history: &History, durable: &Durable, violations: &mut Violations) {
    for call in &history.calls {
        fetch_is_committed(call, durable, violations);
        offset_is_committed(call, durable, violations);
    }
    stable_offsets_of_one_node_never_go_back(history, violations);
    stable_ends_never_go_back(history, violations);
    if history.settled {
        everything_committed_is_read(history, durable, violations);
    }
}

/// The end of the transaction that a record is part of, where it lies.
fn end_of<'a>(record: &LogRecord, at: TopicPartition, durable: &'a Durable) -> Option<&'a LogMarker> {
    durable.transactions.get(&record.transaction?)?.end_at(&Place::Partition(at))
}

fn fetch_is_committed(call: &Call, durable: &Durable, violations: &mut Violations) {
    let (
        Operation::Fetch { topic_partition, committed: true, .. },
        Outcome::Fetched { high_watermark, last_stable, records, hidden, .. },
        Some(answered_us),
    ) = (&call.operation, &call.outcome, call.answered_us)
    else {
        return;
    };
    violations.require(9, last_stable <= high_watermark, || {
        format!("{topic_partition} is stable up to {last_stable} and ends at {high_watermark}")
    });
    violations.require(9, records.last().is_none_or(|last| last.offset < *last_stable), || {
        format!("{} goes beyond what is stable, {last_stable}", call.operation)
    });
    let Some(log) = durable.records.get(topic_partition) else { return };
    // Somebody else reports what is not in the log.
    let known = records.iter().filter_map(|seen| Some((seen, log.get(&seen.offset)?)));
    for (seen, record) in known.filter(|(seen, record)| !seen.is_marker() && record.transaction.is_some()) {
        let end = end_of(record, *topic_partition, durable).filter(|end| end.at_us <= answered_us);
        let is_hidden = hidden.contains(&seen.offset);
        violations.require(9, end.is_some(), || {
            format!("{} by client {} reads {seen:?} of an open transaction", call.operation, call.client)
        });
        violations.require(9, is_hidden || end.is_none_or(|end| end.commit), || {
            format!("{} by client {} reads {seen:?}, which was aborted", call.operation, call.client)
        });
        violations.require(9, !is_hidden || end.is_none_or(|end| !end.commit), || {
            format!("{} by client {} passes over {seen:?}, which is committed", call.operation, call.client)
        });
    }
    let plain = |seen: &&Seen| log.get(&seen.offset).is_some_and(|record| record.transaction.is_none());
    let left_out = records.iter().filter(plain).find(|seen| hidden.contains(&seen.offset));
    violations.require(9, left_out.is_none(), || {
        format!("{} passes over {left_out:?}, which is of no transaction", call.operation)
    });
}

fn offset_is_committed(call: &Call, durable: &Durable, violations: &mut Violations) {
    let (
        Operation::FetchOffset { group, topic_partition, .. },
        Outcome::CommittedOffset(Some((offset, tag))),
        Some(answered_us),
    ) = (&call.operation, &call.outcome, call.answered_us)
    else {
        return;
    };
    let commits = durable.commits.get(&(group.clone(), *topic_partition));
    let known = commits.and_then(|commits| commits.iter().find(|commit| commit.tag == *tag));
    violations.require(9, known.is_some_and(|commit| commit.at_us <= answered_us), || {
        format!("client {} reads offset {offset} ({tag}) of {group}, which is not committed", call.client)
    });
}

/// What a client was told about how far a partition is stable.
fn told(call: &Call) -> Option<(TopicPartition, i64)> {
    match (&call.operation, &call.outcome) {
        (Operation::Fetch { topic_partition, .. }, Outcome::Fetched { last_stable, .. }) => {
            Some((*topic_partition, *last_stable))
        }
        (Operation::ListOffsets { topic_partition, earliest: false, committed: true }, Outcome::Offset(offset)) => {
            Some((*topic_partition, *offset))
        }
        _ => None,
    }
}

/// All that was told, by the time at which it was known, with the node that said so.
fn told_by_time(history: &History) -> Vec<(Microseconds, u32, TopicPartition, i64)> {
    let told = |call: &Call| told(call).and_then(|(at, end)| Some((call.returned_us?, call.node, at, end)));
    let mut by_time: Vec<_> = history.calls.iter().filter_map(told).collect();
    by_time.sort_unstable_by_key(|(at_us, ..)| *at_us);
    by_time
}

fn stable_offsets_of_one_node_never_go_back(history: &History, violations: &mut Violations) {
    let by_time = told_by_time(history);
    let mut known = by_time.iter().peekable();
    let mut ends: BTreeMap<(u32, TopicPartition), i64> = BTreeMap::new();
    for call in &history.calls {
        while let Some((_, node, at, end)) = known.next_if(|(at_us, ..)| *at_us < call.asked_us) {
            let newest = ends.entry((*node, *at)).or_insert(0);
            *newest = (*end).max(*newest);
        }
        let Some((at, end)) = told(call) else { continue };
        let before = ends.get(&(call.node, at)).copied().unwrap_or(0);
        violations.require(9, end >= before, || {
            format!("node {} says that {at} is stable up to {end}, it was up to {before} before", call.node)
        });
    }
}

/// Whoever asks for the latest stable offset gets at least what anybody was told before.
fn stable_ends_never_go_back(history: &History, violations: &mut Violations) {
    let by_time = told_by_time(history);
    let mut known = by_time.iter().peekable();
    let mut ends: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    for call in &history.calls {
        while let Some((_, _, at, end)) = known.next_if(|(at_us, ..)| *at_us < call.asked_us) {
            let newest = ends.entry(*at).or_insert(0);
            *newest = (*end).max(*newest);
        }
        if let (Operation::ListOffsets { .. }, Some((at, end))) = (&call.operation, told(call)) {
            let before = ends.get(&at).copied().unwrap_or(0);
            violations.require(9, end >= before, || {
                format!("client {} is told that {at} is stable up to {end}, it was up to {before} before", call.client)
            });
        }
    }
}

/// In the end all is stable, and who reads what is committed gets exactly that.
fn everything_committed_is_read(history: &History, durable: &Durable, violations: &mut Violations) {
    for (topic_partition, read) in &history.contents {
        violations.require(9, read.last_stable == read.high_watermark, || {
            format!("{topic_partition} is stable up to {} in the end, of {}", read.last_stable, read.high_watermark)
        });
        let Some(log) = durable.records.get(topic_partition) else { continue };
        let is_committed = |record: &LogRecord| {
            record.transaction.is_none() || end_of(record, *topic_partition, durable).is_some_and(|end| end.commit)
        };
        let expected: Vec<i64> = read
            .records
            .iter()
            .filter(|seen| !seen.is_marker() && log.get(&seen.offset).is_some_and(is_committed))
            .map(|seen| seen.offset)
            .collect();
        violations.require(9, read.committed == expected, || {
            format!("what is read of {topic_partition} in the end is {:?}, {expected:?} is committed", read.committed)
        });
    }
}
