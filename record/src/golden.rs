//! Batches that others wrote, read by us; and written by us to the same bytes where no codec is in the way.
//!
//! Where the bytes come from stands in `golden/README.md`.

use bytes::Bytes;

use crate::{BatchBuilder, BatchError, Compression, Header, Record, RecordBatch, TimestampType, split_batches};

const JAVA: [(Compression, &str); 5] = [
    (Compression::None, include_str!("../golden/java-4.3.1/none.hex")),
    (Compression::Gzip, include_str!("../golden/java-4.3.1/gzip.hex")),
    (Compression::Snappy, include_str!("../golden/java-4.3.1/snappy.hex")),
    (Compression::Lz4, include_str!("../golden/java-4.3.1/lz4.hex")),
    (Compression::Zstd, include_str!("../golden/java-4.3.1/zstd.hex")),
];
const JAVA_LOG_APPEND_TIME: &str = include_str!("../golden/java-4.3.1/log-append-time-transactional.hex");
const JAVA_CONTROL: &str = include_str!("../golden/java-4.3.1/control-commit.hex");
const JAVA_MAGIC_1: &str = include_str!("../golden/java-4.3.1/magic-1.hex");
const DERIVED: [(Compression, &str); 3] = [
    (Compression::None, include_str!("../golden/derived/none.hex")),
    (Compression::Snappy, include_str!("../golden/derived/snappy-bare.hex")),
    (Compression::Gzip, include_str!("../golden/derived/gzip-two-members.hex")),
];

pub(crate) fn from_hex(hex: &str) -> Bytes {
    let digits: Vec<u8> =
        hex.trim().chars().map(|digit| digit.to_digit(16).expect("a hexadecimal digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn only_batch(hex: &str) -> RecordBatch {
    let mut batches = split_batches(from_hex(hex)).expect("splits");
    assert_eq!(batches.len(), 1);
    let batch = batches.remove(0);
    batch.verify_crc().expect("the checksum fits");
    batch
}

fn text(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

/// The records of every codec's file.
pub(crate) fn java_records() -> Vec<Record> {
    vec![
        Record {
            offset: 0,
            timestamp: 1_700_000_000_000,
            key: text("key-0"),
            value: text("alluvium alluvium alluvium alluvium alluvium alluvium"),
            headers: vec![
                Header::new("trace", text("one")),
                Header::new("trace", text("two")),
                Header::new("empty", text("")),
                Header::new("null", None),
            ],
        },
        Record { offset: 1, timestamp: 1_700_000_000_250, key: None, value: text("no key"), headers: vec![] },
        Record { offset: 2, timestamp: 1_699_999_999_999, key: text("tombstone"), value: None, headers: vec![] },
    ]
}

#[test]
fn batches_of_the_java_client_read_back() {
    for (codec, hex) in JAVA {
        let batch = only_batch(hex);
        assert_eq!(batch.header.attributes.compression(), Ok(codec));
        assert_eq!(batch.header.attributes.timestamp_type(), TimestampType::CreateTime);
        assert_eq!((batch.header.producer_id, batch.header.producer_epoch), (4711, 3));
        assert_eq!((batch.header.base_sequence, batch.header.last_sequence()), (42, 44));
        assert_eq!((batch.header.last_offset(), batch.header.record_count), (2, 3));
        assert_eq!(batch.header.max_timestamp, 1_700_000_000_250);
        assert_eq!(batch.validate_for_produce(), Ok(()), "{codec}");
        assert_eq!(batch.admitted().as_ref(), Ok(&batch), "{codec}");
        assert_eq!(batch.records(1024), Ok(java_records()), "{codec}");
        assert_eq!(batch.keys_present(1024), Ok(false), "{codec}");
    }
}

#[test]
fn a_batch_is_built_to_the_bytes_of_the_java_client() {
    let mut builder = BatchBuilder::new(Compression::None).producer(4711, 3, 42);
    for record in java_records() {
        builder.push(record.timestamp, record.key, record.value, record.headers).unwrap();
    }
    assert_eq!(builder.build(0).bytes, from_hex(JAVA[0].1));

    let mut builder = BatchBuilder::new(Compression::None).producer(9, 0, i32::MAX).leader_epoch(7).transactional(true);
    builder.push(1_700_000_000_000, text("a"), text("1"), vec![]).unwrap();
    builder.push(1_700_000_000_001, text("b"), text("2"), vec![]).unwrap();
    let stamped = builder.build(100).with_log_append_time(1_700_000_005_000);
    assert_eq!(stamped.bytes, from_hex(JAVA_LOG_APPEND_TIME));
}

#[test]
fn log_append_time_counts_for_every_record() {
    let batch = only_batch(JAVA_LOG_APPEND_TIME);
    assert_eq!(batch.header.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert!(batch.header.attributes.is_transactional() && !batch.header.attributes.is_control());
    assert_eq!((batch.header.base_sequence, batch.header.last_sequence()), (i32::MAX, 0));
    assert_eq!(batch.header.next_sequence(), 1);
    assert_eq!(batch.header.partition_leader_epoch, 7);
    let records = batch.records(0).unwrap();
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [100, 101]);
    assert!(records.iter().all(|record| record.timestamp == 1_700_000_005_000));
    assert_eq!(batch.validate_for_produce(), Err(BatchError::ProducerSetLogAppendTime));
}

#[test]
fn control_batches_are_read_and_not_taken_from_producers() {
    let batch = only_batch(JAVA_CONTROL);
    assert!(batch.header.attributes.is_control() && batch.header.attributes.is_transactional());
    assert_eq!(batch.header.base_sequence, -1);
    assert_eq!(batch.header.last_sequence(), -1);
    let records = batch.records(0).unwrap();
    assert_eq!(records.len(), 1);
    // Version 0, type 1: commit.
    assert_eq!(records[0].key.as_deref(), Some(&[0, 0, 0, 1][..]));
    assert_eq!(batch.validate_for_produce(), Err(BatchError::ControlBatch));
}

#[test]
fn old_messages_are_named_as_such() {
    // Shorter than a header of format 2, so magic must come before length.
    let message = from_hex(JAVA_MAGIC_1);
    assert!(message.len() < crate::BATCH_HEADER_BYTES);
    assert_eq!(split_batches(message), Err(BatchError::UnsupportedMagic(1)));
}

#[test]
fn derived_batches_read_back() {
    for (codec, hex) in DERIVED {
        let batch = only_batch(hex);
        assert_eq!(batch.validate_for_produce(), Ok(()), "{codec}");
        assert!(!batch.header.is_idempotent());
        let records = batch.records(1024).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].key.clone(), records[0].value.clone()), (text("k"), text("first")));
        assert_eq!((records[1].key.clone(), records[1].value.clone()), (None, text("second")));
        assert_eq!(records[1].headers, [Header::new("h", None)]);
        assert_eq!((records[0].timestamp, records[1].timestamp), (1_700_000_000_000, 1_700_000_000_005));
    }
}
