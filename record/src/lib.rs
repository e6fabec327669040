//! The vocabulary of Alluvium: record batches, records, offsets and ids.
//!
//! This room reads and writes Kafka's record batch format, version 2 ("magic 2"), and names the things that all other
//! rooms speak of. It does no I/O and knows no clock.
//!
//! What must stay true:
//! 1. No input makes this crate panic, and none makes it allocate beyond a constant factor of the larger of its own
//!    size and the limit that the caller gave for decompressed bytes.
//! 2. Batches are passed on as they came: splitting and patching never copy record bytes.
//! 3. Header names keep their order and their duplicates, and names, keys and values keep every byte.
//!
//! Source of the format: <https://kafka.apache.org/documentation/#recordbatch>.

pub mod batch;
mod batch_error;
mod builder;
mod compression;
mod control;
mod header;
mod ids;
mod rebuilder;
mod record;
mod sum;
mod validation;
mod varint;
mod view;

pub use batch::{
    Attributes, BATCH_HEADER_BYTES, BatchBuilder, BatchError, BatchHeader, PushError, RecordBatch, TimestampedOffset,
    split_batches,
};
pub use compression::Compression;
pub use control::Marker;
pub use header::TimestampType;
pub use ids::{EntryNumber, NodeId, Offset, PartitionIndex, ShardId, TopicId, TopicPartition};
pub use rebuilder::{BatchFrame, BatchRebuilder};
pub use record::{Header, Record, RecordIterator};
pub use sum::batch_sum;
pub use view::{DecodedBatch, HeaderView, HeaderViews, RecordView, RecordViews};

/// The CRC-32C (Castagnoli) checksum of `bytes`, as Kafka's batches and Alluvium's own formats carry it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    // The algorithm is 32 bits wide; the library answers in 64 for all widths.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn the_checksum_is_castagnoli() {
        // The check value of CRC-32C, and the vectors of RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&[]), 0);
    }

    #[test]
    fn ids_show_as_people_write_them() {
        let text = "6f1c0d0a-5b7e-4c2f-9a3d-0123456789ab";
        let topic = TopicId::from_str(text).unwrap();
        assert_eq!(topic.to_string(), text);
        assert_eq!(TopicId::from_bytes(*topic.as_bytes()), topic);
        assert_eq!(TopicPartition::new(topic, 3).to_string(), format!("{text}/3"));
        assert!(TopicId::NIL.is_nil() && !topic.is_nil());
        assert_eq!(EntryNumber(4).next(), EntryNumber(5));
    }
}
