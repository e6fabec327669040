use super::*;
use crate::{Attributes, BatchBuilder, BatchError, Record};

fn plain_batch(timestamps: &[i64]) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for timestamp in timestamps {
        builder.push(*timestamp, None, Some(Bytes::from_static(b"value")), vec![]).unwrap();
    }
    builder.build(0)
}

fn joined(batches: &[RecordBatch]) -> Bytes {
    batches.iter().flat_map(|batch| batch.bytes.iter().copied()).collect()
}

/// A batch whose middle record is gone, as after compaction.
fn sparse_batch(timestamp_type: TimestampType) -> RecordBatch {
    let full = plain_batch(&[10, 20, 30]);
    let records = &full.bytes[BATCH_HEADER_BYTES..];
    let record_bytes = records.len() / 3;
    let attributes = full.header.attributes.with_timestamp_type(timestamp_type);
    let batch_length = full.header.batch_length - record_bytes as i32;
    let header = BatchHeader { record_count: 2, batch_length, attributes, ..full.header };
    let mut bytes = BytesMut::from(&header.encode()[..]);
    bytes.extend_from_slice(&records[..record_bytes]);
    bytes.extend_from_slice(&records[2 * record_bytes..]);
    sealed(header, bytes)
}

#[test]
fn header_round_trips_through_its_bytes() {
    let header = BatchHeader {
        base_offset: i64::MAX - 7,
        batch_length: 49,
        partition_leader_epoch: -3,
        magic: 2,
        crc: 0xdead_beef,
        attributes: Attributes(0x7f),
        last_offset_delta: 7,
        base_timestamp: i64::MIN,
        max_timestamp: i64::MAX,
        producer_id: 1 << 40,
        producer_epoch: -2,
        base_sequence: 5,
        record_count: 8,
    };
    assert_eq!(BatchHeader::decode(&header.encode()), Ok(header));
    assert_eq!((header.total_bytes(), header.last_offset()), (61, i64::MAX));
}

#[test]
fn attributes_are_set_and_read_one_by_one() {
    let all = Attributes::default()
        .with_compression(Compression::Zstd)
        .with_timestamp_type(TimestampType::LogAppendTime)
        .with_transactional(true)
        .with_control(true)
        .with_delete_horizon(true);
    assert_eq!(all.0, 0x7c);
    assert!(all.is_transactional() && all.is_control() && all.has_delete_horizon());
    assert_eq!(all.with_control(false).with_compression(Compression::None).0, 0x58);
    for codec in 5..8 {
        assert_eq!(Attributes(codec).compression(), Err(BatchError::UnsupportedCompression(codec)));
    }
}

#[test]
fn sequences_wrap_after_the_largest() {
    let mut header = plain_batch(&[1, 2, 3]).header;
    assert_eq!((header.base_sequence, header.last_sequence()), (-1, -1));
    header.base_sequence = i32::MAX - 1;
    assert_eq!((header.last_sequence(), header.next_sequence()), (0, 1));
    header.base_sequence = i32::MAX - 2;
    assert_eq!((header.last_sequence(), header.next_sequence()), (i32::MAX, 0));
}

#[test]
fn splitting_takes_every_byte() {
    let batches = [plain_batch(&[1]), plain_batch(&[2, 3]), plain_batch(&[4])];
    let bytes = joined(&batches);
    assert_eq!(split_batches(bytes.clone()).unwrap(), batches);
    assert_eq!(split_batches(Bytes::new()), Ok(vec![]));
    for cut in 1..bytes.len() {
        let split = split_batches(bytes.slice(..cut));
        let at_edge = cut == batches[0].bytes.len() || cut == bytes.len() - batches[2].bytes.len();
        assert_eq!(split.is_ok(), at_edge, "cut at {cut}");
    }
    // Nothing is copied: the batches lie within the bytes they came from.
    for batch in split_batches(bytes.clone()).unwrap() {
        assert!(bytes.as_ptr_range().contains(&batch.bytes.as_ptr()));
    }
}

