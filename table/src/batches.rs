//! Record batches out of rows: those that the records came in.
//!
//! What must stay true:
//! 1. A batch has the offsets, sequence numbers and flags of old, whatever was left out of it; the codec is the caller's.
//! 2. A batch that row groups divide becomes one in each, which fit together without a gap.
//! 3. The batches of one row group are slices of one buffer.

use alluvium_record::{BatchRebuilder, Compression, Offset, PushError, RecordBatch};

use crate::decoded::DecodedRows;
use crate::row::{BatchFacts, Row};

/// What a record batch takes beside its records.
const BATCH_OVERHEAD_BYTES: usize = 128;

impl DecodedRows {
    /// The batches that the rows came in, from the one that holds `from_offset`, or the first behind it.
    ///
    /// Keeps a core busy for a row group: call it away from the tasks.
    pub fn into_record_batches(
        self,
        from_offset: Offset,
        compression: Compression,
    ) -> Result<Vec<RecordBatch>, PushError> {
        let mut rebuilder = BatchRebuilder::new(compression, self.memory_bytes() + BATCH_OVERHEAD_BYTES);
        let last = self.rows().next_back().map(|row| row.offset);
        let mut current: Option<BatchFacts> = None;
        let mut is_wanted = false;
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
            rebuilder.push(row.offset, row.timestamp, row.key, row.value, row.headers)?;
        }
        Ok(rebuilder.finish())
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
