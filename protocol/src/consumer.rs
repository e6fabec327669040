//! The payloads that consumers put inside JoinGroup and SyncGroup: an `int16` version, then a subscription or an assignment.
//!
//! A classic group's server passes them on unread; they are decoded for descriptions, and by Alluvium's own consumer.

use bytes::{Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, DecodeError, EncodeError};

use crate::frame::FrameLimits;
use crate::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};

/// The protocol type of consumer groups.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Decodes a subscription and the version it was written in.
pub fn decode_subscription(
    payload: Bytes,
) -> Result<(i16, ConsumerProtocolSubscription), DecodeError> {
    let limits = FrameLimits::with_frame_bytes_max(payload.len()).decode_limits(payload.len());
    let (version, subscription) =
        kafka_wire::decode_consumer_protocol_subscription(payload, limits)?;
    Ok((version.value(), subscription))
}

/// Encodes a subscription.
pub fn encode_subscription(
    version: i16,
    subscription: &ConsumerProtocolSubscription,
) -> Result<Bytes, EncodeError> {
    let mut buffer = BytesMut::new();
    kafka_wire::encode_consumer_protocol_subscription(
        &mut buffer,
        subscription,
        ApiVersion::new(version),
    )?;
    Ok(buffer.freeze())
}

/// Decodes an assignment and the version it was written in.
pub fn decode_assignment(payload: Bytes) -> Result<(i16, ConsumerProtocolAssignment), DecodeError> {
    let limits = FrameLimits::with_frame_bytes_max(payload.len()).decode_limits(payload.len());
    let (version, assignment) = kafka_wire::decode_consumer_protocol_assignment(payload, limits)?;
    Ok((version.value(), assignment))
}

/// Encodes an assignment.
pub fn encode_assignment(
    version: i16,
    assignment: &ConsumerProtocolAssignment,
) -> Result<Bytes, EncodeError> {
    let mut buffer = BytesMut::new();
    kafka_wire::encode_consumer_protocol_assignment(
        &mut buffer,
        assignment,
        ApiVersion::new(version),
    )?;
    Ok(buffer.freeze())
}

#[cfg(test)]
mod tests;
