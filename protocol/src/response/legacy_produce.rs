//! Produce versions 0 to 2: advertised for old clients' sake, never served, refused with an error that they understand.
//!
//! The codec begins at version 3, so both the request and its refusal are read and written here. Request: acks `int16`, timeout
//! `int32`, array of (topic string, array of (partition `int32`, records bytes)). Response: array of (topic string, array of
//! (partition `int32`, error `int16`, base offset `int64`, from version 2 log append time `int64`)), from version 1 throttle time.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{DecodeError, Decoder};

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
    let mut refusal = Refusal {
        api_version: header.api_version,
        frame: BytesMut::new(),
        frame_bytes_max: limits.structure_bytes_max / GROWTH_FACTOR,
    };
    refusal.frame.put_i32(0); // the length, known at the end
    refusal.frame.put_i32(header.correlation_id);
    let acks = refusal.answer(&mut decoder).map_err(RequestError::MalformedBody)?;
    if refusal.is_full() {
        return Err(RequestError::StructureTooLarge { limit: limits.structure_bytes_max });
    }
    Ok((acks != 0).then(|| refusal.into_frame()))
}

/// A buffer that grows lies beside its predecessor for a moment.
const GROWTH_FACTOR: usize = 3;

struct Refusal {
    api_version: i16,
    frame: BytesMut,
    frame_bytes_max: usize,
}

impl Refusal {
    /// Repeats topics and partitions of the request, each with the error. Stops early when full. Returns `acks`.
    fn answer(&mut self, decoder: &mut Decoder) -> Result<i16, DecodeError> {
        let acks = decoder.read_i16()?;
        let _timeout_ms = decoder.read_i32()?;
        let topic_count = decoder.read_array_len()?.get();
        self.frame.put_u32(topic_count as u32);
        for _ in 0..topic_count {
            let topic = decoder.read_string()?;
            self.frame.put_u16(topic.len() as u16);
            self.frame.put_slice(topic.as_bytes());
            let partition_count = decoder.read_array_len()?.get();
            self.frame.put_u32(partition_count as u32);
            for _ in 0..partition_count {
                let partition_index = decoder.read_i32()?;
                decoder.read_nullable_bytes()?;
                self.put_partition(partition_index);
                if self.is_full() {
                    return Ok(acks);
                }
            }
            if self.is_full() {
                return Ok(acks);
            }
        }
        if self.api_version >= 1 {
            self.frame.put_i32(0);
        }
        Ok(acks)
    }

    fn put_partition(&mut self, partition_index: i32) {
        self.frame.put_i32(partition_index);
        self.frame.put_i16(ErrorCode::UnsupportedVersion.code());
        self.frame.put_i64(-1);
        if self.api_version >= 2 {
            self.frame.put_i64(-1);
        }
    }

    fn is_full(&self) -> bool {
        self.frame.len() > self.frame_bytes_max
    }

    fn into_frame(mut self) -> Bytes {
        let length = (self.frame.len() - FRAME_LENGTH_BYTES) as u32;
        self.frame[..FRAME_LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        self.frame.freeze()
    }
}
