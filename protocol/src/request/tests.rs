//! Headers of both versions, versions that are not served, and broken frames.

use bytes::{BufMut, BytesMut};

use super::*;
use crate::apis::ApiName;
use crate::messages::{ApiVersionsRequest, HeartbeatRequest, MetadataRequest};

fn frame(api_key: i16, version: i16, after_client_id: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(api_key);
    frame.put_i16(version);
    frame.put_i32(42);
    frame.put_i16(3);
    frame.put_slice(b"abc");
    frame.put_slice(after_client_id);
    frame.freeze()
}

fn header(api_key: i16, api_version: i16) -> RequestHeader {
    RequestHeader { api_key, api_version, correlation_id: 42, client_id: Some("abc".into()) }
}

#[test]
fn header_version_follows_api_and_version() {
    let limits = FrameLimits::default();
    // Metadata 8 has header version 1: the body begins right after the client id.
    let (found, body) = decode_header(frame(3, 8, &[9, 9]), &limits).unwrap();
    assert_eq!((found, &body[..]), (header(3, 8), &[9, 9][..]));
    // Metadata 9 has header version 2: tagged fields first, here one of two bytes.
    let (found, body) = decode_header(frame(3, 9, &[1, 5, 2, 0, 0, 9]), &limits).unwrap();
    assert_eq!((found, &body[..]), (header(3, 9), &[9][..]));
}

#[test]
fn a_null_client_id_is_none() {
    let bytes = [0, 12, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let (found, _) = decode_header(Bytes::copy_from_slice(&bytes), &FrameLimits::default()).unwrap();
    assert_eq!(found.client_id, None);
}

#[test]
fn api_versions_of_the_future_is_recognised() {
    let error = decode_header(frame(18, 99, &[0xff; 20]), &FrameLimits::default()).unwrap_err();
    assert_eq!(
        error,
        RequestError::VersionNotServed {
            header: header(18, 99),
            api: ApiName::ApiVersions,
            version_min: 0,
            version_max: 4
        }
    );
    assert_eq!(error.to_string(), "ApiVersions version 99 is not served, only 0 to 4");
}

#[test]
fn what_is_not_served_says_so() {
    let limits = FrameLimits::default();
    let error = decode_header(frame(4, 0, &[]), &limits).unwrap_err();
    assert_eq!(error.to_string(), "API 4 (unknown) is not served");
    let error = decode_header(frame(56, 0, &[]), &limits).unwrap_err();
    assert_eq!(error.to_string(), "API 56 (AlterPartition) is not served");
    let error = decode_header(frame(1, -1, &[]), &limits).unwrap_err();
    assert!(matches!(error, RequestError::VersionNotServed { .. }));
    // Advertised for old clients, refused by the server with an answer.
    assert!(decode_header(frame(0, 0, &[]), &limits).is_ok());
}

#[test]
fn a_header_cut_anywhere_is_an_error() {
    let whole = frame(3, 9, &[1, 5, 2, 0, 0]);
    for length in 0..whole.len() {
        let result = decode_header(whole.slice(..length), &FrameLimits::default());
        assert!(matches!(result, Err(RequestError::MalformedHeader(_))), "{length}: {result:?}");
    }
}

#[test]
fn a_frame_over_the_limit_is_an_error() {
    let limits = FrameLimits::with_frame_bytes_max(10);
    assert!(decode_header(frame(3, 8, &[]), &limits).is_err());
}

#[test]
fn strings_are_slices_of_the_frame() {
    let body = Bytes::from_static(b"\0\x05group\0\0\0\x01\0\x02me");
    let request: HeartbeatRequest = decode_body(0, body.clone(), &FrameLimits::default()).unwrap();
    assert!(body.as_ptr_range().contains(&request.group_id.as_bytes().as_ptr()));
    assert_eq!((request.group_id.as_str(), request.member_id.as_str()), ("group", "me"));
}

#[test]
fn bytes_after_the_last_field_are_ignored() {
    let body = Bytes::from_static(b"\0\x05group\0\0\0\x01\0\x02me and more");
    assert!(decode_body::<HeartbeatRequest>(0, body, &FrameLimits::default()).is_ok());
}

#[test]
fn a_version_that_the_message_does_not_have_is_an_error() {
    let result = decode_body::<HeartbeatRequest>(99, Bytes::new(), &FrameLimits::default());
    assert!(matches!(result, Err(RequestError::MalformedBody(_))));
}

#[test]
fn claims_without_bytes_are_errors() {
    let limits = FrameLimits::default();
    for claim in [i32::MAX, 1_000_000, -2, i32::MIN] {
        let body = Bytes::copy_from_slice(&claim.to_be_bytes());
        assert!(decode_body::<MetadataRequest>(1, body, &limits).is_err(), "{claim}");
    }
    let body = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(decode_body::<MetadataRequest>(12, body.clone(), &limits).is_err());
    assert!(decode_body::<ApiVersionsRequest>(3, body, &limits).is_err());
}
