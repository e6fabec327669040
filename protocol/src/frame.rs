//! Frames: `int32 length`, then that many bytes, and the limits under which their contents are decoded.
//!
//! Invariants:
//! 1. A length is refused before a buffer for it is made.
//! 2. What is not Kafka at all (HTTP, TLS, SSH) is told apart from a wrong length, because the person behind it needs another answer.

use kafka_wire_core::DecodeLimits;
use thiserror::Error;

/// Bytes of the length in front of every frame.
pub const FRAME_LENGTH_BYTES: usize = 4;

/// The shortest frame: a correlation id alone.
const FRAME_BYTES_MIN: usize = 4;

/// How large frames and what they hold may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameLimits {
    /// Largest frame, without its four length bytes (Kafka: `socket.request.max.bytes`).
    pub frame_bytes_max: usize,
    /// Most memory that the arrays of one decoded request may take, record bytes and strings not counted: they stay in the frame.
    pub structure_bytes_max: usize,
    /// Most tagged fields of one structure.
    pub tagged_fields_max: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { frame_bytes_max: 100 * 1024 * 1024, structure_bytes_max: 32 * 1024 * 1024, tagged_fields_max: 64 }
    }
}

impl FrameLimits {
    /// Limits with another frame size and the other values as usual.
    pub fn with_frame_bytes_max(frame_bytes_max: usize) -> Self {
        Self { frame_bytes_max, ..Self::default() }
    }

    /// The codec's limits for a body of `body_bytes`: nothing in it can be longer than the body itself.
    pub(crate) fn decode_limits(&self, body_bytes: usize) -> DecodeLimits {
        let mut limits = DecodeLimits::default();
        limits.max_frame_bytes = self.frame_bytes_max;
        limits.max_string_bytes = body_bytes;
        limits.max_bytes_bytes = body_bytes;
        limits.max_array_elements = body_bytes;
        limits.max_tagged_fields = self.tagged_fields_max;
        limits.max_tag_bytes = body_bytes;
        limits.max_total_tag_bytes = body_bytes;
        limits
    }
}

/// Why the first four bytes of a connection or of a next frame are not the start of a Kafka frame.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// The length is negative.
    #[error("negative frame length {length}")]
    Negative {
        /// The length as sent.
        length: i32,
    },
    /// The length is less than any header.
    #[error("frame length {length} is shorter than a header")]
    TooShort {
        /// The length as sent.
        length: usize,
    },
    /// The length is more than this server takes.
    #[error("frame of {length} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The length as sent.
        length: usize,
        /// `FrameLimits::frame_bytes_max`.
        limit: usize,
    },
    /// The peer speaks another protocol.
    #[error("the peer speaks {protocol}, this port speaks Kafka: {advice}")]
    OtherProtocol {
        /// What the first bytes look like.
        protocol: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
}

/// Reads the length of the frame that follows its first four bytes.
pub fn frame_length(first4: [u8; FRAME_LENGTH_BYTES], limits: &FrameLimits) -> Result<usize, FrameError> {
    let length = i32::from_be_bytes(first4);
    let plausible = usize::try_from(length).ok().filter(|length| *length <= limits.frame_bytes_max);
    match plausible {
        Some(length) if length >= FRAME_BYTES_MIN => Ok(length),
        Some(length) => Err(FrameError::TooShort { length }),
        None => match other_protocol(first4) {
            Some((protocol, advice)) => Err(FrameError::OtherProtocol { protocol, advice }),
            None => match usize::try_from(length) {
                Ok(length) => Err(FrameError::TooLarge { length, limit: limits.frame_bytes_max }),
                Err(_) => Err(FrameError::Negative { length }),
            },
        },
    }
}

/// Recognises what else is commonly sent to a Kafka port. Called only for lengths that no limit would allow.
fn other_protocol(first4: [u8; FRAME_LENGTH_BYTES]) -> Option<(&'static str, &'static str)> {
    const HTTP_ADVICE: &str = "use a Kafka client, or the HTTP port";
    const TLS_ADVICE: &str = "set security.protocol to PLAINTEXT, or use the TLS port";
    match &first4 {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"PATC" | b"CONN" | b"TRAC" => {
            Some(("HTTP", HTTP_ADVICE))
        }
        b"PRI " => Some(("HTTP/2", HTTP_ADVICE)),
        b"SSH-" => Some(("SSH", "check the port")),
        b"PROX" | [0x0d, 0x0a, 0x0d, 0x0a] => Some(("the PROXY protocol", "switch it off in the load balancer")),
        // Record type handshake, protocol version 3.x (TLS 1.0 to 1.3), then the high byte of a length below 16 KiB.
        [0x16, 0x03, 0..=4, _] => Some(("TLS", TLS_ADVICE)),
        // Record type alert: the other side gave up on our answer to its TLS hello.
        [0x15, 0x03, 0..=4, _] => Some(("TLS", TLS_ADVICE)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
