//! Invariants 6, 7 and 8: what was refused never appears; nothing is acknowledged in a slot that was collected; what the
//! state names exists.

use std::collections::BTreeMap;

use alluvium_log::paths::ClusterPaths;

use super::Violations;
use super::durable::Durable;
use crate::history::{Call, History, Operation, Outcome};

/// What all calls about one thing came to.
#[derive(Default)]
struct Fate {
    refused: u32,
    open: u32,
    reason: String,
}

impl Fate {
    fn add(&mut self, call: &Call) {
        match &call.outcome {
            // A request that the network doubled may be refused once and taken once.
            Outcome::Refused(reason) if call.deliveries <= 1 => {
                self.refused += 1;
                self.reason.clone_from(reason);
            }
            _ => self.open += 1,
        }
    }
}

/// What was definitely refused is not in the log.
pub(super) fn refused(history: &History, durable: &Durable, violations: &mut Violations) {
    let mut batches: BTreeMap<u64, Fate> = BTreeMap::new();
    let mut commits: BTreeMap<&str, Fate> = BTreeMap::new();
    for call in &history.calls {
        match &call.operation {
            Operation::Produce { batch, .. } => batches.entry(*batch).or_default().add(call),
            Operation::CommitOffset { tag, .. } => commits.entry(tag).or_default().add(call),
            _ => {}
        }
    }
    let written = durable.batch_numbers();
    for (batch, fate) in batches {
        violations.require(6, fate.open > 0 || fate.refused == 0 || !written.contains(&batch), || {
            format!("batch {batch} was answered \"{}\" and is in the log", fate.reason)
        });
    }
    for commit in durable.commits.values().flatten() {
        if let Some(fate) = commits.get(commit.tag.as_str()) {
            violations.require(6, fate.open > 0 || fate.refused == 0, || {
                format!("commit {} was answered \"{}\" and is in entry {}", commit.tag, fate.reason, commit.entry)
            });
        }
    }
    let mut holders = BTreeMap::new();
    for call in &history.calls {
        let (Operation::Produce { topic_partition, batch, count, .. }, Outcome::Produced { base_offset, .. }) =
            (&call.operation, &call.outcome)
        else {
            continue;
        };
        for offset in *base_offset..base_offset + i64::from(*count) {
            let holder = *holders.entry((*topic_partition, offset)).or_insert(*batch);
            violations.require(6, holder == *batch, || {
                format!("batches {holder} and {batch} were both acknowledged at {offset} of {topic_partition}")
            });
        }
    }
}

/// Nothing is acknowledged that lies in a slot which had been collected, and nowhere else.
pub(super) fn reused(history: &History, durable: &Durable, violations: &mut Violations) {
    let Some(ghosts) = &durable.ghosts else { return };
    let written = durable.batch_numbers();
    let ghostly = ghosts.batch_numbers();
    for call in &history.calls {
        match (&call.operation, &call.outcome) {
            (Operation::Produce { batch, .. }, Outcome::Produced { .. }) => {
                violations.require(7, written.contains(batch) || !ghostly.contains(batch), || {
                    format!("batch {batch} was acknowledged in a slot that had been collected")
                });
            }
            (Operation::CommitOffset { group, topic_partition, tag, .. }, Outcome::Done { .. }) => {
                let known = durable.commit_places(group, *topic_partition, tag).is_some();
                let ghost = ghosts.commit_places(group, *topic_partition, tag).is_some();
                violations.require(7, known || !ghost, || {
                    format!("commit {tag} was acknowledged in a slot that had been collected")
                });
                violations
                    .require(6, known || ghost, || format!("commit {tag} was acknowledged and is not in the log"));
            }
            _ => {}
        }
    }
}

/// Every object that the newest state names is in the bucket.
pub(super) fn objects_exist(history: &History, paths: &ClusterPaths, violations: &mut Violations) {
    let partitions = history.final_states.iter().flat_map(|(shard, state)| {
        let paths = paths.shard(*shard);
        state.partitions().map(move |(topic_partition, partition)| (topic_partition, partition, paths.clone()))
    });
    for (topic_partition, partition, paths) in partitions {
        for run in partition.runs() {
            let Some(path) = run.path(*topic_partition, &paths) else { continue };
            let end = run.position + u64::from(run.length);
            let length = history.objects.get(path.as_str()).map(|bytes| bytes.len() as u64);
            violations.require(8, length.is_some_and(|length| length >= end), || {
                format!("{topic_partition} needs {path} up to byte {end}, it has {length:?}")
            });
        }
    }
}
