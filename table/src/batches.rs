//! Record batches out of rows: those that the records came in.
//!
//! What must stay true:
//! 1. A batch has the offsets, sequence numbers and flags of old, whatever was left out of it; the codec is the caller's.
//! 2. A batch that row groups divide becomes one in each, which fit together without a gap.
//! 3. The batches of one row group are slices of one buffer.

use alluvium_infra::Buffers;
use alluvium_infra::runtime::Courtesy;
use alluvium_record::{BatchRebuilder, Compression, Offset, PushError, RecordBatch};
use bytes::Bytes;

use crate::decoded::DecodedRows;
use crate::row::{BatchFacts, Row};

impl DecodedRows {
    /// The batches that the rows came in, from the one that holds `from_offset`, or the first behind it.
    ///
    /// Keeps a core busy for a row group: call it away from the tasks.
    pub fn into_record_batches(
        self,
        from_offset: Offset,
        compression: Compression,
    ) -> Result<Vec<RecordBatch>, PushError> {
        Ok(self.rebuild(from_offset, compression, Vec::with_capacity)?.finish())
    }

    /// All batches that the rows came in, one behind the other, not compressed, in one of these buffers.
    ///
    /// Keeps a core busy for a row group: call it away from the tasks.
    pub fn into_batch_bytes(self, buffers: &Buffers) -> Result<Bytes, PushError> {
        let rebuilder = self.rebuild(0, Compression::None, |bytes| buffers.take(bytes))?;
        Ok(buffers.lend(rebuilder.into_buffer()))
    }

    fn rebuild(
        &self,
        from_offset: Offset,
        compression: Compression,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<BatchRebuilder, PushError> {
        let mut rebuilder = BatchRebuilder::in_buffer(compression, buffer(self.batch_bytes_expected()));
        let last = self.rows().next_back().map(|row| row.offset);
        let mut current: Option<BatchFacts> = None;
        let mut is_wanted = false;
        let courtesy = Courtesy::default();
        for row in self.rows() {
            if current != Some(row.batch) {
                current = Some(row.batch);
                let frame = self.frame(&row, last);
                is_wanted = frame.last_offset >= from_offset;
                if is_wanted {
                    rebuilder.begin(frame)?;
                }
            }
            if !is_wanted {
                continue;
            }
            courtesy.worked(row.key.map_or(0, <[u8]>::len) + row.value.map_or(0, <[u8]>::len));
            rebuilder.push(row.offset, row.timestamp, row.key, row.value, row.headers)?;
        }
        Ok(rebuilder)
    }

    /// The part of a row's batch that is in this row group.
    fn frame(&self, row: &Row<'_>, last: Option<Offset>) -> BatchFacts {
        let (before, behind) = self.neighbours;
        let mut frame = row.batch;
        if let Some(before) = before
            && before >= frame.base_offset
        {
            frame = frame.starting_at(before + 1);
        }
        if let (Some(last), Some(behind)) = (last, behind)
            && behind <= frame.last_offset
        {
            frame = frame.ending_at(last);
        }
        frame
    }
}
