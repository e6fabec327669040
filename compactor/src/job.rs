//! What every job has, and how it ends.

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{Store, StoreError};
use alluvium_log::{Log, Rejection};
use alluvium_table::{OpenTableError, ReadTableError, WriteTableError};

use crate::counters::CompactorCounters;
use crate::settings::CompactorSettings;
use crate::shared::SharedEntries;

/// What jobs work with.
#[derive(Debug, Clone)]
pub(crate) struct Workshop {
    pub(crate) log: Log,
    pub(crate) settings: Arc<CompactorSettings>,
    pub(crate) counters: Arc<CompactorCounters>,
    pub(crate) shutdown: Shutdown,
    pub(crate) runtime: Runtime,
    pub(crate) shared: SharedEntries,
}

impl Workshop {
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.log.store()
    }

    /// Ends a job between two steps.
    pub(crate) fn check_running(&self) -> Result<(), JobError> {
        if self.shutdown.is_triggered() { Err(JobError::Stopped) } else { Ok(()) }
    }
}

/// How a job ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// The log took it.
    Replaced,
    /// Its runs were changed meanwhile; its file is deleted.
    Lost,
    /// Nobody knows; its file stays.
    Unknown,
    /// There was nothing to do.
    Nothing,
}

/// Why a job failed. What it was to replace is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JobError {
    /// The store did not answer.
    #[error("{what}: {error}")]
    Store {
        /// What was asked of it.
        what: String,
        /// What it said.
        error: StoreError,
    },
    /// What is in the store is not what was written, or is gone. Nothing of it is passed over.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which object.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteTableError),
    /// The file that was read back is not the one that was written.
    #[error("the file that was written cannot be believed: {0}")]
    ReadBack(String),
    /// The file is longer than a run may be.
    #[error("the file has {0} bytes, which no run holds")]
    TooLong(u64),
    /// The log does not believe what was done.
    #[error("the log refuses it: {0}")]
    Refused(Rejection),
    /// The log could not be written.
    #[error("the log was not written: {0}")]
    NotWritten(String),
    /// The process is ending.
    #[error("stopped")]
    Stopped,
}

impl JobError {
    pub(crate) fn store(what: impl ToString, error: StoreError) -> Self {
        Self::Store { what: what.to_string(), error }
    }

    /// Whether data in the store is not what it should be.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Store { error, .. } => matches!(error, StoreError::NotFound | StoreError::Truncated { .. }),
            _ => false,
        }
    }

    /// The base offset of a batch of a merge that is whole and cannot be unpacked, or not into records one behind the other: its
    /// producer sent it so.
    pub(crate) fn unreadable_batch(&self) -> Option<i64> {
        match self {
            Self::Write(
                WriteTableError::Batch { base_offset, .. } | WriteTableError::Offset { batch_base: base_offset, .. },
            ) => Some(*base_offset),
            _ => None,
        }
    }

    pub(crate) fn open(what: impl ToString, error: OpenTableError) -> Self {
        match error {
            OpenTableError::Store(error) => Self::store(what, error),
            error => Self::Damaged { what: what.to_string(), reason: error.to_string() },
        }
    }

    pub(crate) fn read(what: impl ToString, error: ReadTableError) -> Self {
        match error {
            ReadTableError::Store(error) => Self::store(what, error),
            ReadTableError::CutOff(_) => Self::Stopped,
            error => Self::Damaged { what: what.to_string(), reason: error.to_string() },
        }
    }
}
