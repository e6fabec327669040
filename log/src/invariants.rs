//! The design's numbered invariants as far as the state of one shard shows them: predicates over (before, after).
//!
//! Called in debug builds before each commit is acknowledged and as each entry is applied, and by simulation and scrub in
//! every build.

use crate::state::{ObjectRef, Partition, State};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {number} is broken: {what}")]
pub struct Broken {
    /// Its number in docs/internals/invariants.md.
    pub number: u8,
    /// What was found.
    pub what: String,
}

fn require(number: u8, holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { number, what: what() }) }
}

/// Checks one step of the log.
///
/// # Errors
/// The first invariant that does not hold.
pub fn check_step(before: &State, after: &State) -> Result<(), Broken> {
    require(6, after.entry_number == before.entry_number + 1, || {
        format!("entry {} follows {}", after.entry_number, before.entry_number)
    })?;
    require(5, after.timestamp_ms >= before.timestamp_ms, || "time of entries went back".to_owned())?;
    for (topic_partition, partition) in after.partitions() {
        let Some(known) = before.partition(*topic_partition) else { continue };
        // Most partitions did not change; shared structure tells without looking inside.
        if known.runs.ptr_eq(&partition.runs) && known.log_start_offset == partition.log_start_offset {
            continue;
        }
        require(2, partition.high_watermark >= known.high_watermark, || {
            format!("high watermark of {topic_partition} went back")
        })?;
        require(1, partition.log_start_offset >= known.log_start_offset, || {
            format!("log start of {topic_partition} went back")
        })?;
        require(9, partition.last_stable_offset() >= known.last_stable_offset(), || {
            format!("last stable offset of {topic_partition} went back")
        })?;
        check_growth(known, partition)
            .map_err(|broken| Broken { what: format!("{topic_partition}: {}", broken.what), ..broken })?;
    }
    Ok(())
}

fn check_growth(before: &Partition, after: &Partition) -> Result<(), Broken> {
    let mut next = before.high_watermark;
    for (_, run) in after.runs.range(before.high_watermark..) {
        require(2, run.base_offset == next, || format!("run starts at {}, {next} is next", run.base_offset))?;
        require(2, run.last_offset >= run.base_offset, || "run is empty".to_owned())?;
        next = run.last_offset + 1;
    }
    require(2, next == after.high_watermark, || {
        format!("runs end at {next}, high watermark is {}", after.high_watermark)
    })
}

fn check_transactions(partition: &Partition) -> Result<(), Broken> {
    let open: Vec<(i64, i64)> =
        partition.producers().filter_map(|(id, state)| state.transaction.map(|open| (open.first_offset, id))).collect();
    require(9, open.len() == partition.open.size(), || "open transactions are not those of its producers".to_owned())?;
    for (first_offset, producer_id) in open {
        require(9, partition.open.get(&first_offset) == Some(&producer_id), || {
            format!("the open transaction of producer {producer_id} is not listed")
        })?;
        require(9, first_offset < partition.high_watermark, || {
            format!("the open transaction of producer {producer_id} begins behind the end")
        })?;
    }
    for aborted in partition.aborted.values() {
        require(
            9,
            aborted.first_offset < aborted.last_offset && aborted.last_offset < partition.high_watermark,
            || format!("an aborted transaction ends at {}", aborted.last_offset),
        )?;
    }
    Ok(())
}

/// What runs refer to is counted, and nothing of it is garbage.
fn check_objects(state: &State) -> Result<(), Broken> {
    let mut counts = std::collections::BTreeMap::new();
    for run in state.partitions().flat_map(|(_, partition)| partition.runs()) {
        if run.object != ObjectRef::Nothing {
            *counts.entry(run.object).or_insert(0_u32) += 1;
        }
    }
    require(8, state.referenced_objects().eq(counts.keys().copied()), || "objects are not those of runs".to_owned())?;
    for (object, count) in counts {
        require(8, state.references(object) == count, || format!("{object:?} is not referred to {count} times"))?;
        require(8, !state.objects.garbage.contains_key(&object), || format!("{object:?} is no garbage"))?;
    }
    Ok(())
}

/// Checks a whole state.
///
/// # Errors
/// The first invariant that does not hold.
pub fn check_state(state: &State) -> Result<(), Broken> {
    for topic in state.topics.values() {
        let own = (0..topic.partition_count).filter(|partition| topic.shard_of(*partition) == state.shard).count();
        let found = state
            .partitions
            .range(
                alluvium_record::TopicPartition { topic: topic.id, partition: i32::MIN }
                    ..=alluvium_record::TopicPartition { topic: topic.id, partition: i32::MAX },
            )
            .count();
        require(5, found == own, || format!("topic {} has {found} of {own} partitions in this shard", topic.name))?;
    }
    for (topic_partition, partition) in state.partitions() {
        require(1, partition.log_start_offset <= partition.high_watermark, || {
            format!("{topic_partition} starts behind its end")
        })?;
        let mut next = None;
        let mut bytes = 0;
        for run in partition.runs() {
            bytes += u64::from(run.length);
            match next {
                None => require(1, run.base_offset <= partition.log_start_offset, || {
                    format!("{topic_partition} misses offsets from {}", partition.log_start_offset)
                })?,
                Some(next) => require(2, run.base_offset == next, || {
                    format!("{topic_partition} has a gap or an overlap at {next}")
                })?,
            }
            next = Some(run.last_offset + 1);
        }
        require(2, next.unwrap_or(partition.log_start_offset) == partition.high_watermark, || {
            format!("runs of {topic_partition} do not end at its high watermark")
        })?;
        check_transactions(partition)
            .map_err(|broken| Broken { what: format!("{topic_partition}: {}", broken.what), ..broken })?;
        require(1, bytes == partition.size_bytes, || format!("size of {topic_partition} does not add up"))?;
    }
    check_objects(state)
}
