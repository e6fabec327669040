//! Offsets by place or by time: ListOffsets.

use alluvium_infra::limits::DECOMPRESSED_BYTES_MAX;
use alluvium_log::{CatchUpError, ObjectRef, Partition, Run, View};
use alluvium_record::batch::{BatchError, RecordBatch, TimestampedOffset};
use alluvium_record::{ShardId, TopicPartition};

use crate::scan::RunAt;
use crate::source::Pool;
use crate::table::Wanted;
use crate::{Isolation, LEADER_EPOCH, ReadError, Reader};

/// Which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The first one.
    Earliest,
    /// The one that the next record gets.
    Latest,
    /// The first record with this timestamp, in milliseconds since 1970, or a later one.
    Timestamp(i64),
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
}

/// An offset that was found; -1 when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: i64,
    /// Timestamp of its record when it was found by time, otherwise -1.
    pub timestamp: i64,
    /// Leader epoch, or -1.
    pub leader_epoch: i32,
}

impl FoundOffset {
    const NONE: Self = Self { offset: -1, timestamp: -1, leader_epoch: -1 };

    /// None, when the consumer may not see it yet (as in Kafka, which does not look for another one).
    fn before(self, end: i64) -> Self {
        if self.offset < end { self } else { Self::NONE }
    }
}

impl Reader {
    /// Looks up an offset. The log is read to its end first, so that the answer is not older than the question.
    ///
    /// # Errors
    /// When the partition is unknown, the store does not answer, or what it holds is damaged.
    pub async fn offset_for(
        &self,
        topic_partition: TopicPartition,
        query: OffsetQuery,
        isolation: Isolation,
    ) -> Result<FoundOffset, ReadError> {
        let (view, shard) = self.newest(topic_partition).await?;
        let partition = view.partition(topic_partition).ok_or(ReadError::UnknownTopicOrPartition)?;
        let place = Place { shard, topic_partition, partition };
        let at = |offset: i64| FoundOffset { offset, timestamp: -1, leader_epoch: LEADER_EPOCH };
        match query {
            OffsetQuery::Earliest => Ok(at(partition.log_start_offset())),
            OffsetQuery::Latest => Ok(at(match isolation {
                Isolation::ReadUncommitted => partition.high_watermark(),
                Isolation::ReadCommitted => partition.last_stable_offset(),
            })),
            OffsetQuery::Timestamp(timestamp) => {
                let found = self.first_at_or_after(place, timestamp).await?;
                Ok(found.before(isolation.end_of(partition)))
            }
            OffsetQuery::MaxTimestamp => {
                let found = self.with_max_timestamp(place).await?;
                Ok(found.before(isolation.end_of(partition)))
            }
        }
    }

    /// A view whose shard of the partition is at least as new as the call, and that shard.
    async fn newest(&self, topic_partition: TopicPartition) -> Result<(View, ShardId), ReadError> {
        let log = &self.inner.log;
        let storage = |error: CatchUpError| ReadError::Storage(error.to_string());
        let view = log.view();
        if let Some(id) = view.partition(topic_partition).and_then(|_| view.shard_of(topic_partition))
            && let Some(shard) = log.shard(id)
        {
            shard.catch_up().await.map_err(storage)?;
            return Ok((log.view(), id));
        }
        let view = log.catch_up().await.map_err(storage)?;
        let shard = view.shard_of(topic_partition).ok_or(ReadError::UnknownTopicOrPartition)?;
        Ok((view, shard))
    }

    async fn first_at_or_after(&self, place: Place<'_>, timestamp: i64) -> Result<FoundOffset, ReadError> {
        let start = place.partition.log_start_offset();
        let candidates = place.partition.runs_from(start).filter(|run| run.max_timestamp >= timestamp);
        for run in candidates {
            for piece in self.pieces(place, run).await? {
                if piece.max_timestamp < timestamp {
                    continue;
                }
                for batch in self.batches(place, &piece).await? {
                    let found = batch.first_offset_at_or_after(timestamp, start, DECOMPRESSED_BYTES_MAX);
                    if let Some(found) = found.unwrap_or_else(|error| by_header(&batch, start, &error)) {
                        return Ok(found_at(found));
                    }
                }
            }
        }
        Ok(FoundOffset::NONE)
    }