#[test]
fn lengths_are_checked() {
    let batch = plain_batch(&[1]);
    for batch_length in [i32::MIN, -1, 0, 48] {
        let mut bytes = batch.bytes.to_vec();
        bytes[8..12].copy_from_slice(&batch_length.to_be_bytes());
        assert_eq!(split_batches(bytes.into()), Err(BatchError::InvalidLength(batch_length)));
    }
    let mut bytes = batch.bytes.to_vec();
    bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    let available_bytes = bytes.len();
    let needed_bytes = i32::MAX as usize + 12;
    assert_eq!(split_batches(bytes.into()), Err(BatchError::Truncated { needed_bytes, available_bytes }));
}

#[test]
fn magic_is_judged_before_the_checksum_and_the_length() {
    let mut bytes = plain_batch(&[1]).bytes.to_vec();
    bytes[8] = 0xff;
    bytes[17] ^= 1;
    for magic in [-1, 0, 1, 3] {
        bytes[16] = magic as u8;
        assert_eq!(split_batches(Bytes::copy_from_slice(&bytes)), Err(BatchError::UnsupportedMagic(magic)));
    }
}

#[test]
fn a_changed_bit_is_found() {
    let batch = plain_batch(&[1]);
    for position in 17..batch.bytes.len() {
        let mut bytes = batch.bytes.to_vec();
        bytes[position] ^= 0x10;
        let changed = RecordBatch::decode_first(&bytes.into()).unwrap();
        assert!(matches!(changed.verify_crc(), Err(BatchError::ChecksumMismatch { .. })), "byte {position}");
    }
}

#[test]
fn patching_changes_offset_and_epoch_without_copying() {
    let batch = plain_batch(&[1, 2]);
    let [head, rest] = batch.patched(1 << 40, 5);
    assert_eq!((head.len(), rest.len()), (16, batch.bytes.len() - 16));
    assert_eq!(rest.as_ptr(), batch.bytes[16..].as_ptr());
    let sent = RecordBatch::decode_first(&[head, rest].concat().into()).unwrap();
    assert_eq!(sent.verify_crc(), Ok(()));
    assert_eq!((sent.header.base_offset, sent.header.partition_leader_epoch), (1 << 40, 5));
    assert_eq!(sent.header, BatchHeader { base_offset: 1 << 40, partition_leader_epoch: 5, ..batch.header });
    assert_eq!(sent.records(0), batch.at_offset(1 << 40).records(0));
}

#[test]
fn the_append_time_replaces_every_timestamp() {
    let batch = plain_batch(&[10, 30, 20]);
    let stamped = batch.with_log_append_time(99);
    assert_eq!(stamped.verify_crc(), Ok(()));
    assert_eq!(split_batches(stamped.bytes.clone()), Ok(vec![stamped.clone()]));
    assert_eq!((stamped.header.max_timestamp, stamped.header.base_timestamp), (99, 10));
    let timestamps: Vec<i64> = stamped.records(0).unwrap().iter().map(|record| record.timestamp).collect();
    assert_eq!(timestamps, [99, 99, 99]);
    assert_eq!(stamped.bytes[BATCH_HEADER_BYTES..], batch.bytes[BATCH_HEADER_BYTES..]);
}

#[test]
fn the_limit_is_for_decompressed_bytes_only() {
    assert_eq!(plain_batch(&[1, 2]).records(0).unwrap().len(), 2);
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.push(1, None, Some(vec![0; 100_000].into()), vec![]).unwrap();
    let data_bytes = builder.uncompressed_bytes() - BATCH_HEADER_BYTES;
    let batch = builder.build(0);
    assert_eq!(batch.records(data_bytes).unwrap().len(), 1);
    let limit_bytes = data_bytes - 1;
    assert_eq!(batch.records(limit_bytes), Err(BatchError::DecompressedTooLarge { limit_bytes }));
}

#[test]
fn counts_that_do_not_fit_the_records_are_errors() {
    let batch = plain_batch(&[1, 2]);
    let read_with = |record_count| {
        let header = BatchHeader { record_count, ..batch.header };
        RecordBatch { header, bytes: batch.bytes.clone() }.records(0)
    };
    assert_eq!(read_with(2).unwrap().len(), 2);
    for record_count in [0, 1, 3, i32::MAX] {
        assert!(matches!(read_with(record_count), Err(BatchError::InvalidRecord { .. })), "{record_count}");
    }
    assert_eq!(read_with(-1), Err(BatchError::InvalidRecordCount(-1)));
}

