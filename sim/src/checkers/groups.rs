//! Invariant 10: what a group reads back is never older than what was acknowledged, or read, before it asked; who does not
//! coordinate a shard writes nothing for its groups; a partition has one owner in a generation.

use std::collections::BTreeMap;

use alluvium_log::format::entry;
use alluvium_log::format::messages::OperationKind;
use alluvium_record::{ShardId, TopicPartition};

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
        let (Operation::FetchOffset { group, topic_partition, .. }, Outcome::CommittedOffset(found)) =
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
            (Operation::FetchOffset { group, topic_partition, .. }, Outcome::CommittedOffset(Some((_, tag)))) => {
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

/// Each command for a group stands in an entry of the node that took the shard over last.
pub(super) fn only_coordinators_write(history: &History, violations: &mut Violations) {
    let mut coordinators: BTreeMap<ShardId, i32> = BTreeMap::new();
    for slot in history.slots.iter().filter(|slot| !slot.again) {
        // What cannot be decoded was reported by whoever decodes the whole log.
        let Ok(entry) = entry::decode(&slot.bytes) else { continue };
        for kind in entry.message.operations.iter().filter_map(|operation| operation.kind.as_ref()) {
            let command = match kind {
                OperationKind::TakeOver(take_over) => {
                    coordinators.insert(slot.shard, take_over.node);
                    continue;
                }
                OperationKind::CommitOffsets(_) | OperationKind::CommitTransactionOffsets(_) => "offsets",
                OperationKind::PutGroup(_) | OperationKind::PutConsumerGroup(_) => "a group",
                OperationKind::DeleteGroup(_) | OperationKind::DeleteOffsets(_) => "a deletion",
                _ => continue,
            };
            let coordinator = coordinators.get(&slot.shard).map(|node| format!("node-{node}"));
            violations.require(10, coordinator.as_deref() == Some(entry.message.node.as_str()), || {
                format!(
                    "{} wrote {command} in entry {} of shard {}, {coordinator:?} had taken over",
                    entry.message.node, slot.number, slot.shard
                )
            });
        }
    }
}

/// No two members of a generation were given the same partition. Assignments are lists of names with commas.
pub(super) fn partitions_have_one_owner(history: &History, violations: &mut Violations) {
    let mut owners: BTreeMap<(&str, i32, String), &str> = BTreeMap::new();
    for call in &history.calls {
        let (Operation::Sync { group, member, generation, .. }, Outcome::Synced(assignment)) =
            (&call.operation, &call.outcome)
        else {
            continue;
        };
        for partition in assignment.split(',').filter(|partition| !partition.is_empty()) {
            let owner = *owners.entry((group, *generation, partition.to_owned())).or_insert(member);
            violations.require(10, owner == member, || {
                format!("{partition} of {group} belongs to {owner} and {member} in generation {generation}")
            });
        }
    }
}
