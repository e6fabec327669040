//! Invariant 10: what a group reads back is never older than what was acknowledged, or read, before it asked.

use std::collections::BTreeMap;

use alluvium_record::TopicPartition;

use super::Violations;
use super::durable::Durable;
use crate::history::{History, Microseconds, Operation, Outcome};

type Known = (Microseconds, (String, TopicPartition), usize);

pub(super) fn offsets_are_fresh(history: &History, durable: &Durable, violations: &mut Violations) {
    let mut known = acknowledged(history, durable);
    known.sort_unstable();
    let mut known = known.into_iter().peekable();
    let mut newest: BTreeMap<(String, TopicPartition), usize> = BTreeMap::new();
    for call in &history.calls {
        while let Some((_, key, index)) = known.next_if(|(at_us, ..)| *at_us < call.asked_us) {
            let entry = newest.entry(key).or_default();
            *entry = index.max(*entry);
        }
        let (Operation::FetchOffset { group, topic_partition }, Outcome::CommittedOffset(found)) =
            (&call.operation, &call.outcome)
        else {
            continue;
        };
        let Some(floor) = newest.get(&(group.clone(), *topic_partition)) else { continue };
        let places = found.as_ref().and_then(|(_, tag)| durable.commit_places(group, *topic_partition, tag));
        violations.require(10, places.is_some_and(|(_, last)| last >= *floor), || {
            format!(
                "client {} reads {found:?} for {group}, which is older than commit {floor} that was known",
                call.client
            )
        });
    }
}

/// Commits that somebody knew of, from the time at which they did.
fn acknowledged(history: &History, durable: &Durable) -> Vec<Known> {
    let mut known = Vec::new();
    for call in &history.calls {
        let Some(returned_us) = call.returned_us else { continue };
        let (group, topic_partition, tag) = match (&call.operation, &call.outcome) {
            (Operation::CommitOffset { group, topic_partition, tag, .. }, Outcome::Done { .. }) => {
                (group, topic_partition, tag)
            }
            (Operation::FetchOffset { group, topic_partition }, Outcome::CommittedOffset(Some((_, tag)))) => {
                (group, topic_partition, tag)
            }
            _ => continue,
        };
        if let Some((first, _)) = durable.commit_places(group, *topic_partition, tag) {
            known.push((returned_us, (group.clone(), *topic_partition), first));
        }
    }
    known
}
