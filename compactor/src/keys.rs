//! Compaction by key: of the records of a key only the last one stays, with Kafka's rules.
//!
//! Works on files alone: what is not in one yet waits for its merge. Stretch by stretch from the front, first the offsets that stay
//! are found, in passes over classes of hashed keys whose maps fit the memory that is allowed; then files are made of them.
//!
//! Invariants, all of them Kafka's:
//! 1. A record stays when no later one, before the end of what is compacted, has its key; offsets never change. Records without a
//!    key go.
//! 2. A tombstone stays until `delete.retention.ms` after the compaction that saw it first, so that consumers see it in time.
//! 3. What is younger than `min.compaction.lag.ms`, and the last run behind the last stable offset, is not touched.
//! 4. Whatever a crash leaves is right: files are replaced from the front, so no tombstone goes before what it deletes.
//! 5. The offsets that stay are held of one stretch of files at a time, in an eighth of the memory that keys may take, unless a file
//!    alone has more. Only what comes after a record takes its place, so a stretch is judged by itself and what is behind it.

mod map;
mod scan;

use std::ops::Range;
use std::sync::Arc;

use alluvium_log::{ObjectRef, Run, TableRun};
use alluvium_table::Row;
use roaring::RoaringTreemap;

use crate::job::{JobError, JobOutcome, Workshop};
use crate::merge::{Rewrite, bounds};
use crate::output::Keep;
use crate::pick::{CompactionSpec, StableRuns, is_raw};
use crate::rules::TopicRules;
use scan::{RunFindings, Staying};

/// The horizon of a file that has no tombstone.
const NO_TOMBSTONES: i64 = 1;
/// Horizons are rounded up to this share of `delete.retention.ms`: files with one horizon can be put together without making any
/// of their tombstones live longer.
const HORIZON_STEPS: i64 = 4;

/// The runs that a compaction by key takes in, when one is due, and the offset from which they were not compacted before.
pub(crate) fn due(runs: &StableRuns, rules: &TopicRules, now_ms: i64) -> Option<(Range<usize>, i64)> {
    let files = runs.runs.iter().take_while(|(run, _)| !is_raw(run)).count();
    let stable_end = runs.runs.len().saturating_sub(1);
    let dirty_start = runs.runs.iter().position(|(run, _)| run.last_offset >= runs.cleaned_to)?;
    let lags = |(run, _): &(Run, Option<TableRun>)| {
        rules.compaction_lag_ms_min > 0 && run.max_timestamp > now_ms.saturating_sub(rules.compaction_lag_ms_min)
    };
    let young = runs.runs[dirty_start..].iter().position(lags).map_or(usize::MAX, |index| dirty_start + index);
    let end = files.min(stable_end).min(young);
    if end <= dirty_start {
        return None;
    }
    let bytes = |range: Range<usize>| runs.runs[range].iter().map(|(run, _)| u64::from(run.length)).sum::<u64>();
    let (dirty, all) = (bytes(dirty_start..end), bytes(0..end));
    if dirty == 0 {
        return None;
    }
    let is_dirty = dirty as f64 / all as f64 > rules.dirty_ratio_min;
    // As in Kafka, a file whose records have no time is not overdue.
    let oldest = runs.runs[dirty_start..end].iter().filter_map(|(_, table)| table.map(|table| table.min_timestamp));
    let oldest = oldest.filter(|timestamp| *timestamp > 0).min();
    let is_overdue = oldest.is_some_and(|oldest| now_ms.saturating_sub(oldest) > rules.compaction_lag_ms_max);
    (is_dirty || is_overdue).then(|| (0..end, runs.runs[dirty_start].0.base_offset.max(runs.cleaned_to)))
}

/// The share of the memory for keys that the offsets of a stretch take beside it.
const STAYING_SHARE: usize = 8;

/// Which offsets stay.
struct StayingOffsets(RoaringTreemap);

impl Keep for StayingOffsets {
    fn keeps(&self, row: &Row<'_>) -> bool {
        u64::try_from(row.offset).is_ok_and(|offset| self.0.contains(offset))
    }
}

/// Files that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    runs: Range<usize>,
    tombstone_horizon_ms: i64,
    /// Whether they were not compacted before.
    is_dirty: bool,
}