#[test]
fn an_emptied_batch_has_no_records_and_needs_no_codec() {
    let header = BatchHeader {
        batch_length: 49,
        record_count: 0,
        attributes: Attributes::default().with_compression(Compression::Gzip),
        ..plain_batch(&[1, 2]).header
    };
    let batch = sealed(header, BytesMut::from(&header.encode()[..]));
    assert_eq!(batch.records(0), Ok(vec![]));
    assert_eq!(batch.offset_of_max_timestamp(0, 0), Ok(None));
    assert_eq!(batch.first_offset_at_or_after(0, 0, 0), Ok(None));
    assert_eq!(batch.header.last_offset(), 1);
}

#[test]
fn iteration_ends_after_an_error() {
    let batch = plain_batch(&[1, 2]);
    let mut bytes = batch.bytes.to_vec();
    bytes[BATCH_HEADER_BYTES] = 0x03;
    let broken = RecordBatch { header: batch.header, bytes: bytes.into() };
    let read: Vec<Result<Record, BatchError>> = broken.iterate(0).unwrap().collect();
    assert_eq!(read.len(), 1);
    assert!(read[0].is_err());
}

fn found(offset: Offset, timestamp: i64) -> Result<Option<TimestampedOffset>, BatchError> {
    Ok(Some(TimestampedOffset { offset, timestamp }))
}

#[test]
fn lookups_by_time_with_create_time() {
    let batch = plain_batch(&[10, 30, 20, 30]).at_offset(100);
    assert_eq!(batch.first_offset_at_or_after(i64::MIN, 0, 0), found(100, 10));
    assert_eq!(batch.first_offset_at_or_after(10, 0, 0), found(100, 10));
    assert_eq!(batch.first_offset_at_or_after(11, 0, 0), found(101, 30));
    assert_eq!(batch.first_offset_at_or_after(11, 102, 0), found(102, 20));
    assert_eq!(batch.first_offset_at_or_after(30, 102, 0), found(103, 30));
    assert_eq!(batch.first_offset_at_or_after(31, 0, 0), Ok(None));
    assert_eq!(batch.first_offset_at_or_after(10, 104, 0), Ok(None));
    assert_eq!(batch.offset_of_max_timestamp(0, 0), found(101, 30));
    assert_eq!(batch.offset_of_max_timestamp(102, 0), found(103, 30));
    assert_eq!(batch.offset_of_max_timestamp(104, 0), Ok(None));
}

#[test]
fn lookups_by_time_with_append_time() {
    let batch = plain_batch(&[10, 30, 20]).with_log_append_time(50).at_offset(100);
    assert_eq!(batch.first_offset_at_or_after(50, 0, 0), found(100, 50));
    assert_eq!(batch.first_offset_at_or_after(40, 101, 0), found(101, 50));
    assert_eq!(batch.first_offset_at_or_after(51, 0, 0), Ok(None));
    assert_eq!(batch.offset_of_max_timestamp(0, 0), found(100, 50));
    assert_eq!(batch.offset_of_max_timestamp(102, 0), found(102, 50));
}

#[test]
fn lookups_by_time_where_records_are_gone() {
    let sparse = sparse_batch(TimestampType::CreateTime);
    assert_eq!(sparse.first_offset_at_or_after(15, 0, 0), found(2, 30));
    let stamped = sparse_batch(TimestampType::LogAppendTime);
    assert_eq!(stamped.first_offset_at_or_after(0, 1, 0), found(2, 30));
    assert_eq!(stamped.offset_of_max_timestamp(1, 0), found(2, 30));
}

#[test]
fn an_absent_key_is_noticed() {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    builder.push(1, Some(Bytes::new()), None, vec![]).unwrap();
    assert_eq!(builder.clone().build(0).keys_present(100), Ok(true), "an empty key is a key");
    builder.push(1, None, None, vec![]).unwrap();
    assert_eq!(builder.build(0).keys_present(100), Ok(false));
}
