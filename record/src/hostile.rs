//! Bytes that mean harm, through everything that reads: nothing panics, and whatever is taken is consistent.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::batch::sealed;
use crate::golden::java_records;
use crate::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Compression, RecordBatch, split_batches};

const LIMIT_BYTES: usize = 64 * 1024;

/// Everything that a server does to a batch that it was sent.
fn exercise(batch: &RecordBatch) {
    assert_eq!(batch.bytes.len(), batch.header.total_bytes());
    let produce = batch.validate_for_produce();
    if let Ok(admitted) = batch.admitted() {
        assert_eq!(produce, Ok(()));
        assert_eq!(admitted.verify_crc(), Ok(()));
        assert_eq!(admitted.bytes.len(), batch.bytes.len());
    }
    let stamped = batch.with_log_append_time(1);
    assert_eq!(stamped.verify_crc(), Ok(()));
    let [head, rest] = batch.patched(7, 0);
    assert_eq!(head.len() + rest.len(), batch.bytes.len());
    for batch in [batch, &stamped, &batch.at_offset(i64::MAX)] {
        let records = batch.records(LIMIT_BYTES);
        if let Ok(records) = &records {
            assert_eq!(records.len(), batch.header.record_count as usize);
        }
        // A record without a key ends the search before it comes to what is broken.
        if batch.keys_present(LIMIT_BYTES) == Ok(true) {
            assert!(records.is_ok());
        }
        let _ = batch.first_offset_at_or_after(0, 0, LIMIT_BYTES);
        let _ = batch.offset_of_max_timestamp(0, LIMIT_BYTES);
        let _ = (batch.header.last_sequence(), batch.header.next_sequence(), batch.header.next_offset());
        if produce == Ok(()) && batch.header.attributes.compression() == Ok(Compression::None) {
            assert!(records.is_ok(), "what was taken as plain records is readable");
        }
    }
}

fn split_and_exercise(bytes: Bytes) {
    let Ok(batches) = split_batches(bytes.clone()) else {
        return;
    };
    assert_eq!(batches.iter().map(|batch| batch.bytes.len()).sum::<usize>(), bytes.len());
    batches.iter().for_each(exercise);
}

fn good_batch(codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new(codec).producer(4, 5, 6);
    for record in java_records() {
        builder.push(record.timestamp, record.key, record.value, record.headers).unwrap();
    }
    builder.build(0)
}

fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes(mut bytes in vec(any::<u8>(), 0..300), plausible: bool) {
        if plausible && bytes.len() > BATCH_HEADER_BYTES {
            let batch_length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&batch_length.to_be_bytes());
            bytes[16] = 2;
        }
        split_and_exercise(bytes.into());
    }

    #[test]
    fn truncations(codec in codec(), cut in any::<Index>()) {
        let batch = good_batch(codec);
        let cut = cut.index(batch.bytes.len());
        let short = batch.bytes.slice(..cut);
        prop_assert_eq!(split_batches(short.clone()).is_ok(), cut == 0);
        // With the lengths made to fit, so that what is within the batch is cut off.
        if cut >= BATCH_HEADER_BYTES {
            let header = BatchHeader { batch_length: (cut - 12) as i32, ..batch.header };
            let mut bytes = BytesMut::from(&header.encode()[..]);
            bytes.extend_from_slice(&short[BATCH_HEADER_BYTES..]);
            let cut_within = sealed(header, bytes);
            exercise(&cut_within);
            // Only the end mark of an LZ4 frame may be missing, since all records stand before it.
            match cut_within.records(LIMIT_BYTES) {
                Ok(records) => {
                    prop_assert_eq!(codec, Compression::Lz4);
                    prop_assert_eq!(records, java_records());
                }
                Err(_) => prop_assert!(cut < batch.bytes.len()),
            }
        }
    }

    #[test]
    fn flipped_bits_with_a_right_checksum(
        codec in codec(),
        flips in vec((any::<Index>(), 0_u8..8), 1..8),
        spare_header: bool,
    ) {
        let batch = good_batch(codec);
        let from = if spare_header { BATCH_HEADER_BYTES } else { 0 };
        let mut bytes = BytesMut::from(&batch.bytes[..]);
        for (position, bit) in flips {
            let position = from + position.index(bytes.len() - from);
            bytes[position] ^= 1 << bit;
        }
        split_and_exercise(bytes.clone().freeze());
        if let Ok(header) = BatchHeader::decode(&bytes)
            && header.total_bytes() == bytes.len()
        {
            exercise(&sealed(header, bytes));
        }
    }

    #[test]
    fn arbitrary_records(header_count in 0_i32..5, codec in 0_i16..8, data in vec(any::<u8>(), 0..200)) {
        let good = good_batch(Compression::None).header;
        let mut header = BatchHeader {
            batch_length: (BATCH_HEADER_BYTES - 12 + data.len()) as i32,
            record_count: header_count,
            last_offset_delta: header_count - 1,
            ..good
        };
        header.attributes.0 = codec;
        let mut bytes = BytesMut::from(&header.encode()[..]);
        bytes.extend_from_slice(&data);
        exercise(&sealed(header, bytes));
    }
}
