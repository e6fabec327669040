//! One file: written row group by row group, uploaded in parts beside it, and read back from the store.
//!
//! Invariants:
//! 1. What is reported as written is what was found when the finished object was read again to its last byte.
//! 2. A file that is given up before it was finished leaves no object; after that, only [`Written::delete`] does, and it is for
//!    those who know that no entry names the file.

use std::sync::Arc;

use alluvium_infra::store::{LargeUpload, StorePath};
use alluvium_log::paths::ShardPaths;
use alluvium_log::{ReplacementFile, TablePlace, TableRun};
use alluvium_table::{
    FORMAT, Pushed, Row, StoreFile, TableFacts, TableOptions, TableReader, TableSummary, TableWriter, WriteTableError,
};
use bytes::Bytes;
use uuid::Uuid;

use crate::input::Records;
use crate::job::{JobError, Workshop};
use crate::rules::TopicRules;

/// Which records a file is made of.
pub(crate) trait Keep: Send + Sync + 'static {
    /// Whether a record stays.
    fn keeps(&self, row: &Row<'_>) -> bool;
}

/// A file on its way.
pub(crate) struct Output {
    workshop: Workshop,
    /// Taken out while it works away from the tasks.
    writer: Option<TableWriter>,
    upload: LargeUpload,
    id: Uuid,
    path: StorePath,
    place: TablePlace,
}

/// A file that is in the store.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) file: ReplacementFile,
    pub(crate) path: StorePath,
}

impl Output {
    /// A file for these offsets of a partition.
    pub(crate) fn new(
        workshop: &Workshop,
        paths: &ShardPaths,
        place: TablePlace,
        topic_name: &str,
        rules: &TopicRules,
    ) -> Result<Self, JobError> {
        let id = workshop.runtime.unique_uuid();
        let path = paths.table(place, id);
        let facts = TableFacts {
            cluster_id: workshop.log.cluster_id().to_owned(),
            topic_id: place.topic_partition.topic,
            topic_name: topic_name.to_owned(),
            partition: place.topic_partition.partition,
            base_offset: place.base_offset,
            last_offset: place.last_offset,
            format: FORMAT,
        };
        let options = TableOptions {
            row_group_rows_max: workshop.settings.row_group_rows_max,
            key_bloom_filter: rules.compacts,
            value_columns: rules.value_columns.clone(),
            ..TableOptions::default()
        };
        let writer = TableWriter::new(facts, options)?;
        let upload = LargeUpload::new(workshop.store().clone(), path.clone(), workshop.runtime.clone())
            .in_parts_of(workshop.settings.upload_part_bytes);
        Ok(Self { workshop: workshop.clone(), writer: Some(writer), upload, id, path, place })
    }

    /// Adds the records that `keep` keeps, and tells how many those were and the others. After an error the file is given up.
    pub(crate) async fn push(&mut self, records: Records, keep: Arc<impl Keep>) -> Result<Pushed, JobError> {
        let writer = self.writer.take().ok_or(JobError::Stopped)?;
        let worked = self.workshop.runtime.compute(move || push(writer, &records, &*keep)).await;
        let (writer, pushed, finished) = worked.map_err(|_| JobError::Stopped)??;
        self.writer = Some(writer);
        self.send(finished).await?;
        Ok(pushed)
    }

