//! The records of runs in order, a bounded number of reads ahead.
//!
//! Invariants:
//! 1. A raw run is given out when the CRC of each of its batches, their offsets and their sum are right. What arrives damaged is
//!    read once again before it is called so.
//! 2. Runs are given out in order and whole; none is passed over.
//! 3. Of memory, at most [`MERGE_READS_AHEAD_MAX`] reads of [`MERGE_READ_BYTES`] are held beside the one that was given out; of row
//!    groups as many as take no more than that when they are decoded, and one at least.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use alluvium_infra::limits::{MERGE_READ_BYTES, MERGE_READS_AHEAD_MAX};
use alluvium_infra::runtime::JoinHandle;
use alluvium_infra::store::{StoreError, StorePath};
use alluvium_log::paths::ShardPaths;
use alluvium_log::{ObjectRef, Run, TableRun};
use alluvium_record::batch::RecordBatch;
use alluvium_record::{TopicPartition, batch_sum, split_batches};
use alluvium_table::{DecodedRows, RowGroupFacts, StoreFile, TableReader};
use bytes::Bytes;

use crate::job::{JobError, Workshop};
use crate::pick::is_raw;

/// What was read of a run.
#[derive(Debug)]
pub(crate) enum Records {
    /// Checked batches at their offsets.
    Batches(Vec<RecordBatch>),
    /// A row group of a file.
    Rows(Box<DecodedRows>),
}

/// What was read, and of which run.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) records: Records,
    /// Of the runs that were asked for, the first that this is of.
    pub(crate) run: usize,
    /// With the last row group of a file: what all its records must come to.
    pub(crate) ends_table: Option<TableRun>,
}

enum Step {
    /// Runs side by side in one object.
    Raw(usize, Vec<Run>),
    Table(usize, Run, TableRun),
    RowGroup {
        run: usize,
        reader: TableReader,
        path: StorePath,
        index: usize,
        ends_table: Option<TableRun>,
    },
}

impl Step {
    /// What the read takes in memory, about.
    fn bytes(&self) -> usize {
        match self {
            Step::Raw(..) => MERGE_READ_BYTES,
            // It gives way to its row groups.
            Step::Table(..) => 0,
            Step::RowGroup { reader, index, .. } => {
                reader.row_groups().get(*index).map_or(0, RowGroupFacts::memory_bytes)
            }
        }
    }
}

/// Reads runs.
pub(crate) struct Inputs {
    workshop: Workshop,
    paths: ShardPaths,
    topic_partition: TopicPartition,
    steps: VecDeque<Step>,
    reading: VecDeque<Reading>,
}

/// A read that is under way, or waits to be given out.
struct Reading {
    chunk: JoinHandle<Result<Chunk, JobError>>,
    /// What it takes in memory, about.
    bytes: usize,
}

/// What reads may take together.
const READING_BYTES_MAX: usize = MERGE_READ_BYTES * MERGE_READS_AHEAD_MAX;

impl Inputs {
    /// The runs, each with what is known of it as a file.
    pub(crate) fn new(
        workshop: &Workshop,
        paths: ShardPaths,
        topic_partition: TopicPartition,
        runs: &[(Run, Option<TableRun>)],
    ) -> Self {
        let mut steps: VecDeque<Step> = VecDeque::new();
        for (index, (run, table)) in runs.iter().enumerate() {
            match (table, steps.back_mut()) {
                (Some(table), _) => steps.push_back(Step::Table(index, *run, *table)),
                (None, Some(Step::Raw(_, read))) if follows(read, run) => read.push(*run),
                (None, _) if is_raw(run) => steps.push_back(Step::Raw(index, vec![*run])),
                // No record is left of it.
                (None, _) => {}
            }
        }
        Self { workshop: workshop.clone(), paths, topic_partition, steps, reading: VecDeque::new() }
    }

    /// What comes next, until there is no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, JobError> {
        self.workshop.check_running()?;
        while self.reading.len() < MERGE_READS_AHEAD_MAX {
            let held: usize = self.reading.iter().map(|reading| reading.bytes).sum();
            let fits = |step: &Step| self.reading.is_empty() || held + step.bytes() <= READING_BYTES_MAX;
            let Some(step) = self.steps.pop_front_if(|step| fits(step)) else { break };
            self.begin(step).await?;
        }
        let Some(reading) = self.reading.pop_front() else { return Ok(None) };
        let chunk = reading.chunk.await.map_err(|_| JobError::Stopped)??;
        Ok(Some(chunk))
    }

    async fn begin(&mut self, step: Step) -> Result<(), JobError> {
        let bytes = step.bytes();
        let workshop = self.workshop.clone();
        let path = |run: &Run| run.path(self.topic_partition, &self.paths);
        match step {
            Step::Raw(index, runs) => {
                let path = path(&runs[0]).ok_or(JobError::Stopped)?;
                let reading = async move {
                    let records = Records::Batches(read_raw(&workshop, &path, &runs).await?);
                    Ok(Chunk { records, run: index, ends_table: None })
                };
                let chunk = self.workshop.runtime.spawn("read runs", reading);
                self.reading.push_back(Reading { chunk, bytes });
            }
            Step::Table(index, run, table) => {
                let path = path(&run).ok_or(JobError::Stopped)?;
                let reader = open_table(&workshop, &path, self.topic_partition, &run, &table).await?;
                let groups = reader.row_groups().len();
                for group in (0..groups).rev() {
                    let ends_table = (group + 1 == groups).then_some(table);
                    let (reader, path) = (reader.clone(), path.clone());
                    self.steps.push_front(Step::RowGroup { run: index, reader, path, index: group, ends_table });
                }
            }
            Step::RowGroup { run, reader, path, index, ends_table } => {
                let reading = async move {
                    let rows = reader.read_row_group(&workshop.runtime, index).await;
                    let rows = rows.map_err(|error| JobError::read(&path, error))?;
                    workshop.counters.read_bytes.add(reader.row_groups().get(index).map_or(0, |group| group.bytes));
                    Ok(Chunk { records: Records::Rows(Box::new(rows)), run, ends_table })
                };
                let chunk = self.workshop.runtime.spawn("read rows", reading);
                self.reading.push_back(Reading { chunk, bytes });
            }
        }
        Ok(())
    }
}