    /// Only the first piece can hold records that were deleted: it is read for certain, and one of the others when it promises more.
    async fn with_max_timestamp(&self, place: Place<'_>) -> Result<FoundOffset, ReadError> {
        let start = place.partition.log_start_offset();
        let mut best = FoundOffset::NONE;
        let mut promising: Option<&Run> = None;
        for run in place.partition.runs_from(start) {
            if run.base_offset <= start {
                best = self.max_timestamp_in(place, run, start).await?;
            } else if run.max_timestamp > promising.map_or(best.timestamp, |known| known.max_timestamp) {
                promising = Some(run);
            }
        }
        if let Some(run) = promising {
            let found = self.max_timestamp_in(place, run, start).await?;
            if found.timestamp > best.timestamp {
                best = found;
            }
        }
        Ok(best)
    }

    async fn max_timestamp_in(&self, place: Place<'_>, run: &Run, start: i64) -> Result<FoundOffset, ReadError> {
        let mut best = FoundOffset::NONE;
        let mut pieces = self.pieces(place, run).await?;
        // The one that promises most first: then the others are mostly not read.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.max_timestamp));
        for piece in pieces {
            if piece.max_timestamp < best.timestamp {
                break;
            }
            for batch in self.batches(place, &piece).await? {
                let found = batch.offset_of_max_timestamp(start, DECOMPRESSED_BYTES_MAX);
                if let Some(found) = found.unwrap_or_else(|error| by_header(&batch, start, &error))
                    && (found.timestamp, -found.offset) > (best.timestamp, -best.offset)
                {
                    best = found_at(found);
                }
            }
        }
        Ok(best)
    }

    /// The parts of a run that are read one by one, in order.
    async fn pieces(&self, place: Place<'_>, run: &Run) -> Result<Vec<Piece>, ReadError> {
        let whole = Piece { run: *run, row_group: None, max_timestamp: run.max_timestamp };
        if let ObjectRef::Entry(_) | ObjectRef::Segment(_) = run.object {
            return Ok(vec![whole]);
        }
        let start = place.partition.log_start_offset();
        let groups = self.inner.source.tables().row_groups(&place.at(run)).await?.into_iter().enumerate();
        let visible = groups.filter(|(_, group)| group.last_offset >= start);
        Ok(visible
            .map(|(index, group)| Piece { row_group: Some(index), max_timestamp: group.max_timestamp, ..whole })
            .collect())
    }

    async fn batches(&self, place: Place<'_>, piece: &Piece) -> Result<Vec<RecordBatch>, ReadError> {
        let (source, at) = (&self.inner.source, place.at(&piece.run));
        let bytes = match piece.row_group {
            Some(index) => source.tables().row_group(&at, index).await?,
            None => {
                source.read(&at, Wanted { offset: piece.run.base_offset, bytes_max: usize::MAX }, Pool::Live).await?
            }
        };
        bytes.batches(piece.run.base_offset).map(|batch| batch.map(|batch| batch.contiguous())).collect()
    }
}

/// A partition, and where its objects are.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    shard: ShardId,
    topic_partition: TopicPartition,
    partition: &'a Partition,
}

impl Place<'_> {
    fn at(&self, run: &Run) -> RunAt {
        let (shard, topic_partition) = (self.shard, self.topic_partition);
        RunAt { shard, topic_partition, run: *run, table: self.partition.table(run).copied() }
    }
}

/// What is read at once: a run of raw batches, or a row group of a file.
#[derive(Debug, Clone, Copy)]
struct Piece {
    run: Run,
    row_group: Option<usize>,
    max_timestamp: i64,
}

fn found_at(found: TimestampedOffset) -> FoundOffset {
    FoundOffset { offset: found.offset, timestamp: found.timestamp, leader_epoch: LEADER_EPOCH }
}

/// The answer for a batch whose records cannot be read, because its producer sent them so: the header's word is taken, and the
/// rest of the partition stays searchable.
fn by_header(batch: &RecordBatch, start: i64, error: &BatchError) -> Option<TimestampedOffset> {
    tracing::debug!(offset = batch.header.base_offset, %error, "records of a batch cannot be read: believing its header");
    let offset = batch.header.base_offset.max(start);
    Some(TimestampedOffset { offset, timestamp: batch.header.max_timestamp })
}
