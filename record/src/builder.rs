//! Making a record batch out of records.
//!
//! What must stay true:
//! 1. What is built reads back as what was pushed, and passes [`RecordBatch::validate_for_produce`] unless the caller
//!    set a flag that producers may not set, or pushed nothing.
//! 2. A batch's length always fits its field, since pushing stops long before.

use bytes::{Bytes, BytesMut};

use crate::batch::{RecordBatch, sealed};
use crate::compression::{self, Compression};
use crate::header::{
    Attributes, BATCH_HEADER_BYTES, BatchHeader, LENGTH_PREFIX_BYTES, MAGIC, NO_PRODUCER_ID, NO_TIMESTAMP,
    TimestampType,
};
use crate::record::Header;
use crate::{Offset, varint};

/// The most bytes of records, before compression, in one batch. No codec expands this past the 2 GiB of the field.
pub(crate) const RECORDS_BYTES_MAX: usize = 1 << 30;

/// Why a record was not added to a batch. The batch is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The batch has no room for the record.
    #[error("a record batch holds at most {bytes_max} bytes of records")]
    BatchFull {
        /// The most bytes of records that a batch may hold.
        bytes_max: usize,
    },
    /// The record's offset, or the last of the batch, is not one that the batch can hold.
    #[error("offset {offset} is outside of its batch")]
    OffsetOutOfRange {
        /// The offset.
        offset: Offset,
    },
}

/// Gathers records into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    attributes: Attributes,
    compression: Compression,
    leader_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    record_count: i32,
    records: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch whose records will be compressed like this.
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder {
            attributes: Attributes::default(),
            compression,
            leader_epoch: -1,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: -1,
            base_sequence: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            record_count: 0,
            records: Vec::new(),
        }
    }

    /// Makes this the batch of an idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Sets the epoch of the leader; -1, as producers send it, until then.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: i32) -> BatchBuilder {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Makes the batch part of a transaction, or not.
    #[must_use]
    pub fn transactional(mut self, transactional: bool) -> BatchBuilder {
        self.attributes = self.attributes.with_transactional(transactional);
        self
    }

    /// Makes the batch a control batch, or not.
    #[must_use]
    pub fn control(mut self, control: bool) -> BatchBuilder {
        self.attributes = self.attributes.with_control(control);
        self
    }

    /// Sets where the timestamps come from.
    #[must_use]
    pub fn timestamp_type(mut self, timestamp_type: TimestampType) -> BatchBuilder {
        self.attributes = self.attributes.with_timestamp_type(timestamp_type);
        self
    }

    /// The number of records so far.
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The bytes that the batch takes if its records do not compress.
    pub fn uncompressed_bytes(&self) -> usize {
        BATCH_HEADER_BYTES + self.records.len()
    }

    /// Adds a record after those that are there.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<Bytes>,
        value: Option<Bytes>,
        headers: Vec<Header>,
    ) -> Result<(), PushError> {
        let base_timestamp = if self.is_empty() { timestamp } else { self.base_timestamp };
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        let mut body_bytes = 1_usize
            .saturating_add(varint::bytes_of_i64(timestamp_delta))
            .saturating_add(varint::bytes_of_i32(self.record_count))
            .saturating_add(nullable_bytes(key.as_deref()))
            .saturating_add(nullable_bytes(value.as_deref()))
            .saturating_add(5);
        for header in &headers {
            body_bytes = body_bytes
                .saturating_add(nullable_bytes(Some(&header.name)))
                .saturating_add(nullable_bytes(header.value.as_deref()));
        }
        // A record of the largest size has a five-byte length before it.
        if self.records.len().saturating_add(body_bytes).saturating_add(5) > RECORDS_BYTES_MAX {
            return Err(PushError::BatchFull { bytes_max: RECORDS_BYTES_MAX });
        }
        // From here on every length is below 2^30, and each header takes two bytes, so that nothing is cut by a cast.
        let header_count = headers.len() as i32;
        varint::write_i32(&mut self.records, (body_bytes - 5 + varint::bytes_of_i32(header_count)) as i32);
        self.records.push(0);
        varint::write_i64(&mut self.records, timestamp_delta);
        varint::write_i32(&mut self.records, self.record_count);
        write_nullable(&mut self.records, key.as_deref());
        write_nullable(&mut self.records, value.as_deref());
        varint::write_i32(&mut self.records, header_count);
        for header in &headers {
            write_nullable(&mut self.records, Some(&header.name));
            write_nullable(&mut self.records, header.value.as_deref());
        }
        self.max_timestamp = if self.is_empty() { timestamp } else { self.max_timestamp.max(timestamp) };
        self.base_timestamp = base_timestamp;
        self.record_count += 1;
        Ok(())
    }

    /// The batch, its first record at `base_offset`.
    ///
    /// Should the codec run out of memory the records are left as they are: such a batch is larger, but whole.
    /// Without records it is an empty batch, which [`RecordBatch::validate_for_produce`] refuses.
    pub fn build(self, base_offset: Offset) -> RecordBatch {
        let (compression, data) = match self.compression {
            Compression::None => (Compression::None, self.records),
            codec => match compression::compress(codec, &self.records) {
                Some(compressed) => (codec, compressed),
                None => (Compression::None, self.records),
            },
        };
        let total_bytes = BATCH_HEADER_BYTES + data.len();
        let header = BatchHeader {
            base_offset,
            batch_length: (total_bytes - LENGTH_PREFIX_BYTES) as i32,
            partition_leader_epoch: self.leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes: self.attributes.with_compression(compression),
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.record_count,
        };
        let mut bytes = BytesMut::with_capacity(total_bytes);
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&data);
        sealed(header, bytes)
    }
}

pub(crate) fn nullable_bytes(value: Option<&[u8]>) -> usize {
    value.map_or(1, |value| {
        // A length beyond the field is beyond the batch too, and refused by its size.
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        value.len().saturating_add(varint::bytes_of_i32(length))
    })
}

pub(crate) fn write_nullable(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => varint::write_i32(out, -1),
        Some(value) => {
            varint::write_i32(out, value.len() as i32);
            out.extend_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests;