/// Whether a run can be read with those before it.
fn follows(read: &[Run], run: &Run) -> bool {
    let (Some(first), Some(last)) = (read.first(), read.last()) else { return false };
    let end = run.position + u64::from(run.length);
    is_raw(run)
        && last.object == run.object
        && last.position + u64::from(last.length) == run.position
        && end - first.position <= MERGE_READ_BYTES as u64
}

/// Opens the file of a run, which must be what the log says of it.
pub(crate) async fn open_table(
    workshop: &Workshop,
    path: &StorePath,
    topic_partition: TopicPartition,
    run: &Run,
    table: &TableRun,
) -> Result<TableReader, JobError> {
    let file = Arc::new(StoreFile { store: workshop.store().clone(), path: path.clone() });
    let opened = TableReader::open(file, u64::from(run.length), Some(u64::from(table.footer_bytes))).await;
    let reader = opened.map_err(|error| JobError::open(path, error))?;
    reader.expect(topic_partition, run.base_offset, run.last_offset).map_err(|error| JobError::open(path, error))?;
    let tally = reader.tally();
    if (tally.record_count, tally.sum.0) != (table.record_count, table.sum) {
        let reason = format!(
            "it has {} records with the sum {}, the log says {} with {:032x}",
            tally.record_count, tally.sum, table.record_count, table.sum
        );
        return Err(JobError::Damaged { what: path.to_string(), reason });
    }
    Ok(reader)
}

/// Reads runs side by side in one object, checked.
pub(crate) async fn read_raw(
    workshop: &Workshop,
    path: &StorePath,
    runs: &[Run],
) -> Result<Vec<RecordBatch>, JobError> {
    let from = runs.first().map_or(0, |run| run.position);
    let to = runs.last().map_or(0, |run| run.position + u64::from(run.length));
    let mut damage = None;
    for _ in 0..2 {
        let bytes = match read_range(workshop, path, runs, from..to).await {
            Ok(bytes) => bytes,
            Err(StoreError::Truncated { expected, actual, .. }) if damage.is_none() => {
                damage = Some(format!("{actual} bytes where {expected} were expected"));
                continue;
            }
            Err(error) => return Err(JobError::store(path, error)),
        };
        match check(runs, &bytes) {
            Ok(batches) => {
                workshop.counters.read_bytes.add(to - from);
                return Ok(batches);
            }
            Err(reason) => {
                tracing::warn!(%path, reason, "runs arrived damaged");
                workshop.shared.remove(path);
                damage = Some(reason);
            }
        }
    }
    Err(JobError::Damaged { what: path.to_string(), reason: damage.unwrap_or_default() })
}

/// A range of an object. Of entries the whole is read and shared with the jobs about other partitions, while there is room.
async fn read_range(
    workshop: &Workshop,
    path: &StorePath,
    runs: &[Run],
    range: Range<u64>,
) -> Result<Bytes, StoreError> {
    let shared = &workshop.shared;
    let is_entry = runs.iter().all(|run| matches!(run.object, ObjectRef::Entry(_)));
    let whole = match shared.get(path) {
        Some(whole) => whole,
        None if is_entry && shared.has_room() => {
            let whole = workshop.store().get(path).await?;
            shared.put(path, &whole);
            whole
        }
        None => return workshop.store().get_range(path, range).await,
    };
    let (expected, actual) = (range.end - range.start, (whole.len() as u64).saturating_sub(range.start));
    match usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok()) {
        Some((from, to)) if to <= whole.len() => Ok(whole.slice(from..to)),
        _ => {
            shared.remove(path);
            Err(StoreError::Truncated { path: path.clone(), expected, actual })
        }
    }
}

fn check(runs: &[Run], bytes: &Bytes) -> Result<Vec<RecordBatch>, String> {
    let start = runs.first().map_or(0, |run| run.position);
    let mut batches = Vec::new();
    for run in runs {
        // The runs are within the bytes: they were read for them.
        let from = (run.position - start) as usize;
        let slice = bytes.get(from..from + run.length as usize).ok_or("a run is cut off")?;
        batches.extend(
            batches_of(run, bytes.slice_ref(slice)).map_err(|reason| {
                format!("the run from offset {} to {}: {reason}", run.base_offset, run.last_offset)
            })?,
        );
    }
    Ok(batches)
}

/// The batches of a run at their offsets, if all of it is right.
pub(crate) fn batches_of(run: &Run, bytes: Bytes) -> Result<Vec<RecordBatch>, String> {
    let mut next = run.base_offset;
    let mut sum = 0_u64;
    let mut batches = split_batches(bytes).map_err(|error| error.to_string())?;
    for batch in &mut batches {
        *batch = batch.at_offset(next);
        batch.verify_crc().map_err(|error| format!("the batch at offset {next}: {error}"))?;
        sum = sum.wrapping_add(batch_sum(next, batch.header.record_count, batch.header.crc));
        next = batch.header.next_offset();
    }
    if next != run.last_offset + 1 {
        return Err(format!("its batches end before offset {next}"));
    }
    // Older releases wrote no sum.
    if run.sum != 0 && sum != run.sum {
        return Err(format!("its sum is {sum:016x}, the log says {:016x}", run.sum));
    }
    Ok(batches)
}
