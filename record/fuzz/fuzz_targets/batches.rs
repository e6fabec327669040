//! Any bytes, as a producer may send them, through everything that reads them.
//!
//! Looks for panics, and for memory beyond the limit: run with `-rss_limit_mb=256`. The checksum is made right where
//! the bytes have the shape of a batch, so that the fuzzer gets past it.

#![no_main]

use alluvium_record::{BATCH_HEADER_BYTES, RecordBatch, crc32c, split_batches};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const DECOMPRESSED_BYTES_MAX: usize = 1 << 20;

/// Where the bytes that the checksum covers begin.
const CRC_COVERS_FROM: usize = 21;

fuzz_target!(|data: &[u8]| {
    exercise(Bytes::copy_from_slice(data));
    if data.len() >= BATCH_HEADER_BYTES {
        let mut bytes = data.to_vec();
        let batch_length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&batch_length.to_be_bytes());
        bytes[16] = 2;
        let crc = crc32c(&bytes[CRC_COVERS_FROM..]);
        bytes[CRC_COVERS_FROM - 4..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
        exercise(bytes.into());
    }
});

fn exercise(bytes: Bytes) {
    for batch in split_batches(bytes).unwrap_or_default() {
        read(&batch);
        read(&batch.with_log_append_time(1));
        if let Ok(admitted) = batch.admitted() {
            assert_eq!(admitted.verify_crc(), Ok(()));
        }
        let [head, rest] = batch.patched(7, 0);
        assert_eq!(head.len() + rest.len(), batch.bytes.len());
    }
}

fn read(batch: &RecordBatch) {
    if let Ok(records) = batch.records(DECOMPRESSED_BYTES_MAX) {
        assert_eq!(i32::try_from(records.len()), Ok(batch.header.record_count));
    }
    let _ = batch.first_offset_at_or_after(0, 0, DECOMPRESSED_BYTES_MAX);
    let _ = batch.offset_of_max_timestamp(0, DECOMPRESSED_BYTES_MAX);
}
