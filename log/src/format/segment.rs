//! Segments: the record batches of one flush, sorted by partition, when they are too large to ride in an entry.

use alluvium_infra::store::Payload;
use alluvium_record::{ShardId, TopicPartition};
use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::stored_messages::{SegmentMessage, SegmentPartMessage};
use super::{ENVELOPE_HEADER_BYTES, FormatError, Kind, decode_kind, encode_envelope};
use crate::operation::BatchToAppend;

/// Encodes a segment from batches that are already sorted by partition; their bytes are not copied.
#[must_use]
pub fn encode(shard: ShardId, id: Uuid, created_ms: i64, batches: &[BatchToAppend]) -> Payload {
    let mut position = ENVELOPE_HEADER_BYTES as u64;
    let mut parts: Vec<SegmentPartMessage> = Vec::new();
    let mut last: Option<TopicPartition> = None;
    for placed in batches {
        let length = placed.batch.bytes.len() as u64;
        if last != Some(placed.topic_partition) {
            parts.push(SegmentPartMessage {
                topic: Bytes::copy_from_slice(placed.topic_partition.topic.as_bytes()),
                partition: placed.topic_partition.partition,
                position,
                ..SegmentPartMessage::default()
            });
            last = Some(placed.topic_partition);
        }
        if let Some(part) = parts.last_mut() {
            part.length += length;
            part.batch_count += 1;
            part.record_count += i64::from(placed.batch.header.record_count);
        }
        position += length;
    }
    let message = SegmentMessage { shard: shard.0, id: Bytes::copy_from_slice(id.as_bytes()), created_ms, parts };
    let data = batches.iter().map(|placed| placed.batch.bytes.clone()).collect();
    encode_envelope(Kind::Segment, data, Bytes::from(message.encode_to_vec())).0
}

/// Decodes a segment's index and data.
///
/// # Errors
/// When the object is damaged or no segment.
pub fn decode(object: &Bytes) -> Result<(SegmentMessage, Bytes), FormatError> {
    let envelope = decode_kind(object, Kind::Segment)?;
    let message = SegmentMessage::decode(envelope.metadata)
        .map_err(|error| FormatError::malformed("segment", error.to_string()))?;
    Ok((message, envelope.data))
}
