//! Reading for queries: whole runs and open files, past the budgets of a fetch.
//!
//! Invariants: what is raw comes checked, as a fetch has it; an object that is gone is told apart from all other failures, since
//! another one has its records and the log says which.

use alluvium_infra::store::StoreError;
use alluvium_log::{ObjectRef, Run, TableRun, View};
use alluvium_record::batch::RecordBatch;
use alluvium_record::{ShardId, TopicPartition};
use alluvium_table::TableReader;

use crate::assemble::Batches;
use crate::source::{LoadError, Pool};
use crate::{ReadError, Reader};

/// A run, and where it belongs.
#[derive(Debug, Clone, Copy)]
pub struct RunAt {
    /// The shard whose objects hold it.
    pub shard: ShardId,
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The run.
    pub run: Run,
    /// What the manifest knows of it when it is a file.
    pub table: Option<TableRun>,
}

impl RunAt {
    /// All runs of a partition that hold `offset` or come behind it; none of an unknown one.
    pub fn all_from(view: &View, topic_partition: TopicPartition, offset: i64) -> impl Iterator<Item = RunAt> {
        let known = view.partition(topic_partition).zip(view.shard_of(topic_partition));
        known.into_iter().flat_map(move |(partition, shard)| {
            partition.runs_from(offset).map(move |run| RunAt {
                shard,
                topic_partition,
                run: *run,
                table: partition.table(run).copied(),
            })
        })
    }
}

/// Why a run could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Its object is not there. When the log has replaced the run since, it says what holds its records now.
    #[error("an object that the manifest names is missing")]
    Gone,
    /// Anything else.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<LoadError> for ScanError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(StoreError::NotFound) => Self::Gone,
            other => Self::Read(other.into()),
        }
    }
}

impl Reader {
    /// The batches of a run of raw bytes, at their offsets, control batches and all. Of any other run there are none.
    ///
    /// # Errors
    /// When the object is gone, damaged, or the store does not answer.
    pub async fn raw_batches(&self, at: &RunAt) -> Result<Vec<RecordBatch>, ScanError> {
        if !matches!(at.run.object, ObjectRef::Entry(_) | ObjectRef::Segment(_)) {
            return Ok(Vec::new());
        }
        let slices = self.inner.source.read_raw(at.shard, &at.run, Pool::Live).await?;
        let batches = Batches::new(slices, at.run.base_offset).map(|batch| Ok(batch?.contiguous()));
        batches.collect::<Result<_, ReadError>>().map_err(ScanError::Read)
    }

    /// The open file of a run; `None` of a run that is no file.
    ///
    /// # Errors
    /// When the file is gone, damaged, not what the log says, or the store does not answer.
    pub async fn table(&self, at: &RunAt) -> Result<Option<TableReader>, ScanError> {
        if !matches!(at.run.object, ObjectRef::Table(_)) {
            return Ok(None);
        }
        Ok(self.inner.source.tables().reader(at).await?)
    }
}
