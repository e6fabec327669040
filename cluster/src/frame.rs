//! Frames: a protobuf message, then data that travels as it is.
//!
//! ```text
//! message length u32 | crc-32c of the message u32 | message | data
//! ```
//! Big-endian. The transport knows where a frame ends. Data has checksums of its own: batches theirs, entries theirs.
//!
//! Invariants: no input makes decoding panic or allocate more than a constant factor of it; data is never copied here.

use alluvium_infra::store::Payload;
use alluvium_record::crc32c;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use uuid::Uuid;

use crate::messages::{FrameKind, FrameMessage, NodeMessage};

/// Bytes before the message.
const PREFIX_BYTES: usize = 8;

/// A frame that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// Number of the request that it makes or answers, or 0.
    pub(crate) request: u64,
    /// What it is; `None` when this release does not know it.
    pub(crate) kind: Option<FrameKind>,
    /// What follows the message.
    pub(crate) data: Bytes,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Fewer bytes than a frame has, or than it says that it has.
    #[error("the frame is cut short")]
    Truncated,
    /// The checksum does not fit.
    #[error("the checksum of the frame does not fit")]
    Checksum,
    /// The message cannot be read.
    #[error("the frame is malformed: {0}")]
    Malformed(String),
}

/// A frame ready to be sent: its head in one piece, then `data` as it came.
pub(crate) fn encode(request: u64, kind: FrameKind, data: Payload) -> Payload {
    let message = FrameMessage { request, kind: Some(kind) };
    let length = message.encoded_len();
    let mut head = BytesMut::with_capacity(PREFIX_BYTES + length);
    head.put_bytes(0, PREFIX_BYTES);
    // A growing buffer has room for every message.
    message.encode_raw(&mut head);
    let crc = crc32c(&head[PREFIX_BYTES..]);
    // Messages are far smaller than the largest frame.
    head[..4].copy_from_slice(&(length as u32).to_be_bytes());
    head[4..PREFIX_BYTES].copy_from_slice(&crc.to_be_bytes());
    let mut parts = data.0;
    parts.insert(0, head.freeze());
    Payload(parts)
}

/// A frame without data and without request.
pub(crate) fn notice(kind: FrameKind) -> Payload {
    encode(0, kind, Payload::default())
}

/// Reads a frame.
pub(crate) fn decode(mut frame: Bytes) -> Result<Frame, FrameError> {
    if frame.len() < PREFIX_BYTES {
        return Err(FrameError::Truncated);
    }
    let length = frame.get_u32() as usize;
    let crc = frame.get_u32();
    if length > frame.len() {
        return Err(FrameError::Truncated);
    }
    let message = frame.split_to(length);
    if crc32c(&message) != crc {
        return Err(FrameError::Checksum);
    }
    let message = FrameMessage::decode(message).map_err(|error| FrameError::Malformed(error.to_string()))?;
    Ok(Frame { request: message.request, kind: message.kind, data: frame })
}

/// An id as it stands in messages.
pub(crate) fn uuid_bytes(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// An id from a message.
pub(crate) fn uuid(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}

impl NodeMessage {
    pub(crate) fn new(node: alluvium_record::NodeId, incarnation: Uuid) -> Self {
        Self { node_id: node.0, incarnation: uuid_bytes(incarnation) }
    }

    /// Both, when the incarnation is one.
    pub(crate) fn node(&self) -> Option<(alluvium_record::NodeId, Uuid)> {
        Some((alluvium_record::NodeId(self.node_id), uuid(&self.incarnation)?))
    }
}

#[cfg(test)]
mod tests {
    use alluvium_record::NodeId;

    use super::*;
    use crate::messages::{LinksMessage, PushMessage};

    fn push() -> FrameKind {
        FrameKind::Push(PushMessage { shard: 3, number: 9 })
    }

    #[test]
    fn a_frame_survives_and_its_data_is_not_copied() {
        let data = Bytes::from_static(b"the entry");
        let encoded = encode(7, push(), Payload::from(vec![data.slice(..4), data.slice(4..)]));
        assert_eq!(encoded.0[1].as_ptr(), data.as_ptr());
        let frame = decode(encoded.into_bytes()).expect("a frame");
        assert_eq!(frame, Frame { request: 7, kind: Some(push()), data });
    }

    #[test]
    fn every_cut_and_every_flipped_bit_of_the_head_is_noticed() {
        let linked = vec![NodeMessage::new(NodeId(4), Uuid::from_u128(5))];
        let whole = notice(FrameKind::Ping(LinksMessage { number: 1, linked, storeless: false })).into_bytes();
        for length in 0..whole.len() {
            assert!(decode(whole.slice(..length)).is_err());
        }
        for bit in 0..whole.len() * 8 {
            let mut wrong = whole.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(Bytes::from(wrong)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_kind_of_a_later_release_is_passed_over() {
        let message = [8, 5, 0x9a, 6, 0]; // request 5, and tag 99 with no bytes
        let mut bytes = BytesMut::new();
        bytes.put_u32(message.len() as u32);
        bytes.put_u32(crc32c(&message));
        bytes.put_slice(&message);
        assert_eq!(decode(bytes.freeze()), Ok(Frame { request: 5, kind: None, data: Bytes::new() }));
    }
}