/// Runs a job that compacts keys.
pub(crate) async fn compact(
    workshop: &Workshop,
    spec: &CompactionSpec,
    dirty_from: i64,
    now_ms: i64,
) -> Result<JobOutcome, JobError> {
    let view = workshop.log.view();
    let (Some(topic), Some(partition)) = (view.topic(spec.topic_partition.topic), view.partition(spec.topic_partition))
    else {
        return Ok(JobOutcome::Lost);
    };
    let Some((base_offset, last_offset)) = bounds(&spec.runs) else { return Ok(JobOutcome::Nothing) };
    if partition.runs_between(base_offset, last_offset).as_ref() != Some(&spec.runs) {
        return Ok(JobOutcome::Lost);
    }
    let runs: Vec<(Run, Option<TableRun>)> =
        spec.runs.iter().map(|run| (*run, partition.table(run).copied())).collect();
    let rules = TopicRules::of(topic);
    let log_start_offset = partition.log_start_offset();
    let scope = scan::Scope { dirty_from, log_start_offset, now_ms };
    let horizon_ms = horizon(now_ms, rules.delete_retention_ms);
    let (mut outcome, mut keys) = (JobOutcome::Nothing, None);
    for stretch in stretches(&runs, workshop.settings.key_memory_bytes / STAYING_SHARE) {
        let staying;
        (staying, keys) = scan::scan(workshop, spec, &runs[stretch.start..], stretch.len(), scope, keys).await?;
        // Behind the last stretch nobody asks for them.
        keys = keys.filter(|_| stretch.end < runs.len());
        let Staying { offsets, found } = staying;
        let (runs, keep) = (&runs[stretch], Arc::new(StayingOffsets(offsets)));
        let most = (workshop.settings.file_bytes_max, rules.file_records_max());
        for group in groups(runs, &found, dirty_from, horizon_ms, most) {
            let last_offset = runs[group.runs.end - 1].0.last_offset;
            let rewrite = Rewrite {
                spec,
                runs: runs[group.runs].to_vec(),
                topic_name: &topic.name,
                rules: &rules,
                keep: keep.clone(),
                tombstone_horizon_ms: group.tombstone_horizon_ms,
                cleaned_to: group.is_dirty.then_some(last_offset + 1),
            };
            outcome = rewrite.run(workshop).await?;
            if outcome != JobOutcome::Replaced {
                // What comes next may depend on it.
                return Ok(outcome);
            }
        }
    }
    Ok(outcome)
}

/// Files side by side whose offsets fit so many bytes if all of them stay; one file at least.
fn stretches(runs: &[(Run, Option<TableRun>)], bytes_max: usize) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, run) in runs.iter().enumerate() {
        let more = staying_bytes_max(run);
        bytes += more;
        match stretches.last_mut() {
            Some(stretch) if bytes <= bytes_max as u64 => stretch.end = index + 1,
            _ => {
                stretches.push(index..index + 1);
                bytes = more;
            }
        }
    }
    stretches
}

/// What the bitmap of offsets takes when all records of a run stay: for each 65,536 offsets with a record its place, and a bit for each
/// offset or up to four bytes for each record, whatever is less.
fn staying_bytes_max((run, table): &(Run, Option<TableRun>)) -> u64 {
    let offsets = run.last_offset.abs_diff(run.base_offset) + 1;
    let records = table.map_or(0, |table| table.record_count);
    (offsets / 8 + 1).min(records.saturating_mul(4)) + (offsets / 65_536 + 1).min(records) * 64
}

/// When tombstones that are seen now for the first time may go.
fn horizon(now_ms: i64, delete_retention_ms: i64) -> i64 {
    let step = (delete_retention_ms / HORIZON_STEPS).max(1);
    let due = now_ms.saturating_add(delete_retention_ms).max(NO_TOMBSTONES);
    match due.rem_euclid(step) {
        0 => due,
        rest => due.saturating_add(step - rest),
    }
}

/// Which files are written anew, and together with which others: those with one horizon, up to what a file may have, and never
/// across where keys were compacted before. A file that stays as it is is not written.
fn groups(
    runs: &[(Run, Option<TableRun>)],
    found: &[RunFindings],
    dirty_from: i64,
    horizon_ms: i64,
    (file_bytes_max, file_records_max): (u64, u64),
) -> Vec<Group> {
    let mut groups: Vec<(Group, u64, u64, bool)> = Vec::new();
    for (index, ((run, table), found)) in runs.iter().zip(found).enumerate() {
        let is_dirty = run.last_offset >= dirty_from;
        let own = match table {
            Some(table) if found.tombstones > 0 && table.tombstone_horizon_ms != i64::MAX => table.tombstone_horizon_ms,
            _ if found.tombstones > 0 => horizon_ms,
            _ => NO_TOMBSTONES,
        };
        let records = table.map_or(0, |table| table.record_count);
        let kept_bytes = match records {
            0 => 0,
            records => (u128::from(run.length) * u128::from(found.kept) / u128::from(records)) as u64,
        };
        let changes = is_dirty || found.kept != records;
        if let Some((group, bytes, kept, group_changes)) = groups.last_mut() {
            let one_horizon = own == NO_TOMBSTONES
                || group.tombstone_horizon_ms == NO_TOMBSTONES
                || own == group.tombstone_horizon_ms;
            let fits = *bytes + kept_bytes <= file_bytes_max && *kept + found.kept <= file_records_max;
            if group.is_dirty == is_dirty && one_horizon && fits {
                group.runs.end = index + 1;
                group.tombstone_horizon_ms = group.tombstone_horizon_ms.max(own);
                *bytes += kept_bytes;
                *kept += found.kept;
                *group_changes |= changes;
                continue;
            }
        }
        let group = Group { runs: index..index + 1, tombstone_horizon_ms: own, is_dirty };
        groups.push((group, kept_bytes, found.kept, changes));
    }
    let is_one_empty_run = |group: &Group| {
        group.runs.len() == 1 && runs[group.runs.start].0.object == ObjectRef::Nothing && !group.is_dirty
    };
    groups
        .into_iter()
        .filter(|(group, _, _, changes)| *changes && !is_one_empty_run(group))
        .map(|(group, ..)| group)
        .collect()
}

#[cfg(test)]
mod tests;
