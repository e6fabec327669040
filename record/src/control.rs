//! Control batches: the markers that end a transaction on a partition.
//!
//! What must stay true: a marker is a batch of one record whose key says whether it aborts or commits, as every Kafka client
//! expects it. Its bytes depend on the arguments alone, and not on where it will stand.
//!
//! Source of the format: <https://kafka.apache.org/documentation/#controlbatch>.

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::RecordBatch;
use crate::builder::BatchBuilder;
use crate::compression::Compression;

/// The end of a transaction on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The producer whose transaction ends.
    pub producer_id: i64,
    /// The epoch of the marker, at least that of the producer's batches.
    pub producer_epoch: i16,
    /// Whether the transaction is committed.
    pub commit: bool,
    /// Epoch of the transaction coordinator.
    pub coordinator_epoch: i32,
    /// When it was written, milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// Version of the key and of the value.
const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

impl Marker {
    /// The control batch, with base offset 0.
    pub fn batch(&self) -> RecordBatch {
        let mut key = BytesMut::with_capacity(4);
        key.put_i16(VERSION);
        key.put_i16(if self.commit { COMMIT } else { ABORT });
        let mut value = BytesMut::with_capacity(6);
        value.put_i16(VERSION);
        value.put_i32(self.coordinator_epoch);
        let mut builder = BatchBuilder::new(Compression::None)
            .producer(self.producer_id, self.producer_epoch, -1)
            .transactional(true)
            .control(true);
        // Ten bytes always fit.
        let _pushed = builder.push(self.timestamp_ms, Some(key.freeze()), Some(value.freeze()), Vec::new());
        builder.build(0)
    }

    /// Reads the key of a control record: whether it commits; `None` when it is no end of a transaction.
    pub fn commits(key: &Bytes) -> Option<bool> {
        match (key.get(..2)?, key.get(2..4)?) {
            ([0, _], [0, 0]) => Some(false),
            ([0, _], [0, 1]) => Some(true),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_what_java_writes() {
        let hex = include_str!("../golden/java-4.3.1/control-commit.hex");
        let java = crate::golden::from_hex(hex);
        let java = RecordBatch::decode_first(&java).expect("a batch");
        let record = java.records(0).expect("records").remove(0);
        let marker = Marker {
            producer_id: java.header.producer_id,
            producer_epoch: java.header.producer_epoch,
            commit: true,
            coordinator_epoch: i32::from_be_bytes(
                record.value.clone().expect("a value")[2..6].try_into().expect("four"),
            ),
            timestamp_ms: java.header.base_timestamp,
        };
        let ours = marker.batch();
        // Offset, leader epoch and what they are not part of differ: the checksum covers the rest.
        assert_eq!(ours.header.crc, java.header.crc);
        assert_eq!(ours.bytes[21..], java.bytes[21..]);
        assert_eq!(Marker::commits(&record.key.expect("a key")), Some(true));
        assert_eq!(Marker::commits(&Bytes::from_static(&[0, 0, 0, 0])), Some(false));
        assert_eq!(Marker::commits(&Bytes::from_static(&[0, 0, 0, 3])), None);
    }
}
