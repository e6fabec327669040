//! Record batches of format 2: splitting, checking, patching and reading them.
//!
//! What must stay true:
//! 1. A batch's bytes are a slice of what was received; nothing here copies records but the two rewrites that say so.
//! 2. Where [`RecordBatch::header`] and the first 16 bytes differ in base offset or leader epoch, the header counts:
//!    stored batches are given their offset by changing the header alone.
//! 3. Records are decompressed only by the methods that take a limit for it.

use bytes::{Bytes, BytesMut};

pub use crate::batch_error::BatchError;
pub use crate::builder::{BatchBuilder, PushError};
pub use crate::header::{Attributes, BATCH_HEADER_BYTES, BatchHeader};

use crate::compression::{self, Compression};
use crate::header::{CRC_COVERS_FROM, TimestampType};
use crate::record::{Record, RecordIterator};
use crate::view::DecodedBatch;
use crate::{Offset, crc32c, validation};

/// The bytes that stand before the CRC-covered part and that are written anew on each read: base offset, length, epoch.
const PATCHED_BYTES: usize = 16;

/// One whole batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordBatch {
    /// What the batch says of itself.
    pub header: BatchHeader,
    /// The batch from its first header byte to its last record byte.
    pub bytes: Bytes,
}

/// An offset with the timestamp of the record that is there.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TimestampedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp in ms.
    pub timestamp: i64,
}

/// Splits bytes into the batches they hold. Every byte must belong to one; no bytes are no batches.
///
/// Checks magic and lengths. The checksum is [`RecordBatch::verify_crc`]'s.
pub fn split_batches(bytes: Bytes) -> Result<Vec<RecordBatch>, BatchError> {
    let mut batches = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let batch = RecordBatch::decode_first(&rest)?;
        rest = rest.slice(batch.bytes.len()..);
        batches.push(batch);
    }
    Ok(batches)
}

impl RecordBatch {
    /// The batch at the start of `bytes`; what follows it is not looked at.
    pub fn decode_first(bytes: &Bytes) -> Result<RecordBatch, BatchError> {
        let header = BatchHeader::decode(bytes)?;
        let needed_bytes = header.total_bytes();
        if needed_bytes > bytes.len() {
            return Err(BatchError::Truncated { needed_bytes, available_bytes: bytes.len() });
        }
        Ok(RecordBatch { header, bytes: bytes.slice(..needed_bytes) })
    }

