//! Merging: runs of a partition become one file.
//!
//! Invariants: 9, records of aborted transactions and markers are left out, and nothing else but what was deleted; 11, what was
//! read is counted and summed as it is read, and compared with what the log says of it.

use std::collections::HashMap;
use std::sync::Arc;

use alluvium_infra::planted::{self, Bug};
use alluvium_log::{Partition, RecordTotal, Replacement, Run, TablePlace, TableRun, runs_digest};
use alluvium_table::{RecordTally, Row};

use crate::input::{Inputs, Records};
use crate::job::{JobError, JobOutcome, Workshop};
use crate::output::{Keep, Output};
use crate::pick::CompactionSpec;
use crate::replace::replace;
use crate::rules::TopicRules;

/// Runs side by side that become one file, and what becomes of their records.
pub(crate) struct Rewrite<'a, K> {
    pub(crate) spec: &'a CompactionSpec,
    pub(crate) runs: Vec<(Run, Option<TableRun>)>,
    pub(crate) topic_name: &'a str,
    pub(crate) rules: &'a TopicRules,
    pub(crate) keep: Arc<K>,
    pub(crate) tombstone_horizon_ms: i64,
    pub(crate) cleaned_to: Option<i64>,
}

/// What has no place in a file: records before the log start, of aborted transactions, and markers.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    log_start_offset: i64,
    /// First and last offsets, by producer.
    aborted: HashMap<i64, Vec<(i64, i64)>>,
}

impl LeftOut {
    /// Of these offsets of a partition, all of which are behind the last stable one.
    pub(crate) fn of(partition: &Partition, base_offset: i64, last_offset: i64) -> Self {
        let mut aborted: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
        for transaction in partition.aborted_transactions(base_offset, last_offset + 1) {
            let of_producer = aborted.entry(transaction.producer_id).or_default();
            of_producer.push((transaction.first_offset, transaction.last_offset));
        }
        Self { log_start_offset: partition.log_start_offset(), aborted }
    }
}

impl Keep for LeftOut {
    fn keeps(&self, row: &Row<'_>) -> bool {
        let attributes = row.batch.attributes;
        let drops = planted::is(Bug::MergeDropsRecord) || planted::is(Bug::SumsNotConserved);
        if drops && row.offset % 7 == 3 {
            return false;
        }
        if row.offset < self.log_start_offset || attributes.is_control() {
            return false;
        }
        let is_aborted = attributes.is_transactional()
            && self.aborted.get(&row.batch.producer_id).is_some_and(|transactions| {
                transactions.iter().any(|(first, last)| (*first..=*last).contains(&row.offset))
            });
        !is_aborted
    }
}

/// Runs a job of the kinds merge and rewrite.
pub(crate) async fn merge(workshop: &Workshop, spec: &CompactionSpec) -> Result<JobOutcome, JobError> {
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
    let horizons = runs.iter().filter_map(|(_, table)| table.map(|table| table.tombstone_horizon_ms));
    let all_files = runs.iter().all(|(run, _)| !crate::pick::is_raw(run));
    // Raw runs have tombstones that no compaction has seen.
    let tombstone_horizon_ms = if all_files { horizons.max().unwrap_or(i64::MAX) } else { i64::MAX };
    let rewrite = Rewrite {
        spec,
        runs,
        topic_name: &topic.name,
        rules: &TopicRules::of(topic),
        keep: Arc::new(LeftOut::of(partition, base_offset, last_offset)),
        tombstone_horizon_ms,
        cleaned_to: None,
    };
    rewrite.run(workshop).await
}

pub(crate) fn bounds(runs: &[Run]) -> Option<(i64, i64)> {
    Some((runs.first()?.base_offset, runs.last()?.last_offset))
}

impl<K: Keep> Rewrite<'_, K> {
    /// Writes the file and asks the log to take it.
    pub(crate) async fn run(self, workshop: &Workshop) -> Result<JobOutcome, JobError> {
        let shard = workshop.log.shard(self.spec.shard).ok_or(JobError::Stopped)?;
        let raw: Vec<Run> = self.runs.iter().map(|(run, _)| *run).collect();
        let (base_offset, last_offset) = bounds(&raw).ok_or(JobError::Stopped)?;
        let topic_partition = self.spec.topic_partition;
        let place = TablePlace { topic_partition, base_offset, last_offset };
        let mut output = Output::new(workshop, shard.paths(), place, self.topic_name, self.rules)?;
        let (read, removed) = match self.copy(workshop, &shard, &mut output).await {
            Ok(totals) => totals,
            Err(error) => {
                output.abort().await;
                return Err(error);
            }
        };
        let written = output.finish(self.tombstone_horizon_ms).await?;
        let replacement = Replacement {
            topic_partition,
            base_offset,
            last_offset,
            inputs_digest: runs_digest(&raw),
            raw: read,
            removed,
            file: written.as_ref().map(|written| written.file),
            cleaned_to: self.cleaned_to,
        };
        let outcome = replace(workshop, &shard, replacement, written).await?;
        tracing::debug!(%topic_partition, base_offset, last_offset, runs = raw.len(), ?outcome, "runs became a file");
        Ok(outcome)
    }

    /// What was read of raw runs, and what was left out of all.
    async fn copy(
        &self,
        workshop: &Workshop,
        shard: &alluvium_log::Shard,
        output: &mut Output,
    ) -> Result<(RecordTotal, RecordTotal), JobError> {
        let mut inputs = Inputs::new(workshop, shard.paths().clone(), self.spec.topic_partition, &self.runs);
        let (mut raw, mut removed, mut of_table) =
            (RecordTally::default(), RecordTally::default(), RecordTally::default());
        while let Some(chunk) = inputs.next().await? {
            let is_raw = matches!(chunk.records, Records::Batches(_));
            let pushed = output.push(chunk.records, self.keep.clone()).await?;
            if !planted::is(Bug::SumsNotConserved) {
                removed += pushed.left_out;
            }
            let all = pushed.kept + pushed.left_out;
            if is_raw {
                raw += all;
                continue;
            }
            of_table += all;
            if let Some(table) = chunk.ends_table {
                check_table(&self.runs[chunk.run].0, &table, std::mem::take(&mut of_table))?;
            }
        }
        Ok((total(raw), total(removed)))
    }
}

pub(crate) fn check_table(run: &Run, table: &TableRun, found: RecordTally) -> Result<(), JobError> {
    if (found.record_count, found.sum.0) == (table.record_count, table.sum) {
        return Ok(());
    }
    let reason = format!(
        "{} records with the sum {} were read, the log says {} with {:032x}",
        found.record_count, found.sum, table.record_count, table.sum
    );
    Err(JobError::Damaged { what: format!("the file from offset {} to {}", run.base_offset, run.last_offset), reason })
}

fn total(tally: RecordTally) -> RecordTotal {
    RecordTotal { count: tally.record_count, sum: tally.sum.0 }
}
