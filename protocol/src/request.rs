//! Requests: from a frame to a header and a body, and from a body to a message.
//!
//! Invariants:
//! 1. Every error that a peer can be answered carries the header, so that the answer has the right correlation id.
//! 2. Strings and records of a decoded message are slices of the frame.
//! 3. Bytes after the last field are ignored, as Kafka does.

pub(crate) mod layout;

use bytes::Bytes;
use kafka_wire_core::{ApiVersion, DecodeError, Decoder, KafkaDecode, StrBytes};
use thiserror::Error;

use crate::apis;
use crate::frame::FrameLimits;
use crate::messages::KafkaRequest;

/// What every request begins with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestHeader {
    /// Number of the API.
    pub api_key: i16,
    /// Version of the request, and of the response that the client expects.
    pub api_version: i16,
    /// Returned as it is.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<StrBytes>,
}

/// Why a frame is not a request that is served.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum RequestError {
    /// The header is broken: close the connection.
    #[error("malformed request header: {0}")]
    MalformedHeader(#[source] DecodeError),
    /// No such API here: close the connection, as Kafka does.
    #[error("API {} ({}) is not served", header.api_key, apis::name_of(header.api_key).unwrap_or("unknown"))]
    ApiNotServed {
        /// The header as far as it can be read.
        header: RequestHeader,
    },
    /// The API is served, this version is not. ApiVersions is answered at version 0
    /// ([`encode_api_versions_unsupported`](crate::response::encode_api_versions_unsupported)); others close the connection.
    #[error("{} version {} is not served, only {version_min} to {version_max}", api, header.api_version)]
    VersionNotServed {
        /// The header as far as it can be read.
        header: RequestHeader,
        /// Which API.
        api: apis::ApiName,
        /// Oldest version served.
        version_min: i16,
        /// Newest version served.
        version_max: i16,
    },
    /// The body has so many elements that decoding it would take too much memory: close the connection.
    #[error("the structure of the request would take more than {limit} bytes of memory")]
    StructureTooLarge {
        /// `FrameLimits::structure_bytes_max`.
        limit: usize,
    },
    /// The body is broken: close the connection.
    #[error("malformed request body: {0}")]
    MalformedBody(#[source] DecodeError),
}

/// Splits a frame (without its length) into header and body.
///
/// Versions that are advertised but not served (Produce 0 to 2) are let through: see
/// [`refuse_legacy_produce`](crate::response::refuse_legacy_produce).
pub fn decode_header(frame: Bytes, limits: &FrameLimits) -> Result<(RequestHeader, Bytes), RequestError> {
    let decode_limits = limits.decode_limits(frame.len());
    let mut decoder = Decoder::new(frame, decode_limits).map_err(RequestError::MalformedHeader)?;
    let header = read_header(&mut decoder).map_err(RequestError::MalformedHeader)?;
    let Some(api) = apis::served(header.api_key) else {
        return Err(RequestError::ApiNotServed { header });
    };
    if !api.advertises(header.api_version) {
        let (version_min, version_max) = (api.version_min, api.version_max);
        return Err(RequestError::VersionNotServed { header, api: api.key, version_min, version_max });
    }
    if api.is_flexible(header.api_version) {
        decoder.read_tagged_fields().map_err(RequestError::MalformedHeader)?;
    }
    let body = decoder.take_bytes(decoder.remaining()).map_err(RequestError::MalformedHeader)?;
    Ok((header, body))
}

/// The part that header versions 1 and 2 share: `client_id` is not compact in either.
fn read_header(decoder: &mut Decoder) -> Result<RequestHeader, DecodeError> {
    Ok(RequestHeader {
        api_key: decoder.read_i16()?,
        api_version: decoder.read_i16()?,
        correlation_id: decoder.read_i32()?,
        client_id: decoder.read_nullable_string()?,
    })
}

/// Decodes the body of a request.
pub fn decode_body<T: KafkaRequest>(version: i16, body: Bytes, limits: &FrameLimits) -> Result<T, RequestError> {
    check_weight(T::API_KEY.value(), version, &body, limits)?;
    let decode_limits = limits.decode_limits(body.len());
    let mut decoder = Decoder::new(body, decode_limits).map_err(RequestError::MalformedBody)?;
    <T as KafkaDecode>::decode(&mut decoder, ApiVersion::new(version)).map_err(RequestError::MalformedBody)
}

/// Refuses a body that would grow past `structure_bytes_max`. Small bodies cannot, and are not looked at.
fn check_weight(api_key: i16, version: i16, body: &[u8], limits: &FrameLimits) -> Result<(), RequestError> {
    let limit = limits.structure_bytes_max;
    if body.len() <= limit / layout::WEIGHT_PER_BYTE_MAX {
        return Ok(());
    }
    let Some(api) = apis::served(api_key) else {
        return Err(RequestError::StructureTooLarge { limit });
    };
    match layout::weigh(api, version, body, limit) {
        Err(layout::WalkEnd::TooHeavy) => Err(RequestError::StructureTooLarge { limit }),
        // A broken body is left to the codec, which stops at the same place and says where it is.
        Ok(_) | Err(layout::WalkEnd::Malformed) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
