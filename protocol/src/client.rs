//! The client's side of the wire: requests out, responses in. Used by Alluvium's own command line client and by tests.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, DecodeError, Decoder, EncodeError, Encoder, KafkaDecode, StrBytes};

use crate::frame::{FRAME_LENGTH_BYTES, FrameLimits};
use crate::messages::{KafkaRequest, KafkaResponse};
use crate::response::response_header_is_flexible;

/// Encodes a whole request frame, its length included.
pub fn encode_request<T: KafkaRequest>(
    correlation_id: i32,
    client_id: Option<&StrBytes>,
    version: i16,
    request: &T,
) -> Result<Bytes, EncodeError> {
    let api_version = ApiVersion::new(version);
    let flexible = T::is_flexible(api_version);
    let client_id_bytes = client_id.map_or(0, |client_id| client_id.len());
    let header_bytes = 2 + 2 + 4 + 2 + client_id_bytes + usize::from(flexible);
    let frame_bytes = header_bytes + request.encoded_len(api_version)?;
    let length = i32::try_from(frame_bytes).map_err(|_| EncodeError::FrameTooLarge { bytes: frame_bytes })?;
    let mut buffer = BytesMut::with_capacity(FRAME_LENGTH_BYTES + frame_bytes);
    buffer.put_i32(length);
    let mut encoder = Encoder::new(&mut buffer);
    encoder.write_i16(T::API_KEY.value())?;
    encoder.write_i16(version)?;
    encoder.write_i32(correlation_id)?;
    encoder.write_nullable_string(client_id)?;
    if flexible {
        encoder.write_unsigned_varint(0)?;
    }
    request.encode(&mut encoder, api_version)?;
    Ok(buffer.freeze())
}

/// Reads the correlation id of a response frame (without its length), to find out which request it answers.
pub fn peek_correlation_id(frame: &[u8]) -> Option<i32> {
    frame.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes))
}

/// Decodes a response frame (without its length) into its correlation id and message.
pub fn decode_response<T: KafkaResponse>(
    version: i16,
    frame: Bytes,
    limits: &FrameLimits,
) -> Result<(i32, T), DecodeError> {
    let decode_limits = limits.decode_limits(frame.len());
    let mut decoder = Decoder::new(frame, decode_limits)?;
    let correlation_id = decoder.read_i32()?;
    if response_header_is_flexible::<T>(version) {
        decoder.read_tagged_fields()?;
    }
    let response = <T as KafkaDecode>::decode(&mut decoder, ApiVersion::new(version))?;
    Ok((correlation_id, response))
}

#[cfg(test)]
mod tests;