    /// Checks the stored checksum against the bytes.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let covered = self.bytes.get(CRC_COVERS_FROM..).unwrap_or(&[]);
        let computed = crc32c(covered);
        if computed != self.header.crc {
            return Err(BatchError::ChecksumMismatch { stored: self.header.crc, computed });
        }
        Ok(())
    }

    /// Checks what a broker must check of a producer's batch, as Kafka's `LogValidator` does, without decompressing:
    /// checksum, codec, flags, producer fields, timestamps, counts, and the records' structure where they are plain.
    pub fn validate_for_produce(&self) -> Result<(), BatchError> {
        validation::check(self).map(|_| ())
    }

    /// Checks like [`RecordBatch::validate_for_produce`] and gives the batch to store.
    ///
    /// That is this one, unless its header names another largest timestamp than its plain records have: Kafka puts
    /// that right in silence, and lookups by time depend on it. Compressed records are not looked at.
    pub fn admitted(&self) -> Result<RecordBatch, BatchError> {
        let max_timestamp = validation::check(self)?;
        if max_timestamp == self.header.max_timestamp {
            return Ok(self.clone());
        }
        Ok(self.rewritten(BatchHeader { max_timestamp, ..self.header }))
    }

    /// The same batch with the append time as the timestamp of all its records. Copies the batch.
    #[must_use]
    pub fn with_log_append_time(&self, now_ms: i64) -> RecordBatch {
        let attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.rewritten(BatchHeader { attributes, max_timestamp: now_ms, ..self.header })
    }

    /// A copy of this batch under another header, with its checksum computed anew.
    fn rewritten(&self, header: BatchHeader) -> RecordBatch {
        let mut bytes = BytesMut::with_capacity(self.bytes.len());
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(self.record_bytes());
        sealed(header, bytes)
    }

    /// The same batch at another offset. Changes the header only: no byte is copied.
    #[must_use]
    pub fn at_offset(&self, base_offset: Offset) -> RecordBatch {
        RecordBatch { header: BatchHeader { base_offset, ..self.header }, bytes: self.bytes.clone() }
    }

    /// The batch as it is sent to a client: 16 fresh bytes with this offset and epoch, and the rest as it is stored.
    pub fn patched(&self, base_offset: Offset, leader_epoch: i32) -> [Bytes; 2] {
        let mut head = BytesMut::with_capacity(PATCHED_BYTES);
        head.extend_from_slice(&base_offset.to_be_bytes());
        head.extend_from_slice(&self.header.batch_length.to_be_bytes());
        head.extend_from_slice(&leader_epoch.to_be_bytes());
        [head.freeze(), self.bytes.slice(PATCHED_BYTES.min(self.bytes.len())..)]
    }

    /// What follows the header: the records, compressed if the header says so.
    fn record_bytes(&self) -> &[u8] {
        self.bytes.get(BATCH_HEADER_BYTES..).unwrap_or(&[])
    }

    /// The records one after the other, decompressed into at most `decompressed_bytes_max` bytes.
    ///
    /// The limit counts for compressed batches; plain records are slices of the batch and take no memory.
    pub fn iterate(&self, decompressed_bytes_max: usize) -> Result<RecordIterator, BatchError> {
        Ok(RecordIterator::new(self.header, self.decompressed(decompressed_bytes_max)?))
    }

    /// The batch with its records decompressed into at most `decompressed_bytes_max` bytes, to be read without copies.
    pub fn decode(&self, decompressed_bytes_max: usize) -> Result<DecodedBatch, BatchError> {
        Ok(DecodedBatch::new(self.header, self.decompressed(decompressed_bytes_max)?))
    }

    fn decompressed(&self, decompressed_bytes_max: usize) -> Result<Bytes, BatchError> {
        if self.header.record_count < 0 {
            return Err(BatchError::InvalidRecordCount(self.header.record_count));
        }
        let codec = self.header.attributes.compression()?;
        let stored = self.bytes.slice(BATCH_HEADER_BYTES.min(self.bytes.len())..);
        // Compaction may leave a batch without records, and then there is nothing to decompress.
        if codec == Compression::None || stored.is_empty() {
            return Ok(stored);
        }
        Ok(Bytes::from(compression::decompress(codec, &stored, decompressed_bytes_max)?))
    }

    /// All records, decompressed into at most `decompressed_bytes_max` bytes.
    pub fn records(&self, decompressed_bytes_max: usize) -> Result<Vec<Record>, BatchError> {
        let records = self.iterate(decompressed_bytes_max)?;
        let mut collected = Vec::with_capacity(records.record_count_max());
        for record in records {
            collected.push(record?);
        }
        Ok(collected)
    }

    /// Whether every record has a key, as a compacted topic asks.
    pub fn keys_present(&self, decompressed_bytes_max: usize) -> Result<bool, BatchError> {
        for record in self.iterate(decompressed_bytes_max)? {
            if record?.key.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first record at `start_offset` or after it whose timestamp is `timestamp` or later.
    ///
    /// Believes the header that no record is later than the largest timestamp, as Kafka does, and decompresses only
    /// where the answer is not plain from the header.
    pub fn first_offset_at_or_after(
        &self,
        timestamp: i64,
        start_offset: Offset,
        decompressed_bytes_max: usize,
    ) -> Result<Option<TimestampedOffset>, BatchError> {
        if self.header.max_timestamp < timestamp || self.header.last_offset() < start_offset {
            return Ok(None);
        }
        if self.has_one_timestamp() && self.is_dense() {
            let offset = self.header.base_offset.max(start_offset);
            return Ok(Some(TimestampedOffset { offset, timestamp: self.header.max_timestamp }));
        }
        for record in self.iterate(decompressed_bytes_max)? {
            let record = record?;
            if record.offset >= start_offset && record.timestamp >= timestamp {
                return Ok(Some(TimestampedOffset { offset: record.offset, timestamp: record.timestamp }));
            }
        }
        Ok(None)
    }

    /// The first of the records with the largest timestamp, among those at `start_offset` or after it.
    pub fn offset_of_max_timestamp(
        &self,
        start_offset: Offset,
        decompressed_bytes_max: usize,
    ) -> Result<Option<TimestampedOffset>, BatchError> {
        if self.header.last_offset() < start_offset {
            return Ok(None);
        }
        if self.has_one_timestamp() && self.is_dense() {
            let offset = self.header.base_offset.max(start_offset);
            return Ok(Some(TimestampedOffset { offset, timestamp: self.header.max_timestamp }));
        }
        let mut newest: Option<TimestampedOffset> = None;
        for record in self.iterate(decompressed_bytes_max)? {
            let record = record?;
            if record.offset >= start_offset && newest.is_none_or(|newest| record.timestamp > newest.timestamp) {
                newest = Some(TimestampedOffset { offset: record.offset, timestamp: record.timestamp });
            }
        }
        Ok(newest)
    }

    fn has_one_timestamp(&self) -> bool {
        self.header.attributes.timestamp_type() == TimestampType::LogAppendTime
    }

    /// Whether every offset of the batch has a record, so that nothing was compacted away.
    fn is_dense(&self) -> bool {
        let header = &self.header;
        header.record_count > 0 && i64::from(header.record_count) == i64::from(header.last_offset_delta) + 1
    }
}

/// A batch from its bytes with the checksum computed and set in both. `bytes` begin with `header`, encoded.
pub(crate) fn sealed(header: BatchHeader, mut bytes: BytesMut) -> RecordBatch {
    let crc = crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[CRC_COVERS_FROM - 4..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
    RecordBatch { header: BatchHeader { crc, ..header }, bytes: bytes.freeze() }
}

#[cfg(test)]
mod tests;
