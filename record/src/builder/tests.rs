use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::Record;

fn bytes(length: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..length).prop_map(Bytes::from)
}

fn header() -> impl Strategy<Value = Header> {
    (bytes(6), option::of(bytes(6))).prop_map(|(name, value)| Header { name, value })
}

fn record() -> impl Strategy<Value = Record> {
    (0..i64::MAX, option::of(bytes(40)), option::of(bytes(200)), vec(header(), 0..4))
        .prop_map(|(timestamp, key, value, headers)| Record { offset: 0, timestamp, key, value, headers })
}

fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_pushed_is_read(
        mut records in vec(record(), 1..40),
        codec in codec(),
        base_offset in 0..i64::MAX / 2,
        producer in option::of((0..i64::MAX, 0..i16::MAX, 0..i32::MAX)),
    ) {
        let mut builder = BatchBuilder::new(codec);
        if let Some((id, epoch, base_sequence)) = producer {
            builder = builder.producer(id, epoch, base_sequence);
        }
        for (record, offset) in records.iter_mut().zip(base_offset..) {
            record.offset = offset;
            let Record { timestamp, key, value, headers, .. } = record.clone();
            builder.push(timestamp, key, value, headers).unwrap();
        }
        let plain_bytes = builder.uncompressed_bytes();
        let batch = builder.build(base_offset);
        prop_assert_eq!(batch.validate_for_produce(), Ok(()));
        prop_assert_eq!(batch.header.is_idempotent(), producer.is_some());
        prop_assert_eq!(batch.header.max_timestamp, records.iter().map(|record| record.timestamp).max().unwrap());
        let decoded = RecordBatch::decode_first(&batch.bytes).unwrap();
        prop_assert_eq!(&decoded, &batch);
        prop_assert_eq!(decoded.records(plain_bytes).unwrap(), records);
    }
}

#[test]
fn flags_reach_the_header() {
    let mut builder = BatchBuilder::new(Compression::Snappy)
        .transactional(true)
        .control(true)
        .timestamp_type(TimestampType::LogAppendTime)
        .leader_epoch(3);
    builder.push(5, None, None, vec![]).unwrap();
    let header = builder.build(9).header;
    assert_eq!(header.attributes.compression(), Ok(Compression::Snappy));
    assert!(header.attributes.is_transactional() && header.attributes.is_control());
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!((header.base_offset, header.partition_leader_epoch), (9, 3));
    assert_eq!(header.attributes.with_control(false).with_control(true), header.attributes);
}

#[test]
fn nothing_pushed_is_not_a_batch_to_send() {
    let builder = BatchBuilder::new(Compression::Zstd);
    assert!(builder.is_empty());
    let batch = builder.build(0);
    assert_eq!(batch.records(1024), Ok(vec![]));
    assert_eq!(batch.validate_for_produce(), Err(crate::BatchError::InvalidRecordCount(0)));
}

#[test]
fn a_full_batch_refuses_and_stays_as_it_was() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(1, None, None, vec![]).unwrap();
    // 600 MiB once, named twice: more than a batch holds, and never copied.
    let large = Bytes::from(vec![0; 600 << 20]);
    let refused = builder.push(2, Some(large.clone()), Some(large), vec![]);
    assert_eq!(refused, Err(PushError::BatchFull { bytes_max: RECORDS_BYTES_MAX }));
    assert_eq!(builder.record_count(), 1);
    assert_eq!(builder.build(0).records(0).unwrap().len(), 1);
}
