//! Subscriptions and assignments, also of versions to come.

use super::*;
use crate::message;
use crate::messages::consumer_protocol_assignment::TopicPartition;

#[test]
fn payloads_make_the_round_trip() {
    for version in 0..=3 {
        let subscription = message!(ConsumerProtocolSubscription { topics: vec!["a".into(), "b".into()] });
        let payload = encode_subscription(version, &subscription).unwrap();
        assert_eq!(decode_subscription(payload), Ok((version, subscription)));
        let assigned = message!(TopicPartition { topic: "a".into(), partitions: vec![0, 2] });
        let assignment = message!(ConsumerProtocolAssignment { assigned_partitions: vec![assigned] });
        let payload = encode_assignment(version, &assignment).unwrap();
        assert_eq!(decode_assignment(payload), Ok((version, assignment)));
    }
}

#[test]
fn a_newer_version_is_read_as_the_newest_known() {
    let subscription = message!(ConsumerProtocolSubscription { topics: vec!["a".into()] });
    let mut payload = encode_subscription(3, &subscription).unwrap().to_vec();
    payload[1] = 9;
    payload.extend([1, 2, 3]);
    assert_eq!(decode_subscription(Bytes::from(payload)), Ok((9, subscription)));
}

#[test]
fn broken_payloads_are_errors() {
    let assignment = encode_assignment(1, &ConsumerProtocolAssignment::default()).unwrap();
    for length in 0..assignment.len() {
        assert!(decode_assignment(assignment.slice(..length)).is_err());
    }
    assert!(decode_subscription(Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0])).is_err());
    assert!(decode_subscription(Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff])).is_err());
}
