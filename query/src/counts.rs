//! What a scan counts, shown by `explain analyze`.

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

/// Counters of one worker of a scan.
#[derive(Clone, Debug)]
pub(crate) struct ScanCounts {
    /// Bytes of raw runs and of columns.
    pub(crate) bytes_read: Count,
    /// Raw runs that were read.
    pub(crate) raw_runs: Count,
    /// Files whose footers were asked for.
    pub(crate) files_opened: Count,
    /// Row groups that columns were read of.
    pub(crate) row_groups: Count,
    /// Row groups of opened files that were left out.
    pub(crate) row_groups_pruned: Count,
    /// Rows that were given on.
    pub(crate) output_rows: Count,
}

impl ScanCounts {
    pub(crate) fn new(metrics: &ExecutionPlanMetricsSet, worker: usize) -> ScanCounts {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, worker);
        ScanCounts {
            bytes_read: counter("bytes_read"),
            raw_runs: counter("raw_runs"),
            files_opened: counter("files_opened"),
            row_groups: counter("row_groups"),
            row_groups_pruned: counter("row_groups_pruned"),
            output_rows: MetricBuilder::new(metrics).output_rows(worker),
        }
    }
}
