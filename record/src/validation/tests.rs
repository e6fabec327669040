use bytes::{Bytes, BytesMut};

use super::*;
use crate::BatchBuilder;
use crate::batch::sealed;

fn batch(compression: Compression, timestamps: &[i64]) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression);
    for timestamp in timestamps {
        builder.push(*timestamp, None, Some(Bytes::from_static(b"value")), vec![]).unwrap();
    }
    builder.build(0)
}

/// The batch with changes to its header, its checksum right again.
fn changed(batch: &RecordBatch, change: impl FnOnce(&mut BatchHeader)) -> RecordBatch {
    let mut header = batch.header;
    change(&mut header);
    with_records(header, &batch.bytes[BATCH_HEADER_BYTES..])
}

fn with_records(header: BatchHeader, records: &[u8]) -> RecordBatch {
    let batch_length = (BATCH_HEADER_BYTES - 12 + records.len()) as i32;
    let header = BatchHeader { batch_length, ..header };
    let mut bytes = BytesMut::from(&header.encode()[..]);
    bytes.extend_from_slice(records);
    sealed(header, bytes)
}

fn outcome(change: impl FnOnce(&mut BatchHeader)) -> Result<(), BatchError> {
    changed(&batch(Compression::None, &[5, 6]), change).validate_for_produce()
}

#[test]
fn every_codec_is_taken() {
    for codec in Compression::ALL {
        let batch = batch(codec, &[5, 6]);
        assert_eq!(batch.validate_for_produce(), Ok(()), "{codec}");
        assert_eq!(batch.admitted().unwrap().bytes.as_ptr(), batch.bytes.as_ptr(), "{codec}: not copied");
    }
    assert_eq!(outcome(|header| header.attributes.0 |= 5), Err(BatchError::UnsupportedCompression(5)));
}

#[test]
fn a_wrong_checksum_comes_before_what_it_covers() {
    let mut bytes = batch(Compression::None, &[5]).bytes.to_vec();
    bytes[22] |= 0x20;
    let broken = RecordBatch::decode_first(&bytes.into()).unwrap();
    assert!(matches!(broken.validate_for_produce(), Err(BatchError::ChecksumMismatch { .. })));
}

#[test]
fn flags_of_the_broker_are_refused() {
    assert_eq!(
        outcome(|header| header.attributes = header.attributes.with_control(true)),
        Err(BatchError::ControlBatch)
    );
    assert_eq!(
        outcome(|header| header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppendTime)),
        Err(BatchError::ProducerSetLogAppendTime)
    );
    assert_eq!(
        outcome(|header| header.attributes = header.attributes.with_delete_horizon(true)),
        Err(BatchError::ProducerSetDeleteHorizon)
    );
}

#[test]
fn producer_fields_are_judged_only_with_a_producer_id() {
    let set = |producer_id: i64, producer_epoch: i16, base_sequence: i32| {
        outcome(|header| {
            header.producer_id = producer_id;
            header.producer_epoch = producer_epoch;
            header.base_sequence = base_sequence;
        })
    };
    assert_eq!(set(-1, -1, -1), Ok(()));
    assert_eq!(set(-1, 0, 0), Ok(()), "some clients send zeros beside no producer id");
    assert_eq!(set(0, 0, 0), Ok(()));
    assert_eq!(set(i64::MAX, i16::MAX, i32::MAX), Ok(()));
    assert_eq!(set(-2, 0, 0), Err(BatchError::InvalidProducer { producer_id: -2, producer_epoch: 0 }));
    assert_eq!(set(7, -1, 0), Err(BatchError::InvalidProducer { producer_id: 7, producer_epoch: -1 }));
    assert_eq!(set(7, 0, -1), Err(BatchError::InvalidSequence { producer_id: 7, base_sequence: -1 }));
    assert_eq!(
        outcome(|header| header.attributes = header.attributes.with_transactional(true)),
        Err(BatchError::TransactionalWithoutProducer)
    );
}

#[test]
fn counts_must_agree() {
    for record_count in [0, -1, i32::MIN] {
        assert_eq!(
            outcome(|header| header.record_count = record_count),
            Err(BatchError::InvalidRecordCount(record_count))
        );
    }
    for last_offset_delta in [0, 2, -1, i32::MIN, i32::MAX] {
        assert_eq!(
            outcome(|header| header.last_offset_delta = last_offset_delta),
            Err(BatchError::OffsetDeltaMismatch { last_offset_delta, record_count: 2 })
        );
    }
    let both = |count: i32| {
        outcome(|header| {
            header.record_count = count;
            header.last_offset_delta = count - 1;
        })
    };
    assert_eq!(both(1), Err(BatchError::InvalidRecord { index: 1, reason: BYTES_LEFT }));
    assert!(matches!(both(3), Err(BatchError::InvalidRecord { index: 2, .. })));
    assert!(matches!(both(i32::MAX), Err(BatchError::InvalidRecord { index: 2, .. })));
}

#[test]
fn offsets_within_the_batch_count_up() {
    let batch = batch(Compression::None, &[5, 5]);
    let mut records = batch.bytes[BATCH_HEADER_BYTES..].to_vec();
    // The second record's offset delta: its length, attributes and timestamp delta stand before it.
    let position = records.len() / 2 + 3;
    assert_eq!(records[position], 2);
    records[position] = 4;
    assert_eq!(
        with_records(batch.header, &records).validate_for_produce(),
        Err(BatchError::InvalidRecord { index: 1, reason: "its offset delta is out of order" })
    );
}

#[test]
fn timestamps_below_none_are_refused() {
    assert_eq!(outcome(|header| header.max_timestamp = -2), Err(BatchError::InvalidTimestamp(-2)));
    assert_eq!(outcome(|header| header.base_timestamp = i64::MIN), Err(BatchError::InvalidTimestamp(i64::MIN)));
    assert_eq!(batch(Compression::None, &[-1, -1]).validate_for_produce(), Ok(()));
}

#[test]
fn a_wrong_largest_timestamp_is_put_right_where_records_are_plain() {
    let right = batch(Compression::None, &[5, 9, 6]);
    for claimed in [-1, 5, i64::MAX] {
        let wrong = changed(&right, |header| header.max_timestamp = claimed);
        assert_eq!(wrong.validate_for_produce(), Ok(()));
        assert_eq!(wrong.admitted(), Ok(right.clone()));
    }
    let compressed = changed(&batch(Compression::Gzip, &[5, 9, 6]), |header| header.max_timestamp = 77);
    assert_eq!(compressed.admitted(), Ok(compressed.clone()));
}
