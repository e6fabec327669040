//! Which offsets stay: files are read once for each class of keys, those that were not compacted before twice.
//!
//! Invariants: what was read of each file is what the log says of it, before anything is done for it; memory is that of one map, the
//! reads ahead, and the bitmap of the offsets that are judged.

use alluvium_infra::planted::{self, Bug};
use alluvium_log::{Run, TableRun};
use alluvium_table::{RecordHasher, RecordTally};
use roaring::RoaringTreemap;

use super::map::{KeyHash, OffsetMap};
use crate::input::{Inputs, Records};
use crate::job::{JobError, Workshop};
use crate::merge::check_table;
use crate::pick::CompactionSpec;

/// What stays.
pub(super) struct Staying {
    pub(super) offsets: RoaringTreemap,
    /// Run by run.
    pub(super) found: Vec<RunFindings>,
}

/// What stays of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RunFindings {
    pub(super) kept: u64,
    pub(super) tombstones: u64,
}

/// What is compacted, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) dirty_from: i64,
    pub(super) log_start_offset: i64,
    pub(super) now_ms: i64,
}

/// Finds the offsets that stay of the first `judged` runs, by what is in all of them. Gives back the keys if they are all that
/// there are, for the runs behind; `known` are such of before.
pub(super) async fn scan(
    workshop: &Workshop,
    spec: &CompactionSpec,
    runs: &[(Run, Option<TableRun>)],
    judged: usize,
    scope: Scope,
    known: Option<OffsetMap>,
) -> Result<(Staying, Option<OffsetMap>), JobError> {
    let dirty = runs.partition_point(|(run, _)| run.last_offset < scope.dirty_from);
    let records = runs[dirty..].iter().filter_map(|(_, table)| table.map(|table| table.record_count)).sum::<u64>();
    let mut staying = Staying { offsets: RoaringTreemap::new(), found: vec![RunFindings::default(); judged] };
    let (mut is_first, mut is_filled) = (true, known.is_some());
    let mut map = known.unwrap_or_else(|| OffsetMap::new(workshop.settings.key_memory_bytes, records));
    loop {
        if !is_filled {
            // Those that are judged are checked then.
            let checked_from = if is_first { judged.saturating_sub(dirty) } else { usize::MAX };
            map = fill(workshop, spec, &runs[dirty..], map, checked_from).await?;
        }
        (map, staying) = judge(workshop, spec, &runs[..judged], (map, staying), scope, is_first).await?;
        (is_first, is_filled) = (false, false);
        if !map.next_class() {
            let is_whole = map.is_whole();
            return Ok((staying, is_whole.then_some(map)));
        }
    }
}

/// Puts the keys of the class, as far as the map holds them, with their newest offsets into the map. Runs from `checked_from` on are
/// compared with what the log says of them.
async fn fill(
    workshop: &Workshop,
    spec: &CompactionSpec,
    runs: &[(Run, Option<TableRun>)],
    mut map: OffsetMap,
    checked_from: usize,
) -> Result<OffsetMap, JobError> {
    let mut inputs = inputs(workshop, spec, runs)?;
    let mut tally = RecordTally::default();
    while let Some(chunk) = inputs.next().await? {
        let Records::Rows(rows) = chunk.records else { continue };
        let (is_checked, before) = (chunk.run >= checked_from, tally);
        let worked = workshop.runtime.compute(move || {
            let (mut hasher, mut tally) = (RecordHasher::default(), before);
            for row in rows.rows() {
                if is_checked {
                    tally.count(hasher.sum(&row));
                }
                if let Some(key) = row.key {
                    map.put(KeyHash::of(key), row.offset);
                }
            }
            (map, tally)
        });
        (map, tally) = worked.await.map_err(|_| JobError::Stopped)?;
        if let Some(table) = chunk.ends_table.filter(|_| is_checked) {
            check_table(&runs[chunk.run].0, &table, std::mem::take(&mut tally))?;
        }
    }
    Ok(map)
}

/// Judges the records of the class.
async fn judge(
    workshop: &Workshop,
    spec: &CompactionSpec,
    runs: &[(Run, Option<TableRun>)],
    (mut map, mut staying): (OffsetMap, Staying),
    scope: Scope,
    is_first: bool,
) -> Result<(OffsetMap, Staying), JobError> {
    let mut inputs = inputs(workshop, spec, runs)?;
    let mut tally = RecordTally::default();
    while let Some(chunk) = inputs.next().await? {
        let Records::Rows(rows) = chunk.records else { continue };
        let (run, table) = &runs[chunk.run];
        let may_forget = table.is_some_and(|table| table.tombstone_horizon_ms <= scope.now_ms)
            || planted::is(Bug::TombstonesGoAtOnce);
        let (index, before) = (chunk.run, tally);
        let worked = workshop.runtime.compute(move || {
            let (mut hasher, mut tally) = (RecordHasher::default(), before);
            for row in rows.rows() {
                if is_first {
                    tally.count(hasher.sum(&row));
                }
                let Some(key) = row.key.map(KeyHash::of).filter(|key| map.holds(*key)) else { continue };
                let is_newest = match map.get(key) {
                    Some(newest) if planted::is(Bug::NewestOfKeyGoes) => row.offset != newest,
                    newest => newest.is_none_or(|newest| row.offset >= newest),
                };
                let is_forgotten = row.is_tombstone() && may_forget;
                let offset = u64::try_from(row.offset).ok().filter(|_| row.offset >= scope.log_start_offset);
                let Some(offset) = offset.filter(|_| is_newest && !is_forgotten) else { continue };
                staying.offsets.insert(offset);
                staying.found[index].kept += 1;
                staying.found[index].tombstones += u64::from(row.is_tombstone());
            }
            (map, staying, tally)
        });
        (map, staying, tally) = worked.await.map_err(|_| JobError::Stopped)?;
        if let Some(table) = chunk.ends_table
            && is_first
        {
            check_table(run, &table, std::mem::take(&mut tally))?;
        }
    }
    Ok((map, staying))
}

fn inputs(workshop: &Workshop, spec: &CompactionSpec, runs: &[(Run, Option<TableRun>)]) -> Result<Inputs, JobError> {
    let shard = workshop.log.shard(spec.shard).ok_or(JobError::Stopped)?;
    Ok(Inputs::new(workshop, shard.paths().clone(), spec.topic_partition, runs))
}
