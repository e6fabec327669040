//! Produce versions 0 to 2: advertised for old clients' sake, never served, refused with an error that they understand.
//!
//! The codec begins at version 3, so both the request and its refusal are read and written here. Request: acks `int16`, timeout
//! `int32`, array of (topic string, array of (partition `int32`, records bytes)). Response: array of (topic string, array of
//! (partition `int32`, error `int16`, base offset `int64`, from version 2 log append time `int64`)), from version 1 throttle time.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{DecodeError, Decoder, Encoder};

use crate::apis::ApiName;
use crate::errors::ErrorCode;
use crate::frame::{FRAME_LENGTH_BYTES, FrameLimits};
use crate::request::{RequestError, RequestHeader};

/// The frame that refuses a Produce request of version 0 to 2 with UNSUPPORTED_VERSION for every partition; `None` for a request
/// with `acks=0`, which gets no answer.
pub fn refuse_legacy_produce(
    header: &RequestHeader,
    body: Bytes,
    limits: &FrameLimits,
) -> Result<Option<Bytes>, RequestError> {
    let api = ApiName::Produce.served();
    if header.api_key != api.code || !(0..api.version_min).contains(&header.api_version) {
        return Err(RequestError::VersionNotServed {
            header: header.clone(),
            api: api.key,
            version_min: api.version_min,
            version_max: api.version_max,
        });
    }
    let decode_limits = limits.decode_limits(body.len());
    let mut decoder = Decoder::new(body, decode_limits).map_err(RequestError::MalformedBody)?;
    refuse(header, &mut decoder).map_err(RequestError::MalformedBody)
}

fn refuse(header: &RequestHeader, decoder: &mut Decoder) -> Result<Option<Bytes>, DecodeError> {
    let acks = decoder.read_i16()?;
    let _timeout_ms = decoder.read_i32()?;
    // The refusal repeats what it reads, so it is at most about 2.5 times as long as the request's structure.
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    frame.put_i32(header.correlation_id);
    let topic_count = decoder.read_array_len()?.get();
    frame.put_u32(topic_count as u32);
    for _ in 0..topic_count {
        let topic = decoder.read_string()?;
        // A string that was read with a 16-bit length is written with one.
        let _ = Encoder::new(&mut frame).write_string(&topic);
        let partition_count = decoder.read_array_len()?.get();
        frame.put_u32(partition_count as u32);
        for _ in 0..partition_count {
            frame.put_i32(decoder.read_i32()?);
            decoder.read_nullable_bytes()?;
            frame.put_i16(ErrorCode::UnsupportedVersion.code());
            frame.put_i64(-1);
            if header.api_version >= 2 {
                frame.put_i64(-1);
            }
        }
    }
    if header.api_version >= 1 {
        frame.put_i32(0);
    }
    if acks == 0 {
        return Ok(None);
    }
    let length = (frame.len() - FRAME_LENGTH_BYTES) as u32;
    frame[..FRAME_LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(Some(frame.freeze()))
}
