//! Responses: from a message to the whole frame, length and header included.
//!
//! Invariants:
//! 1. A frame is one allocation of its exact size; a Fetch frame is one allocation for all that is not records.
//! 2. The response header is version 1 for flexible versions and version 0 for the others and always for ApiVersions (KIP-511).

mod fetch;
mod legacy_produce;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, EncodeError, Encoder};

pub use fetch::{AbortedTransaction, FetchResponseFrame, FetchedPartition, FetchedTopic};
pub use legacy_produce::refuse_legacy_produce;

use crate::apis::{ApiName, SERVED};
use crate::errors::ErrorCode;
use crate::frame::FRAME_LENGTH_BYTES;
use crate::message;
use crate::messages::{ApiVersionsResponse, KafkaResponse, api_versions_response::ApiVersion as AdvertisedApi};

/// Whether the response header in front of this message carries tagged fields.
pub(crate) fn response_header_is_flexible<T: KafkaResponse>(version: i16) -> bool {
    T::API_KEY.value() != ApiName::ApiVersions.code() && T::is_flexible(ApiVersion::new(version))
}

/// Encodes a whole response frame, its length included.
pub fn encode_response<T: KafkaResponse>(
    correlation_id: i32,
    version: i16,
    response: &T,
) -> Result<Bytes, EncodeError> {
    let api_version = ApiVersion::new(version);
    let flexible_header = response_header_is_flexible::<T>(version);
    let frame_bytes = 4 + usize::from(flexible_header) + response.encoded_len(api_version)?;
    let length = i32::try_from(frame_bytes).map_err(|_| EncodeError::FrameTooLarge { bytes: frame_bytes })?;
    let mut buffer = BytesMut::with_capacity(FRAME_LENGTH_BYTES + frame_bytes);
    buffer.put_i32(length);
    buffer.put_i32(correlation_id);
    if flexible_header {
        buffer.put_u8(0);
    }
    response.encode(&mut Encoder::new(&mut buffer), api_version)?;
    Ok(buffer.freeze())
}

/// The API list of an ApiVersions response, as the table of served APIs has it.
pub fn advertised_apis() -> Vec<AdvertisedApi> {
    SERVED
        .iter()
        .map(|api| {
            message!(AdvertisedApi { api_key: api.code, min_version: api.advertised_min, max_version: api.version_max })
        })
        .collect()
}

/// The answer to an ApiVersions request of a version that is not served: version 0, UNSUPPORTED_VERSION, and the list, from which
/// the client picks a version for its second attempt (KIP-511).
pub fn encode_api_versions_unsupported(correlation_id: i32) -> Result<Bytes, EncodeError> {
    let response =
        message!(ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion.code(), api_keys: advertised_apis() });
    encode_response(correlation_id, 0, &response)
}

#[cfg(test)]
mod tests;
