//! What the compactor counts, for metrics and reports.

use alluvium_infra::metrics::Counter;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct CompactorCounters {
    /// Jobs whose file took the place of its runs.
    pub jobs_done: Counter,
    /// Jobs that lost against a change of their runs.
    pub jobs_lost: Counter,
    /// Jobs that failed.
    pub jobs_failed: Counter,
    /// Runs that stay raw because their producer packed a batch wrongly.
    pub runs_unreadable: Counter,
    /// Jobs that failed because what they read is damaged or missing.
    pub jobs_damaged: Counter,
    /// Bytes of runs that were read, of files their row groups; each time that they were.
    pub read_bytes: Counter,
    /// Bytes of files that were written.
    pub written_bytes: Counter,
    /// Records that files were written with.
    pub records_written: Counter,
    /// Records that were left out: aborted, deleted, or compacted by key.
    pub records_removed: Counter,
    /// Times that the log start was moved by retention.
    pub retentions: Counter,
    /// Objects that were deleted.
    pub objects_deleted: Counter,
    /// Objects that could not be deleted.
    pub deletes_failed: Counter,
    /// Rounds that deleted nothing because the store's clock was not believed.
    pub clock_doubts: Counter,
}
