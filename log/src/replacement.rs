//! Replacing runs of a partition by one Parquet file: what a job says of it, and whether the log believes it.
//!
//! Invariants: 11, no record is lost: of runs as they came as many records were read as they have offsets, and those that were read
//! are those that were written and those that were left out, in number and in sum; a replacement loses cleanly against everything that changed the runs that it was made from.

use alluvium_infra::limits::TABLE_AGE_MS_MAX;
use alluvium_infra::planted::{self, Bug};
use alluvium_record::TopicPartition;
use bytes::Bytes;
use uuid::Uuid;

use crate::format::convert::{topic_field, uuid_field};
use crate::format::convert_table::{sum_field, table_file};
use crate::format::messages::OperationKind;
use crate::format::table_messages::{ForgetObjectsMessage, ReplaceRunsMessage};
use crate::operation::Rejection;
use crate::state::{ObjectRef, Run, State, TableRun, runs_digest};

/// A number of records, and their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordTotal {
    /// How many records.
    pub count: u64,
    /// Their sum, modulo 2^128.
    pub sum: u128,
}

impl std::ops::Add for RecordTotal {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { count: self.count.wrapping_add(other.count), sum: self.sum.wrapping_add(other.sum) }
    }
}

/// The Parquet file that a job wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplacementFile {
    /// Its id.
    pub id: Uuid,
    /// Its length in bytes.
    pub length: u32,
    /// Largest timestamp in it.
    pub max_timestamp: i64,
    /// The rest.
    pub table: TableRun,
}

/// What a job made of the runs between two offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// First offset of the first run.
    pub base_offset: i64,
    /// Last offset of the last run.
    pub last_offset: i64,
    /// [`runs_digest`] of the runs that were read.
    pub inputs_digest: [u8; 32],
    /// What was read from runs that are no Parquet files.
    pub raw: RecordTotal,
    /// What was left out: aborted, or compacted by key.
    pub removed: RecordTotal,
    /// The file; `None` when no record is left.
    pub file: Option<ReplacementFile>,
    /// Up to where keys are compacted now, when the job did that.
    pub cleaned_to: Option<i64>,
}

pub(crate) fn validate(
    state: &State,
    replacement: &Replacement,
    timestamp_ms: i64,
) -> Result<OperationKind, Rejection> {
    let Replacement { topic_partition, base_offset, last_offset, .. } = *replacement;
    let partition = state.partition(topic_partition).ok_or(Rejection::UnknownPartition)?;
    let wins = planted::is(Bug::ReplacementWins);
    let runs =
        partition.runs_between(base_offset, last_offset).or(wins.then(Vec::new)).ok_or(Rejection::RunsChanged)?;
    let changed = runs_digest(&runs) != replacement.inputs_digest && !wins;
    if changed || last_offset >= partition.last_stable_offset() {
        return Err(Rejection::RunsChanged);
    }
    check_all_read(&runs, replacement.raw.count)?;
    let files = runs.iter().filter_map(|run| partition.table(run));
    let read = files.fold(replacement.raw, |total, table| total + total_of(table));
    let written = replacement.file.map_or(RecordTotal::default(), |file| total_of(&file.table));
    if read != written + replacement.removed && !planted::is(Bug::SumsNotConserved) && !wins {
        let text = format!("{read:?} read, {written:?} written, {:?} left out", replacement.removed);
        return Err(Rejection::SumsDiffer(text));
    }
    if replacement.cleaned_to.is_some_and(|offset| offset > last_offset + 1) {
        let bounds = "not behind what was read".to_owned();
        return Err(Rejection::OutOfBounds { what: "offset that keys are compacted to", bounds });
    }
    if replacement.file.is_some_and(|file| is_too_old(file.id, timestamp_ms)) {
        // Files that nobody names are collected: this one may be gone.
        let bounds = format!("at most {TABLE_AGE_MS_MAX} ms");
        return Err(Rejection::OutOfBounds { what: "age of the file", bounds });
    }
    Ok(OperationKind::ReplaceRuns(ReplaceRunsMessage {
        topic: topic_field(topic_partition.topic),
        partition: topic_partition.partition,
        base_offset,
        last_offset,
        inputs_digest: Bytes::copy_from_slice(&replacement.inputs_digest),
        raw_record_count: replacement.raw.count,
        raw_sum: sum_field(replacement.raw.sum),
        removed_record_count: replacement.removed.count,
        removed_sum: sum_field(replacement.removed.sum),
        file: replacement.file.map(|file| table_file(file.id, file.length, file.max_timestamp, &file.table)),
        cleaned_to: replacement.cleaned_to.unwrap_or(0),
    }))
}

/// Every offset of runs that are no Parquet files has a record, or is a marker's: as many were read as there are offsets, or some
/// were passed over.
fn check_all_read(runs: &[Run], read: u64) -> Result<(), Rejection> {
    let is_raw = |run: &&Run| matches!(run.object, ObjectRef::Entry(_) | ObjectRef::Segment(_));
    let offsets: u64 = runs.iter().filter(is_raw).map(|run| run.last_offset.abs_diff(run.base_offset) + 1).sum();
    if read == offsets || planted::is(Bug::SumsNotConserved) || planted::is(Bug::ReplacementWins) {
        return Ok(());
    }
    Err(Rejection::SumsDiffer(format!("{read} records read of runs with {offsets} offsets")))
}

/// By the time that a version 7 id has in it.
fn is_too_old(id: Uuid, timestamp_ms: i64) -> bool {
    let begun_ms = id.get_timestamp().map(|begun| begun.to_unix()).and_then(|(seconds, nanos)| {
        i64::try_from(seconds.saturating_mul(1000).saturating_add(u64::from(nanos) / 1_000_000)).ok()
    });
    begun_ms.is_some_and(|begun_ms| timestamp_ms.saturating_sub(begun_ms) > TABLE_AGE_MS_MAX as i64)
}

fn total_of(table: &TableRun) -> RecordTotal {
    RecordTotal { count: table.record_count, sum: table.sum }
}

/// Those of the objects that are on the garbage list. Of none at all an entry is made as well: it changes nothing, and a checkpoint
/// can have its number.
pub(crate) fn forget(state: &State, objects: &[ObjectRef]) -> Option<OperationKind> {
    let mut message = ForgetObjectsMessage::default();
    for object in objects.iter().filter(|object| state.objects.garbage.contains_key(object)) {
        match object {
            ObjectRef::Segment(id) => message.segments.push(uuid_field(*id)),
            ObjectRef::Table(id) => message.files.push(uuid_field(*id)),
            ObjectRef::Entry(_) | ObjectRef::Nothing => {}
        }
    }
    message.segments.sort_unstable();
    message.segments.dedup();
    message.files.sort_unstable();
    message.files.dedup();
    let is_empty = message.segments.is_empty() && message.files.is_empty();
    (!is_empty || objects.is_empty()).then_some(OperationKind::ForgetObjects(message))
}
