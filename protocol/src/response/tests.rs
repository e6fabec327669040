//! Response headers, the hand-written Fetch response against the codec's, and the refusal of old Produce versions.

use proptest::prelude::*;

use super::*;
use crate::apis::ApiName;
use crate::frame::FrameLimits;
use crate::messages::{FetchResponse, HeartbeatResponse, MetadataResponse, StrBytes, Uuid, fetch_response};
use crate::request::RequestHeader;
use crate::samples::{Entropy, entropy};

#[test]
fn header_version_follows_api_and_version() {
    let heartbeat = message!(HeartbeatResponse { error_code: 27 });
    let frame = encode_response(5, 0, &heartbeat).unwrap();
    assert_eq!(&frame[..], [0, 0, 0, 6, 0, 0, 0, 5, 0, 27]);
    // Version 4 is flexible: one byte of header tags and one of body tags more, and the throttle time.
    let frame = encode_response(5, 4, &heartbeat).unwrap();
    assert_eq!(&frame[..], [0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 27, 0]);
    // ApiVersions keeps header version 0 in all versions.
    let frame = encode_response(5, 3, &ApiVersionsResponse::default()).unwrap();
    assert_eq!(&frame[..], [0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_version_that_the_message_does_not_have_is_an_error() {
    assert!(encode_response(5, 99, &MetadataResponse::default()).is_err());
    assert!(FetchResponseFrame::default().encode(1, 3).is_err());
    assert!(FetchResponseFrame::default().encode(1, 19).is_err());
}

#[test]
fn api_versions_refusal_lists_what_is_served() {
    let frame = encode_api_versions_unsupported(9).unwrap();
    assert_eq!(frame[4..14], [0, 0, 0, 9, 0, 35, 0, 0, 0, SERVED.len() as u8]);
    assert_eq!(frame[14..20], [0, 0, 0, 0, 0, 13], "Produce is advertised from version 0");
    assert_eq!(frame.len(), 14 + 6 * SERVED.len());
}

/// A random response, once for the hand-written encoder and once for the codec.
fn fetch_pair(version: i16, entropy: &mut Entropy) -> (FetchResponseFrame, FetchResponse) {
    let mut frame = FetchResponseFrame { throttle_time_ms: entropy.i32(), ..Default::default() };
    if version >= 7 {
        frame.error_code = entropy.i32() as i16;
        frame.session_id = entropy.i32();
    }
    for _ in 0..entropy.below(4) {
        let mut topic = FetchedTopic::default();
        if version >= 13 {
            topic.topic_id = Uuid::from_bytes(std::array::from_fn(|_| entropy.byte()));
        } else {
            topic.name = StrBytes::from(entropy.text(200));
        }
        for _ in 0..entropy.below(5) {
            topic.partitions.push(fetched_partition(version, entropy));
        }
        frame.topics.push(topic);
    }
    let response = message!(FetchResponse {
        throttle_time_ms: frame.throttle_time_ms,
        error_code: frame.error_code,
        session_id: frame.session_id,
        responses: frame.topics.iter().map(codec_topic).collect(),
    });
    (frame, response)
}

fn fetched_partition(version: i16, entropy: &mut Entropy) -> FetchedPartition {
    let aborted = (0..entropy.below(3))
        .map(|_| AbortedTransaction { producer_id: entropy.i64(), first_offset: entropy.i64() })
        .collect();
    let mut partition = FetchedPartition {
        partition_index: entropy.i32(),
        error_code: entropy.i32() as i16,
        high_watermark: entropy.i64(),
        last_stable_offset: entropy.i64(),
        aborted_transactions: (entropy.byte() & 1 == 1).then_some(aborted),
        records: (0..entropy.below(4)).map(|_| Bytes::from(entropy.bytes(200))).collect(),
        ..Default::default()
    };
    if version >= 5 {
        partition.log_start_offset = entropy.i64();
    }
    if version >= 11 {
        partition.preferred_read_replica = entropy.i32();
    }
    partition
}

fn codec_topic(topic: &FetchedTopic) -> fetch_response::FetchableTopicResponse {
    message!(fetch_response::FetchableTopicResponse {
        topic: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(codec_partition).collect(),
    })
}

fn codec_partition(partition: &FetchedPartition) -> fetch_response::PartitionData {
    let aborted = partition.aborted_transactions.as_ref().map(|transactions| {
        let aborted = transactions.iter().map(|transaction| {
            message!(fetch_response::AbortedTransaction {
                producer_id: transaction.producer_id,
                first_offset: transaction.first_offset,
            })
        });
        aborted.collect()
    });
    message!(fetch_response::PartitionData {
        partition_index: partition.partition_index,
        error_code: partition.error_code,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
        aborted_transactions: aborted,
        preferred_read_replica: partition.preferred_read_replica,
        records: Some(Bytes::from(partition.records.concat())),
    })
}

proptest! {
    #[test]
    fn fetch_is_byte_for_byte_what_the_codec_writes(entropy in entropy(), correlation_id: i32) {
        for version in 4..=18 {
            let (frame, response) = fetch_pair(version, &mut entropy.clone());
            let expected = encode_response(correlation_id, version, &response).unwrap();
            let slices = frame.clone().encode(correlation_id, version).unwrap();
            prop_assert_eq!(Bytes::from(slices.concat()), expected, "version {}", version);
            prop_assert!(slices.iter().all(|slice| !slice.is_empty()));
            let records = frame.topics.iter().flat_map(|topic| &topic.partitions).flat_map(|partition| &partition.records);
            for record in records.filter(|record| !record.is_empty()) {
                let uncopied = slices.iter().any(|slice| std::ptr::eq(slice.as_ptr(), record.as_ptr()) && slice.len() == record.len());
                prop_assert!(uncopied, "records were copied");
            }
        }
    }
}

fn legacy_header(api_version: i16) -> RequestHeader {
    RequestHeader { api_key: 0, api_version, correlation_id: 3, client_id: None }
}

/// acks, timeout, one topic "t" with partition 7 and two bytes of records.
fn legacy_body(acks: i16) -> Bytes {
    let mut body = acks.to_be_bytes().to_vec();
    body.extend([0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 2, 1, 1]);
    Bytes::from(body)
}

#[test]
fn old_produce_versions_are_refused_in_their_own_format() {
    let limits = FrameLimits::default();
    let start: Vec<u8> =
        [0, 0, 0, 3, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7, 0, 35].into_iter().chain([0xff; 8]).collect();
    for (version, end) in [(0, vec![]), (1, vec![0; 4]), (2, [vec![0xff; 8], vec![0; 4]].concat())] {
        let frame = refuse_legacy_produce(&legacy_header(version), legacy_body(1), &limits).unwrap().unwrap();
        let expected = [start.clone(), end].concat();
        assert_eq!(frame[..4], (expected.len() as u32).to_be_bytes());
        assert_eq!(frame[4..], expected, "version {version}");
    }
    assert_eq!(refuse_legacy_produce(&legacy_header(2), legacy_body(0), &limits), Ok(None));
    assert!(refuse_legacy_produce(&legacy_header(3), legacy_body(1), &limits).is_err());
    for length in 0..legacy_body(1).len() {
        assert!(refuse_legacy_produce(&legacy_header(1), legacy_body(1).slice(..length), &limits).is_err());
    }
}

#[test]
fn a_refusal_that_would_grow_too_large_is_an_error() {
    let limits = FrameLimits { structure_bytes_max: 3000, ..FrameLimits::default() };
    let mut body = vec![0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't'];
    body.extend(1000_i32.to_be_bytes());
    body.extend(std::iter::repeat_n([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], 1000).flatten());
    let result = refuse_legacy_produce(&legacy_header(2), Bytes::from(body.clone()), &limits);
    assert_eq!(result, Err(crate::request::RequestError::StructureTooLarge { limit: 3000 }));
    let result = refuse_legacy_produce(&legacy_header(2), Bytes::from(body), &FrameLimits::default());
    assert!(result.is_ok_and(|frame| frame.is_some()));
}

#[test]
fn advertised_apis_are_the_table() {
    let advertised = advertised_apis();
    assert_eq!(advertised.len(), SERVED.len());
    let produce = &advertised[0];
    assert_eq!((produce.api_key, produce.min_version, produce.max_version), (ApiName::Produce.code(), 0, 13));
}
