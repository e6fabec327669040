//! Scrub: proves a topic from the manifest to the last byte.
//!
//! Invariants:
//! 1. A clean report means: the state holds together, and each run that it names was read whole, with every checksum, offset, count
//!    and sum as the log says; of files every record was decoded and summed.
//! 2. A run that is replaced or deleted while it is read is no finding: what took its place is read instead.

use std::collections::VecDeque;

use alluvium_log::invariants::check_state;
use alluvium_log::{Run, Shard, TableRun};
use alluvium_record::{TopicId, TopicPartition};

use crate::input::{open_table, read_raw};
use crate::job::{JobError, Workshop};
use crate::shared::SharedEntries;

/// How far a scrub is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Bytes of runs that were read.
    pub bytes: u64,
    /// Bytes of all runs when it began.
    pub bytes_total: u64,
    /// Runs that were read.
    pub runs: u64,
    /// Records that were counted in files. Raw batches are checked as a whole.
    pub records: u64,
}

/// Something that is not as the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubFinding {
    /// The topic, the partition and the offsets, or the shard.
    pub place: String,
    /// What is wrong.
    pub reason: String,
    /// Whether it could only not be looked at: the store did not answer.
    pub is_unknown: bool,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// What was read.
    pub progress: ScrubProgress,
    /// What is wrong; nothing when all is proven.
    pub findings: Vec<ScrubFinding>,
}

/// Reads all runs of a topic, or of all.
pub(crate) async fn scrub(
    workshop: &Workshop,
    topic: Option<TopicId>,
    tell: impl Fn(ScrubProgress) + Send + Sync,
) -> ScrubReport {
    // What is proven was read for it, and from the store.
    let workshop = &Workshop { shared: SharedEntries::default(), ..workshop.clone() };
    let mut report = ScrubReport::default();
    for shard in workshop.log.shards() {
        let checked = match shard.catch_up().await {
            Ok(state) => check_state(&state).map_err(|broken| (broken.to_string(), false)),
            Err(error) => Err((error.to_string(), true)),
        };
        if let Err((reason, is_unknown)) = checked {
            report.findings.push(ScrubFinding { place: format!("shard {}", shard.id()), reason, is_unknown });
        }
    }
    let view = workshop.log.view();
    let wanted = |at: &TopicPartition| topic.is_none_or(|topic| at.topic == topic);
    let partitions: Vec<TopicPartition> = view.partitions().map(|(at, _)| at).filter(wanted).collect();
    report.progress.bytes_total =
        partitions.iter().filter_map(|at| view.partition(*at)).map(alluvium_log::Partition::size_bytes).sum();
    for at in partitions {
        let name = view.topic(at.topic).map_or("?", |topic| topic.name.as_str());
        scrub_partition(workshop, name, at, &mut report, &tell).await;
        if workshop.shutdown.is_triggered() {
            break;
        }
    }
    report
}

async fn scrub_partition(
    workshop: &Workshop,
    name: &str,
    at: TopicPartition,
    report: &mut ScrubReport,
    tell: &(impl Fn(ScrubProgress) + Send + Sync),
) {
    let Some(shard) = workshop.log.view().shard_of(at).and_then(|shard| workshop.log.shard(shard)) else { return };
    let mut waiting: VecDeque<(Run, Option<TableRun>)> = runs_from(&shard, at, 0);
    while let Some((run, table)) = waiting.pop_front() {
        let before = report.progress;
        // Of a file that is replaced meanwhile nothing counts; a raw run is read at once.
        let read = |bytes: u64| tell(ScrubProgress { bytes: before.bytes + bytes, ..before });
        let result = scrub_run(workshop, &shard, at, &run, table.as_ref(), read).await;
        let error = match result {
            Ok(records) => {
                report.progress.runs += 1;
                report.progress.bytes += u64::from(run.length);
                report.progress.records += records;
                tell(report.progress);
                continue;
            }
            Err(error) => error,
        };
        if shard.catch_up().await.is_ok() {
            let now = runs_from(&shard, at, run.base_offset);
            if now.front().map(|(now, _)| now) != Some(&run) {
                waiting = now;
                continue;
            }
        }
        report.findings.push(ScrubFinding {
            place: format!("{name}/{} from offset {} to {}", at.partition, run.base_offset, run.last_offset),
            is_unknown: !error.is_damage() && !matches!(error, JobError::ReadBack(_)),
            reason: error.to_string(),
        });
    }
}

fn runs_from(shard: &Shard, at: TopicPartition, offset: i64) -> VecDeque<(Run, Option<TableRun>)> {
    let state = shard.state();
    let Some(partition) = state.partition(at) else { return VecDeque::new() };
    partition.runs_from(offset).map(|run| (*run, partition.table(run).copied())).collect()
}

/// How many records of a file were counted. `read` is told the bytes of it that were read, from time to time.
async fn scrub_run(
    workshop: &Workshop,
    shard: &Shard,
    at: TopicPartition,
    run: &Run,
    table: Option<&TableRun>,
    read: impl FnMut(u64) + Send,
) -> Result<u64, JobError> {
    let Some(path) = run.path(at, shard.paths()) else { return Ok(0) };
    let Some(table) = table else {
        read_raw(workshop, &path, std::slice::from_ref(run)).await?;
        return Ok(0);
    };
    let reader = open_table(workshop, &path, at, run, table).await?;
    let summary = reader.verify(&workshop.runtime, read).await.map_err(|error| JobError::read(&path, error))?;
    let said = (table.min_timestamp, run.max_timestamp);
    if said != (summary.min_timestamp, summary.max_timestamp) {
        let found = (summary.min_timestamp, summary.max_timestamp);
        let reason = format!("its timestamps are {found:?}, the log says {said:?}");
        return Err(JobError::Damaged { what: path.to_string(), reason });
    }
    Ok(summary.record_count)
}
