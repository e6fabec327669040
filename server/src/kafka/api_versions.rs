//! ApiVersions (key 18), versions 0 to 4.
//!
//! Answers the table of served APIs. Since version 3 the name and version of the client's software are checked as Kafka
//! does: letters, digits, dots and dashes, beginning and ending with a letter or digit; anything else is
//! INVALID_REQUEST. A version above 4 is answered in version 0 with UNSUPPORTED_VERSION and the table, from which the
//! client picks again.
//!
//! The one feature is `transaction.version`, finalized at 2: clients get an epoch for each transaction (KIP-890).
//! Version 3 does not show what is supported of it, since its clients cannot read a feature that begins at 0 (as in
//! Kafka).
//!
//! Missing: other features, so clients keep to what needs none (no share groups).

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use alluvium_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, StrBytes};
use alluvium_protocol::response::advertised_apis;

use crate::context::RequestContext;

/// First version that names the client's software.
const CLIENT_SOFTWARE_VERSION_MIN: i16 = 3;
/// First version whose clients can read features that begin at 0.
const FEATURES_FROM_ZERO_VERSION_MIN: i16 = 4;
/// How transactions work, and the newest way: with an epoch for each of them.
const TRANSACTION_VERSION: (&str, i16) = ("transaction.version", 2);
/// Features never change while a node runs, and are the same on all nodes.
const FEATURES_EPOCH: i64 = 0;

pub(crate) async fn handle(context: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if context.version >= CLIENT_SOFTWARE_VERSION_MIN {
        let named = [&request.client_software_name, &request.client_software_version];
        if !named.into_iter().all(|text| is_software_name(text.as_str())) {
            return message!(ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code() });
        }
        tracing::debug!(
            peer = %context.client.peer,
            software = %request.client_software_name,
            software_version = %request.client_software_version,
            "client connected"
        );
    }
    let (name, newest) = TRANSACTION_VERSION;
    let mut answer = message!(ApiVersionsResponse { api_keys: advertised_apis() });
    if context.version >= CLIENT_SOFTWARE_VERSION_MIN {
        answer.finalized_features_epoch = FEATURES_EPOCH;
        answer.finalized_features = vec![message!(FinalizedFeatureKey {
            name: StrBytes::from(name),
            max_version_level: newest,
            min_version_level: newest
        })];
    }
    if context.version >= FEATURES_FROM_ZERO_VERSION_MIN {
        answer.supported_features =
            vec![message!(SupportedFeatureKey { name: StrBytes::from(name), min_version: 0, max_version: newest })];
    }
    answer
}

fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names_follow_kafkas_pattern() {
        for good in ["librdkafka", "v2.15.0", "apache-kafka-java", "1"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
