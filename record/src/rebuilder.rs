//! Making record batches again out of records that were taken apart: with gaps between offsets, and with the sequence
//! numbers and flags that they once had.
//!
//! What must stay true:
//! 1. A batch keeps the offsets and sequence numbers that its frame names, however few of its records are left, as Kafka's
//!    log cleaner keeps them.
//! 2. All batches are slices of one buffer.
//! 3. A record that is refused leaves what was pushed before as it was.

use std::ops::Range;

use bytes::Bytes;

use crate::builder::{PushError, RECORDS_BYTES_MAX, nullable_bytes, write_nullable};
use crate::compression::{self, Compression};
use crate::header::{
    Attributes, BATCH_HEADER_BYTES, BatchHeader, CRC_COVERS_FROM, LENGTH_PREFIX_BYTES, MAGIC, NO_TIMESTAMP,
    TimestampType,
};
use crate::view::HeaderView;
use crate::{Offset, RecordBatch, crc32c, varint};

/// What a batch says of itself, apart from its records.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BatchFrame {
    /// The offset that its first record had.
    pub base_offset: Offset,
    /// The offset that its last record had.
    pub last_offset: Offset,
    /// Its flags. The codec is the rebuilder's, and a delete horizon is not kept: its time is not among the records.
    pub attributes: Attributes,
    /// The idempotent producer's id, or -1.
    pub producer_id: i64,
    /// The idempotent producer's epoch, or -1.
    pub producer_epoch: i16,
    /// The sequence number of the record at the base offset, or -1.
    pub base_sequence: i32,
}

/// Gathers records into batches that follow each other.
#[derive(Clone, Debug)]
pub struct BatchRebuilder {
    compression: Compression,
    out: Vec<u8>,
    open: Option<OpenBatch>,
    done: Vec<(BatchHeader, Range<usize>)>,
}

#[derive(Clone, Debug)]
struct OpenBatch {
    frame: BatchFrame,
    start: usize,
    base_timestamp: i64,
    max_timestamp: i64,
    record_count: i32,
}

impl BatchRebuilder {
    /// Nothing yet. The records of each batch will be compressed like this; `bytes` is how many are expected in all.
    pub fn new(compression: Compression, bytes: usize) -> BatchRebuilder {
        BatchRebuilder::in_buffer(compression, Vec::with_capacity(bytes))
    }

    /// Nothing yet. Batches are made in this buffer; what was in it is gone.
    pub fn in_buffer(compression: Compression, mut buffer: Vec<u8>) -> BatchRebuilder {
        buffer.clear();
        BatchRebuilder { compression, out: buffer, open: None, done: Vec::new() }
    }

    /// Ends the batch that is open and begins another.
    pub fn begin(&mut self, frame: BatchFrame) -> Result<(), PushError> {
        if frame.base_offset < 0 || delta(&frame, frame.last_offset).is_none() {
            return Err(PushError::OffsetOutOfRange { offset: frame.last_offset });
        }
        self.end();
        let start = self.out.len();
        self.out.resize(start + BATCH_HEADER_BYTES, 0);
        let (base_timestamp, max_timestamp) = (NO_TIMESTAMP, NO_TIMESTAMP);
        self.open = Some(OpenBatch { frame, start, base_timestamp, max_timestamp, record_count: 0 });
        Ok(())
    }

