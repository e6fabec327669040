//! The layouts agree with the codec, and the weight is an upper bound that small bodies cannot reach.

use bytes::{Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, Encoder, KafkaEncode};
use proptest::prelude::*;

use super::*;
use crate::apis::SERVED;
use crate::frame::FrameLimits;
use crate::request::{RequestError, decode_body};
use crate::samples::{Entropy, entropy, request_body, with_api_types};

/// Decodes and encodes again.
fn recoded(api: &ServedApi, version: i16, body: &Bytes) -> Bytes {
    with_api_types!(api.key, Request, Response => {
        let request: Request = decode_body(version, body.clone(), &FrameLimits::default()).unwrap();
        let mut buffer = BytesMut::new();
        request.encode(&mut Encoder::new(&mut buffer), ApiVersion::new(version)).unwrap();
        let _: Option<Response> = None;
        buffer.freeze()
    })
}

fn check(api: &ServedApi, version: i16, entropy: &mut Entropy) {
    let body = Bytes::from(request_body(api, version, entropy));
    let (_, walked) =
        weigh(api, version, &body, usize::MAX).unwrap_or_else(|end| panic!("{} v{version}: {end:?}", api.name));
    assert_eq!(walked, body.len(), "{} v{version}", api.name);
    assert_eq!(recoded(api, version, &body), body, "{} v{version}", api.name);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layouts_agree_with_the_codec(entropy in entropy()) {
        for api in SERVED {
            for version in api.version_min..=api.version_max {
                check(api, version, &mut entropy.clone());
            }
        }
    }
}

/// The largest weight that one byte on the wire can cause: over all arrays, an element's charge by its fewest bytes.
fn weight_per_byte_max(fields: &[Field], version: i16, flexible: bool) -> usize {
    let present = fields.iter().filter(|(since, until, _)| (*since..=*until).contains(&version));
    let heaviest = present.map(|(_, _, kind)| match kind {
        Kind::PlainArray(element_bytes, element) => {
            (FIRST_ELEMENT_FACTOR * element_bytes).div_ceil(bytes_min(element, version, flexible))
        }
        Kind::Array(element_bytes, fields) => (FIRST_ELEMENT_FACTOR * element_bytes)
            .div_ceil(structure_bytes_min(fields, version, flexible))
            .max(weight_per_byte_max(fields, version, flexible)),
        Kind::Structure(fields) | Kind::Optional(fields) => weight_per_byte_max(fields, version, flexible),
        _ => 0,
    });
    heaviest.max().unwrap_or(0).max(TAG_BYTES / 2)
}

fn structure_bytes_min(fields: &[Field], version: i16, flexible: bool) -> usize {
    let present = fields.iter().filter(|(since, until, _)| (*since..=*until).contains(&version));
    let bytes: usize = present.map(|(_, _, kind)| bytes_min(kind, version, flexible)).sum();
    bytes + usize::from(flexible)
}

fn bytes_min(kind: &Kind, version: i16, flexible: bool) -> usize {
    match kind {
        Kind::Fixed(bytes) => *bytes,
        Kind::Structure(fields) => structure_bytes_min(fields, version, flexible),
        Kind::Optional(_) => 1,
        _ if flexible => 1,
        Kind::Text => 2,
        _ => 4,
    }
}

#[test]
fn small_bodies_cannot_reach_the_limit() {
    let mut heaviest = (0, "", 0);
    for api in SERVED {
        for version in api.version_min..=api.version_max {
            let fields = table::layout_of(api.key);
            let weight = weight_per_byte_max(fields, version, api.is_flexible(version));
            heaviest = heaviest.max((weight, api.name, version));
        }
    }
    assert!(heaviest.0 <= WEIGHT_PER_BYTE_MAX, "{heaviest:?}");
}

#[test]
fn a_million_empty_topics_are_refused_before_they_are_decoded() {
    // Produce v9: no transactional id, acks, timeout, then topics of one empty name, no partitions, no tags.
    let mut body = vec![0, 0xff, 0xff, 0, 0, 0, 0];
    body.extend([0xc1, 0x84, 0x3d]); // 1,000,001 as a varint
    body.extend(std::iter::repeat_n([1, 1, 0], 1_000_000).flatten());
    body.push(0);
    let limits = FrameLimits::default();
    let result = decode_body::<crate::messages::ProduceRequest>(9, Bytes::from(body), &limits);
    assert_eq!(result.unwrap_err(), RequestError::StructureTooLarge { limit: limits.structure_bytes_max });
}

#[test]
fn a_large_record_is_not_weighed() {
    let mut body = vec![0, 0xff, 0xff, 0, 0, 0, 0, 2, 2, b't', 2, 0, 0, 0, 0];
    let records = 40 * 1024 * 1024_usize;
    let mut length = records + 1;
    while length > 0x7f {
        body.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    body.push(length as u8);
    body.resize(body.len() + records, 7);
    body.extend([0, 0, 0]);
    let body = Bytes::from(body);
    let request = decode_body::<crate::messages::ProduceRequest>(9, body.clone(), &FrameLimits::default()).unwrap();
    let decoded = request.topic_data[0].partition_data[0].records.as_ref().unwrap();
    assert_eq!(decoded.len(), records);
    let inside = body.as_ptr_range();
    assert!(inside.contains(&decoded.as_ptr()), "records must be a slice of the frame");
}
