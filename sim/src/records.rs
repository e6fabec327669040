//! The records that clients write, and what readers make of them.
//!
//! Invariant: the bytes of a batch follow from its number and the kind of its topic alone, so that it is the same one whenever
//! and wherever it is sent.

use std::hash::{DefaultHasher, Hash, Hasher};

use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, Header, Record};
use bytes::Bytes;

use crate::random::mix;

/// Timestamp of records: a day before the simulated clock begins, so that no clock jump makes it a date to come.
const RECORD_TIMESTAMP_MS: i64 = alluvium_infra::runtime::SEEDED_EPOCH_MS - 86_400_000;
/// The header that names a record whose value cannot, since it has none.
const NAME_HEADER: &str = "at";
/// Keys of topics that are compacted.
const KEYS: [&str; 5] = ["", "a", "b", "c", "d"];
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Zstd, Compression::Lz4, Compression::Snappy, Compression::Gzip];

/// What the records of a topic look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A value that names the record, and nothing else.
    Plain,
    /// All that a record can have, or not have: keys, headers, no value, codecs, times.
    Rich,
    /// The same, and always one of a few keys.
    Keyed,
}

/// The batch of that number: always the same bytes.
pub fn batch_bytes(
    batch: u64,
    count: u32,
    producer: Option<(i64, i16, i32)>,
    transactional: bool,
    look: Look,
) -> Bytes {
    let codec = if look == Look::Plain { Compression::None } else { CODECS[(mix(batch ^ 0x0c0d) % 5) as usize] };
    let mut builder = BatchBuilder::new(codec).transactional(transactional);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    for index in 0..count {
        let drawn = mix(batch ^ u64::from(index));
        let padding = "x".repeat((drawn % 160) as usize);
        let name = format!("b{batch}.{index}:");
        let value = Bytes::from(format!("{name}{padding}"));
        // A handful of short records is far below every limit.
        let _pushed = match look {
            Look::Plain => builder.push(RECORD_TIMESTAMP_MS, None, Some(value), Vec::new()),
            Look::Rich | Look::Keyed => {
                let drawn = mix(drawn ^ (u64::from(index) << 32));
                let value = Some(value).filter(|_| !(drawn >> 8).is_multiple_of(5));
                let timestamp = RECORD_TIMESTAMP_MS - ((drawn >> 16) % 10_000) as i64;
                builder.push(timestamp, key(look, drawn), value, headers(name, drawn >> 32))
            }
        };
    }
    builder.build(0).bytes
}

fn key(look: Look, drawn: u64) -> Option<Bytes> {
    match (look, drawn % 5) {
        (Look::Keyed, index) => Some(Bytes::from_static(KEYS[index as usize].as_bytes())),
        (_, 0) => None,
        (_, 1) => Some(Bytes::new()),
        (_, index) => Some(Bytes::from(format!("key {index}"))),
    }
}

fn headers(name: String, drawn: u64) -> Vec<Header> {
    let mut headers = vec![Header::new(NAME_HEADER, Some(Bytes::from(name)))];
    match drawn % 4 {
        1 => headers.push(Header::new("", None)),
        2 => headers.extend([Header::new(NAME_HEADER, Some(Bytes::new())), Header::new(NAME_HEADER, None)]),
        3 => headers.push(Header { name: Bytes::from_static(&[0xff, 0]), value: Some(Bytes::from_static(&[0, 1])) }),
        _ => {}
    }
    headers
}

/// The batch and place that a record names, in its value or in a header.
#[must_use]
pub fn name_of(record: &Record) -> Option<(u64, u32)> {
    let header = || record.headers.first().filter(|header| header.name == NAME_HEADER)?.value.as_ref();
    parse(record.value.as_ref().or_else(header)?)
}

fn parse(value: &[u8]) -> Option<(u64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (batch, index) = text.strip_prefix('b')?.split_once(':')?.0.split_once('.')?;
    Some((batch.parse().ok()?, index.parse().ok()?))
}

/// Stands for all that a record is but for its offset.
#[must_use]
pub fn digest(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    (record.timestamp, &record.key, &record.value).hash(&mut hasher);
    for header in &record.headers {
        (&header.name, &header.value).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use alluvium_record::batch::split_batches;

    use super::*;

    #[test]
    fn records_name_themselves_and_differ() {
        for look in [Look::Plain, Look::Rich, Look::Keyed] {
            let (mut digests, mut without_value) = (std::collections::BTreeSet::new(), 0);
            for number in 0..200_u64 {
                let bytes = batch_bytes(number, 3, None, false, look);
                assert_eq!(bytes, batch_bytes(number, 3, None, false, look));
                let batches = split_batches(bytes).expect("a batch");
                for (index, record) in batches[0].records(1 << 20).expect("records").iter().enumerate() {
                    assert_eq!(name_of(record), Some((number, index as u32)));
                    assert!(look != Look::Keyed || record.key.is_some());
                    without_value += u32::from(record.value.is_none());
                    assert!(digests.insert(digest(record)), "another record has this digest");
                }
            }
            assert_eq!(without_value > 50, look != Look::Plain, "{without_value} of 600");
        }
    }
}
