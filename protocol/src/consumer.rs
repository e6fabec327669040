//! The payloads that consumers put inside JoinGroup and SyncGroup: an `int16` version, then a subscription or an assignment.
//!
//! A classic group's server passes them on unread; they are decoded for descriptions, and by Alluvium's own consumer.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, DecodeError, Decoder, EncodeError, Encoder};

use crate::frame::FrameLimits;
use crate::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, KafkaMessage};

/// The protocol type of consumer groups.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Decodes a subscription and the version it was written in.
pub fn decode_subscription(payload: Bytes) -> Result<(i16, ConsumerProtocolSubscription), DecodeError> {
    decode(payload)
}

/// Encodes a subscription.
pub fn encode_subscription(version: i16, subscription: &ConsumerProtocolSubscription) -> Result<Bytes, EncodeError> {
    encode(version, subscription)
}

/// Decodes an assignment and the version it was written in.
pub fn decode_assignment(payload: Bytes) -> Result<(i16, ConsumerProtocolAssignment), DecodeError> {
    decode(payload)
}

/// Encodes an assignment.
pub fn encode_assignment(version: i16, assignment: &ConsumerProtocolAssignment) -> Result<Bytes, EncodeError> {
    encode(version, assignment)
}

/// A version newer than the newest known one is read as that one and the rest ignored, as Kafka's consumers do: new versions
/// only ever add fields at the end.
fn decode<T: KafkaMessage>(payload: Bytes) -> Result<(i16, T), DecodeError> {
    let limits = FrameLimits::with_frame_bytes_max(payload.len()).decode_limits(payload.len());
    let mut decoder = Decoder::new(payload, limits)?;
    let version = decoder.read_i16()?;
    let known = version.min(T::SUPPORTED_VERSIONS.max().value());
    let message = T::decode(&mut decoder, ApiVersion::new(known))?;
    Ok((version, message))
}

fn encode<T: KafkaMessage>(version: i16, message: &T) -> Result<Bytes, EncodeError> {
    let mut buffer = BytesMut::new();
    buffer.put_i16(version);
    message.encode(&mut Encoder::new(&mut buffer), ApiVersion::new(version))?;
    Ok(buffer.freeze())
}

#[cfg(test)]
mod tests;