    /// Adds a record to the batch that is open. Offsets count up within the frame; the caller sees to their order.
    pub fn push<'a>(
        &mut self,
        offset: Offset,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = HeaderView<'a>> + Clone,
    ) -> Result<(), PushError> {
        let out_of_range = PushError::OffsetOutOfRange { offset };
        let Some(open) = &mut self.open else { return Err(out_of_range) };
        let Some(offset_delta) = delta(&open.frame, offset).filter(|_| offset <= open.frame.last_offset) else {
            return Err(out_of_range);
        };
        let base_timestamp = if open.record_count == 0 { timestamp } else { open.base_timestamp };
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        let header_count = i32::try_from(headers.len()).unwrap_or(i32::MAX);
        let mut body_bytes = 1_usize
            .saturating_add(varint::bytes_of_i64(timestamp_delta))
            .saturating_add(varint::bytes_of_i32(offset_delta))
            .saturating_add(nullable_bytes(key))
            .saturating_add(nullable_bytes(value))
            .saturating_add(varint::bytes_of_i32(header_count));
        for header in headers.clone() {
            body_bytes = body_bytes
                .saturating_add(nullable_bytes(Some(header.name)))
                .saturating_add(nullable_bytes(header.value));
        }
        // A record of the largest size has a five-byte length before it. Below this no length is cut by a cast.
        if (self.out.len() - open.start).saturating_add(body_bytes).saturating_add(5) > RECORDS_BYTES_MAX {
            return Err(PushError::BatchFull { bytes_max: RECORDS_BYTES_MAX });
        }
        varint::write_i32(&mut self.out, body_bytes as i32);
        self.out.push(0);
        varint::write_i64(&mut self.out, timestamp_delta);
        varint::write_i32(&mut self.out, offset_delta);
        write_nullable(&mut self.out, key);
        write_nullable(&mut self.out, value);
        varint::write_i32(&mut self.out, header_count);
        for header in headers {
            write_nullable(&mut self.out, Some(header.name));
            write_nullable(&mut self.out, header.value);
        }
        open.max_timestamp = if open.record_count == 0 { timestamp } else { open.max_timestamp.max(timestamp) };
        open.base_timestamp = base_timestamp;
        open.record_count += 1;
        Ok(())
    }

    /// The batches in the order in which they were begun. A batch without records is kept, as an empty one.
    pub fn finish(mut self) -> Vec<RecordBatch> {
        self.end();
        let bytes = Bytes::from(self.out);
        self.done.into_iter().map(|(header, range)| RecordBatch { header, bytes: bytes.slice(range) }).collect()
    }

    /// The same batches, one behind the other, in the buffer that they were made in.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.end();
        self.out
    }

    fn end(&mut self) {
        let Some(open) = self.open.take() else { return };
        let records_from = open.start + BATCH_HEADER_BYTES;
        let mut compression = Compression::None;
        // Without memory for the codec the records stay as they are; without records there is nothing to compress.
        if self.compression != Compression::None
            && open.record_count > 0
            && let Some(compressed) = compression::compress(self.compression, &self.out[records_from..])
        {
            self.out.truncate(records_from);
            self.out.extend_from_slice(&compressed);
            compression = self.compression;
        }
        let frame = open.frame;
        let mut header = BatchHeader {
            base_offset: frame.base_offset,
            batch_length: (self.out.len() - open.start - LENGTH_PREFIX_BYTES) as i32,
            partition_leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes: frame.attributes.with_compression(compression).with_delete_horizon(false),
            last_offset_delta: delta(&frame, frame.last_offset).unwrap_or(0),
            base_timestamp: open.base_timestamp,
            max_timestamp: open.max_timestamp,
            producer_id: frame.producer_id,
            producer_epoch: frame.producer_epoch,
            base_sequence: frame.base_sequence,
            record_count: open.record_count,
        };
        self.out[open.start..records_from].copy_from_slice(&header.encode());
        header.crc = crc32c(&self.out[open.start + CRC_COVERS_FROM..]);
        self.out[open.start..records_from].copy_from_slice(&header.encode());
        self.done.push((header, open.start..self.out.len()));
    }
}

/// How far `offset` is behind the frame's base, if a batch can say so.
fn delta(frame: &BatchFrame, offset: Offset) -> Option<i32> {
    offset.checked_sub(frame.base_offset).and_then(|delta| i32::try_from(delta).ok()).filter(|delta| *delta >= 0)
}

impl BatchFrame {
    /// The frame of a batch that exists.
    pub fn of(header: &BatchHeader) -> BatchFrame {
        BatchFrame {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            attributes: header.attributes,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
        }
    }

    /// The part of this frame from `offset` on, its sequence numbers moved on as far.
    #[must_use]
    pub fn starting_at(self, offset: Offset) -> BatchFrame {
        let delta = delta(&self, offset).unwrap_or(0);
        let base_sequence = if self.base_sequence < 0 {
            self.base_sequence
        } else {
            crate::header::add_to_sequence(self.base_sequence, delta)
        };
        BatchFrame { base_offset: self.base_offset + i64::from(delta), base_sequence, ..self }
    }

    /// The part of this frame that ends with `offset`.
    #[must_use]
    pub fn ending_at(self, offset: Offset) -> BatchFrame {
        BatchFrame { last_offset: offset.clamp(self.base_offset, self.last_offset.max(self.base_offset)), ..self }
    }

    /// Where the timestamps come from.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }
}

#[cfg(test)]
mod tests;