    /// Ends the file, uploads it and reads it back. `None` when it has no record: then there is no object either.
    pub(crate) async fn finish(mut self, tombstone_horizon_ms: i64) -> Result<Option<Written>, JobError> {
        let finished = self.try_finish().await;
        if matches!(finished, Ok(None) | Err(_)) {
            self.upload.abort().await;
        }
        let Some(summary) = finished? else { return Ok(None) };
        let length = u32::try_from(summary.bytes).map_err(|_| JobError::TooLong(summary.bytes));
        let Self { workshop, upload, id, path, place, .. } = self;
        let length = match length {
            Ok(length) => length,
            Err(error) => return Err(give_up(upload, error).await),
        };
        upload.finish().await.map_err(|error| JobError::store(&path, error))?;
        if let Err(error) = read_back(&workshop, &path, place, &summary).await {
            // No entry names it, and none will.
            delete(&workshop, &path).await;
            return Err(error);
        }
        workshop.counters.written_bytes.add(summary.bytes);
        workshop.counters.records_written.add(summary.record_count);
        let table = TableRun {
            record_count: summary.record_count,
            sum: summary.sum.0,
            footer_bytes: summary.footer_bytes as u32,
            min_timestamp: summary.min_timestamp,
            tombstone_horizon_ms,
        };
        let file = ReplacementFile { id, length, max_timestamp: summary.max_timestamp, table };
        Ok(Some(Written { file, path }))
    }

    /// Gives the file up.
    pub(crate) async fn abort(mut self) {
        self.upload.abort().await;
    }

    /// All bytes are handed to the upload afterwards; `None` when there is no record.
    async fn try_finish(&mut self) -> Result<Option<TableSummary>, JobError> {
        let writer = self.writer.take().ok_or(JobError::Stopped)?;
        if writer.pushed().kept.record_count == 0 {
            return Ok(None);
        }
        let worked = self.workshop.runtime.compute(move || writer.finish()).await;
        let finished = worked.map_err(|_| JobError::Stopped)??;
        self.send(finished.rest).await?;
        Ok(Some(finished.summary))
    }

    async fn send(&mut self, finished: Vec<Bytes>) -> Result<(), JobError> {
        for bytes in finished {
            self.upload.write(bytes).await.map_err(|error| JobError::store(&self.path, error))?;
        }
        Ok(())
    }
}

async fn give_up(mut upload: LargeUpload, error: JobError) -> JobError {
    upload.abort().await;
    error
}

type Worked = (TableWriter, Pushed, Vec<Bytes>);

fn push(mut writer: TableWriter, records: &Records, keep: &impl Keep) -> Result<Worked, WriteTableError> {
    let before = writer.pushed();
    match records {
        Records::Batches(batches) => {
            for batch in batches {
                writer.push(batch, |row| keep.keeps(row))?;
            }
        }
        Records::Rows(rows) => {
            writer.push_rows(rows, |row| keep.keeps(row))?;
        }
    }
    let (now, finished) = (writer.pushed(), writer.take_finished());
    let mut pushed = now;
    pushed.kept.record_count -= before.kept.record_count;
    pushed.kept.sum -= before.kept.sum;
    pushed.left_out.record_count -= before.left_out.record_count;
    pushed.left_out.sum -= before.left_out.sum;
    Ok((writer, pushed, finished))
}

/// Reads the object again, to its last byte.
async fn read_back(
    workshop: &Workshop,
    path: &StorePath,
    place: TablePlace,
    written: &TableSummary,
) -> Result<(), JobError> {
    let file = Arc::new(StoreFile { store: workshop.store().clone(), path: path.clone() });
    let reader = TableReader::open(file, written.bytes, Some(written.footer_bytes)).await;
    let reader = reader.map_err(|error| JobError::open(path, error))?;
    reader
        .expect(place.topic_partition, place.base_offset, place.last_offset)
        .map_err(|error| JobError::open(path, error))?;
    let found = reader.verify(&workshop.runtime, |_| {}).await.map_err(|error| JobError::read(path, error))?;
    if found == *written {
        return Ok(());
    }
    Err(JobError::ReadBack(format!("{path}: written {written:?}, found {found:?}")))
}

impl Written {
    /// Deletes the file, which no entry names and none will name.
    pub(crate) async fn delete(self, workshop: &Workshop) {
        delete(workshop, &self.path).await;
    }
}

async fn delete(workshop: &Workshop, path: &StorePath) {
    if let Err(error) = workshop.store().delete(path).await {
        tracing::info!(%path, %error, "a file that nobody names was not deleted: it is collected later");
    }
}
