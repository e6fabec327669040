//! What a producer's batch must satisfy before it may be written.
//!
//! The rules are those of Kafka's `LogValidator`, in the order from cheap and decisive to costly, with these additions:
//! a delete horizon, a producer id below -1 and a transaction without a producer are refused. Fields that Kafka does
//! not judge are not judged: some clients send epoch 0 and sequence 0 without a producer id.

use crate::batch::{BatchError, BatchHeader, RecordBatch};
use crate::compression::Compression;
use crate::header::{BATCH_HEADER_BYTES, MAGIC, NO_PRODUCER_ID, NO_TIMESTAMP, TimestampType};
use crate::record::{BYTES_LEFT, read_record};

/// Checks a producer's batch and gives the largest timestamp of its records: the true one where the records are
/// plain, the one that the header names where they are compressed.
pub(crate) fn check(batch: &RecordBatch) -> Result<i64, BatchError> {
    let header = &batch.header;
    if header.magic != MAGIC {
        return Err(BatchError::UnsupportedMagic(header.magic));
    }
    batch.verify_crc()?;
    let codec = header.attributes.compression()?;
    check_flags(header)?;
    check_producer(header)?;
    check_counts(header)?;
    check_timestamp(header.base_timestamp)?;
    check_timestamp(header.max_timestamp)?;
    if codec != Compression::None {
        return Ok(header.max_timestamp);
    }
    let max_timestamp = check_records(header, batch.bytes.get(BATCH_HEADER_BYTES..).unwrap_or(&[]))?;
    check_timestamp(max_timestamp)?;
    Ok(max_timestamp)
}

fn check_flags(header: &BatchHeader) -> Result<(), BatchError> {
    let attributes = header.attributes;
    if attributes.is_control() {
        return Err(BatchError::ControlBatch);
    }
    if attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::ProducerSetLogAppendTime);
    }
    if attributes.has_delete_horizon() {
        return Err(BatchError::ProducerSetDeleteHorizon);
    }
    Ok(())
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = *header;
    if producer_id == NO_PRODUCER_ID {
        if header.attributes.is_transactional() {
            return Err(BatchError::TransactionalWithoutProducer);
        }
        return Ok(());
    }
    if producer_id < NO_PRODUCER_ID || producer_epoch < 0 {
        return Err(BatchError::InvalidProducer { producer_id, producer_epoch });
    }
    if base_sequence < 0 {
        return Err(BatchError::InvalidSequence { producer_id, base_sequence });
    }
    Ok(())
}

fn check_counts(header: &BatchHeader) -> Result<(), BatchError> {
    let BatchHeader { record_count, last_offset_delta, .. } = *header;
    if record_count <= 0 {
        return Err(BatchError::InvalidRecordCount(record_count));
    }
    if i64::from(last_offset_delta) + 1 != i64::from(record_count) {
        return Err(BatchError::OffsetDeltaMismatch { last_offset_delta, record_count });
    }
    Ok(())
}

fn check_timestamp(timestamp: i64) -> Result<(), BatchError> {
    if timestamp < NO_TIMESTAMP { Err(BatchError::InvalidTimestamp(timestamp)) } else { Ok(()) }
}

/// Walks plain records without allocating: each is well formed, offsets count up by one, and no byte is left.
fn check_records(header: &BatchHeader, data: &[u8]) -> Result<i64, BatchError> {
    let mut position = 0;
    let mut max_timestamp = i64::MIN;
    for index in 0..header.record_count {
        let layout = read_record(data, &mut position, |_, _| {})
            .map_err(|reason| BatchError::InvalidRecord { index, reason })?;
        if layout.offset_delta != index {
            return Err(BatchError::InvalidRecord { index, reason: "its offset delta is out of order" });
        }
        max_timestamp = max_timestamp.max(layout.timestamp(header));
    }
    if position != data.len() {
        return Err(BatchError::InvalidRecord { index: header.record_count, reason: BYTES_LEFT });
    }
    Ok(max_timestamp)
}

#[cfg(test)]
mod tests;
