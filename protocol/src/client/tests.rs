//! A client's frames are what the server reads, and the other way round.

use bytes::Buf;
use proptest::prelude::*;

use super::*;
use crate::apis::SERVED;
use crate::frame::frame_length;
use crate::request::{decode_body, decode_header};
use crate::response::encode_response;
use crate::samples::{entropy, request_body, response_body, with_api_types};

/// Checks the length in front and returns what follows.
fn unframed(mut frame: Bytes) -> Bytes {
    let first4 = *frame.first_chunk::<4>().unwrap();
    let length = frame_length(first4, &FrameLimits::default()).unwrap();
    frame.advance(4);
    assert_eq!(frame.len(), length);
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn requests_and_responses_make_the_round_trip(entropy in entropy(), correlation_id: i32) {
        let limits = FrameLimits::default();
        let client_id = StrBytes::from("alluvium");
        for api in SERVED {
            for version in api.version_min..=api.version_max {
                with_api_types!(api.key, Request, Response => {
                    let body = Bytes::from(request_body(api, version, &mut entropy.clone()));
                    let request: Request = decode_body(version, body.clone(), &limits).unwrap();
                    let frame = encode_request(correlation_id, Some(&client_id), version, &request).unwrap();
                    let (header, sent) = decode_header(unframed(frame), &limits).unwrap();
                    prop_assert_eq!(header.api_key, api.code);
                    prop_assert_eq!(header.api_version, version);
                    prop_assert_eq!(header.correlation_id, correlation_id);
                    prop_assert_eq!(header.client_id.as_ref(), Some(&client_id));
                    prop_assert_eq!(&sent, &body, "{} v{}", api.name, version);

                    let body = Bytes::from(response_body(api, version, &mut entropy.clone()));
                    let mut decoder = Decoder::new(body.clone(), limits.decode_limits(body.len())).unwrap();
                    let response = Response::decode(&mut decoder, ApiVersion::new(version))
                        .unwrap_or_else(|error| panic!("{} v{version}: {error}", api.name));
                    prop_assert_eq!(decoder.remaining(), 0, "{} v{}", api.name, version);
                    let frame = encode_response(correlation_id, version, &response).unwrap();
                    prop_assert!(frame.ends_with(&body), "{} v{}", api.name, version);
                    let frame = unframed(frame);
                    prop_assert_eq!(peek_correlation_id(&frame), Some(correlation_id));
                    let (answered, decoded) = decode_response::<Response>(version, frame, &limits).unwrap();
                    prop_assert_eq!(answered, correlation_id);
                    prop_assert_eq!(decoded, response);
                });
            }
        }
    }
}

#[test]
fn a_truncated_response_is_an_error() {
    let limits = FrameLimits::default();
    let frame = unframed(crate::response::encode_api_versions_unsupported(7).unwrap());
    for length in 0..frame.len() {
        let result = decode_response::<crate::messages::ApiVersionsResponse>(0, frame.slice(..length), &limits);
        assert!(result.is_err(), "{length} bytes of {}", frame.len());
    }
    assert_eq!(peek_correlation_id(&[1, 2, 3]), None);
}
