//! Asking the log to take a file for runs, and what becomes of the file.
//!
//! Invariants:
//! 1. The file is deleted only when the log has said that it did not take it; where nobody knows, it stays.
//! 2. The sums that the log compares are those of what was read, and of what was found in the finished file.

use alluvium_log::{CommitError, ObjectRef, Operation, Rejection, Replacement, Shard};

use crate::job::{JobError, JobOutcome, Workshop};
use crate::output::Written;

/// Commits a replacement whose file, if it has one, is `written`.
pub(crate) async fn replace(
    workshop: &Workshop,
    shard: &Shard,
    replacement: Replacement,
    written: Option<Written>,
) -> Result<JobOutcome, JobError> {
    let removed = replacement.removed.count;
    let (at, file) = ((replacement.topic_partition, replacement.base_offset), replacement.file);
    let operation = Operation::ReplaceRuns { replacement: Box::new(replacement) };
    let error = match shard.commit(operation, None).await {
        Ok(_) => {
            workshop.counters.records_removed.add(removed);
            return Ok(JobOutcome::Replaced);
        }
        Err(error) => error,
    };
    let definite = match error {
        CommitError::Unknown => {
            // It may be found out, and then others are not told a riddle.
            let state = shard.catch_up().await.ok();
            let object = state.and_then(|state| Some(state.partition(at.0)?.run_at(at.1)?.object));
            let is_there = file.is_some_and(|file| object == Some(ObjectRef::Table(file.id)));
            return Ok(if is_there { JobOutcome::Replaced } else { JobOutcome::Unknown });
        }
        CommitError::Rejected(Rejection::RunsChanged | Rejection::UnknownPartition | Rejection::UnknownTopic) => {
            Ok(JobOutcome::Lost)
        }
        CommitError::Rejected(rejection) => Err(JobError::Refused(rejection)),
        CommitError::Unavailable(reason) => Err(JobError::NotWritten(reason)),
        CommitError::Closed => Err(JobError::Stopped),
    };
    if let Some(written) = written {
        written.delete(workshop).await;
    }
    definite
}
