//! Record batches for tests, and reading them back.

use alluvium_record::batch::{BatchBuilder, RecordBatch, split_batches};
use alluvium_record::{Compression, Header, Record};
use bytes::Bytes;

/// Decompressed bytes that a test reads out of one batch at most.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// Producer id, producer epoch and first sequence number of a batch.
pub type Sequence = (i64, i16, i32);

/// A batch of records without keys, one for each value, all with this timestamp.
pub fn batch(timestamp_ms: i64, values: &[&str]) -> RecordBatch {
    let values = values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes()));
    values_batch(Compression::None, None, timestamp_ms, values)
}

/// A batch of an idempotent producer.
pub fn sequenced(timestamp_ms: i64, sequence: Sequence, values: &[&str]) -> RecordBatch {
    let values = values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes()));
    values_batch(Compression::None, Some(sequence), timestamp_ms, values)
}

/// A batch with one record of `length` bytes that does not compress and is the same for the same `seed`.
pub fn large(timestamp_ms: i64, seed: u64, length: usize) -> RecordBatch {
    values_batch(Compression::None, None, timestamp_ms, [noise(seed, length)])
}

/// A batch of records without keys.
pub fn values_batch(
    compression: Compression,
    sequence: Option<Sequence>,
    timestamp_ms: i64,
    values: impl IntoIterator<Item = Bytes>,
) -> RecordBatch {
    records_batch(compression, sequence, values.into_iter().map(|value| (timestamp_ms, None, Some(value), Vec::new())))
}

/// A batch of any records: timestamp, key, value, headers.
pub fn records_batch(
    compression: Compression,
    sequence: Option<Sequence>,
    records: impl IntoIterator<Item = (i64, Option<Bytes>, Option<Bytes>, Vec<Header>)>,
) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression);
    if let Some((id, epoch, base_sequence)) = sequence {
        builder = builder.producer(id, epoch, base_sequence);
    }
    for (timestamp_ms, key, value, headers) in records {
        builder.push(timestamp_ms, key, value, headers).expect("a test's batch is small");
    }
    builder.build(0)
}

/// `length` bytes that look random (an xorshift generator).
pub fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = length.div_ceil(8);
    let mut out = Vec::with_capacity(words * 8);
    for _ in 0..words {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    Bytes::from(out)
}

/// Every record in `slices`, which hold whole batches; each checksum is verified.
pub fn read(slices: &[Bytes]) -> Vec<Record> {
    batches(slices)
        .iter()
        .flat_map(|batch| batch.records(DECOMPRESSED_BYTES_MAX).expect("records of a stored batch are readable"))
        .collect()
}

/// Every batch in `slices`; each checksum is verified.
pub fn batches(slices: &[Bytes]) -> Vec<RecordBatch> {
    let batches = split_batches(Bytes::from(slices.concat())).expect("a fetch answers with whole batches");
    for batch in &batches {
        batch.verify_crc().expect("the checksum of a stored batch holds");
    }
    batches
}

/// The value of a record as text.
pub fn text(record: &Record) -> &str {
    std::str::from_utf8(record.value.as_deref().unwrap_or_default()).expect("the test wrote text")
}
